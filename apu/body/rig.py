"""From Anny's 163 MakeHuman bones to SMPL-X's 55 joints: the map, and the T-pose of every body shape.

Everything here is in SMPL-X's axes (Y up, facing +Z, the person's left at +X), metres, and plain numpy, so that the
geometry can be read and tested without Anny installed. The T-pose is made with world rotations on all bones and
linear blend skinning; limbs are turned by a frame (direction and hinge), not by a direction alone, because SMPL-X's
axis-angle poses mean an elbow that bends about the vertical axis and a knee that bends about the lateral one.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from apu.types import SMPL_JOINTS

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""SMPL-X's order of fingers, three joints each; MakeHuman counts from the thumb (1) to the little finger (5)."""
_MAKEHUMAN_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}

JOINTS = (
    *SMPL_JOINTS, "jaw", "left_eye", "right_eye",
    *(f"{side}_{finger}{i}" for side in ("left", "right") for finger in FINGERS for i in (1, 2, 3)),
)  # fmt: skip
"""SMPL-X's 55 joints in its order."""

_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
PARENTS = (
    *_BODY_PARENTS, 15, 15, 15,
    *(wrist if i == 0 else first + 3 * finger + i - 1
      for wrist, first in ((20, 25), (21, 40)) for finger in range(5) for i in range(3)),
)  # fmt: skip
"""The parent of every joint; -1 for the pelvis."""

CLAVICLE_RAISE = np.radians(13.5)
"""How far the clavicles rise when the arms go from Anny's rest (45 degrees down) to the T-pose."""
LEG_SPREAD = np.radians(2.0)
"""Angle of a straight leg to the vertical in the T-pose, outwards; about SMPL-X's own."""

_X, _Y, _Z = np.eye(3)


def smplx_axes(points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Anny's axes (x left, y back, z up) to SMPL-X's: (x, y, z) -> (x, z, -y)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def _joint_heads() -> dict[str, str]:
    """The bone whose head is the joint; the pelvis and the bones below are placed by `joint_places`."""
    heads = {
        "spine1": "spine03",
        "spine2": "spine02",
        "spine3": "spine01",
        "neck": "neck01",
        "head": "head",
        "jaw": "jaw",
    }
    for side, s in (("left", "L"), ("right", "R")):
        limb = {
            "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "foot": "toe2-1", "collar": "clavicle",
            "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist", "eye": "eye",
        }  # fmt: skip
        heads |= {f"{side}_{joint}": f"{bone}.{s}" for joint, bone in limb.items()}
        for finger, number in _MAKEHUMAN_FINGER.items():
            heads |= {f"{side}_{finger}{i}": f"finger{number}-{i}.{s}" for i in (1, 2, 3)}
    return heads


def joint_of_bone(bones: Sequence[str], parents: Sequence[int]) -> Int[np.ndarray, "bones"]:
    """The SMPL-X joint that moves each bone; bones that are no joint's move with their parent.

    Raises:
        ValueError: a bone that a joint needs is missing from the rig.
    """
    joint_at = {bone: JOINTS.index(joint) for joint, bone in _joint_heads().items()}
    joint_at |= {"root": 0, "spine04": 0, "spine05": 0}
    joint_at |= {
        f"toe{i}-1.{s}": JOINTS.index(f"{side}_foot")
        for i in range(1, 6)
        for side, s in (("left", "L"), ("right", "R"))
    }
    if missing := joint_at.keys() - set(bones):
        raise ValueError(f"bones must hold those of MakeHuman's full rig; missing: {', '.join(sorted(missing))}")
    joints = np.zeros(len(bones), np.int64)
    for i, (bone, parent) in enumerate(zip(bones, parents, strict=True)):
        joints[i] = joint_at.get(bone, joints[parent] if parent >= 0 else 0)
    return joints


class TPose(NamedTuple):
    """The rigid motion of every bone from rest to T-pose: x -> rotation (x - rest head) + head."""

    rotations: Float[np.ndarray, "bones 3 3"]
    heads: Float[np.ndarray, "bones 3"]


def t_pose(rest: Float[np.ndarray, "bones 3"], bones: Sequence[str], parents: Sequence[int]) -> TPose:
    """The T-pose of one body.

    Args:
        rest: bone heads at Anny's rest, SMPL-X's axes, metres.
        bones: their names.
        parents: the parent of each, -1 for the root; parents come first.
    """
    place = dict(zip(bones, rest, strict=True))
    turn = {}
    for sign, s in ((1.0, "L"), (-1.0, "R")):
        turn |= _arm(place, s, sign) | _leg(place, s, sign)
    rotations, heads = np.empty((len(bones), 3, 3)), np.empty((len(bones), 3))
    for i, (bone, parent) in enumerate(zip(bones, parents, strict=True)):
        if parent < 0:
            rotations[i], heads[i] = np.eye(3), rest[i]
            continue
        rotations[i] = turn.get(bone, rotations[parent])
        heads[i] = heads[parent] + rotations[parent] @ (rest[i] - rest[parent])
    return TPose(rotations, heads)


def joint_places(pose: TPose, bones: Sequence[str]) -> Float[np.ndarray, "55 3"]:
    """SMPL-X's joints in the T-pose; MakeHuman's root lies on the sacrum, so the pelvis goes between two vertebrae."""
    place = dict(zip(bones, pose.heads, strict=True))
    heads = _joint_heads()
    pelvis = 0.25 * place["spine05"] + 0.75 * place["spine04"]
    return np.stack([pelvis, *(place[heads[joint]] for joint in JOINTS[1:])])


def skin(
    points: Float[np.ndarray, "vertices 3"],
    rest: Float[np.ndarray, "bones 3"],
    pose: TPose,
    weights: Float[np.ndarray, "vertices bones"],
) -> Float[np.ndarray, "vertices 3"]:
    """Linear blend skinning of `points` from rest to `pose`."""
    shift = pose.heads - np.einsum("bij,bj->bi", pose.rotations, rest)
    blend = weights @ np.concatenate([pose.rotations.reshape(-1, 9), shift], axis=1)
    return np.einsum("vij,vj->vi", blend[:, :9].reshape(-1, 3, 3), points) + blend[:, 9:]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _frame(direction: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Orthonormal columns: the direction, the hinge without its share along the direction, their cross product."""
    first = _unit(direction)
    second = _unit(hinge - (hinge @ first) * first)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _turn(source: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The rotation that takes one (direction, hinge) to another."""
    return _frame(*target) @ _frame(*source).T


def _arm(place: Mapping[str, np.ndarray], s: str, sign: float) -> dict[str, np.ndarray]:
    """World rotations of one arm: outwards, the elbow bending about the vertical, palm down, thumb forward."""
    shoulder, elbow, wrist = (place[f"{bone}.{s}"] for bone in ("upperarm01", "lowerarm01", "wrist"))
    out = sign * _X
    hinge = np.cross(elbow - shoulder, wrist - elbow)
    upper = _turn((elbow - shoulder, hinge), (out, -sign * _Y))
    fore = _turn((wrist - elbow, hinge), (out, -sign * _Y))
    knuckle = {i: place[f"finger{i}-1.{s}"] for i in (2, 3, 5)}
    hand = _turn((knuckle[3] - wrist, knuckle[2] - knuckle[5]), (out, _Z))
    # Two bones share the forearm's pronation, so that it twists along its length and not at the wrist.
    twist = Rotation.from_matrix(hand @ fore.T).as_rotvec()[0]
    turn = {
        f"clavicle.{s}": Rotation.from_rotvec(sign * CLAVICLE_RAISE * _Z).as_matrix(),
        f"upperarm01.{s}": upper,
        f"lowerarm01.{s}": Rotation.from_rotvec(twist / 3 * _X).as_matrix() @ fore,
        f"lowerarm02.{s}": Rotation.from_rotvec(twist * 2 / 3 * _X).as_matrix() @ fore,
        f"wrist.{s}": hand,
    }
    for finger in (2, 3, 4, 5):
        turn |= _flat_finger(place, finger, s, hand)
    return turn


def _flat_finger(place: Mapping[str, np.ndarray], finger: int, s: str, hand: np.ndarray) -> dict[str, np.ndarray]:
    """World rotations that lay one finger straight into the plane of the palm, keeping its sideways direction."""
    first, second, third = (place[f"finger{finger}-{i}.{s}"] for i in (1, 2, 3))
    proximal = hand @ (second - first)
    flat = _unit(proximal - (proximal @ _Y) * _Y)
    turn, phalanges = {}, ((1, second - first), (2, third - second), (3, third - second))
    for i, phalanx in phalanges:
        turn[f"finger{finger}-{i}.{s}"] = _swing(hand @ phalanx, flat) @ hand
    return turn


def _swing(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes one direction to another."""
    axis = np.cross(_unit(source), _unit(target))
    sine = np.linalg.norm(axis)
    angle = np.arctan2(sine, _unit(source) @ _unit(target))
    return Rotation.from_rotvec(axis / max(sine, 1e-12) * angle).as_matrix()


def _leg(place: Mapping[str, np.ndarray], s: str, sign: float) -> dict[str, np.ndarray]:
    """World rotations of one leg: straight, the knee bending about X, the foot as it stands at rest (sole flat)."""
    hip, knee, ankle = (place[f"{bone}.{s}"] for bone in ("upperleg01", "lowerleg01", "foot"))
    down = np.array([sign * np.sin(LEG_SPREAD), -np.cos(LEG_SPREAD), 0.0])
    return {
        f"upperleg01.{s}": _turn((knee - hip, _X), (down, _X)),
        f"lowerleg01.{s}": _turn((ankle - knee, _X), (down, _X)),
        f"foot.{s}": np.eye(3),
    }
