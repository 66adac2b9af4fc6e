"""The queue of fits and questions between the app and its worker processes."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from review_db.database import Database, insert, now, one, sqlite3
from review_db.files import Files
from review_db.records import JobKind, JobRecord, JobState

LEASE_S = 30.0
"""A running job whose worker was silent this long is taken up again, once; then it has failed."""

_ATTEMPTS = 2

_DIED = "the worker died or stopped answering twice on this job; look at its log, then queue the job again"

# Whose last job started longest ago comes first, so that nobody waits behind another's batch.
_CLAIM = """
UPDATE jobs SET state = 'running', worker = :worker, attempt = attempt + 1, started_at = :time, heartbeat_at = :time
WHERE id = (
    SELECT id FROM jobs AS waiting
    WHERE state = 'queued' AND kind IN (SELECT value FROM json_each(:kinds))
    ORDER BY (SELECT coalesce(max(started_at), '') FROM jobs WHERE curator = waiting.curator), id
    LIMIT 1)
RETURNING *
"""


class Jobs:
    """Jobs of one workspace (`Workspace.jobs`).

    A worker's loop: `claim`, then `heartbeat` several times a second until it says stop, then `Workspace.add_fit` with
    the job, or `finish`, `fail` or `stopped`.
    """

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def queue(
        self, kind: JobKind, pair: int, *, revision: int, curator: str = "", options: Mapping[str, Any] | None = None
    ) -> int:
        """Queue a job; an equal one of the same curator that still waits is returned instead of a second."""
        row = {"kind": kind, "pair_id": pair, "revision": revision, "curator": curator}
        row |= {"options": json.dumps(dict(options or {}), sort_keys=True, allow_nan=False)}
        equal = " AND ".join(f"{name} = :{name}" for name in row)
        with self._database.write() as connection:
            one(connection, "SELECT id FROM pairs WHERE id = ?", (pair,), missing=f"there is no pair {pair}")
            waiting = connection.execute(f"SELECT id FROM jobs WHERE state = 'queued' AND {equal}", row).fetchone()  # noqa: S608
            return waiting["id"] if waiting else insert(connection, "jobs", row | {"queued_at": now()})

    def claim(
        self, worker: str, *, kinds: Sequence[JobKind] = ("fit", "ask"), lease_s: float = LEASE_S
    ) -> JobRecord | None:
        """Take the next job: whose curator has waited longest since their last one, then the oldest; None: no work.

        Each job is given out once. A job of a silent worker is given out a second time, after that it fails.
        """
        silent_since = (datetime.now(UTC) - timedelta(seconds=lease_s)).isoformat(timespec="microseconds")
        with self._database.write() as connection:
            _give_up(connection, "heartbeat_at < ?", silent_since)
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

    def fail(self, job: int, worker: str, error: str) -> bool:
        """Mark a job failed, with one sentence; False: it is no longer this worker's."""
        return self._close(job, worker, "failed", error=error)

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
            rows = connection.execute(
                "SELECT * FROM jobs WHERE state IN (SELECT value FROM json_each(:states)) "
                "AND (:pair IS NULL OR pair_id = :pair) ORDER BY id",
                {"states": json.dumps(states), "pair": pair},
            )
            return tuple(self._record(row) for row in rows)

    def drop_preview(self, job: int) -> None:
        """Remove the preview of a job that has ended."""
        preview = self.get(job).preview
        if preview is not None:
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
