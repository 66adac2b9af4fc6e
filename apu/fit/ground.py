"""The floor under both people: which points of a body it carries, where the weight is, and what it costs to float.

How far away a person is, the keypoints of each alone hardly tell; that both stand on one floor does.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

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


def ground(
    soles: Float[Tensor, "N P K 3"], mass: Float[Tensor, "N P 3"], weight: Float[Tensor, "N P K"], stance: Stance
) -> "GroundTerm":
    """People stand on one floor, upright: on the plane y = h + a x + b z that fits them best, no unknown of the fit.

    A sole e above or below it costs w^2 / (2 sigma^2) c^2 e^2 / (c^2 + e^2) (Geman-McClure: a raised foot is let go),
    the tilts a^2 / (2 sigma_a^2) + b^2 / (2 sigma_b^2), for cameras are seldom level. A centre of mass at d from the
    floor's normal through the feet that carry it costs s / (2 sigma_d^2) c_d^2 d^2 / (c_d^2 + d^2), with s how surely
    its person stands.

    Args:
        soles: points under the feet. mass: centres of mass; camera frame, metres. weight: 0 for a foot nobody saw.
    """
    seen = weight > 0
    # The floor is looked for about the feet, where its height and its tilts hardly depend on each other.
    middle = (seen[..., None] * soles).sum((1, 2)) / seen.sum((1, 2)).clamp_min(1)[:, None]
    middle = middle.detach()[:, None]
    soles, mass = soles - middle[:, None], mass - middle
    lowest = torch.where(seen, soles[..., 1].detach(), -torch.inf).amax((1, 2))
    plane = torch.nn.functional.pad(lowest.nan_to_num(neginf=0)[:, None], (0, 2))
    x, y, z = soles.unbind(-1)
    tilts = torch.nn.functional.pad(torch.diag(1 / plane.new_tensor(stance.tilt_sigma)), (1, 1))
    term = GroundTerm(
        soles=soles, mass=mass, weight=weight, counts=seen.any(-1, keepdim=True), plane=plane, stance=stance,
        below=torch.stack([torch.ones_like(x), x, z, y], -1).flatten(1, 2), tilts=tilts.expand(len(x), 2, 4),
    )  # fmt: skip
    for _ in range(_ROUNDS):
        plane = plane + _least_squares(term.columns, term.residual[..., None])[..., 0].detach()
        term = replace(term, plane=plane)
    return term


@dataclass(frozen=True, kw_only=True, eq=False)
class GroundTerm:
    """`ground` with the floor where it is: values per pair, and rows, each made when it is asked for.

    Every row is a weight times what is linear in the floor: four numbers times (-h, -a, -b, 1).

    Attributes:
        soles, mass, weight, stance: as for `ground`, about the middle of the feet. counts: whose feet were seen.
        plane: the floor's h, a, b. below, tilts: the four numbers for how far each sole is below the floor, and for
            the two tilts over their sigmas.
    """

    soles: Float[Tensor, "N P K 3"]
    mass: Float[Tensor, "N P 3"]
    weight: Float[Tensor, "N P K"]
    counts: Bool[Tensor, "N P 1"]
    plane: Float[Tensor, "N 3"]
    stance: Stance
    below: Float[Tensor, "N PK 4"]
    tilts: Float[Tensor, "N 2 4"]

    @property
    def floor(self) -> Float[Tensor, "N"]:
        """Of the soles, with what the floor's tilts cost."""
        soles = self.weight.square() * self._hold * self._off.square()
        tilts = (self.tilts @ self._floor).square()
        return 0.5 * (soles.sum((1, 2)) / self.stance.floor_sigma**2 + tilts.sum((1, 2)))

    @property
    def balance(self) -> Float[Tensor, "N"]:
        """Of the centres of mass."""
        people = self._stands * self._near * self._aside
        return 0.5 * people.sum(-1) / self.stance.balance_sigma**2

    @cached_property
    def residual(self) -> Float[Tensor, "N R"]:
        """Of every sole, of every person's weight along x and z, and of the two tilts."""
        return torch.bmm(self._rows, self._floor)[..., 0]

    @property
    def columns(self) -> Float[Tensor, "N R 3"]:
        """Derivative of the rows by the floor's h, a and b, negated."""
        return self._rows[..., :3]

    @cached_property
    def slope(self) -> Float[Tensor, "N R P marks 3"]:
        """Derivative of the rows by each person's K soles and, last, the centre of mass, the floor held."""
        pairs, people, points = self.weight.shape
        like, (a, b) = self.soles, self.plane[:, 1:].unbind(-1)
        own = torch.eye(people, dtype=like.dtype, device=like.device)
        each = torch.eye(points, points + 1, dtype=like.dtype, device=like.device)
        upright = torch.eye(3, dtype=like.dtype, device=like.device)[[0, 2]]
        normal = torch.stack([-a, torch.ones_like(a), -b], -1)
        upward = torch.stack([upright[:, 0].expand(pairs, 2), self.plane[:, 1:], upright[:, 2].expand(pairs, 2)], -1)
        lever = torch.nn.functional.pad(-self._share, (0, 1), value=1.0)
        return torch.cat(
            [
                torch.einsum("npk,pq,kl,nc->npkqlc", self._of_sole, own, each, normal).flatten(1, 2),
                torch.einsum("np,pq,npl,nrc->nprqlc", self._of_person, own, lever, upward).flatten(1, 2),
                like.new_zeros(pairs, 2, people, points + 1, 3),
            ],
            1,
        )

    def with_floor(self, rows: Float[Tensor, "N R unknowns"]) -> Float[Tensor, "N R unknowns"]:
        """The Jacobian of a floor that follows, from that of a floor held (variable projection; Kaufman, 1975)."""
        return rows - self.columns @ _least_squares(self.columns, rows)

    @cached_property
    def _floor(self) -> Float[Tensor, "N 4 1"]:
        return torch.nn.functional.pad(-self.plane, (0, 1), value=1.0)[..., None]

    @cached_property
    def _rows(self) -> Float[Tensor, "N R 4"]:
        soles, people = self._of_sole.flatten(1)[..., None] * self.below, self._of_person[..., None, None] * self._lean
        return torch.cat([soles, people.flatten(1, 2), self.tilts], 1)

    @cached_property
    def _off(self) -> Float[Tensor, "N P K"]:
        """How far soles are below the floor, metres."""
        return torch.bmm(self.below, self._floor).view_as(self.weight)

    @cached_property
    def _hold(self) -> Float[Tensor, "N P K"]:
        return (1 + (self._off / self.stance.floor_scale).square()).reciprocal()

    @cached_property
    def _carries(self) -> Float[Tensor, "N P K"]:
        """Which soles carry; held, like the weights of reweighted least squares. A foot that nobody saw may."""
        return (self.counts * self._hold.square()).detach()

    @cached_property
    def _stands(self) -> Float[Tensor, "N P"]:
        return self._carries.amax(-1)

    @cached_property
    def _share(self) -> Float[Tensor, "N P K"]:
        return self._carries / self._carries.sum(-1, keepdim=True).clamp_min(1e-9)

    @cached_property
    def _lean(self) -> Float[Tensor, "N P 2 4"]:
        """Of what is from where a person's soles carry to the centre of mass, x and z across the floor's normal."""
        x, y, z = (self.mass - (self._share[..., None] * self.soles).sum(2)).unbind(-1)
        zero = torch.zeros_like(y)
        return torch.stack([zero, -y, zero, x, zero, zero, -y, z], -1).unflatten(-1, (2, 4))

    @cached_property
    def _aside(self) -> Float[Tensor, "N P"]:
        """How far the centre of mass is beside the feet, squared."""
        return (self._lean @ self._floor[:, None]).square().sum((-1, -2))

    @cached_property
    def _near(self) -> Float[Tensor, "N P"]:
        return (1 + self._aside / self.stance.balance_scale**2).reciprocal()

    @cached_property
    def _of_sole(self) -> Float[Tensor, "N P K"]:
        return self.weight * self._hold / self.stance.floor_sigma

    @cached_property
    def _of_person(self) -> Float[Tensor, "N P"]:
        return self._stands.sqrt() * self._near / self.stance.balance_sigma


def _least_squares(columns: Float[Tensor, "N R 3"], rows: Float[Tensor, "N R M"]) -> Float[Tensor, "N 3 M"]:
    """What to multiply the columns by to come nearest to the rows."""
    across = columns.transpose(1, 2)
    normal = torch.bmm(across, columns)
    normal.diagonal(dim1=1, dim2=2).add_(1e-6)  # where nobody stands
    return torch.linalg.solve_ex(normal, torch.bmm(across, rows))[0]
