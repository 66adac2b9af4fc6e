"""Meshes of any estimator as SMPL-X parameters in an npz, one row per person."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from apu.body.model import BodyModel
from apu.errors import FormatError
from apu.files import load_npz
from apu.formats.meshes import Meshes, estimate_of, numbers, shape_11
from apu.types import BodyParams


def read_smplx(path: Path, *, body: BodyModel | None = None) -> Meshes:
    """Read `global_orient` (N,3), `body_pose` (N,63), `betas` (N,10 or more), `transl` (N,3) of one image's people.

    Everything is in the camera's frame (OpenCV axes, metres). `joints` (N,22 or more,3) are taken where the file has
    them, with `transl` in them; otherwise `body` poses them. Of more than 11 betas the first 10 are used. Hands and
    face do not start a fit and are not read.

    Raises:
        InputError: the file cannot be read.
        FormatError: it lacks one of these, or holds no joints and `body` is None.
        UnsafeFileError: it is too large or carries code.
    """
    return parse_smplx(load_npz(path), path, body=body)


def parse_smplx(arrays: Mapping[str, np.ndarray], path: Path, *, body: BodyModel | None = None) -> Meshes:
    """`read_smplx` of a file that is open already; `path` is for the errors."""
    try:
        orient = numbers(arrays, "global_orient", 3)
        pose = numbers(arrays, "body_pose", 63).reshape(-1, 21, 3)
        betas = shape_11(numbers(arrays, "betas", None))
        transl = numbers(arrays, "transl", 3)
        if not len(orient) == len(pose) == len(betas) == len(transl):
            raise FormatError("its arrays disagree about the number of people")
        if "joints" in arrays:
            joints = numbers(arrays, "joints", None, 3)[:, :22]
            if joints.shape[:2] != (len(orient), 22):
                raise FormatError("'joints' must hold at least 22 joints of every person")
        elif body is not None:
            params = BodyParams(global_orient=orient, body_pose=pose, betas=betas, transl=transl)
            joints = body.forward(params).joints[:, :22]
        else:
            raise FormatError("'joints' is missing, and no body model was given to compute it")
    except FormatError as error:
        raise FormatError(f"{path} is not a file of SMPL-X parameters: {error}") from error
    return Meshes(
        estimate=estimate_of(
            orient_and_pose=np.concatenate([orient[:, None], pose], axis=1),
            betas=betas,
            joints=joints,
            body="smplx",
            source="smplx",
        )
    )
