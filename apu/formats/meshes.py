"""What the readers of body estimators share: their result, and the checks of other people's numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from apu.errors import FormatError
from apu.formats.openpose import MAX_PEOPLE
from apu.types import NUM_BETAS, Camera, MeshEstimate

_NEAREST_M, _FARTHEST_M = 0.05, 1000.0
_LARGEST_PERSON_M = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Meshes:
    """An estimator's people of one image.

    Attributes:
        estimate: all of them; those whose numbers cannot be a person in front of the camera are not valid.
        camera: the one the estimator used, where its file tells.
    """

    estimate: MeshEstimate
    camera: Camera | None = None


def numbers(arrays: Mapping[str, Any], name: str, *shape: int | None) -> Float[np.ndarray, "people ..."]:
    """The array `name` as float32, (N, *shape) with at most `MAX_PEOPLE` people; None: any length up to 1000.

    Raises:
        FormatError: it is missing, not of real numbers, or of another shape; the text begins with the name.
    """
    array = arrays.get(name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise FormatError(f"'{name}' is missing or holds no numbers")
    lengths = (range(MAX_PEOPLE + 1), *(range(1, 1001) if n is None else (n,) for n in shape))
    if array.ndim != len(lengths) or any(n not in allowed for n, allowed in zip(array.shape, lengths, strict=True)):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise FormatError(f"'{name}' has shape {array.shape}, expected (people, {expected})")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite and is found as such
        return array.astype(np.float32)


def plausible(
    joints: Float[np.ndarray, "people 22 3"], *others: Float[np.ndarray, "people ..."]
) -> Bool[np.ndarray, "people"]:
    """People whose numbers are finite and whose joints span no more than a person, in front of the camera."""
    rows = [array.reshape(len(joints), array[:1].size) for array in (joints, *others)]
    finite = np.isfinite(np.concatenate(rows, axis=1)).all(axis=1)
    safe = np.where(finite.reshape(-1, 1, 1), joints, 0.0)
    in_view = (safe[..., 2] > _NEAREST_M).all(axis=1) & (np.abs(safe) < _FARTHEST_M).all(axis=(1, 2))
    return finite & in_view & (np.ptp(safe, axis=1) < _LARGEST_PERSON_M).all(axis=1)


def estimate_of(
    *,
    orient_and_pose: Float[np.ndarray, "people 22 3"],
    betas: Float[np.ndarray, "people 11"],
    joints: Float[np.ndarray, "people 22 3"],
    body: str,
    source: str,
) -> MeshEstimate:
    """The estimate whose rows are valid where they are plausible, and zero elsewhere."""
    valid = plausible(joints, orient_and_pose, betas)
    estimate = MeshEstimate(
        global_orient=orient_and_pose[:, 0],
        body_pose=orient_and_pose[:, 1:],
        betas=betas,
        joints=joints,
        valid=valid,
        body=body,
        source=source,
    )
    return estimate.take(np.where(valid, np.arange(len(valid)), -1).tolist())


def shape_11(betas: Float[np.ndarray, "people coefficients"]) -> Float[np.ndarray, "people 11"]:
    """Eleven betas of as many as a file has: 11 as they are, else the first 10 and an adult's 0."""
    if betas.shape[1] == NUM_BETAS:
        return betas
    result = np.zeros((len(betas), NUM_BETAS), np.float32)
    count = min(betas.shape[1], NUM_BETAS - 1)
    result[:, :count] = betas[:, :count]
    return result
