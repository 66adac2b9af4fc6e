"""All that several estimators say about the people of one image, as one list of people."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from apu.body.model import BodyModel
from apu.camera import project
from apu.errors import FormatError, InputError
from apu.files import load_npz
from apu.formats.bev import parse_bev
from apu.formats.coco import read_coco
from apu.formats.match import BORDER, MIN_CONFIDENCE, border_mask, match_people, merge_keypoints
from apu.formats.meshes import Meshes
from apu.formats.openpose import read_openpose
from apu.formats.smplx_params import parse_smplx
from apu.types import NUM_BETAS, SMPL_JOINTS, Camera, MeshEstimate

_SIZE_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """The people of one image.

    Attributes:
        keypoints: `apu.types.KEYPOINTS` as (x px, y px, confidence).
        estimate: the same people's meshes; not valid for those without.
        camera: of the mesh estimator, else the assumed one. notes: what could not be used, one sentence each.
    """

    keypoints: Float[np.ndarray, "people 67 3"]
    estimate: MeshEstimate
    camera: Camera
    notes: tuple[str, ...] = ()


def read_people(
    image: str, size: tuple[int, int], files: Mapping[str, Path], *, body: BodyModel | None = None
) -> People:
    """Read and match the estimators' files of one image.

    Keypoints of two estimators are merged: of each keypoint the more confident one (APU: ViTPose, and OpenPose for
    the feet). Files beyond the first keypoints are a help: one that cannot be used becomes a note.

    Args:
        image: the photograph's file name.
        size: its (width, height), pixels.
        files: by kind: ``"keypoints"`` (OpenPose's layout) or ``"coco"``, ``"openpose"`` (a second estimator of the
            first layout), ``"meshes"`` (npz of BEV or of SMPL-X parameters).
        body: poses SMPL-X parameters whose file has no joints.

    Raises:
        InputError: there are no usable keypoints; the text says why.
    """
    notes: list[str] = []
    keypoints = _read_keypoints(image, files, notes)
    _check_places(image, keypoints, size)
    camera = Camera.of_image(*size)
    estimate = _no_meshes(len(keypoints))
    if "meshes" in files:
        try:
            meshes = read_meshes(files["meshes"], body=body)
            camera = _camera_for(meshes, camera, files["meshes"])
            estimate = _matched(keypoints, meshes.estimate, camera)
            if not estimate.valid.all():
                alone = len(estimate.valid) - int(estimate.valid.sum())
                notes.append(
                    f"{files['meshes']} has no mesh on {alone} of the {len(keypoints)} people of {image}; their fit "
                    "starts from the keypoints"
                )
        except InputError as error:
            notes.append(f"{error}; {image} goes on without meshes")
    return People(keypoints=keypoints, estimate=estimate, camera=camera, notes=tuple(notes))


def read_meshes(path: Path, *, body: BodyModel | None = None) -> Meshes:
    """The meshes of an npz, whichever estimator wrote it; errors as in `read_bev` and `read_smplx`."""
    arrays = load_npz(path)
    if "results" in arrays:
        return parse_bev(arrays, path)
    if "global_orient" in arrays:
        return parse_smplx(arrays, path, body=body)
    raise FormatError(f"{path} holds neither BEV's 'results' nor SMPL-X's 'global_orient'")


def _read_keypoints(image: str, files: Mapping[str, Path], notes: list[str]) -> Float[np.ndarray, "people 67 3"]:
    if "coco" in files:
        of_image = _coco(files["coco"])
        if image not in of_image:
            raise InputError(f"{files['coco']} has no entry for {image}")
        first = of_image[image]
    elif "keypoints" in files:
        first = read_openpose(files["keypoints"])
    elif "openpose" in files:
        return read_openpose(files["openpose"])
    else:
        raise InputError(f"{image} has no keypoints")
    if "openpose" in files:
        try:
            return merge_keypoints(first, read_openpose(files["openpose"]))
        except InputError as error:
            notes.append(f"{error}; {image} goes on without it")
    return first


# One file serves thousands of images.
_coco = lru_cache(maxsize=1)(read_coco)


def _check_places(image: str, keypoints: Float[np.ndarray, "people 67 3"], size: tuple[int, int]) -> None:
    """Keypoints of another size of the same photograph would still look like people."""
    seen = keypoints[keypoints[..., 2] >= MIN_CONFIDENCE, :2]
    outside = ((seen < 0) | (seen > size)).any(axis=1)
    if len(seen) and outside.mean() > 0.5:
        raise FormatError(
            f"most keypoints of {image} lie outside of its {size[0]} x {size[1]} pixels; they belong to another size"
        )


def _camera_for(meshes: Meshes, assumed: Camera, path: Path) -> Camera:
    """The estimator's camera; the assumed one where it is the same or unknown."""
    camera = meshes.camera
    if camera is None:
        return assumed
    sizes = np.array([[camera.width, camera.height], [assumed.width, assumed.height]], float)
    if not np.allclose(sizes[0], sizes[1], rtol=_SIZE_TOLERANCE):
        raise FormatError(
            f"{path} belongs to an image of {camera.width} x {camera.height} pixels, not {assumed.width} x "
            f"{assumed.height}"
        )
    if np.isclose(camera.K[0, 0], assumed.K[0, 0], rtol=_SIZE_TOLERANCE):
        return assumed
    return Camera.of_image(assumed.width, assumed.height, focal=float(camera.K[0, 0]))


def _matched(keypoints: Float[np.ndarray, "people 67 3"], estimate: MeshEstimate, camera: Camera) -> MeshEstimate:
    """The meshes in the order of the keypoints' people."""
    trusted = keypoints.copy()
    trusted[border_mask(keypoints, camera.width, camera.height, margin=BORDER), 2] = 0.0
    return estimate.take(match_people(trusted, project(estimate.joints, camera)).tolist())


def _no_meshes(people: int) -> MeshEstimate:
    return MeshEstimate(
        global_orient=np.zeros((people, 3), np.float32),
        body_pose=np.zeros((people, 21, 3), np.float32),
        betas=np.zeros((people, NUM_BETAS), np.float32),
        joints=np.zeros((people, len(SMPL_JOINTS), 3), np.float32),
        valid=np.zeros(people, bool),
        source="",
    )
