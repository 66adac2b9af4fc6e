"""Contact sheets and their history as rows: loading them, and storing one more entry."""

import json
from collections.abc import Sequence

from pydantic import TypeAdapter

from apu.types import BodyPart, Contact, Side
from review_db.database import insert, now, one, sqlite3
from review_db.edits import Answers, Entry, Sheet, SheetContact, StatedContact, Suggestion, from_json, to_json, undone
from review_db.records import EditRecord

CONTACT = TypeAdapter(Contact)
CONTACTS = TypeAdapter(tuple[Contact, ...])
STATED = TypeAdapter(tuple[StatedContact, ...])
_SUGGESTION = TypeAdapter(Suggestion)

_REFRESH = """
UPDATE pairs SET
    active_contacts = (SELECT count(*) FROM contacts WHERE pair_id = pairs.id AND NOT dropped),
    uncertainty = coalesce((SELECT uncertainty FROM answers WHERE id = pairs.answer_id), 1),
    fit_error = coalesce((SELECT max(reprojection_512_a, reprojection_512_b) FROM fits WHERE id = pairs.fit_id), 0),
    state = CASE
        WHEN decision_id IS NOT NULL THEN (
            SELECT CASE verdict WHEN 'accept' THEN 'accepted' WHEN 'reject' THEN 'rejected' ELSE 'flagged' END
            FROM decisions WHERE id = pairs.decision_id)
        WHEN fit_id IS NOT NULL THEN 'fitted'
        WHEN EXISTS (SELECT 1 FROM contacts WHERE pair_id = pairs.id AND NOT dropped)
            OR EXISTS (SELECT 1 FROM answers WHERE pair_id = pairs.id AND status = 'ok') THEN 'asked'
        WHEN EXISTS (SELECT 1 FROM answers WHERE pair_id = pairs.id) THEN 'ask_failed'
        ELSE 'proposed' END,
    updated_at = :time
WHERE id = :pair
"""


def refresh(connection: sqlite3.Connection, pair: int) -> None:
    """Derive a pair's state and sort keys from its sheet and facts (`PairState` has the rules in words)."""
    connection.execute(_REFRESH, {"pair": pair, "time": now()})


def curator_id(connection: sqlite3.Connection, name: str) -> int:
    """The id of a curator, who is added when new.

    Raises:
        ValueError: the name is empty.
    """
    if not name.strip():
        raise ValueError(f"curator must be a name, got {name!r}")
    row = connection.execute("SELECT id FROM curators WHERE name = ?", (name,)).fetchone()
    return row["id"] if row else insert(connection, "curators", {"name": name, "created_at": now()})


def load_sheet(connection: sqlite3.Connection, pair: int) -> Sheet:
    """The stored sheet.

    Raises:
        ValueError: there is no such pair.
    """
    row = one(connection, "SELECT * FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
    lines = connection.execute(
        "SELECT c.*, coalesce(u.name, '') AS edited_by_name FROM contacts c LEFT JOIN curators u ON u.id = c.edited_by "
        "WHERE c.pair_id = ? ORDER BY c.position",
        (pair,),
    )
    return Sheet(
        revision=row["revision"],
        contacts=tuple(_line(line) for line in lines),
        swapped=bool(row["swapped"]),
        note=row["note"],
        answer=row["answer_id"],
        decision=row["decision_id"],
        next_id=row["next_contact"],
    )


def load_history(connection: sqlite3.Connection, pair: int) -> tuple[EditRecord, ...]:
    """All entries of a pair, oldest first."""
    rows = connection.execute(
        "SELECT e.*, coalesce(u.name, '') AS curator FROM edits e LEFT JOIN curators u ON u.id = e.curator_id "
        "WHERE e.pair_id = ? ORDER BY e.revision",
        (pair,),
    ).fetchall()
    entries = [from_json(json.loads(row["edit"])) for row in rows]
    taken_back = undone([(row["curator"], entry) for row, entry in zip(rows, entries, strict=True)])
    return tuple(
        EditRecord(
            revision=row["revision"],
            edit=entry,
            curator=row["curator"],
            made_at=row["made_at"],
            undone=row["revision"] in taken_back,
        )
        for row, entry in zip(rows, entries, strict=True)
    )


def as_history(records: Sequence[EditRecord]) -> list[tuple[str, Entry]]:
    """Records as `edits.rebuild` reads them."""
    return [(record.curator, record.edit) for record in records]


def load_answers(connection: sqlite3.Connection, pair: int) -> Answers:
    """What a pair's answers stated."""
    rows = connection.execute("SELECT id, stated FROM answers WHERE pair_id = ? AND status = 'ok'", (pair,))
    return {row["id"]: STATED.validate_json(row["stated"]) for row in rows}


def record(connection: sqlite3.Connection, pair: int, sheet: Sheet, entry: Entry, curator: str) -> None:
    """Store a sheet and the entry that led to it; an empty curator is the program itself."""
    by = curator_id(connection, curator) if curator else None
    edit = to_json(entry)
    row = {"pair_id": pair, "revision": sheet.revision, "kind": edit["kind"], "edit": json.dumps(edit)}
    insert(connection, "edits", row | {"curator_id": by, "made_at": now()})
    connection.execute("DELETE FROM contacts WHERE pair_id = ?", (pair,))
    for position, line in enumerate(sheet.contacts):
        insert(connection, "contacts", {"pair_id": pair, "position": position} | _columns(connection, line))
    connection.execute(
        "UPDATE pairs SET revision = ?, swapped = ?, note = ?, next_contact = ?, answer_id = ?, decision_id = ? "
        "WHERE id = ?",
        (sheet.revision, sheet.swapped, sheet.note, sheet.next_id, sheet.answer, sheet.decision, pair),
    )
    refresh(connection, pair)


def _columns(connection: sqlite3.Connection, line: SheetContact) -> dict[str, object]:
    a, b = line.contact.parts
    return {
        "id": line.id,
        "part_a": a.name,
        "side_a": a.side.value,
        "part_b": b.name,
        "side_b": b.side.value,
        "confidence": line.contact.confidence,
        "weight": line.contact.weight,
        "source": line.contact.source,
        "dropped": line.dropped,
        "original": CONTACT.dump_json(line.original).decode(),
        "suggestion": _SUGGESTION.dump_json(line.suggestion).decode() if line.suggestion else None,
        "edited_by": curator_id(connection, line.edited_by) if line.edited_by else None,
    }


def _line(row: sqlite3.Row) -> SheetContact:
    parts = (
        BodyPart(name=row["part_a"], side=Side(row["side_a"])),
        BodyPart(name=row["part_b"], side=Side(row["side_b"])),
    )
    return SheetContact(
        id=row["id"],
        original=CONTACT.validate_json(row["original"]),
        contact=Contact(parts=parts, confidence=row["confidence"], weight=row["weight"], source=row["source"]),
        dropped=bool(row["dropped"]),
        suggestion=_SUGGESTION.validate_json(row["suggestion"]) if row["suggestion"] else None,
        edited_by=row["edited_by_name"],
    )
