"""Rotations and their vectors in few operations, none of which waits for a GPU: every step of a fit needs them.

Axes: any number of batch axes, then 3 or 3 x 3. The same as roma's functions, which are several times as long.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def cross_matrix(v: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """[v]x, so that [v]x u = v x u."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def exponential(rotvec: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """exp([r]x) = I + sin(t)/t [r]x + (1 - cos t)/t^2 [r]x^2 with t = |r| (Rodrigues)."""
    turns = (rotvec.norm(dim=-1) / torch.pi)[..., None, None]
    cross = cross_matrix(rotvec)
    eye = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return eye + torch.sinc(turns) * cross + 0.5 * torch.sinc(turns / 2).square() * (cross @ cross)


def logarithm(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The rotation vector, at most pi long: by the quaternion q, since 4 q q^T is linear in the matrix.

    Of its four rows, all multiples of q, the longest one is exact also for half a turn (Shepperd, 1978).
    """
    transposed = rotation.transpose(-1, -2)
    trace = rotation.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    skew = rotation - transposed
    axial = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1)[..., None]
    upper = torch.cat([rotation + transposed + (1 - trace) * eye, axial], -1)
    products = torch.cat([upper, torch.cat([axial.transpose(-1, -2), 1 + trace], -1)], -2)
    longest = products.diagonal(dim1=-2, dim2=-1).argmax(-1)
    q = torch.take_along_dim(products, longest[..., None, None], -2)[..., 0, :]
    v, w = q[..., :3] * torch.where(q[..., 3:] < 0, -1.0, 1.0), q[..., 3:].abs()
    sine = v.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return v * (2 * torch.atan2(sine, w) / sine)


def inverse_left_jacobian(rotvec: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """D log(exp([w]x) R) / dw at w = 0, for R = exp([rotvec]x): I - [r]x / 2 + (1/t^2 - cot(t/2)/(2t)) [r]x^2."""
    angle = rotvec.norm(dim=-1)[..., None, None]
    safe = angle.clamp_min(1e-3)
    quadratic = torch.where(angle < 1e-3, 1 / 12, 1 / safe**2 - 1 / (2 * safe * torch.tan(safe / 2)))
    cross = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) - cross / 2 + quadratic * (cross @ cross)
