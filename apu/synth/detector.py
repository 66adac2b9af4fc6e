"""Simulated 2D keypoints: what a camera sees of a scene, and what a detector makes of it."""

import numpy as np
from jaxtyping import Bool, Float

from apu.body.model import BodyModel
from apu.camera import project
from apu.render import rasterize
from apu.synth.noise import DetectorNoise
from apu.synth.scene import Scene
from apu.types import BODY_25, HAND_21, KEYPOINTS, mirror_name

NOT_IN_VITPOSE = ("neck", "mid_hip")
"""Keypoints that ViTPose's files in this layout leave at confidence 0."""

_BURIED_M = (0.20, 0.03)
"""Keypoints lie within their own body, this deep at most; the other body hides what is this far behind it."""

_SPREAD = {
    "nose": 5.6, "eye": 5.4, "ear": 7.5, "shoulder": 17.0, "elbow": 15.5, "wrist": 13.3, "hip": 23.0, "knee": 18.7,
    "ankle": 19.1, "toe": 19.1, "heel": 19.1, "neck": 17.0,
}  # fmt: skip
"""How far COCO's annotators lie apart on each keypoint, units: the sigmas of its keypoint evaluation (0.025 at the
eyes, 0.107 at the hips) times the root of a standing person's area, 215 units. Feet and neck, which COCO lacks, as
their neighbours."""

_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
_MIRROR = np.array([_INDEX[mirror_name(name)] for name in KEYPOINTS])
_BODY = len(BODY_25)
_WRISTS = [_INDEX[f"{side}_wrist"] for side in ("left", "right")]
_BIAS = np.array([next(spread for key, spread in _SPREAD.items() if key in name) for name in BODY_25]) / np.sqrt(2)
_LIMBS = tuple(
    np.array([i for i, name in enumerate(KEYPOINTS) if name.startswith(("left_", "right_")) and of_limb(name, i)])
    for of_limb in (
        lambda name, i: i >= _BODY or name.endswith(("elbow", "wrist")),
        lambda name, i: i < _BODY and name.endswith(("knee", "ankle", "toe", "heel")),
    )
)
"""Keypoints of both arms and of both legs, without those on the trunk."""


def visible(scene: Scene, body: BodyModel) -> Bool[np.ndarray, "2 67"]:
    """Which keypoints the camera sees: inside the picture, not behind the other person nor behind their own body."""
    camera = scene.recipe.camera
    vertices = body.forward(scene.params).vertices
    depths = [rasterize(one[None], body.faces, camera, shaded=False).depth for one in vertices]
    points = body.keypoints(scene.params)
    pixels = np.nan_to_num(project(points, camera), nan=-1.0)
    size = np.array([camera.width, camera.height])
    inside = ((pixels >= 0) & (pixels < size)).all(-1)
    columns, rows = np.clip(pixels, 0, size - 1).astype(int).transpose(2, 0, 1)
    seen = np.array(inside)
    for person in range(2):
        for of, depth in enumerate(depths):
            buried = _BURIED_M[of != person]
            seen[person] &= depth[rows[person], columns[person]] > points[person, :, 2] - buried
    return seen


def keypoints(
    scene: Scene, body: BodyModel, seen: Bool[np.ndarray, "2 67"], rng: np.random.Generator, *, noise: DetectorNoise
) -> Float[np.ndarray, "2 67 3"]:
    """`KEYPOINTS` as a detector gives them: (x px, y px, confidence).

    Confidence falls with what is hidden and, loosely, with the error, so it warns of many errors and not of all. Every
    random number is drawn whatever the rates, so that one rate does not shift the others.
    """
    true = project(body.keypoints(scene.params), scene.recipe.camera)
    unit = np.ptp(true, axis=1).max(-1)[:, None, None] / 512
    moved = np.where(seen, noise.seen, noise.hidden)[..., None] * rng.standard_normal(true.shape)
    moved += _with_hands(noise.bias * _BIAS[:, None] * rng.standard_normal((2, _BODY, 2)))
    found, stray = _astray(true, true + unit * moved, unit, seen, rng, noise)
    error = np.linalg.norm(found - true, axis=-1) / unit[..., 0]
    sure = np.where(seen, 0.88, 0.36) - np.minimum(0.005 * error, 0.35) + 0.08 * rng.standard_normal(seen.shape)
    # On another limb there is something to be sure of.
    sure = np.where(stray, np.maximum(sure, rng.uniform(0.3, 0.8, seen.shape)), sure).clip(0.05, 0.97)
    sure[rng.random(seen.shape) < np.where(seen, noise.lost_seen, noise.lost_hidden)] = 0
    detected = _clamped(np.concatenate([found, sure[..., None]], -1), scene, rng, noise)
    for person in range(2):
        _swap(detected[person], seen[person], rng, noise)
    detected[:, [_INDEX[name] for name in NOT_IN_VITPOSE]] = 0
    return np.where(detected[..., 2:] > 0, detected, 0).astype(np.float32)


def _with_hands(body: np.ndarray) -> np.ndarray:
    """Values (2, 25, ...) of body keypoints for all 67: those of a wrist hold for its hand."""
    return np.concatenate([body, *(np.repeat(body[:, [wrist]], len(HAND_21), axis=1) for wrist in _WRISTS)], axis=1)


def _astray(
    true: np.ndarray, found: np.ndarray, unit: np.ndarray, seen: np.ndarray, rng: np.random.Generator,
    noise: DetectorNoise,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Some keypoints elsewhere, and which of them lie on a limb: the own other side, or the other person's."""
    rate = np.where(seen[:, :_BODY], noise.outlier_seen, noise.outlier_hidden)
    stray, where, crossed = (_with_hands(rng.random(rate.shape)) for _ in range(3))
    far = _with_hands(noise.reach * rng.standard_t(2, (*rate.shape, 2)))
    stray = stray < _with_hands(rate)
    on_other = np.where((crossed < 0.5)[..., None], true[::-1], true[::-1, _MIRROR])
    on_limb = np.where((where < 0.25)[..., None], true[:, _MIRROR], on_other) + found - true
    elsewhere = np.where((where < 0.5)[..., None], on_limb, found + unit * far)
    return np.where(stray[..., None], elsewhere, found), stray & (where < 0.5)


def _clamped(found: np.ndarray, scene: Scene, rng: np.random.Generator, noise: DetectorNoise) -> np.ndarray:
    """Keypoints outside of the picture come back on its border, or not at all."""
    last = np.array([scene.recipe.camera.width, scene.recipe.camera.height]) - 1.0
    outside = ((found[..., :2] < 0) | (found[..., :2] > last)).any(-1)
    kept = outside & (rng.random(outside.shape) < noise.clamped)
    found[..., :2] = found[..., :2].clip(0, last)
    found[..., 2] = np.where(outside, kept * rng.uniform(0.3, 0.8, outside.shape), found[..., 2])
    return found


def _swap(found: np.ndarray, seen: np.ndarray, rng: np.random.Generator, noise: DetectorNoise) -> None:
    """Left and right of a limb or of the whole person exchanged, in place."""
    for limb in _LIMBS:
        rate = noise.swapped_limb / (3 if seen[limb[limb < _BODY]].all() else 1)
        if rng.random() < rate:
            found[limb] = found[_MIRROR[limb]]
    if rng.random() < noise.swapped_person:
        found[:] = found[_MIRROR]
