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

# The parts of contacts, to be compared: of the sheet, and of a review `r`.
_STANDS = "part_a, side_a, part_b, side_b FROM contacts WHERE pair_id = :pair AND NOT dropped"
_REVIEWED = ", ".join(f"value ->> '$.parts[{person}].{key}'" for person in (0, 1) for key in ("name", "side"))
_REVIEWED += " FROM json_each(r.contacts)"
# The row of a pair from its sheet and its facts; `PairState` has the rules of the state in words.
_STORE = f"""
UPDATE pairs SET
    revision = :revision, swapped = :swapped, note = :note, next_contact = :next_id,
    answer_id = :answer, decision_id = :decision, fit_id = f.id, decider_id = d.curator_id,
    interaction = coalesce(a.interaction, ''),
    uncertainty = coalesce(a.uncertainty, 1),
    fit_error = coalesce(max(f.reprojection_512_a, f.reprojection_512_b), 0),
    gap_m = f.max_gap_m,
    active_contacts = c.active,
    disagrees = EXISTS (
        SELECT 1 FROM reviews AS r WHERE r.pair_id = :pair AND r.settled_at IS NULL AND (
            r.verdict <> d.verdict OR (r.verdict = 'accept' AND (
                EXISTS (SELECT {_STANDS} EXCEPT SELECT {_REVIEWED})
                OR EXISTS (SELECT {_REVIEWED} EXCEPT SELECT {_STANDS})
            )))),
    state = CASE
        WHEN d.verdict = 'accept' THEN 'accepted'
        WHEN d.verdict = 'reject' THEN 'rejected'
        WHEN d.verdict = 'flag' THEN 'flagged'
        WHEN f.id IS NOT NULL THEN 'fitted'
        WHEN c.active OR EXISTS (SELECT 1 FROM answers WHERE pair_id = :pair AND status = 'ok') THEN 'asked'
        WHEN EXISTS (SELECT 1 FROM answers WHERE pair_id = :pair) THEN 'ask_failed'
        ELSE 'proposed' END,
    updated_at = :time
FROM (SELECT count(*) AS active FROM contacts WHERE pair_id = :pair AND NOT dropped) AS c
    LEFT JOIN (
        SELECT * FROM fits WHERE pair_id = :pair AND file NOT IN (SELECT file FROM lost_files)
        ORDER BY made_at DESC, id DESC LIMIT 1) AS f ON true
    LEFT JOIN answers AS a ON a.id = :answer
    LEFT JOIN decisions AS d ON d.id = :decision
WHERE pairs.id = :pair
"""  # noqa: S608 - this file's own words
_SHEET_COLUMNS = "revision, swapped, note, next_contact AS next_id, answer_id AS answer, decision_id AS decision"


def refresh(connection: sqlite3.Connection, pair: int, time: str | None = None) -> None:
    """Derive a pair's state and sort keys from its sheet and facts, changed at `time` (None: now)."""
    row = connection.execute(f"SELECT {_SHEET_COLUMNS} FROM pairs WHERE id = ?", (pair,)).fetchone()  # noqa: S608
    connection.execute(_STORE, {**dict(row), "pair": pair, "time": time or now()})


def curator_id(connection: sqlite3.Connection, name: str) -> int:
    """The id of a curator, who is added when new.

    Raises:
        ValueError: the name is empty.
    """
    if not name.strip():
        raise ValueError(f"curator must be a name, got {name!r}")
    row = connection.execute("SELECT id FROM curators WHERE name = ?", (name,)).fetchone()
    return row["id"] if row else insert(connection, "curators", {"name": name, "created_at": now()})


def release(connection: sqlite3.Connection, pair: int, curator: int) -> None:
    """End a curator's claim and skip of a pair."""
    for table in ("claims", "skips"):
        connection.execute(f"DELETE FROM {table} WHERE pair_id = ? AND curator_id = ?", (pair, curator))  # noqa: S608


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


def record(
    connection: sqlite3.Connection, pair: int, sheet: Sheet, entry: Entry, curator: str, *, before: Sheet
) -> None:
    """Store a sheet and the entry that led to it from `before`; an empty curator is the program itself."""
    by = curator_id(connection, curator) if curator else None
    edit, time = to_json(entry), now()
    row = {"pair_id": pair, "revision": sheet.revision, "kind": edit["kind"], "edit": json.dumps(edit)}
    insert(connection, "edits", row | {"curator_id": by, "made_at": time})
    store_sheet(connection, pair, sheet, before=before, time=time)


def store_sheet(
    connection: sqlite3.Connection, pair: int, sheet: Sheet, *, before: Sheet | None = None, time: str | None = None
) -> None:
    """Make a sheet the stored one, changed at `time` (None: now); of `before`, which is stored, only what differs."""
    lines = list(enumerate(sheet.contacts))
    if before is None:
        connection.execute("DELETE FROM contacts WHERE pair_id = ?", (pair,))
    else:
        stored = dict(enumerate(before.contacts))
        gone = {line.id for line in before.contacts} - {line.id for line in sheet.contacts}
        connection.executemany("DELETE FROM contacts WHERE pair_id = ? AND id = ?", [(pair, each) for each in gone])
        lines = [(position, line) for position, line in lines if line != stored.get(position)]
    for position, line in lines:
        row = {"pair_id": pair, "position": position} | _columns(connection, line)
        insert(connection, "contacts", row, replace=True)
    values = {name: getattr(sheet, name) for name in ("revision", "swapped", "note", "next_id", "answer", "decision")}
    connection.execute(_STORE, {**values, "pair": pair, "time": time or now()})


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
