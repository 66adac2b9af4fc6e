"""What the fit sees of a body: bodies that cut each other anywhere are noticed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from apu.body.collide import Collider, penetration
from apu.body.model import BodyModel
from apu.body.skinning import Pose
from apu.fit.proxy import fit_body
from apu.types import SMPL_JOINTS

from .conftest import standing


def test_the_whole_body_is_posed_as_the_model_poses_it(body: BodyModel) -> None:
    pose = Pose.of(standing())
    expected, given = body.forward(pose.params()), fit_body(body).posed(pose)
    np.testing.assert_allclose(given.vertices, expected.vertices, atol=2e-5)
    np.testing.assert_allclose(given.joints, expected.joints, atol=2e-5)


@pytest.mark.parametrize(
    ("mine", "others"), [("elbow", "shoulder"), ("knee", "knee"), ("elbow", "spine3"), ("wrist", "hip")]
)
def test_limbs_that_cut_each_other_are_noticed_wherever_they_cross(body: BodyModel, mine: str, others: str) -> None:
    """Limbs crossed at twelve places along their bones, the full mesh as the truth."""
    fit, random = fit_body(body), np.random.default_rng(0)
    depths = []
    for _ in range(12):
        pose = _crossed(body, mine, others, random)
        points = fit.skin.posed(pose, fit.skin.skeleton.frames(pose)).points
        surface = fit.surface.posed(pose, fit.skin.skeleton.frames(pose)).points[:, : body.num_vertices]
        collider = Collider(fit.skin_faces, points.shape[1], 2)
        collider.update(points)
        seen = collider.query(points[:, fit.probes].flip(0)).depth.max()
        depths.append((float(penetration(surface, body.skin_faces)[0].max()), float(seen)))
    true, seen = np.array(depths).T
    assert (true > 0.01).sum() > 6
    assert (seen > true - 0.015).all(), depths


def _crossed(body: BodyModel, mine: str, others: str, random: np.random.Generator) -> Pose:
    """Two people, one's right limb across a bone of the other, at some place and angle."""
    fit = fit_body(body)
    turn = 0.3 * torch.as_tensor(random.standard_normal((2, 80)), dtype=torch.float32)
    turn[:, 66:] = 0
    turn[1, 1] += 3.14 * float(random.random())
    still = Pose(torch.eye(3).repeat(2, 22, 1, 1), torch.zeros(2, 11), torch.zeros(2, 3)).step(turn)
    place = fit.skin.skeleton.frames(still).place

    def along(person: int, name: str) -> torch.Tensor:
        joint = SMPL_JOINTS.index(name if name in SMPL_JOINTS else f"right_{name}")
        share = float(random.random())
        return share * place[person, joint] + (1 - share) * place[person, fit.skin.skeleton.parents[joint]]

    apart = torch.as_tensor(0.02 * random.standard_normal(3), dtype=torch.float32)
    shift = torch.stack([torch.zeros(3), along(0, others) - along(1, mine) + apart])
    return replace(still, transl=still.transl + shift)
