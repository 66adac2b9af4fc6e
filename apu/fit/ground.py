"""The floor under both people: which points of a body it carries, where the weight is, and what it costs to float.

How far away a person is, the keypoints of each alone hardly tell; that both stand on one floor does.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.kernels import launch
from apu.fit.kernels import ground_kernel
from apu.fit.options import Stance
from apu.types import BODY_25, SMPL_JOINTS

SOLES = tuple(
    BODY_25.index(f"{side}_{point}") for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
)
"""Keypoints under the feet, the left foot's first."""
ANKLES = tuple(BODY_25.index(f"{side}_ankle") for side in ("left", "right") for _ in range(3))
"""For every point of `SOLES` the keypoint that tells whether its foot was seen."""

_TRUNK = {"pelvis": 0.2, "spine1": 0.2, "spine2": 0.3, "spine3": 0.3}
"""How the trunk's mass is shared out; its centre is between navel and breastbone."""
_SEGMENTS = (
    ("hip", "knee", 0.1416, 0.410),
    ("knee", "ankle", 0.0433, 0.446),
    ("ankle", "foot", 0.0137, 0.442),
    ("shoulder", "elbow", 0.0271, 0.577),
    ("elbow", "wrist", 0.0162, 0.457),
    ("wrist", "wrist", 0.0061, 0.0),
)
"""Joints at both ends, share of the body's mass, and how far from the first joint its centre is."""


@lru_cache(maxsize=1)
def joint_masses() -> tuple[float, ...]:
    """Shares of a body's mass, as weights of its 22 joints whose mean is the centre of mass (de Leva, 1996, men)."""
    mass: dict[str, float] = dict.fromkeys(SMPL_JOINTS, 0.0)
    mass["head"] = 0.0694
    for joint, share in _TRUNK.items():
        mass[joint] += 0.4346 * share
    for near, far, segment, along in _SEGMENTS:
        for side in ("left", "right"):
            mass[f"{side}_{near}"] += segment * (1 - along)
            mass[f"{side}_{far}"] += segment * along
    whole = sum(mass.values())
    return tuple(value / whole for value in mass.values())


_ROUNDS = 4
"""Of reweighting, after which the floor lies where it is best."""


class GroundTerm(NamedTuple):
    """`ground` with the floor where it is: values per pair, and rows.

    Attributes:
        floor: of the soles, with what the floor's tilts cost. balance: of the centres of mass.
        residual: of every sole, of every person's weight along x and z, and of the two tilts.
        slope: derivative of the rows by each person's K soles and, last, the centre of mass, of a floor that follows
            them (variable projection; Kaufman, 1975).
        columns: derivative of the rows by the floor's height and tilts, negated, the people held.
    """

    floor: Float[Tensor, "N"]
    balance: Float[Tensor, "N"]
    residual: Float[Tensor, "N R"]
    slope: Float[Tensor, "N R P marks 3"]
    columns: Float[Tensor, "N R 3"]


def ground(
    soles: Float[Tensor, "N P K 3"], mass: Float[Tensor, "N P 3"], weight: Float[Tensor, "N P K"], stance: Stance
) -> GroundTerm:
    """People stand on one floor, upright: on the plane y = h + a x + b z that fits them best, no unknown of the fit.

    A sole e above or below it costs w^2 / (2 sigma^2) c^2 e^2 / (c^2 + e^2) (Geman-McClure: a raised foot is let go),
    the tilts a^2 / (2 sigma_a^2) + b^2 / (2 sigma_b^2), for cameras are seldom level. A centre of mass at d from the
    floor's normal through the feet that carry it costs s / (2 sigma_d^2) c_d^2 d^2 / (c_d^2 + d^2), with s how surely
    its person stands.

    Args:
        soles: points under the feet. mass: centres of mass; camera frame, metres. weight: 0 for a foot nobody saw.
    """
    pairs, people, points = weight.shape
    count = people * (points + 2) + 2
    term = GroundTerm(
        weight.new_empty(pairs),
        weight.new_empty(pairs),
        weight.new_empty(pairs, count),
        weight.new_empty(pairs, count, people, points + 1, 3),
        weight.new_empty(pairs, count, 3),
    )
    carries = torch.empty_like(weight)
    launch(
        ground_kernel(weight.dtype), (pairs,),
        soles, mass, weight, stance.floor_sigma, stance.floor_scale, *stance.tilt_sigma, stance.balance_sigma,
        stance.balance_scale, _ROUNDS, carries, *term[:3], term.slope.flatten(2, 3), term.columns,
    )  # fmt: skip
    return term
