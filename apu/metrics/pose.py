"""How far joints and vertices are from the truth. Points in metres, errors in millimetres as in the field's tables.

Truth may be incomplete: a point whose true place is NaN does not count. A prediction must be complete: where it is not
finite at a point that counts, the error is NaN, so that a failed fit never looks like a good one.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

_MM = 1000.0


def align(
    points: Float[np.ndarray, "points 3"], target: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points 3"]:
    """`points` under the similarity (rotation, one scale, translation) that brings them closest to `target`.

    Least squares in closed form (Umeyama 1991): with centred rows X, Y and the decomposition X^T Y = U S V^T, rows turn
    by R = U D V^T and scale by tr(S D) / |X|^2, where D = diag(1, 1, det(U V^T)) rules out reflections.
    Points that all lie on one spot have no size to scale; they come to lie on the target's centre.
    """
    centre, goal = points.mean(0), target.mean(0)
    x, y = points - centre, target - goal
    u, sigma, vt = np.linalg.svd(x.T @ y)
    proper = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    spread = np.square(x).sum()
    scale = (sigma * proper).sum() / spread if spread > 0 else 0.0
    return scale * x @ (u * proper) @ vt + goal


def joint_pa_mpjpe(joints: Float[np.ndarray, "people joints 3"], truth: Float[np.ndarray, "people joints 3"]) -> float:
    """Joint PA-MPJPE: mean error of all people's joints after ONE similarity aligns them together, millimetres.

    Unlike the per-person figure it sees where the people are to each other (APU, section 4.2). NaN without any truth.
    """
    counted = _counted(truth)
    return _pa_error(joints[counted], truth[counted])


def pa_mpjpe(
    joints: Float[np.ndarray, "people joints 3"], truth: Float[np.ndarray, "people joints 3"]
) -> Float[np.ndarray, "people"]:
    """PA-MPJPE: mean joint error of each person after a similarity of their own, millimetres."""
    counted = _counted(truth)
    return np.array([_pa_error(x[c], y[c]) for x, y, c in zip(joints, truth, counted, strict=True)])


def mpjpe(
    joints: Float[np.ndarray, "people joints 3"],
    truth: Float[np.ndarray, "people joints 3"],
    *,
    root: Sequence[int] = (0,),
) -> Float[np.ndarray, "people"]:
    """MPJPE: mean joint error of each person with the pelvis moved onto the true one, millimetres.

    Args:
        joints, truth: metres, in frames of one orientation.
        root: joints whose mean is the pelvis: SMPL-X's first joint; both hips of a skeleton without a pelvis.
    """
    return _rooted_error(joints, truth, joints[:, list(root)].mean(1), truth[:, list(root)].mean(1))


def mpvpe(
    vertices: Float[np.ndarray, "people vertices 3"],
    truth: Float[np.ndarray, "people vertices 3"],
    *,
    pelvis: Float[np.ndarray, "people 3"],
    true_pelvis: Float[np.ndarray, "people 3"],
) -> Float[np.ndarray, "people"]:
    """MPVPE: mean vertex error of each person with the pelvis moved onto the true one, millimetres.

    Both surfaces must be of one topology, vertex by vertex.
    """
    return _rooted_error(vertices, truth, pelvis, true_pelvis)


def interaction_error(joints: Float[np.ndarray, "2 joints 3"], truth: Float[np.ndarray, "2 joints 3"]) -> float:
    """How wrong the people are to each other: the mean of | |x_i - y_j| - |x*_i - y*_j| |, millimetres.

    Over all joints i of one person, x, and j of the other, y; * marks the truth. "Inter" in the tables of CloseInt.
    No alignment is needed or made: distances know no frame, but they know size.
    """
    (a, b), (true_a, true_b) = _finite(joints), truth
    error = np.abs(_distances(a, b) - _distances(true_a, true_b))
    counted = np.logical_and.outer(*_counted(truth))
    return float(error[counted].mean()) * _MM if counted.any() else np.nan


def _counted(truth: Float[np.ndarray, "people points 3"]) -> Bool[np.ndarray, "people points"]:
    return np.asarray(np.isfinite(truth).all(axis=-1))


def _finite(points: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Infinity is no place either."""
    return np.where(np.isfinite(points), points, np.nan)


def _pa_error(points: Float[np.ndarray, "points 3"], truth: Float[np.ndarray, "points 3"]) -> float:
    if not len(truth) or not np.isfinite(points).all():
        return np.nan
    points, truth = points.astype(float), truth.astype(float)
    return float(np.linalg.norm(align(points, truth) - truth, axis=-1).mean()) * _MM


def _rooted_error(
    points: Float[np.ndarray, "people points 3"], truth: Float[np.ndarray, "people points 3"],
    root: Float[np.ndarray, "people 3"], true_root: Float[np.ndarray, "people 3"],
) -> Float[np.ndarray, "people"]:  # fmt: skip
    error = np.linalg.norm((_finite(points) - _finite(root)[:, None]) - (truth - true_root[:, None]), axis=-1)
    counted = _counted(truth)
    return np.array([e[c].mean() if c.any() else np.nan for e, c in zip(error, counted, strict=True)]) * _MM


def _distances(
    a: Float[np.ndarray, "joints 3"], b: Float[np.ndarray, "joints 3"]
) -> Float[np.ndarray, "joints joints"]:
    return np.linalg.norm(a[:, None] - b[None], axis=-1)
