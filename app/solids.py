"""Meshes for the page's 3D view in binary: the body's faces and regions once, then only vertices.

A block is a little-endian uint32 with the length of a JSON header, the header padded with spaces to a multiple of
four bytes, and the arrays it lists, in its order, each padded likewise. `assets/app/solid.js` reads it.
"""

import json
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from app.screen import Json
from apu.body.regions import Regions

HEAT_STEP_M = 0.0005
"""Depths are told in half millimetres, so that one byte reaches 12.7 cm."""


def pack(header: Json, arrays: Mapping[str, np.ndarray]) -> bytes:
    """A block: plain values and little-endian arrays.

    Args:
        header: must not have the key ``"arrays"``.
        arrays: by name; of numbers that a browser has typed arrays for.
    """
    little = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    table = {name: {"type": array.dtype.name, "shape": array.shape} for name, array in little.items()}
    head = _padded(json.dumps(header | {"arrays": table}, separators=(",", ":")).encode(), b" ")
    return b"".join((struct.pack("<I", len(head)), head, *(_padded(a.tobytes(), b"\0") for a in little.values())))


def unpack(block: bytes) -> tuple[Json, dict[str, np.ndarray]]:
    """The header (without its table) and the arrays of a block made by `pack`."""
    start = 4 + struct.unpack_from("<I", block)[0]
    header = json.loads(block[4:start])
    arrays = {}
    for name, entry in header.pop("arrays").items():
        kind = np.dtype(entry["type"]).newbyteorder("<")
        count = int(np.prod(entry["shape"]))
        arrays[name] = np.frombuffer(block, kind, count, start).reshape(entry["shape"])
        start += -(-count * kind.itemsize // 4) * 4
    return header, arrays


def body_block(name: str, faces: Int[np.ndarray, "faces 3"], vertices: int, regions: Regions) -> bytes:
    """What is the same for all meshes of a body.

    Header: ``body``, ``vertices`` (V), ``parts``: name, side and region ids of every part. Arrays: ``faces`` (F, 3);
    ``regionOfFace`` (F,); ``regionVertices``, the vertex ids of all regions one after another, and ``regionEnds``
    (R,), where each region's end in it.
    """
    index = np.uint16 if vertices <= 1 << 16 else np.uint32
    of_face = np.zeros(len(faces), np.uint8)
    for region, ids in enumerate(regions.faces):
        of_face[ids] = region
    parts = [{"name": part.name, "side": str(part.side), "regions": ids} for part, ids in regions.parts.items()]
    return pack(
        {"body": name, "vertices": vertices, "parts": parts},
        {
            "faces": faces.astype(index),
            "regionOfFace": of_face,
            "regionVertices": np.concatenate(regions.vertices).astype(index),
            "regionEnds": np.cumsum([len(ids) for ids in regions.vertices]).astype(np.uint32),
        },
    )


def mesh_block(vertices: Float[np.ndarray, "people vertices 3"], K: Float[np.ndarray, "3 3"]) -> bytes:
    """Posed people, quantised: vertex = ``centre`` + ``scale`` * int16, in metres of the camera's frame.

    Over people who are 3 m apart the error stays below 0.05 mm. Header: ``centre`` (3), ``scale``, ``K`` (3, 3) of
    the photograph. Array: ``vertices`` (P, V, 3).

    Raises:
        ValueError: a vertex is not finite.
    """
    flat = vertices.reshape(-1, 3).astype(np.float64)
    if not (flat.size and np.isfinite(flat).all()):
        raise ValueError("vertices must be finite numbers")
    low, high = flat.min(0), flat.max(0)
    centre, scale = (low + high) / 2, max(float((high - low).max()) / 2 / 32767, 1e-9)
    steps = np.round((flat - centre) / scale).astype(np.int16).reshape(vertices.shape)
    return pack({"centre": _plain(centre), "scale": scale, "K": _plain(K)}, {"vertices": steps})


def heat_block(depth: Float[np.ndarray, "people vertices"]) -> bytes:
    """How deep every vertex lies inside the other person, 0 outside; header ``step``: metres of one unit."""
    steps = np.clip(np.round(depth / HEAT_STEP_M), 0, 255).astype(np.uint8)
    return pack({"step": HEAT_STEP_M}, {"depth": steps})


def _plain(values: np.ndarray) -> Sequence[float]:
    return np.asarray(values, float).tolist()


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 4)
