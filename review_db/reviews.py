"""Blind second reviews: another curator judges a pair without a sight of the first one's work.

A review is a judgement of its own beside the pair's decision; it changes neither sheet nor state. Where it judges
otherwise, or accepts other contacts, the pair disagrees (`PairFilter.disagrees`) until somebody resolves it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from apu.errors import ConflictError, StoreError
from apu.types import Decision, Verdict
from review_db import agreement, changes, details
from review_db.columns import Queue, chances
from review_db.database import Database, later, now, one, sqlite3
from review_db.edits import PROGRAM, Edit, Sheet, apply, rebuild, to_json
from review_db.files import Files
from review_db.records import Agreement, EditRecord, Order, PairFilter, PairRecord, PairState, ReviewRecord
from review_db.sheets import CONTACTS, as_history, curator_id, load_answers, load_history, refresh

LEASE_S = 24 * 3600.0
"""A review that its curator has not given after this time is free for others."""

_SELECT = """
SELECT r.*, coalesce(u.name, '') AS curator FROM reviews r LEFT JOIN curators u ON u.id = r.curator_id
"""
# The oldest open review of a pair that the curator has not worked on; one that they have already comes first.
_NEXT = """
UPDATE reviews SET curator_id = :curator, expires_at = iif(curator_id = :curator AND expires_at IS NULL, NULL, :until)
WHERE id = (
    SELECT id FROM reviews AS r
    WHERE verdict IS NULL AND (curator_id = :curator OR curator_id IS NULL OR expires_at <= :time)
        AND NOT EXISTS (SELECT 1 FROM edits WHERE pair_id = r.pair_id AND curator_id = :curator)
        AND NOT EXISTS (SELECT 1 FROM reviews WHERE pair_id = r.pair_id AND curator_id = :curator AND id <> r.id)
    ORDER BY curator_id IS NOT :curator, id LIMIT 1)
RETURNING id
"""


_WAITING = """
SELECT count(*) FROM reviews AS r LEFT JOIN curators AS u ON u.name = :curator
WHERE verdict IS NULL AND (r.curator_id IS NULL OR r.curator_id = u.id OR r.expires_at <= :time)
    AND NOT EXISTS (SELECT 1 FROM edits WHERE pair_id = r.pair_id AND curator_id = u.id)
    AND NOT EXISTS (SELECT 1 FROM reviews WHERE pair_id = r.pair_id AND curator_id = u.id AND id <> r.id)
"""


class Reviews:
    """The second reviews of one workspace (`Workspace.reviews`)."""

    def __init__(self, database: Database, files: Files, lines: Queue) -> None:
        self._database, self._files, self._queue = database, files, lines

    def ask(self, where: PairFilter, *, share: float, seed: int = 0) -> int:
        """Ask for a second review of a share of the pairs of a filter, chosen by chance; gives how many were added.

        The same seed chooses the same pairs, a larger share of it these and more. A pair is asked for once.
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must lie in [0, 1], got {share}")
        with self._database.read() as connection:
            pairs = self._queue.ids(connection, where, Order.RANDOM, seed=seed)
        chosen = pairs[: round(share * len(pairs))]
        with self._database.write() as connection:
            cursor = connection.execute(
                "INSERT INTO reviews (pair_id, asked_at) SELECT id, ? FROM pairs "
                "WHERE id IN (SELECT value FROM json_each(?)) AND id NOT IN (SELECT pair_id FROM reviews)",
                (now(), json.dumps(chosen)),
            )
            return cursor.rowcount

    def draw(self, share: float, *, pairs: Sequence[int] | None = None, seed: int = 0) -> int:
        """Ask for a second review of those decided pairs that a share falls on; gives how many were added.

        Whether it falls on a pair depends on its number, the share and the seed alone, and a larger share falls on
        these pairs and more. `pairs` are looked at alone; None: all of them.
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must lie in [0, 1], got {share}")
        condition = "" if pairs is None else "AND id IN (SELECT value FROM json_each(:pairs))"
        with self._database.write() as connection:
            rows = connection.execute(
                f"SELECT id FROM pairs WHERE decision_id IS NOT NULL {condition} "  # noqa: S608
                "AND id NOT IN (SELECT pair_id FROM reviews)",
                {"pairs": json.dumps(pairs)},
            )
            decided = np.array([pair for (pair,) in rows], np.int64)
            chosen = decided[chances(decided, seed) < share].tolist()
            connection.executemany(
                "INSERT INTO reviews (pair_id, asked_at) VALUES (?, ?)", [(pair, now()) for pair in chosen]
            )
        return len(chosen)

    def open_for(self, curator: str) -> int:
        """How many reviews this curator could give now."""
        with self._database.read() as connection:
            return connection.execute(_WAITING, {"curator": curator, "time": now()}).fetchone()[0]

    def taken_by(self, curator: str | None) -> dict[int, int]:
        """The reviews that a curator (None: anybody) has taken and not given yet: pair -> review."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT r.pair_id, r.id FROM reviews r JOIN curators u ON u.id = r.curator_id "
                "WHERE r.verdict IS NULL AND coalesce(u.name = ?, true) AND coalesce(r.expires_at > ?, true) "
                "ORDER BY r.id",
                (curator, now()),
            )
            return dict(map(tuple, rows))

    def assign(self, pair: int, curator: str) -> int:
        """Ask one curator for a second review of one pair; gives its id.

        Raises:
            StoreError: they have worked on the pair. ValueError: there is no such pair.
        """
        with self._database.write() as connection:
            one(connection, "SELECT id FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
            author = curator_id(connection, curator)
            values = (pair, author)
            if connection.execute("SELECT 1 FROM edits WHERE pair_id = ? AND curator_id = ?", values).fetchone():
                raise StoreError(f"{curator} has worked on pair {pair} and cannot judge it blindly; ask someone else")
            connection.execute(
                "INSERT INTO reviews (pair_id, curator_id, asked_at) VALUES (?, ?, ?) "
                "ON CONFLICT (pair_id, curator_id) DO NOTHING",
                (*values, now()),
            )
            return connection.execute("SELECT id FROM reviews WHERE pair_id = ? AND curator_id = ?", values).fetchone()[
                "id"
            ]

    def next(self, curator: str, *, lease_s: float = LEASE_S) -> ReviewRecord | None:
        """Take the next review that this curator can give: of a pair that they have not worked on; None: no such."""
        with self._database.write() as connection:
            values = {"curator": curator_id(connection, curator), "time": now(), "until": later(lease_s)}
            row = connection.execute(_NEXT, values).fetchone()
            return _review(connection, row["id"]) if row else None

    def look(self, review: int) -> PairRecord:
        """The pair as it was before any person worked on it: no decision, note, edit or fit of others."""
        with self._database.read() as connection:
            pair = _review(connection, review).pair
            record = details.pair_record(connection, self._files, pair)
            return _blind(record, _untouched(connection, pair, record.history))

    def seen_by(self, curator: str | None, pair: int) -> PairRecord:
        """The pair as a curator may see it: as `look` gives it while a review of it is theirs to give, else all of it.

        None: somebody who does not say who they are, and may be any of those who review.

        Raises:
            ValueError: there is no such pair.
        """
        if review := self.taken_by(curator).get(pair):
            return self.look(review)
        with self._database.read() as connection:
            return details.pair_record(connection, self._files, pair)

    def judge(self, review: int, decision: Decision, *, edits: Sequence[Edit] = ()) -> None:
        """Give a review: a verdict, and the edits that the reviewer would make on the sheet of `look`.

        Raises:
            StoreError: the review is not this curator's, or given already. ValueError: an edit does not apply.
        """
        with self._database.write() as connection:
            record = _review(connection, review)
            if record.curator != decision.curator or record.verdict is not None:
                raise StoreError(f"review {review} is not {decision.curator}'s to give; take another one")
            sheet = _untouched(connection, record.pair, load_history(connection, record.pair))
            for edit in edits:
                sheet = apply(sheet, edit, curator=decision.curator, answers=load_answers(connection, record.pair))
            connection.execute(
                "UPDATE reviews SET verdict = ?, reason = ?, note = ?, edits = ?, contacts = ?, judged_at = ?, "
                "expires_at = NULL WHERE id = ?",
                (
                    decision.verdict.value, decision.reason, decision.note,
                    json.dumps([to_json(edit) for edit in edits]), CONTACTS.dump_json(sheet.active).decode(),
                    now(), review,
                ),
            )  # fmt: skip
            refresh(connection, record.pair)

    def resolve(self, pair: int, decision: Decision, *, revision: int) -> Sheet:
        """Let a decision stand by somebody who has seen both judgements; the pair's reviews are settled with it.

        Raises:
            ConflictError: someone saved in between. ValueError: as `Workspace.decide`.
        """
        with self._database.write() as connection:
            sheet = changes.save(connection, pair, decision, decision.curator, revision)
            if sheet is not None:
                settled = "UPDATE reviews SET settled_at = ? WHERE pair_id = ? AND verdict IS NOT NULL"
                connection.execute(settled, (now(), pair))
                refresh(connection, pair)
        if sheet is None:
            raise ConflictError(changes.stale(pair))
        return sheet

    def list(self, *, pair: int | None = None) -> tuple[ReviewRecord, ...]:
        """Reviews asked for and given, of all pairs or of one, the oldest first."""
        condition, values = ("r.pair_id = ?", (pair,)) if pair is not None else ("true", ())
        with self._database.read() as connection:
            rows = connection.execute(f"{_SELECT} WHERE {condition} ORDER BY r.id", values)
            return tuple(_record(row) for row in rows)

    def agreement(self) -> Agreement:
        """How far second reviews agree with the first decisions on their pairs."""
        with self._database.read() as connection:
            return agreement.agreement(list(agreement.judged_twice(connection)))

    def agreements(self) -> dict[tuple[str, str], Agreement]:
        """The same for each (curator of the decision, curator of the review)."""
        with self._database.read() as connection:
            judged = agreement.by_curators(list(agreement.judged_twice(connection)))
        return {curators: agreement.agreement(some) for curators, some in judged.items()}


def _review(connection: sqlite3.Connection, review: int) -> ReviewRecord:
    missing = f"there is no review {review}"
    return _record(one(connection, f"{_SELECT} WHERE r.id = ?", (review,), missing=missing))


def _record(row: sqlite3.Row) -> ReviewRecord:
    same = ("id", "curator", "reason", "note", "asked_at", "judged_at", "settled_at")
    return ReviewRecord(
        pair=row["pair_id"],
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        contacts=CONTACTS.validate_json(row["contacts"]),
        **{name: row[name] for name in same},
    )


def _untouched(connection: sqlite3.Connection, pair: int, history: Sequence[EditRecord]) -> Sheet:
    """The sheet before the first entry of a person."""
    people = (number for number, entry in enumerate(history) if entry.curator not in ("", PROGRAM))
    return rebuild(as_history(history[: next(people, len(history))]), load_answers(connection, pair))


def _blind(record: PairRecord, sheet: Sheet) -> PairRecord:
    fits = tuple(replace(fit, stale=False, curator="") for fit in record.fits if fit.revision <= sheet.revision)
    shown: dict[str, Any] = {"state": PairState.FITTED if fits else PairState.ASKED, "disagrees": False}
    shown |= {"revision": sheet.revision, "contacts": len(sheet.active), "decided_by": ""}
    shown["updated_at"] = max(entry.made_at for entry in record.history[: sheet.revision]) if sheet.revision else ""
    shown |= {
        "fit_error": max(fits[-1].reprojection_512) if fits else 0.0,
        "gap_m": fits[-1].max_gap_m if fits else None,
    }
    return replace(
        record,
        summary=replace(record.summary, **shown),
        sheet=sheet,
        answer=next((answer for answer in record.answers if answer.id == sheet.answer), None),
        history=record.history[: sheet.revision],
        fits=fits,
        decision=None,
        decisions=(),
        conflicts=(),
    )
