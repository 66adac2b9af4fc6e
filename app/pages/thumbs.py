"""Small pictures of pairs: made when they are first looked at, then kept."""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from app.meshes import Meshes, Picture, Source
from app.pages.shell import Site
from apu.errors import ApuError, InputError
from review_db import PairRecord

SIZE = (320, 240)
"""Pixels."""

_OPACITY = 0.8
_MAKING = threading.Lock()
"""One at a time: a gallery asks for dozens, and the review page draws on the same cores."""


def thumbnail(site: Site, record: PairRecord, *, alone: bool) -> bytes:
    """A small picture of a pair as WebP: the photograph with the latest meshes over it, or the meshes `alone`.

    A pair without meshes has its photograph.
    """
    pair = record.summary.id
    meshes = (
        Meshes(pair=pair, source=Source.FIT, number=record.fits[-1].id)
        if record.fits
        else Meshes(pair=pair, source=Source.GUESS, number=record.sheet.revision)
    )
    # The name begins as the pictures of a pair do, so that it goes with them (`Pictures.sweep`).
    name = f"photo-{pair}-{'alone' if alone else 'over'}-{meshes.name}.webp"
    return kept(site.scratch / name, lambda: _draw(site, meshes, alone))


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a file holds, made and kept there where it is not there yet; one is made at a time."""
    if path.is_file():
        return path.read_bytes()
    with _MAKING:
        data = make()
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(path)
    return data


def _draw(site: Site, meshes: Meshes, alone: bool) -> bytes:
    try:
        drawn = _alone(site, meshes) if alone else _over(site, meshes)
    except (ApuError, ValueError):
        drawn = _decoded(site.pictures.photograph(meshes.pair))
    scale = min(SIZE[0] / drawn.shape[1], SIZE[1] / drawn.shape[0], 1.0)
    size = max(1, round(drawn.shape[1] * scale)), max(1, round(drawn.shape[0] * scale))
    return encoded(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), meshes.pair)


def encoded(pixels: np.ndarray, pair: int) -> bytes:
    """Pixels (BGR) as WebP; InputError where they cannot be."""
    done, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])
    if not done:
        raise InputError(f"a picture of pair {pair} could not be encoded")
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
