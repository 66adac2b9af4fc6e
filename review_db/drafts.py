"""What a curator has begun and not saved: kept until they save or drop it, whatever becomes of their claim."""

import json
from collections.abc import Sequence
from typing import cast

from apu.types import Verdict
from review_db.database import Database, insert, now, one, sqlite3
from review_db.edits import Edit, from_json, to_json
from review_db.records import DraftRecord
from review_db.sheets import curator_id

_SELECT = """
SELECT d.pair_id AS pair, u.name AS curator, d.revision, d.note, d.edits, d.verdict, d.reason,
    d.saved_at
FROM drafts d JOIN curators u ON u.id = d.curator_id WHERE u.name = ?
"""


class Drafts:
    """The drafts of one workspace (`Workspace.drafts`): at most one of each curator on each pair."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self,
        pair: int,
        curator: str,
        *,
        revision: int,
        note: str = "",
        edits: Sequence[Edit] = (),
        verdict: Verdict | None = None,
        reason: str = "",
    ) -> None:
        """Keep a draft in place of the curator's earlier one: the note as it is typed, edits that are not saved yet.

        `verdict` and `reason` are of a decision that was begun.

        Raises:
            ValueError: there is no such pair.
        """
        with self._database.write() as connection:
            one(connection, "SELECT id FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
            row = {"pair_id": pair, "curator_id": curator_id(connection, curator), "revision": revision, "note": note}
            row |= {"edits": json.dumps([to_json(edit) for edit in edits]), "saved_at": now()}
            row |= {"verdict": verdict.value if verdict else "", "reason": reason}
            insert(connection, "drafts", row, replace=True)

    def get(self, pair: int, curator: str) -> DraftRecord | None:
        """A curator's draft on a pair; None: they have none."""
        with self._database.read() as connection:
            row = connection.execute(f"{_SELECT} AND d.pair_id = ?", (curator, pair)).fetchone()
        return _draft(row) if row else None

    def list(self, curator: str) -> tuple[DraftRecord, ...]:
        """A curator's drafts, the latest first."""
        with self._database.read() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY d.saved_at DESC, d.pair_id", (curator,)).fetchall()
        return tuple(_draft(row) for row in rows)

    def drop(self, pair: int, curator: str) -> None:
        """Remove a draft that was saved or given up."""
        with self._database.write() as connection:
            author = curator_id(connection, curator)
            connection.execute("DELETE FROM drafts WHERE curator_id = ? AND pair_id = ?", (author, pair))


def _draft(row: sqlite3.Row) -> DraftRecord:
    edits = tuple(cast(Edit, from_json(values)) for values in json.loads(row["edits"]))
    same = ("pair", "curator", "revision", "note", "reason", "saved_at")
    verdict = Verdict(row["verdict"]) if row["verdict"] else None
    return DraftRecord(edits=edits, verdict=verdict, **{name: row[name] for name in same})
