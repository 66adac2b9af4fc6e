"""The fit's own forward model equals smplx's, and its Jacobian equals finite differences."""

import numpy as np
import pytest
import torch

from apu.body.model import BodyModel, load_body
from apu.body.skinning import BETAS, NUM_PARAMS, Pose, SkinnedPoints, skinned_surface
from apu.types import BodyParams


def random_params(seed: int, people: int = 2) -> BodyParams:
    rng = np.random.default_rng(seed)
    child = rng.uniform(0, 1, (people, 1))
    return BodyParams(
        global_orient=rng.normal(size=(people, 3)),
        body_pose=rng.normal(size=(people, 21, 3)) * 0.4,
        betas=np.concatenate([rng.normal(size=(people, 10)), child], 1),
        transl=rng.normal(size=(people, 3)),
    )


@pytest.fixture(scope="module")
def surface(body: BodyModel) -> SkinnedPoints:
    return skinned_surface(body)


@pytest.mark.parametrize("seed", range(3))
def test_points_are_where_smplx_puts_them(body: BodyModel, surface: SkinnedPoints, seed: int) -> None:
    params = random_params(seed)
    pose = Pose.of(params)
    points = surface.posed(pose, surface.skeleton.frames(pose)).points.numpy()
    expected = body.forward(params)
    np.testing.assert_allclose(points[:, : body.num_vertices], expected.vertices, atol=2e-5)
    np.testing.assert_allclose(points[:, body.num_vertices :], expected.joints, atol=2e-5)


def test_parameters_survive_the_way_to_rotations_and_back() -> None:
    params = random_params(3)
    back = Pose.of(params, dtype=torch.float64).params()
    twice = Pose.of(back, dtype=torch.float64)
    torch.testing.assert_close(twice.rotations, Pose.of(params, dtype=torch.float64).rotations, atol=1e-6, rtol=0)
    np.testing.assert_allclose(back.betas, params.betas, atol=1e-6)


def test_the_jacobian_is_the_derivative_of_the_points() -> None:
    """Finite differences of the rotations, betas and translation, for single vertices and for weighted sums."""
    surface = skinned_surface(load_body(dtype=torch.float64))
    surface = SkinnedPoints(
        surface.skeleton, surface.rest, surface.dirs, surface.weights, torch.zeros_like(surface.correctives)
    )
    pose = Pose.of(random_params(4), dtype=torch.float64)
    index = torch.tensor([[5, 700], [13000, 13725], [42, 42]]).expand(2, 3, 2)
    weight = torch.tensor([[0.3, 0.7], [0.5, 0.5], [1.0, 0.0]], dtype=torch.float64).expand(2, 3, 2)

    def sums(delta: torch.Tensor) -> torch.Tensor:
        moved = pose.step(delta)
        points = surface.posed(moved, surface.skeleton.frames(moved)).points
        return (points[torch.arange(2)[:, None, None], index] * weight[..., None]).sum(2)

    tiny = 1e-5 * torch.eye(NUM_PARAMS, dtype=torch.float64)[:, None].expand(-1, 2, -1)
    expected = torch.stack([(sums(each) - sums(-each)) / 2e-5 for each in tiny], -1)
    frames = surface.skeleton.frames(pose)
    skinned = surface.posed(pose, frames)
    given = surface.jacobian(frames, skinned, index, weight)
    torch.testing.assert_close(given, expected, atol=1e-9, rtol=0)
    slope = torch.randn(2, 3, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope[:, 1] = 0
    torch.testing.assert_close(surface.jacobian(frames, skinned, index, weight, slope), slope @ given)
    held = surface.jacobian(frames, skinned, index, weight, slope, shape=False)
    assert not held[..., BETAS].any()
    others = [column for column in range(NUM_PARAMS) if column not in range(BETAS.start, BETAS.stop)]
    torch.testing.assert_close(held[..., others], (slope @ given)[..., others])


def test_sums_collapsed_onto_the_bones_are_those_of_the_points() -> None:
    """A keypoint's support spreads over several bones; neither its place nor its derivative may notice."""
    surface = skinned_surface(load_body(dtype=torch.float64))
    pose = Pose.of(random_params(7), dtype=torch.float64)
    index = torch.tensor([[5, 700, 9000], [13000, 13725, 20], [42, 42, 42]])
    weight = torch.tensor([[0.3, 0.5, 0.2], [0.5, 0.4, 0.1], [1.0, 0.0, 0.0]], dtype=torch.float64)
    frames = surface.skeleton.frames(pose)
    collapsed = surface.sums(index, weight)
    sums = collapsed.posed(pose, frames)
    points = surface.posed(pose, frames).points[:, index]
    torch.testing.assert_close(sums.points, (weight[..., None] * points).sum(-2), atol=1e-9, rtol=0)
    every = (a.expand(2, *a.shape) for a in (index, weight))
    expected = surface.jacobian(frames, surface.posed(pose, frames), *every)
    torch.testing.assert_close(collapsed.jacobian(frames, sums, slice(None)), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(collapsed.jacobian(frames, sums, [2, 0]), expected[:, [2, 0]], atol=1e-9, rtol=0)


def test_directions_turn_with_the_points(surface: SkinnedPoints) -> None:
    """Two points that one bone carries stay apart along the same direction of it."""
    pose = Pose.of(random_params(8))
    frames, still = surface.skeleton.frames(pose), torch.zeros_like(surface.correctives)
    rigid = (surface.weights[: len(surface.rest) - 55].amax(1) > 1 - 1e-6).nonzero()[:, 0]
    bone = surface.weights[rigid].argmax(1)
    members = rigid[bone == bone.mode().values]
    a, b = members[:-1], members[1:]
    flat = SkinnedPoints(surface.skeleton, surface.rest, torch.zeros_like(surface.dirs), surface.weights, still)
    points = flat.posed(pose, frames).points
    along = torch.zeros_like(surface.rest)
    along[a] = surface.rest[b] - surface.rest[a]
    turned = flat.directions(along, frames)
    assert len(a) > 100
    torch.testing.assert_close(turned[:, a], points[:, b] - points[:, a], atol=1e-5, rtol=0)


def test_a_batch_of_pairs_is_posed_like_each_of_them(surface: SkinnedPoints) -> None:
    poses = [Pose.of(random_params(seed)) for seed in (5, 6)]
    together = Pose(*(torch.stack([getattr(p, f) for p in poses]) for f in ("rotations", "betas", "transl")))
    points = surface.posed(together, surface.skeleton.frames(together)).points
    for one, pose in zip(points, poses, strict=True):
        torch.testing.assert_close(one, surface.posed(pose, surface.skeleton.frames(pose)).points, atol=1e-5, rtol=0)


def test_a_point_beyond_two_others_hangs_on_its_bones_with_negative_shares_too() -> None:
    surface = skinned_surface(load_body(dtype=torch.float64))
    rigid = (surface.weights.amax(1) > 1 - 1e-9).nonzero()[:, 0]
    first = rigid[0]
    second = rigid[surface.weights[rigid].argmax(1) != surface.weights[first].argmax()][0]
    beyond = surface.take(torch.stack([first, second])[None], torch.tensor([[1.5, -0.5]]))
    pose = Pose.of(random_params(9), dtype=torch.float64)
    frames = surface.skeleton.frames(pose)
    carried = (frames.rotation @ beyond.shaped(pose)[..., None])[..., 0] + frames.origin  # by each bone
    expected = (beyond.weights[0, :, None] * carried).sum(1, keepdim=True)
    assert beyond.weights.min() < -0.4
    torch.testing.assert_close(beyond.posed(pose, frames).points, expected)
