"""Keeps one fit worker running beside the server, and says so where it cannot."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from review_db import Workspace

_LOOK_S = 0.2
_SETTLED_S = 60.0
_SEVERAL = 3
_LONGEST_PAUSE_S = 30.0


class Supervisor:
    """Starts the worker process, starts it again when it dies, and gives its jobs back then.

    Args:
        workspace: to work for. device, body: handed to the worker (see `app.worker`).
    """

    def __init__(self, workspace: Workspace, *, device: str = "auto", body: Path | None = None) -> None:
        self._workspace = workspace
        self._arguments = ["--device", device, *(["--body", str(body)] if body else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._deaths = 0
        self._end, self._again = threading.Event(), threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._watch, name="fit worker's supervisor", daemon=True)

    def start(self) -> None:
        """Start the worker and watch it from a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker; a running fit is given up and taken up again at the next start."""
        self._end.set()
        self._thread.join()

    @property
    def pid(self) -> int | None:
        """Process id of the worker that runs now."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def trouble(self) -> str:
        """One sentence where the worker is down; empty where all is well."""
        if self.pid is not None or self._deaths == 0:
            return ""
        if self._said:
            return f"The fit worker cannot start: {self._said}. Fits wait until it can."
        if self._deaths < _SEVERAL:
            return "The fit worker stopped and is being started again; a fit that was running is taken up once more."
        return "The fit worker keeps stopping, and fits wait; the server's log says why."

    def restart(self) -> None:
        """Start a worker that is down at once, without waiting for its turn."""
        self._again.set()

    def _watch(self) -> None:
        while not self._end.is_set():
            name = f"worker-{os.getpid()}-{self._starts}"
            began = time.monotonic()
            self._process = self._launch(name)
            while self._process.poll() is None and not self._end.wait(_LOOK_S):
                pass
            self._finish(self._process)
            self._said = self._last_words(self._process)
            self._workspace.jobs.release(name)
            self._starts += 1
            self._deaths = 1 if time.monotonic() - began > _SETTLED_S else self._deaths + 1
            self._again.clear()
            self._pause(min(0.5 * 2**self._deaths, _LONGEST_PAUSE_S))

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not (self._end.is_set() or self._again.is_set()) and time.monotonic() < end:
            self._end.wait(_LOOK_S)

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app.worker", str(self._workspace.path), "--name", name, *self._arguments]
        # A session of its own: Ctrl-C is for the server, which then closes the worker's input.
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own module

    @staticmethod
    def _last_words(process: subprocess.Popen[bytes]) -> str:
        """Why a worker could not begin, as it says on standard output; empty where it does not."""
        if process.stdout is None:
            return ""
        with process.stdout:
            return process.stdout.read().decode(errors="replace").strip()

    @staticmethod
    def _finish(process: subprocess.Popen[bytes]) -> None:
        """Let a living worker end by itself when its input closes, and make sure that it does."""
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
