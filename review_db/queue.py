"""Lines of the queue by SQL: filters are values bound to fixed SQL, no text of a user ever becomes SQL.

`walk` reads every pair there is; it is for exports, which need the state of their own transaction, and the measure of
`review_db.columns`, which finds the lines of a page without.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from review_db.database import sqlite3
from review_db.records import Order, PairFilter, PairState, PairSummary, Range

Clause = tuple[str, tuple[Any, ...]]

_SELECT = """
SELECT p.*, i.name AS image, coalesce(a.asker, '') AS asker, coalesce(u.name, '') AS decided_by
FROM pairs p JOIN images i ON i.id = p.image_id LEFT JOIN answers a ON a.id = p.answer_id
    LEFT JOIN curators u ON u.id = p.decider_id
"""
_LISTED = "p.id IN (SELECT value FROM json_each(?))"


def summary(connection: sqlite3.Connection, pair: int) -> PairSummary:
    """One line.

    Raises:
        ValueError: there is no such pair.
    """
    for line in summaries(connection, [pair]):
        return line
    raise ValueError(f"there is no pair {pair}")


def summaries(connection: sqlite3.Connection, pairs: Sequence[int]) -> Iterator[PairSummary]:
    """The lines of pairs in the order given; pairs that are gone are left out."""
    for first in range(0, len(pairs), 1000):
        some = [int(pair) for pair in pairs[first : first + 1000]]
        rows = {row["id"]: row for row in connection.execute(f"{_SELECT} WHERE {_LISTED}", (json.dumps(some),))}
        yield from (_summary(rows[pair]) for pair in some if pair in rows)


def walk(connection: sqlite3.Connection, where: PairFilter, order: Order = Order.ID) -> Iterator[PairSummary]:
    """All lines of a filter by id, from the caller's own transaction."""
    if order is not Order.ID:
        raise ValueError(f"order must be {Order.ID}, got {order}")
    clauses = list(_clauses(where))
    condition = " AND ".join(f"({sql})" for sql, _ in clauses) or "true"
    values = [value for _, values in clauses for value in values]
    for row in connection.execute(f"{_SELECT} WHERE {condition} ORDER BY p.id", values):
        yield _summary(row)


def _clauses(where: PairFilter) -> Iterator[Clause]:
    for column, chosen in (("state", where.states), ("interaction", where.interactions)):
        if chosen is not None:
            yield f"p.{column} IN (SELECT value FROM json_each(?))", (json.dumps(sorted(chosen)),)  # noqa: S608
    for column, value in (
        ("source", where.source),
        ("simulated", where.simulated),
        ("image_id", where.image),
        ("disagrees", where.disagrees),
    ):
        if value is not None:
            yield f"p.{column} = ?", (value,)
    if where.curator is not None:
        yield "u.name = ?", (where.curator,)
    if where.text:
        fields = ("i.name", "p.action", "p.interaction")
        yield " OR ".join(f"instr(lower({field}), lower(?))" for field in fields), (where.text,) * len(fields)
    yield from _limits("1 - p.uncertainty", where.confidence)
    yield from _limits("p.gap_m", where.gap_m)
    yield from _limits("iif(p.fit_id IS NULL, NULL, p.fit_error)", where.reprojection)


def _limits(column: str, limits: Range | None) -> Iterator[Clause]:
    low, high = limits or (None, None)
    if low is not None:
        yield f"{column} >= ?", (low,)
    if high is not None:
        yield f"{column} <= ?", (high,)
    if limits is not None:
        yield f"{column} IS NOT NULL", ()


def _summary(row: sqlite3.Row) -> PairSummary:
    same = ("id", "image", "source", "action", "interaction", "asker", "uncertainty", "fit_error", "gap_m", "revision")
    return PairSummary(
        state=PairState(row["state"]),
        simulated=bool(row["simulated"]),
        disagrees=bool(row["disagrees"]),
        contacts=row["active_contacts"],
        decided_by=row["decided_by"],
        updated_at=row["updated_at"],
        **{name: row[name] for name in same},
    )
