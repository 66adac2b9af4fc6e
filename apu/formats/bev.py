"""BEV's and ROMP's npz: SMPL people in camera axes, one file per image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from apu.errors import FormatError
from apu.files import load_npz
from apu.formats.meshes import Meshes, estimate_of, numbers, shape_11
from apu.types import Camera

_SMPL_JOINTS = 24
_SHARED_JOINTS = 22
_WORST_FIT_PX = 2.0
_SHORTEST, _LONGEST = 0.1, 100.0
"""Focal lengths in units of the longer side of the image: from a fisheye's to a telescope's."""


def read_bev(path: Path) -> Meshes:
    """Read BEV's (or ROMP's) people of one image.

    SMPL's first 22 joints are those of SMPL-X, so root and 21 body joints carry over; its two hand joints do not.
    Joints come with `cam_trans` added: camera frame, metres. The camera is the one that projects the file's joints
    to its `pj2d_org`.

    Raises:
        InputError: the file cannot be read.
        FormatError: it is not BEV's.
        UnsafeFileError: it is too large or carries code.
    """
    return parse_bev(load_npz(path), path)


def parse_bev(arrays: Mapping[str, np.ndarray], path: Path) -> Meshes:
    """`read_bev` of a file that is open already; `path` is for the errors."""
    try:
        results = arrays["results"][()] if "results" in arrays and arrays["results"].ndim == 0 else None
        if not isinstance(results, dict):
            raise FormatError("it holds no dictionary 'results'")
        thetas = numbers(results, "smpl_thetas", _SMPL_JOINTS * 3).reshape(-1, _SMPL_JOINTS, 3)
        betas = shape_11(numbers(results, "smpl_betas", None))
        points = numbers(results, "joints", None, 3)
        transl = numbers(results, "cam_trans", 3)
        if not len(thetas) == len(betas) == len(points) == len(transl) or points.shape[1] < _SMPL_JOINTS:
            raise FormatError("its arrays disagree about the number of people or joints")
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found as such
            points = points + transl[:, None]
        estimate = estimate_of(
            orient_and_pose=thetas[:, :_SHARED_JOINTS],
            betas=betas,
            joints=points[:, :_SHARED_JOINTS],
            body="smpl",
            source="bev",
        )
        camera = None
        if "pj2d_org" in results:
            pixels = numbers(results, "pj2d_org", None, 2)
            if pixels.shape[:2] != points.shape[:2]:
                raise FormatError("'pj2d_org' and 'joints' disagree about their number")
            camera = _camera(points[estimate.valid], pixels[estimate.valid])
        return Meshes(estimate=estimate, camera=camera)
    except FormatError as error:
        raise FormatError(f"{path} is not a BEV file: {error}") from error


def _camera(
    points: Float[np.ndarray, "people joints 3"], pixels: Float[np.ndarray, "people joints 2"]
) -> Camera | None:
    """The centred camera that maps points to pixels, by least squares over u = f x / z + w/2, v = f y / z + h/2.

    None where the file holds too little to tell, or where no such camera does (weak perspective).
    """
    points, pixels = points.reshape(-1, 3).astype(float), pixels.reshape(-1, 2).astype(float)
    keep = (points[:, 2] > 0) & np.isfinite(pixels).all(axis=1) & np.isfinite(points).all(axis=1)
    if keep.sum() < _SHARED_JOINTS:
        return None
    points, pixels = points[keep], pixels[keep]
    u, v, count = np.eye(2)[0], np.eye(2)[1], len(points)
    rays = points[:, :2] / points[:, 2:]
    rows = np.concatenate(
        [np.column_stack([rays[:, 0], np.tile(u, (count, 1))]), np.column_stack([rays[:, 1], np.tile(v, (count, 1))])]
    )
    target = pixels.T.ravel()
    (f, cx, cy), *_ = np.linalg.lstsq(rows, target, rcond=None)
    residual = np.abs(rows @ (f, cx, cy) - target).max()
    if residual > _WORST_FIT_PX or min(round(2 * cx), round(2 * cy)) <= 0:
        return None
    if not _SHORTEST < f / max(2 * cx, 2 * cy) < _LONGEST:
        return None
    return Camera(K=np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]]), width=round(2 * cx), height=round(2 * cy))
