"""Observations and fits as bytes: npz without pickle, equal data giving equal bytes."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from apu.files import parse_npz
from apu.types import BodyParams, Camera, FitResult, MeshEstimate, PairObservation

_ESTIMATE = ("global_orient", "body_pose", "betas", "joints", "valid")


def pack(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bytes:
    """Arrays and plain values as the bytes of an npz file.

    Raises:
        ValueError: a value is not finite.
    """
    text = json.dumps(meta, sort_keys=True, allow_nan=False).encode()
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, meta=np.frombuffer(text, np.uint8), **arrays)
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and values of `pack`."""
    arrays = parse_npz(data, "an artefact")
    return arrays, json.loads(arrays.pop("meta").tobytes())


def pack_observation(observation: PairObservation) -> bytes:
    """An observation, its numbers unchanged.

    Raises:
        ValueError: a number is not finite.
    """
    estimate = observation.estimate
    arrays = {f"estimate.{name}": getattr(estimate, name) for name in _ESTIMATE}
    arrays |= {"K": observation.camera.K, "boxes": observation.boxes, "keypoints": observation.keypoints}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise ValueError(f"observation must hold finite numbers only, got others in {', '.join(broken)}")
    meta = {
        "image": observation.image,
        "size": [observation.camera.width, observation.camera.height],
        "estimate": {"body": estimate.body, "source": estimate.source},
        "action": observation.action,
        "source": observation.source,
        "simulated": observation.simulated,
    }
    return pack(arrays, meta)


def unpack_observation(data: bytes) -> PairObservation:
    """The observation of `pack_observation`."""
    arrays, meta = unpack(data)
    width, height = meta.pop("size")
    estimate = MeshEstimate(**{name: arrays[f"estimate.{name}"] for name in _ESTIMATE}, **meta.pop("estimate"))
    return PairObservation(
        camera=Camera(K=arrays["K"], width=width, height=height),
        boxes=arrays["boxes"],
        keypoints=arrays["keypoints"],
        estimate=estimate,
        **meta,
    )


def pack_fit(fit: FitResult) -> bytes:
    """A fit's parameters and start as float32, and its loss curves."""
    arrays = {
        f"{role}.{name}": np.asarray(array, np.float32)
        for role, params in (("params", fit.params), ("start", fit.start))
        for name, array in params.arrays().items()
    }
    return pack(arrays, {"terms": {name: [float(value) for value in curve] for name, curve in fit.terms.items()}})


def unpack_fit(data: bytes) -> tuple[BodyParams, BodyParams, dict[str, list[float]]]:
    """(parameters, start, loss curves) of `pack_fit`."""
    arrays, meta = unpack(data)
    roles = ("params", "start")
    params, start = (
        BodyParams(**{name.removeprefix(f"{role}."): array for name, array in arrays.items() if name.startswith(role)})
        for role in roles
    )
    return params, start, meta["terms"]
