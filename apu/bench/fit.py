"""How accurate the fit is, method by method, on pairs whose truth is known: ``apu bench fit``."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from apu.bench.case import Case, Source
from apu.bench.measure import Figure, measure
from apu.bench.memory import PeakMemory
from apu.bench.methods import FITTED, METHODS, FitMethod, fit_each, readings_for
from apu.bench.summary import BOOTSTRAP_SEED, RESAMPLES, Outcome, plain, summarise
from apu.body.model import BodyModel, load_body
from apu.errors import ApuError, FitError
from apu.fan import best
from apu.fit import FitOptions, initial_params
from apu.fit.proxy import fit_body
from apu.processes import processes
from apu.types import FitResult


@dataclass
class _Started:
    """A pair on its way through the methods.

    Attributes:
        start: surfaces of the first guess. sides: the fit of `sides`, if it had contacts: an edit goes on from
            there, as in the review page.
    """

    case: Case
    start: Float[np.ndarray, "2 vertices 3"]
    figures: dict[str, dict[str, Figure]]
    failures: dict[str, str] = field(default_factory=dict)
    sides: FitResult | None = None

    def outcome(self) -> Outcome:
        case = self.case
        return Outcome(
            name=case.name,
            interaction=case.interaction,
            figures=self.figures,
            failures=self.failures,
            notes=case.notes,
        )


class Bench:
    """What one process needs: the body, the fit, and the meter of its memory."""

    def __init__(self, body: BodyModel, *, fit: FitMethod = fit_each) -> None:
        """Prepares the body, so that the first fit is as fast as the others."""
        self._body, self._fit = body, fit
        self._memory = PeakMemory(body.device)
        fit_body(body)

    def run(self, sources: Sequence[Source]) -> list[Outcome]:
        """Fit the pairs of some sources by every method, each method to all of them together, and measure."""
        begun = [self._begin(source) for source in sources]
        started = [pair for pair in begun if isinstance(pair, _Started)]
        for method in FITTED:
            self._run(method, started)
        return [pair.outcome() if isinstance(pair, _Started) else pair for pair in begun]

    def _begin(self, source: Source) -> _Started | Outcome:
        """Load a pair and measure its first guess; without either there is nothing to fit."""
        try:
            case = source(self._body)
        except ApuError as error:
            return Outcome(name=source.name, interaction=source.interaction, failures={"pair": str(error)})
        try:
            with self._metered() as costs:
                params = initial_params(case.observation, self._body)
        except FitError as error:
            failures = {"pair": str(error)}
            return Outcome(name=case.name, interaction=case.interaction, failures=failures, notes=case.notes)
        posed = self._body.forward(params)
        return _Started(case, posed.vertices, {"start": measure(posed, case, self._body) | costs})

    def _run(self, method: str, pairs: Sequence[_Started]) -> None:
        """Fit those of the pairs that a method applies to."""
        found = [readings_for(method, pair.case, pair.start, self._body) for pair in pairs]
        given = [(pair, several) for pair, several in zip(pairs, found, strict=True) if several is not None]
        if method == "edited":  # of what a model stated
            given = [(pair, several) for pair, several in given if "sides" in pair.figures]
        if not given:
            return
        with self._metered(len(given)) as costs:
            asked = [(pair.case.observation, reading.active) for pair, several in given for reading in several]
            starts = [pair.sides if method == "edited" else None for pair, several in given for _ in several]
            fits = iter(self._fit(asked, self._body, starts))
        for pair, several in given:
            results = [next(fits) for _ in several]
            chosen = best(several, results)
            if chosen is None:
                pair.failures[method] = str(results[0])
                continue
            _, result = chosen
            figures = measure(self._body.forward(result.params), pair.case, self._body) | costs
            pair.figures[method] = figures
            if method == "sides" and any(contact.weight > 0 for contact in result.contacts):
                pair.sides = result
            if method == "denoised" and result.kept:
                pair.figures["filtered"] = figures

    @contextmanager
    def _metered(self, pairs: int = 1) -> Iterator[dict[str, Figure]]:
        """Seconds per pair and peak memory of the block, there when it has ended."""
        costs: dict[str, Figure] = {}
        self._memory.begin()
        began = time.perf_counter()
        yield costs
        costs["seconds_per_pair"] = Figure((time.perf_counter() - began) / pairs)
        if (megabytes := self._memory.peak_mb()) is not None:
            costs["memory_mb"] = Figure(megabytes)


def run(
    sources: Sequence[Source],
    *,
    body_path: Path | None = None,
    device: str = "cpu",
    jobs: int = 0,
    fit: FitMethod = fit_each,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """The outcomes of all sources, in their order, whatever the number of processes.

    Args:
        body_path: of a licensed body; None: the free one. device: of the body in every process.
        jobs: processes, each with one thread; 0: one per core, and a single one on a GPU.
        fit: how pairs are fitted; a function of a module, for other processes must find it.
        progress: told every outcome as it comes.

    Raises:
        InputError: the body cannot be read; or a process died, mostly of too little memory.
    """
    if body_path is not None:
        load_body(body_path)  # what is wrong with it is said here, and not by every process
    jobs = min(jobs or (1 if device.startswith("cuda") else os.cpu_count() or 1), max(len(sources), 1))
    outcomes: dict[int, Outcome] = {}
    with processes(jobs, _prepare, body_path, device, fit) as pool:
        tasks = {pool.submit(_run_one, source): i for i, source in enumerate(sources)}
        for task in as_completed(tasks):
            outcomes[tasks[task]] = outcome = task.result()
            if progress is not None:
                progress(outcome)
    return [outcomes[i] for i in range(len(sources))]


_bench: Bench
"""Of a worker process."""


def _prepare(body_path: Path | None, device: str, fit: FitMethod) -> None:
    global _bench
    torch.set_num_threads(1)
    _bench = Bench(load_body(body_path, device=device), fit=fit)


def _run_one(source: Source) -> Outcome:
    return _bench.run([source])[0]


def report(outcomes: Sequence[Outcome], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that ``--json`` prints: ``overall``, ``classes``, ``pairs``, ``failures``, ``settings``."""
    by_class: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.interaction:  # a file that cannot be read has no class
            by_class.setdefault(outcome.interaction, []).append(outcome)
    return {
        "overall": summarise(outcomes, tuple(METHODS)),
        "classes": {name: summarise(of_class, tuple(METHODS)) for name, of_class in by_class.items()},
        "pairs": {o.name: {m: _joint_error(f) for m, f in o.figures.items()} for o in outcomes},
        "failures": {outcome.name: dict(outcome.failures) for outcome in outcomes if outcome.failures},
        "settings": {**settings, "bootstrap": {"resamples": RESAMPLES, "seed": BOOTSTRAP_SEED}},
    }


def settings(*, device: str, **others: Any) -> dict[str, Any]:
    """What a run's figures depend on: the arguments, the fit's options, and the versions."""
    packages = ("apu-review", "torch", "numpy", "warp-lang", "smplx")
    return {
        **others,
        "device": device,
        "fit_options": FitOptions().as_dict(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }


def _joint_error(figures: Mapping[str, Figure]) -> float | None:
    return plain(figures["joint_pa_mpjpe_mm"].value) if "joint_pa_mpjpe_mm" in figures else None
