"""The runner: a process of its own that works off the runs of a workspace, and ends when there are none.

Run as ``python -m app.runner WORKSPACE``; it stops when its standard input closes, so that it never outlives the
server that started it. Fits are given to the fit worker as jobs behind those that people wait for.
"""

import argparse
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from app.askers import asker_of
from app.steps import ask_pairs, propose_pairs
from app.study import make_meshes
from apu.errors import ApuError
from review_db import PairSummary, Workspace
from review_db.runs import RunItem, RunRecord, Runs

AT_ONCE = 4
"""Questions under way, and items between two looks at whether to stop."""

_LOOK_S = 0.3
_FITS_AHEAD = 2
"""Fits that wait for the worker at a time: it never idles, and the queue stays short for those who look at it."""

_LOG = logging.getLogger(__name__)


def work(workspace: Workspace, *, stop: threading.Event, body: Path | None = None) -> None:
    """Carry out the open runs until there are none, or until told to stop."""
    runs = Runs(workspace.database)
    while not stop.is_set() and (run := runs.take()):
        error = ""
        try:
            if run.kind == "study":
                _study(workspace, runs, run, stop, body)
            else:
                _STEPS[run.kind](workspace, runs, run, stop)
        except ApuError as reason:
            error = str(reason)
        except Exception as reason:  # noqa: BLE001 - told in the run, with its traceback in the log
            error = f"the program failed at this run ({type(reason).__name__}); the server's log says more"
            _LOG.exception("run %d failed", run.id)
        if not stop.is_set():  # else the next runner goes on with it
            runs.finish(run.id, error=error)


def _chunks(runs: Runs, run: RunRecord, stop: threading.Event) -> Iterator[tuple[RunItem, ...]]:
    """What is left to do, a few items at a time, until somebody says stop."""
    while not stop.is_set() and runs.goes_on(run.id):
        items = runs.items(run.id, state="waiting", limit=AT_ONCE)
        if not items:
            return
        yield items


def _propose(workspace: Workspace, runs: Runs, run: RunRecord, stop: threading.Event) -> None:
    for items in _chunks(runs, run, stop):
        for item in items:
            outcomes = list(propose_pairs(workspace, images=[workspace.image(item.image)]))
            notes = "; ".join(note for outcome in outcomes for note in outcome.notes)
            found = any(outcome.done for outcome in outcomes)
            runs.tell(item.id, error="" if found else notes or "no pair of people was found")


def _ask(workspace: Workspace, runs: Runs, run: RunRecord, stop: threading.Event) -> None:
    asker, name, limit = asker_of(workspace, run.options), run.options["asker"], run.options.get("limit") or 0
    for items in _chunks(runs, run, stop):
        spent = runs.get(run.id)
        if limit and spent.tokens_in + spent.tokens_out >= limit:
            raise ApuError(f"the limit of {limit:,} tokens is used up; start another run for the rest")
        by_pair = {item.pair: item for item in items}
        lines = _lines(workspace, items)
        for outcome in ask_pairs(workspace, asker, name=name, pairs=lines, workers=AT_ONCE):
            item = by_pair.pop(outcome.pair)
            tokens = _tokens(workspace, outcome.pair or 0) if outcome.done else (0, 0)
            runs.tell(item.id, error="" if outcome.done else "; ".join(outcome.notes), tokens=tokens)
        for item in by_pair.values():
            runs.tell(item.id, error="the pair is gone")


def _tokens(workspace: Workspace, pair: int) -> tuple[int, int]:
    """(read, written) for the latest answer of a pair, as the server counted them."""
    answer = workspace.pair(pair).answers[-1].answer
    usage = answer.usage if answer else {}
    return int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))


def _lines(workspace: Workspace, items: tuple[RunItem, ...]) -> list[PairSummary]:
    return [workspace.pair(item.pair).summary for item in items if item.pair and workspace.has_pair(item.pair)]


def _fit(workspace: Workspace, runs: Runs, run: RunRecord, stop: threading.Event) -> None:
    waiting: dict[int, RunItem] = {}
    while not stop.is_set():
        goes_on = runs.goes_on(run.id)
        known = {item.id for item in waiting.values()}
        items = [item for item in runs.items(run.id, state="waiting", limit=2 * _FITS_AHEAD) if item.id not in known]
        for item in items[: _FITS_AHEAD - len(waiting)] if goes_on else ():
            if item.pair is None or not workspace.has_pair(item.pair):
                runs.tell(item.id, error="the pair is gone")
                continue
            revision = workspace.pair(item.pair).sheet.revision
            waiting[workspace.jobs.queue("fit", item.pair, revision=revision, prepared=True)] = item
        if not waiting:
            return
        for job in list(waiting):
            record = workspace.jobs.get(job)
            if not goes_on:
                workspace.jobs.cancel(job)
            if record.state in ("done", "failed", "cancelled"):
                item = waiting.pop(job)
                if record.state != "cancelled" or goes_on:
                    runs.tell(item.id, error=record.error or ("" if record.state == "done" else "it was cancelled"))
        stop.wait(_LOOK_S)


def _study(workspace: Workspace, runs: Runs, run: RunRecord, stop: threading.Event, body: Path | None) -> None:
    make = make_meshes(workspace, int(run.options["study"]), body_file=body)
    for items in _chunks(runs, run, stop):
        for item in items:
            try:
                make(item.pair or 0)
            except (ApuError, ValueError) as reason:
                runs.tell(item.id, error=str(reason))
            else:
                runs.tell(item.id)


_STEPS: dict[str, Callable[[Workspace, Runs, RunRecord, threading.Event], None]] = {
    "propose": _propose, "ask": _ask, "fit": _fit,
}  # fmt: skip


class Runner:
    """Starts the process while there is a run to work on; the server looks every second.

    Args:
        workspace: to work for. body: the body model's file; None: the shipped one.
    """

    def __init__(self, workspace: Workspace, *, body: Path | None = None) -> None:
        self._arguments = ["--body", str(body)] if body else []
        self._workspace, self._runs = workspace, Runs(workspace.database)
        self._process: subprocess.Popen[bytes] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="runner's starter", daemon=True)

    def start(self) -> None:
        """Look for runs from a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the process; the next one goes on with its run."""
        self._end.set()
        self._thread.join()
        if self._process and self._process.stdin:
            self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _watch(self) -> None:
        while not self._end.wait(1.0):
            if (self._process is None or self._process.poll() is not None) and self._is_open():
                if self._process and self._process.stdin:
                    self._process.stdin.close()
                command = [sys.executable, "-m", "app.runner", str(self._workspace.path), *self._arguments]
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own module

    def _is_open(self) -> bool:
        try:
            return self._runs.is_open()
        except ApuError:  # the disk may be back at the next look
            return False


def main() -> None:
    """Work off one workspace's runs."""
    parser = argparse.ArgumentParser(prog="app.runner")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--body", type=Path)
    options = parser.parse_args()
    stop = threading.Event()
    threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
    with Workspace.open(options.workspace) as workspace:
        work(workspace, stop=stop, body=options.body)


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
    threading.Event().wait(3)  # what is under way gets this long
    os._exit(0)


if __name__ == "__main__":
    main()
