"""The command line: names mapped to the functions of `app.steps`, `app.server` and `review_db`.

Results go to stdout, progress and complaints to stderr. Exit code 2: nothing could be done, and one sentence says why;
what only some of the input is guilty of gets its sentence too, and the rest goes on.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.commands import accounts, data, store
from app.commands.bench import app as bench_app
from app.commands.bench_store import bench_store
from app.commands.bench_ui import bench_ui
from app.commands.shared import AsJson, Body, Device, WorkspaceAt
from apu.errors import ApuError, InputError
from review_db import Workspace

if TYPE_CHECKING:  # torch takes seconds to import, which `apu status` need not wait for
    from app.steps import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Curate 3D data of people in close contact: propose pairs, ask where they touch, fit, review, export.",
)
body_app = typer.Typer(no_args_is_help=True, help="The licence-free body.")
app.add_typer(body_app, name="body")
app.add_typer(bench_app, name="bench")
app.add_typer(accounts.app, name="account")
for command in (store.check, store.backup, store.restore, store.merge):
    app.command()(command)
bench_app.command("store")(bench_store)
bench_app.command("ui")(bench_ui)

_PAIRS_PER_JOB = 4
"""A process takes some seconds to begin: fewer pairs are not worth one."""
_stderr = Console(stderr=True, highlight=False)


@app.command("import")
def import_(
    workspace: WorkspaceAt,
    images: Annotated[Path, typer.Option(help="Folder of JPEG, PNG and WebP photographs.", show_default=False)],
    keypoints: Annotated[Path | None, typer.Option(help="ViTPose/OpenPose JSON folder or one COCO file.")] = None,
    openpose: Annotated[Path | None, typer.Option(help="A second estimator's JSON folder (adds feet).")] = None,
    meshes: Annotated[Path | None, typer.Option(help="Folder of BEV/ROMP or SMPL-X npz files.")] = None,
    source: Annotated[str, typer.Option(help="Name of the data set; 'simulated ...' marks it as simulated.")] = "",
    action: Annotated[str, typer.Option(help="The data's own label of the interaction, if there is one.")] = "",
    body: Body = None,
    as_json: AsJson = False,
) -> None:
    """Copy photographs and their detectors' files into a workspace, which is created if needed.

    Files belong together by the image's stem: STEM.json or STEM_keypoints.json, STEM*.npz. What cannot be used is
    named with its reason, and the rest goes on. Importing the same files again changes nothing.
    """
    from app.steps import import_folder

    _need_folder(images)
    with _open(workspace, create=True) as opened:
        found = import_folder(
            opened,
            images,
            keypoints=keypoints,
            openpose=openpose,
            meshes=meshes,
            source=source,
            action=action,
            body=_load(body, "cpu") if body else None,
        )
        _finish(_tell(found, "Importing"), "photographs imported", as_json)


@app.command()
def propose(workspace: WorkspaceAt, body: Body = None, as_json: AsJson = False) -> None:
    """Find the pairs of people in close contact in the imported photographs."""
    from app.steps import propose_pairs

    with _open(workspace) as opened:
        found = propose_pairs(opened, body=_load(body, "cpu") if body else None)
        _finish(_tell(found, "Proposing"), "pairs proposed", as_json)


@app.command()
def ask(
    workspace: WorkspaceAt,
    asker: Annotated[str, typer.Option(help="openai (any compatible server), replay (files) or keypoints (no model).")],
    answers: Annotated[
        Path | None,
        typer.Option(help="replay: folder of STEM_contacts.json or STEM.json; STEM_1_... for several pairs."),
    ] = None,
    model: Annotated[str, typer.Option(help="openai: the server's name of the model.")] = "",
    base_url: Annotated[str, typer.Option(help="openai: the server, e.g. http://localhost:8000/v1.")] = "",
    again: Annotated[bool, typer.Option(help="Ask about pairs that have an answer too.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Questions under way at once.")] = 4,
    max_requests: Annotated[int | None, typer.Option(min=0, help="openai: send at most this many requests.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask where the people of each pair touch. The key of a server is read from OPENAI_API_KEY."""
    from app.steps import ask_pairs

    with _open(workspace) as opened:
        asked = _asker(asker, opened, answers, model, base_url, max_requests, again)
        _finish(
            _tell(ask_pairs(opened, asked, name=asker, workers=workers, again=again), "Asking"),
            "pairs answered",
            as_json,
        )


@app.command()
def fit(
    workspace: WorkspaceAt,
    device: Device = "auto",
    pair: Annotated[int | None, typer.Option(help="Only this pair, again if it was fitted before.")] = None,
    denoised: Annotated[
        bool, typer.Option(help="Fit every likely reading of contacts that nobody has touched; the best one stands.")
    ] = False,
    exchange: Annotated[
        bool, typer.Option(help="First exchange the two people where untouched contacts lie closer that way.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=0, help="Processes of one thread each; 0: one per core, for many pairs. A GPU takes one.")
    ] = 0,
    body: Body = None,
    as_json: AsJson = False,
) -> None:
    """Fit the pairs that are asked about and not fitted yet, to the contacts as they stand."""
    from app.steps import fit_pairs, fit_pairs_side_by_side, waiting

    with _open(workspace) as opened:
        pairs = waiting(opened, pair=pair)
        loaded = _load(body, device)
        how = {"exchange": exchange, "denoised": denoised}
        jobs = min(jobs or os.cpu_count() or 1, len(pairs) if jobs else len(pairs) // _PAIRS_PER_JOB)
        if jobs > 1 and loaded.device.type == "cpu":
            fits = fit_pairs_side_by_side(opened, pairs, jobs=jobs, body=body, **how)
        else:
            fits = fit_pairs(opened, loaded, pairs, **how)
        done = track(fits, "Fitting", total=len(pairs), console=_stderr)
        _finish(_complain(done), "pairs fitted", as_json)


@app.command()
def serve(
    workspace: WorkspaceAt,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Public name that a proxy with TLS serves it under; everybody must then log in."),
    ] = None,
    device: Device = "auto",
    body: Body = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show library and insights to others, who can change nothing.")
    ] = False,
    curators: Annotated[bool, typer.Option("--curators", help="read-only: show the curators' names.")] = False,
    new_link: Annotated[
        bool, typer.Option("--new-link", help="read-only: a new link; those who have the old one are let in no more.")
    ] = False,
) -> None:
    """Serve the review page and its fit worker until interrupted.

    On this machine alone nobody needs an account. On an address that others reach everybody does (`apu account add`),
    and passwords cross the network readably unless a proxy adds TLS: see docs/operations.md. With --read-only nobody
    has an account: the printed link lets in whoever knows it, to look.
    """
    if read_only:
        from app.share import serve as share

        address = f"http://{name[0] if name else host}:{port}"
        share(
            workspace, host, port, names=tuple(name or ()), body=body, curators=curators, new_link=new_link,
            listening=lambda way: typer.echo(f"Look at {workspace} at {address}{way}"),
        )  # fmt: skip
        return
    from app.server import serve as run

    def listening() -> None:
        typer.echo(f"Review {workspace} at http://{host}:{port}")

    run(workspace, host, port, names=tuple(name or ()), device=device, body=body, listening=listening)


app.command("export")(data.export_)
app.command("import-decisions")(data.import_decisions_)
app.command("forget")(data.forget_)


@app.command()
def status(workspace: WorkspaceAt, as_json: AsJson = False) -> None:
    """What is in the workspace: every pair with its state, contacts, fits and their figures."""
    with _open(workspace) as opened:
        values = opened.status()
    if as_json:
        typer.echo(json.dumps(values, ensure_ascii=False, indent=1))
    else:
        Console().print(_table(values["pairs"]))


@app.command()
def demo(
    workspace: Annotated[Path, typer.Option(help="Folder of the demo's workspace; made if missing.")] = Path("demo"),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the page when the data is there.")] = True,
) -> None:
    """Review simulated pairs: rendered pictures, noisy detections and answers, all made by this program."""
    if not _demo_is_ready(workspace):
        from app.demo import make_demo

        pairs = {outcome.pair for outcome in _tell(make_demo(workspace), "Making the demo") if outcome.pair}
        typer.echo(f"{len(pairs)} simulated pairs are in {workspace}")
    if serving:
        serve(workspace, port=port)


def _demo_is_ready(workspace: Path) -> bool:
    if not (workspace / "review.db").exists():
        return False
    with Workspace.open(workspace) as opened:
        pairs = opened.pairs()
    return bool(pairs) and all(pair.asker for pair in pairs)


@body_app.command("build")
def body_build(
    out: Annotated[Path, typer.Argument(help="Folder to write the body's files to.")],
    seed: Annotated[int, typer.Option(help="Of the sampled adults that the shape space is made from.")] = 0,
) -> None:
    """Build the licence-free body from Anny (extra: body) in SMPL-X's file format; takes about a minute."""
    from apu.body.build import build_body

    build_body(out, seed=seed)
    typer.echo(f"the body is in {out}")


def main() -> None:
    """Entry point of the console script `apu`."""
    try:
        app()
    except ApuError as error:
        _stderr.print(f"apu: {error}", soft_wrap=True, markup=False)
        sys.exit(2)


def _open(path: Path, *, create: bool = False) -> Workspace:
    return Workspace.create(path) if create and not (path / "review.db").exists() else Workspace.open(path)


def _load(path: Path | None, device: str) -> Any:
    from app.worker import best_device
    from apu.body.model import load_body

    return load_body(path, device=best_device(device))


def _asker(
    name: str, workspace: Workspace, answers: Path | None, model: str, url: str, limit: int | None, again: bool
) -> Any:
    from apu.ask import Budget, OpenAIAsker, Replay, ask_keypoints, cached
    from apu.ask.openai import OPENAI_URL

    if name == "keypoints":
        return ask_keypoints
    if name == "replay":
        if answers is None:
            raise InputError("the replay asker needs --answers, the folder of the recorded answers")
        _need_folder(answers)
        return Replay(answers)
    if name != "openai":
        raise InputError(f"there is no asker {name!r}; take openai, replay or keypoints")
    if not model:
        raise InputError("the openai asker needs --model, the server's name of the model")
    budget = Budget(limit) if limit is not None else None
    try:
        asker = OpenAIAsker(model=model, base_url=url or OPENAI_URL, budget=budget)
    except ValueError as error:
        raise InputError(str(error).replace("base_url", "--base-url")) from None
    return cached(asker, workspace.path / "answers", identity=asker.identity, fresh=again)


def _need_folder(path: Path) -> None:
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give the folder that holds the files")


def _tell(outcomes: "Iterable[Outcome]", doing: str) -> "Iterator[Outcome]":
    """Count along on stderr while the outcomes come in."""
    with _stderr.status(f"{doing} ...") as shown:
        for count, outcome in enumerate(_complain(outcomes), start=1):
            shown.update(f"{doing} ... {count}")
            yield outcome


def _complain(outcomes: "Iterable[Outcome]") -> "Iterator[Outcome]":
    for outcome in outcomes:
        for note in outcome.notes:
            _stderr.print(note if outcome.name in note else f"{outcome.name}: {note}", soft_wrap=True, markup=False)
        yield outcome


def _finish(outcomes: "Iterable[Outcome]", what: str, as_json: bool) -> None:
    """Go through a step and report; exit code 2 where all of it failed."""
    results = list(outcomes)
    done = sum(outcome.done for outcome in results)
    left = len(results) - done
    summary = f"{done} {what}" + (f", {left} not (reasons above)" if left else "")
    _print(summary, {"done": done, "not_done": left, "outcomes": [asdict(outcome) for outcome in results]}, as_json)
    if left and not done:
        raise typer.Exit(2)


def _print(text: str, values: Any, as_json: bool) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False, indent=1, default=str) if as_json else text)


def _table(pairs: list[dict[str, Any]]) -> Table:
    table = Table(
        "pair", "image", "state", "asker", "contacts", "error A / B", "gap", "inside", box=None, pad_edge=False
    )
    for pair in pairs:
        fit = pair["fits"][-1] if pair["fits"] else None
        figures = ("", "", "")
        if fit:
            a, b = fit["reprojection_512"]
            figures = (
                f"{a:.1f} / {b:.1f}",
                f"{fit['max_contact_gap_m'] * 100:.1f} cm",
                f"{fit['max_penetration_m'] * 100:.1f} cm",
            )
        table.add_row(
            str(pair["id"]), pair["image"], pair["state"], pair["asker"] or "", str(len(pair["contacts"])), *figures
        )
    return table
