"""Pairs for training a prior: tensors of `apu export --for-training`, as a data set of PyTorch."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load
from torch import Tensor
from torch.utils.data import Dataset

from apu.errors import FormatError, InputError
from apu.files import MIB, read_bytes

_PARAMS = {"global_orient": (3,), "body_pose": (21, 3), "betas": (11,), "transl": (3,), "hand_pose": (30, 3)}

ARRAYS: Mapping[str, tuple[str, tuple[int, ...]]] = MappingProxyType(
    {
        **{name: ("float32", (2, *shape)) for name, shape in _PARAMS.items()},
        **{f"initial_{name}": ("float32", (2, *shape)) for name, shape in _PARAMS.items()},
        "initial_valid": ("bool", (2,)),
        "keypoints": ("float32", (2, 67, 3)),
        "boxes": ("float32", (2, 4)),
        "K": ("float32", (3, 3)),
        "image_size": ("float32", (2,)),
        "weight": ("float32", ()),
        "simulated": ("bool", ()),
        "pair": ("int64", ()),
    }
)
"""Type and shape per pair of every tensor; people are the first axis, person 0 the left one in the image.

``global_orient`` to ``hand_pose``: the fit (`apu.types.BodyParams`, camera frame, metres, radians).
``initial_...``: what the fit began with, to condition on; ``initial_valid``: an estimator saw that person.
``keypoints``: `apu.types.KEYPOINTS` as (x px, y px, confidence). ``boxes``: xyxy, px. ``image_size``: width, height.
``weight``: how much the pair counts. ``pair``: its number in the workspace.
"""

_MAX_BYTES = 1024 * MIB
_SHARD = r"-\d{5}\.safetensors"


class TrainingPairs(Dataset[Mapping[str, Tensor]]):
    """The pairs of one split, in memory; ``pairs[i]`` gives the tensors of `ARRAYS` of one pair.

    Draw pairs by their weight with ``WeightedRandomSampler(pairs.weights, len(pairs))``, or multiply losses by
    ``weight``.

    Args:
        folder: an export for training. split: its name; empty where the export has no splits.

    Raises:
        InputError: the folder has no such split, or a file cannot be read.
        FormatError: a file does not hold these tensors, or a number is not finite.
        UnsafeFileError: a file is larger than 1 GiB.
    """

    def __init__(self, folder: Path, split: str = "") -> None:
        name = re.compile(re.escape(split or "pairs") + _SHARD)
        if not Path(folder).is_dir():
            raise InputError(f"{folder} is not a folder; give an export made with --for-training")
        files = sorted(path for path in Path(folder).iterdir() if name.fullmatch(path.name))
        if not files:
            raise InputError(f"{folder} has no training data of the split {split or 'pairs'!r}")
        shards = [read_training(path) for path in files]
        self.tensors = {name: torch.from_numpy(np.concatenate([shard[name] for shard in shards])) for name in ARRAYS}

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        return {name: tensor[index] for name, tensor in self.tensors.items()}

    @property
    def weights(self) -> Float[Tensor, "pairs"]:
        """How much each pair counts, 0 to 1."""
        return self.tensors["weight"]


def read_training(path: Path) -> dict[str, np.ndarray]:
    """The arrays of one file, with the pairs as their first axis; errors as `TrainingPairs`."""
    data = read_bytes(path, max_bytes=_MAX_BYTES)
    try:
        arrays = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(f"{path} is not a readable safetensors file: {error}") from error
    for name, (dtype, shape) in ARRAYS.items():
        if name not in arrays or arrays[name].dtype != dtype or arrays[name].shape[1:] != shape:
            raise FormatError(f"{path} is not training data: {name!r} must hold {dtype} of shape (pairs, *{shape})")
        if len(arrays[name]) != len(arrays["pair"]) if "pair" in arrays else True:
            raise FormatError(f"{path} is not training data: its arrays disagree about the number of pairs")
        if not np.isfinite(arrays[name]).all():
            raise FormatError(f"{path} holds a number that is not finite in {name!r}; export again")
    if not ((arrays["weight"] >= 0) & (arrays["weight"] <= 1)).all():
        raise FormatError(f"{path} holds a weight outside of 0 to 1; export again")
    return {name: arrays[name] for name in ARRAYS}
