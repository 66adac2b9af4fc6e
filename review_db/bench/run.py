"""The figures of `apu bench store`."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from apu.errors import StoreError
from apu.types import Decision, Verdict
from review_db.bench.crash import kill_during_saves
from review_db.bench.load import CURATORS, INTERACTIONS, SOURCES, make, make_few
from review_db.check import check
from review_db.edits import Flip, SetNote
from review_db.records import UNDECIDED, Order, PairFilter, PairState
from review_db.workspace import Workspace

SMALL = 10_000
"""The size that growth is measured from."""

SAVERS = 3
"""Processes that save at once and are killed."""

FILTERS = (
    PairFilter(),
    UNDECIDED,
    PairFilter(states=frozenset({PairState.ACCEPTED})),
    PairFilter(source=SOURCES[1]),
    PairFilter(interactions=frozenset(INTERACTIONS[3:5])),
    PairFilter(simulated=False),
    PairFilter(image=77),
    PairFilter(text="hug"),
    PairFilter(text="street_0000"),
    PairFilter(text=".jpg"),
    PairFilter(text="no such text"),
    PairFilter(curator="curator 7"),
    PairFilter(disagrees=True),
    PairFilter(confidence=(0.3, 0.6)),
    PairFilter(gap_m=(0.02, None)),
    PairFilter(reprojection=(None, 15.0)),
    PairFilter(
        states=frozenset({PairState.FITTED}), source=SOURCES[0], confidence=(0.2, 0.9), gap_m=(0.01, 0.2),
        reprojection=(5.0, 30.0), simulated=True, text="a",
    ),
)  # fmt: skip
"""Every field of a filter alone, and most of them together."""


@dataclass(frozen=True, kw_only=True)
class StoreFigures:
    """Times in milliseconds, of which 95 in 100 took less (``p95``), waiting for the disk included.

    Attributes:
        pairs: of the workspace, 5 contacts each.
        start_ms: opening the workspace. first_count_ms: the first count of a process, which takes the kept columns of
            the queue over. first_read_ms: the first count after an import, which reads every pair.
        open_p95_ms: everything about one pair. next_p95_ms: the next pair of a queue. claim_p95_ms: the next free one,
            claimed. save_p95_ms: an edit or a decision. flush_p95_ms: for comparison, 16 KiB written to an ordinary
            file and flushed to the same disk.
        filter_p95_ms: 50 lines of a queue, each filter in each order. count_p95_ms: how many lines it has.
        bytes_per_pair: of the database file, photographs' and arrays' files aside.
        growth: each p95 over that of the same run at 10,000 pairs; empty for smaller workspaces.
        curators, saves, curators_p95_ms, curators_max_ms: that many at once in one process, this many saves each, the
            next one as soon as the last is stored. lock_errors: saves that failed. missing: rows that should be there
            and are not.
        crash_rounds: in each, processes were killed during saves. acknowledged: saves they had called stored. lost: how
            many of those are gone. whole: `apu check` finds nothing amiss afterwards.
    """

    pairs: int
    start_ms: float
    first_count_ms: float
    first_read_ms: float
    open_p95_ms: float
    next_p95_ms: float
    claim_p95_ms: float
    save_p95_ms: float
    flush_p95_ms: float
    filter_p95_ms: float
    count_p95_ms: float
    bytes_per_pair: float
    growth: dict[str, float]
    curators: int
    saves: int
    curators_p95_ms: float
    curators_max_ms: float
    lock_errors: int
    missing: int
    crash_rounds: int
    acknowledged: int
    lost: int
    whole: bool

    def plain(self) -> dict[str, Any]:
        """As plain values, times to the hundredth of a millisecond."""
        values = asdict(self) | {"growth": {name: round(value, 2) for name, value in self.growth.items()}}
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in values.items()}


def run(
    pairs: int,
    *,
    crash_rounds: int,
    saves: int = 200,
    rounds: int = 300,
    seed: int = 0,
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> StoreFigures:
    """Measure a simulated workspace, which is removed at the end.

    Args:
        pairs: how many. crash_rounds: how often processes are killed. saves: of each of 20 curators at once.
        rounds: how often each other thing is measured. seed: of all that is drawn by chance.
        folder: on the disk to measure; None: the system's folder for temporary files. progress: told what is next.
    """
    place = Path(tempfile.mkdtemp(prefix="apu-bench-store-", dir=folder))
    try:
        growth: dict[str, float] = {}
        times = None
        for size in (SMALL, pairs) if pairs > SMALL else (pairs,):
            progress(f"making {size} pairs")
            small, path = times, place / f"{size}"
            make(path, size, seed=seed).close()
            written = (path / "review.db").stat().st_size
            progress(f"measuring {size} pairs")
            with Workspace.open(path) as workspace:
                times = _times(workspace, size, rounds, np.random.default_rng(seed))
            if small is not None:
                measured = [name for name in times if name.endswith("_p95_ms")]
                growth = {name: times[name] / small[name] for name in measured}
        with Workspace.open(path) as workspace:
            progress(f"{CURATORS} curators at once")
            curators = _curators(workspace, min(pairs, CURATORS), saves)
            progress(f"killing processes in {crash_rounds} rounds")
            crashes = _crashes(place / "crashes", crash_rounds, seed)
        return StoreFigures(
            pairs=pairs, bytes_per_pair=written / pairs, growth=growth, **times or {}, **curators, **crashes
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _times(workspace: Workspace, pairs: int, rounds: int, chance: np.random.Generator) -> dict[str, float]:
    start = _ms(lambda: Workspace.open(workspace.path).close())
    read = _ms(lambda: workspace.count(UNDECIDED))
    with Workspace.open(workspace.path) as another:
        first = _ms(lambda: another.count(UNDECIDED))
    names = ("open", "next", "claim", "save", "flush", "filter", "count")
    times: dict[str, list[float]] = {name: [] for name in names}

    def measure(name: str, what: Callable[[], Any]) -> None:
        times[name].append(_ms(what))

    questions = cycle([(where, order) for where in FILTERS for order in Order])
    for number, (where, order) in enumerate(islice(questions, max(rounds, len(FILTERS) * len(Order)))):
        pair, curator = int(chance.integers(1, pairs + 1)), f"curator {number % CURATORS}"
        line = workspace.pair(pair).summary
        measure("open", partial(workspace.pair, int(chance.integers(1, pairs + 1))))
        measure("save", partial(_save, workspace, pair, line.revision, curator))
        measure("flush", partial(_flush, workspace.path / "progress" / "flush"))
        measure("count", partial(workspace.count, where))
        measure("filter", partial(workspace.pairs, where, order=order, limit=50))
        measure("next", partial(workspace.next_pair, line, UNDECIDED, order=order))
        measure("claim", partial(workspace.claims.next, curator, order=order))
    p95 = {f"{name}_p95_ms": float(np.percentile(values, 95)) for name, values in times.items()}
    return {"start_ms": start, "first_count_ms": first, "first_read_ms": read} | p95


def _flush(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(bytes(1 << 14))
        file.flush()
        os.fsync(file.fileno())


def _save(workspace: Workspace, pair: int, revision: int, curator: str) -> None:
    """An edit of the contacts, or every third time a decision."""
    if pair % 3:
        workspace.edit_contacts(pair, Flip(contact=pair % 5 + 1), curator=curator, revision=revision)
    else:
        workspace.decide(pair, Decision(verdict=Verdict.FLAG, curator=curator), revision=revision)


def _curators(workspace: Workspace, curators: int, saves: int) -> dict[str, Any]:
    times: list[float] = []
    errors: list[StoreError] = []
    before = {pair: workspace.pair(pair).sheet.revision for pair in range(1, curators + 1)}

    def work(pair: int) -> None:
        for number in range(saves):
            edit = Flip(contact=1) if number % 2 else SetNote(text=f"{number}")
            save = partial(workspace.edit_contacts, pair, edit, curator=f"curator {pair}")
            try:
                times.append(_ms(partial(save, revision=before[pair] + number)))
            except StoreError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(pair,)) for pair in before]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = sum(len(workspace.pair(pair).history) - revision for pair, revision in before.items())
    return {
        "curators": curators, "saves": saves, "curators_p95_ms": float(np.percentile(times, 95)),
        "curators_max_ms": max(times), "lock_errors": len(errors), "missing": curators * saves - stored,
    }  # fmt: skip


def _crashes(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    with make_few(folder, SAVERS, seed=seed) as workspace:
        crashes = kill_during_saves(workspace, range(1, SAVERS + 1), rounds, seed=seed)
        whole = check(workspace).ok
    return {
        "crash_rounds": crashes.rounds, "acknowledged": crashes.acknowledged, "lost": crashes.lost, "whole": whole,
    }  # fmt: skip


def _ms(what: Callable[[], Any]) -> float:
    start = time.perf_counter()
    what()
    return (time.perf_counter() - start) * 1e3
