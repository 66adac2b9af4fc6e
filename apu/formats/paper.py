"""The paper's data file: one dictionary per pair of people, as JSON, npz or pickle."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from apu.errors import FormatError
from apu.files import MIB, load_npz, read_bytes, read_dataset_json
from apu.formats.coco import BLOCKS
from apu.types import KEYPOINTS, NUM_BETAS, BodyParams
from apu.unpickle import unpickle

_NAMES = {
    "image": ("image", "image_name", "img_name", "imgname", "file_name"),
    "boxes": ("boxes", "bboxes", "bbxes", "bbox", "box"),
    "interaction": ("interaction", "interaction_type"),
    "keypoints": ("keypoints", "keypoints_2d", "kpts"),
    "answer": ("answer", "lvlm", "lvlm_output", "llm_output", "response"),
    "params": ("params", "smplxa", "smplx_a", "smplx", "parameters"),
}
"""The paper describes the entries and does not name them: of these names the first that a dictionary has counts."""

_FAR = 1e6
_WHOLE_BODY = (17, 6, 68, 21, 21)
_MAX_PICKLE_BYTES = 96 * MIB
_MAX_INSTRUCTIONS = 2_000_000
"""A pair of ten arrays and as many texts takes about 250; the paper has 6,209 pairs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperPair:
    """One pair; person 0 is the left one in the image.

    Attributes:
        row: its place in the file, from 1. image: the photograph's file name.
        boxes: xyxy, pixels. keypoints: `apu.types.KEYPOINTS` as (x px, y px, confidence).
        interaction: its type. answer: the model's text as the paper's prompt asks for it; empty without.
        params: SMPL-XA parameters in the camera's frame, None without. body: the body model they are of.
        K: intrinsics in pixels, None without. source: data set. action: its label. simulated: not a photograph.
    """

    row: int
    image: str
    boxes: Float[np.ndarray, "2 4"]
    keypoints: Float[np.ndarray, "2 67 3"]
    interaction: str
    answer: str
    params: BodyParams | None
    body: str
    K: Float[np.ndarray, "3 3"] | None
    source: str
    action: str
    simulated: bool


def read_paper(path: Path) -> tuple[PaperPair, ...]:
    """Read a list of dictionaries, or a dictionary of them by image name (or under ``"pairs"``).

    Keypoints may be this program's 67, OpenPose's 25, COCO's 17 or WholeBody's 133. A box may be of both people
    together; then theirs are those of their keypoints. An npz holds the list as an object array; of pickles nothing is
    run.

    Raises:
        InputError: the file cannot be read.
        FormatError: it holds something else; the text names the row.
        UnsafeFileError: it is too large, or its pickle wants more than numpy's arrays need.
    """
    path = Path(path)
    rows = []
    for row, (name, values) in enumerate(_rows(_content(path), path), 1):
        try:
            rows.append(_pair(row, name, values))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(f"{path}: row {row} is not a pair as in the paper: {reason[:300]}") from error
    return tuple(rows)


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return read_dataset_json(path)
    if path.suffix == ".npz":
        arrays = load_npz(path)
        objects = [array for array in arrays.values() if array.dtype == object]
        if len(objects) != 1:
            raise FormatError(f"{path} must hold one object array, the list of pairs; it holds {len(objects)}")
        return objects[0].tolist()
    if path.suffix in (".pkl", ".pickle"):
        data = read_bytes(path, max_bytes=_MAX_PICKLE_BYTES)
        try:
            return unpickle(data, max_instructions=_MAX_INSTRUCTIONS)
        except FormatError as error:
            raise FormatError(f"{path} is not a readable pickle: {error}") from error
    raise FormatError(f"{path} must be a .json, .npz or .pkl file of dictionaries")


def _rows(content: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """(image name, dictionary) of every pair; the name is empty where only the dictionary knows it."""
    if isinstance(content, dict) and isinstance(content.get("pairs"), list):
        content = content["pairs"]
    if isinstance(content, list):
        yield from (("", values) for values in content)
    elif isinstance(content, dict):
        for name, values in content.items():
            yield from ((str(name), each) for each in (values if isinstance(values, list) else [values]))
    else:
        raise FormatError(f"{path} must hold a list of dictionaries, one per pair")


def _pair(row: int, name: str, values: Any) -> PaperPair:
    if not isinstance(values, dict):
        raise ValueError("it is not a dictionary")
    found = {field: _first(values, names) for field, names in _NAMES.items()}
    image = found["image"]
    image = _text(image.get("name") if isinstance(image, dict) else image, "image") or name
    keypoints = _keypoints(found["keypoints"])
    boxes = _boxes(found["boxes"], keypoints)
    nested = found["params"] if isinstance(found["params"], dict) else values
    params = _params(nested) if "body_pose" in nested else None
    left = boxes[:, [0, 2]].sum(1)
    order = [0, 1] if left[0] <= left[1] else [1, 0]
    answer = found["answer"]
    if isinstance(answer, dict):
        answer = answer["raw"] if isinstance(answer.get("raw"), str) else json.dumps(answer, ensure_ascii=False)
    if not image:
        raise KeyError("image")
    return PaperPair(
        row=row,
        image=image.replace("\\", "/").rpartition("/")[2],
        boxes=boxes[order],
        keypoints=keypoints[order],
        interaction=_text(found["interaction"], "interaction"),
        answer=_text(answer, "answer"),
        params=params.take(order) if params else None,
        body=_text(values.get("body"), "body") or "smplx",
        K=_numbers(values["K"], "K", (3, 3)).astype(float) if values.get("K") is not None else None,
        **{field: _text(values.get(field), field) for field in ("source", "action")},
        simulated=bool(values.get("simulated", False)),
    )


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 100_000:
        raise ValueError(f"{name} is not a text")
    value.encode()  # half a letter cannot be stored
    return value


def _numbers(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.size != np.prod(shape):
        raise ValueError(f"{name} must be {' x '.join(map(str, shape))} numbers")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite and is found as such
        array = array.astype(np.float32).reshape(shape)
    if not (np.isfinite(array) & (np.abs(array) < _FAR)).all():
        raise ValueError(f"{name} holds a number that is none, or beyond {_FAR:g}")
    return array


def _keypoints(value: Any) -> Float[np.ndarray, "2 67 3"]:
    """Any of the known layouts as `KEYPOINTS`; confidences are limited to 0..1."""
    if value is None:
        raise KeyError("keypoints")
    count = np.asarray(value).size // 6
    given = _numbers(value, "keypoints", (2, count, 3))
    given[..., 2] = given[..., 2].clip(0, 1)
    keypoints = np.zeros((2, len(KEYPOINTS), 3), np.float32)
    body, feet, left, right = (list(BLOCKS[name]) for name in ("keypoints", "foot_kpts", "lefthand_kpts",
                                                               "righthand_kpts"))  # fmt: skip
    if count in (len(KEYPOINTS), 25):
        keypoints[:, :count] = given
    elif count == len(body):
        keypoints[:, body] = given
    elif count == sum(_WHOLE_BODY):
        blocks = np.split(given, np.cumsum(_WHOLE_BODY)[:-1], axis=1)
        for index, block in zip((body, feet, left, right), (blocks[0], blocks[1], blocks[3], blocks[4]), strict=True):
            keypoints[:, index] = block
    else:
        raise ValueError(f"keypoints must be 67, 25, 17 or 133 of each of two people, got {count}")
    return keypoints


def _boxes(value: Any, keypoints: Float[np.ndarray, "2 67 3"]) -> Float[np.ndarray, "2 4"]:
    """Both people's boxes; those of the detected keypoints where the file has one for both."""
    if value is not None and np.asarray(value).size == 8:
        return _numbers(value, "boxes", (2, 4)).astype(float)
    if value is not None:
        _numbers(value, "box", (4,))
    seen = [person[person[:, 2] > 0, :2] for person in keypoints]
    if not all(len(points) for points in seen):
        raise ValueError("a person has neither a box nor a keypoint")
    return np.array([[*points.min(0), *points.max(0)] for points in seen], float)


def _params(values: Mapping[str, Any]) -> BodyParams:
    betas = np.asarray(values["betas"])
    count = betas.size // 2
    if count not in (NUM_BETAS - 1, NUM_BETAS):
        raise ValueError(f"betas must be 10 or 11 of each of two people, got {betas.size} numbers")
    shape = np.zeros((2, NUM_BETAS), np.float32)
    shape[:, :count] = _numbers(betas, "betas", (2, count))
    hands = [_numbers(values[f"{side}_hand_pose"], f"{side}_hand_pose", (2, 15, 3)) for side in ("left", "right")
             if values.get(f"{side}_hand_pose") is not None]  # fmt: skip
    return BodyParams(
        global_orient=_numbers(values["global_orient"], "global_orient", (2, 3)),
        body_pose=_numbers(values["body_pose"], "body_pose", (2, 21, 3)),
        betas=shape,
        transl=_numbers(values["transl"], "transl", (2, 3)),
        hand_pose=np.concatenate(hands, axis=1) if len(hands) == 2 else np.zeros((2, 30, 3), np.float32),
    )
