"""``apu export``, ``apu import-decisions``, ``apu forget``: data out, in again, and out of everything for ever."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from apu.errors import InputError
from apu.files import read_json
from review_db import ExportOptions, Form, PairFilter, PairState, Workspace, export
from review_db.exports import ACCEPTED, parse_splits

_stderr = Console(stderr=True, highlight=False)

WorkspaceAt = Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Folder of the workspace.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
Body = Annotated[
    Path | None,
    typer.Option(
        envvar="APU_BODY",
        dir_okay=False,
        help="A licensed SMPLX_NEUTRAL.npz; the licence-free body is always there.",
        show_default=False,
    ),
]


def export_(
    workspace: WorkspaceAt,
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    form: Annotated[Form, typer.Option("--format", help="Layout; docs/export.md describes each.")] = Form.APU,
    for_training: Annotated[
        bool, typer.Option("--for-training", help="Tensors for a prior, weighted by decision and agreement.")
    ] = False,
    all_pairs: Annotated[bool, typer.Option("--all", help="Pairs of every state, not only the accepted ones.")] = False,
    state: Annotated[
        list[PairState] | None, typer.Option(help="Only pairs of this state; may be repeated.", show_default=False)
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only this data set.", show_default=False)] = None,
    interaction: Annotated[
        list[str] | None, typer.Option(help="Only this interaction; may be repeated.", show_default=False)
    ] = None,
    curator: Annotated[str | None, typer.Option(help="Only what this curator decided.", show_default=False)] = None,
    simulated: Annotated[
        bool | None, typer.Option("--simulated/--real", help="Only simulated pairs, or none.", show_default=False)
    ] = None,
    text: Annotated[str, typer.Option(help="Only where the image, action or interaction holds this.")] = "",
    unfitted: Annotated[bool, typer.Option(help="Pairs without a fit too, where the layout has a place.")] = False,
    split: Annotated[str, typer.Option(help="By photograph, e.g. train=0.8,val=0.1,test=0.1.")] = "",
    images: Annotated[bool, typer.Option("--images", help="With the photographs.")] = False,
    pseudonyms: Annotated[bool, typer.Option("--pseudonyms", help="Curators under pseudonyms.")] = False,
    about: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="JSON of answers for the dataset card (docs/export.md).", show_default=False),
    ] = None,
    body: Body = None,
    as_json: AsJson = False,
) -> None:
    """Write pairs with their contacts, bodies, answers and decisions, a manifest of hashes and a dataset card.

    Everything is of one moment. The folder appears when it is complete.
    """
    form = _form(form, for_training)
    everything = all_pairs or form is Form.TRAINING
    where = PairFilter(
        states=frozenset(state) if state else None if everything else ACCEPTED.states,
        source=source,
        simulated=simulated,
        text=text,
        curator=curator,
        **({"interactions": frozenset(interaction)} if interaction else {}),
    )
    try:
        options = ExportOptions(
            form=form, where=where, splits=parse_splits(split), images=images, pseudonyms=pseudonyms,
            unfitted=unfitted, about=_about(about),
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from error
    with Workspace.open(workspace) as opened:
        manifest = export(opened, out, options, bodies=_bodies(body))
    if manifest.skipped:
        why = "do not count for training" if form is Form.TRAINING else "have no fit"
        _stderr.print(f"{len(manifest.skipped)} of the selected pairs {why} and are not in it", soft_wrap=True)
    _print(f"{manifest.pairs} pairs exported to {out}", asdict(manifest), as_json)


def _form(form: Form, for_training: bool) -> Form:
    if for_training and form not in (Form.APU, Form.TRAINING):
        raise InputError(f"--for-training has a layout of its own; leave out --format {form}")
    return Form.TRAINING if for_training else form


def _about(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    values = read_json(path)
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise InputError(f"{path} must be a JSON object of texts; docs/export.md lists the questions")
    return values


def _bodies(path: Path | None) -> Callable[[str], Any]:
    """The body model that a fit names: the licence-free one, or the user's."""
    loaded: dict[str, Any] = {}

    def find(name: str) -> Any:
        if name not in loaded:
            from apu.body.model import load_body

            loaded.update({body.name: body for body in (load_body(), *([load_body(path)] if path else []))})
        if name not in loaded:
            raise InputError(f"some fits are of the body {name!r}; give its file with --body or APU_BODY")
        return loaded[name]

    return find


def _print(text: str, values: Any, as_json: bool) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False, indent=1, default=str) if as_json else text)
