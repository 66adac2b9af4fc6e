"""Fans: readings of a pair's contacts, each with its fit, until somebody takes one or they are outdated.

A fan belongs to the contacts that it was made from. It stays good while these stand, or one of its own readings does.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apu.errors import StoreError
from apu.types import FitResult
from review_db.changes import carry_out, check_finite, figures_of, stale
from review_db.codec import pack_fit
from review_db.database import Database, insert, now, one, sqlite3
from review_db.details import fit_record, with_arrays
from review_db.edits import Sheet, TakeReading, Undo, from_json, last_standing, rebuild, to_json
from review_db.files import Files
from review_db.jobs import LOST, close_job
from review_db.records import AlternativeRecord, FanRecord
from review_db.sheets import as_history, curator_id, load_answers, load_history, load_sheet, record, refresh


@dataclass(frozen=True, kw_only=True, eq=False)
class Alternative:
    """One reading of a pair's contacts, fitted: an `AlternativeRecord` before it is stored."""

    edit: TakeReading | None
    words: str
    probability: float
    score: float
    fit: FitResult


class Fans:
    """The fans of one workspace (`Workspace.fans`), at most one good one per pair."""

    def __init__(self, database: Database, files: Files, drop_preview: Callable[[int], None]) -> None:
        self._database, self._files, self._drop_preview = database, files, drop_preview

    def keep(
        self,
        pair: int,
        alternatives: Sequence[Alternative],
        *,
        sheet: Sheet,
        job: int | None = None,
        worker: str = "",
    ) -> int:
        """Store a fan that was made from a sheet, the best alternative first, instead of the pair's earlier ones.

        With `job`, that job of `worker` is finished in the same transaction. Outdated fans go.

        Raises:
            ValueError: a parameter or figure is not finite.
            StoreError: the job is no longer this worker's; nothing is stored.
        """
        for alternative in alternatives:
            check_finite(alternative.fit)
        with self._database.write() as connection:
            load_sheet(connection, pair)
            fan = insert(connection, "fans", {"pair_id": pair, "contacts": fingerprint(sheet), "made_at": now()})
            for alternative in alternatives:
                values: dict[str, Any] = {
                    "fan_id": fan,
                    "edit": json.dumps(to_json(alternative.edit)) if alternative.edit else None,
                    "file": self._files.put("artefacts", pack_fit(alternative.fit), ".npz"),
                    "figures": json.dumps(figures_of(alternative.fit)),
                }
                same = ("words", "probability", "score")
                insert(connection, "alternatives", values | {name: getattr(alternative, name) for name in same})
            if job is not None and not close_job(connection, job, worker, "done", result=fan):
                raise StoreError(LOST.format(job=job))
            self._sweep(connection, pair)
        if job is not None:
            self._drop_preview(job)
        return fan

    def get(self, pair: int) -> FanRecord | None:
        """The fan of a pair's contacts as they stand; None: there is none, or they have changed since."""
        with self._database.read() as connection:
            return self._good(connection, pair)

    def fit(self, pair: int, alternative: int) -> FitResult:
        """What fitting a reading gave.

        Raises:
            ValueError: the pair has no such alternative (any more).
            StoreError: its file is missing or damaged.
        """
        with self._database.read() as connection:
            row = one(
                connection,
                "SELECT a.* FROM alternatives a JOIN fans f ON f.id = a.fan_id WHERE a.id = ? AND f.pair_id = ?",
                (alternative, pair), missing=f"pair {pair} has no alternative {alternative}",
            )  # fmt: skip
            return with_arrays(_record(row).fit, self._files.get("artefacts", row["file"]))

    def take(self, pair: int, alternative: int, *, curator: str, revision: int) -> Sheet:
        """Let a reading's contacts stand, as one edit, and its fit be the pair's latest.

        Taking another one of the same fan takes the earlier one's edit back first.

        Raises:
            StoreError: someone saved in between, the fan is outdated, or the fit's file is missing or damaged.
        """
        with self._database.write() as connection:
            sheet = load_sheet(connection, pair)
            if sheet.revision != revision:
                raise StoreError(stale(pair))
            fan = self._good(connection, pair)
            chosen = next((each for each in fan.alternatives if each.id == alternative), None) if fan else None
            if fan is None or chosen is None:
                raise StoreError("these alternatives belong to contacts that have changed; fit new ones")
            row = connection.execute("SELECT * FROM alternatives WHERE id = ?", (alternative,)).fetchone()
            self._files.get("artefacts", row["file"])
            if chosen.id != fan.taken:
                sheet = self._read(connection, pair, sheet, fan, chosen.edit, curator)
            figures = json.loads(row["figures"]) | {"pair_id": pair, "revision": sheet.revision, "file": row["file"]}
            insert(connection, "fits", figures | {"made_at": now(), "curator_id": curator_id(connection, curator)})
            refresh(connection, pair)
            return sheet

    def _read(
        self, connection: sqlite3.Connection, pair: int, sheet: Sheet, fan: FanRecord, edit: TakeReading | None, by: str
    ) -> Sheet:
        """The sheet of a reading, from the fan's own contacts on."""
        if fan.taken is not None and fan.undoes is not None:
            entry = Undo(revision=fan.undoes)
            history = [*as_history(load_history(connection, pair)), (by, entry)]
            before, sheet = sheet, rebuild(history, load_answers(connection, pair))
            record(connection, pair, sheet, entry, by, before=before)
        return carry_out(connection, pair, sheet, edit, by) if edit else sheet

    def _good(self, connection: sqlite3.Connection, pair: int) -> FanRecord | None:
        latest = "SELECT * FROM fans WHERE pair_id = ? ORDER BY id DESC LIMIT 1"
        row = connection.execute(latest, (pair,)).fetchone()
        if row is None:
            return None
        rows = connection.execute("SELECT * FROM alternatives WHERE fan_id = ? ORDER BY id", (row["id"],))
        alternatives = tuple(_record(each) for each in rows)
        sheet, undoes, edit = load_sheet(connection, pair), None, None
        if fingerprint(sheet) != row["contacts"]:
            history = as_history(load_history(connection, pair))
            undoes = last_standing(history)
            edit = history[undoes - 1][1] if undoes else None
            if not isinstance(edit, TakeReading):
                return None
            entry = ("", Undo(revision=undoes or 0))
            if fingerprint(rebuild([*history, entry], load_answers(connection, pair))) != row["contacts"]:
                return None
        taken = next((each.id for each in alternatives if undoes and each.edit == edit), None)
        return FanRecord(
            id=row["id"], pair=pair, alternatives=alternatives, taken=taken, undoes=undoes, made_at=row["made_at"]
        )

    def _sweep(self, connection: sqlite3.Connection, pair: int) -> None:
        """Remove a pair's earlier fans, and those of pairs that are decided."""
        gone = (
            "SELECT f.id FROM fans f JOIN pairs p ON p.id = f.pair_id WHERE p.decision_id IS NOT NULL OR "
            "(p.id = ? AND f.id < (SELECT max(id) FROM fans WHERE pair_id = p.id))"
        )
        drop_fans(connection, self._files, [fan for (fan,) in connection.execute(gone, (pair,)).fetchall()])


def drop_fans(connection: sqlite3.Connection, files: Files, fans: Sequence[int]) -> None:
    """Remove fans, and those of their files that nothing else names.

    Files go before the transaction ends: nobody can name them meanwhile, for whoever does holds one too.
    """
    for fan in fans:
        rows = connection.execute("DELETE FROM alternatives WHERE fan_id = ? RETURNING file", (fan,)).fetchall()
        connection.execute("DELETE FROM fans WHERE id = ?", (fan,))
        for (file,) in rows:
            used = "SELECT 1 FROM fits WHERE file = ?1 UNION ALL SELECT 1 FROM alternatives WHERE file = ?1"
            if connection.execute(used, (file,)).fetchone() is None:
                files.remove("artefacts", file)


def fingerprint(sheet: Sheet) -> str:
    """Tells sheets apart by what a fan is made from: contacts, and which of them a person has judged."""
    lines = [
        (line.id, [str(part) for part in line.contact.parts], line.contact.confidence, line.dropped, line.edited_by)
        for line in sheet.contacts
    ]
    return hashlib.sha256(json.dumps([lines, sheet.swapped]).encode()).hexdigest()


def _record(row: sqlite3.Row) -> AlternativeRecord:
    edit = from_json(json.loads(row["edit"])) if row["edit"] else None
    if edit is not None and not isinstance(edit, TakeReading):
        raise StoreError(f"alternative {row['id']} holds {edit.kind!r}; it is no work of this program")
    figures = json.loads(row["figures"]) | {"id": 0, "revision": 0, "curator": "", "made_at": ""}
    same = ("id", "words", "probability", "score")
    return AlternativeRecord(edit=edit, fit=fit_record(figures, stale=False), **{name: row[name] for name in same})
