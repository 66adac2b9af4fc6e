"""The fit worker: a process of its own that takes queued fits from the workspace one by one.

Run as ``python -m app.worker WORKSPACE``; it stops when its standard input closes, so that it never outlives the
server that started it.
"""

import argparse
import io
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.jobs import last_fit, run_fan, run_fit
from apu.body.model import BodyModel, load_body
from apu.errors import ApuError, InputError
from apu.fit import FitCancelled, FitProgress
from apu.types import BodyParams
from review_db import JobRecord, Workspace
from review_db.records import JobKind

BEAT_S = 0.2
"""How often a running fit says how far it is, and hears whether to stop."""

POLL_S = 0.05
"""How often an idle worker looks for work."""

CLAIM_S = 2.0
"""How often it also asks for what another worker may have left."""

KINDS: tuple[JobKind, ...] = ("fit", "fan")


def work(workspace: Workspace, name: str, body: BodyModel, *, stop: threading.Event) -> None:
    """Take fits and fans and carry them out until told to stop."""
    asked = 0.0
    while not stop.is_set():
        late = time.monotonic() - asked > CLAIM_S
        job = workspace.jobs.claim(name, kinds=KINDS) if late or workspace.jobs.is_wanted(KINDS) else None
        asked = time.monotonic() if late else asked
        if job is None:
            stop.wait(POLL_S)
        else:
            carry_out(workspace, job, name, body)


def carry_out(workspace: Workspace, job: JobRecord, name: str, body: BodyModel) -> None:
    """One fit or fan; every way it can end is written to its job."""
    with _Pulse(workspace, job, name) as pulse:
        told: dict[str, Any] = {"curator": job.curator, "job": job.id, "worker": name}
        told |= {"progress": pulse.tell, "cancelled": pulse.stopped.is_set}
        try:
            if job.kind == "fit":
                run_fit(workspace, job.pair, body, start=beginning(workspace, job, body), **told)
            elif fan := workspace.fans.get(job.pair):
                workspace.jobs.finish(job.id, name, result=fan.id)
            else:
                run_fan(workspace, job.pair, body, threads=1 if job.prepared else 2, **told)
        except FitCancelled:
            if pulse.gives_way:
                workspace.jobs.put_back(job.id, name)
            else:
                workspace.jobs.stopped(job.id, name)
        except ApuError as error:
            workspace.jobs.fail(job.id, name, str(error))
        except MemoryError:
            workspace.jobs.fail(job.id, name, "The fit ran out of memory; close other programs and fit again.")
        except Exception as error:
            workspace.jobs.fail(job.id, name, f"The fit stopped on an error of the program: {type(error).__name__}.")
            raise


def beginning(workspace: Workspace, job: JobRecord, body: BodyModel) -> BodyParams | None:
    """Where a fit goes on from: the pair's `last_fit`; None: afresh.

    Not where a fit had come to that an edit has outdated: its limbs lie where the contacts of then drew them.
    """
    if job.options.get("afresh"):
        return None
    last = last_fit(workspace.pair(job.pair), body)
    return workspace.fit(last.id).params if last else None


def preview_bytes(params: BodyParams) -> bytes:
    """Parameters of a running fit as a small npz file, for those who watch it."""
    buffer = io.BytesIO()
    np.savez(buffer, **params.arrays())  # type: ignore[arg-type]
    return buffer.getvalue()


class _Pulse:
    """Tells the workspace from a thread of its own how a fit goes; the fit itself never waits for the disk.

    Attributes:
        stopped: the job is to end: it was cancelled, given to another worker, or gives way.
        gives_way: it was prepared for later, and somebody waits for another.
    """

    def __init__(self, workspace: Workspace, job: JobRecord, worker: str) -> None:
        self.stopped, self.gives_way = threading.Event(), False
        self._workspace, self._job, self._kind, self._worker = workspace, job.id, job.kind, worker
        self._prepared = job.prepared
        self._latest: FitProgress | None = None
        self._terms: dict[str, list[float]] = {}
        self._fractions: dict[int, float] = {}
        self._ended, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of job {job.id}", daemon=True)

    def __enter__(self) -> "_Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wake.set()
        self._thread.join()

    def tell(self, progress: FitProgress) -> None:
        """Note the latest step of the fit; the first is told at once."""
        first = self._latest is None
        self._fractions[progress.pair] = progress.fraction
        if self._kind == "fit":
            for name, value in progress.terms.items():
                self._terms.setdefault(name, []).append(float(f"{value:.4g}"))
        self._latest = progress
        if first:
            self._wake.set()

    def _beat(self) -> None:
        said = None
        while not self._ended.is_set():
            self._wake.wait(BEAT_S)
            self._wake.clear()
            if self._ended.is_set():
                return
            latest = self._latest
            try:
                alive = self._say(latest if latest is not said else None)
                self.gives_way = alive and self._prepared and self._should_give_way()
            except ApuError as error:
                print(f"fit worker: {error}", file=sys.stderr)  # noqa: T201 - the server's log
                continue
            said = latest
            if not alive or self.gives_way:
                self.stopped.set()
                return

    def _should_give_way(self) -> bool:
        jobs = self._workspace.jobs
        self._prepared = jobs.get(self._job).prepared  # somebody may have asked for it meanwhile
        return self._prepared and jobs.is_wanted(KINDS, prepared=False)

    def _say(self, progress: FitProgress | None) -> bool:
        jobs = self._workspace.jobs
        if progress is None:
            return jobs.heartbeat(self._job, self._worker)
        if self._kind == "fan":
            done = sum(self._fractions.values()) / len(self._fractions)
            return jobs.heartbeat(self._job, self._worker, progress={"fraction": round(done, 3)})
        words: Mapping[str, Any] = {
            "stage": progress.stage, "step": progress.step, "fraction": round(progress.fraction, 3),
            "terms": {name: list(values) for name, values in self._terms.items()},
        }  # fmt: skip
        preview = (".npz", preview_bytes(progress.params))
        return jobs.heartbeat(self._job, self._worker, progress=words, preview=preview)


def best_device(name: str) -> str:
    """The device to fit on: ``"auto"`` is the GPU where there is one.

    On a CPU, PyTorch is kept to one thread: a fit's matrices are too small for more (two are slower), and a sum that
    is always added up in the same order makes the same fit.

    Raises:
        InputError: no such device is here.
    """
    torch.set_num_threads(1)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or name == kind):
        raise InputError(f"there is no device {name!r}; take auto, cpu or cuda")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise InputError(f"there is no device {name!r} on this machine, which has {torch.cuda.device_count()} GPUs")
    return name


def main() -> None:
    """Work for one workspace until standard input closes."""
    parser = argparse.ArgumentParser(prog="app.worker")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--name", default=f"worker-{os.getpid()}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--body", type=Path)
    options = parser.parse_args()
    stop = threading.Event()
    threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
    with Workspace.open(options.workspace) as workspace:
        try:
            body = load_body(options.body, device=best_device(options.device))
        except ApuError as error:
            print(error)  # noqa: T201 - the supervisor reads it
            sys.exit(1)
        work(workspace, options.name, body, stop=stop)


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
    threading.Event().wait(2)  # a running fit gets this long to be stored or given up
    os._exit(0)


if __name__ == "__main__":
    main()
