"""What roma does not have of rotations: the logarithm with its derivative, and steps, as fast as a fit needs them."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.kernels import launch, skinning_kernels


class Logarithm(NamedTuple):
    """Of rotations R = exp([rotvec]x), angles up to pi.

    Attributes:
        rotvec: radians. by_turn: D log(exp([w]x) R) / dw at w = 0, the inverse of SO(3)'s left Jacobian:
            I - [r]x / 2 + (1/t^2 - cot(t/2) / (2t)) [r]x^2 with t = |r|.
    """

    rotvec: Float[Tensor, "*batch 3"]
    by_turn: Float[Tensor, "*batch 3 3"]


def logarithm(rotations: Float[Tensor, "*batch 3 3"]) -> Logarithm:
    """Rotation vectors and how they change with the rotations; nothing is noted down for autograd."""
    flat = rotations.reshape(-1, 3, 3).contiguous()
    found = Logarithm(torch.empty_like(flat[..., 0]), torch.empty_like(flat))
    launch(skinning_kernels(flat.dtype).logarithm, (len(flat),), flat, *found)
    return Logarithm(*(a.view(*rotations.shape[:-2], *a.shape[1:]) for a in found))


def stepped(rotations: Float[Tensor, "*batch 3 3"], turn: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """exp([turn]x) R; nothing is noted down for autograd."""
    flat = rotations.reshape(-1, 3, 3).contiguous()
    result = torch.empty_like(flat)
    launch(skinning_kernels(flat.dtype).step, (len(flat),), flat, turn.reshape(-1, 3).contiguous(), result)
    return result.view(rotations.shape)
