"""CSV tables that a spreadsheet can open without running anything."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from apu.types import Contact
from review_db.exports.snapshot import Item
from review_db.sheets import CONTACT


class Writer(Protocol):
    """One layout's files being written."""

    def add(self, item: Item) -> None:
        """Write one pair."""

    def finish(self) -> None:
        """Complete and close the files."""


def safe_cell(value: Any) -> Any:
    """A cell that a spreadsheet takes for text: one that could start a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


class Table:
    """One CSV file (UTF-8, RFC 4180), its columns those of the first row; with `columns` also without a row."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, columns, lineterminator="\r\n")
        self._writer.writeheader()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self._writer.writerow({name: safe_cell(value) for name, value in row.items()})

    def close(self) -> None:
        """Complete the file."""
        self._file.close()


class PairsTable:
    """``pairs.csv``: one line per pair, in every export: who decided what and when, on which fit."""

    def __init__(self, folder: Path) -> None:
        self._table = Table(folder / "pairs.csv", PAIR_COLUMNS)

    def add(self, item: Item) -> None:
        """Write one pair."""
        self._table.add(pair_row(item))

    def finish(self) -> None:
        """Complete and close the file."""
        self._table.close()


PAIR_COLUMNS = (
    "pair", "image", "image_sha256", "width", "height", "split", "source", "simulated", "action", "interaction",
    "state", "verdict", "curator", "decided_at", "reason", "note", "asker", "model", "prompt_id", "contacts",
    "people_swapped", "body", "fitted_at", "kept", "reprojection_512_0", "reprojection_512_1", "reprojection_px_0",
    "reprojection_px_1", "max_gap_m", "max_penetration_m", "mean_penetration_m", "updated_at",
)  # fmt: skip


def pair_row(item: Item) -> dict[str, Any]:
    """A pair as one line."""
    entry, record = item.entry, item.record
    fit, decision, answer = entry["fit"], entry["decision"] or {}, entry["answer"] or {}
    row = {
        "pair": item.id,
        "image": entry["image"]["name"],
        "image_sha256": entry["image"]["sha256"],
        "width": record.image.size[0],
        "height": record.image.size[1],
        "split": item.split,
        "contacts": len(record.sheet.active),
        "curator": decision.get("curator"),
        "decided_at": decision.get("made_at"),
    }
    row |= {name: decision.get(name) for name in ("verdict", "reason")}
    row |= {name: answer.get(name) for name in ("asker", "model", "prompt_id")}
    same = ("source", "simulated", "action", "interaction", "state", "note", "people_swapped", "body", "updated_at")
    row |= {name: entry[name] for name in same}
    if decision.get("note"):
        row["note"] = "\n".join(filter(None, (entry["note"], decision["note"])))
    if fit is not None:
        row |= {name: fit[name] for name in ("kept", "max_gap_m", "max_penetration_m", "mean_penetration_m")}
        row |= {f"{name}_{person}": fit[name][person] for name in _PER_PERSON for person in (0, 1)}
        row["fitted_at"] = fit["made_at"]
    return row


_PER_PERSON = ("reprojection_512", "reprojection_px")


class CsvTables:
    """``contacts.csv``, ``answers.csv``, ``decisions.csv``, ``history.csv`` and ``fits.csv``, beside ``pairs.csv``."""

    def __init__(self, folder: Path) -> None:
        self._tables = {name: Table(folder / f"{name}.csv", columns) for name, columns in _COLUMNS.items()}

    def add(self, item: Item) -> None:
        """Write one pair."""
        for name, row in _rows(item.entry):
            columns = _COLUMNS[name]
            self._tables[name].add({"pair": item.id} | {key: row[key] for key in columns if key in row})

    def finish(self) -> None:
        """Complete and close the files."""
        for table in self._tables.values():
            table.close()


_PARTS = ("part_0", "side_0", "part_1", "side_1")
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("pair", "contact", *_PARTS, "confidence", "weight", "source", "dropped", "edited_by", "stated_as"),
    "answers": (
        "pair", "number", "stands", "asker", "model", "prompt_id", "status", "message", "interaction", "orientation",
        "person_0", "person_1", "contacts", "simulated", "seconds", "asked_at", "raw",
    ),
    "decisions": ("pair", "number", "stands", "verdict", "curator", "fit", "reason", "note", "revision", "made_at"),
    "history": ("pair", "revision", "kind", "edit", "curator", "made_at", "undone"),
    "fits": (
        "pair", "number", "exported", "body", "kept", "stale", "stop", "seconds", "iterations", "device", "seed",
        "max_gap_m", "max_penetration_m", "mean_penetration_m", "reprojection_512_0", "reprojection_512_1",
        "reprojection_px_0", "reprojection_px_1", "revision", "curator", "made_at", "options",
    ),
}  # fmt: skip


def _rows(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in entry["contacts"]:
        original = CONTACT.validate_python(line["original"])
        contact = CONTACT.validate_python(line["contact"])
        stated = " / ".join(str(part) for part in original.parts)
        same = {"contact": line["id"], "dropped": line["dropped"], "edited_by": line["edited_by"], "stated_as": stated}
        yield "contacts", contact_row(contact) | same
    answers = [entry["answer"]] if entry["answer"] else []
    for answer in sorted(answers + entry["other_answers"], key=lambda each: each["number"]):
        people = dict(zip(("person_0", "person_1"), answer.get("people", ("", "")), strict=True))
        contacts = len(answer.get("contacts", ()))
        yield "answers", answer | people | {"contacts": contacts, "stands": answer in answers}
    for decision in entry["decisions"]:
        yield "decisions", decision
    for step in entry["history"]:
        yield "history", step | {"kind": step["edit"]["kind"], "edit": json.dumps(step["edit"], ensure_ascii=False)}
    fits = [entry["fit"]] if entry["fit"] else []
    for fit in sorted(fits + entry["other_fits"], key=lambda each: each["number"]):
        per_person = {f"{name}_{person}": fit[name][person] for name in _PER_PERSON for person in (0, 1)}
        yield "fits", fit | per_person | {"exported": fit in fits, "options": json.dumps(fit["options"])}


def contact_row(contact: Contact) -> dict[str, Any]:
    """A contact's parts and sides, people in order, and how sure it is."""
    parts = [value for part in contact.parts for value in (part.name, part.side.value)]
    return dict(zip(_PARTS, parts, strict=True)) | {
        "confidence": contact.confidence,
        "weight": contact.weight,
        "source": contact.source,
    }
