"""The queue of fits and questions between the app and its worker processes."""

from collections.abc import Mapping, Sequence
from typing import Any

from review_db.records import JobKind, JobRecord, JobState

LEASE_S = 30.0
"""A running job whose worker was silent this long is taken up again, once; then it has failed."""


class Jobs:
    """Jobs of one workspace (`Workspace.jobs`).

    A worker's loop: `claim`, then `heartbeat` several times a second until it says stop, then `Workspace.add_fit` with
    the job, or `finish`, `fail` or `stopped`.
    """

    def queue(
        self, kind: JobKind, pair: int, *, revision: int, curator: str = "", options: Mapping[str, Any] | None = None
    ) -> int:
        """Queue a job; an equal one of the same curator that still waits is returned instead of a second."""
        raise NotImplementedError

    def claim(
        self, worker: str, *, kinds: Sequence[JobKind] = ("fit", "ask"), lease_s: float = LEASE_S
    ) -> JobRecord | None:
        """Take the next job: whose curator has waited longest since their last one, then the oldest; None: no work.

        Each job is given out once. A job of a silent worker is given out a second time, after that it fails.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def finish(self, job: int, worker: str, *, result: int | None = None) -> bool:
        """Mark a job done; False: it is no longer this worker's."""
        raise NotImplementedError

    def fail(self, job: int, worker: str, error: str) -> bool:
        """Mark a job failed, with one sentence; False: it is no longer this worker's."""
        raise NotImplementedError

    def stopped(self, job: int, worker: str) -> bool:
        """Mark a job cancelled after the worker stopped on request; False: it is no longer this worker's."""
        raise NotImplementedError

    def cancel(self, job: int) -> None:
        """Cancel a waiting job at once; ask the worker of a running one to stop."""
        raise NotImplementedError

    def is_cancelled(self, job: int) -> bool:
        """The job is to stop, or has ended in any way."""
        raise NotImplementedError

    def release(self, worker: str) -> None:
        """Give up the jobs of a worker known to be dead: taken up again once, then failed."""
        raise NotImplementedError

    def get(self, job: int) -> JobRecord:
        """One job as it stands."""
        raise NotImplementedError

    def list(
        self, *, pair: int | None = None, states: Sequence[JobState] = ("queued", "running")
    ) -> tuple[JobRecord, ...]:
        """Jobs, oldest first."""
        raise NotImplementedError
