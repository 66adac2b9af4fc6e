"""Where 2D keypoints see a body part: lines in the image, and how far apart two parts' lines are."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from apu.body.parts import anchors
from apu.types import KEYPOINTS, BodyPart

MIN_CONFIDENCE = 0.2
"""Keypoints below this confidence are taken as not seen."""

_INDEX = {name: index for index, name in enumerate(KEYPOINTS)}
_SHOULDER_TO_TORSO = 1.4  # shoulder to hip over shoulder to shoulder, of an average person
_TRUNK = (
    ("left_shoulder", "left_hip", 1.0),
    ("right_shoulder", "right_hip", 1.0),
    ("left_shoulder", "right_shoulder", _SHOULDER_TO_TORSO),
)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The 2D distance of two parts.

    Attributes:
        distance: between the nearest points of their lines, in the keypoints' unit; NaN where a part is not seen.
        confidence: geometric mean of the confidences of the nearest lines, 0 to 1.
    """

    distance: float
    confidence: float

    @property
    def seen(self) -> bool:
        """Both parts have a visible line."""
        return bool(np.isfinite(self.distance))


def part_lines(
    part: BodyPart, keypoints: Float[np.ndarray, "67 3"], *, min_confidence: float = MIN_CONFIDENCE
) -> Float[np.ndarray, "lines 2 3"]:
    """The visible straight pieces of a part as pairs of (x, y, confidence); a lone point is a piece of no length.

    Args:
        part: `Side.BOTH` gives the pieces of both sides.
        keypoints: (67, 3) of one person in the order of `apu.types.KEYPOINTS`.
        min_confidence: anchors seen with less are left out, and so are the pieces that end at them.
    """
    pieces = []
    for line in anchors(part):
        points = [_anchor_point(keypoints, *anchor) for anchor in line]
        seen = [point[2] >= max(min_confidence, np.finfo(float).tiny) for point in points]
        joined = [i for i in range(len(points) - 1) if seen[i] and seen[i + 1]]
        touched = {i for j in joined for i in (j, j + 1)}
        pieces += [(points[i], points[i + 1]) for i in joined]
        pieces += [(points[i], points[i]) for i in range(len(points)) if seen[i] and i not in touched]
    return np.array(pieces, float).reshape(-1, 2, 3)


def part_gap(
    parts: tuple[BodyPart, BodyPart],
    keypoints: Float[np.ndarray, "2 67 3"],
    *,
    min_confidence: float = MIN_CONFIDENCE,
) -> Gap:
    """How far a part of person 0 is from a part of person 1 in the image.

    Args:
        parts: (of person 0, of person 1).
        keypoints: (2, 67, 3) as (x, y, confidence).
        min_confidence: as in `part_lines`.
    """
    a, b = (
        part_lines(part, person, min_confidence=min_confidence) for part, person in zip(parts, keypoints, strict=True)
    )
    if not (len(a) and len(b)):
        return Gap(distance=float("nan"), confidence=0.0)
    distances = _segment_distances(a[:, :, :2], b[:, :, :2])
    confidences = np.sqrt(a[:, None, :, 2].min(-1) * b[None, :, :, 2].min(-1))
    # Crossing lines and shared ends are equally near; the best seen counts, whatever the order of the sides.
    nearest = distances <= distances.min() * (1 + 1e-6)
    return Gap(distance=float(distances.min()), confidence=float(min(confidences[nearest].max(), 1.0)))


def torso_length(keypoints: Float[np.ndarray, "67 3"], *, min_confidence: float = MIN_CONFIDENCE) -> float:
    """Length of a person's torso in the image, in pixels; NaN where shoulders and hips are not seen.

    Foreshortening only ever shortens, so the longest of both flanks and the shoulder line (scaled by an average
    person's proportions) is the best estimate that one picture gives.
    """
    lengths = [
        scale * np.hypot(*(keypoints[_INDEX[a], :2] - keypoints[_INDEX[b], :2]))
        for a, b, scale in _TRUNK
        if min(keypoints[_INDEX[a], 2], keypoints[_INDEX[b], 2]) >= min_confidence
    ]
    return float(max(lengths, default=np.nan)) or float("nan")


def pair_unit(keypoints: Float[np.ndarray, "2 67 3"]) -> float:
    """The mean torso length of a pair in pixels, by which its distances are normalised; NaN where no torso is seen."""
    lengths = [length for length in map(torso_length, keypoints) if np.isfinite(length)]
    return float(np.mean(lengths)) if lengths else float("nan")


def _anchor_point(keypoints: np.ndarray, start: str, end: str, fraction: float) -> np.ndarray:
    a, b = keypoints[_INDEX[start]], keypoints[_INDEX[end]]
    return np.array([*((1 - fraction) * a[:2] + fraction * b[:2]), min(a[2], b[2])])


def _segment_distances(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Smallest distances (n, m) of the pieces `p` (n, 2, 2) and `q` (m, 2, 2); 0 where they cross."""
    p, q = p[:, None], q[None, :]
    ends = [_point_to_segment(p[..., k, :], q) for k in (0, 1)] + [_point_to_segment(q[..., k, :], p) for k in (0, 1)]
    crossing = (_turn(p, q[..., 0, :]) * _turn(p, q[..., 1, :]) < 0) & (
        _turn(q, p[..., 0, :]) * _turn(q, p[..., 1, :]) < 0
    )
    return np.where(crossing, 0.0, np.minimum.reduce(ends))


def _point_to_segment(point: np.ndarray, segment: np.ndarray) -> np.ndarray:
    start, along = segment[..., 0, :], segment[..., 1, :] - segment[..., 0, :]
    length2 = np.sum(along**2, axis=-1)
    t = np.sum((point - start) * along, axis=-1) / np.where(length2 > 0, length2, 1.0)
    nearest = start + np.clip(t, 0.0, 1.0)[..., None] * along
    return np.linalg.norm(point - nearest, axis=-1)


def _turn(segment: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Twice the signed area of the triangle: which side of the segment the point is on."""
    u, v = segment[..., 1, :] - segment[..., 0, :], point - segment[..., 0, :]
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
