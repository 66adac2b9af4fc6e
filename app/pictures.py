"""Pictures and vertices of a pair's meshes for the page: made when asked for; finished pictures are kept as files."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Float

from app.meshes import Meshes, Picture, Source, crop_box
from app.solids import body_block, heat_block, mesh_block
from apu.body.collide import penetration
from apu.body.model import BodyModel, load_body
from apu.body.regions import Regions, regions_of
from apu.camera import crop_camera, project
from apu.errors import FitError, InputError
from apu.files import load_npz
from apu.fit import initial_params
from apu.formats import read_image
from apu.render import highlight, person_colours, rasterize, view
from apu.types import BodyParams, Contact, PairObservation
from review_db import PairRecord, Workspace
from review_db.edits import rebuild
from review_db.sheets import as_history

LONGEST_PHOTO = 1600
LONGEST_OVERLAY = 900
STILL = (480, 512)
"""Sizes in pixels; the panels are at most 700 wide."""

_KEPT = 24
_OF_PAIR = re.compile(r"(?:photo|guess|start|fit|job|fan)-(\d+)")
_LIT = 0.65
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Posed meshes with the contacts that light them up."""

    observation: PairObservation
    vertices: np.ndarray
    contacts: tuple[Contact, ...]


class Pictures:
    """Draws what the page shows of a workspace.

    Args:
        workspace: where pairs, fits and jobs are. folder: for finished pictures; may be emptied at any time.
        body: the body model's file, None for the shipped one; loaded at its first use.
    """

    def __init__(self, workspace: Workspace, folder: Path, *, body: Path | None = None) -> None:
        self._workspace, self._folder, self._body_file = workspace, folder, body
        self._scenes: OrderedDict[Meshes, Scene] = OrderedDict()
        self._guesses: OrderedDict[int, BodyParams] = OrderedDict()
        self._joints: OrderedDict[Meshes, np.ndarray] = OrderedDict()
        self._loading, self._posing, self._drawing = threading.Lock(), threading.Lock(), threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def body(self) -> BodyModel:
        """The body model, loaded once."""
        with self._loading:
            return self._loaded[0]

    @cached_property
    def _loaded(self) -> tuple[BodyModel, Regions]:
        body = load_body(self._body_file)
        return body, regions_of(body)

    def check(self, record: PairRecord) -> None:
        """Make sure that a pair's meshes can be shown.

        Raises:
            FitError: the fit was made with another body, or there is nothing to make a first guess from.
        """
        if record.fits:
            self._same_body(record.fits[-1].body)
        elif not record.observation.estimate.valid.all():
            self._guess(record)

    def photograph(self, pair: int) -> bytes:
        """The crop of both people as JPEG; errors as `picture`."""
        self._workspace.pair(pair)  # one that was forgotten meanwhile has no pictures any more, kept or not
        return self._keep(f"photo-{pair}.jpg", lambda: self._crop(pair))

    def picture(self, meshes: Meshes, picture: Picture) -> bytes:
        """Meshes as WebP; pictures of a running job are not kept.

        Raises:
            ValueError: there is no such pair, fit or job.
            FitError: a pair has no first guess.
            InputError: a running job has no preview (any more).
        """
        self._workspace.pair(meshes.pair)
        if meshes.source is Source.JOB:
            with self._drawing:
                return self._draw(self._scene(meshes), picture)
        return self._keep(f"{meshes.name}-{picture}.webp", lambda: self._draw(self._scene(meshes), picture))

    @cached_property
    def body_solid(self) -> bytes:
        """Faces and regions of the body for the 3D view, see `app.solids.body_block`."""
        body, regions = self.body, self._loaded[1]
        return body_block(body.name, body.faces, body.num_vertices, regions)

    def solid(self, meshes: Meshes) -> bytes:
        """The vertices of meshes, see `app.solids.mesh_block`; errors as `picture`."""
        self._workspace.pair(meshes.pair)
        scene = self._scene(meshes)
        return mesh_block(scene.vertices, scene.observation.camera.K)

    def heat(self, meshes: Meshes) -> bytes:
        """How deep the meshes reach into each other, see `app.solids.heat_block`; errors as `picture`."""
        self._workspace.pair(meshes.pair)
        vertices = torch.as_tensor(self._scene(meshes).vertices)
        with self._drawing:
            depth, _ = penetration(vertices, self.body.faces)
        return heat_block(depth.cpu().numpy())

    def vertices(self, meshes: Meshes) -> Float[np.ndarray, "people vertices 3"]:
        """Where the meshes are, metres in the camera's frame; errors as `picture`."""
        self._workspace.pair(meshes.pair)
        return self._scene(meshes).vertices

    def sweep(self) -> None:
        """Remove the finished pictures of pairs that were forgotten, Gradio's copies of them too."""
        of_pairs: dict[int, list[Path]] = {}
        for path in self._folder.parent.rglob("*-*.*"):
            if match := _OF_PAIR.match(path.name):
                of_pairs.setdefault(int(match[1]), []).append(path)
        seen = {*of_pairs, *(meshes.pair for meshes in list(self._scenes)), *list(self._guesses)}
        gone = {pair for pair in seen if not self._workspace.has_pair(pair)}
        for pair in gone:
            self._guesses.pop(pair, None)
            for path in of_pairs.get(pair, ()):
                path.unlink(missing_ok=True)
        for meshes in [meshes for meshes in list(self._scenes) if meshes.pair in gone]:
            self._scenes.pop(meshes, None)

    def _keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        path = self._folder / name
        if path.is_file():
            return path.read_bytes()
        with self._drawing:
            data = make()
            part = path.with_suffix(".part")
            part.write_bytes(data)
            part.replace(path)
        return data

    def _crop(self, pair: int) -> bytes:
        record = self._workspace.pair(pair)
        x0, y0, x1, y1 = crop_box(record.observation)
        crop = read_image(record.image.path).rgb[y0:y1, x0:x1]
        crop = cv2.resize(crop, _fitted(crop.shape[1], crop.shape[0], LONGEST_PHOTO), interpolation=cv2.INTER_AREA)
        return _encode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])

    def _scene(self, meshes: Meshes) -> Scene:
        with self._posing:
            return _remember(self._scenes, meshes, lambda: self._pose(meshes))

    def joints(self, meshes: Meshes) -> np.ndarray:
        """(2, 67, 2) pixels: where meshes have the keypoints in the photograph; errors as `picture`."""

        def place() -> np.ndarray:
            record = self._workspace.pair(meshes.pair)
            return project(self.body.keypoints(self._shown(meshes, record)[0]), record.observation.camera)

        return _remember(self._joints, meshes, place)

    def _pose(self, meshes: Meshes) -> Scene:
        record = self._workspace.pair(meshes.pair)
        params, contacts = self._shown(meshes, record)
        return Scene(observation=record.observation, vertices=self.body.forward(params).vertices, contacts=contacts)

    def _shown(self, meshes: Meshes, record: PairRecord) -> tuple[BodyParams, tuple[Contact, ...]]:
        """The parameters of some meshes, and the contacts that light them up."""
        if meshes.source is Source.GUESS:
            return self._guess(record), _contacts_at(record, meshes.number)
        if meshes.source is Source.JOB:
            return self._running(meshes), record.sheet.active
        if meshes.source is Source.FAN:
            fit = self._workspace.fans.fit(meshes.pair, meshes.number)
        elif meshes.number in {fit.id for fit in record.fits}:
            fit = self._workspace.fit(meshes.number)
        else:
            raise ValueError(f"pair {meshes.pair} has no fit {meshes.number}")
        self._same_body(fit.body)
        return fit.start if meshes.source is Source.START else fit.params, fit.contacts

    def _guess(self, record: PairRecord) -> BodyParams:
        return _remember(self._guesses, record.summary.id, lambda: initial_params(record.observation, self.body))

    def _same_body(self, name: str) -> None:
        if name != self.body.name:
            raise FitError(f"this fit was made with the body {name!r}, not with {self.body.name!r}; fit again")

    def _running(self, meshes: Meshes) -> BodyParams:
        job = self._workspace.jobs.get(meshes.number)
        if job.pair != meshes.pair or job.preview is None:
            raise InputError(f"job {meshes.number} of pair {meshes.pair} has no preview")
        return BodyParams(**load_npz(job.preview))

    def _colours(self, scene: Scene) -> np.ndarray:
        """Each person's tint, and on the parts in contact a good deal of the colour of the person's own side."""
        regions = self._loaded[1]
        tints = lit = person_colours(*scene.vertices.shape[:2])
        for contact in scene.contacts:
            for person, part in enumerate(contact.parts):
                lit = highlight(lit, person, regions.part_vertices(part), part.side)
        return (1 - _LIT) * tints + _LIT * lit

    def _draw(self, scene: Scene, picture: Picture) -> bytes:
        if picture is Picture.OVERLAY:
            return self._overlay(scene)
        seen = view(scene.vertices, self.body.faces, picture.value, STILL, colours=self._colours(scene))
        return _encode(".webp", cv2.cvtColor(seen, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 85])

    def _overlay(self, scene: Scene) -> bytes:
        """The plain tints, so that the photograph's own contacts stay visible through them; clear elsewhere."""
        x0, y0, x1, y1 = crop_box(scene.observation)
        size = _fitted(x1 - x0, y1 - y0, LONGEST_OVERLAY)
        camera = crop_camera(scene.observation.camera, np.array([x0, y0, x1, y1], float), size)
        raster = rasterize(scene.vertices, self.body.faces, camera)
        alpha = raster.coverage[..., None]
        straight = np.concatenate([raster.colour[..., ::-1] / np.maximum(alpha, 1e-6), alpha], axis=-1)
        pixels = (np.clip(straight, 0, 1) * 255).astype(np.uint8)
        return _encode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 85])


def _contacts_at(record: PairRecord, revision: int) -> tuple[Contact, ...]:
    """The contacts as they stood at a revision."""
    if revision == record.sheet.revision:
        return record.sheet.active
    answers = {answer.id: answer.stated for answer in record.answers}
    return rebuild(as_history(record.history[:revision]), answers).active


def _remember(cache: "OrderedDict[K, V]", key: K, make: Callable[[], V]) -> V:
    """The value of a key, made at its first use; the oldest are forgotten."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > _KEPT:
            cache.popitem(last=False)
    return cache[key]


def _fitted(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size scaled down so that its longer side is at most `longest`."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _encode(suffix: str, pixels: np.ndarray, options: Sequence[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise InputError(f"a picture of {pixels.shape[1]} x {pixels.shape[0]} pixels could not be encoded")
    return data.tobytes()
