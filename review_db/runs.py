"""Runs: one step (propose, ask, fit, or the meshes of a study) over a selection, worked off item by item.

A run is rows, so that it survives the page and the server. One runner at a time takes the oldest open run; what it had
begun when it died is done again. An item is an image, or a pair of one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apu.errors import StoreError
from review_db.database import Database, insert, now, one, sqlite3

Kind = Literal["propose", "ask", "fit", "study"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run and how far it is.

    Attributes:
        options: plain values for the runner, never a key. cancelling: asked to stop, still at work.
        message: why it failed. total, done, failed: items. tokens_in, tokens_out: spent so far.
    """

    id: int
    kind: Kind
    curator: str
    options: Mapping[str, Any]
    state: str
    cancelling: bool
    message: str
    queued_at: str
    started_at: str
    finished_at: str
    total: int
    done: int
    failed: int
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, kw_only=True)
class RunItem:
    """One image or pair of a run; `name` is that of the photograph, `message` one sentence."""

    id: int
    image: int
    pair: int | None
    name: str
    state: str
    message: str


_RUNS = """
SELECT r.*, coalesce(i.total, 0) AS total, coalesce(i.done, 0) AS done, coalesce(i.failed, 0) AS failed,
    coalesce(i.tokens_in, 0) AS tokens_in, coalesce(i.tokens_out, 0) AS tokens_out
FROM runs r LEFT JOIN (
    SELECT run_id, count(*) AS total, sum(state = 'done') AS done, sum(state = 'failed') AS failed,
        sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out FROM run_items GROUP BY run_id) i ON i.run_id = r.id
"""
_ITEMS = """
SELECT t.id, t.image_id AS image, t.pair_id AS pair, i.name, t.state, t.message
FROM run_items t JOIN images i ON i.id = t.image_id
"""
_OPEN = "state IN ('queued', 'running')"


class Runs:
    """The runs of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(
        self,
        kind: Kind,
        *,
        curator: str,
        pairs: Sequence[int] = (),
        images: Sequence[int] = (),
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """Queue a run over pairs, or over images; gives its id. What is gone meanwhile is left out.

        Raises:
            StoreError: nothing is left to do.
        """
        with self._database.write() as connection:
            row = {"kind": kind, "curator": curator, "queued_at": now()}
            run = insert(connection, "runs", row | {"options": json.dumps(dict(options or {}), sort_keys=True)})
            table, column = ("pairs", "image_id, id") if pairs else ("images", "id, NULL")
            added = connection.execute(
                f"INSERT INTO run_items (run_id, image_id, pair_id) SELECT ?, {column} FROM {table} "  # noqa: S608
                "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
                (run, json.dumps(list(pairs or images))),
            ).rowcount
            if not added:
                raise StoreError("there is nothing to do in this selection")
            return run

    def list(self, *, limit: int = 50) -> tuple[RunRecord, ...]:
        """The latest runs, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(f"{_RUNS} ORDER BY r.id DESC LIMIT ?", (limit,)).fetchall()
        return tuple(map(_record, rows))

    def get(self, run: int) -> RunRecord:
        """One run; ValueError: there is none of that number."""
        with self._database.read() as connection:
            return _record(one(connection, f"{_RUNS} WHERE r.id = ?", (run,), missing=f"there is no run {run}"))

    def items(self, run: int, *, state: str, limit: int) -> tuple[RunItem, ...]:
        """The first items of a run in a state (``waiting``, ``done``, ``failed``)."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"{_ITEMS} WHERE t.run_id = ? AND t.state = ? ORDER BY t.id LIMIT ?", (run, state, limit)
            )
            return tuple(RunItem(**dict(row)) for row in rows)

    def cancel(self, run: int) -> None:
        """End a waiting run at once; let a running one stop after what it is doing."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE runs SET cancelling = 1, finished_at = iif(state = 'queued', ?, ''), "  # noqa: S608
                f"state = iif(state = 'queued', 'cancelled', state) WHERE id = ? AND {_OPEN}",
                (now(), run),
            )

    def is_open(self) -> bool:
        """Whether there is a run to work on."""
        with self._database.read() as connection:
            return connection.execute(f"SELECT 1 FROM runs WHERE {_OPEN} LIMIT 1").fetchone() is not None  # noqa: S608

    # For the runner -------------------------------------------------------------------------------------------------

    def take(self) -> RunRecord | None:
        """The run to work on: one that was begun, else the oldest; None: no work."""
        with self._database.write() as connection:
            row = connection.execute(
                "UPDATE runs SET state = 'running', started_at = iif(started_at = '', ?, started_at) "  # noqa: S608
                f"WHERE id = (SELECT id FROM runs WHERE {_OPEN} ORDER BY state = 'queued', id LIMIT 1) RETURNING id",
                (now(),),
            ).fetchone()
        return self.get(row["id"]) if row else None

    def goes_on(self, run: int) -> bool:
        """Whether nobody has asked the run to stop."""
        record = self.get(run)
        return record.state == "running" and not record.cancelling

    def tell(self, item: int, *, error: str = "", tokens: tuple[int, int] = (0, 0)) -> None:
        """An item is done, or failed with a sentence; `tokens` were read and written for it."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE run_items SET state = ?, message = ?, tokens_in = ?, tokens_out = ? WHERE id = ?",
                ("failed" if error else "done", error, *tokens, item),
            )

    def finish(self, run: int, *, error: str = "") -> None:
        """A run has ended: all is done, it was cancelled, or it failed as a whole."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE runs SET finished_at = ?, message = ?, state = CASE WHEN ? <> '' THEN 'failed' "
                "WHEN cancelling THEN 'cancelled' ELSE 'done' END WHERE id = ? AND state = 'running'",
                (now(), error, error, run),
            )

    def spent_per_question(self, model: str) -> tuple[float, float, int]:
        """(tokens read, tokens written, answers) on average of a model's answers that say so; 0 answers: unknown."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT coalesce(avg(usage ->> 'prompt_tokens'), 0), coalesce(avg(usage ->> 'completion_tokens'), 0), "
                "count(*) FROM answers WHERE model = ? AND usage ->> 'prompt_tokens' IS NOT NULL",
                (model,),
            ).fetchone()
        return row[0], row[1], row[2]


def _record(row: sqlite3.Row) -> RunRecord:
    values: dict[str, Any] = dict(row)
    values |= {"options": json.loads(row["options"]), "cancelling": bool(row["cancelling"])}
    return RunRecord(**values)
