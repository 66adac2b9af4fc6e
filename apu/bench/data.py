"""Pairs of real, annotated data from a user's folder; docs/bench.md describes its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apu.ask.schema import parse_answer
from apu.bench.case import Case, Truth
from apu.body.model import BodyModel
from apu.errors import AnswerError, FormatError, InputError
from apu.files import MIB, read_bytes, read_json
from apu.formats.match import MIN_CONFIDENCE
from apu.formats.people import People, read_people
from apu.formats.skeletons import SKELETONS, Skeleton
from apu.metrics import joint_pa_mpjpe
from apu.synth.recipe import part
from apu.types import SMPL_JOINTS, Camera, Contact, MeshEstimate, PairObservation

PAIR, KEYPOINTS, MESHES, ANSWER = "_pair.json", "_keypoints.json", "_meshes.npz", "_contacts.json"
"""What follows the stem in the names of a pair's files; the last two may be missing."""

_METRES = {"m": 1.0, "mm": 0.001}
_SHORTEST, _TALLEST = 0.2, 4.0
"""Metres that the joints of one person span."""
_FEWEST = 3
"""Known joints that a person needs."""
_MIRRORED = 0.7
"""Truth whose mirror image is this much nearer to the first meshes was likely given in a left-handed frame."""

_strict = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_Place = tuple[float, float, float] | None


class _Image(BaseModel):
    model_config = _strict
    name: str = ""
    width: int = Field(gt=0, le=100_000)
    height: int = Field(gt=0, le=100_000)


class _Joints(BaseModel):
    model_config = _strict
    skeleton: Literal["smplx_55", "body_25", "coco_17", "kinect_v2", "nuitrack"]
    frame: Literal["camera", "world"]
    unit: Literal["m", "mm"]
    places: tuple[list[_Place], list[_Place]]


class _PairFile(BaseModel):
    model_config = _strict
    interaction: str = Field(min_length=1, max_length=100)
    image: _Image
    joints: _Joints
    people: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    contacts: list[tuple[str, str]] | None = Field(default=None, max_length=100)
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One pair of a folder, read where it is needed."""

    folder: Path
    name: str
    interaction: str = ""

    def __call__(self, body: BodyModel) -> Case:
        """The pair.

        Raises:
            InputError: a file that it needs is missing or cannot be used.
        """
        return read_case(self.folder, self.name, body)


def recorded(folder: Path) -> list[Recorded]:
    """The pairs of a folder by name.

    Raises:
        InputError: there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder that holds the pairs' files")
    stems = sorted(path.name.removesuffix(PAIR) for path in folder.glob(f"*{PAIR}"))
    if not stems:
        raise InputError(f"{folder} holds no STEM{PAIR}; see docs/bench.md for the files of a pair")
    return [Recorded(folder=folder, name=stem) for stem in stems]


def read_case(folder: Path, stem: str, body: BodyModel) -> Case:
    """Read one pair of a folder.

    Person 0 becomes the left one in the image, whatever the order of the files. What only helps (meshes, a model's
    answer) and cannot be used becomes a note of the case.

    Raises:
        InputError: the pair's description or keypoints are missing or cannot be used.
    """
    path = folder / f"{stem}{PAIR}"
    content = _parse(path)
    skeleton = SKELETONS[content.joints.skeleton]
    joints = _joints(content.joints, skeleton, path)
    contacts = _contacts(content.contacts, path)
    files = {"keypoints": folder / f"{stem}{KEYPOINTS}", "meshes": folder / f"{stem}{MESHES}"}
    if not files["meshes"].exists():
        del files["meshes"]
    size = content.image.width, content.image.height
    people = read_people(content.image.name or stem, size, files, body=body)
    observation, exchanged = _observation(people, content, stem, path)
    if exchanged:
        joints = joints[::-1]
        contacts = contacts and tuple(contact.swapped for contact in contacts)
    notes = list(people.notes)
    stated = _stated(folder / f"{stem}{ANSWER}", notes)
    if _looks_mirrored(joints, skeleton, observation.estimate):
        notes.append(
            f"{path}: the mirror image of the joints is nearer to the first meshes; is their frame left-handed?"
        )
    return Case(
        name=stem,
        interaction=content.interaction,
        observation=observation,
        truth=Truth(skeleton=content.joints.skeleton, joints=joints, in_camera=content.joints.frame == "camera"),
        contacts=contacts,
        stated=stated,
        notes=tuple(notes),
    )


def _parse(path: Path) -> _PairFile:
    try:
        return _PairFile.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole file"
        raise FormatError(f"{path} cannot be used: {where}: {first['msg']}") from None


def _joints(given: _Joints, skeleton: Skeleton, path: Path) -> Float[np.ndarray, "2 compared 3"]:
    """Comparable joints in metres, NaN where unknown."""
    count = len(skeleton.joints)
    for person, places in enumerate(given.places):
        if len(places) != count:
            raise FormatError(
                f"{path} has {len(places)} joints of person {person + 1}, but {given.skeleton} has {count}; "
                "write null for a joint that is not known"
            )
    unknown = (np.nan,) * 3
    places = np.array([[place or unknown for place in person] for person in given.places], float)
    joints = skeleton.take(places) * _METRES[given.unit]
    for person, points in enumerate(joints, 1):
        known = points[np.isfinite(points).all(-1)]
        if len(known) < _FEWEST:
            raise FormatError(
                f"{path} knows {len(known)} joints of person {person} that can be compared, fewer than {_FEWEST}"
            )
        span = float(np.ptp(known, axis=0).max())
        if not _SHORTEST < span < _TALLEST:
            raise FormatError(
                f"{path}: the joints of person {person} span {span:.3g} m; is the unit {given.unit!r} right?"
            )
    return joints


def _contacts(given: Sequence[tuple[str, str]] | None, path: Path) -> tuple[Contact, ...] | None:
    try:
        contacts = [Contact(parts=(part(a), part(b)), source="data") for a, b in given or ()]
    except ValueError as error:
        raise FormatError(f"{path} cannot be used: {error}") from None
    if len({contact.parts for contact in contacts}) < len(contacts):
        raise FormatError(f"{path} cannot be used: it lists a contact twice; list every contact once")
    return None if given is None else tuple(contacts)


def _observation(people: People, content: _PairFile, stem: str, path: Path) -> tuple[PairObservation, bool]:
    """The two people with the left one first, and whether that exchanged them."""
    found = len(people.keypoints)
    chosen = list(content.people or (0, 1))
    if (content.people is None and found != 2) or max(chosen) >= found or chosen[0] == chosen[1]:
        raise FormatError(
            f"{path}: its keypoints hold {found} people; 'people' must name the two of the pair, counted from 0"
        )
    boxes = np.array([_box(person, people.camera) for person in people.keypoints[chosen]], np.float32)
    centres = boxes[:, 0] + boxes[:, 2]
    exchanged = bool(centres[1] < centres[0])
    order = [1, 0] if exchanged else [0, 1]
    chosen = [chosen[i] for i in order]
    observation = PairObservation(
        image=content.image.name or stem,
        camera=people.camera,
        boxes=boxes[order],
        keypoints=people.keypoints[chosen],
        estimate=people.estimate.take(chosen),
        action=content.interaction,
        simulated=content.simulated,
    )
    return observation, exchanged


def _box(person: Float[np.ndarray, "67 3"], camera: Camera) -> Float[np.ndarray, "4"]:
    """Of the confident keypoints; the whole image where there are none."""
    seen = person[person[:, 2] >= MIN_CONFIDENCE, :2]
    if not len(seen):
        return np.array([0.0, 0.0, camera.width, camera.height])
    return np.concatenate([seen.min(0), seen.max(0)]).astype(float)


def _stated(path: Path, notes: list[str]) -> tuple[Contact, ...] | None:
    """A model's contacts; None, with a note, where the file cannot be used, and without one where there is none."""
    if not path.exists():
        return None
    try:
        text = read_bytes(path, max_bytes=MIB).decode("utf-8-sig")
        return parse_answer(text, model=path.name).contacts
    except (InputError, AnswerError, UnicodeDecodeError) as error:
        notes.append(f"{path} cannot be used, so the pair goes on without a model's answer: {error}")
        return None


def _looks_mirrored(joints: Float[np.ndarray, "2 compared 3"], skeleton: Skeleton, estimate: MeshEstimate) -> bool:
    if not estimate.valid.all():
        return False
    common = [name for name in SMPL_JOINTS if name in skeleton.compared]
    truth = joints[:, [skeleton.compared.index(name) for name in common]]
    guess = estimate.joints[:, [SMPL_JOINTS.index(name) for name in common]]
    error = partial(joint_pa_mpjpe, guess.astype(float))
    return error(truth * (-1, 1, 1)) < _MIRRORED * error(truth)
