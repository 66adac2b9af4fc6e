from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from apu.types import (
    BodyParams,
    BodyPart,
    Camera,
    Contact,
    ContactAnswer,
    FitResult,
    MeshEstimate,
    PairObservation,
    Side,
)
from review_db import Suggestion, Workspace

LEFT_HAND_BACK = Contact(parts=(BodyPart(name="hand", side=Side.LEFT), BodyPart(name="back")), confidence=0.6)
HANDS = Contact(parts=(BodyPart(name="hand", side=Side.RIGHT), BodyPart(name="hand", side=Side.LEFT)), confidence=0.9)
FLIP = Suggestion(flipped=True, probability=0.8, distances=(0.9, float("nan")), evidence="the right hand is nearer")


def make_observation(seed: int = 0, image: str = "hug.png") -> PairObservation:
    rng = np.random.default_rng(seed)
    estimate = MeshEstimate(
        global_orient=rng.normal(size=(2, 3)).astype(np.float32),
        body_pose=rng.normal(size=(2, 21, 3)).astype(np.float32),
        betas=rng.normal(size=(2, 11)).astype(np.float32),
        joints=rng.normal(size=(2, 22, 3)).astype(np.float32),
        valid=np.array([True, False]),
    )
    return PairObservation(
        image=image,
        camera=Camera.of_image(640, 480),
        boxes=rng.uniform(0, 480, size=(2, 4)),
        keypoints=rng.uniform(0, 1, size=(2, 67, 3)).astype(np.float32),
        estimate=estimate,
        action="hugging",
        source="demo",
        simulated=True,
    )


def make_answer(*contacts: Contact) -> ContactAnswer:
    return ContactAnswer(
        interaction="side hug",
        people=("a woman in red", "a man in blue"),
        orientation="side to side",
        contacts=contacts or (LEFT_HAND_BACK, HANDS),
        raw='{"interaction": "side hug", "quote": "\\u2028 \'; DROP TABLE pairs; --"}',
        model="toy",
        prompt_id="contacts-1",
        usage={"total_tokens": 12},
        seconds=0.5,
        asked_at="2026-01-01T00:00:00+00:00",
        simulated=True,
    )


def make_params(seed: int) -> BodyParams:
    rng = np.random.default_rng(seed)
    shapes = {
        "global_orient": (2, 3),
        "body_pose": (2, 21, 3),
        "betas": (2, 11),
        "transl": (2, 3),
        "hand_pose": (2, 30, 3),
    }
    return BodyParams(**{name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def make_fit(error: float = 9.0, contacts: tuple[Contact, ...] = (LEFT_HAND_BACK, HANDS), seed: int = 0) -> FitResult:
    return FitResult(
        params=make_params(seed),
        start=make_params(seed + 1),
        contacts=contacts,
        swapped=False,
        gaps_m=np.linspace(0.01, 0.02, len(contacts)),
        reprojection_512=np.array([error, error / 2]),
        reprojection_px=np.array([2 * error, error]),
        max_penetration_m=0.003,
        mean_penetration_m=0.001,
        kept=error < 20,
        terms={"keypoints": [3.0, 1.0], "contact": [2.0, 0.5]},
        stop="converged",
        seconds=1.5,
        iterations=40,
        device="cpu",
        body="anny-free",
        seed=seed,
        options={"steps": 40},
    )


@pytest.fixture
def workspace(tmp_path: Path):
    with Workspace.create(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def add_pairs(workspace: Workspace, tmp_path: Path) -> Callable[..., list[int]]:
    """Add `count` pairs of one image each; with `asked`, an answer each."""

    def add(count: int = 1, *, asked: bool = True) -> list[int]:
        pairs = []
        for number in range(count):
            image = tmp_path / f"image_{number}.png"
            image.write_bytes(f"picture {number}".encode())
            image_id = workspace.add_image(image, size=(640, 480), source="demo", action="hugging")
            pairs.append(workspace.add_pair(image_id, make_observation(number, image.name)))
            if asked:
                workspace.add_answer(pairs[-1], make_answer(), asker="replay", suggestions=[FLIP, None])
        return pairs

    return add


@pytest.fixture
def pair(add_pairs: Callable[..., list[int]]) -> int:
    """One pair with an answer."""
    return add_pairs()[0]


@pytest.fixture(scope="session")
def toys():
    """The builders above, for tests: observation, answer, params, fit."""
    return ToyBuilders


class ToyBuilders:
    observation = staticmethod(make_observation)
    answer = staticmethod(make_answer)
    params = staticmethod(make_params)
    fit = staticmethod(make_fit)
    flip = FLIP
