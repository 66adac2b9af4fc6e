"""The command line: names mapped to ordinary functions."""

import typer

app = typer.Typer(no_args_is_help=True, help="Curate 3D data of people in close contact.")


@app.callback()
def _root() -> None:
    """Curate 3D data of people in close contact."""


def main() -> None:
    """Entry point of the console script `apu`."""
    app()
