"""``apu export``, ``apu import-decisions``, ``apu forget``: data out, in again, and out of everything for ever."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.shared import AsJson, Body, WorkspaceAt
from apu.errors import InputError, StoreError
from apu.files import read_json
from review_db import ExportOptions, Form, PairFilter, PairState, Workspace, export
from review_db.exports import ACCEPTED, parse_splits
from review_db.forget import find_image, forget
from review_db.imports import import_decisions


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
    max_error: Annotated[
        float | None, typer.Option(help="Only fits up to this 512-scaled reprojection error.", show_default=False)
    ] = None,
    max_gap: Annotated[
        float | None, typer.Option(help="Only fits whose contacts gap up to this, metres.", show_default=False)
    ] = None,
    unfitted: Annotated[
        bool, typer.Option("--unfitted", help="Pairs without a fit too, where the layout has a place.")
    ] = False,
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
    try:
        where = PairFilter(
            states=frozenset(state) if state else None if everything else ACCEPTED.states,
            source=source,
            simulated=simulated,
            text=text,
            curator=curator,
            interactions=frozenset(interaction) if interaction else None,
            reprojection=None if max_error is None else (None, max_error),
            gap_m=None if max_gap is None else (None, max_gap),
        )
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
        typer.echo(f"{len(manifest.skipped)} of the selected pairs {why} and are not in it", err=True)
    _print(f"{manifest.pairs} pairs exported to {out}", asdict(manifest), as_json)


def import_decisions_(
    workspace: WorkspaceAt,
    path: Annotated[Path, typer.Argument(help="An export's folder, or the paper's data file (.json, .npz, .pkl).")],
    fits: Annotated[bool, typer.Option("--fits/--without-fits", help="Data file: take the bodies over too.")] = True,
    body: Body = None,
    as_json: AsJson = False,
) -> None:
    """Take an export over: pairs with answers, fits, history and decisions; all of it, or nothing.

    The photographs must be in the workspace, or in the export (--images).
    """
    with _open(workspace) as opened:
        if path.is_dir():
            done = import_decisions(opened, path)
        else:
            from app.paper import take_paper

            done = take_paper(opened, path, _bodies(body), fits=fits)
    known = f", {done.known} were there already" if done.known else ""
    _print(f"{done.pairs} pairs taken over{known}", asdict(done), as_json)


def forget_(
    workspace: WorkspaceAt,
    image: Annotated[str, typer.Option(help="File name or SHA-256 of the photograph.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a photograph and all that derives from it, for good; the workspace refuses it from then on.

    Rows, history, files, kept answers and the database's log. Earlier exports and backups are out of reach.
    """
    with Workspace.open(workspace) as opened:
        sha256, pairs = find_image(opened, image)
        what = f"{image} and {len(pairs)} pairs with all that is known of them"
        if not yes and not (sys.stdin.isatty() and typer.confirm(f"Remove {what} for good?")):
            raise InputError(f"{what} stay; confirm on a terminal or with --yes")
        done = forget(opened, sha256)
    if not done.clean:
        raise StoreError(f"{image} is removed, but a program that reads {workspace} keeps its log; close it and repeat")
    typer.echo("Exports and backups made before still hold it: make them anew.", err=True)
    _print(f"{image} and {len(done.pairs)} pairs are removed", asdict(done), as_json)


def _open(path: Path) -> Workspace:
    return Workspace.open(path) if (path / "review.db").exists() else Workspace.create(path)


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
