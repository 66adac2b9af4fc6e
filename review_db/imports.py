"""Exports brought back: pairs with their answers, fits, history and decisions, all of them or none.

A row is taken over when the workspace then says of it exactly what the row says: what does not follow from its history
and facts is refused before anything is stored.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from apu.body.parts import PARTS
from apu.errors import ApuError, StoreError
from apu.files import MIB, load_npz
from apu.types import Contact, ContactAnswer, FitResult, PairObservation, Verdict
from review_db import changes, details
from review_db.codec import pack_fit, pack_observation
from review_db.database import insert, now, one, sqlite3
from review_db.edits import Entry, StatedContact, Suggestion, Undo, from_json, rebuild, to_json
from review_db.exports.arrays import dump
from review_db.exports.entry import entry
from review_db.exports.read import Manifest, read_entries, read_manifest
from review_db.exports.snapshot import ARTEFACTS, IMAGES, beside_of
from review_db.files import Files
from review_db.forget import refuse_forgotten
from review_db.sheets import CONTACTS, STATED, curator_id, load_sheet, store_sheet
from review_db.workspace import IMAGE_SUFFIXES, NEXT_PAIR, Workspace

_MAX_ARTEFACT_BYTES = 16 * MIB

_Number = Annotated[int, Field(ge=1, lt=2**53)]
_Whole = Annotated[int, Field(ge=0, lt=2**53)]
_Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Positive = Annotated[FiniteFloat, Field(ge=0)]
_Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$")]
_Curator = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Artefact = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\.npz$")]
_ImageName = Annotated[str, Field(min_length=5, max_length=255, pattern=r"^[^/\\\x00]+\.[A-Za-z]{3,4}$")]
_Contacts = Annotated[tuple[Contact, ...], Field(max_length=500)]
_Both = tuple[_Positive, _Positive]


class _Values(BaseModel):
    """What a row must hold; what follows from the rest is compared at the end."""

    model_config = ConfigDict(frozen=True)


class _Image(_Values):
    name: _ImageName
    sha256: _Sha256
    size: tuple[_Number, _Number]
    source: str
    action: str


class _Answer(_Values):
    number: _Number
    asker: str
    model: str
    prompt_id: str
    status: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    message: str
    raw: str
    seconds: FiniteFloat
    asked_at: str
    interaction: str = ""
    people: tuple[str, str] = ("", "")
    orientation: str = ""
    usage: dict[str, _Whole] = {}
    simulated: bool = False
    contacts: _Contacts = ()
    suggestions: Annotated[tuple[Suggestion | None, ...], Field(max_length=500)] = ()


class _Decision(_Values):
    number: _Number
    verdict: Verdict
    curator: _Curator
    fit: _Number | None
    reason: str
    note: str
    revision: _Number
    made_at: _Time


class _Review(_Values):
    curator: _Curator
    verdict: Verdict
    reason: str
    note: str
    edits: Annotated[list[dict[str, Any]], Field(max_length=500)]
    contacts: _Contacts
    asked_at: _Time
    judged_at: _Time
    settled_at: _Time | None


class _Step(_Values):
    revision: _Number
    edit: dict[str, Any]
    curator: Literal[""] | _Curator
    made_at: _Time


class _Fit(_Values):
    number: _Number
    arrays: _Artefact
    revision: _Whole
    swapped: bool
    gaps_m: list[_Positive]
    reprojection_512: _Both
    reprojection_px: _Both
    max_gap_m: _Positive
    max_penetration_m: _Positive
    mean_penetration_m: _Positive
    kept: bool
    stop: str
    seconds: FiniteFloat
    iterations: _Whole
    device: str
    body: str
    seed: _Seed
    options: dict[str, Any]
    contacts: _Contacts
    curator: Literal[""] | _Curator
    made_at: _Time


class _Row(_Values):
    id: _Number
    image: _Image
    observation: _Artefact
    answer: _Answer | None
    other_answers: Annotated[tuple[_Answer, ...], Field(max_length=500)]
    history: Annotated[tuple[_Step, ...], Field(max_length=2000)]
    fit: _Fit | None
    other_fits: Annotated[tuple[_Fit, ...], Field(max_length=200)]
    decisions: Annotated[tuple[_Decision, ...], Field(max_length=500)]
    reviews: Annotated[tuple[_Review, ...], Field(max_length=100)]
    updated_at: _Time

    def answers(self) -> Sequence[_Answer]:
        """All answers by number."""
        return _numbered(([self.answer] if self.answer else []) + list(self.other_answers), "answers")

    def fits(self) -> Sequence[_Fit]:
        """All fits by number."""
        return _numbered(([self.fit] if self.fit else []) + list(self.other_fits), "fits")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        pairs, images: how many were added. known: pairs that were there already, with equal content.
    """

    pairs: int
    known: int
    images: int


def import_decisions(workspace: Workspace, path: Path) -> Imported:
    """Take over an export of the form apu: all of it, or nothing.

    Photographs must be in the workspace or in the export. Pairs keep their numbers where those are free. A pair that is
    there already must have equal content: two people's work on one pair is joined by merging workspaces.

    Raises:
        StoreError: the export is incomplete or changed, or a row cannot be taken over; the sentence names the row.
    """
    manifest = read_manifest(path)
    import_ = _Import(manifest, workspace)
    with workspace.database.write() as connection:
        for row, values in read_entries(manifest):
            import_.take(connection, row, values)
        import_.copy_files()
    return Imported(pairs=import_.pairs, known=import_.known, images=len(import_.images))


class _Import:
    """One import under way inside one transaction; files are copied at its end, when every row has been accepted."""

    def __init__(self, manifest: Manifest, workspace: Workspace) -> None:
        self._manifest, self._workspace = manifest, workspace
        self._incoming = Files(manifest.path)
        self._artefacts: dict[str, None] = {}
        self.images: dict[str, None] = {}
        self.pairs = self.known = 0

    def take(self, connection: sqlite3.Connection, row: int, values: Mapping[str, Any]) -> None:
        """Store one row, or name it in the error."""
        try:
            self._take(connection, _Row.model_validate(values), values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise self._refused(row, values, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (ApuError, ValueError, LookupError, TypeError, OverflowError, sqlite3.IntegrityError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise self._refused(row, values, reason) from error

    def copy_files(self) -> None:
        """Put the files of the accepted rows into the workspace."""
        for name in self._artefacts:
            self._workspace.files.put("artefacts", self._incoming.get("artefacts", name), ".npz")
        for name in self.images:
            self._workspace.files.put("images", self._incoming.get("images", name), Path(name).suffix)

    def _refused(self, row: int, values: Mapping[str, Any], reason: str) -> StoreError:
        image = values.get("image")
        name = image.get("name") if isinstance(image, dict) else None
        where = f"row {row} (pair {values.get('id')!r:.20}, {name!r:.80})"
        return StoreError(f"{self._manifest.path}: {where} cannot be taken over, and nothing was: {reason[:500]}")

    def _take(self, connection: sqlite3.Connection, row: _Row, values: Mapping[str, Any]) -> None:
        image = self._image(connection, row.image)
        key = (image, row.observation)
        known = connection.execute("SELECT id FROM pairs WHERE image_id = ? AND observation = ?", key).fetchone()
        if known:
            self._compare(connection, known["id"], self._workspace.files, values, "the workspace's pair {0} differs in")
            self.known += 1
            return
        names = [row.observation, *(fit.arrays for fit in row.fits())]
        for name in names:
            self._check_artefact(name)
        observation = _check_observation(self._load(row.observation))
        pair = self._insert_pair(connection, image, row, observation)
        _insert_work(connection, pair, row)
        self._compare(connection, pair, self._incoming, values, "its history and facts do not give its")
        self._artefacts |= dict.fromkeys(names)
        self.pairs += 1

    def _image(self, connection: sqlite3.Connection, image: _Image) -> int:
        """The id of the photograph, which is added when the export carries it."""
        refuse_forgotten(connection, image.sha256, image.name)
        size = connection.execute("SELECT id, width, height FROM images WHERE sha256 = ?", (image.sha256,)).fetchone()
        if size:
            if (size["width"], size["height"]) != image.size:
                raise ValueError(f"its photograph has {size['width']} x {size['height']} pixels in the workspace")
            return size["id"]
        suffix = Path(image.name).suffix.lower()
        file = f"{IMAGES}/{image.sha256}{suffix}"
        if suffix not in IMAGE_SUFFIXES or self._manifest.files.get(file) != image.sha256:
            raise ValueError("its photograph is neither in the workspace nor in the export; first: apu import")
        _check_image(self._manifest.path / file, image)
        self.images[Path(file).name] = None
        row = {"sha256": image.sha256, "suffix": suffix, "name": image.name, "width": image.size[0]}
        row |= {"height": image.size[1], "source": image.source, "action": image.action, "added_at": now()}
        return insert(connection, "images", row)

    def _check_artefact(self, name: str) -> None:
        """Refuse what is not in the export, is not what its name says, or claims more memory than an artefact takes."""
        if self._manifest.files.get(f"{ARTEFACTS}/{name}") != Path(name).stem:
            raise ValueError(f"its file {name} is not in the export, or is not what it is named after")

    def _load(self, name: str) -> dict[str, np.ndarray]:
        return load_npz(self._manifest.path / ARTEFACTS / name, max_bytes=_MAX_ARTEFACT_BYTES)

    def _insert_pair(self, connection: sqlite3.Connection, image: int, row: _Row, observation: dict[str, Any]) -> int:
        for fit in row.fits():
            _check_fit(self._load(fit.arrays))
        taken = "SELECT 1 FROM pairs WHERE id = ?1 UNION SELECT 1 FROM forgotten WHERE last_pair >= ?1"
        number = {} if connection.execute(taken, (row.id,)).fetchone() else {"id": row.id}
        if not number:
            number = {"id": connection.execute(NEXT_PAIR).fetchone()[0]}
        same = {name: observation[name] for name in ("source", "action", "simulated")}
        times = {"created_at": row.updated_at, "updated_at": row.updated_at}
        return insert(connection, "pairs", {**number, "image_id": image, "observation": row.observation} | same | times)

    def _compare(
        self, connection: sqlite3.Connection, pair: int, files: Files, values: Mapping[str, Any], sentence: str
    ) -> None:
        """Refuse a row of which the workspace would not say the same."""
        found = entry(details.pair_record(connection, files, pair), beside_of(connection, pair))
        stored, given = _content(json.loads(dump(found))), _content(values)
        different = [name for name in stored if stored[name] != given.get(name)] + sorted(given.keys() - stored.keys())
        if different:
            raise ValueError(f"{sentence.format(pair)} {different[0]}")


_OWN = ("id", "parameters", "split", "image")
"""What may differ between workspaces; of the image, its content is compared by the caller."""


def _content(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _OWN}


def _numbered(items: list[Any], what: str) -> Sequence[Any]:
    ordered = sorted(items, key=lambda item: item.number)
    if [item.number for item in ordered] != list(range(1, len(items) + 1)):
        raise ValueError(f"its {what} are not numbered from 1")
    return ordered


# Rows -----------------------------------------------------------------------------------------------------------------


def _insert_work(connection: sqlite3.Connection, pair: int, row: _Row) -> None:
    """Answers, fits, decisions, reviews, history and the sheet that they give, with their own times."""
    answers = {each.number: insert(connection, "answers", _answer_row(pair, each)) for each in row.answers()}
    fits = {each.number: insert(connection, "fits", _fit_row(connection, pair, each)) for each in row.fits()}
    decisions = {}
    for number, each in enumerate(row.decisions, 1):
        if each.number != number:
            raise ValueError("its decisions are not numbered from 1")
        values = {"verdict": each.verdict.value, "reason": each.reason, "note": each.note, "made_at": each.made_at}
        values |= {"revision": each.revision, "fit_id": None if each.fit is None else fits[each.fit], "pair_id": pair}
        values |= {"curator_id": curator_id(connection, each.curator)}
        decisions[number] = insert(connection, "decisions", values)
    ids = {"take_answer": ("answer", answers), "decide": ("decision", decisions)}
    for each in row.reviews:
        values = each.model_dump(mode="json", exclude={"curator"})
        values["edits"] = json.dumps([to_json(_edit(edit, ids)) for edit in each.edits])
        values["contacts"] = CONTACTS.dump_json(each.contacts).decode()
        insert(connection, "reviews", values | {"pair_id": pair, "curator_id": curator_id(connection, each.curator)})
    history = list(_history(row, ids))
    for step, (curator, edit) in zip(row.history, history, strict=True):
        plain = to_json(edit)
        values = {"pair_id": pair, "revision": step.revision, "kind": plain["kind"], "edit": json.dumps(plain)}
        by = curator_id(connection, curator) if curator else None
        insert(connection, "edits", values | {"curator_id": by, "made_at": step.made_at})
    stated = {answers[each.number]: _stated(each) for each in row.answers() if each.status == "ok"}
    sheet = rebuild(history, stated)
    _check_parts(line.contact for line in sheet.contacts)
    _check_parts(contact for each in (*row.fits(), *row.reviews) for contact in each.contacts)
    store_sheet(connection, pair, sheet, time=row.updated_at)


_Ids = Mapping[str, tuple[str, Mapping[int, int]]]
"""By an edit's kind: its field that holds a number within the pair, and this workspace's ids by number."""


def _edit(edit: Mapping[str, Any], ids: _Ids) -> Entry:
    """An edit with this workspace's ids."""
    field, by_number = ids.get(edit.get("kind", ""), ("", {}))
    return from_json({**edit, **({field: by_number[edit[field]]} if field else {})})


def _history(row: _Row, ids: _Ids) -> Iterator[tuple[str, Entry]]:
    """The entries with this workspace's ids."""
    for revision, step in enumerate(row.history, 1):
        if step.revision != revision:
            raise ValueError("its history is not numbered from 1")
        edit = _edit(step.edit, ids)
        if isinstance(edit, Undo) and not edit.revision < revision:
            raise ValueError(f"its edit {revision} takes back a later one")
        yield step.curator, edit


def _stated(answer: _Answer) -> tuple[StatedContact, ...]:
    if len(answer.suggestions) != len(answer.contacts):
        raise ValueError(f"its answer {answer.number} needs one suggestion or null per contact")
    _check_parts(answer.contacts)
    both = zip(answer.contacts, answer.suggestions, strict=True)
    return tuple(StatedContact(contact=contact, suggestion=suggestion) for contact, suggestion in both)


def _check_parts(contacts: Iterable[Contact]) -> None:
    for part in (part for contact in contacts for part in contact.parts):
        if part.name not in PARTS:
            raise ValueError(f"there is no body part {part.name!r:.60}")


def _answer_row(pair: int, answer: _Answer) -> dict[str, Any]:
    same = ("asker", "model", "prompt_id", "status", "message", "raw", "seconds", "asked_at", "interaction",
            "orientation", "simulated")  # fmt: skip
    stated = _stated(answer)
    return {name: getattr(answer, name) for name in same} | {
        "pair_id": pair,
        "people": json.dumps(answer.people),
        "usage": json.dumps(answer.usage),
        "stated": STATED.dump_json(stated).decode(),
        "uncertainty": float(np.mean([each.doubt for each in stated])) if stated else 1.0,
    }


def _fit_row(connection: sqlite3.Connection, pair: int, fit: _Fit) -> dict[str, Any]:
    same = ("revision", "swapped", "max_gap_m", "max_penetration_m", "mean_penetration_m", "kept", "stop", "seconds",
            "iterations", "device", "body", "seed", "made_at")  # fmt: skip
    if len(fit.gaps_m) != len(fit.contacts):
        raise ValueError(f"its fit {fit.number} needs one gap per contact")
    errors = {f"reprojection_{unit}_{person}": value for unit in ("512", "px")
              for person, value in zip("ab", getattr(fit, f"reprojection_{unit}"), strict=True)}  # fmt: skip
    return (
        {name: getattr(fit, name) for name in same}
        | errors
        | {
            "pair_id": pair,
            "file": fit.arrays,
            "gaps_m": json.dumps(fit.gaps_m),
            "contacts": CONTACTS.dump_json(fit.contacts).decode(),
            "options": json.dumps(fit.options, sort_keys=True, allow_nan=False),
            "curator_id": curator_id(connection, fit.curator) if fit.curator else None,
        }
    )


# Files ----------------------------------------------------------------------------------------------------------------

_PARAMS = {
    "global_orient": (2, 3),
    "body_pose": (2, 21, 3),
    "betas": (2, 11),
    "transl": (2, 3),
    "hand_pose": (2, 30, 3),
}
_FIT = {f"{role}.{name}": shape for role in ("params", "start") for name, shape in _PARAMS.items()}
_OBSERVATION = {
    "K": (3, 3), "boxes": (2, 4), "keypoints": (2, 67, 3), "estimate.global_orient": (2, 3),
    "estimate.body_pose": (2, 21, 3), "estimate.betas": (2, 11), "estimate.joints": (2, 22, 3), "estimate.valid": (2,),
}  # fmt: skip


class _Estimate(_Values):
    body: str
    source: str


class _ObservationMeta(_Values):
    model_config = ConfigDict(extra="forbid")

    image: str
    size: tuple[_Number, _Number]
    estimate: _Estimate
    action: str
    source: str
    simulated: bool


_Curves = TypeAdapter(dict[Literal["terms"], dict[str, list[FiniteFloat]]])


def _check_observation(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The plain values of an observation's file, whose arrays are what `review_db.codec` reads."""
    meta = _check_arrays(arrays, _OBSERVATION, "observation")
    return _ObservationMeta.model_validate_json(meta).model_dump()


def _check_fit(arrays: dict[str, np.ndarray]) -> None:
    _Curves.validate_json(_check_arrays(arrays, _FIT, "fit"))


def _check_arrays(arrays: dict[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], what: str) -> bytes:
    meta = arrays.get("meta")
    if meta is None or meta.dtype != np.uint8 or arrays.keys() != {"meta", *shapes}:
        raise ValueError(f"its {what}'s file does not hold what it must")
    for name, shape in shapes.items():
        array, kinds = arrays[name], "b" if name == "estimate.valid" else "f"
        if array.shape != shape or array.dtype.kind not in kinds or not np.isfinite(array).all():
            raise ValueError(f"its {what}'s array {name} must hold finite numbers of shape {shape}")
    return meta.tobytes()


def _check_image(path: Path, image: _Image) -> None:
    """Refuse what is no photograph of that size; decoding is left to the one loader."""
    from apu.formats.images import read_image  # with PyTorch behind it, which takes seconds to load

    found = read_image(path)
    if (found.width, found.height) != image.size:
        raise ValueError(f"its photograph has {found.width} x {found.height} pixels, not {image.size}")


# Pairs that other programs made ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NewPair:
    """A pair for `add_pairs`.

    Attributes:
        image: id of its photograph. answer: a model's, with `asker` who gave it. fit: of the answer's contacts.
    """

    image: int
    observation: PairObservation
    answer: ContactAnswer | None = None
    asker: str = "import"
    fit: FitResult | None = None


def add_pairs(workspace: Workspace, pairs: Sequence[NewPair]) -> Imported:
    """Add pairs with their answers and fits, all of them or none; those that are there already stay as they are.

    Raises:
        StoreError: the disk refuses. ValueError: an image is not there, or a number is not finite.
    """
    for pair in pairs:
        if pair.fit is not None:
            changes.check_finite(pair.fit)
    put = workspace.files.put
    observations = [put("artefacts", pack_observation(pair.observation), ".npz") for pair in pairs]
    fits = [put("artefacts", pack_fit(pair.fit), ".npz") if pair.fit else "" for pair in pairs]
    known, time = 0, now()
    with workspace.database.write() as connection:
        for pair, observation, fit in zip(pairs, observations, fits, strict=True):
            key = (pair.image, observation)
            if connection.execute("SELECT 1 FROM pairs WHERE image_id = ? AND observation = ?", key).fetchone():
                known += 1
                continue
            one(connection, "SELECT id FROM images WHERE id = ?", key[:1], missing=f"there is no image {pair.image}")
            same = {name: getattr(pair.observation, name) for name in ("source", "action", "simulated")}
            row = {"id": connection.execute(NEXT_PAIR).fetchone()[0], "image_id": pair.image, **same}
            number = insert(
                connection, "pairs", row | {"observation": observation, "created_at": time, "updated_at": time}
            )
            if pair.answer is not None:
                changes.add_answer(connection, number, pair.answer, pair.asker, ())
            if pair.fit is not None:
                revision = load_sheet(connection, number).revision
                changes.add_fit(connection, number, pair.fit, fit, revision, "")
    return Imported(pairs=len(pairs) - known, known=known, images=0)
