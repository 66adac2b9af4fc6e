"""Processes that are killed while they save: what they had said was saved must be there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from apu.types import Decision, Verdict
from review_db.edits import SetNote
from review_db.workspace import Workspace

_SAVER = "from review_db.bench.crash import save_in_children; save_in_children()"


@dataclass(frozen=True, kw_only=True)
class Crashes:
    """What became of saves by processes that were killed.

    Attributes:
        rounds: in each of them every process was killed once. acknowledged: saves that processes had said were stored.
        lost: how many of those are not there.
    """

    rounds: int
    acknowledged: int
    lost: int


def kill_during_saves(workspace: Workspace, pairs: Sequence[int], rounds: int, *, seed: int = 0) -> Crashes:
    """Let one process per pair save edits, fits and decisions, kill -9 each at a random moment, again and again.

    Each of the pairs must have a fit of its contacts as they stand.
    """
    command = [sys.executable, "-c", _SAVER, str(workspace.path)]
    savers = [
        subprocess.Popen([*command, str(pair)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for pair in pairs
    ]
    chance = np.random.default_rng(seed)
    said: list[set[tuple[str, int]]] = [set() for _ in pairs]
    try:
        for _ in range(rounds):
            for saver in savers:
                _pipe(saver.stdin).write("go\n")
                _pipe(saver.stdin).flush()
            for saver, acknowledged in zip(savers, said, strict=True):
                acknowledged |= _until_killed(_pipe(saver.stdout), after_s=chance.uniform(0.0, 0.05))
    finally:
        for saver in savers:
            saver.communicate(timeout=60)
    lost = 0
    for pair, acknowledged in zip(pairs, said, strict=True):
        record = workspace.pair(pair)
        stored = {("edit", entry.revision) for entry in record.history} | {("fit", fit.id) for fit in record.fits}
        lost += len(acknowledged - stored)
    return Crashes(rounds=rounds, acknowledged=sum(map(len, said)), lost=lost)


def _until_killed(said: IO[str], *, after_s: float) -> set[tuple[str, int]]:
    """Wait for the child's first save, kill it at a random moment, and give all that it had acknowledged."""
    acknowledged: set[tuple[str, int]] = set()
    child = 0
    while not (child and acknowledged):
        word, number = _line(said)
        if word == "child":
            child = number
        else:
            acknowledged.add((word, number))
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    while (line := _line(said))[0] != "killed":
        acknowledged.add(line)
    return acknowledged


def _line(said: IO[str]) -> tuple[str, int]:
    line = said.readline()
    if not line.endswith("\n"):
        raise RuntimeError("a process that saves has ended by itself; its error is above")
    word, number = line.split()
    return word, int(number)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process has no pipe")
    return pipe


def save_in_children() -> None:
    """Entry point of the processes: for each line of input, fork a child that saves until it is killed."""
    path, pair = Path(sys.argv[1]), int(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            _save(path, pair)
        _say("child", child)
        os.waitpid(child, 0)
        _say("killed", child)


def _save(path: Path, pair: int) -> None:
    workspace = Workspace.open(path)
    fit = workspace.fit(workspace.pair(pair).fits[-1].id)
    while True:
        revision = workspace.pair(pair).sheet.revision
        sheet = workspace.edit_contacts(pair, SetNote(text=f"{revision}"), curator="ada", revision=revision)
        _say("edit", sheet.revision)
        _say("fit", workspace.add_fit(pair, fit, revision=sheet.revision))
        decision = Decision(verdict=Verdict.FLAG, curator="ada")
        _say("edit", workspace.decide(pair, decision, revision=sheet.revision).revision)


def _say(word: str, number: int) -> None:
    # One write of a whole line: a kill leaves all of it or nothing.
    os.write(1, f"{word} {number}\n".encode())
