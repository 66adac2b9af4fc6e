"""What stands: the points of a body that a floor carries, and where its weight is."""

from functools import lru_cache

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
