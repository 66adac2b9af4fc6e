"""A scene with known truth: two free bodies that face each other, seen without noise, started from disturbed meshes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.skinning import Pose
from apu.camera import project
from apu.types import BodyParams, BodyPart, Camera, Contact, MeshEstimate, PairObservation, Side


def part(name: str, side: str = "both") -> BodyPart:
    return BodyPart(name=name, side=Side(side))


def contact(a: BodyPart, b: BodyPart, confidence: float = 1.0) -> Contact:
    return Contact(parts=(a, b), confidence=confidence, weight=confidence)


@dataclass(frozen=True)
class Scene:
    truth: BodyParams
    observation: PairObservation


def standing(seed: int = 0) -> BodyParams:
    """Person 0 faces +x, person 1 faces -x, 3 m from the camera, right arms forwards; a hand lies on a forearm."""
    rng = np.random.default_rng(seed)
    pose = np.zeros((2, 21, 3))
    pose[:, 15], pose[:, 16] = (0, 0, -1.1), (0, 0, 1.1)  # arms hang
    pose[:, 16] = (0.0, 1.2, 0.6)  # the right one forwards
    pose += rng.normal(size=pose.shape) * 0.03
    upright = Rotation.from_rotvec([np.pi, 0, 0])
    facing = [Rotation.from_rotvec([0, angle, 0]) * upright for angle in (-np.pi / 2, np.pi / 2)]
    return BodyParams(
        global_orient=np.stack([r.as_rotvec() for r in facing]),
        body_pose=pose,
        betas=np.concatenate([rng.normal(size=(2, 10)) * 0.5, np.zeros((2, 1))], 1),
        transl=np.array([[-0.33, 0.3, 3.0], [0.33, 0.3, 3.0]]),
    )


def observe(body: BodyModel, truth: BodyParams, *, seed: int = 0, noise: float = 0.15) -> PairObservation:
    """Exact keypoints of the truth, and an estimate that is off in pose, depth and orientation."""
    rng = np.random.default_rng(seed)
    camera = Camera.of_image(640, 640)
    seen = project(body.keypoints(truth).astype(float), camera)
    keypoints = np.concatenate([seen, np.full((2, 67, 1), 0.9)], -1).astype(np.float32)
    start = replace(
        truth,
        global_orient=truth.global_orient + rng.normal(size=(2, 3)) * noise / 2,
        body_pose=truth.body_pose + rng.normal(size=(2, 21, 3)) * noise,
        transl=truth.transl + rng.normal(size=(2, 3)) * (0.03, 0.03, 0.12),
    )
    estimate = MeshEstimate(
        global_orient=start.global_orient,
        body_pose=start.body_pose,
        betas=np.zeros((2, 11)),
        joints=body.forward(start).joints[:, :22],
        valid=np.ones(2, bool),
    )
    low, high = keypoints[:, :25, :2].min(1), keypoints[:, :25, :2].max(1)
    return PairObservation(
        image="scene.png", camera=camera, boxes=np.concatenate([low, high], 1), keypoints=keypoints, estimate=estimate
    )


@pytest.fixture(scope="session")
def touch() -> tuple[Contact, ...]:
    """What is true of the scene: the right hand of person 1 lies on the left forearm of person 0."""
    return (contact(part("forearm", "left"), part("hand", "right"), 0.9),)


@pytest.fixture(scope="session")
def scene(body: BodyModel) -> Scene:
    truth = standing()
    return Scene(truth, observe(body, truth))


@pytest.fixture(scope="session")
def observed() -> Callable[..., PairObservation]:
    """How a truth is seen; see `observe`."""
    return observe


def five_metres_off(body_pose: np.ndarray) -> Pose:
    """Two people side by side who face the camera, so bent (2, 21, 3)."""
    return Pose.of(
        BodyParams(
            global_orient=np.array([[np.pi, 0, 0]] * 2, np.float32),
            body_pose=body_pose,
            betas=np.zeros((2, 11), np.float32),
            transl=np.array([[-0.4, 0, 5], [0.4, 0, 5]], np.float32),
        )
    )
