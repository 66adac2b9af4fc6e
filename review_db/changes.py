"""What work adds to a pair: answers, fits, edits, decisions, undo, conflicts; each inside one transaction."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from pydantic import TypeAdapter

from apu.errors import AnswerError, ConflictError, StoreError
from apu.types import ContactAnswer, Decision, FitResult, Verdict
from review_db.database import insert, now, one, sqlite3
from review_db.edits import (
    PROGRAM,
    Decide,
    Edit,
    SetNote,
    Sheet,
    StatedContact,
    Suggestion,
    TakeAnswer,
    Undo,
    apply,
    from_json,
    last_standing,
    rebuild,
    to_json,
)
from review_db.records import EditRecord
from review_db.sheets import (
    CONTACTS,
    STATED,
    as_history,
    curator_id,
    load_answers,
    load_history,
    load_sheet,
    record,
    refresh,
    release,
)

Change = Edit | Decision

_DECISION = TypeAdapter(Decision)


def add_answer(
    connection: sqlite3.Connection,
    pair: int,
    answer: ContactAnswer,
    asker: str,
    suggestions: Sequence[Suggestion | None],
) -> int:
    """Store an answer, and let it stand unless a curator's edit or decision does; gives its id."""
    verdicts = tuple(suggestions) or (None,) * len(answer.contacts)
    if len(verdicts) != len(answer.contacts):
        raise ValueError(f"suggestions must be {len(answer.contacts)}, one per contact, got {len(verdicts)}")
    stated = tuple(StatedContact(contact=c, suggestion=s) for c, s in zip(answer.contacts, verdicts, strict=True))
    sheet = load_sheet(connection, pair)
    number = insert(
        connection,
        "answers",
        {
            "pair_id": pair,
            "asker": asker,
            "model": answer.model,
            "prompt_id": answer.prompt_id,
            "status": "ok",
            "raw": answer.raw,
            "interaction": answer.interaction,
            "orientation": answer.orientation,
            "people": json.dumps(answer.people),
            "stated": STATED.dump_json(stated).decode(),
            "uncertainty": float(np.mean([each.doubt for each in stated])) if stated else 1.0,
            "usage": json.dumps(dict(answer.usage)),
            "simulated": answer.simulated,
            "seconds": answer.seconds,
            "asked_at": answer.asked_at or now(),
        },
    )
    if any(_is_work(entry) for entry in load_history(connection, pair)):
        refresh(connection, pair)
    else:
        carry_out(connection, pair, sheet, TakeAnswer(answer=number), "")
    return number


def _is_work(entry: EditRecord) -> bool:
    return entry.curator not in ("", PROGRAM) and not entry.undone and not isinstance(entry.edit, Undo | SetNote)


def add_failure(
    connection: sqlite3.Connection,
    pair: int,
    error: AnswerError,
    asker: str,
    model: str,
    prompt_id: str,
    seconds: float,
) -> int:
    """Store a failed question; gives its id."""
    load_sheet(connection, pair)
    row = {"pair_id": pair, "asker": asker, "model": model, "prompt_id": prompt_id, "seconds": seconds}
    row |= {"status": error.status, "message": str(error), "raw": error.raw, "asked_at": now()}
    number = insert(connection, "answers", row)
    refresh(connection, pair)
    return number


def add_fit(connection: sqlite3.Connection, pair: int, fit: FitResult, file: str, revision: int, curator: str) -> int:
    """Store a fit's figures beside the file of its arrays; gives its id."""
    sheet = load_sheet(connection, pair)
    if not 0 <= revision <= sheet.revision:
        raise ValueError(f"revision must be 0 to {sheet.revision}, got {revision}")
    row = figures_of(fit) | {"pair_id": pair, "revision": revision, "file": file, "made_at": now()}
    number = insert(connection, "fits", row | {"curator_id": curator_id(connection, curator) if curator else None})
    refresh(connection, pair)
    return number


def check_finite(fit: FitResult) -> None:
    """Refuse a fit with a number that is none.

    Raises:
        ValueError: a parameter or figure is not finite.
    """
    figures = [fit.gaps_m, fit.reprojection_512, fit.reprojection_px]
    figures += [np.array([fit.max_penetration_m, fit.mean_penetration_m, fit.seconds])]
    if not (fit.params.finite and fit.start.finite and all(np.isfinite(each).all() for each in figures)):
        raise ValueError("fit must hold finite numbers only")


def figures_of(fit: FitResult) -> dict[str, Any]:
    """A fit's columns of the table `fits`, all but those that say where it belongs."""
    same = ("max_gap_m", "max_penetration_m", "mean_penetration_m", "seconds", "stop", "device", "body", "kept")
    row: dict[str, Any] = {name: getattr(fit, name) for name in same}
    for unit in ("512", "px"):
        a, b = getattr(fit, f"reprojection_{unit}")
        row |= {f"reprojection_{unit}_a": float(a), f"reprojection_{unit}_b": float(b)}
    return row | {
        "kept": bool(fit.kept),
        "swapped": bool(fit.swapped),
        "iterations": int(fit.iterations),
        "seed": int(fit.seed),
        "contacts": CONTACTS.dump_json(fit.contacts).decode(),
        "gaps_m": json.dumps([float(gap) for gap in fit.gaps_m]),
        "options": json.dumps(dict(fit.options), sort_keys=True),
    }


def save(connection: sqlite3.Connection, pair: int, change: Change, curator: str, revision: int) -> Sheet | None:
    """Carry a change out that was made on `revision`; None: it was refused and kept as a conflict."""
    sheet = load_sheet(connection, pair)
    author = curator_id(connection, curator)
    if revision == sheet.revision:
        return carry_out(connection, pair, sheet, change, curator)
    if isinstance(change, Decision):
        seen = _as_seen(connection, pair, change, revision)
        row: dict[str, Any] = {"kind": "decision", "edit": _DECISION.dump_json(seen).decode()}
    else:
        row = {"kind": change.kind, "edit": json.dumps(to_json(change))}
    row |= {"pair_id": pair, "curator_id": author, "based_on": revision, "found": sheet.revision, "made_at": now()}
    insert(connection, "conflicts", row)
    return None


def _as_seen(connection: sqlite3.Connection, pair: int, decision: Decision, revision: int) -> Decision:
    """A late decision with the fit that it was made on, where it accepts the latest one."""
    if decision.verdict is not Verdict.ACCEPT or decision.fit_id is not None:
        return decision
    row = connection.execute(
        "SELECT id FROM fits WHERE pair_id = ? AND revision <= ? ORDER BY made_at DESC, id DESC LIMIT 1",
        (pair, revision),
    ).fetchone()
    return replace(decision, fit_id=row["id"] if row else None)


def carry_out(connection: sqlite3.Connection, pair: int, sheet: Sheet, change: Change, curator: str) -> Sheet:
    """Apply a change to the stored sheet and store both."""
    entry = _store_decision(connection, pair, sheet, change) if isinstance(change, Decision) else change
    answers = load_answers(connection, pair) if isinstance(entry, TakeAnswer) else {}
    after = apply(sheet, entry, curator=curator, answers=answers)
    record(connection, pair, after, entry, curator, before=sheet)
    return after


def _store_decision(connection: sqlite3.Connection, pair: int, sheet: Sheet, decision: Decision) -> Decide:
    fit = decision.fit_id
    if fit is None and decision.verdict is Verdict.ACCEPT:
        fit = connection.execute("SELECT fit_id FROM pairs WHERE id = ?", (pair,)).fetchone()["fit_id"]
        if fit is None:
            raise ValueError(f"pair {pair} has no fit to accept; fit it first")
    if fit is not None:
        own, missing = "SELECT revision FROM fits WHERE id = ? AND pair_id = ?", f"fit_id must be a fit of pair {pair}"
        row = one(connection, own, (fit, pair), missing=f"{missing}, got {fit}")
        if decision.verdict is Verdict.ACCEPT:
            _check_fresh(connection, pair, sheet, row["revision"])
    curator = curator_id(connection, decision.curator)
    release(connection, pair, curator)
    row = {"pair_id": pair, "revision": sheet.revision + 1, "verdict": decision.verdict.value, "fit_id": fit}
    row |= {"curator_id": curator, "made_at": now()}
    return Decide(decision=insert(connection, "decisions", row | {"reason": decision.reason, "note": decision.note}))


def _check_fresh(connection: sqlite3.Connection, pair: int, sheet: Sheet, revision: int) -> None:
    """Refuse to accept a fit of other contacts than those that stand: what is accepted is what was seen."""
    if revision == sheet.revision:
        return
    history = as_history(load_history(connection, pair)[:revision])
    if rebuild(history, load_answers(connection, pair)).active != sheet.active:
        raise ValueError(f"pair {pair} must be fitted again first: its contacts have changed since this fit")


def undo(connection: sqlite3.Connection, pair: int, curator: str, revision: int) -> Sheet:
    """Take back the latest edit that still holds."""
    sheet = load_sheet(connection, pair)
    if sheet.revision != revision:
        raise ConflictError(stale(pair))
    history = as_history(load_history(connection, pair))
    target = last_standing(history)
    author = history[target - 1][0] if target else ""
    if not target or not author:
        raise StoreError(f"pair {pair} has no edit to take back")
    if author not in (curator, PROGRAM):
        raise StoreError(f"the latest edit of pair {pair} is {author}'s; change it by an edit of your own")
    entry = Undo(revision=target)
    after = rebuild([*history, (curator, entry)], load_answers(connection, pair))
    record(connection, pair, after, entry, curator, before=sheet)
    return after


def undo_decisions(connection: sqlite3.Connection, curator: str, last: int) -> tuple[int, ...]:
    """Take back a curator's latest standing decisions, each by an edit; gives their pairs, the latest first."""
    author = curator_id(connection, curator)
    rows = connection.execute(
        "SELECT d.pair_id, d.revision FROM decisions d JOIN pairs p ON p.decision_id = d.id "
        "WHERE d.curator_id = ? ORDER BY d.id DESC LIMIT ?",
        (author, last),
    ).fetchall()
    for pair, revision in rows:
        before, entry = load_sheet(connection, pair), Undo(revision=revision)
        history = as_history(load_history(connection, pair))
        after = rebuild([*history, (curator, entry)], load_answers(connection, pair))
        record(connection, pair, after, entry, curator, before=before)
    return tuple(row["pair_id"] for row in rows)


def settle(connection: sqlite3.Connection, conflict: int, *, take: bool, curator: str) -> Sheet:
    """Close a conflict: carry the refused change out on the stored sheet, or leave that as it is."""
    row = one(
        connection,
        "SELECT * FROM conflicts WHERE id = ? AND settled_at IS NULL",
        (conflict,),
        missing=f"there is no open conflict {conflict}",
    )
    connection.execute("UPDATE conflicts SET settled_at = ?, applied = ? WHERE id = ?", (now(), take, conflict))
    sheet = load_sheet(connection, row["pair_id"])
    curator_id(connection, curator)
    if not take:
        return sheet
    change = change_of(row["kind"], row["edit"])
    if isinstance(change, Decision) and change.verdict is Verdict.ACCEPT and change.fit_id is None:
        raise ValueError(f"pair {row['pair_id']} had no fit when it was accepted; look at its fit and accept that")
    return carry_out(connection, row["pair_id"], sheet, change, curator)


def change_of(kind: str, text: str) -> Change:
    """The refused edit or decision of a conflict's row."""
    if kind == "decision":
        return _DECISION.validate_json(text)
    return cast(Edit, from_json(json.loads(text)))


def stale(pair: int) -> str:
    """The sentence of a conflict."""
    return f"pair {pair} was changed by someone else in the meantime; look at both versions and choose"
