"""Pairs for training a prior: tensors as `apu.formats.training` reads them, weighted by decision and agreement."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from apu.formats.training import ARRAYS
from review_db.exports.folder import put
from review_db.exports.snapshot import Item
from review_db.exports.weights import TrainingWeights

_PAIRS_PER_FILE = 16384


class TrainingFiles:
    """``SPLIT-00000.safetensors``, ... with at most 16,384 pairs each."""

    def __init__(self, folder: Path, weights: TrainingWeights) -> None:
        self._folder, self._weights = folder, weights
        self._rows: dict[str, list[Mapping[str, np.ndarray]]] = {}
        self._files: dict[str, int] = {}

    def add(self, item: Item) -> None:
        """Write one pair."""
        if item.result is None:
            return
        weight = self._weights.of(item.record, item.beside.reviews, kept=item.result.kept)
        split = item.split or "pairs"
        rows = self._rows.setdefault(split, [])
        rows.append(_row(item, weight))
        if len(rows) == _PAIRS_PER_FILE:
            self._flush(split)

    def finish(self) -> None:
        """Write the rest."""
        for split in self._rows:
            self._flush(split)

    def _flush(self, split: str) -> None:
        rows = self._rows[split]
        if not rows:
            return
        arrays = {name: np.stack([row[name] for row in rows]).astype(dtype) for name, (dtype, _) in ARRAYS.items()}
        number = self._files.get(split, 0)
        put(self._folder, f"{split}-{number:05d}.safetensors", save(arrays))
        self._files[split] = number + 1
        rows.clear()


def _row(item: Item, weight: float) -> Mapping[str, np.ndarray]:
    observation, fit = item.record.observation, item.result
    if fit is None:
        raise ValueError(f"pair {item.id} has no fit")
    camera = observation.camera
    values = {
        **fit.params.arrays(),
        **{f"initial_{name}": array for name, array in fit.start.arrays().items()},
        "initial_valid": observation.estimate.valid,
        "keypoints": observation.keypoints,
        "boxes": observation.boxes,
        "K": camera.K,
        "image_size": (camera.width, camera.height),
        "weight": weight,
        "simulated": observation.simulated,
        "pair": item.id,
    }
    return {name: np.asarray(value).reshape(ARRAYS[name][1]) for name, value in values.items()}
