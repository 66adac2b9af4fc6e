"""What roma does not have of rotations: cross products as matrices, and the derivative of the logarithm."""

import torch
from jaxtyping import Float
from torch import Tensor


def cross_matrix(v: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """[v]x, so that [v]x u = v x u."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def inverse_left_jacobian(rotvec: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """D log(exp([w]x) R) / dw at w = 0, for R = exp([rotvec]x): I - [r]x / 2 + (1/t^2 - cot(t/2)/(2t)) [r]x^2."""
    angle = rotvec.norm(dim=-1)[..., None, None]
    safe = angle.clamp_min(1e-3)
    quadratic = torch.where(angle < 1e-3, 1 / 12, 1 / safe**2 - 1 / (2 * safe * torch.tan(safe / 2)))
    cross = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) - cross / 2 + quadratic * (cross @ cross)
