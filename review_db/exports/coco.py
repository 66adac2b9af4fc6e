"""COCO person keypoints, with WholeBody's feet and hands."""

from pathlib import Path
from typing import Any

import numpy as np

from apu.formats.coco import BLOCKS, COCO_17
from review_db.exports.arrays import dump
from review_db.exports.folder import put
from review_db.exports.snapshot import Item
from review_db.exports.tables import contact_row

_SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11],
    [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
]  # fmt: skip
"""Lines between `COCO_17`, counted from 1, as COCO draws them."""


class CocoFiles:
    """``annotations/SPLIT.json``; a person who is in several pairs is one annotation that names them all."""

    def __init__(self, folder: Path, *, images: bool) -> None:
        self._folder, self._images = folder, images
        self._splits: dict[str, _Split] = {}

    def add(self, item: Item) -> None:
        """Write one pair."""
        self._splits.setdefault(item.split or "pairs", _Split()).add(item)
        if self._images:
            put(self._folder, f"images/{item.image}", item.photograph())

    def finish(self) -> None:
        """Write the files."""
        for name, split in self._splits.items():
            put(self._folder, f"annotations/{name}.json", dump(split.content()) + b"\n")


class _Split:
    """Images, people and pairs of one file."""

    def __init__(self) -> None:
        self._images: dict[int, dict[str, Any]] = {}
        self._people: dict[tuple[int, bytes], dict[str, Any]] = {}
        self._pairs: list[dict[str, Any]] = []

    def add(self, item: Item) -> None:
        image, observation = item.record.image, item.record.observation
        width, height = image.size
        same = {"file_name": item.image, "width": width, "height": height, "sha256": image.sha256}
        self._images[image.id] = {"id": image.id, **same, "simulated": observation.simulated}
        people = []
        for person in (0, 1):
            keypoints, box = observation.keypoints[person], observation.boxes[person]
            key = (image.id, keypoints.tobytes() + box.tobytes())
            if key not in self._people:
                self._people[key] = {"id": len(self._people) + 1, "image_id": image.id, "pairs": []}
                self._people[key] |= _annotation(keypoints, box)
            self._people[key]["pairs"].append(item.id)
            people.append(self._people[key]["id"])
        contacts = [contact_row(contact) for contact in item.record.sheet.active]
        same = {name: item.entry[name] for name in ("interaction", "state", "decision")}
        self._pairs.append({"id": item.id, "image_id": image.id, "people": people, "contacts": contacts, **same})

    def content(self) -> dict[str, Any]:
        category = {"id": 1, "name": "person", "supercategory": "person"}
        return {
            "info": {"description": "pairs of people in close contact", "version": "1.0"},
            "licenses": [],
            "images": list(self._images.values()),
            "annotations": list(self._people.values()),
            "categories": [category | {"keypoints": list(COCO_17), "skeleton": _SKELETON}],
            "pairs": self._pairs,
        }


def _annotation(keypoints: np.ndarray, box: np.ndarray) -> dict[str, Any]:
    """A person: detected keypoints count as visible (v = 2), their confidences stand beside them."""
    x0, y0, x1, y1 = (float(n) for n in box)
    width, height = max(x1 - x0, 0.0), max(y1 - y0, 0.0)
    values: dict[str, Any] = {"category_id": 1, "iscrowd": 0, "bbox": [x0, y0, width, height], "area": width * height}
    for name, index in BLOCKS.items():
        block = keypoints[list(index)]
        seen = block[:, 2] > 0
        flat = np.where(seen[:, None], np.column_stack([block[:, :2], np.full(len(block), 2.0)]), 0.0)
        values[name] = [int(n) if i % 3 == 2 else float(n) for i, n in enumerate(flat.ravel())]
        if name == "keypoints":
            values |= {"num_keypoints": int(seen.sum()), "scores": block[:, 2].tolist()}
        else:
            values[name.replace("kpts", "valid")] = bool(seen.any())
    return values
