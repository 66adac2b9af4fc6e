"""Poses in words a person would use, turned into SMPL-X's local rotations.

Angles are degrees, all zero for a person who stands upright with hanging arms. Limbs are described on the left side and
mirrored to the right, so the same words mean the same movement on both. SMPL-X's rest is the T-pose: Y up, facing +Z,
the person's left at +X, local frames identity.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from apu.types import SMPL_JOINTS, mirror_name

Angles = Mapping[str, float]
"""Degrees by name, e.g. ``{"raise": 80, "forward": 90, "elbow": 30}``."""
PoseWords = Mapping[str, Angles]
"""Angles by body part: ``spine``, ``head``, ``left_arm``, ``right_leg``, ...; see `VOCABULARY`."""

VOCABULARY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "spine": frozenset({"bend", "lean", "turn"}),  # forwards, to the own left, to the own left
        "head": frozenset({"nod", "tilt", "turn"}),  # likewise
        # raise: 0 hanging, 90 level, 180 up, in the plane forward: 0 sideways, 90 to the front; twist: inwards;
        # elbow: bent; palm: turned up from pointing at the body; wrist: fingers towards the palm;
        # thumbward: hand towards the thumb; shrug: shoulder up.
        "arm": frozenset({"raise", "forward", "twist", "elbow", "palm", "wrist", "thumbward", "shrug"}),
        # flex: thigh forwards; open: outwards; twist: toes outwards; knee: bent; ankle: toes up.
        "leg": frozenset({"flex", "open", "twist", "knee", "ankle"}),
    }
)

_SPINE = ("spine1", "spine2", "spine3")
_SCAPULA_DOWN, _SCAPULA_UP = 0.15, 0.3  # shares of an arm's angle to the horizontal that the shoulder blade makes


def local_rotations(words: PoseWords) -> Float[np.ndarray, "21 3"]:
    """Axis-angle rotations of the 21 body joints; fingers stay relaxed.

    Raises:
        ValueError: a part or an angle that is not in `VOCABULARY`.
    """
    joints = {name: Rotation.identity() for name in SMPL_JOINTS[1:]}
    standing = {"left_arm": {}, "right_arm": {}}
    for part, angles in (standing | dict(words)).items():
        side, _, kind = part.rpartition("_")
        _check(part, kind or part, angles)
        for joint, turn in _PARTS[kind or part](_Degrees(angles)).items():
            joints[f"{side}_{joint}" if side else joint] = _mirrored(turn) if side == "right" else turn
    return np.stack([joints[name].as_rotvec() for name in SMPL_JOINTS[1:]]).astype(np.float32)


def mirrored(words: PoseWords) -> dict[str, dict[str, float]]:
    """The words of the mirror image: limbs change sides, trunk and head lean and turn the other way."""
    result = {}
    for part, angles in words.items():
        signs = {} if part.startswith(("left_", "right_")) else {"lean": -1, "tilt": -1, "turn": -1}
        result[mirror_name(part)] = {name: signs.get(name, 1) * degrees for name, degrees in angles.items()}
    return result


class _Degrees(dict):
    """Angles that were not named are zero."""

    def __missing__(self, name: str) -> float:
        return 0.0


def _check(part: str, kind: str, angles: Angles) -> None:
    sided = kind in ("arm", "leg")
    if kind not in VOCABULARY or part not in ({f"left_{kind}", f"right_{kind}"} if sided else {kind}):
        raise ValueError(f"part must be spine, head, left_arm, right_arm, left_leg or right_leg; got {part!r}")
    if unknown := set(angles) - VOCABULARY[kind]:
        raise ValueError(
            f"{part} has the angles {', '.join(sorted(VOCABULARY[kind]))}; got {', '.join(sorted(unknown))}"
        )


def _about(axis: str, degrees: float) -> Rotation:
    return Rotation.from_euler(axis, degrees, degrees=True)


def _mirrored(turn: Rotation) -> Rotation:
    """The same turn on the other side of the body: x stays, y and z change sign."""
    return Rotation.from_rotvec(turn.as_rotvec() * (1, -1, -1))


def _spine(angles: _Degrees) -> dict[str, Rotation]:
    share = Rotation.from_euler("YXZ", [angles["turn"], angles["bend"], -angles["lean"]], degrees=True).as_rotvec() / 3
    return {name: Rotation.from_rotvec(share) for name in _SPINE}


def _head(angles: _Degrees) -> dict[str, Rotation]:
    half = Rotation.from_euler("YXZ", [angles["turn"], angles["nod"], -angles["tilt"]], degrees=True).as_rotvec() / 2
    return {name: Rotation.from_rotvec(half) for name in ("neck", "head")}


def _arm(angles: _Degrees) -> dict[str, Rotation]:
    """The left arm: a swing from hanging to its direction, the twist about itself, then elbow, forearm and hand."""
    rise, azimuth = np.radians([angles["raise"], angles["forward"]])
    swing = Rotation.from_rotvec(rise * np.array([-np.sin(azimuth), 0, np.cos(azimuth)]))
    arm = swing * _about("z", -90) * _about("x", angles["twist"])
    above = angles["raise"] - 90
    blade = _about("z", (_SCAPULA_UP if above > 0 else _SCAPULA_DOWN) * above + angles["shrug"])
    # Half of the forearm's turn happens above the wrist, half in it, so that the skin does not wring.
    forearm = _about("x", -angles["palm"] / 2)
    hand = forearm * _about("y", -angles["thumbward"]) * _about("z", -angles["wrist"])
    return {
        "collar": blade, "shoulder": blade.inv() * arm, "elbow": _about("y", -angles["elbow"]) * forearm, "wrist": hand,
    }  # fmt: skip


def _leg(angles: _Degrees) -> dict[str, Rotation]:
    hip = _about("z", angles["open"]) * _about("x", -angles["flex"]) * _about("y", angles["twist"])
    return {"hip": hip, "knee": _about("x", angles["knee"]), "ankle": _about("x", -angles["ankle"])}


_PARTS: Mapping[str, Callable[[_Degrees], dict[str, Rotation]]] = {
    "spine": _spine, "head": _head, "arm": _arm, "leg": _leg,
}  # fmt: skip
