"""Pinhole projection in OpenCV axes; see docs/conventions.md."""

from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Real

from apu.types import Camera

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def project(points: Array, camera: Camera) -> Array:
    """Pixels of points in the camera's frame: u = K x / z.

    Points at or behind the camera (z <= 0) have no image; they come back as NaN.

    Args:
        points: (..., 3) metres, numpy or torch.
        camera: intrinsics in pixels.

    Returns:
        (..., 2) pixels, of the same kind as `points`.
    """
    if isinstance(points, torch.Tensor):
        K = torch.as_tensor(camera.K, dtype=points.dtype, device=points.device)
        z = torch.where(points[..., 2:] > 0, points[..., 2:], torch.nan)
    else:
        K = np.asarray(camera.K, points.dtype)
        z = np.where(points[..., 2:] > 0, points[..., 2:], np.nan)
    return (points[..., :2] / z) @ K[:2, :2].T + K[:2, 2]


def crop_camera(camera: Camera, box: Real[np.ndarray, "4"], size: tuple[int, int] | None = None) -> Camera:
    """The camera of a cut-out of its image, optionally resized.

    Args:
        camera: of the whole image.
        box: xyxy in pixels; may reach beyond the image.
        size: (width, height) of the result; None keeps the box's own size, rounded.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"box must have positive width and height, got {x0, y0, x1, y1}")
    width, height = size or (round(x1 - x0), round(y1 - y0))
    scale = np.diag([width / (x1 - x0), height / (y1 - y0), 1.0])
    shift = np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0], [0.0, 0.0, 1.0]])
    return Camera(K=scale @ shift @ np.asarray(camera.K, float), width=width, height=height)
