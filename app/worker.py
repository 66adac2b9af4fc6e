"""The fit worker: a process of its own that takes queued fits from the workspace one by one.

Run as ``python -m app.worker WORKSPACE``; it stops when its standard input closes, so that it never outlives the
server that started it.
"""

import argparse
import io
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.jobs import run_fit
from apu.body.model import BodyModel, load_body
from apu.errors import ApuError, InputError
from apu.fit import FitCancelled, FitProgress
from apu.types import BodyParams
from review_db import JobRecord, Workspace

BEAT_S = 0.25
"""How often a running fit says how far it is, and hears whether to stop."""

POLL_S = 0.2
"""How often an idle worker looks for work."""


def work(workspace: Workspace, name: str, body: BodyModel, *, stop: threading.Event) -> None:
    """Take fits and carry them out until told to stop."""
    while not stop.is_set():
        job = workspace.jobs.claim(name, kinds=("fit",))
        if job is None:
            stop.wait(POLL_S)
        else:
            carry_out(workspace, job, name, body)


def carry_out(workspace: Workspace, job: JobRecord, name: str, body: BodyModel) -> None:
    """One fit; every way it can end is written to its job."""
    with _Pulse(workspace, job, name) as pulse:
        try:
            run_fit(
                workspace, job.pair, body, curator=job.curator, job=job.id, worker=name,
                progress=pulse.tell, cancelled=pulse.stopped.is_set,
            )  # fmt: skip
        except FitCancelled:
            workspace.jobs.stopped(job.id, name)
        except ApuError as error:
            workspace.jobs.fail(job.id, name, str(error))
        except MemoryError:
            workspace.jobs.fail(job.id, name, "The fit ran out of memory; close other programs and fit again.")
        except Exception as error:
            workspace.jobs.fail(job.id, name, f"The fit stopped on an error of the program: {type(error).__name__}.")
            raise


def preview_bytes(params: BodyParams) -> bytes:
    """Parameters of a running fit as a small npz file, for those who watch it."""
    buffer = io.BytesIO()
    np.savez(buffer, **params.arrays())  # type: ignore[arg-type]
    return buffer.getvalue()


class _Pulse:
    """Tells the workspace from a thread of its own how a fit goes; the fit itself never waits for the disk.

    Attributes:
        stopped: the job was cancelled or given to another worker.
    """

    def __init__(self, workspace: Workspace, job: JobRecord, worker: str) -> None:
        self.stopped = threading.Event()
        self._workspace, self._job, self._worker = workspace, job.id, worker
        self._latest: FitProgress | None = None
        self._terms: dict[str, list[float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of job {job.id}", daemon=True)

    def __enter__(self) -> "_Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def tell(self, progress: FitProgress) -> None:
        """Note the latest step of the fit."""
        for name, value in progress.terms.items():
            self._terms.setdefault(name, []).append(float(f"{value:.4g}"))
        self._latest = progress

    def _beat(self) -> None:
        said = None
        while not self._ended.wait(BEAT_S):
            latest = self._latest
            try:
                alive = self._say(latest if latest is not said else None)
            except ApuError as error:
                print(f"fit worker: {error}", file=sys.stderr)  # noqa: T201 - the server's log
                continue
            said = latest
            if not alive:
                self.stopped.set()

    def _say(self, progress: FitProgress | None) -> bool:
        if progress is None:
            return self._workspace.jobs.heartbeat(self._job, self._worker)
        words: Mapping[str, Any] = {
            "stage": progress.stage, "step": progress.step, "fraction": round(progress.fraction, 3),
            "terms": {name: list(values) for name, values in self._terms.items()},
        }  # fmt: skip
        preview = (".npz", preview_bytes(progress.params))
        return self._workspace.jobs.heartbeat(self._job, self._worker, progress=words, preview=preview)


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
        body = load_body(options.body, device=best_device(options.device))
        work(workspace, options.name, body, stop=stop)


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
    threading.Event().wait(2)  # a running fit gets this long to be stored or given up
    os._exit(0)


if __name__ == "__main__":
    main()
