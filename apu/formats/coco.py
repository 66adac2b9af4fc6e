"""COCO person keypoints: one file for many images; WholeBody's feet and hands where present."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from apu.errors import FormatError
from apu.files import read_dataset_json
from apu.formats.openpose import MAX_PEOPLE, triples
from apu.types import KEYPOINTS

COCO_17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""COCO's keypoints in its order; neck and mid-hip are not among them."""

_HANDS = {side: range(25 + 21 * i, 46 + 21 * i) for i, side in enumerate(("left", "right"))}
BLOCKS = {
    "keypoints": [KEYPOINTS.index(name) for name in COCO_17],
    "foot_kpts": range(19, 25),
    "lefthand_kpts": _HANDS["left"],
    "righthand_kpts": _HANDS["right"],
}
"""Places in `KEYPOINTS` of every list of keypoints in an annotation; the last three are WholeBody's."""


def read_coco(path: Path) -> Mapping[str, Float[np.ndarray, "people 67 3"]]:
    """Read the people of every image by its file name (without folders): `KEYPOINTS` as (x px, y px, confidence).

    COCO's visibility v becomes confidence v / 2: not labelled 0, hidden 0.5, visible 1. Where a person's v hold a
    fraction, a detector wrote its confidence there, and it stays. Neck and mid-hip have confidence 0; people without
    a labelled keypoint are left out.

    Raises:
        InputError: the file cannot be read.
        FormatError: it has another layout.
        UnsafeFileError: it is too large; split it.
    """
    content = read_dataset_json(path)
    try:
        names = {image["id"]: _base_name(image["file_name"]) for image in content["images"]}
        people: dict[str, list[np.ndarray]] = {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            person = _person(annotation)
            if person[:, 2].any():
                people[names[annotation["image_id"]]].append(person)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{path} is not a COCO keypoints file: {reason}") from error
    for name, found in people.items():
        if len(found) > MAX_PEOPLE:
            raise FormatError(f"{path} holds {len(found)} people for {name}, at most {MAX_PEOPLE} are read")
    return {name: np.array(found, np.float32).reshape(-1, len(KEYPOINTS), 3) for name, found in people.items()}


def _base_name(file_name: str) -> str:
    return file_name.replace("\\", "/").rpartition("/")[2]


def _person(annotation: Mapping[str, Any]) -> Float[np.ndarray, "67 3"]:
    keypoints = np.zeros((len(KEYPOINTS), 3), np.float32)
    if "keypoints" not in annotation:
        raise KeyError("keypoints")
    for name, index in BLOCKS.items():
        if annotation.get(name.replace("kpts", "valid"), True):
            keypoints[index] = _block(annotation.get(name) or [], len(index), name)
    return keypoints


def _block(numbers: list[Any], count: int, name: str) -> Float[np.ndarray, "count 3"]:
    """One block of keypoints, its visibility as confidence."""
    try:
        block = triples(numbers, count, name)
    except ValueError as error:
        raise ValueError(f"a person {error}") from error
    visibility = [v or 0 for v in numbers[2::3]]
    if visibility and all(v in (0, 1, 2) for v in visibility):
        block[:, 2] = np.where(block.any(axis=1), visibility, 0.0) / 2
    return block
