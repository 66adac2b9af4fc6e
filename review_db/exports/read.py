"""An export read back: every file against the manifest, then pair by pair."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from apu.errors import InputError, StoreError
from apu.files import MIB, load_npz, read_json
from apu.types import NUM_BETAS, BodyParams, Contact
from review_db.database import sentences
from review_db.exports.arrays import FORMAT
from review_db.records import ExportedPair
from review_db.sheets import CONTACT

MAX_LINE_BYTES = 16 * MIB
"""A pair's dictionary takes some 20 kB."""

_MAX_NPZ_BYTES = 16 * MIB
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][^/\\\0]{0,254}(/[A-Za-z0-9_][^/\\\0]{0,254}){0,2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an export holds.

    Attributes:
        path: the folder. pairs, simulated, images: number of pairs, of those made by the program, and of images.
        files: SHA-256 by file name.
        body, states, splits: number of pairs by body model, state and split ("": no splits).
        curators: number of decisions by name or pseudonym.
        versions: of the programs that wrote it. settings: of the export.
        as_of: time of the latest change in it, UTC.
        skipped: pairs that were selected and cannot be in it, by id; known to who exports, not part of the export.
    """

    path: Path
    pairs: int
    simulated: int
    images: int
    files: Mapping[str, str]
    body: Mapping[str, int]
    states: Mapping[str, int]
    splits: Mapping[str, int]
    curators: Mapping[str, int]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    as_of: str
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export read back, every file checked against the manifest."""

    manifest: Manifest
    pairs: tuple[ExportedPair, ...]


_MANIFEST = TypeAdapter(Manifest)


def manifest_of(path: Path, values: Mapping[str, Any], *, skipped: tuple[int, ...] = ()) -> Manifest:
    """The manifest of a folder from its file's values.

    Raises:
        ValidationError: they are not one.
    """
    return _MANIFEST.validate_python({**values, "path": path, "skipped": skipped})


def read_manifest(path: Path) -> Manifest:
    """The manifest of an export whose every file is what it promises.

    Raises:
        StoreError: not an export, incomplete, or changed since it was written.
    """
    path = Path(path)
    try:
        values = read_json(path / "manifest.json")
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise StoreError(f"{path} is not an export of this program ({FORMAT})")
        manifest = manifest_of(path, values)
    except InputError as error:
        raise StoreError(str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path} is not a complete export: {where}: {first['msg']}") from error
    for name, expected in manifest.files.items():
        _check(path, name, expected)
    return manifest


def _check(folder: Path, name: str, expected: str) -> None:
    if not _SAFE_NAME.fullmatch(name) or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{folder}/manifest.json names a file outside the export: {name!r}")
    if not _SHA256.fullmatch(expected):
        raise StoreError(f"{folder}/manifest.json has no SHA-256 of {name}; export again")
    file = folder / name
    with sentences(file):
        if not file.is_file():
            raise StoreError(f"{file} cannot be used: it is missing from the export")
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != expected:
                raise StoreError(f"{file} is not what the export's manifest promises; export again")


def read_entries(manifest: Manifest) -> Iterator[tuple[int, dict[str, Any]]]:
    """The dictionaries of ``pairs.json`` with their row, from 1, one at a time.

    Raises:
        StoreError: the export has another form, or a row is not a dictionary.
    """
    if "pairs.json" not in manifest.files:
        form = manifest.settings.get("form", "another form")
        raise StoreError(f"{manifest.path} is an export as {form}; only the form apu can be read back")
    path, row = manifest.path / "pairs.json", 0
    with sentences(path), path.open("rb") as file:
        head = _line(file.readline(MAX_LINE_BYTES), b', "pairs": [', b"}", path, 0)
        if head.get("format") != FORMAT:
            raise StoreError(f"{path} is not of the format {FORMAT}")
        while (line := file.readline(MAX_LINE_BYTES)) != b"]}\n":
            row += 1
            yield row, _line(line, b",", b"", path, row)
    if row != manifest.pairs:
        raise StoreError(f"{path} has {row} pairs, its manifest says {manifest.pairs}")


def _line(line: bytes, end: bytes, close: bytes, path: Path, row: int) -> dict[str, Any]:
    """One line as a dictionary, without what joins it to the next."""
    if not line.endswith(b"\n"):
        raise StoreError(f"{path}: row {row} is cut off or larger than {MAX_LINE_BYTES // MIB} MiB")
    try:
        values = json.loads(line.rstrip(b"\n").removesuffix(end) + close, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: row {row} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise StoreError(f"{path}: row {row} is not a dictionary")
    return values


def _not_finite(name: str) -> float:
    raise ValueError(f"it holds {name}")


def read_export(path: Path) -> Export:
    """Read an export of the form apu back and check every hash.

    Raises:
        StoreError: not an export, of another form, incomplete, or changed since it was written.
    """
    manifest = read_manifest(path)
    pairs = []
    for row, values in read_entries(manifest):
        try:
            pairs.append(_exported(manifest, values))
        except InputError as error:
            raise StoreError(str(error)) from error
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{path} is not a complete export: row {row}: {error!r}") from error
    return Export(manifest=manifest, pairs=tuple(pairs))


def _exported(manifest: Manifest, values: Mapping[str, Any]) -> ExportedPair:
    name, arrays = values["parameters"], None
    if name is not None:
        if name not in manifest.files:
            raise ValueError(f"it names a file that is not in the manifest: {name!r}")
        arrays = load_npz(manifest.path / name, max_bytes=_MAX_NPZ_BYTES)
    return ExportedPair(
        id=values["id"],
        image=values["image"]["name"],
        body=values["body"] or "",
        simulated=values["simulated"],
        params=_params(arrays) if arrays else None,
        K=arrays["K"] if arrays else None,
        keypoints=np.asarray(values["keypoints"], np.float64),
        contacts=tuple(_contacts(values["contacts"])),
        entry=values,
    )


def _params(arrays: Mapping[str, np.ndarray]) -> BodyParams:
    hands = np.concatenate([arrays["left_hand_pose"], arrays["right_hand_pose"]], axis=1)
    return BodyParams(
        global_orient=arrays["global_orient"].reshape(2, 3),
        body_pose=arrays["body_pose"].reshape(2, 21, 3),
        betas=arrays["betas"].reshape(2, NUM_BETAS),
        transl=arrays["transl"].reshape(2, 3),
        hand_pose=hands.reshape(2, 30, 3),
    )


def _contacts(lines: list[Mapping[str, Any]]) -> Iterator[Contact]:
    for line in lines:
        if not line["dropped"]:
            yield CONTACT.validate_python(line["contact"])
