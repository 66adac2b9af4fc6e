"""The queue of fits and questions between the app and its worker processes."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from apu.errors import StoreError
from review_db.database import Database, insert, later, now, one, sqlite3
from review_db.files import Files
from review_db.records import JobKind, JobRecord, JobState

LEASE_S = 30.0
"""A running job whose worker was silent this long is taken up again, once; then it has failed."""

_ATTEMPTS = 2

_DIED = "the worker died or stopped answering twice on this job; look at its log, then queue the job again"

LOST = "job {job} was cancelled or given to another worker; its result is not stored"

RETRIES = 4
"""So often a job that failed for a passing reason is tried again."""

# What somebody asked for comes before what is prepared; then whose last job of that kind started longest ago, so that
# nobody waits behind another's batch. One look at the index per curator and kind finds their next jobs, however many
# wait.
_CLAIM = """
WITH RECURSIVE waiting (prepared, curator) AS (
    SELECT value, (SELECT min(curator) FROM jobs WHERE state = 'queued' AND prepared = value) FROM json_each('[0, 1]')
    UNION ALL
    SELECT prepared, (
        SELECT min(curator) FROM jobs
        WHERE state = 'queued' AND prepared = waiting.prepared AND curator > waiting.curator)
    FROM waiting WHERE waiting.curator IS NOT NULL
), next (prepared, curator, id) AS (
    SELECT prepared, curator, (
        SELECT id FROM jobs
        WHERE state = 'queued' AND prepared = waiting.prepared AND curator = waiting.curator AND kind = kinds.value
            AND not_before <= :time
        ORDER BY id LIMIT 1)
    FROM waiting, json_each(:kinds) AS kinds WHERE curator IS NOT NULL
)
UPDATE jobs SET state = 'running', worker = :worker, attempt = attempt + 1, started_at = :time, heartbeat_at = :time
WHERE id = (
    SELECT id FROM next WHERE id IS NOT NULL
    ORDER BY prepared, (
        SELECT coalesce(max(started_at), '') FROM jobs WHERE curator = next.curator AND prepared = next.prepared), id
    LIMIT 1)
RETURNING *
"""

_FITS = ("fit", "fan")
"""The kinds that the fit worker takes."""

_MOST_AHEAD = 100
"""More of one's own earlier jobs are not counted."""


class Jobs:
    """Jobs of one workspace (`Workspace.jobs`).

    A worker's loop: `claim`, then `heartbeat` several times a second until it says stop, then `Workspace.add_fit` or
    `add_answer` with the job, or `finish`, `fail` or `stopped`.
    """

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def queue(
        self,
        kind: JobKind,
        pair: int,
        *,
        revision: int,
        curator: str = "",
        options: Mapping[str, Any] | None = None,
        prepared: bool = False,
        instead: bool = False,
    ) -> int:
        """Queue a job; an equal one of the same curator that still waits is returned instead of a second.

        Args:
            kind, pair, revision, curator, options: as in `JobRecord`.
            prepared: nobody waits for it, so it runs once nothing else is to do. One that is asked for after all no
                longer waits for that.
            instead: of the curator's other open jobs of this kind and pair, which are outdated: they end, and the
                preview of a running one stays in view until this one has its own.
        """
        with self._database.write() as connection:
            job = _queue(connection, kind, pair, revision, curator, options or {}, prepared=prepared)
            ended = self._end_others(connection, job) if instead else []
        for other in ended:
            self.drop_preview(other)
        return job

    def _end_others(self, connection: sqlite3.Connection, job: int) -> list[int]:
        """Cancel what a job stands instead of; gives those that were still waiting."""
        others = connection.execute(
            "SELECT o.* FROM jobs j JOIN jobs o USING (kind, pair_id, curator) "
            "WHERE j.id = ? AND o.id <> j.id AND o.state IN ('queued', 'running') ORDER BY o.id",
            (job,),
        ).fetchall()
        for other in others:
            _cancel(connection, other["id"])
            if other["preview"]:
                path, name = self._files.path("progress", other["preview"]), f"{job}{Path(other['preview']).suffix}"
                with suppress(FileNotFoundError):  # it has ended meanwhile
                    self._files.write(self._files.path("progress", name), path.read_bytes())
                    connection.execute("UPDATE jobs SET preview = ? WHERE id = ?", (name, job))
        return [other["id"] for other in others if other["state"] == "queued"]

    def queue_all(
        self, kind: JobKind, pairs: Sequence[int], *, curator: str = "", options: Mapping[str, Any] | None = None
    ) -> tuple[int, ...]:
        """Queue a job for each pair as it stands now, all or none of them.

        Raises:
            ValueError: there is no such pair.
        """
        with self._database.write() as connection:
            jobs = []
            for pair in pairs:
                missing = f"there is no pair {pair}"
                row = one(connection, "SELECT revision FROM pairs WHERE id = ?", (pair,), missing=missing)
                jobs.append(_queue(connection, kind, pair, row["revision"], curator, options or {}))
            return tuple(jobs)

    def retry(self, job: int) -> int:
        """Queue a job that failed or was cancelled once more, as a new one; gives its id.

        Raises:
            ValueError: there is no such job. StoreError: it has not ended, or was done.
        """
        with self._database.write() as connection:
            row = one(connection, "SELECT * FROM jobs WHERE id = ?", (job,), missing=f"there is no job {job}")
            if row["state"] not in ("failed", "cancelled"):
                raise StoreError(f"job {job} is {row['state']}; only failed or cancelled jobs are tried again")
            again = (row["kind"], row["pair_id"], row["revision"], row["curator"], json.loads(row["options"]))
            return _queue(connection, *again)

    def claim(
        self, worker: str, *, kinds: Sequence[JobKind] = ("fit", "fan", "ask"), lease_s: float = LEASE_S
    ) -> JobRecord | None:
        """Take the next job: whose curator has waited longest since their last one, then the oldest; None: no work.

        Each job is given out once. A job of a silent worker is given out a second time, after that it fails.
        """
        with self._database.write() as connection:
            _give_up(connection, "heartbeat_at < ?", later(-lease_s))
            row = connection.execute(_CLAIM, {"worker": worker, "time": now(), "kinds": json.dumps(kinds)}).fetchone()
            return self._record(row) if row else None

    def heartbeat(
        self,
        job: int,
        worker: str,
        *,
        progress: Mapping[str, Any] | None = None,
        preview: tuple[str, bytes] | None = None,
    ) -> bool:
        """Say that the worker lives and how far it is; False: stop, the job is cancelled or no longer this worker's.

        `progress` replaces the stored one; `preview` is (suffix such as ``".npz"``, content) of the latest picture or
        mesh, replaces the one before it and goes when the job ends.
        """
        name = None
        if preview is not None:
            if not self._is_running(job, worker):
                return False  # its pair may have been forgotten: leave nothing behind
            name = f"{job}{preview[0]}"
            self._files.write(self._files.path("progress", name), preview[1])
        values = {"job": job, "worker": worker, "time": now(), "preview": name}
        values["progress"] = None if progress is None else json.dumps(dict(progress), allow_nan=False)
        with self._database.write() as connection:
            row = connection.execute(
                "UPDATE jobs SET heartbeat_at = :time, progress = coalesce(:progress, progress), "
                "preview = coalesce(:preview, preview) "
                "WHERE id = :job AND worker = :worker AND state = 'running' RETURNING cancelling",
                values,
            ).fetchone()
        return row is not None and not row["cancelling"]

    def is_wanted(self, kinds: Sequence[JobKind], *, prepared: bool = True) -> bool:
        """Whether a job of these kinds waits; without `prepared` only one that somebody asked for. A cheap look."""
        with self._database.read() as connection:
            query = (
                "SELECT 1 FROM jobs WHERE state = 'queued' AND prepared <= ? "
                "AND kind IN (SELECT value FROM json_each(?)) AND not_before <= ? LIMIT 1"
            )
            return connection.execute(query, (prepared, json.dumps(kinds), now())).fetchone() is not None

    def put_back(self, job: int, worker: str) -> bool:
        """Let a running job wait again, for one that matters more; False: it is no longer this worker's."""
        with self._database.write() as connection:
            row = connection.execute(
                "UPDATE jobs SET state = iif(cancelling, 'cancelled', 'queued'), worker = '', attempt = attempt - 1, "
                "progress = '{}', preview = NULL, finished_at = iif(cancelling, ?, '') "
                "WHERE id = ? AND worker = ? AND state = 'running' RETURNING id",
                (now(), job, worker),
            ).fetchone()
        if row is not None:
            self.drop_preview(job)
        return row is not None

    def ahead(self, job: int) -> tuple[str, ...]:
        """Whose fits and fans come before a waiting one, in their order, the running ones first; empty: it is next.

        An estimate: curators take turns, and who comes first among several in a turn may change.
        """
        with self._database.read() as connection:
            own = connection.execute("SELECT * FROM jobs WHERE id = ? AND state = 'queued'", (job,)).fetchone()
            if own is None:
                return ()
            running = connection.execute(
                "SELECT curator FROM jobs WHERE state = 'running' AND NOT cancelling AND prepared <= ? "
                "AND kind IN ('fit', 'fan') ORDER BY started_at",
                (own["prepared"],),
            )
            names = [curator for (curator,) in running]
            return (*names, *_turns(connection, own))

    def finish(self, job: int, worker: str, *, result: int | None = None) -> bool:
        """Mark a job done; False: it is no longer this worker's."""
        return self._close(job, worker, "done", result=result)

    def fail(self, job: int, worker: str, error: str, *, again_in_s: float | None = None) -> bool:
        """Mark a job failed, with one sentence; False: it is no longer this worker's.

        With `again_in_s` the reason may pass (a server is down): the job is queued again, to be claimed after that
        time, up to `RETRIES` times; after that it has failed.
        """
        if again_in_s is None:
            return self._close(job, worker, "failed", error=error)
        with self._database.write() as connection:
            row = connection.execute(
                "UPDATE jobs SET failures = failures + 1, attempt = 0, error = :error, worker = '', "
                "state = CASE WHEN cancelling THEN 'cancelled' WHEN failures >= :most THEN 'failed' ELSE 'queued' END, "
                "finished_at = iif(cancelling OR failures >= :most, :time, ''), not_before = :later "
                "WHERE id = :job AND worker = :worker AND state = 'running' RETURNING state",
                {
                    "job": job, "worker": worker, "error": error, "most": RETRIES, "time": now(),
                    "later": later(again_in_s),
                },
            ).fetchone()  # fmt: skip
        if row is not None:
            self.drop_preview(job)
        return row is not None

    def stopped(self, job: int, worker: str) -> bool:
        """Mark a job cancelled after the worker stopped on request; False: it is no longer this worker's."""
        return self._close(job, worker, "cancelled")

    def cancel(self, job: int) -> None:
        """Cancel a waiting job at once; ask the worker of a running one to stop."""
        with self._database.write() as connection:
            _cancel(connection, job)
        if self.get(job).state == "cancelled":
            self.drop_preview(job)

    def is_cancelled(self, job: int) -> bool:
        """The job is to stop, or has ended in any way."""
        record = self.get(job)
        return record.cancelling or record.state not in ("queued", "running")

    def release(self, worker: str) -> None:
        """Give up the jobs of a worker known to be dead: taken up again once, then failed."""
        with self._database.write() as connection:
            _give_up(connection, "worker = ?", worker)

    def get(self, job: int) -> JobRecord:
        """One job as it stands.

        Raises:
            ValueError: there is no such job.
        """
        with self._database.read() as connection:
            row = one(connection, "SELECT * FROM jobs WHERE id = ?", (job,), missing=f"there is no job {job}")
            return self._record(row)

    def list(
        self, *, pair: int | None = None, states: Sequence[JobState] = ("queued", "running")
    ) -> tuple[JobRecord, ...]:
        """Jobs, oldest first."""
        with self._database.read() as connection:
            pairs, values = ("true", ()) if pair is None else ("pair_id = ?", (pair,))
            rows = connection.execute(
                f"SELECT * FROM jobs WHERE state IN (SELECT value FROM json_each(?)) AND {pairs} ORDER BY id",  # noqa: S608
                (json.dumps(states), *values),
            )
            return tuple(self._record(row) for row in rows)

    def check(self, job: int, worker: str) -> None:
        """Make sure that a running job is still this worker's.

        Raises:
            StoreError: it was cancelled or given to another.
        """
        if not self._is_running(job, worker):
            raise StoreError(LOST.format(job=job))

    def _is_running(self, job: int, worker: str) -> bool:
        with self._database.read() as connection:
            query = "SELECT 1 FROM jobs WHERE id = ? AND worker = ? AND state = 'running' AND NOT cancelling"
            return connection.execute(query, (job, worker)).fetchone() is not None

    def drop_preview(self, job: int) -> None:
        """Remove the preview of a job that has ended."""
        for preview in self._files.path("progress", "").glob(f"{job}.*"):
            self._files.remove("progress", preview.name)

    def _close(self, job: int, worker: str, state: JobState, **values: Any) -> bool:
        with self._database.write() as connection:
            closed = close_job(connection, job, worker, state, **values)
        if closed:
            self.drop_preview(job)
        return closed

    def _record(self, row: sqlite3.Row) -> JobRecord:
        names = ("id", "kind", "revision", "curator", "state", "worker", "attempt", "error", "result")
        times = ("queued_at", "started_at", "finished_at")
        return JobRecord(
            pair=row["pair_id"],
            options=json.loads(row["options"]),
            cancelling=bool(row["cancelling"]),
            prepared=bool(row["prepared"]),
            progress=json.loads(row["progress"]),
            preview=self._files.path("progress", row["preview"]) if row["preview"] else None,
            **{name: row[name] for name in names + times},
        )


def _queue(
    connection: sqlite3.Connection,
    kind: JobKind,
    pair: int,
    revision: int,
    curator: str,
    options: Mapping[str, Any],
    *,
    prepared: bool = False,
) -> int:
    row = {"kind": kind, "pair_id": pair, "revision": revision, "curator": curator}
    row |= {"options": json.dumps(dict(options), sort_keys=True, allow_nan=False)}
    equal = " AND ".join(f"{name} = :{name}" for name in row)
    one(connection, "SELECT id FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
    # A prepared one that runs already is as good as one that waits.
    waiting = connection.execute(
        "SELECT id FROM jobs INDEXED BY jobs_pair "  # noqa: S608
        f"WHERE (state = 'queued' OR (state = 'running' AND prepared AND NOT cancelling)) AND {equal}",
        row,
    ).fetchone()
    if waiting is None:
        return insert(connection, "jobs", row | {"prepared": prepared, "queued_at": now()})
    if not prepared:
        connection.execute("UPDATE jobs SET prepared = 0 WHERE id = ?", (waiting["id"],))
    return waiting["id"]


def _cancel(connection: sqlite3.Connection, job: int) -> None:
    connection.execute(
        "UPDATE jobs SET cancelling = 1, finished_at = iif(state = 'queued', ?, finished_at), "
        "state = iif(state = 'queued', 'cancelled', state) WHERE id = ? AND state IN ('queued', 'running')",
        (now(), job),
    )


def _turns(connection: sqlite3.Connection, job: sqlite3.Row) -> list[str]:
    """The curators whose waiting jobs come before this one.

    Of everybody as many as wait before it of its own curator, and one more of those whose turn it is first.
    """
    waiting = f"state = 'queued' AND prepared = :prepared AND kind IN {_FITS}"  # this file's own words
    known: dict[str, Any] = {"prepared": job["prepared"], "id": job["id"]}
    last = connection.execute(
        f"SELECT curator, (SELECT coalesce(max(started_at), '') FROM jobs WHERE curator = q.curator "  # noqa: S608
        f"AND prepared = :prepared) AS started_at FROM (SELECT DISTINCT curator FROM jobs WHERE {waiting}) q",
        known,
    ).fetchall()
    places: list[tuple[int, str, int, str]] = []
    own = (0, "", 0)
    for curator, started_at in sorted(last, key=lambda row: row["curator"] != job["curator"]):
        most = own[0] + 1 if curator != job["curator"] else _MOST_AHEAD
        rows = connection.execute(
            f"SELECT id FROM jobs WHERE {waiting} AND curator = :curator ORDER BY id LIMIT :most",  # noqa: S608
            known | {"curator": curator, "most": most},
        )
        mine = [(turn, started_at, number, curator) for turn, (number,) in enumerate(rows)]
        if curator == job["curator"]:
            own = next((place[:3] for place in mine if place[2] == job["id"]), (len(mine), started_at, job["id"]))
        places += mine
    return [curator for *place, curator in sorted(places) if tuple(place) < own]


def close_job(
    connection: sqlite3.Connection,
    job: int,
    worker: str,
    state: JobState,
    *,
    result: int | None = None,
    error: str = "",
) -> bool:
    """End a worker's running job; False: it is no longer this worker's, or was cancelled and claims to be done."""
    cursor = connection.execute(
        "UPDATE jobs SET state = :state, result = :result, error = :error, finished_at = :time "
        "WHERE id = :job AND worker = :worker AND state = 'running' AND NOT (cancelling AND :state = 'done')",
        {"job": job, "worker": worker, "state": state, "result": result, "error": error, "time": now()},
    )
    return cursor.rowcount == 1


def _give_up(connection: sqlite3.Connection, condition: str, value: str) -> None:
    """Take running jobs from their workers: cancelled if that was asked for, else queued again, once."""
    connection.execute(
        "UPDATE jobs SET "  # noqa: S608
        f"state = CASE WHEN cancelling THEN 'cancelled' WHEN attempt >= {_ATTEMPTS} THEN 'failed' ELSE 'queued' END, "
        "error = iif(NOT cancelling AND attempt >= ?, ?, ''), "
        "finished_at = iif(cancelling OR attempt >= ?, ?, ''), worker = '' "
        f"WHERE state = 'running' AND {condition}",
        (_ATTEMPTS, _DIED, _ATTEMPTS, now(), value),
    )
