"""OpenPose's JSON layout, which ViTPose exports use too: BODY_25 and 21 keypoints per hand."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from apu.errors import FormatError
from apu.files import read_json
from apu.types import KEYPOINTS

MAX_PEOPLE = 200
"""Per image; pairs grow with its square."""

_BLOCKS = (("pose_keypoints_2d", 25), ("hand_left_keypoints_2d", 21), ("hand_right_keypoints_2d", 21))
_FAR = 1e6


def read_openpose(path: Path) -> Float[np.ndarray, "people 67 3"]:
    """Read the people of one image: `KEYPOINTS` as (x px, y px, confidence), (N, 67, 3).

    Confidence is limited to 0..1 and is 0 where a number is missing or not finite; a missing hand is 21 undetected
    keypoints; the face is not read. A file without people gives N = 0.

    Raises:
        InputError: the file cannot be read.
        FormatError: it has another layout, or places as shares of the image instead of pixels.
        UnsafeFileError: it is too large.
    """
    content = read_json(path)
    people = content.get("people", []) if isinstance(content, dict) else None
    if not isinstance(people, list) or len(people) > MAX_PEOPLE:
        raise FormatError(f"{path} is not an OpenPose file: 'people' must be a list of at most {MAX_PEOPLE}")
    keypoints = np.zeros((len(people), len(KEYPOINTS), 3), np.float32)
    for i, person in enumerate(people):
        try:
            keypoints[i] = _person(person)
        except ValueError as error:
            raise FormatError(f"{path} cannot be used: person {i + 1} {error}") from error
    seen = keypoints[keypoints[..., 2] > 0]
    if len(seen) and np.abs(seen[:, :2]).max() <= 1:
        raise FormatError(f"{path} gives places as shares of the image; write pixels (OpenPose: --keypoint_scale 0)")
    return keypoints


def _person(person: Any) -> Float[np.ndarray, "67 3"]:
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise ValueError("has no 'pose_keypoints_2d'")
    return np.concatenate([triples(person.get(name) or [], count, name) for name, count in _BLOCKS])


def triples(numbers: Any, count: int, name: str) -> Float[np.ndarray, "count 3"]:
    """`count` keypoints of a flat list (x, y, confidence, ...); an empty list means none was detected.

    Raises:
        ValueError: another length, or something that is not a number; the text follows "person 1".
    """
    if not isinstance(numbers, list) or len(numbers) not in (0, 3 * count):
        length = len(numbers) if isinstance(numbers, list) else "no list of"
        raise ValueError(f"has {length} numbers in '{name}', expected {3 * count} ({count} keypoints)")
    if any(isinstance(n, bool) or not isinstance(n, int | float | None) for n in numbers):
        raise ValueError(f"has something that is not a number in '{name}'")
    try:
        values = np.array(numbers or [0.0] * (3 * count), float).reshape(count, 3)
    except OverflowError as error:
        raise ValueError(f"has a number without bound in '{name}'") from error
    values[~(np.isfinite(values) & (np.abs(values) < _FAR)).all(axis=1)] = 0.0
    values[:, 2] = values[:, 2].clip(0.0, 1.0)
    return values.astype(np.float32)
