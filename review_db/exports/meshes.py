"""What needs the posed bodies: meshes as GLB, contact signatures in FlickrCI3D's layout, AMASS's whole hands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apu.body.model import BodyModel
from apu.body.regions import Regions, regions_of
from apu.render import to_glb
from apu.types import Contact
from review_db.exports.arrays import amass_npz, dump
from review_db.exports.folder import put
from review_db.exports.snapshot import Item

Bodies = Callable[[str], BodyModel]
"""Gives the body model that a fit names, e.g. ``"anny-free"`` or ``"smplx"``.

Raises:
    InputError: it is not at hand; the sentence says which file to give.
"""


class GlbFiles:
    """``PAIR.glb``: both bodies in the camera's frame, turned as glTF wants it (y up, looking along -z), metres."""

    def __init__(self, folder: Path, bodies: Bodies) -> None:
        self._folder, self._bodies = folder, bodies

    def add(self, item: Item) -> None:
        """Write one pair."""
        if item.result is not None:
            body = self._bodies(item.result.body)
            data = to_glb(body.forward(item.result.params).vertices, body.faces, origin=(0.0, 0.0, 0.0))
            put(self._folder, f"{item.split or 'pairs'}/{item.id}.glb", data)

    def finish(self) -> None:
        """Nothing is left to do."""


class AmassFiles:
    """``PAIR_PERSON_stageii.npz``: one file per person, as AMASS has one per motion."""

    def __init__(self, folder: Path, bodies: Bodies) -> None:
        self._folder, self._bodies = folder, bodies

    def add(self, item: Item) -> None:
        """Write one pair."""
        if item.result is not None:
            hands = self._bodies(item.result.body).tensor("pose_mean")[75:].cpu().numpy()
            for person in (0, 1):
                data = amass_npz(item.result.params, person, hands.reshape(2, 45))
                put(self._folder, f"{item.split or 'pairs'}/{item.id}_{person}_stageii.npz", data)

    def finish(self) -> None:
        """Nothing is left to do."""


class SignatureFiles:
    """``SPLIT/interaction_contact_signature.json`` and the definition of the regions that its ids mean."""

    def __init__(self, folder: Path, bodies: Bodies, *, images: bool) -> None:
        self._folder, self._bodies, self._images = folder, bodies, images
        self._splits: dict[str, dict[str, dict[str, list[Any]]]] = {}
        self._regions: dict[str, Regions] = {}

    def add(self, item: Item) -> None:
        """Write one pair."""
        if item.result is None:
            return
        body = self._bodies(item.result.body)
        regions = self._regions.setdefault(body.name, regions_of(body))
        annotation = self._splits.setdefault(item.split or "pairs", {}).setdefault(
            item.image, {"bbxes": [], "ci_sign": []}
        )
        first = len(annotation["bbxes"])
        annotation["bbxes"] += item.record.observation.boxes.tolist()
        vertices = body.forward(item.result.params).vertices
        touching = [_nearest(contact, vertices, regions) for contact in item.record.sheet.active]
        mesh = {
            "region_id": [pair for pair, _ in touching],
            "vertex_id": [pair for _, pair in touching],
            "face_id": [],
        }
        annotation["ci_sign"].append({"person_ids": [first, first + 1], "smplx": mesh, "pair": item.id})
        if self._images:
            put(self._folder, f"images/{item.image}", item.photograph())

    def finish(self) -> None:
        """Write the files."""
        for name, split in self._splits.items():
            put(self._folder, f"{name}/interaction_contact_signature.json", dump(split) + b"\n")
        for name, regions in self._regions.items():
            faces = [ids.tolist() for ids in regions.faces]
            values = {"rid_to_smplx_fids": faces, "names": list(regions.names), "body": name}
            put(self._folder, f"contact_regions_{name}.json", dump(values) + b"\n")


def _nearest(contact: Contact, vertices: np.ndarray, regions: Regions) -> tuple[list[int], list[int]]:
    """Where the two parts come closest in the fit: (regions, vertices), of person 0 and 1 each."""
    from scipy.spatial import KDTree

    ids = [regions.part_vertices(part) for part in contact.parts]
    distance, other = map(np.asarray, KDTree(vertices[1][ids[1]]).query(vertices[0][ids[0]]))
    first = int(distance.argmin())
    nearest = [int(ids[0][first]), int(ids[1][other[first]])]
    touched = [
        next(region for region in regions.of_part(part) if vertex in regions.vertices[region])
        for part, vertex in zip(contact.parts, nearest, strict=True)
    ]
    return touched, nearest
