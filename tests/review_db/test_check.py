"""Whatever is wrong with a workspace is found and named, and mended where it can be without losing anything."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from apu.types import Decision, Verdict
from review_db import Flip, PairState, SetNote, Workspace
from review_db.check import CheckReport, check
from review_db.database import sqlite3
from review_db.edits import Undo
from review_db.files import SET_ASIDE
from review_db.forget import find_image, forget


@pytest.fixture
def fitted(workspace, add_pairs, toys) -> int:
    """An accepted pair beside two others."""
    first = add_pairs(3)[0]
    workspace.edit_contacts(first, Flip(contact=1), curator="ada", revision=1)
    workspace.add_fit(first, toys.fit(), revision=2)
    workspace.decide(first, Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=2)
    return first


def artefact(workspace: Workspace, table: str, column: str) -> Path:
    with workspace.database.read() as connection:
        (name,) = connection.execute(f"SELECT {column} FROM {table} ORDER BY id LIMIT 1").fetchone()  # noqa: S608
    return workspace.files.path("images" if table == "images" else "artefacts", name)


def tamper(workspace: Workspace, *statements: str) -> None:
    """Change the database as only a damaged disk or a foreign program would."""
    connection = sqlite3.connect(workspace.path / "review.db", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


def standing(workspace: Workspace, pair: int) -> list[tuple]:
    with workspace.database.read() as connection:
        rows = connection.execute("SELECT * FROM pairs WHERE id = ?", (pair,)).fetchall()
        rows += connection.execute("SELECT * FROM contacts WHERE pair_id = ? ORDER BY id", (pair,)).fetchall()
    return [tuple({**row, "updated_at": ""}.values()) for row in map(dict, rows)]


def kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def age(path: Path) -> None:
    then = time.time() - 7200
    os.utime(path, (then, then))


def test_a_workspace_in_use_is_whole(workspace, fitted) -> None:
    report = check(workspace)
    assert (report.ok, report.findings, report.pairs, report.files) == (True, (), 3, 7)
    assert check(workspace, repair=True) == report


def test_checking_changes_nothing(workspace, fitted) -> None:
    tamper(workspace, "UPDATE pairs SET state = 'rejected', swapped = 1")
    before = workspace.database.path.read_bytes(), workspace.pairs()
    assert not check(workspace).ok
    assert workspace.pairs() == before[1]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pairs SET state = 'rejected'",
        "UPDATE pairs SET note = 'never written', swapped = 1",
        "UPDATE pairs SET fit_id = NULL, fit_error = 0",
        "UPDATE pairs SET uncertainty = 0.123, active_contacts = 7",
        "UPDATE pairs SET decision_id = NULL",
        "UPDATE contacts SET side_a = 'both'",
        "UPDATE contacts SET dropped = 1, position = 9 - position",
        "DELETE FROM contacts",
        "UPDATE pairs SET revision = 1, next_contact = 1",
    ],
)
def test_a_state_that_does_not_follow_from_the_history_is_derived_again(workspace, fitted, damage) -> None:
    good = standing(workspace, fitted)
    table = damage.removeprefix("DELETE FROM ").removeprefix("UPDATE ").split()[0]
    tamper(workspace, f"{damage} WHERE {'id' if table == 'pairs' else 'pair_id'} = {fitted}")
    assert standing(workspace, fitted) != good
    found = check(workspace)
    assert kinds(found) == ["state"]
    assert not found.ok
    repaired = check(workspace, repair=True)
    assert repaired.ok
    assert repaired.findings[0].repaired == "derived again from the history"
    assert standing(workspace, fitted) == good
    assert check(workspace).findings == ()


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("DELETE FROM edits WHERE revision = 2", "history"),
        ("UPDATE edits SET edit = json_set(edit, '$.contact', 99) WHERE kind = 'flip'", "history"),
        ("UPDATE edits SET edit = '{' WHERE kind = 'flip'", "history"),
        ("UPDATE decisions SET revision = 77", "history"),
        ("DELETE FROM decisions", "database"),
        ("UPDATE pairs SET image_id = 99 WHERE id = 2", "database"),
        ("ALTER TABLE pairs ADD COLUMN strange TEXT", "database"),
        ("DROP INDEX fits_pair", "database"),
        ("CREATE TRIGGER evil AFTER UPDATE ON pairs BEGIN DELETE FROM contacts; END", "database"),
    ],
)
def test_what_only_a_backup_can_mend_is_said_and_left_alone(workspace, fitted, damage, kind) -> None:
    tamper(workspace, damage)
    report = check(workspace, repair=True)
    assert not report.ok
    assert set(kinds(report)) == {kind}
    assert "restore it from a backup" in report.findings[0].text
    assert check(workspace) == report


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_pair_whose_accepted_fit_is_lost_asks_for_a_new_one(workspace, fitted, toys, how) -> None:
    path = artefact(workspace, "fits", "file")
    content = path.read_bytes()
    path.unlink()
    if how == "damaged":
        path.write_bytes(content[:-1] + b"\1")
    assert not check(workspace).ok
    assert workspace.pair(fitted).summary.state is PairState.ACCEPTED

    (finding,) = check(workspace, repair=True).findings
    assert f"{path.name} is {how}, fit 1 needs it" in finding.text
    assert finding.repaired.endswith("the fit no longer counts, the pair asks for a new one")
    assert (workspace.path / SET_ASIDE / path.name).exists() is (how == "damaged")
    record = workspace.pair(fitted)
    assert (record.summary.state, record.fits, record.decision) == (PairState.ASKED, (), None)
    assert (record.history[-1].curator, record.history[-1].edit) == ("program", Undo(revision=3))
    assert check(workspace).findings == ()

    workspace.add_fit(fitted, toys.fit(seed=7), revision=2)
    workspace.decide(fitted, Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=4)
    assert workspace.pair(fitted).summary.state is PairState.ACCEPTED
    path.write_bytes(content)  # somebody finds it in a backup
    assert check(workspace, repair=True).findings[0].repaired == "it counts again"
    assert [fit.id for fit in workspace.pair(fitted).fits] == [1, 2]
    assert check(workspace).findings == ()


def test_a_lost_fit_that_was_not_the_decided_one_leaves_the_decision(workspace, fitted, toys) -> None:
    workspace.add_fit(fitted, toys.fit(seed=7), revision=2)
    with workspace.database.read() as connection:
        (name,) = connection.execute("SELECT file FROM fits WHERE id = 2").fetchone()
    workspace.files.path("artefacts", name).unlink()
    assert check(workspace, repair=True).ok
    record = workspace.pair(fitted)
    assert (record.summary.state, [fit.id for fit in record.fits]) == (PairState.ACCEPTED, [1])
    assert check(workspace).findings == ()


@pytest.mark.parametrize(
    ("table", "column", "remedy"),
    [("images", "sha256 || suffix", "import the photograph again"), ("pairs", "observation", "apu propose")],
)
def test_what_came_from_outside_can_be_brought_in_again(
    workspace, fitted, toys, tmp_path, table, column, remedy
) -> None:
    path = artefact(workspace, table, column)
    path.write_bytes(b"something else")
    report = check(workspace, repair=True)
    assert not report.ok
    assert remedy in report.findings[0].text
    assert kinds(check(workspace)) == ["lost"]
    workspace.add_image(tmp_path / "image_0.png", size=(640, 480))
    workspace.add_pair(1, toys.observation(0, "image_0.png"))
    assert check(workspace, repair=True).ok
    assert check(workspace).findings == ()


def test_leftovers_are_set_aside_when_they_are_old(workspace, fitted) -> None:
    stray = workspace.files.path("artefacts", hashlib.sha256(b"stray").hexdigest() + ".npz")
    half = stray.with_name(".half-written.npz.abc")
    (workspace.path / "progress").mkdir(exist_ok=True)
    preview = workspace.path / "progress" / "17.npz"
    for path in (stray, half, preview):
        path.write_bytes(b"stray")
    assert check(workspace).findings == ()  # perhaps somebody is about to name them
    for path in (stray, half, preview):
        age(path)
    found = check(workspace)
    assert (kinds(found), found.ok) == (["leftover"] * 3, True)
    assert check(workspace, repair=True).ok
    assert {path.name for path in (workspace.path / SET_ASIDE).iterdir()} == {stray.name, half.name, preview.name}
    assert check(workspace).findings == ()


def test_a_takedown_reaches_what_was_set_aside(workspace, fitted) -> None:
    path = artefact(workspace, "images", "sha256 || suffix")
    content = path.read_bytes()
    path.write_bytes(content + b"damaged")
    (finding,) = check(workspace, repair=True).findings
    assert f"set aside in {workspace.path / SET_ASIDE}, noted as known to be lost" in finding.text
    assert (workspace.path / SET_ASIDE / path.name).exists()
    forget(workspace, find_image(workspace, path.stem)[0])
    assert list((workspace.path / SET_ASIDE).iterdir()) == []
    assert check(workspace).findings == ()


def test_an_old_file_that_a_row_is_about_to_name_is_no_leftover(workspace, fitted) -> None:
    name = workspace.files.put("artefacts", b"once", ".npz")
    age(workspace.files.path("artefacts", name))
    workspace.files.put("artefacts", b"once", ".npz")
    assert check(workspace, repair=True).findings == ()
    assert workspace.files.get("artefacts", name) == b"once"


def test_a_silent_worker_is_named_and_its_job_taken_up(workspace, fitted) -> None:
    workspace.jobs.queue("fit", fitted, revision=3)
    job = workspace.jobs.claim("worker")
    assert check(workspace).findings == ()
    tamper(workspace, "UPDATE jobs SET heartbeat_at = '2026-01-01T00:00:00.000000+00:00'")
    report = check(workspace)
    assert (kinds(report), report.ok) == (["job"], True)
    assert workspace.jobs.claim("another").id == job.id


def test_a_damaged_database_is_found(workspace, add_pairs) -> None:
    pairs = add_pairs(30)
    for pair in pairs:
        workspace.edit_contacts(pair, SetNote(text="long " * 200), curator="ada", revision=1)
    workspace.close()
    path = workspace.path / "review.db"
    content = bytearray(path.read_bytes())
    spot = content.rfind(b"long long")
    page = spot // 4096 * 4096
    content[page : page + 64] = b"\xff" * 64
    path.write_bytes(content)
    with Workspace.open(workspace.path) as opened:
        report = check(opened)
    assert not report.ok
    assert kinds(report)[0] == "database"
    assert "restore it from a backup" in report.findings[0].text


def test_a_read_only_workspace_can_be_checked(workspace, fitted) -> None:
    workspace.close()
    workspace.database.read_only = True
    assert check(workspace).findings == ()
