"""Readings of limbs in depth: alike in the image, different in space, and told apart by what they touch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from apu.body.model import BodyModel
from apu.body.skinning import Pose
from apu.fit.proxy import fit_body
from apu.fit.relief import mirrored, nearest_reading, readings
from apu.types import SMPL_JOINTS, BodyParams, BodyPart, Contact, Side

SHOULDER, ELBOW, WRIST = (SMPL_JOINTS.index(f"right_{name}") for name in ("shoulder", "elbow", "wrist"))


def touching(*names: str) -> Contact:
    a, b = (BodyPart(name=name, side=Side.RIGHT if name != "back" else Side.BOTH) for name in names)
    return Contact(parts=(a, b))


@pytest.fixture
def pose() -> Pose:
    """Two people five metres off, each with the right arm reaching half towards the camera."""
    turns = np.zeros((2, 21, 3), np.float32)
    turns[:, SHOULDER - 1] = (0.2, 0.7, 0.3)
    turns[:, ELBOW - 1] = (0.0, 0.6, 0.0)
    return Pose.of(
        BodyParams(
            global_orient=np.array([[np.pi, 0, 0]] * 2, np.float32),
            body_pose=turns,
            betas=np.zeros((2, 11), np.float32),
            transl=np.array([[-0.4, 0, 5], [0.4, 0, 5]], np.float32),
        )
    )


def test_a_mirrored_bone_looks_the_same_and_reaches_the_other_way(body: BodyModel, pose: Pose):
    skeleton = fit_body(body).skin.skeleton
    other = mirrored(pose, 0, (SHOULDER, ELBOW), skeleton)
    before, after = skeleton.frames(pose), skeleton.frames(other)
    bones = [f.place[0, ELBOW] - f.place[0, SHOULDER] for f in (before, after)]
    ray = torch.nn.functional.normalize(before.place[0, SHOULDER], dim=0)
    assert abs(bones[0] @ ray) > 0.05
    assert float(bones[1] @ ray) == pytest.approx(-float(bones[0] @ ray), abs=1e-5)
    torch.testing.assert_close(bones[1] - (bones[1] @ ray) * ray, bones[0] - (bones[0] @ ray) * ray, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.rotation[0, ELBOW], before.rotation[0, ELBOW], atol=1e-5, rtol=0)
    torch.testing.assert_close(other.rotations[1], pose.rotations[1])


def test_mirroring_twice_gives_the_limb_back(body: BodyModel, pose: Pose):
    skeleton = fit_body(body).skin.skeleton
    bone = (SHOULDER, ELBOW)
    again = mirrored(mirrored(pose, 0, bone, skeleton), 0, bone, skeleton)
    torch.testing.assert_close(skeleton.frames(again).place, skeleton.frames(pose).place, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("contacts", "count"),
    [
        ([], 1),
        ([touching("head", "back")], 1),
        ([touching("elbow", "back")], 2),
        ([touching("hand", "back")], 4),
        ([touching("hand", "back"), touching("forearm", "head")], 4),
        ([touching("hand", "hand")], 16),
        ([touching("hand", "hand"), touching("foot", "knee")], 1 + 3 + 3 + 3 + 1),
    ],
)
def test_only_limbs_that_touch_are_read_otherwise(body: BodyModel, pose: Pose, contacts: list[Contact], count: int):
    read = readings(pose, contacts, fit_body(body).skin.skeleton)
    assert len(read) == count
    assert torch.equal(read[0].rotations, pose.rotations)
    assert len({tuple(r.rotations.flatten().tolist()) for r in read}) == count


def test_a_refit_keeps_the_reading_of_the_fit_it_goes_on_from(body: BodyModel, pose: Pose):
    skeleton = fit_body(body).skin.skeleton
    contacts = [touching("hand", "hand")]
    for reading in readings(pose, contacts, skeleton):
        fitted = replace(reading, transl=reading.transl + 0.05)
        assert torch.equal(nearest_reading(pose, fitted, contacts, skeleton).rotations, reading.rotations)
