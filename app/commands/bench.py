"""``apu bench``: how accurate and how fast the method is, on pairs whose truth is known."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from app.commands.shared import AsJson, Body, Device
from apu.errors import InputError

if TYPE_CHECKING:  # torch takes seconds to import, which the help need not wait for
    from apu.bench.case import Source
    from apu.bench.summary import Outcome

app = typer.Typer(no_args_is_help=True, help="Measure accuracy and speed on pairs whose truth is known.")

_stderr = Console(stderr=True, highlight=False)
_WIDE = 160
"""Columns of a table that goes to a file."""


@app.command("fit")
def bench_fit(
    context: typer.Context,
    scenes: Annotated[
        int, typer.Option(min=1, help="Simulated pairs, spread evenly over the classes; 24 give a first impression.")
    ] = 180,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the pairs and of all that is wrong with what is seen of them.")
    ] = 0,
    classes: Annotated[
        str, typer.Option(help="Classes of interaction, separated by commas; default: all.", show_default=False)
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of real annotated pairs to measure instead (docs/bench.md).", show_default=False),
    ] = None,
    device: Device = "auto",
    body: Body = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0: one per core.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare fits that differ only in their contacts, and the start, with the truth.

    The methods: the start; a fit without contacts; with one contact where the two start meshes are nearest; with a
    model's contacts as stated; with its sides corrected by the keypoints; those of them that the automatic filter
    keeps; and with the true contacts, which a curator's corrections give. Means come with 95 % bootstrap intervals.
    A pair that cannot be fitted is named with its reason and counted, and the rest goes on. The figures of a seed are
    the same whatever the number of processes; only times and memory differ from run to run.
    """
    from app.worker import best_device
    from apu.bench.fit import report, run, settings
    from apu.bench.table import tables

    device = best_device(device)
    given = [name for name in ("scenes", "seed", "classes") if _given(context, name)]
    if data and given:
        raise InputError(f"--data measures all pairs of its folder; leave out --{given[0]}, which draws simulated ones")
    sources, asked = _recorded(data) if data else _drawn(classes, scenes, seed)
    with _stderr.status(f"Fitting {len(sources)} pairs ...") as shown:
        finished = 0

        def tell(outcome: "Outcome") -> None:
            nonlocal finished
            finished += 1
            shown.update(f"Fitting ... {finished} of {len(sources)} pairs")
            for sentence in _sentences(outcome):
                _stderr.print(sentence, soft_wrap=True, markup=False)

        outcomes = run(sources, body_path=body, device=device, jobs=jobs, progress=tell)
    values = report(outcomes, settings(device=device, command=shlex.join(["apu", *sys.argv[1:]]), **asked))
    _show(values, tables(values), as_json)
    if not any(outcome.figures for outcome in outcomes):
        raise typer.Exit(2)


@app.command("speed")
def bench_speed(
    pairs: Annotated[int, typer.Option(min=1, help="Simulated pairs, their classes in turn.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the pairs.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Of every timed fit; the median counts.")] = 3,
    device: Device = "auto",
    body: Body = None,
    as_json: AsJson = False,
) -> None:
    """Time the fit alone, in batches and after an edit, and against the published fit and Adam on the same pairs.

    Everything is measured in one run, so that ratios hold on a busy machine too. The published fit takes up to hours
    for a pair, so its time is its steps until it stops times the median of measured steps.
    """
    from app.worker import best_device
    from apu.bench.speed import run, tables

    with _stderr.status("Loading ...") as shown:
        values = run(
            pairs=pairs, seed=seed, repeats=repeats, device=best_device(device), body_path=body,
            progress=lambda doing: shown.update(f"{doing} ..."),
        )  # fmt: skip
    _show(values, tables(values), as_json)


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _drawn(classes: str, scenes: int, seed: int) -> "tuple[Sequence[Source], dict[str, Any]]":
    from apu.bench.case import draws
    from apu.synth.noise import NOISE
    from apu.synth.recipe import load_classes

    known = tuple(load_classes())
    chosen = [name.strip() for name in classes.split(",")] if classes else list(known)
    if unknown := [name for name in chosen if name not in known]:
        raise InputError(f"--classes: there is no class {unknown[0]!r}; take some of {', '.join(known)}")
    asked = {"data": "simulated", "seed": seed, "scenes": scenes, "classes": chosen, "noise": asdict(NOISE)}
    return draws(chosen, scenes, seed), asked


def _recorded(folder: Path) -> "tuple[Sequence[Source], dict[str, Any]]":
    from apu.bench.data import recorded

    sources = recorded(folder)
    return sources, {"data": str(folder), "pairs": len(sources)}


def _sentences(outcome: "Outcome") -> list[str]:
    """What a person should know of a pair."""
    failures = [
        f"{outcome.name}: {sentence}" if method == "pair" else f"{outcome.name}, {method}: {sentence}"
        for method, sentence in outcome.failures.items()
    ]
    return [*failures, *(f"{outcome.name}: {note}" for note in outcome.notes)]


def _show(values: dict[str, Any], tables: "Sequence[Any]", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False, default=str))
        return
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    for table in tables:
        console.print(table, "")
