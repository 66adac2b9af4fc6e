"""Readings of a limb's depth: its image is the same whether a bone points towards the viewer or away from them.

Seen under (nearly) parallel rays, a bone and its mirror image in depth project to the same points (the bas-relief
ambiguity; Lee and Chen 1985 list the 2^n readings of a figure), so that an estimator often takes an arm that reaches
back for one that reaches forward. No small step leads from one reading to the other. A contact can tell them apart,
for only one of them reaches what it touches, so the limbs that a contact names begin in their readings. What the whole
objective says of every limb is asked again once the people are about where they belong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from apu.body.skinning import Frames, Pose, Skeleton, stack
from apu.types import SMPL_JOINTS, Contact, Side

_CHAINS = {"arm": ("shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle")}
_LIMBS = tuple(f"{side}_{limb}" for limb in _CHAINS for side in ("left", "right"))
_JOINTS = np.array(
    [
        [SMPL_JOINTS.index(f"{side}_{joint}") for joint in chain]
        for chain in _CHAINS.values()
        for side in ("left", "right")
    ]
)
"""(4, 3): of every limb."""
_BONES = np.array([limb[first : first + 2] for limb in _JOINTS for first in (0, 1)])
"""(8, 2): a joint and the one below it, of the two bones of every limb, the upper one first."""
NUM_BONES = len(_BONES)

_REACH = {
    "hand": ("arm", 2), "forearm": ("arm", 2), "arm": ("arm", 2), "elbow": ("arm", 1), "upper arm": ("arm", 1),
    "foot": ("leg", 2), "leg": ("leg", 2), "knee": ("leg", 1), "thigh": ("leg", 1),
}  # fmt: skip
"""The limb and how many of its bones carry a part to where it touches."""

_SLIGHT = 0.3
"""Radians between a bone and its mirror image below which another reading seldom leads lower, and then by little."""

_MOST_LIMBS = 2
"""Of so many limbs all combinations are readings; of more, those that differ from the start in one limb."""

Bones = Bool[np.ndarray, "P 8"]
"""Which bones of either person are mirrored."""


def readings(pose: Pose, contacts: Sequence[Contact], skeleton: Skeleton, *, plain: bool = False) -> list[Pose]:
    """The start, and with it every reading of the limbs that touch.

    Args:
        pose: of P = 2 people. contacts: which limbs. plain: only the readings of bones that are `distinguishable`.
    """
    ways = [[_bones(person, bones) for bones in _subsets(limb)] for person, limb in _touching(contacts)]
    none = np.zeros((2, NUM_BONES), bool)
    if len(ways) <= _MOST_LIMBS:
        chosen = [np.any([none, *way], axis=0) for way in product(*ways)]
    else:
        chosen = [none, *(way for limb in ways for way in limb[1:])]
    which = torch.as_tensor(np.stack(chosen), device=pose.transl.device)
    if plain:
        which = which[~(which & ~distinguishable(pose, skeleton)).any((-1, -2))]
    read = mirrored(stack([pose] * len(which)), which, skeleton)
    return [read[i] for i in range(len(which))]


def limb_readings() -> Bool[np.ndarray, "limbs 3 P 8"]:
    """Every limb of both people read otherwise: its upper bone, its lower one, or both of them mirrored."""
    limbs = [(person, (2 * limb, 2 * limb + 1)) for person in (0, 1) for limb in range(len(_LIMBS))]
    return np.array([[_bones(person, bones) for bones in list(_subsets(limb))[1:]] for person, limb in limbs])


def nearest_reading(
    pose: Pose, fitted: Pose, sigma: Float[np.ndarray, "P limbs"], price: Float[np.ndarray, "P limbs"],
    skeleton: Skeleton,
) -> Bones:  # fmt: skip
    """The bones of `pose` to mirror so that an earlier fit of the same pair is turned least against it.

    Args:
        sigma: radians that a limb's joints may be turned. price: of every limb that is mirrored, which must pay.
    """
    others = limb_readings()
    ways = np.concatenate([np.zeros_like(others[:, :1]), others], 1)  # (limbs of both, 4, P, 8)
    which = torch.as_tensor(ways, device=pose.transl.device).flatten(0, 1)
    turn = mirrored(stack([pose] * len(which)), which, skeleton).rotations.transpose(-1, -2) @ fitted.rotations
    cost = roma.rotmat_geodesic_distance(turn, torch.eye(3).to(turn).expand_as(turn)).square().sum((-1, -2))
    cost = cost.unflatten(0, ways.shape[:2]).cpu().numpy() / (2 * sigma.reshape(-1, 1) ** 2)
    cost[:, 1:] += price.reshape(-1, 1)
    return np.any(ways[np.arange(len(ways)), cost.argmin(1)], axis=0)


def with_limbs(pose: Pose, other: Pose, which: Bool[np.ndarray, "P limbs"]) -> Pose:
    """A pose with some limbs as another one bends them."""
    taken = np.zeros(pose.rotations.shape[:2], bool)
    for person, limb in np.argwhere(which):
        taken[person, _JOINTS[limb]] = True
    limbs = torch.as_tensor(taken, device=pose.transl.device)[..., None, None]
    return replace(pose, rotations=torch.where(limbs, other.rotations, pose.rotations))


def mirrored_limbs(which: Bool[Tensor, "*batch P 8"]) -> Bool[Tensor, "*batch P limbs"]:
    """Which limbs have a bone that is mirrored."""
    return which.unflatten(-1, (-1, 2)).any(-1)


def touching(contacts: Sequence[Contact]) -> Bool[np.ndarray, "P limbs"]:
    """Left arm, right arm, left leg, right leg of either person: whether a contact of any weight names it."""
    named = np.zeros((2, len(_LIMBS)), bool)
    for person, bones in _touching(contacts):
        named[person, bones[0] // 2] = True
    return named


def distinguishable(pose: Pose, skeleton: Skeleton) -> Bool[Tensor, "*batch P 8"]:
    """Which bones point so much towards the viewer or away that their mirror image is worth a trial."""
    along, image = _depth_images(skeleton.frames(pose))
    angle = torch.atan2(torch.linalg.cross(along, image).norm(dim=-1), (along * image).sum(-1))
    return angle > _SLIGHT


def mirrored(pose: Pose, which: Bool[Tensor, "*batch P 8"], skeleton: Skeleton) -> Pose:
    """Bones mirrored in depth, each by the smallest turn; what hangs on them keeps its own directions.

    Args:
        which: bones of every limb, left arm, right arm, left leg, right leg, the upper one first.
    """
    upper, lower = torch.as_tensor(_BONES.T, device=which.device)
    frames = skeleton.frames(pose)
    turned = frames.rotation.clone()
    swing = _smallest_turn(*_depth_images(frames))
    swing = torch.where(which[..., None, None], swing, torch.eye(3).to(swing))
    turned[..., upper, :, :] = swing @ turned[..., upper, :, :]
    local = turned[..., list(skeleton.parents), :, :].transpose(-1, -2) @ turned
    changed = torch.zeros_like(frames.rotation[..., 0, 0], dtype=torch.bool)
    changed[..., upper] = which
    changed[..., lower] |= which
    return replace(pose, rotations=torch.where(changed[..., None, None], local, pose.rotations))


def _depth_images(frames: Frames) -> tuple[Float[Tensor, "*batch P 8 3"], Float[Tensor, "*batch P 8 3"]]:
    """The eight bones from joint to joint, and their mirror images in depth."""
    upper, lower = torch.as_tensor(_BONES.T, device=frames.place.device)
    along = frames.place[..., lower, :] - frames.place[..., upper, :]
    ray = torch.nn.functional.normalize(frames.place[..., upper, :], dim=-1)
    return along, along - 2 * (along * ray).sum(-1, keepdim=True) * ray


def _touching(contacts: Sequence[Contact]) -> list[tuple[int, tuple[int, ...]]]:
    """Person and bones of every limb that a contact of any weight names, to its furthest part that touches."""
    found: dict[tuple[int, int], int] = {}
    for contact in contacts:
        if contact.weight <= 0:  # given up, or never asked for
            continue
        for person, part in enumerate(contact.parts):
            sides = (Side.LEFT, Side.RIGHT) if part.side is Side.BOTH else (part.side,)
            for side in sides if part.name in _REACH else ():
                name, bones = _REACH[part.name]
                limb = person, _LIMBS.index(f"{side}_{name}")
                found[limb] = max(found.get(limb, 0), bones)
    return [(person, tuple(range(2 * limb, 2 * limb + bones))) for (person, limb), bones in sorted(found.items())]


def _subsets(limb: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Which bones of a limb are mirrored: none, each, both."""
    for count in range(len(limb) + 1):
        yield from combinations(limb, count)


def _bones(person: int, bones: Sequence[int]) -> Bones:
    which = np.zeros((2, NUM_BONES), bool)
    which[person, list(bones)] = True
    return which


def _smallest_turn(start: Float[Tensor, "*batch 3"], end: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation about their common normal that turns one direction into another."""
    normal = torch.linalg.cross(start, end)
    angle = torch.atan2(normal.norm(dim=-1), (start * end).sum(-1))
    return roma.rotvec_to_rotmat(angle[..., None] * torch.nn.functional.normalize(normal, dim=-1))
