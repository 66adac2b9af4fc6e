"""The logarithm and its derivative, and steps, against roma's, also where formulas divide by nothing."""

import math

import pytest
import roma
import torch

from apu.body.rotation import logarithm, stepped


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turns() -> torch.Tensor:
    """Rotation vectors: any, none, tiny ones, and such of nearly half a turn about every axis."""
    along = torch.nn.functional.normalize(
        torch.cat([doubles(6, 3), torch.eye(3).double(), -torch.eye(3).double()]), dim=1
    )
    return torch.cat([doubles(6, 3), torch.zeros(1, 3), doubles(2, 3) * 1e-5, doubles(2, 3) * 1e-3, 3.14 * along])


def test_the_logarithm_is_the_rotation_vector() -> None:
    for dtype, off in ((torch.float64, 1e-12), (torch.float32, 3e-3)):  # of half a turn, single precision tells little
        vectors = turns().to(dtype)
        given = logarithm(roma.rotvec_to_rotmat(vectors)).rotvec
        torch.testing.assert_close(given, vectors, atol=off, rtol=0)


def test_half_a_turn_has_a_logarithm() -> None:
    about = torch.nn.functional.normalize(doubles(5, 3), dim=1)
    half = 2 * about[..., None] * about[..., None, :] - torch.eye(3)
    given = logarithm(half)
    torch.testing.assert_close(given.rotvec.norm(dim=1), torch.full((5,), math.pi).double())
    torch.testing.assert_close(roma.rotvec_to_rotmat(given.rotvec), half)
    assert torch.isfinite(given.by_turn).all()


def test_its_derivative_is_that_of_differences() -> None:
    base = turns()[:11]
    rotations, tiny = roma.rotvec_to_rotmat(base), 1e-5

    def moved(axis: int, way: float) -> torch.Tensor:
        turn = torch.zeros_like(base)
        turn[:, axis] = way * tiny
        return roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(turn) @ rotations)

    expected = torch.stack([(moved(axis, 1) - moved(axis, -1)) / (2 * tiny) for axis in range(3)], -1)
    torch.testing.assert_close(logarithm(rotations).by_turn, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [0.0, 1e-8, 1e-4, 1e-2, 1.0, 3.0, 10.0])
def test_a_step_turns_by_its_vector(size: float) -> None:
    rotations = roma.rotvec_to_rotmat(doubles(4, 2, 3))
    turn = size * torch.nn.functional.normalize(doubles(4, 2, 3, seed=1), dim=-1)
    torch.testing.assert_close(stepped(rotations, turn), roma.rotvec_to_rotmat(turn) @ rotations, atol=1e-13, rtol=0)


def test_any_layout_will_do() -> None:
    vectors = doubles(4, 2, 3)
    rotations = roma.rotvec_to_rotmat(vectors)
    torch.testing.assert_close(logarithm(rotations.mT).rotvec, -logarithm(rotations).rotvec)
    turned = stepped(rotations.transpose(0, 1), vectors.transpose(0, 1))
    torch.testing.assert_close(turned, stepped(rotations, vectors).transpose(0, 1))
    assert logarithm(rotations[:0]).rotvec.shape == (0, 2, 3)
