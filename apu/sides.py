"""Left and right in a person's keypoints: detectors exchange limbs, most where people hide each other.

A mesh estimator looks at the whole person and seldom makes the same mistake at the same place. So keypoints that lie
plainly nearer to the other side of a person's mesh are doubted.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import compress, product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from apu.camera import project
from apu.metrics import units_512, used_confidence
from apu.types import BODY_25, KEYPOINTS, SMPL_JOINTS, PairObservation, mirror_name

_SIGMA, _SCALE = 8.0, 60.0
"""512-units: of a keypoint, and from where on one that is further off tells no more."""
_PLAIN = 8.0
"""Half squared residuals by which exchanged keypoints must be nearer."""
_MOST = 2
"""Limbs or people of a pair that are tried in all combinations: those that are plainest."""


_MIRROR = np.array([KEYPOINTS.index(mirror_name(name)) for name in KEYPOINTS])


def _of(*parts: str, hands: bool = False) -> Int[np.ndarray, "points"]:
    """Both sides' keypoints of some parts of the body."""
    return np.array(
        [i for i, name in enumerate(KEYPOINTS) if (hands if i >= len(BODY_25) else name.partition("_")[2] in parts)]
    )


_LIMBS = {
    "arms": _of("elbow", "wrist", hands=True),
    "legs": _of("knee", "ankle", "big_toe", "small_toe", "heel"),
}
_POINTS = {**_LIMBS, "all": np.arange(len(KEYPOINTS))}
_JOINTS = [name for name in BODY_25 if name in SMPL_JOINTS]
"""Keypoints that are joints of a mesh's skeleton."""


class Seen(NamedTuple):
    """A reading of a pair's keypoints.

    Attributes:
        exchanged: whose left and right are the other way round than they were detected: "B's legs", "A" as a whole.
    """

    observation: PairObservation
    exchanged: tuple[str, ...] = ()


def sides(observation: PairObservation, joints: Float[np.ndarray, "2 22 3"] | None = None) -> list[Seen]:
    """The observation, and with it those with limbs or people exchanged that the meshes have the other way round.

    Args:
        joints: of the meshes, camera frame, metres; None for the estimated ones.

    Returns:
        The first is as given; in the last all that is doubted is exchanged.
    """
    joints = observation.estimate.joints if joints is None else joints
    doubted = sorted(_doubted(observation, joints), key=lambda each: -each[0])
    ways = list(product((False, True), repeat=min(len(doubted), _MOST)))
    if len(doubted) > _MOST:
        ways.append((True,) * len(doubted))
    readings = []
    for chosen in ways:
        keypoints, exchanged = observation.keypoints.copy(), []
        for _, person, limb in compress(doubted, chosen):
            points = _POINTS[limb]
            keypoints[person, points] = keypoints[person, _MIRROR[points]]
            exchanged.append("AB"[person] + (f"'s {limb}" if limb in _LIMBS else ""))
        readings.append(Seen(replace(observation, keypoints=keypoints), tuple(sorted(exchanged))))
    return readings


def _doubted(observation: PairObservation, joints: Float[np.ndarray, "2 22 3"]) -> Iterator[tuple[float, int, str]]:
    """By how much exchanged keypoints are nearer, whose, and which: those of both arms, of both legs, or of all.

    People without a mesh have nothing that tells.
    """
    ours = np.full((len(joints), len(BODY_25), 2), np.nan)
    ours[:, [BODY_25.index(name) for name in _JOINTS]] = project(
        joints[:, [SMPL_JOINTS.index(name) for name in _JOINTS]], observation.camera
    )
    theirs, confidence = observation.keypoints[:, : len(BODY_25), :2], used_confidence(observation)
    unit = units_512(observation, confidence)[:, None]
    # Estimators misplace people more than limbs.
    ours += _middle(np.where((confidence > 0)[..., None], theirs - ours, np.nan))
    as_given, exchanged = (
        _misfit(unit * np.linalg.norm(theirs - there, axis=-1), confidence)
        for there in (ours, ours[:, _MIRROR[: len(BODY_25)]])
    )
    for person in np.flatnonzero(observation.estimate.valid).tolist():
        gain = as_given[person] - exchanged[person]
        limbs = {name: float(gain[points[points < len(BODY_25)]].sum()) for name, points in _POINTS.items()}
        plain = {name: limbs[name] for name in _LIMBS if limbs[name] > _PLAIN}
        if limbs["all"] > max(_PLAIN, sum(plain.values())):
            plain = {"all": limbs["all"]}
        yield from ((by, person, name) for name, by in plain.items())


def _middle(offset: Float[np.ndarray, "2 25 2"]) -> Float[np.ndarray, "2 1 2"]:
    """Each person's median of what is known; 0 where nothing is."""
    nothing = np.isnan(offset).all(axis=1, keepdims=True)
    return np.nanmedian(np.where(nothing, 0.0, offset), axis=1, keepdims=True)


def _misfit(distance: Float[np.ndarray, "2 25"], confidence: Float[np.ndarray, "2 25"]) -> Float[np.ndarray, "2 25"]:
    """What keypoints so far off cost a fit (Geman-McClure); those without a joint or confidence nothing."""
    square = np.where((confidence > 0) & np.isfinite(distance), distance**2, 0.0)
    return 0.5 * confidence**2 * square * _SCALE**2 / (_SCALE**2 + square) / _SIGMA**2
