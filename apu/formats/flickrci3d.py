"""FlickrCI3D's contact signatures: which surface regions of which two people touch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from apu.errors import FormatError
from apu.files import read_dataset_json

NUM_REGIONS = 75
_LARGEST_ID = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Signature:
    """The annotated contacts of one pair; column 0 is the left person in the image, column 1 the right one.

    Attributes:
        people: ids of the two in the file's list of boxes. boxes: xyxy, pixels.
        regions: pairs of touching regions, 0..74. faces, vertices: pairs of ids on the SMPL-X mesh.
    """

    people: tuple[int, int]
    boxes: Float[np.ndarray, "2 4"]
    regions: Int[np.ndarray, "contacts 2"]
    faces: Int[np.ndarray, "faces 2"]
    vertices: Int[np.ndarray, "vertices 2"]


def read_flickrci3d(path: Path) -> Mapping[str, tuple[Signature, ...]]:
    """Read ``interaction_contact_signature.json``: the annotated pairs by image name.

    Raises:
        InputError: the file cannot be read.
        FormatError: it has another layout.
        UnsafeFileError: it is too large; split it.
    """
    content = read_dataset_json(path)
    if not isinstance(content, dict):
        raise FormatError(f"{path} is not a FlickrCI3D file: it must map image names to annotations")
    return {name: _image(annotation, f"{path}: {name}") for name, annotation in content.items()}


def _image(annotation: Any, where: str) -> tuple[Signature, ...]:
    try:
        boxes = np.array(annotation["bbxes"], float).reshape(-1, 4)
        return tuple(_signature(sign, boxes) for sign in annotation["ci_sign"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{where} is not annotated as in FlickrCI3D: {reason}") from error


def _signature(sign: Mapping[str, Any], boxes: Float[np.ndarray, "all 4"]) -> Signature:
    people = _ids([sign["person_ids"]], len(boxes))[0]
    pair = boxes[people]
    if not np.isfinite(pair).all():
        raise ValueError("a box is not finite")
    order = [0, 1] if pair[0, [0, 2]].sum() <= pair[1, [0, 2]].sum() else [1, 0]
    mesh = sign["smplx"]
    return Signature(
        people=(int(people[order[0]]), int(people[order[1]])),
        boxes=pair[order],
        regions=_ids(mesh["region_id"], NUM_REGIONS)[:, order],
        faces=_ids(mesh.get("face_id", []), _LARGEST_ID)[:, order],
        vertices=_ids(mesh.get("vertex_id", []), _LARGEST_ID)[:, order],
    )


def _ids(pairs: Any, limit: int) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of whole numbers in 0..limit-1."""
    ids = np.array(pairs, object) if pairs else np.zeros((0, 2), object)
    if ids.ndim != 2 or ids.shape[1] != 2:
        raise ValueError("ids must come as pairs [of person i, of person j]")
    if not all(type(n) is int and 0 <= n < limit for n in ids.flat):
        raise ValueError(f"an id is not a whole number from 0 to {limit - 1}")
    return ids.astype(np.int64)
