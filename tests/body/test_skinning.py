"""The fit's own forward model equals smplx's, and its Jacobian equals finite differences."""

import numpy as np
import pytest
import torch

from apu.body.model import BodyModel, load_body
from apu.body.skinning import NUM_PARAMS, Pose, SkinnedPoints, skinned_surface
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

    expected = torch.autograd.functional.jacobian(sums, torch.zeros(2, NUM_PARAMS, dtype=torch.float64))
    frames = surface.skeleton.frames(pose)
    given = surface.jacobian(frames, surface.posed(pose, frames), index, weight)
    for person in range(2):
        torch.testing.assert_close(given[person], expected[person, :, :, person], atol=1e-9, rtol=0)


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
    torch.testing.assert_close(collapsed.jacobian(frames, sums.lever), expected, atol=1e-9, rtol=0)


def test_a_batch_of_pairs_is_posed_like_each_of_them(surface: SkinnedPoints) -> None:
    poses = [Pose.of(random_params(seed)) for seed in (5, 6)]
    together = Pose(*(torch.stack([getattr(p, f) for p in poses]) for f in ("rotations", "betas", "transl")))
    points = surface.posed(together, surface.skeleton.frames(together)).points
    for one, pose in zip(points, poses, strict=True):
        torch.testing.assert_close(one, surface.posed(pose, surface.skeleton.frames(pose)).points, atol=1e-5, rtol=0)
