"""``apu account``: who may log in to a served workspace."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from app.commands.shared import AsJson, WorkspaceAt
from apu.errors import InputError
from review_db import Workspace
from review_db.accounts import Accounts, Role

app = typer.Typer(no_args_is_help=True, help="Who may log in to a served workspace, and what they may do.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The curator's name, as it stands in the history.", show_default=False)
]
OfRole = Annotated[Role, typer.Argument(metavar="ROLE", help="admin, curator or viewer.", show_default=False)]
FromStdin = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input, for scripts.")]


@app.command()
def add(
    workspace: WorkspaceAt,
    name: Name,
    role: Annotated[Role, typer.Option(help="viewer looks, curator also changes, admin also settles.")] = Role.CURATOR,
    stdin: FromStdin = False,
) -> None:
    """Make an account; its password is asked for, never given on the command line."""
    with Workspace.open(workspace) as opened:
        Accounts(opened.database).add(name, _password(stdin), role=role)
    typer.echo(f"{name} may log in as {role}")


@app.command("list")
def list_(workspace: WorkspaceAt, as_json: AsJson = False) -> None:
    """Every account with its role."""
    with Workspace.open(workspace) as opened:
        accounts = Accounts(opened.database).list()
    if as_json:
        typer.echo(json.dumps([asdict(account) for account in accounts], ensure_ascii=False, indent=1))
    else:
        typer.echo("\n".join(f"{account.name}  {account.role}" for account in accounts) or "no accounts")


@app.command()
def remove(workspace: WorkspaceAt, name: Name) -> None:
    """Remove an account and end its sessions; its work stays under the name."""
    with Workspace.open(workspace) as opened:
        Accounts(opened.database).remove(name)
    typer.echo(f"{name} may no longer log in")


@app.command()
def password(workspace: WorkspaceAt, name: Name, stdin: FromStdin = False) -> None:
    """Give an account another password and end its sessions."""
    with Workspace.open(workspace) as opened:
        Accounts(opened.database).set_password(name, _password(stdin))
    typer.echo(f"{name} has a new password and must log in again")


@app.command()
def role(workspace: WorkspaceAt, name: Name, role: OfRole) -> None:
    """Give an account another role and end its sessions."""
    with Workspace.open(workspace) as opened:
        Accounts(opened.database).set_role(name, role)
    typer.echo(f"{name} is {role} now and must log in again")


def _password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InputError("a password is asked for at a terminal; give --stdin to read it from standard input")
    return typer.prompt("Password", hide_input=True, confirmation_prompt=True)
