"""Every term: a value known by hand, and the derivative that its rows claim."""

import math
from typing import ClassVar

import pytest
import roma
import torch

from apu.body.rotation import logarithm
from apu.fit import losses
from apu.fit.limits import joint_ranges
from apu.fit.mixture import Mixture


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotations(*shape: int, seed: int = 0, scale: float = 0.5) -> torch.Tensor:
    return roma.rotvec_to_rotmat(doubles(*shape, 3, seed=seed) * scale)


def turned(base: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return roma.rotvec_to_rotmat(w) @ base


def rows_gradient(term: losses.Term) -> torch.Tensor:
    """sum_i r_i dr_i/dx for terms whose rows are (..., R) with slopes (..., R, 3) of one point."""
    return (term.residual[..., None] * term.slope).sum(-2)


class TestReprojection:
    camera: ClassVar = {
        "focal": torch.tensor([[500.0, 510.0]], dtype=torch.float64),
        "centre": torch.tensor([[320.0, 240.0]], dtype=torch.float64),
        "unit": torch.tensor([[0.8, 1.3]], dtype=torch.float64),
    }

    def term(self, points: torch.Tensor, observed: torch.Tensor, scale: float = 50.0) -> losses.Term:
        weight = torch.full(points.shape[:3], 0.7, dtype=torch.float64)
        return losses.reprojection(points, observed, weight, **self.camera, sigma=8.0, scale=scale)

    def test_one_keypoint_ten_units_off_costs_what_the_formula_says(self) -> None:
        point = torch.tensor([[[[0.0, 0.0, 2.0]], [[0.0, 0.0, 2.0]]]], dtype=torch.float64)
        observed = torch.tensor([[[[320.0, 240.0]], [[320.0 + 10 / 1.3, 240.0]]]], dtype=torch.float64)
        expected = 0.7**2 / (2 * 8.0**2) * (50.0**2 * 100.0) / (50.0**2 + 100.0)
        assert float(self.term(point, observed).value) == pytest.approx(expected, rel=1e-9)

    def test_the_rows_give_the_gradient(self) -> None:
        points = (doubles(1, 2, 5, 3) * 0.3 + torch.tensor([0.0, 0.0, 3.0])).requires_grad_()
        observed = doubles(1, 2, 5, 2, seed=1) * 40 + torch.tensor([320.0, 240.0])
        term = self.term(points, observed)
        (expected,) = torch.autograd.grad(term.value.sum(), points)
        torch.testing.assert_close(rows_gradient(term), expected)

    def test_a_far_outlier_pulls_less_than_a_near_one(self) -> None:
        point = torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64).expand(1, 2, 1, 3)
        near, far = (torch.tensor([320.0 + d, 240.0], dtype=torch.float64).expand(1, 2, 1, 2) for d in (40.0, 4000.0))
        pull = [rows_gradient(self.term(point, observed)).norm() for observed in (near, far)]
        assert pull[1] < 0.05 * pull[0]

    def test_a_point_behind_the_camera_stays_finite(self) -> None:
        point = torch.tensor([0.1, 0.1, -1.0], dtype=torch.float64).expand(1, 2, 1, 3)
        assert torch.isfinite(self.term(point, torch.zeros(1, 2, 1, 2, dtype=torch.float64)).value).all()


class TestContact:
    def term(self, points: torch.Tensor, weight: float = 1.0, **changes: float) -> losses.ContactTerm:
        normals = torch.nn.functional.normalize(doubles(*points.shape, seed=9), dim=-1)
        options = {"temperature": 0.02, "sigma": 0.02, "best": 6, "normal_bonus": 0.0} | changes
        options["best"] = int(options["best"])
        return losses.contact(
            points, normals, torch.full(points.shape[:1] + points.shape[2:3], weight).double(), **options
        )

    def test_the_closest_pairs_are_found_without_sorting_all(self) -> None:
        distance = doubles(2, 3, 30, 40).abs()
        index = losses._closest_pairs(distance, 12)
        expected = distance.flatten(-2).topk(12, largest=False).values
        found = distance.flatten(-2).gather(-1, index[..., 0] * 40 + index[..., 1])
        torch.testing.assert_close(found, expected)

    def test_a_single_pair_of_points_costs_its_squared_distance(self) -> None:
        points = torch.zeros(1, 2, 1, 1, 3, dtype=torch.float64)
        points[0, 1, 0, 0] = torch.tensor([0.03, 0.04, 0.0])
        assert float(self.term(points, weight=0.5).term.value) == pytest.approx(0.5 * 0.5 * 0.05**2 / 0.02**2)

    def test_the_soft_minimum_tends_to_the_minimum(self) -> None:
        points = doubles(1, 2, 3, 20, 3) * 0.3
        least = torch.cdist(points[:, 0], points[:, 1]).flatten(-2).amin(-1).square()
        value = self.term(points, temperature=1e-3).term.value
        torch.testing.assert_close(value, 0.5 * least.sum(-1) / 0.02**2, rtol=1e-2, atol=1e-2)

    def test_the_rows_give_the_gradient_on_both_people(self) -> None:
        points = (doubles(1, 2, 2, 8, 3) * 0.1).requires_grad_()
        term, index = self.term(points, temperature=0.1, best=8 * 8)
        (expected,) = torch.autograd.grad(term.value.sum(), points)
        pull = torch.einsum("ncbr,ncbrd->ncbd", term.residual, term.slope)
        given = torch.zeros_like(expected)
        for person, sign in ((0, 1.0), (1, -1.0)):
            at = index[..., person, None].expand(*index.shape[:-1], 3)
            given[:, person].scatter_add_(2, at, sign * pull)
        torch.testing.assert_close(given, expected)

    @pytest.mark.parametrize("gap", [0.0, 0.001, 0.2])
    def test_points_of_skin_slide_on_each_other_and_part_only_against_the_full_pull(self, gap: float) -> None:
        points = torch.zeros(1, 2, 1, 1, 3, dtype=torch.float64)
        points[0, 1, ..., 2] = gap
        normals = torch.tensor([[0.0, 0, 1], [0, 0, -1]], dtype=torch.float64)[None, :, None, None]
        one = torch.ones(1, 1, dtype=torch.float64)
        term, _ = losses.contact(points, normals, one, temperature=0.02, sigma=0.5, best=1, normal_bonus=0.03)
        slope = term.slope[0, 0, 0]
        along, across = 4.0 * losses._SLIDE, 4.0
        torch.testing.assert_close(slope.T @ slope, torch.diag(slope.new_tensor([along, along, across])))

    def test_skin_that_faces_the_other_is_preferred(self) -> None:
        points = torch.zeros(1, 2, 1, 2, 3, dtype=torch.float64)
        points[0, 1, 0, :, 2] = 0.05  # both samples of person 1 equally far from both of person 0
        normals = torch.tensor([[0.0, 0, 1], [0, 0, -1]], dtype=torch.float64)
        normals = torch.stack([normals, normals])[None, :, None]
        one = torch.ones(1, 1, dtype=torch.float64)
        found = losses.contact(points, normals, one, temperature=0.01, sigma=0.02, best=1, normal_bonus=0.03)
        v, u = found.index[0, 0, 0].tolist()
        assert normals[0, 0, 0, v] @ normals[0, 1, 0, u] == -1

    def test_without_weight_there_is_no_term(self) -> None:
        assert float(self.term(doubles(1, 2, 2, 8, 3), weight=0.0).term.value) == 0


class TestPenetration:
    options: ClassVar = {"sigma": 0.005, "margin": 0.004, "weight": 0.5}

    def test_value_by_hand(self) -> None:
        depth = torch.tensor([[0.006, -0.002, -0.5]], dtype=torch.float64)
        area = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64)
        term = losses.penetration(depth, torch.zeros(1, 3, 3).double(), area, **self.options)
        assert float(term.value) == pytest.approx(0.5 * 0.5 * (2 * 0.01**2 + 0.002**2) / 0.005**2)

    def test_the_rows_push_out_of_a_plane(self) -> None:
        x = torch.tensor([[[0.0, 0.0, -0.01]]], dtype=torch.float64, requires_grad=True)
        up = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
        term = losses.penetration(-x[..., 2], up, torch.ones(1, 1).double(), **self.options)
        (expected,) = torch.autograd.grad(term.value.sum(), x)
        torch.testing.assert_close(term.residual[..., None] * term.slope, expected)


@pytest.mark.parametrize("name", ["pose_prior", "joint_limits", "gaussian_mixture"])
def test_rotation_terms_give_their_gradient(name: str) -> None:
    base = rotations(1, 2, 21, scale=0.9)

    def of(w: torch.Tensor) -> torch.Tensor:
        now = turned(base, w)
        return roma.rotmat_to_rotvec(now @ rotations(1, 2, 21, seed=1).mT if name == "pose_prior" else now)

    def term(w: torch.Tensor) -> losses.Term:
        now = of(w)
        if name == "pose_prior":
            return losses.pose_prior(now, torch.full((1, 2, 21), 0.3).double())
        if name == "joint_limits":
            return losses.joint_limits(now, *joint_ranges(dtype=torch.float64), sigma=0.1)
        mixture = toy_mixture()
        return losses.gaussian_mixture(now, mixture.means, mixture.roots, mixture.penalties, weight=0.7)

    w = torch.zeros(1, 2, 21, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(term(w).value.sum(), w)
    found = term(w.detach())
    if name == "gaussian_mixture":
        pull = torch.einsum("npd,npdjk->npjk", found.residual, found.slope)
    else:
        pull = found.residual * found.slope
    given = (pull[..., None, :] @ logarithm(roma.rotvec_to_rotmat(of(w.detach()))).by_turn)[..., 0, :]
    torch.testing.assert_close(given, expected, atol=1e-9, rtol=1e-6)
    assert expected.abs().max() > 0


def toy_mixture() -> Mixture:
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(2, 63, 63, generator=generator, dtype=torch.float64) * 0.1 + torch.eye(63)
    covars = (root @ root.transpose(1, 2)).numpy()
    means = torch.randn(2, 63, generator=generator, dtype=torch.float64).numpy() * 0.2
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64).numpy()
    return Mixture.of(means, covars, weights, device=torch.device("cpu"), dtype=torch.float64)


def test_the_mixture_takes_its_likeliest_component() -> None:
    mixture = toy_mixture()
    theta = mixture.means[1].reshape(1, 1, 21, 3)
    value = losses.gaussian_mixture(
        theta.expand(1, 2, 21, 3), mixture.means, mixture.roots, mixture.penalties, weight=1.0
    ).value
    away = mixture.roots[0].T @ (mixture.means[1] - mixture.means[0])
    other = float(0.5 * away.square().sum() + mixture.penalties[0])
    assert float(value) == pytest.approx(2 * min(float(mixture.penalties[1]), other), abs=1e-6)


def test_knees_and_elbows_bend_one_way() -> None:
    """A knee bent backwards by 30 degrees costs; bent forwards by 90 it does not."""
    from apu.types import SMPL_JOINTS

    costs = {}
    for degrees in (-30, 90):
        pose = torch.zeros(1, 2, 21, 3, dtype=torch.float64)
        pose[..., SMPL_JOINTS.index("left_knee") - 1, 0] = math.radians(degrees)
        pose[..., SMPL_JOINTS.index("left_elbow") - 1, 1] = -math.radians(degrees)
        pose[..., SMPL_JOINTS.index("right_elbow") - 1, 1] = math.radians(degrees)
        term = losses.joint_limits(pose, *joint_ranges(dtype=torch.float64), sigma=0.1)
        costs[degrees] = float(term.value)
    assert costs[90] == 0
    assert costs[-30] > 10
