"""SMPL-X parameters in files: per pair in SMPL-X's own names, per person in AMASS's."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from apu.types import KEYPOINTS, BodyParams, Camera
from review_db.exports.folder import put
from review_db.exports.snapshot import ARTEFACTS, IMAGES, Item

FORMAT = "apu-review export 2"

_STILL = {"jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "expression": 10}
"""What SMPL-X poses and this program does not."""

_AMASS_BETAS = 16


def smplx_arrays(params: BodyParams) -> dict[str, np.ndarray]:
    """Both people's parameters by `smplx`'s argument names, float32, first axis the people.

    For ``SMPLX(use_pca=False, flat_hand_mean=False, age="kid", num_betas=10)``: hands are offsets from the mean hand,
    and the last of the 11 betas leads from adult (0) to child (1).
    """
    flat = {name: np.asarray(array, np.float32).reshape(2, -1) for name, array in params.arrays().items()}
    left, right = np.split(flat.pop("hand_pose"), 2, axis=1)
    still = {name: np.zeros((2, size), np.float32) for name, size in _STILL.items()}
    return flat | {"left_hand_pose": left, "right_hand_pose": right} | still


def smplx_npz(params: BodyParams, camera: Camera) -> bytes:
    """`smplx_arrays` with the camera's K (pixels) and image size (width, height), as an npz file."""
    return _npz(**smplx_arrays(params), K=camera.K, image_size=np.array([camera.width, camera.height]))


def amass_npz(params: BodyParams, person: int, mean_hands: np.ndarray) -> bytes:
    """One person as AMASS writes a motion with SMPL-X: here of one frame, in the camera's frame.

    AMASS has whole hand poses, so the mean hands (2 x 45, radians) are added; its betas stop before the child's, which
    stands as ``kid_beta`` beside them.
    """
    arrays = {name: array[person : person + 1] for name, array in smplx_arrays(params).items()}
    hands = np.concatenate([arrays["left_hand_pose"], arrays["right_hand_pose"]], axis=1) + mean_hands.reshape(1, 90)
    eyes = np.concatenate([arrays["leye_pose"], arrays["reye_pose"]], axis=1)
    betas = np.zeros(_AMASS_BETAS, np.float32)
    betas[:10] = arrays["betas"][0, :10]
    posed = (arrays["global_orient"], arrays["body_pose"], arrays["jaw_pose"], eyes, hands.astype(np.float32))
    return _npz(
        gender=np.array("neutral"),
        surface_model_type=np.array("smplx"),
        mocap_frame_rate=np.array(30.0),
        mocap_time_length=np.array(1 / 30),
        trans=arrays["transl"],
        poses=np.concatenate(posed, axis=1),
        betas=betas,
        num_betas=np.array(_AMASS_BETAS),
        root_orient=posed[0],
        pose_body=posed[1],
        pose_jaw=posed[2],
        pose_eye=posed[3],
        pose_hand=posed[4],
        kid_beta=arrays["betas"][0, 10],
    )


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


class DataFile:
    """``pairs.json`` with a dictionary per pair, one per line, and the files that they name: the form ``apu``."""

    def __init__(self, folder: Path, *, images: bool) -> None:
        self._folder, self._images = folder, images
        self._file = (folder / "pairs.json").open("wb")
        head = {"format": FORMAT, "keypoint_names": list(KEYPOINTS)}
        self._file.write(dump(head)[:-1] + b', "pairs": [')
        self._comma = b"\n"

    def add(self, item: Item) -> None:
        """Write one pair."""
        self._file.write(self._comma + dump(item.entry))
        self._comma = b",\n"
        if item.result is not None:
            put(self._folder, f"{item.id}.npz", smplx_npz(item.result.params, item.record.observation.camera))
        for name in (item.beside.observation, *_fits(item)):
            put(self._folder, f"{ARTEFACTS}/{name}", item.read(ARTEFACTS, name))
        if self._images:
            put(self._folder, f"{IMAGES}/{item.record.image.sha256}{item.suffix}", item.photograph())

    def finish(self) -> None:
        """Complete and close the file."""
        self._file.write(b"\n]}\n")
        self._file.close()


def _fits(item: Item) -> list[str]:
    """The files of the fits that are in the dictionary."""
    return [item.beside.fits[fit.id] for fit in item.record.fits]


class SmplxFiles:
    """``PAIR.npz`` per pair, in a folder per split."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, item: Item) -> None:
        """Write one pair."""
        if item.result is not None:
            data = smplx_npz(item.result.params, item.record.observation.camera)
            put(self._folder, f"{item.split or 'pairs'}/{item.id}.npz", data)

    def finish(self) -> None:
        """Nothing is left to do."""


def dump(values: Any) -> bytes:
    """Plain values as one line of JSON, equal for equal values."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
