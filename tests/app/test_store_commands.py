"""The commands that keep a workspace safe: what they print, and with what code they end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from apu.errors import InputError, StoreError
from review_db import Drop, Flip, Workspace
from review_db.accounts import Accounts

SECRET = "correct horse battery"  # noqa: S105 - nobody's


@pytest.fixture
def path(make_workspace: Callable[..., Path]) -> Path:
    return make_workspace(2, meshes=False)


def run(*words: object, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=given)


def test_check_says_what_it_found_and_ends_with_it(path: Path) -> None:
    good = run("check", path)
    assert (good.exit_code, good.stdout) == (0, "2 pairs and 4 files checked: all is well\n")
    next((path / "images").iterdir()).unlink()
    bad = run("check", path, "--repair")
    assert bad.exit_code == 1
    assert "import the photograph again or restore it from a backup (noted as known to be lost)\n" in bad.stdout
    assert bad.stdout.endswith("not all is well\n")
    report = json.loads(run("check", path, "--json").stdout)
    assert (report["ok"], len(report["findings"]), report["findings"][0]["kind"]) == (False, 1, "lost")


def test_a_backup_comes_back(path: Path, tmp_path: Path) -> None:
    made = run("backup", path, tmp_path / "b.tar", "--json")
    assert json.loads(made.stdout)["files"] == 4
    restored = run("restore", tmp_path / "b.tar", tmp_path / "again")
    assert restored.stdout.endswith("again is restored: 2 pairs and 4 files, as they were\n")
    again = run("restore", tmp_path / "b.tar", tmp_path / "again")
    assert isinstance(again.exception, StoreError)


def test_merge_lists_what_waits(path: Path, tmp_path: Path) -> None:
    run("backup", path, tmp_path / "b.tar")
    run("restore", tmp_path / "b.tar", tmp_path / "other")
    for place, edit, name in ((path, Flip(contact=1), "ada"), (tmp_path / "other", Drop(contact=1), "ben")):
        with Workspace.open(place) as workspace:
            workspace.edit_contacts(1, edit, curator=name, revision=1)
    done = run("merge", path, tmp_path / "other")
    assert done.exit_code == 0
    assert "pair 1 (pair 0.png): both sides changed its sheet; the version of ben is kept aside\n" in done.stdout
    assert done.stdout.endswith("1 conflicts\n")
    assert "nothing new" in run("merge", path, tmp_path / "other").stdout


def test_accounts_are_made_changed_and_removed_and_passwords_never_shown(path: Path) -> None:
    shown = [
        run("account", "list", path),
        run("account", "add", path, "ada", "--role", "admin", "--stdin", given=SECRET),
    ]
    shown += [run("account", "role", path, "ada", "viewer"), run("account", "list", path)]
    shown += [run("account", "password", path, "ada", "--stdin", given=f"{SECRET} two\n")]
    shown += [run("account", "list", path, "--json")]
    assert [each.exit_code for each in shown] == [0] * 6
    assert [each.stdout for each in shown[:4]] == [
        "no accounts\n", "ada may log in as admin\n", "ada is viewer now and must log in again\n", "ada  viewer\n",
    ]  # fmt: skip
    assert set(json.loads(shown[5].stdout)[0]) == {"name", "role", "created_at"}
    with Workspace.open(path) as workspace:
        assert Accounts(workspace.database).log_in("ada", f"{SECRET} two", address="192.0.2.1")
    shown += [run("account", "add", path, "ben", "--stdin", given="short"), run("account", "add", path, "ben")]
    assert [type(each.exception) for each in shown[6:]] == [InputError, InputError]
    shown += [run("account", "remove", path, "ada"), run("status", path, "--json")]
    for each in shown:
        text = each.output + str(each.exception or "")
        assert SECRET not in text
        assert "short" not in text
        assert "argon2" not in text
