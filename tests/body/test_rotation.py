"""Rotations and their vectors against roma's, also where formulas divide by nothing."""

import math

import pytest
import roma
import torch

from apu.body.rotation import cross_matrix, exponential, inverse_left_jacobian, logarithm


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def rotvec() -> torch.Tensor:
    """Of any length up to half a turn, none at all included."""
    ways = torch.nn.functional.normalize(doubles(60, 3), dim=-1)
    lengths = torch.tensor([0.0, 1e-9, 1e-4, 0.3, 2.0, math.pi - 1e-6], dtype=torch.float64)
    return (ways[:, None] * lengths[:, None]).flatten(0, 1)


def test_the_cross_matrix_multiplies() -> None:
    v, u = doubles(5, 3), doubles(5, 3, seed=1)
    torch.testing.assert_close((cross_matrix(v) @ u[..., None])[..., 0], torch.linalg.cross(v, u))


def test_the_exponential_is_romas(rotvec: torch.Tensor) -> None:
    torch.testing.assert_close(exponential(rotvec), roma.rotvec_to_rotmat(rotvec), atol=1e-12, rtol=0)


def test_the_logarithm_takes_the_exponential_back(rotvec: torch.Tensor) -> None:
    torch.testing.assert_close(logarithm(exponential(rotvec)), rotvec, atol=1e-9, rtol=0)
    single = logarithm(exponential(rotvec.float()))
    torch.testing.assert_close(exponential(single), exponential(rotvec.float()), atol=2e-6, rtol=0)


def test_the_inverse_left_jacobian_is_the_derivative_of_the_logarithm() -> None:
    base = torch.cat([doubles(6, 3), torch.zeros(1, 3), doubles(1, 3) * 1e-5]).double()

    def moved(w: torch.Tensor) -> torch.Tensor:
        return roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(w) @ roma.rotvec_to_rotmat(base))

    numeric = torch.autograd.functional.jacobian(moved, torch.zeros_like(base))
    expected = torch.stack([numeric[i, :, i] for i in range(len(base))])
    torch.testing.assert_close(inverse_left_jacobian(base), expected, atol=1e-6, rtol=0)
