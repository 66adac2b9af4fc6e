"""Who works on which pair: claims that run out by themselves, and pairs put aside for later."""

import json
from collections.abc import Collection, Iterator

from review_db import queue
from review_db.columns import Queue
from review_db.database import Database, later, now, one, sqlite3
from review_db.records import UNDECIDED, ClaimRecord, Order, PairFilter, PairSummary
from review_db.sheets import curator_id, release

LEASE_S = 15 * 60.0
"""A pair whose curator was silent this long is free for others."""

SKIP_S = 24 * 3600.0
"""A skipped pair comes back to its curator after this time."""

_AT_ONCE = 32

# The first of the wanted pairs that nobody else holds, in their order.
_TAKE = """
INSERT INTO claims (pair_id, curator_id, claimed_at, expires_at)
SELECT p.id, :curator, :time, :until FROM json_each(:pairs) AS wanted JOIN pairs AS p ON p.id = wanted.value
WHERE (:states IS NULL OR p.state IN (SELECT value FROM json_each(:states))) AND NOT EXISTS (
    SELECT 1 FROM claims WHERE pair_id = p.id AND curator_id <> :curator AND expires_at > :time)
ORDER BY wanted.key LIMIT 1
ON CONFLICT (pair_id) DO UPDATE SET
    claimed_at = iif(curator_id = excluded.curator_id, claimed_at, excluded.claimed_at),
    curator_id = excluded.curator_id, expires_at = excluded.expires_at
RETURNING pair_id
"""


class Claims:
    """The claims on the pairs of one workspace (`Workspace.claims`).

    A claim keeps others from being sent to a pair; it does not lock it. Whoever saves first wins, claim or not, and
    drafts outlive claims. A curator's decision ends their claim.
    """

    def __init__(self, database: Database, lines: Queue) -> None:
        self._database, self._queue = database, lines

    def next(
        self,
        curator: str,
        where: PairFilter = UNDECIDED,
        *,
        order: Order = Order.UNCERTAIN,
        seed: int = 0,
        after: PairSummary | None = None,
        without: Collection[int] = (),
        lease_s: float = LEASE_S,
    ) -> PairSummary | None:
        """Claim the first pair of the queue that nobody else holds and the curator has not put aside; None: no such.

        A pair is given to one curator only, however many ask at once; one they hold themselves comes again. `without`
        leaves some out.
        """
        while True:
            with self._database.read() as connection:
                away = [*without, *_held_by_others(connection, curator), *_skipped(connection, curator)]
                pairs = self._queue.ids(
                    connection, where, order, seed=seed, after=after, limit=_AT_ONCE, without=set(away)
                )
            if not pairs:
                return None
            taken = self._take(pairs, curator, where, lease_s)
            if taken is not None:
                return taken

    def take(self, pair: int, curator: str, *, lease_s: float = LEASE_S) -> bool:
        """Claim a pair, or go on claiming it; False: someone else holds it.

        Raises:
            ValueError: there is no such pair.
        """
        with self._database.read() as connection:
            _check(connection, pair)
        return self._take([pair], curator, PairFilter(), lease_s) is not None

    def renew(self, pair: int, curator: str, *, lease_s: float = LEASE_S) -> bool:
        """Say that the curator is still there; False: the claim has ended and is not theirs any more."""
        with self._database.write() as connection:
            cursor = connection.execute(
                "UPDATE claims SET expires_at = ? WHERE pair_id = ? AND curator_id = ?",
                (later(lease_s), pair, curator_id(connection, curator)),
            )
            return cursor.rowcount == 1

    def release(self, pair: int, curator: str) -> None:
        """Leave a pair to others; one that was put aside stays so."""
        with self._database.write() as connection:
            author = curator_id(connection, curator)
            connection.execute("DELETE FROM claims WHERE pair_id = ? AND curator_id = ?", (pair, author))

    def skip(self, pair: int, curator: str, *, for_s: float = SKIP_S) -> None:
        """Put a pair aside for later and leave it to others; `next` does not give it to this curator until then.

        Raises:
            ValueError: there is no such pair.
        """
        with self._database.write() as connection:
            _check(connection, pair)
            author = curator_id(connection, curator)
            release(connection, pair, author)
            connection.execute(
                "INSERT INTO skips (curator_id, pair_id, skipped_at, until) VALUES (?, ?, ?, ?)",
                (author, pair, now(), later(for_s)),
            )

    def skipped(self, curator: str) -> tuple[int, ...]:
        """The pairs that a curator has put aside, the first one first."""
        with self._database.read() as connection:
            return tuple(_skipped(connection, curator))

    def come_back(self, pair: int, curator: str) -> None:
        """Take a skipped pair up again."""
        with self._database.write() as connection:
            author = curator_id(connection, curator)
            connection.execute("DELETE FROM skips WHERE curator_id = ? AND pair_id = ?", (author, pair))

    def held(self, curator: str | None = None) -> tuple[ClaimRecord, ...]:
        """The claims that have not run out, everybody's or one curator's, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT c.pair_id AS pair, u.name AS curator, c.claimed_at, c.expires_at FROM claims c "
                "JOIN curators u ON u.id = c.curator_id WHERE c.expires_at > ? AND coalesce(u.name = ?, true) "
                "ORDER BY c.claimed_at, c.pair_id",
                (now(), curator),
            )
            return tuple(ClaimRecord(**dict(row)) for row in rows)

    def _take(self, pairs: list[int], curator: str, where: PairFilter, lease_s: float) -> PairSummary | None:
        states = None if where.states is None else json.dumps(sorted(where.states))
        with self._database.write() as connection:
            values = {"curator": curator_id(connection, curator), "time": now(), "until": later(lease_s)}
            row = connection.execute(_TAKE, values | {"pairs": json.dumps(pairs), "states": states}).fetchone()
            return queue.summary(connection, row["pair_id"]) if row else None


def _held_by_others(connection: sqlite3.Connection, curator: str) -> Iterator[int]:
    rows = connection.execute(
        "SELECT c.pair_id FROM claims c JOIN curators u ON u.id = c.curator_id WHERE c.expires_at > ? AND u.name <> ?",
        (now(), curator),
    )
    return (pair for (pair,) in rows)


def _skipped(connection: sqlite3.Connection, curator: str) -> Iterator[int]:
    rows = connection.execute(
        "SELECT s.pair_id FROM skips s JOIN curators u ON u.id = s.curator_id WHERE u.name = ? AND s.until > ? "
        "ORDER BY s.skipped_at, s.pair_id",
        (curator, now()),
    )
    return (pair for (pair,) in rows)


def _check(connection: sqlite3.Connection, pair: int) -> None:
    one(connection, "SELECT id FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
