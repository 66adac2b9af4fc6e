"""The queue: pairs by filter and order, a neighbour in two index look-ups however long it is.

Filters are values bound to fixed SQL; no text of a user ever becomes SQL.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from review_db.database import sqlite3
from review_db.records import Order, PairFilter, PairState, PairSummary

Clause = tuple[str, tuple[Any, ...]]

_SUMMARY = """
SELECT p.*, i.name AS image, coalesce(a.asker, '') AS asker,
    coalesce(u.name, '') AS decided_by
"""
# Only outer joins, so that SQLite leaves out those that a count does not need.
_TABLES = """
FROM pairs p LEFT JOIN images i ON i.id = p.image_id LEFT JOIN answers a ON a.id = p.answer_id
    LEFT JOIN decisions d ON d.id = p.decision_id LEFT JOIN curators u ON u.id = d.curator_id
"""
_KEY = {Order.UNCERTAIN: "uncertainty", Order.WORST_FIT: "fit_error"}


def summary(connection: sqlite3.Connection, pair: int) -> PairSummary:
    """One line.

    Raises:
        ValueError: there is no such pair.
    """
    for line in _select(connection, [("p.id = ?", (pair,))]):
        return line
    raise ValueError(f"there is no pair {pair}")


def walk(
    connection: sqlite3.Connection,
    where: PairFilter,
    order: Order,
    *,
    after: PairSummary | None = None,
    backwards: bool = False,
    limit: int | None = None,
) -> Iterator[PairSummary]:
    """The queue's lines after (backwards: before) a pair, or from its end."""
    descending = backwards is (order is Order.ID)
    direction = "DESC" if descending else "ASC"
    ids = "DESC" if backwards else "ASC"
    sort = f"p.id {ids}" if order is Order.ID else f"p.{_KEY[order]} {direction}, p.id {ids}"
    left = limit
    for stretch in _stretches(order, after, backwards):
        for line in _select(connection, [*_clauses(where), *stretch], sort=sort, limit=left):
            left = None if left is None else left - 1
            yield line
        if left == 0:
            return


def count(connection: sqlite3.Connection, where: PairFilter, order: Order, *, before: PairSummary | None = None) -> int:
    """How many lines the queue has, or has before a pair."""
    total = 0
    for stretch in _stretches(order, before, backwards=True):
        condition, values = _join([*_clauses(where), *stretch])
        total += connection.execute(f"SELECT count(*) {_TABLES} WHERE {condition}", values).fetchone()[0]
    return total


def _stretches(order: Order, place: PairSummary | None, backwards: bool) -> Sequence[list[Clause]]:
    """The rest of the queue as index ranges: those that tie with the place, then those beyond it."""
    if place is None:
        return ([],)
    ids: Clause = (f"p.id {'<' if backwards else '>'} ?", (place.id,))
    if order is Order.ID:
        return ([ids],)
    column, value = f"p.{_KEY[order]}", getattr(place, _KEY[order])
    return ([(f"{column} = ?", (value,)), ids], [(f"{column} {'>' if backwards else '<'} ?", (value,))])


def _clauses(where: PairFilter) -> Iterator[Clause]:
    if where.states is not None:
        states = tuple(sorted(state.value for state in where.states))
        # The plus keeps SQLite on the order's own index instead of collecting and sorting all pairs of these states.
        yield f"+p.state IN ({', '.join('?' * len(states))})", states
    if where.source is not None:
        yield "p.source = ?", (where.source,)
    if where.simulated is not None:
        yield "p.simulated = ?", (where.simulated,)
    if where.curator is not None:
        yield "u.name = ?", (where.curator,)
    if where.text:
        fields = ("i.name", "p.action", "coalesce(a.interaction, '')")
        yield " OR ".join(f"instr(lower({field}), lower(?))" for field in fields), (where.text,) * len(fields)


def _join(clauses: Sequence[Clause]) -> Clause:
    condition = " AND ".join(f"({sql})" for sql, _ in clauses) or "1"
    return condition, tuple(value for _, values in clauses for value in values)


def _select(
    connection: sqlite3.Connection, clauses: Sequence[Clause], *, sort: str = "p.id", limit: int | None = None
) -> Iterator[PairSummary]:
    condition, values = _join(clauses)
    sql = f"{_SUMMARY} {_TABLES} WHERE {condition} ORDER BY {sort} LIMIT ?"
    for row in connection.execute(sql, (*values, -1 if limit is None else limit)):
        yield PairSummary(
            id=row["id"],
            image=row["image"],
            state=PairState(row["state"]),
            source=row["source"],
            action=row["action"],
            simulated=bool(row["simulated"]),
            interaction=row["interaction"],
            asker=row["asker"],
            uncertainty=row["uncertainty"],
            fit_error=row["fit_error"],
            contacts=row["active_contacts"],
            revision=row["revision"],
            decided_by=row["decided_by"],
            updated_at=row["updated_at"],
        )
