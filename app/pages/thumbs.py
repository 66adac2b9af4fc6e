"""Small pictures of pairs: the photograph with its meshes over it, made when one is first looked at, then kept."""

import threading
from pathlib import Path

import cv2
import numpy as np

from app.meshes import Meshes, Picture, Source
from app.pages.shell import Site
from apu.errors import ApuError, InputError

SIZE = (320, 240)
_OPACITY = 0.8
_MAKING = threading.Lock()
"""One at a time: a gallery asks for dozens, and the review page draws on the same cores."""


def thumbnail(site: Site, pair: int, *, alone: bool) -> bytes:
    """A small picture of a pair as WebP: the photograph with the latest meshes over it, or the meshes `alone`.

    A pair without meshes has its photograph. Raises ValueError where there is no such pair.
    """
    record = site.workspace.pair(pair)
    meshes = (
        Meshes(pair=pair, source=Source.FIT, number=record.fits[-1].id)
        if record.fits
        else Meshes(pair=pair, source=Source.GUESS, number=record.sheet.revision)
    )
    # The name begins as the pictures of a pair do, so that it goes with them (`Pictures.sweep`).
    path = site.scratch / f"photo-{pair}-{'alone' if alone else 'over'}-{meshes.name}.webp"
    if path.is_file():
        return path.read_bytes()
    with _MAKING:
        data = _draw(site, meshes, alone)
        _put(path, data)
    return data


def _put(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def _draw(site: Site, meshes: Meshes, alone: bool) -> bytes:
    try:
        drawn = _alone(site, meshes) if alone else _over(site, meshes)
    except (ApuError, ValueError):
        drawn = _decoded(site.pictures.photograph(meshes.pair))
    scale = min(SIZE[0] / drawn.shape[1], SIZE[1] / drawn.shape[0], 1.0)
    size = max(1, round(drawn.shape[1] * scale)), max(1, round(drawn.shape[0] * scale))
    small = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 80])
    if not done:
        raise InputError(f"the small picture of pair {meshes.pair} could not be encoded")
    return data.tobytes()


def _alone(site: Site, meshes: Meshes) -> np.ndarray:
    return _decoded(site.pictures.picture(meshes, Picture.FRONT))


def _over(site: Site, meshes: Meshes) -> np.ndarray:
    photograph = _decoded(site.pictures.photograph(meshes.pair))
    over = cv2.resize(_decoded(site.pictures.picture(meshes, Picture.OVERLAY)), photograph.shape[1::-1])
    alpha = over[..., 3:] / 255 * _OPACITY
    return (photograph * (1 - alpha) + over[..., :3] * alpha).astype(np.uint8)


def _decoded(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
