"""The paper's 17 body parts: names, sides, and where a 2D detector's keypoints see them.

`apu.body.regions` adds the surface: part -> regions -> vertices. Names are the answer format's (APU, supplement C).
"""

from collections.abc import Mapping
from types import MappingProxyType

from apu.types import BodyPart, Side

Anchor = tuple[str, str, float]
"""A point between two keypoints: (from, to, fraction); ``("left_hip", "left_hip", 0.0)`` is a keypoint itself."""


def _at(name: str) -> Anchor:
    return (name, name, 0.0)


_ANCHORS: Mapping[str, tuple[Anchor, ...]] = MappingProxyType(
    {
        "hand": (_at("{s}_wrist"), _at("{s}_middle1"), _at("{s}_middle_tip")),
        "arm": (_at("{s}_shoulder"), _at("{s}_elbow"), _at("{s}_wrist")),
        "leg": (_at("{s}_hip"), _at("{s}_knee"), _at("{s}_ankle")),
        "thigh": (_at("{s}_hip"), _at("{s}_knee")),
        "chest": (("{s}_shoulder", "{s}_hip", 0.1), ("{s}_shoulder", "{s}_hip", 0.45)),
        "stomach": (("{s}_shoulder", "{s}_hip", 0.55), ("{s}_shoulder", "{s}_hip", 0.9)),
        "back": (("{s}_shoulder", "{s}_hip", 0.05), ("{s}_shoulder", "{s}_hip", 0.85)),
        "neck": (("{s}_shoulder", "{s}_ear", 0.45), ("{s}_shoulder", "{s}_ear", 0.7)),
        "face": (_at("{s}_eye"), _at("nose")),
        "head": (_at("{s}_ear"), _at("{s}_eye")),
        "foot": (_at("{s}_ankle"), _at("{s}_big_toe")),
        "shoulder": (_at("{s}_shoulder"),),
        "elbow": (_at("{s}_elbow"),),
        "knee": (_at("{s}_knee"),),
        "forearm": (_at("{s}_elbow"), _at("{s}_wrist")),
        "upper arm": (_at("{s}_shoulder"), _at("{s}_elbow")),
        "waist": (("{s}_shoulder", "{s}_hip", 0.75), _at("{s}_hip")),
    }
)

PARTS = tuple(_ANCHORS)
"""The 17 names, in the paper's order."""

PAIRED = frozenset({"hand", "arm", "leg", "thigh", "foot", "shoulder", "elbow", "knee", "forearm", "upper arm"})
"""Parts a person has two of; the others are one part whose sides are halves."""


def anchors(part: BodyPart) -> tuple[tuple[Anchor, ...], ...]:
    """The polylines along which keypoints see a part: one for a side, two (left, right) for both.

    Raises:
        ValueError: the part is not one of `PARTS`.
    """
    if part.name not in _ANCHORS:
        raise ValueError(f"body part must be one of {', '.join(PARTS)}; got {part.name!r}")
    sides = (Side.LEFT, Side.RIGHT) if part.side is Side.BOTH else (part.side,)
    return tuple(tuple((a.format(s=s), b.format(s=s), t) for a, b, t in _ANCHORS[part.name]) for s in sides)
