"""Rows as records: everything about one image, one pair, one fit."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from apu.types import ContactAnswer, Decision, FitResult, Verdict
from review_db import queue
from review_db.changes import change_of
from review_db.codec import unpack_fit, unpack_observation
from review_db.database import one, sqlite3
from review_db.edits import Sheet, rebuild
from review_db.files import Files
from review_db.records import (
    AnswerRecord,
    ConflictRecord,
    DecisionRecord,
    EditRecord,
    FitRecord,
    ImageInput,
    ImageRecord,
    PairRecord,
)
from review_db.sheets import CONTACTS, STATED, as_history, load_answers, load_history, load_sheet


def image_record(connection: sqlite3.Connection, files: Files, image: int) -> ImageRecord:
    """One image with its detectors' files."""
    row = one(connection, "SELECT * FROM images WHERE id = ?", (image,), missing=f"there is no image {image}")
    inputs = connection.execute("SELECT kind, name, file FROM inputs WHERE image_id = ? ORDER BY id", (image,))
    return ImageRecord(
        id=row["id"],
        name=row["name"],
        sha256=row["sha256"],
        path=files.path("images", row["sha256"] + row["suffix"]),
        size=(row["width"], row["height"]),
        source=row["source"],
        action=row["action"],
        inputs=tuple(
            ImageInput(kind=kind, name=name, path=files.path("artefacts", file)) for kind, name, file in inputs
        ),
    )


def pair_record(connection: sqlite3.Connection, files: Files, pair: int) -> PairRecord:
    """Everything about one pair."""
    line = queue.summary(connection, pair)
    sheet = load_sheet(connection, pair)
    row = one(connection, "SELECT image_id, observation FROM pairs WHERE id = ?", (pair,), missing="")
    history = load_history(connection, pair)
    answers = answer_records(connection, pair)
    decisions = decision_records(connection, "d.pair_id = ?", (pair,))
    return PairRecord(
        summary=line,
        image=image_record(connection, files, row["image_id"]),
        observation=unpack_observation(files.get("artefacts", row["observation"])),
        sheet=sheet,
        answer=next((answer for answer in answers if answer.id == sheet.answer), None),
        answers=answers,
        history=history,
        fits=fit_records(connection, pair, sheet, history),
        decision=next((decision for decision in decisions if decision.stands), None),
        decisions=decisions,
        conflicts=_conflicts(connection, pair),
    )


def answer_records(connection: sqlite3.Connection, pair: int) -> tuple[AnswerRecord, ...]:
    """All questions of a pair, answered or failed."""
    rows = connection.execute("SELECT * FROM answers WHERE pair_id = ? ORDER BY id", (pair,))
    return tuple(_answer(row) for row in rows)


def _answer(row: sqlite3.Row) -> AnswerRecord:
    stated = STATED.validate_json(row["stated"])
    shared: dict[str, Any] = {name: row[name] for name in ("raw", "model", "prompt_id", "seconds", "asked_at")}
    answer = ContactAnswer(
        interaction=row["interaction"],
        people=tuple(json.loads(row["people"])),
        orientation=row["orientation"],
        contacts=tuple(each.contact for each in stated),
        usage=json.loads(row["usage"]),
        simulated=bool(row["simulated"]),
        **shared,
    )
    return AnswerRecord(
        id=row["id"],
        asker=row["asker"],
        status=row["status"],
        message=row["message"],
        answer=answer if row["status"] == "ok" else None,
        stated=stated,
        **shared,
    )


def fit_records(
    connection: sqlite3.Connection, pair: int, sheet: Sheet, history: tuple[EditRecord, ...]
) -> tuple[FitRecord, ...]:
    """All fits of a pair; a fit is stale when the sheet it used had other active contacts."""
    answers = load_answers(connection, pair)
    sheets = {sheet.revision: sheet}
    records = []
    for row in _fits(connection, "f.pair_id = ?", pair):
        revision = row["revision"]
        if revision not in sheets:
            sheets[revision] = rebuild(as_history(history[:revision]), answers)
        records.append(fit_record(row, stale=sheets[revision].active != sheet.active))
    return tuple(records)


def _fits(connection: sqlite3.Connection, condition: str, value: int) -> list[sqlite3.Row]:
    return connection.execute(
        "SELECT f.*, coalesce(u.name, '') AS curator FROM fits f LEFT JOIN curators u ON u.id = f.curator_id "  # noqa: S608
        f"WHERE {condition} AND f.file NOT IN (SELECT file FROM lost_files) ORDER BY f.made_at, f.id",
        (value,),
    ).fetchall()


def fit_record(row: Mapping[str, Any] | sqlite3.Row, *, stale: bool) -> FitRecord:
    """A row of the table `fits` with its curator's name."""
    decoded = {
        "stale": stale,
        "contacts": CONTACTS.validate_json(row["contacts"]),
        "swapped": bool(row["swapped"]),
        "kept": bool(row["kept"]),
        "gaps_m": tuple(json.loads(row["gaps_m"])),
        "reprojection_512": (row["reprojection_512_a"], row["reprojection_512_b"]),
        "reprojection_px": (row["reprojection_px_a"], row["reprojection_px_b"]),
        "options": json.loads(row["options"]),
    }
    plain = {field.name: row[field.name] for field in fields(FitRecord) if field.name not in decoded}
    return FitRecord(**plain, **decoded)


def fit_result(connection: sqlite3.Connection, files: Files, fit: int) -> FitResult:
    """A fit with its arrays."""
    rows = _fits(connection, "f.id = ?", fit)
    if not rows:
        raise ValueError(f"there is no fit {fit}")
    return with_arrays(fit_record(rows[0], stale=False), files.get("artefacts", rows[0]["file"]))


def with_arrays(record: FitRecord, data: bytes) -> FitResult:
    """A fit's figures with what `data`, its file's content, holds."""
    params, start, terms = unpack_fit(data)
    values = {field.name: getattr(record, field.name) for field in fields(FitResult) if hasattr(record, field.name)}
    for name in ("gaps_m", "reprojection_512", "reprojection_px"):
        values[name] = np.asarray(values[name], np.float64)
    return FitResult(**values, params=params, start=start, terms=terms)


def standing_decisions(connection: sqlite3.Connection, curator: str, last: int) -> tuple[DecisionRecord, ...]:
    """A curator's latest decisions that still stand, the latest first."""
    latest = (
        "d.id IN (SELECT s.id FROM decisions s JOIN pairs q ON q.decision_id = s.id JOIN curators c "
        "ON c.id = s.curator_id WHERE c.name = ? ORDER BY s.id DESC LIMIT ?)"
    )
    return decision_records(connection, latest, (curator, last))[::-1]


def decision_records(
    connection: sqlite3.Connection, condition: str, values: tuple[object, ...]
) -> tuple[DecisionRecord, ...]:
    """Decisions by time; `condition` is this program's SQL."""
    rows = connection.execute(
        "SELECT d.*, u.name AS curator, d.id IS p.decision_id AS stands FROM decisions d "  # noqa: S608
        f"JOIN pairs p ON p.id = d.pair_id JOIN curators u ON u.id = d.curator_id WHERE {condition} ORDER BY d.id",
        values,
    )
    return tuple(
        DecisionRecord(
            id=row["id"],
            pair=row["pair_id"],
            decision=Decision(
                verdict=Verdict(row["verdict"]),
                curator=row["curator"],
                fit_id=row["fit_id"],
                reason=row["reason"],
                note=row["note"],
            ),
            revision=row["revision"],
            made_at=row["made_at"],
            stands=bool(row["stands"]),
        )
        for row in rows
    )


def _conflicts(connection: sqlite3.Connection, pair: int) -> tuple[ConflictRecord, ...]:
    rows = connection.execute(
        "SELECT c.*, u.name AS curator FROM conflicts c JOIN curators u ON u.id = c.curator_id "
        "WHERE c.pair_id = ? AND c.settled_at IS NULL ORDER BY c.id",
        (pair,),
    )
    return tuple(
        ConflictRecord(
            id=row["id"],
            edit=change_of(row["kind"], row["edit"]),
            curator=row["curator"],
            based_on=row["based_on"],
            found=row["found"],
            made_at=row["made_at"],
        )
        for row in rows
    )
