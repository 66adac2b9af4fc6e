"""Out of the workspace: the paper's data file, SMPL-X parameters per pair, a manifest; and back in.

The folder holds ``pairs.json`` (a dictionary per pair), ``PAIR_ID.npz`` (SMPL-X parameters), ``README.md`` and
``manifest.json`` (SHA-256 of the others). Nothing in it depends on when or where it was written: equal data give
equal bytes.
"""

import hashlib
import json
import os
import platform
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from apu.errors import InputError, StoreError
from apu.files import load_npz, read_json
from apu.types import KEYPOINTS, NUM_BETAS, BodyParams, Camera, Contact, FitResult
from review_db import details
from review_db.database import sentences
from review_db.edits import to_json
from review_db.records import AnswerRecord, EditRecord, ExportedPair, FitRecord, PairRecord, PairState
from review_db.sheets import CONTACT, CONTACTS
from review_db.workspace import Workspace

FORMAT = "apu-review export 1"

_CARD = """# Pairs of people in close contact

{pairs} pairs, {simulated} of them simulated (rendered by the program, no photograph). State of {as_of} (UTC).

- `pairs.json`: per pair the image's name and boxes, interaction, 2D keypoints, the model's answer, the contacts as they
  stand with their history, the decision (who, when), the fit's figures, and the name of its parameters file.
- `ID.npz`: SMPL-X parameters of both people (first axis; 0 is the left one in the image) in the camera's frame (OpenCV
  axes, metres, radians) and the intrinsics `K` in pixels. Load with `use_pca=False, flat_hand_mean=False`; `betas` are
  10 of SMPL-X and the interpolation from adult (0) to child (1). Body models: {body}.
- `manifest.json`: SHA-256 of every file, counts, versions, settings.
"""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an export holds.

    Attributes:
        path: the folder. pairs, simulated: number of pairs, and of those made by the program.
        skipped: pairs asked for that have no fit, by id.
        files: SHA-256 by file name. body: number of pairs by body model.
        versions: of the programs that wrote it. settings: of the export.
        as_of: time of the latest change in it, UTC.
    """

    path: Path
    pairs: int
    simulated: int
    skipped: tuple[int, ...]
    files: Mapping[str, str]
    body: Mapping[str, int]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    as_of: str


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export read back, every file checked against the manifest."""

    manifest: Manifest
    pairs: tuple[ExportedPair, ...]


def export(workspace: Workspace, out: Path, *, all_pairs: bool = False) -> Manifest:
    """Write the accepted pairs (or all that have a fit) to the new folder `out`, from one moment's state.

    The folder appears only when it is complete; an interrupted export leaves at most a hidden ``.NAME.partial-*``
    beside it.

    Raises:
        StoreError: `out` exists and is not empty, there is nothing to export, or the disk refuses.
    """
    out = Path(out).absolute()
    with sentences(out):
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise StoreError(f"{out} exists and is not empty; choose a new folder")
        with _appearing(out) as folder:
            entries, skipped = _write_pairs(workspace, folder, all_pairs)
            if not entries:
                wanted = (
                    "no pair has a fit yet" if all_pairs else "no pair is accepted yet; use --all for all with a fit"
                )
                raise StoreError(f"nothing to export: {wanted}")
            manifest = _summarise(entries, skipped, {"all_pairs": all_pairs})
            _write(folder / "README.md", _card(manifest).encode())
            manifest["files"] = {path.name: _sha256(path.read_bytes()) for path in sorted(folder.iterdir())}
            _write(folder / "manifest.json", _dump(manifest))
    return _manifest(out, manifest)


def _write_pairs(workspace: Workspace, folder: Path, all_pairs: bool) -> tuple[list[dict[str, Any]], list[int]]:
    states = [state.value for state in PairState if all_pairs or state is PairState.ACCEPTED]
    entries, skipped = [], []
    with workspace.database.read() as connection:
        wanted = "SELECT id FROM pairs WHERE state IN (SELECT value FROM json_each(?)) ORDER BY id"
        for (pair,) in connection.execute(wanted, (json.dumps(states),)).fetchall():
            record = details.pair_record(connection, workspace.files, pair)
            fit = _fit_to_export(record)
            if fit is None:
                skipped.append(pair)
                continue
            result = details.fit_result(connection, workspace.files, fit.id)
            _write(folder / f"{pair}.npz", _parameters(result, record.observation.camera))
            entries.append(_entry(record, fit))
    _write(folder / "pairs.json", _dump({"format": FORMAT, "keypoint_names": KEYPOINTS, "pairs": entries}))
    return entries, skipped


def _fit_to_export(record: PairRecord) -> FitRecord | None:
    """The decided fit, else the latest."""
    decided = record.decision.decision.fit_id if record.decision else None
    fits = [fit for fit in record.fits if decided in (None, fit.id)]
    return fits[-1] if fits else None


def _parameters(fit: FitResult, camera: Camera) -> bytes:
    params = fit.params
    flat = {name: array.reshape(2, -1) for name, array in params.arrays().items()}
    left, right = np.split(flat.pop("hand_pose"), 2, axis=1)
    still = {name: np.zeros((2, size), np.float32) for name, size in _STILL.items()}
    buffer = BytesIO()
    arrays = flat | {"left_hand_pose": left, "right_hand_pose": right} | still
    np.savez(buffer, allow_pickle=False, **arrays, K=camera.K, image_size=np.array([camera.width, camera.height]))
    return buffer.getvalue()


_STILL = {"jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "expression": 10}
"""What SMPL-X poses and this program does not."""


def _entry(record: PairRecord, fit: FitRecord) -> dict[str, Any]:
    observation, decision = record.observation, record.decision
    return {
        "id": record.summary.id,
        "image": {"name": record.image.name, "sha256": record.image.sha256, "size": record.image.size},
        "source": observation.source,
        "simulated": observation.simulated,
        "action": observation.action,
        "boxes": observation.boxes.tolist(),
        "keypoints": observation.keypoints.tolist(),
        "parameters": f"{record.summary.id}.npz",
        "body": fit.body,
        "interaction": record.summary.interaction,
        "answer": _answer(record.answer),
        "people_swapped": record.sheet.swapped,
        "contacts": [
            {
                "id": line.id,
                "contact": CONTACT.dump_python(line.contact, mode="json"),
                "original": CONTACT.dump_python(line.original, mode="json"),
                "dropped": line.dropped,
                "edited_by": line.edited_by,
            }
            for line in record.sheet.contacts
        ],
        "note": record.sheet.note,
        "history": [_history(entry) for entry in record.history],
        "fit": _fit(fit),
        "state": record.summary.state,
        "decision": decision
        and {
            "verdict": decision.decision.verdict,
            "curator": decision.decision.curator,
            "reason": decision.decision.reason,
            "note": decision.decision.note,
            "made_at": decision.made_at,
        },
        "updated_at": record.summary.updated_at,
    }


def _answer(record: AnswerRecord | None) -> dict[str, Any] | None:
    if record is None or record.answer is None:
        return None
    answer = record.answer
    same = ("interaction", "people", "orientation", "raw", "model", "prompt_id", "seconds", "asked_at", "simulated")
    values = {name: getattr(answer, name) for name in same}
    contacts = CONTACTS.dump_python(answer.contacts, mode="json")
    return {"asker": record.asker, **values, "usage": dict(answer.usage), "contacts": contacts}


def _history(entry: EditRecord) -> dict[str, Any]:
    same = ("revision", "curator", "made_at", "undone")
    return {"edit": to_json(entry.edit), **{name: getattr(entry, name) for name in same}}


def _fit(fit: FitRecord) -> dict[str, Any]:
    same = (
        "id", "revision", "stale", "swapped", "gaps_m", "max_gap_m", "reprojection_512", "reprojection_px",
        "max_penetration_m", "mean_penetration_m", "kept", "stop", "seconds", "iterations", "device", "body", "seed",
        "curator", "made_at",
    )  # fmt: skip
    contacts = CONTACTS.dump_python(fit.contacts, mode="json")
    return {name: getattr(fit, name) for name in same} | {"options": dict(fit.options), "contacts": contacts}


def _summarise(entries: list[dict[str, Any]], skipped: list[int], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "pairs": len(entries),
        "simulated": sum(entry["simulated"] for entry in entries),
        "skipped": skipped,
        "body": dict(sorted(Counter(entry["body"] for entry in entries).items())),
        "versions": {"apu-review": version("apu-review"), "numpy": np.__version__, "python": platform.python_version()},
        "settings": dict(settings),
        "as_of": max(entry["updated_at"] for entry in entries),
    }


def _card(manifest: Mapping[str, Any]) -> str:
    return _CARD.format(**{**manifest, "body": ", ".join(manifest["body"])})


def read_export(path: Path) -> Export:
    """Read an export back and check every hash.

    Raises:
        StoreError: not an export, incomplete, or changed since it was written.
    """
    path = Path(path)
    try:
        values = read_json(path / "manifest.json")
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise StoreError(f"{path} is not an export of this program ({FORMAT})")
        manifest = _manifest(path, values)
        for name, expected in manifest.files.items():
            _check(path, name, expected)
        content = read_json(path / "pairs.json", max_bytes=_MAX_PAIRS_BYTES)
        pairs = tuple(_exported(path, entry, manifest) for entry in content["pairs"])
    except InputError as error:
        raise StoreError(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is not a complete export: {error!r}") from error
    return Export(manifest=manifest, pairs=pairs)


_MAX_PAIRS_BYTES = 1 << 30


def _check(folder: Path, name: str, expected: str) -> None:
    if Path(name).name != name:
        raise StoreError(f"{folder}/manifest.json names a file outside the export: {name!r}")
    file = folder / name
    with sentences(file):
        if _sha256(file.read_bytes()) != expected:
            raise StoreError(f"{file} is not what the export's manifest promises; export again")


def _exported(folder: Path, entry: Mapping[str, Any], manifest: Manifest) -> ExportedPair:
    name = entry["parameters"]
    if name not in manifest.files:
        raise StoreError(f"{folder}/pairs.json names a file that is not in the manifest: {name!r}")
    arrays = load_npz(folder / name)
    hands = np.concatenate([arrays["left_hand_pose"], arrays["right_hand_pose"]], axis=1)
    return ExportedPair(
        id=entry["id"],
        image=entry["image"]["name"],
        body=entry["body"],
        simulated=entry["simulated"],
        params=BodyParams(
            global_orient=arrays["global_orient"],
            body_pose=arrays["body_pose"].reshape(2, 21, 3),
            betas=arrays["betas"].reshape(2, NUM_BETAS),
            transl=arrays["transl"],
            hand_pose=hands.reshape(2, 30, 3),
        ),
        K=arrays["K"],
        keypoints=np.asarray(entry["keypoints"]),
        contacts=_contacts(entry["contacts"]),
        entry=entry,
    )


def _contacts(lines: list[Mapping[str, Any]]) -> tuple[Contact, ...]:
    return tuple(CONTACT.validate_python(line["contact"]) for line in lines if not line["dropped"])


def _manifest(path: Path, values: Mapping[str, Any]) -> Manifest:
    same = ("pairs", "simulated", "files", "body", "versions", "settings", "as_of")
    return Manifest(path=path, skipped=tuple(values["skipped"]), **{name: values[name] for name in same})


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A hidden folder that becomes `out` when the block ends, and vanishes when it raises."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.partial-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    try:
        yield folder
        _sync(folder)
        folder.rename(out)
        _sync(out.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dump(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True).encode() + b"\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
