"""Which person of one file is which person of another: by where they are in the image."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from apu.types import KEYPOINTS, SMPL_JOINTS, PairObservation

Keypoints = Float[np.ndarray, "people 67 3"]

BORDER = 0.015
"""Share of the image's side within which detectors clamp the joints that it cuts off (seen in ViTPose's output)."""

MIN_CONFIDENCE = 0.3
"""Keypoints below it say nothing about where a person is."""

_COMMON = [name for name in SMPL_JOINTS if name in KEYPOINTS and name != "neck"]
_JOINT = [SMPL_JOINTS.index(name) for name in _COMMON]
_KEYPOINT = [KEYPOINTS.index(name) for name in _COMMON]
_FEWEST_COMMON = 3
_SAME_MESH = 0.2
_SAME_PERSON = 0.15
_DUPLICATE = 0.05


def border_mask(
    keypoints: Float[np.ndarray, "*people 67 3"], width: int, height: int, *, margin: float = BORDER
) -> Bool[np.ndarray, "*people 67"]:
    """Keypoints at or beyond the image border, whose confidence cannot be trusted.

    Detectors clamp cut-off joints to the border and are sure of them: a knee at y = 2487 of 2500 with confidence 0.78.

    Args:
        keypoints: (x px, y px, confidence).
        width: of the image, pixels.
        height: likewise.
        margin: share of the image's width and height that counts as border.
    """
    size = np.array([width, height])
    places = keypoints[..., :2] / size
    outside = (places < margin) | (places > 1 - margin)
    return outside[..., 0] | outside[..., 1]


def trusted_keypoints(observation: PairObservation) -> Float[np.ndarray, "2 67 3"]:
    """A pair's keypoints with those clamped to the image border set to confidence 0."""
    keypoints, camera = observation.keypoints.copy(), observation.camera
    keypoints[border_mask(keypoints, camera.width, camera.height), 2] = 0
    return keypoints


def match_people(
    keypoints: Keypoints, points: Float[np.ndarray, "meshes 22 2"], *, limit: float = _SAME_MESH
) -> Int[np.ndarray, "people"]:
    """For each person the mesh whose projected joints lie on the keypoints, -1 where none does.

    The cost of a person and a mesh is `mesh_distance`; the assignment minimises its sum over all people.

    Args:
        keypoints: people of one image; set those not to be trusted (`border_mask`) to confidence 0 before.
        points: the meshes' `SMPL_JOINTS`, projected, pixels; NaN for a mesh that has none.
        limit: the largest cost at which they are one person, in units of the person's size.
    """
    cost = np.array([[mesh_distance(person, mesh) for mesh in points] for person in keypoints])
    return _assign(cost.reshape(len(keypoints), len(points)), limit)


def mesh_distance(person: Float[np.ndarray, "67 3"], mesh: Float[np.ndarray, "22 2"]) -> float:
    """Mean distance of projected joints to their confident keypoints, in units of the person's size.

    The joints are shoulders, elbows, wrists, hips, knees and ankles. Infinite with fewer than 3 of them.
    """
    return _distance(person[_KEYPOINT], np.column_stack([mesh[_JOINT], np.ones(len(_JOINT))]), size=person_size(person))


def person_size(person: Float[np.ndarray, "67 3"], *, min_confidence: float = MIN_CONFIDENCE) -> float:
    """The larger side of the box of confident keypoints, pixels; 0 without any."""
    seen = person[person[:, 2] >= min_confidence, :2]
    return float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0


def drop_duplicates(keypoints: Keypoints, *, limit: float = _DUPLICATE) -> Int[np.ndarray, "kept"]:
    """Indices of the people who are not a second detection of another one, in order.

    Two detections are one person when the keypoints that both are confident of, at least half of the fewer, lie on
    average within `limit` of the person's size; the one with more confidence in total stays.
    """
    # Equal confidence is decided by place, never by the order of the file.
    order = sorted(range(len(keypoints)), key=lambda i: (-keypoints[i, :, 2].sum(), *keypoints[i].ravel()))
    kept: list[int] = []
    for i in order:
        if all(_overlap(keypoints[i], keypoints[j]) > limit for j in kept):
            kept.append(i)
    return np.array(sorted(kept), int)


def merge_keypoints(
    first: Keypoints, second: Float[np.ndarray, "others 67 3"], *, limit: float = _SAME_PERSON
) -> Float[np.ndarray, "merged 67 3"]:
    """The people of two estimators: those found by both with the more confident of each keypoint.

    Args:
        first: people of one image.
        second: people of the same image; those who are only here follow the others.
        limit: the largest mean distance at which they are one person, in units of the person's size.
    """
    cost = np.array([[_overlap(a, b) for b in second] for a in first]).reshape(len(first), len(second))
    match = _assign(cost, limit)
    merged = first.copy()
    for person, other in zip(merged, match, strict=True):
        if other >= 0:
            better = second[other, :, 2] > person[:, 2]
            person[better] = second[other, better]
    alone = np.setdiff1d(np.arange(len(second)), match)
    return np.concatenate([merged, second[alone]])


def _overlap(a: Float[np.ndarray, "67 3"], b: Float[np.ndarray, "67 3"]) -> float:
    """Mean distance of the keypoints that both are confident of, in units of the larger of the two people."""
    common = ((a[:, 2] >= MIN_CONFIDENCE) & (b[:, 2] >= MIN_CONFIDENCE)).sum()
    fewer = min((a[:, 2] >= MIN_CONFIDENCE).sum(), (b[:, 2] >= MIN_CONFIDENCE).sum())
    if 2 * common < fewer:
        return np.inf
    return _distance(a, b, size=max(person_size(a), person_size(b)))


def _distance(a: Float[np.ndarray, "points 3"], b: Float[np.ndarray, "points 3"], *, size: float) -> float:
    common = (a[:, 2] >= MIN_CONFIDENCE) & (b[:, 2] >= MIN_CONFIDENCE) & np.isfinite(b[:, :2]).all(axis=1)
    if common.sum() < _FEWEST_COMMON or size <= 0:
        return np.inf
    return float(np.linalg.norm(a[common, :2] - b[common, :2], axis=1).mean() / size)


def _assign(cost: Float[np.ndarray, "rows columns"], limit: float) -> Int[np.ndarray, "rows"]:
    """The column of each row in the assignment of least cost, -1 where that costs more than `limit`."""
    result = np.full(len(cost), -1)
    # Beyond the limit all are equally wrong: an outlier must not pull the others away from their partners.
    rows, columns = linear_sum_assignment(np.minimum(cost, 2 * limit))
    found = cost[rows, columns] <= limit
    result[rows[found]] = columns[found]
    return result
