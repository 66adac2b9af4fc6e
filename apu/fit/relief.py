"""Readings of a limb's depth: its image is the same whether a bone points towards the viewer or away from them.

Seen under (nearly) parallel rays, a bone and its mirror image in depth project to the same points (the bas-relief
ambiguity; Lee and Chen 1985 list the 2^n readings of a figure), so that an estimator often takes an arm that reaches
back for one that reaches forward. Keypoints cannot tell and no small step leads from one reading to the other, but a
contact can tell: only one of them reaches what it touches. So the limbs that a contact names begin in every reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.rig import PARENTS
from apu.body.skinning import Pose, Skeleton
from apu.types import SMPL_JOINTS, Contact, Side

_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
_JOINTS = {
    "hand": _ARM, "forearm": _ARM, "arm": _ARM, "elbow": _ARM[:2], "upper arm": _ARM[:2],
    "foot": _LEG, "leg": _LEG, "knee": _LEG[:2], "thigh": _LEG[:2],
}  # fmt: skip
"""The chain of joints that carries a part to where it touches."""

_MOST_LIMBS = 2
"""Of so many limbs all combinations are readings; of more, those that differ from the start in one limb."""

Bone = tuple[int, int]
"""A joint and the one below it."""


def readings(pose: Pose, contacts: Sequence[Contact], skeleton: Skeleton) -> list[Pose]:
    """The start, and with it every reading of the limbs that touch.

    Args:
        pose: of P = 2 people. contacts: which limbs.
    """
    limbs = [
        (person, chain, [_mirrored(pose, person, bones, skeleton) for bones in _mirrorings(chain)])
        for person, chain in _limbs(contacts)
    ]
    if len(limbs) <= _MOST_LIMBS:
        chosen = list(product(*(ways for _, _, ways in limbs)))
    else:
        chosen = [tuple(ways[0] for _, _, ways in limbs)]
        chosen += [(*chosen[0][:i], way, *chosen[0][i + 1 :]) for i, (*_, ways) in enumerate(limbs) for way in ways[1:]]
    read = []
    for ways in chosen:
        rotations = pose.rotations.clone()
        for (person, chain, _), way in zip(limbs, ways, strict=True):  # limbs share no joint
            rotations[person, chain] = way.rotations[person, chain]
        read.append(replace(pose, rotations=rotations))
    return read


def _mirrored(pose: Pose, person: int, bones: Sequence[Bone], skeleton: Skeleton) -> Pose:
    for bone in bones:
        pose = mirrored(pose, person, bone, skeleton)
    return pose


def nearest_reading(pose: Pose, fitted: Pose, contacts: Sequence[Contact], skeleton: Skeleton) -> Pose:
    """The reading of `pose` whose joints are turned most like those of an earlier fit of the same pair."""

    def distance(reading: Pose) -> float:
        turn = reading.rotations.transpose(-1, -2) @ fitted.rotations
        return float(roma.rotmat_geodesic_distance(turn, torch.eye(3).to(turn).expand_as(turn)).square().sum())

    return min(readings(pose, contacts, skeleton), key=distance)


def mirrored(pose: Pose, person: int, bone: Bone, skeleton: Skeleton) -> Pose:
    """One bone mirrored in depth by the smallest turn; what hangs on it keeps its own directions."""
    joint, below = bone
    frames = skeleton.frames(pose)
    place, turned = frames.place[person], frames.rotation[person]
    along = place[below] - place[joint]
    ray = torch.nn.functional.normalize(place[joint], dim=0)
    swing = _smallest_turn(along, along - 2 * (along @ ray) * ray)
    rotations = pose.rotations.clone()
    rotations[person, joint] = turned[PARENTS[joint]].T @ swing @ turned[joint]
    rotations[person, below] = (swing @ turned[joint]).T @ turned[below]
    return Pose(rotations, pose.betas, pose.transl)


def _limbs(contacts: Sequence[Contact]) -> list[tuple[int, tuple[int, ...]]]:
    """Person and joints of every limb that a contact of any weight names, to its furthest part that touches."""
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for contact in contacts:
        if contact.weight <= 0:  # given up, or never asked for
            continue
        for person, part in enumerate(contact.parts):
            sides = (Side.LEFT, Side.RIGHT) if part.side is Side.BOTH else (part.side,)
            for side in sides if part.name in _JOINTS else ():
                chain = tuple(SMPL_JOINTS.index(f"{side}_{name}") for name in _JOINTS[part.name])
                found[person, chain[0]] = max(found.get((person, chain[0]), ()), chain, key=len)
    return [(person, chain) for (person, _), chain in sorted(found.items())]


def _mirrorings(chain: Sequence[int]) -> Iterator[tuple[Bone, ...]]:
    """Which bones of a limb are mirrored: none, each, both."""
    bones = list(pairwise(chain))
    for count in range(len(bones) + 1):
        yield from combinations(bones, count)


def _smallest_turn(start: Float[Tensor, "3"], end: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """The rotation about their common normal that turns one direction into another."""
    normal = torch.linalg.cross(start, end)
    angle = torch.atan2(normal.norm(), start @ end)
    return roma.rotvec_to_rotmat(angle * torch.nn.functional.normalize(normal, dim=0))
