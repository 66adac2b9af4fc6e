"""How fast the fit is, alone and against the published fit and Adam, on the same pairs: ``apu bench speed``.

The published fit would take most of an hour per pair, so its time is its steps until it stops, counted on the path with
the fast inside test (`apu.fit.reference.fast_inside`; the same steps), times the median seconds of measured steps, in
the second stage with dense winding numbers. It has all cores. The engine and Adam have one thread, as in the program,
and that is what `ratio_to_reference` compares with; for `ratio_to_reference_in_batch` the engine has all cores too,
with the same pairs over and over, a process per core.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from apu.bench.case import Case, draws
from apu.bench.fit import settings
from apu.bench.measure import measure
from apu.bench.memory import PeakMemory
from apu.bench.methods import Pair, contacts_for
from apu.bench.profile import sampled
from apu.bench.timing import median, timed
from apu.bench.together import seconds_per_pair
from apu.body.model import BodyModel, load_body
from apu.errors import ApuError, InputError
from apu.fit import FitCancelled, fit_pair
from apu.fit.adam import AdamOptions, Descent, fit_adam, fit_damped
from apu.fit.proxy import fit_body
from apu.fit.reference import (
    PublishedObjective,
    PublishedOptions,
    dense_inside,
    fit_published,
    run_stage,
)
from apu.fit.start import initial_pose
from apu.synth.recipe import load_classes
from apu.types import BodyParams, Contact, FitResult, Side

FIGURES = ("joint_pa_mpjpe_mm", "mean_penetration_mm", "max_penetration_mm", "contact_gap_mm", "reprojection_512")
"""Of `apu.bench.measure`, for the comparison."""

_EQUAL = 1.01
"""Objectives that differ by no more than this factor are called the same minimum."""

PARTS: Mapping[str, str] = {
    "apu.body.collide:": "penetration query",
    "apu.body.skinning:Skeleton.frames": "kinematics",
    "apu.fit.objective:_Marks": "keypoints",
    "apu.fit.objective:_PosedMarks": "keypoints",
    "apu.fit.objective:Objective._reprojection": "keypoints",
    "apu.fit.objective:Objective._ground": "ground",
    "apu.fit.objective:Objective._contact": "contact",
    "apu.fit.objective:Objective._penetration": "penetration rows",
    "apu.fit.objective:Objective._prior": "priors",
    "apu.fit.solver:damped_step": "solve",
    "apu.fit.kicks:": "restarts",
    "apu.fit.start:": "start",
    "apu.fit.problem:": "start",
    "apu.fit.unite:_result": "figures of the result",
}
"""Where a fit's time goes, see `apu.bench.profile`."""


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """How much is measured.

    Attributes:
        adam_pairs, reference_pairs: how many of the pairs Adam and the published fit take too; the first ones.
        dense_steps: measured steps of the published fit's second stage, all pairs together; one more per pair warms up.
        batch: pairs fitted together. crowd: pairs fitted together on a GPU to fill it.
        published, adam: the fits that are compared with.
    """

    adam_pairs: int = 6
    reference_pairs: int = 2
    dense_steps: int = 20
    batch: int = 16
    crowd: int = 256
    published: PublishedOptions = field(default_factory=PublishedOptions)
    adam: AdamOptions = field(default_factory=AdamOptions)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A pair with the contacts that a curator leaves."""

    case: Case
    pair: Pair


def run(
    *,
    pairs: int = 16,
    seed: int = 0,
    device: str = "cpu",
    repeats: int = 3,
    body_path: Path | None = None,
    options: SpeedOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure everything, in one run.

    Args:
        pairs: simulated ones, their classes in turn. seed: of them. device: to fit on.
        repeats: of every timed fit of the engine; their median counts.
        body_path: of a licensed body; None: the free one. progress: told what is being measured.

    Returns:
        What ``--json`` prints: seconds (`single_s`, `single_p95_s`, `batch16_s_per_pair`, `refit_s`, `first_result_s`),
        ratios (`ratio_to_reference`, `ratio_to_reference_in_batch`, `ratio_to_adam`, and `ratio_to_adam_one_start`:
        Adam's seconds over those of the engine's minimiser alone), `peak_memory_mb`, and what is behind them.

    Raises:
        InputError: no pair could be drawn.
    """
    options, tell = options or SpeedOptions(), progress or (lambda _: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        body = load_body(body_path, device=device)
        fit_body(body)
        tell(f"Drawing {pairs} pairs")
        loaded = _load(pairs, seed, body)
        _fit(loaded[0].pair, body)  # compiles kernels
        tell("Fitting each pair")
        results, seconds = _singles(loaded, body, repeats)
        tell("Refits and first results")
        refit, soonest = _refits(loaded, results, body, repeats), _first_results(loaded, body)
        tell("Many pairs together")
        crowd = [options.crowd] if body.device.type == "cuda" else []
        sizes = [1, max(options.batch // 4, 1), options.batch, *crowd]
        batches = seconds_per_pair([one.pair for one in loaded], body, body_path, sizes=sizes, repeats=repeats)
        first = [one.pair for one in loaded[: options.reference_pairs]]
        (beside_batch,) = seconds_per_pair(first, body, body_path, sizes=[options.batch], repeats=repeats).values()
        tell("Memory, in a process of its own")
        memory = _memory(loaded[0].pair, body_path, device)
        tell("Where the time goes")
        typical = int(np.argsort(seconds)[len(seconds) // 2])
        profile = sampled(lambda: [_fit(loaded[typical].pair, body) for _ in range(repeats)], PARTS)
        profile = {part: spent / repeats for part, spent in profile.items()}
        compared = [
            _compare(one, result, body, repeats, options, tell)
            for one, result in zip(loaded[: options.adam_pairs], results, strict=False)
        ]
        published = []
        for one in loaded[: options.reference_pairs]:
            tell(f"The published fit of {one.case.name}")
            steps = math.ceil(options.dense_steps / len(first)) + 1
            published.append(_published(one, body, options.published, dense_steps=steps))
    finally:
        torch.set_num_threads(threads)
    beside = compared[: len(published)]
    accuracy = {name: _means([c[name]["errors"] for c in beside]) for name in ("start", "engine", "one_start", "adam")}
    objectives = {name: [c[name]["objective"] for c in compared] for name in ("engine", "one_start", "adam")}
    return {
        "ratio_to_reference": _ratio(published, [c["engine"] for c in beside]),
        "ratio_to_reference_in_batch": float(np.mean([r["seconds"] for r in published])) / beside_batch,
        "ratio_to_adam": _ratio([c["adam"] for c in compared], [c["engine"] for c in compared]),
        "ratio_to_adam_one_start": _ratio([c["adam"] for c in compared], [c["one_start"] for c in compared]),
        "single_s": median(seconds),
        "single_p95_s": float(np.percentile(seconds, 95)),
        "batch16_s_per_pair": batches[str(options.batch)],
        "refit_s": median(refit) if refit else None,
        "refit_p95_s": float(np.percentile(refit, 95)) if refit else None,
        "first_result_s": median(soonest),
        "peak_memory_mb": memory,
        "device": device,
        "pairs_per_second": 1 / min(batches.values()),
        "batch_s_per_pair": batches,
        "errors": _means([_errors(r.params, one.case, body) for r, one in zip(results, loaded, strict=True)]),
        "compared": accuracy | {"reference": _means([r["errors"] for r in published])},
        "compared_pairs": [one.case.name for one in loaded[: len(published)]],
        "engine_s": [c["engine"]["seconds"] for c in compared],
        **{
            who: {name: [c[who][name] for c in compared] for name in ("seconds", "steps")}
            for who in ("one_start", "adam")
        },
        "objective": objectives | {"share_not_above_adam": _share_not_above(objectives["engine"], objectives["adam"])},
        "reference": {
            "seconds": [r["seconds"] for r in published],
            "steps": [r["steps"] for r in published],
            "step_s": [median(s for r in published for s in r["step_seconds"][stage]) for stage in range(2)],
            "measured_steps": [sum(len(r["step_seconds"][stage]) for r in published) for stage in range(2)],
            "threads": _cores(device),
        },
        "profile_s": profile,
        "lower_bound_s": profile["penetration query"] + profile["solve"],
        "iterations": median(float(r.iterations) for r in results),
        "pairs": len(loaded),
        "settings": settings(device=device, seed=seed, asked_pairs=pairs, repeats=repeats),
    }


def _load(count: int, seed: int, body: BodyModel) -> list[_Loaded]:
    """Pairs that could be drawn, with their true contacts weighed."""
    loaded = []
    for draw in draws(tuple(load_classes()), count, seed):
        try:
            case = draw(body)
            contacts = contacts_for("curated", case, case.truth.joints, body)
            initial_pose(case.observation, fit_body(body))
        except ApuError:  # a scene that could not be solved, or a person nobody sees
            continue
        loaded.append(_Loaded(case, (case.observation, contacts or ())))
    if not loaded:
        raise InputError(f"none of {count} pairs of seed {seed} could be drawn; take another seed or more pairs")
    return loaded


def _fit(pair: Pair, body: BodyModel, *, earlier: FitResult | None = None) -> FitResult:
    if earlier is None:
        return fit_pair(*pair, body)
    return fit_pair(*pair, body, start=earlier.params, before=earlier.contacts)


def _singles(loaded: Sequence[_Loaded], body: BodyModel, repeats: int) -> tuple[list[FitResult], list[float]]:
    """Every pair by itself: the fit, and the median of its seconds; rounds over all pairs, so that noise spreads."""
    rounds = [[timed(lambda one=one: _fit(one.pair, body), body.device) for one in loaded] for _ in range(repeats)]
    seconds = np.median([[s for _, s in row] for row in rounds], axis=0)
    return [result for result, _ in rounds[0]], seconds.tolist()


def _refits(loaded: Sequence[_Loaded], results: Sequence[FitResult], body: BodyModel, repeats: int) -> list[float]:
    """Seconds of a fit that goes on from an earlier one after one edit: a contact's side flipped, or it is dropped."""
    seconds = []
    for one, result in zip(loaded, results, strict=True):
        observation, contacts = one.pair
        if contacts:
            edited = (observation, _edited(contacts))
            runs = [timed(lambda e=edited, r=result: _fit(e, body, earlier=r), body.device) for _ in range(repeats)]
            seconds.append(median(s for _, s in runs))
    return seconds


def _edited(contacts: Sequence[Contact]) -> tuple[Contact, ...]:
    """The first contact with a side on the other side; without sides, one contact less."""
    for i, contact in enumerate(contacts):
        if any(part.side is not Side.BOTH for part in contact.parts):
            return (*contacts[:i], contact.flipped, *contacts[i + 1 :])
    return tuple(contacts[:-1])


def _first_results(loaded: Sequence[_Loaded], body: BodyModel) -> list[float]:
    """Seconds until the first call of progress, where each fit is cancelled."""
    return [_first_result(one.pair, body) for one in loaded]


def _first_result(pair: Pair, body: BodyModel) -> float:
    seen: list[float] = []
    began = time.perf_counter()
    with suppress(FitCancelled):
        fit_pair(*pair, body, progress=lambda _: seen.append(time.perf_counter()), cancelled=lambda: bool(seen))
    return seen[0] - began


def _memory(pair: Pair, body_path: Path | None, device: str) -> float | None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_memory_of_a_fit, pair, body_path, device).result()


def _memory_of_a_fit(pair: Pair, body_path: Path | None, device: str) -> float | None:
    """Most that one fit holds above the loaded program and body, megabytes; the body's preparation counts."""
    torch.set_num_threads(1)
    body = load_body(body_path, device=device)
    meter = PeakMemory(body.device)
    meter.begin()
    _fit(pair, body)
    return meter.peak_mb()


def _compare(
    one: _Loaded, result: FitResult, body: BodyModel, repeats: int, options: SpeedOptions, tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """The engine and Adam side by side on one pair, and between them the engine's minimiser from Adam's one start."""
    tell(f"Adam on {one.case.name}")
    adam, adam_s = timed(lambda: fit_adam(*one.pair, body, adam=options.adam), body.device)
    damped = [timed(lambda: fit_damped(*one.pair, body), body.device) for _ in range(repeats)]
    engine = [timed(lambda: _fit(one.pair, body), body.device)[1] for _ in range(repeats)]
    return {
        "start": {"errors": _errors(result.start, one.case, body)},
        "engine": {
            "errors": _errors(result.params, one.case, body),
            "seconds": median(engine),
            "objective": result.objective,
        },
        "one_start": _descended(damped[0][0], median(seconds for _, seconds in damped), one, body),
        "adam": _descended(adam, adam_s, one, body),
    }


def _descended(end: Descent, seconds: float, one: _Loaded, body: BodyModel) -> dict[str, Any]:
    return {
        "errors": _errors(end.params, one.case, body),
        "seconds": seconds,
        "steps": list(end.steps),
        "objective": end.value,
    }


def _published(one: _Loaded, body: BodyModel, published: PublishedOptions, *, dense_steps: int) -> dict[str, Any]:
    """The published fit: accuracy and steps by the fast inside test, seconds by measured steps of the dense one."""
    with _threads(_cores(str(body.device))):
        fit = fit_published(*one.pair, body, dense=False, options=published)
        objective = PublishedObjective(
            *one.pair, body, fit.start, dense_inside(body, published), robust=published.robust
        )
        dense = run_stage(objective, fit.stages[0].unknowns, published.stages[1], published, steps=dense_steps)
    measured = (fit.stages[0].seconds[1:] or fit.stages[0].seconds, dense.seconds[1:])
    taken = [len(stage.losses) for stage in fit.stages]
    return {
        "errors": _errors(fit.params, one.case, body),
        "steps": taken,
        "step_seconds": measured,
        "seconds": sum(count * median(seconds) for count, seconds in zip(taken, measured, strict=True)),
    }


def _errors(params: BodyParams, case: Case, body: BodyModel) -> dict[str, float]:
    figures = measure(body.forward(params), case, body)
    return {name: figures[name].value for name in FIGURES if name in figures}


def _means(errors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean over pairs of every figure; pairs without it do not count."""
    return {n: float(np.mean([e[n] for e in errors if n in e])) for n in FIGURES if any(n in e for e in errors)}


def _ratio(slow: Sequence[Mapping[str, Any]], engine: Sequence[Mapping[str, Any]]) -> float:
    """The median over pairs of how many times the engine's seconds."""
    return median(a["seconds"] / b["seconds"] for a, b in zip(slow, engine, strict=True))


def _share_not_above(engine: Sequence[float], adam: Sequence[float]) -> float:
    """Of the pairs, those where the engine's objective is at most Adam's and one per cent."""
    return float(np.mean([mine <= _EQUAL * theirs for mine, theirs in zip(engine, adam, strict=True)]))


def _cores(device: str) -> int:
    return 1 if device.startswith("cuda") else os.cpu_count() or 1


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tables(report: Mapping[str, Any]) -> list[Table]:
    """Speed, the comparison and the profile for people to read."""
    speed = Table("", "seconds", title=f"The fit on {report['device']}, {report['pairs']} pairs", title_justify="left")
    for words, name in (
        ("one pair, median", "single_s"), ("one pair, 95th percentile", "single_p95_s"),
        ("16 pairs together, each", "batch16_s_per_pair"), ("refit after one edit, median", "refit_s"),
        ("first result, median", "first_result_s"), ("lower bound: queries and solving", "lower_bound_s"),
    ):  # fmt: skip
        speed.add_row(words, "-" if report[name] is None else f"{report[name]:.3f}")
    speed.add_row("pairs per second", f"{report['pairs_per_second']:.2f}")
    memory = report["peak_memory_mb"]
    speed.add_row("memory of a fit, MB", "-" if memory is None else f"{memory:.0f}")
    reference = report["reference"]
    compared = Table(
        "", "seconds", "x engine", "joint PA-MPJPE, mm", "inside, mean, mm", "inside, deepest, mm", "512-error",
        title=f"Side by side on {len(report['compared_pairs'])} pairs; the published fit's seconds are its steps until "
        f"it stops times the median of {reference['measured_steps'][0]} and {reference['measured_steps'][1]} measured "
        "steps", title_justify="left",
    )  # fmt: skip
    seconds = {"engine": report["engine_s"], "reference": reference["seconds"]}
    seconds |= {name: report[name]["seconds"] for name in ("one_start", "adam")}
    ratios = {"engine": 1.0, "adam": report["ratio_to_adam"], "reference": report["ratio_to_reference"]}
    ratios["one_start"] = ratios["adam"] / report["ratio_to_adam_one_start"]
    for name, errors in report["compared"].items():
        cells = (
            (f"{median(seconds[name][: len(reference['seconds'])]):.2f}", f"{ratios[name]:.0f}")
            if name in seconds
            else ("", "")
        )
        figures = ("joint_pa_mpjpe_mm", "mean_penetration_mm", "max_penetration_mm", "reprojection_512")
        compared.add_row(name, *cells, *(f"{errors[figure]:.1f}" for figure in figures))
    parts = Table("part of a fit", "seconds", "share", title="Where the time goes", title_justify="left")
    whole = sum(report["profile_s"].values())
    for part, spent in sorted(report["profile_s"].items(), key=lambda item: -item[1]):
        parts.add_row(part, f"{spent:.3f}", f"{spent / whole:.0%}")
    return [speed, compared, parts]
