"""``apu check``, ``backup``, ``restore`` and ``merge``: keeping workspaces safe."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.shared import AsJson, WorkspaceAt
from review_db import Workspace


def check(
    workspace: WorkspaceAt,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be, saying what; nothing is lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify database, files, hashes and every state against its history; exit code 1 where something stays wrong.

    People may go on working. Damaged files and leftovers are set aside in the workspace, never deleted; a pair whose
    fit is lost asks for a new one.
    """
    from review_db.check import check as run

    with Workspace.open(workspace) as opened:
        report = run(opened, repair=repair)
    lines = [f"{finding.text}: {finding.repaired}" if finding.repaired else finding.text for finding in report.findings]
    verdict = "all is well" if report.ok else "not all is well"
    lines.append(f"{report.pairs} pairs and {report.files} files checked: {verdict}")
    _print(lines, {**asdict(report), "ok": report.ok}, as_json)
    if not report.ok:
        raise typer.Exit(1)


def backup(
    workspace: WorkspaceAt,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="New file to write, best on another disk.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Write the whole workspace as it is at one moment to one file, while people work."""
    from review_db.backup import backup as run

    with Workspace.open(workspace) as opened:
        made = run(opened, file)
    _print([f"{workspace} as of {made.made_at} with {made.files} files is in {file}"], asdict(made), as_json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `apu backup`.", show_default=False)],
    workspace: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="New folder to make.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make a new workspace from a backup; it appears once all of it was found whole, and overwrites nothing."""
    from review_db.backup import restore as run

    report = run(file, workspace)
    lines = [finding.text for finding in report.findings if finding.kind == "lost"]
    lines.append(f"{workspace} is restored: {report.pairs} pairs and {report.files - len(lines)} files, as they were")
    _print(lines, {**asdict(report), "ok": report.ok}, as_json)


def merge(
    workspace: WorkspaceAt,
    other: Annotated[
        Path, typer.Argument(metavar="OTHER", help="Workspace to bring over; only read.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Bring work done on another machine into a workspace: a copy that went its own way, or other photographs.

    What both sides changed is listed and kept as conflicts, which the page shows. Merging again changes nothing.
    """
    from review_db.merge import merge as run

    with Workspace.open(workspace) as opened:
        merged = run(opened, other)
    values = asdict(merged)
    counts = [f"{count} {name}" for name, count in values.items() if name != "conflicts" and count]
    lines = [conflict.text for conflict in merged.conflicts]
    lines.append(f"{', '.join(counts) or 'nothing new'} from {other}; {len(merged.conflicts)} conflicts")
    _print(lines, values, as_json)


def _print(lines: list[str], values: Any, as_json: bool) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False, indent=1) if as_json else "\n".join(lines))
