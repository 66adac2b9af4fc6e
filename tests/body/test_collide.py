"""Depths against spheres, whose answer is known."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import roma
import torch
import trimesh

from apu.body.collide import Collider, Colliders, penetration
from apu.body.model import BodyModel
from apu.body.skinning import Pose
from apu.fit.proxy import fit_body
from apu.types import SMPL_JOINTS


@pytest.fixture(scope="module")
def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=0.5)


def two_balls(ball: trimesh.Trimesh, apart: float, *, at: tuple[float, float, float] = (0.0, 0.0, 3.0)) -> torch.Tensor:
    vertices = torch.as_tensor(np.array(ball.vertices), dtype=torch.float32) + torch.tensor(at)
    return torch.stack([vertices, vertices + torch.tensor([apart, 0.0, 0.0])])


@pytest.mark.parametrize("at", [(0.0, 0.0, 3.0), (-40.0, 7.0, 90.0)])
def test_overlapping_balls_are_as_deep_as_they_overlap_wherever_they_are(
    ball: trimesh.Trimesh, at: tuple[float, float, float]
) -> None:
    depth, inside = penetration(two_balls(ball, 0.9, at=at), np.asarray(ball.faces))
    assert depth.amax(1).tolist() == pytest.approx([0.1, 0.1], abs=2e-3)
    assert (depth[~inside] == 0).all()


def test_balls_apart_do_not_touch(ball: trimesh.Trimesh) -> None:
    depth, inside = penetration(two_balls(ball, 1.01), np.asarray(ball.faces))
    assert not inside.any()
    assert depth.max() == 0


def test_pairs_of_a_batch_do_not_see_each_other(ball: trimesh.Trimesh) -> None:
    near, far = two_balls(ball, 0.9), two_balls(ball, 1.2)
    together, _ = penetration(torch.cat([near, far, near]), np.asarray(ball.faces))
    alone, _ = penetration(near, np.asarray(ball.faces))
    torch.testing.assert_close(together[:2], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together[4:], alone, atol=1e-5, rtol=0)
    assert together[2:4].max() == 0


def test_the_nearest_place_lies_on_the_surface_along_the_way_out(ball: trimesh.Trimesh) -> None:
    faces, vertices = np.asarray(ball.faces), torch.as_tensor(np.array(ball.vertices)[None], dtype=torch.float32)
    collider = Collider(faces, vertices.shape[1], 1)
    collider.update(vertices)
    inside = collider.query(torch.tensor([[[0.4, 0.0, 0.0], [0.0, -0.45, 0.0]]]))
    assert inside.depth[0].tolist() == pytest.approx([0.1, 0.05], abs=2e-3)
    corners = vertices[0][torch.as_tensor(faces)[inside.face[0]]]
    nearest = (inside.bary[0, :, :, None] * corners).sum(1)
    torch.testing.assert_close(nearest, torch.tensor([[0.5, 0.0, 0.0], [0.0, -0.5, 0.0]]), atol=2e-2, rtol=0)


def test_a_query_before_the_first_update_is_refused(ball: trimesh.Trimesh) -> None:
    with pytest.raises(ValueError, match="update"):
        Collider(np.asarray(ball.faces), len(ball.vertices), 1).query(torch.zeros(1, 1, 3))


def test_sides_are_winding_numbers_where_skin_folds_through_itself(body: BodyModel) -> None:
    """Arms turned down into the trunk and the rest at random; sums over solid angles say what is inside."""
    fit = fit_body(body)
    random = torch.Generator().manual_seed(3)
    turn = torch.cat([0.2 * torch.randn(1, 66, generator=random), torch.zeros(1, 14)], 1)
    for shoulder, down in (("left_shoulder", -1.7), ("right_shoulder", 1.7)):
        turn[0, 3 * SMPL_JOINTS.index(shoulder) + 2] = down
    pose = Pose(torch.eye(3).repeat(1, 22, 1, 1), torch.zeros(1, 11), torch.zeros(1, 3)).step(turn)
    skin = fit.skin.posed(pose, fit.skin.skeleton.frames(pose)).points
    lower, upper = skin.amin(1), skin.amax(1)
    points = lower + (upper - lower) * torch.rand(1, 3000, 3, generator=random)
    collider = Collider(fit.skin_faces, skin.shape[1], 1)
    collider.update(skin)
    inside = collider.query(points).depth[0] > 0
    corners = skin[0].double()[torch.as_tensor(fit.skin_faces)]
    turns = torch.cat([_turns(some, corners) for some in points[0].double().split(250)])
    assert (turns > 1.5).any(), "the skin does fold through itself"
    assert 50 < int(inside.sum()) < 1500
    torch.testing.assert_close(inside, turns > 0.5)


def _turns(points: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Winding numbers by solid angles (van Oosterom and Strackee, 1983)."""
    a, b, c = (corners[None, :, k] - points[:, None] for k in range(3))
    x, y, z = (v.norm(dim=-1) for v in (a, b, c))
    volume = (a * torch.linalg.cross(b, c)).sum(-1)
    spread = x * y * z + (a * b).sum(-1) * z + (b * c).sum(-1) * x + (c * a).sum(-1) * y
    return torch.atan2(volume, spread).sum(-1) / (2 * torch.pi)


def test_a_giant_that_reaches_its_neighbour_is_not_answered_with_its_faces(ball: trimesh.Trimesh) -> None:
    bodies = torch.as_tensor(np.stack([ball.vertices, ball.vertices * 40]), dtype=torch.float32)
    collider = Collider(np.asarray(ball.faces), len(ball.vertices), 2)
    collider.update(bodies)
    grid = torch.linspace(-20, 20, 400)
    points = torch.stack([grid, torch.zeros(400), torch.zeros(400)], -1).repeat(2, 1, 1)
    inside = collider.query(points, ignored=1.0)
    assert 0 <= int(inside.face.min()) <= int(inside.face.max()) < len(ball.faces)


def test_a_collider_that_remembers_answers_like_a_new_one(ball: trimesh.Trimesh) -> None:
    """Bodies and points move by little and by much, together and apart; what was far may have come near."""
    random, faces = np.random.default_rng(0), np.asarray(ball.faces)
    kept = Collider(faces, len(ball.vertices), 2)
    shift, points = np.zeros((2, 1, 3)), random.uniform(-1.5, 1.5, (2, 400, 3))
    sides = set()
    for step in range(12):
        reach = 1.0 if step % 4 == 3 else 0.05
        shift = shift + reach * random.standard_normal((2, 1, 3)) * 0.3
        points = points + reach * random.standard_normal((2, 1, 3)) * 0.3
        bodies = torch.as_tensor(np.asarray(ball.vertices) + shift, dtype=torch.float32)
        new = Collider(faces, len(ball.vertices), 2)
        answers = []
        for collider in (kept, new):
            collider.update(bodies)
            answers.append(collider.query(torch.as_tensor(points, dtype=torch.float32), ignored=0.01).depth)
        near = (torch.stack(answers) > -0.01).any(0)
        torch.testing.assert_close(answers[0][near], answers[1][near], atol=1e-5, rtol=0)
        sides.add(int(near.sum()))
    assert len(sides) > 3, "they did move"


def test_a_kept_collider_gives_what_a_new_one_gives_whatever_it_was_asked_before(ball: trimesh.Trimesh) -> None:
    """To the last bit, also which of the faces at an edge is nearest; and every thread has its own."""
    random, faces = np.random.default_rng(1), np.asarray(ball.faces)
    rest = torch.as_tensor(np.asarray(ball.vertices), dtype=torch.float32)
    used, new = Colliders(faces, rest), Colliders(faces, rest)
    for _ in range(3):
        other = used.of(2)
        other.update(torch.as_tensor(random.standard_normal((2, 1, 3)), dtype=torch.float32) + 3 * rest)
        other.query(torch.as_tensor(random.standard_normal((2, 50, 3)), dtype=torch.float32))
    bodies = 0.8 * rest + torch.tensor([[[0.1, 0, 0]], [[0, 0.2, 0]]])
    points = torch.cat([bodies[:, faces[:, :2]].mean(2), 0.9 * bodies], 1)
    answers = []
    for kept in (used, new):
        collider = kept.of(2)
        collider.update(bodies)
        answers.append(collider.query(points, ignored=0.1))
    for mine, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(mine, theirs, atol=0, rtol=0)
    assert used.of(2) is other
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(used.of, 2).result() is not other


def test_limbs_that_swing_past_and_over_points_leave_them_on_the_right_side(body: BodyModel) -> None:
    """A remembering collider knows the motion of every limb; one that is new asks about every point."""
    prepared, random = fit_body(body), np.random.default_rng(2)
    skeleton, count = prepared.skin.skeleton, int(prepared.skin_faces.max()) + 1
    turns = torch.zeros(2, 21, 3)
    points = torch.as_tensor(random.uniform((-0.9, -1.3, -0.4), (0.9, 0.6, 0.4), (2, 3000, 3)), dtype=torch.float32)
    inside = []
    for step in range(16):
        reach = (0.02, 0.1, 0.8, 0.05)[step % 4]
        turns = turns + reach * torch.as_tensor(random.standard_normal((2, 21, 3)), dtype=torch.float32)
        turns = turns.clamp(-1.2, 1.2)
        points = points + 0.1 * reach * torch.as_tensor(random.standard_normal((2, 1, 3)), dtype=torch.float32)
        rotations = roma.rotvec_to_rotmat(torch.cat([torch.zeros(2, 1, 3), turns], 1))
        pose = Pose(rotations, torch.zeros(2, 11), torch.zeros(2, 3))
        skin = prepared.skin.posed(pose, skeleton.frames(pose)).points[:, :count]
        answers = []
        for collider in (prepared.colliders.of(2, anew=step == 0), prepared.colliders._built(2)):
            collider.update(skin)
            answers.append(collider.query(points, ignored=0.004).depth)
        near = (torch.stack(answers) > -0.004).any(0)
        torch.testing.assert_close(answers[0][near], answers[1][near], atol=1e-5, rtol=0)
        inside.append(int((answers[1] > 0).sum()))
    assert min(inside) > 50
