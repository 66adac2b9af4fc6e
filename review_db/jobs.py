"""The queue of fits and questions between the app and its worker processes."""

import json
from collections.abc import Mapping, Sequence
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

# Whose last job started longest ago comes first, so that nobody waits behind another's batch. One look at the index
# per curator and kind finds their next jobs, however many wait.
_CLAIM = """
WITH RECURSIVE waiting (curator) AS (
    SELECT min(curator) FROM jobs WHERE state = 'queued'
    UNION ALL
    SELECT (SELECT min(curator) FROM jobs WHERE state = 'queued' AND curator > waiting.curator) FROM waiting
    WHERE waiting.curator IS NOT NULL
), next (curator, id) AS (
    SELECT curator, (
        SELECT id FROM jobs
        WHERE state = 'queued' AND curator = waiting.curator AND kind = kinds.value AND not_before <= :time
        ORDER BY id LIMIT 1)
    FROM waiting, json_each(:kinds) AS kinds WHERE curator IS NOT NULL
)
UPDATE jobs SET state = 'running', worker = :worker, attempt = attempt + 1, started_at = :time, heartbeat_at = :time
WHERE id = (
    SELECT id FROM next WHERE id IS NOT NULL
    ORDER BY (SELECT coalesce(max(started_at), '') FROM jobs WHERE curator = next.curator), id LIMIT 1)
RETURNING *
"""


class Jobs:
    """Jobs of one workspace (`Workspace.jobs`).

    A worker's loop: `claim`, then `heartbeat` several times a second until it says stop, then `Workspace.add_fit` or
    `add_answer` with the job, or `finish`, `fail` or `stopped`.
    """

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def queue(
        self, kind: JobKind, pair: int, *, revision: int, curator: str = "", options: Mapping[str, Any] | None = None
    ) -> int:
        """Queue a job; an equal one of the same curator that still waits is returned instead of a second."""
        with self._database.write() as connection:
            return _queue(connection, kind, pair, revision, curator, options or {})

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
        self, worker: str, *, kinds: Sequence[JobKind] = ("fit", "ask"), lease_s: float = LEASE_S
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
            connection.execute(
                "UPDATE jobs SET cancelling = 1, finished_at = iif(state = 'queued', ?, finished_at), "
                "state = iif(state = 'queued', 'cancelled', state) WHERE id = ? AND state IN ('queued', 'running')",
                (now(), job),
            )

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
            progress=json.loads(row["progress"]),
            preview=self._files.path("progress", row["preview"]) if row["preview"] else None,
            **{name: row[name] for name in names + times},
        )


def _queue(
    connection: sqlite3.Connection, kind: JobKind, pair: int, revision: int, curator: str, options: Mapping[str, Any]
) -> int:
    row = {"kind": kind, "pair_id": pair, "revision": revision, "curator": curator}
    row |= {"options": json.dumps(dict(options), sort_keys=True, allow_nan=False)}
    equal = " AND ".join(f"{name} = :{name}" for name in row)
    one(connection, "SELECT id FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
    waiting = connection.execute(
        f"SELECT id FROM jobs INDEXED BY jobs_pair WHERE state = 'queued' AND {equal}",  # noqa: S608
        row,
    ).fetchone()
    return waiting["id"] if waiting else insert(connection, "jobs", row | {"queued_at": now()})


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
