"""``apu bench store``: how fast the store is, and whether it loses anything."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.commands.shared import AsJson

if TYPE_CHECKING:  # NumPy and the store need not be loaded for the help
    from review_db.bench import StoreFigures

_stderr = Console(stderr=True, highlight=False)


def bench_store(
    pairs: Annotated[int, typer.Option(min=20, help="Simulated pairs with 5 contacts each.")] = 20_000,
    crash_rounds: Annotated[int, typer.Option(min=1, help="So often processes are killed while they save.")] = 20,
    saves: Annotated[int, typer.Option(min=1, help="Of each of 20 curators who work at once.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the pairs, and of what is done when.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="On the disk to measure; default: that of temporary files."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time the store on a workspace of simulated pairs, made for this and removed at the end.

    Times are in milliseconds, waiting for the disk included. Exit code 1: something was lost.
    """
    from review_db.bench import run

    with _stderr.status("Measuring ...") as shown:
        figures = run(
            pairs, crash_rounds=crash_rounds, saves=saves, seed=seed, folder=folder,
            progress=lambda doing: shown.update(f"{doing.capitalize()} ..."),
        )  # fmt: skip
    values = figures.plain()
    if as_json:
        typer.echo(json.dumps(values, indent=1))
    else:
        Console().print(_table(figures))
    if figures.lost or figures.missing or figures.lock_errors or not figures.whole:
        raise typer.Exit(1)


def _table(figures: "StoreFigures") -> Table:
    table = Table("", f"{figures.pairs} pairs", "at 10,000 x", box=None, pad_edge=False)
    for name, value in figures.plain().items():
        if name not in ("pairs", "growth"):
            growth = figures.growth.get(name)
            table.add_row(name, str(value), f"{growth:.2f}" if growth else "")
    return table
