"""The derivative of the logarithm against autograd through roma's, also where formulas divide by nothing."""

import roma
import torch

from apu.body.rotation import cross_matrix, inverse_left_jacobian


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_cross_matrix_multiplies() -> None:
    v, u = doubles(5, 3), doubles(5, 3, seed=1)
    torch.testing.assert_close((cross_matrix(v) @ u[..., None])[..., 0], torch.linalg.cross(v, u))


def test_the_inverse_left_jacobian_is_the_derivative_of_the_logarithm() -> None:
    base = torch.cat([doubles(6, 3), torch.zeros(1, 3), doubles(1, 3) * 1e-5]).double()

    def moved(w: torch.Tensor) -> torch.Tensor:
        return roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(w) @ roma.rotvec_to_rotmat(base))

    numeric = torch.autograd.functional.jacobian(moved, torch.zeros_like(base))
    expected = torch.stack([numeric[i, :, i] for i in range(len(base))])
    torch.testing.assert_close(inverse_left_jacobian(base), expected, atol=1e-6, rtol=0)
