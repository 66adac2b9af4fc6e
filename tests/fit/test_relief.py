"""Readings of limbs in depth: alike in the image, different in space, and told apart by what they touch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.skinning import Pose, stack
from apu.fit.proxy import fit_body
from apu.fit.relief import NUM_BONES, distinguishable, limb_readings, mirrored, nearest_reading, readings, touching
from apu.types import SMPL_JOINTS, BodyPart, Contact, Side

from .conftest import five_metres_off

SHOULDER, ELBOW = (SMPL_JOINTS.index(f"right_{name}") for name in ("shoulder", "elbow"))


def pair(*names: str) -> list[Contact]:
    a, b = (BodyPart(name=name, side=Side.RIGHT if name != "back" else Side.BOTH) for name in names)
    return [Contact(parts=(a, b))]


@pytest.fixture
def pose() -> Pose:
    """Two people five metres off, each with the right arm reaching half towards the camera."""
    turns = np.zeros((2, 21, 3), np.float32)
    turns[:, SHOULDER - 1] = (0.2, 0.7, 0.3)
    turns[:, ELBOW - 1] = (0.0, 0.6, 0.0)
    return five_metres_off(turns)


def bones(*which: int) -> torch.Tensor:
    """Bones of person 0."""
    mask = torch.zeros(2, NUM_BONES, dtype=torch.bool)
    mask[0, list(which)] = True
    return mask


RIGHT_UPPER_ARM, RIGHT_FOREARM = 2, 3


def test_a_mirrored_bone_looks_the_same_and_reaches_the_other_way(body: BodyModel, pose: Pose):
    skeleton = fit_body(body).skin.skeleton
    other = mirrored(pose, bones(RIGHT_UPPER_ARM), skeleton)
    before, after = skeleton.frames(pose), skeleton.frames(other)
    arm = [f.place[0, ELBOW] - f.place[0, SHOULDER] for f in (before, after)]
    ray = torch.nn.functional.normalize(before.place[0, SHOULDER], dim=0)
    assert abs(arm[0] @ ray) > 0.05
    assert float(arm[1] @ ray) == pytest.approx(-float(arm[0] @ ray), abs=1e-5)
    torch.testing.assert_close(arm[1] - (arm[1] @ ray) * ray, arm[0] - (arm[0] @ ray) * ray, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.rotation[0, ELBOW], before.rotation[0, ELBOW], atol=1e-5, rtol=0)
    torch.testing.assert_close(other.rotations[1], pose.rotations[1])


def test_a_bone_that_lies_in_the_image_plane_has_no_other_reading(body: BodyModel, pose: Pose):
    """Upper arms at rest point sideways, these arms reach half towards the camera; legs hang."""
    turns = pose.rotations.clone()
    turns[0, SHOULDER] = torch.eye(3)
    apart = distinguishable(replace(pose, rotations=turns), fit_body(body).skin.skeleton)
    assert not apart[0, RIGHT_UPPER_ARM]
    assert apart[1, [RIGHT_UPPER_ARM, RIGHT_FOREARM]].all()
    assert not apart[:, 4:].any()


def test_mirroring_twice_gives_the_limb_back(body: BodyModel, pose: Pose):
    skeleton, upper = fit_body(body).skin.skeleton, bones(RIGHT_UPPER_ARM)
    again = mirrored(mirrored(pose, upper, skeleton), upper, skeleton)
    torch.testing.assert_close(skeleton.frames(again).place, skeleton.frames(pose).place, atol=1e-5, rtol=0)


def test_a_batch_is_mirrored_like_each_of_its_poses(body: BodyModel, pose: Pose):
    skeleton = fit_body(body).skin.skeleton
    each = torch.as_tensor(limb_readings()).flatten(0, 1)
    together = mirrored(stack([pose] * len(each)), each, skeleton)
    for which, rotations in zip(each, together.rotations, strict=True):
        torch.testing.assert_close(rotations, mirrored(pose, which, skeleton).rotations)
        moved = [SMPL_JOINTS[j] for j in (rotations != pose.rotations).flatten(2).any(2).any(0).nonzero()[:, 0]]
        # The joints of the mirrored bones, and the one below them that keeps what hangs on it as it was.
        assert len(moved) == which.sum() + 1
        assert len({name.split("_")[0] for name in moved}) == 1


def test_every_limb_of_both_people_has_three_other_readings():
    each = limb_readings()
    assert each.shape == (8, 3, 2, NUM_BONES)
    assert each.any(1).sum(0).tolist() == np.ones((2, NUM_BONES)).tolist()
    assert len(np.unique(each.reshape(24, -1), axis=0)) == 24


@pytest.mark.parametrize(
    ("contacts", "count"),
    [
        ([], 1),
        (pair("head", "back"), 1),
        (pair("elbow", "back"), 2),
        (pair("hand", "back"), 4),
        (pair("hand", "back") + pair("forearm", "head"), 4),
        (pair("hand", "hand"), 16),
        (pair("hand", "hand") + pair("foot", "knee"), 1 + 3 + 3 + 3 + 1),
    ],
)
def test_only_limbs_that_touch_are_read_otherwise(body: BodyModel, pose: Pose, contacts: list[Contact], count: int):
    read = readings(pose, contacts, fit_body(body).skin.skeleton)
    assert len(read) == count
    assert torch.equal(read[0].rotations, pose.rotations)
    assert len({tuple(r.rotations.flatten().tolist()) for r in read}) == count


FREE, DEAR = np.zeros((2, 4)), np.full((2, 4), 2.0)
SIGMA = np.full((2, 4), 0.7)


def test_a_refit_keeps_the_reading_of_the_fit_it_goes_on_from(body: BodyModel, pose: Pose):
    skeleton = fit_body(body).skin.skeleton
    stretched = replace(pose, rotations=pose.rotations @ turned(0.4))  # no bone lies in the image's plane
    each = torch.as_tensor(limb_readings()).flatten(0, 1)
    for which in (torch.zeros_like(each[0]), *each, each[0] | each[10] | each[23]):
        fitted = mirrored(replace(stretched, transl=stretched.transl + 0.05), which, skeleton)
        assert nearest_reading(stretched, fitted, SIGMA, FREE, skeleton).tolist() == which.tolist()


def test_a_limb_that_must_pay_for_it_is_read_otherwise_only_where_it_pays(body: BodyModel, pose: Pose):
    skeleton, arm = fit_body(body).skin.skeleton, bones(RIGHT_UPPER_ARM)
    for angle, pays in ((0.3, False), (1.0, True)):
        turns = pose.rotations.clone()
        turns[:, SHOULDER] = torch.as_tensor(Rotation.from_rotvec([0, angle, 0]).as_matrix(), dtype=turns.dtype)
        reaching = replace(pose, rotations=turns)
        fitted = mirrored(reaching, arm, skeleton)
        assert nearest_reading(reaching, fitted, SIGMA, DEAR, skeleton).any() == pays
        assert nearest_reading(reaching, fitted, SIGMA, FREE, skeleton).tolist() == arm.tolist()


def turned(angle: float) -> torch.Tensor:
    """About every joint's x axis."""
    return torch.as_tensor(Rotation.from_rotvec([angle, 0, 0]).as_matrix(), dtype=torch.float32)


def test_the_limbs_that_contacts_name():
    right_arms = [[False, True, False, False]] * 2
    assert touching(pair("hand", "hand")).tolist() == right_arms
    assert touching(pair("hand", "back")).tolist() == [right_arms[0], [False] * 4]
    assert not touching([replace(c, weight=0.0) for c in pair("hand", "hand")]).any()
    assert touching([Contact(parts=(BodyPart(name="leg", side=Side.BOTH),) * 2)])[:, 2:].all()
