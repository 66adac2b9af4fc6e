"""Pairs whose truth is known, without the generator: shipped scenes, seen exactly."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from apu.bench.case import Case, Truth
from apu.body.model import BodyModel
from apu.camera import project
from apu.synth import Scene, load_scenes
from apu.types import SMPL_JOINTS, MeshEstimate, PairObservation


def observe(scene: Scene, body: BodyModel) -> PairObservation:
    """Exact keypoints, and a first guess that stands 30 cm too far away."""
    camera = scene.recipe.camera
    seen = project(body.keypoints(scene.params).astype(float), camera)
    keypoints = np.concatenate([seen, np.full((2, 67, 1), 0.9)], -1).astype(np.float32)
    guess = replace(scene.params, transl=scene.params.transl + np.float32([[0, 0, 0.3], [0, 0, 0]]))
    estimate = MeshEstimate(
        global_orient=guess.global_orient,
        body_pose=guess.body_pose,
        betas=np.zeros((2, 11)),
        joints=body.forward(guess).joints[:, : len(SMPL_JOINTS)],
        valid=np.ones(2, bool),
    )
    low, high = keypoints[:, :25, :2].min(1), keypoints[:, :25, :2].max(1)
    return PairObservation(
        image=f"{scene.recipe.name}.png",
        camera=camera,
        boxes=np.concatenate([low, high], 1),
        keypoints=keypoints,
        estimate=estimate,
        simulated=True,
    )


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Two people who shake hands."""
    return load_scenes(["handshake"])[0]


@pytest.fixture(scope="session")
def make_case(body: BodyModel) -> Callable[..., Case]:
    """A case of a shipped scene; what a model states of it is the truth with both sides exchanged."""

    def make(name: str = "handshake", *, called: str = "") -> Case:
        scene = load_scenes([name])[0]
        posed = body.forward(scene.params)
        return Case(
            name=called or name,
            interaction=name,
            observation=observe(scene, body),
            truth=Truth(skeleton="smplx_55", joints=posed.joints[:, : len(SMPL_JOINTS)], vertices=posed.vertices),
            contacts=scene.recipe.true_contacts,
            stated=tuple(
                replace(contact.flipped, confidence=0.8, source="model") for contact in scene.recipe.true_contacts
            ),
        )

    return make


@pytest.fixture(scope="session")
def case(make_case: Callable[..., Case]) -> Case:
    return make_case()
