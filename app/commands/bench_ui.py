"""``apu bench ui``: how fast the review page is for one curator and for several."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.commands.shared import AsJson

if TYPE_CHECKING:  # NumPy and the store need not be loaded for the help
    from app.bench import UiFigures

_stderr = Console(stderr=True, highlight=False)

GOALS_MS = {"next_p95_ms": 300, "jump_p95_ms": 800, "edit_p95_ms": 100, "filter_p95_ms": 500, "library_p95_ms": 500,
            "first_load_ms": 2500}  # fmt: skip
MOST_RATIO = 2.0


def bench_ui(
    pairs: Annotated[int, typer.Option(min=100, help="Simulated pairs with 5 contacts each.")] = 100_000,
    curators: Annotated[int, typer.Option(min=2, help="At once in the second half, an action a second each.")] = 10,
    rounds: Annotated[int, typer.Option(min=5, help="So often each thing is timed.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Of the pairs, and of what the others do.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Time the review page in Chromium on a workspace of simulated pairs, made for this and removed at the end.

    Times are in milliseconds, from the key or the click to the frame that shows the result. Exit code 1: something
    went wrong for one of the other curators.
    """
    from app.bench import run

    with _stderr.status("Measuring ...") as shown:
        figures = run(
            pairs, curators=curators, rounds=rounds, seed=seed,
            progress=lambda doing: shown.update(f"{doing.capitalize()} ..."),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(figures.plain(), indent=1))
    else:
        Console().print(_table(figures))
    for sentence in figures.trouble:
        _stderr.print(sentence, markup=False)
    if figures.trouble:
        raise typer.Exit(1)


def _table(figures: "UiFigures") -> Table:
    values = figures.plain()
    table = Table(
        f"{figures.pairs} pairs", "alone", "goal", f"{figures.curators} curators", "ratio", box=None, pad_edge=False
    )
    for name, goal in GOALS_MS.items():
        ratio = values["ratios"][name]
        met = ("" if values[name] <= goal else " !", "" if ratio <= MOST_RATIO else " !")
        table.add_row(name, f"{values[name]}{met[0]}", str(goal), str(values["together"][name]), f"{ratio}{met[1]}")
    return table
