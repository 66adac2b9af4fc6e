"""How well meshes fit what a detector sees of them: distances in the image."""

import numpy as np
from jaxtyping import Float

from apu.camera import project
from apu.formats.match import BORDER, MIN_CONFIDENCE, border_mask
from apu.types import BODY_25, PairObservation


def used_confidence(
    observation: PairObservation, *, min_confidence: float = MIN_CONFIDENCE, border: float = BORDER
) -> Float[np.ndarray, "people 25"]:
    """Confidences of the body keypoints that count; 0 where too low, missing or clamped to the image border."""
    body = observation.keypoints[:, : len(BODY_25)]
    camera = observation.camera
    clamped = border_mask(observation.keypoints, camera.width, camera.height, margin=border)[:, : len(BODY_25)]
    confidence = np.where(np.isfinite(body).all(-1), body[..., 2], 0.0)
    return np.where(clamped | (confidence < min_confidence), 0.0, confidence)


def units_512(observation: PairObservation, confidence: Float[np.ndarray, "people 25"]) -> Float[np.ndarray, "people"]:
    """512-units per pixel: the larger side of the box of a person's used keypoints counts as 512 (as BUDDI scales).

    A person with fewer than two used keypoints takes the larger side of their detection box.
    """
    units = np.ones(len(confidence))
    for p, used in enumerate(confidence > 0):
        points = observation.keypoints[p, : len(BODY_25)][used, :2]
        side = np.ptp(points, axis=0).max() if len(points) > 1 else 0.0
        if side < 1.0:
            side = float(max(observation.boxes[p, 2:] - observation.boxes[p, :2]))
        units[p] = 512.0 / max(side, 1.0)
    return units


def reprojection_error(
    keypoints: Float[np.ndarray, "people 67 3"],
    observation: PairObservation,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    border: float = BORDER,
) -> tuple[Float[np.ndarray, "people"], Float[np.ndarray, "people"]]:
    """Mean distance of the used body keypoints to the detected ones, per person: (512-units, pixels).

    Args:
        keypoints: of the meshes, camera frame, metres. observation: detections and camera.
        min_confidence, border: which keypoints are used, see `used_confidence`.

    Returns:
        NaN for a person without a used keypoint; infinity where a point lies behind the camera.
    """
    confidence = used_confidence(observation, min_confidence=min_confidence, border=border)
    used = confidence > 0
    detected = np.where(used[..., None], observation.keypoints[:, : len(BODY_25), :2], 0)
    distance = np.linalg.norm(project(keypoints[:, : len(BODY_25)], observation.camera) - detected, axis=-1)
    distance = np.where(np.isnan(distance), np.inf, distance)
    counted = used.sum(1)
    pixels = np.where(used, distance, 0.0).sum(1) / np.where(counted, counted, np.nan)
    return pixels * units_512(observation, confidence), pixels
