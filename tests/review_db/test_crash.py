"""Nothing lost: kill -9, failing statements, full and read-only disks, many writers.

`APU_CRASH_ROUNDS=200 pytest tests/review_db/test_crash.py` runs the long form: 200 kills, 20 curators x 200 saves.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apu.errors import ConflictError, StoreError
from apu.types import Decision, Verdict
from review_db import Drop, PairFilter, SetNote, Workspace, database
from review_db.bench.crash import kill_during_saves
from review_db.check import check
from review_db.database import sqlite3
from review_db.edits import rebuild
from review_db.sheets import as_history, load_answers, load_history, load_sheet

ROUNDS = int(os.environ.get("APU_CRASH_ROUNDS", "10"))


def check_whole(workspace: Workspace) -> None:
    """The database is sound, every named file is there, and every sheet follows from its history."""
    with workspace.database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for (pair,) in connection.execute("SELECT id FROM pairs").fetchall():
            history = as_history(load_history(connection, pair))
            assert rebuild(history, load_answers(connection, pair)) == load_sheet(connection, pair)
        for (name,) in connection.execute("SELECT observation FROM pairs UNION SELECT file FROM fits").fetchall():
            workspace.files.get("artefacts", name)


def test_kill_9_during_saves_loses_no_acknowledged_edit(workspace, add_pairs, toys) -> None:
    pairs = add_pairs(2)
    for pair in pairs:
        workspace.add_fit(pair, toys.fit(), revision=1)
    crashes = kill_during_saves(workspace, pairs, ROUNDS)
    assert crashes.acknowledged >= 2 * ROUNDS
    assert crashes.lost == 0
    check_whole(workspace)
    assert check(workspace).ok


def test_a_lost_save_would_be_noticed(workspace, add_pairs, toys, monkeypatch) -> None:
    (pair,) = add_pairs(1)
    workspace.add_fit(pair, toys.fit(), revision=1)
    whole = workspace.pair
    monkeypatch.setattr(workspace, "pair", lambda pair: replace(whole(pair), history=whole(pair).history[:-1]))
    assert kill_during_saves(workspace, [pair], 1).lost == 1


class Failing(database._Connection):
    """A connection whose n-th statement fails as a broken disk would."""

    left = -1

    def execute(self, sql, *parameters):
        Failing.left -= 1
        if Failing.left == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


def dump(path: Path) -> list[tuple]:
    with Workspace.open(path) as workspace, workspace.database.read() as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [tuple(row) for name in sorted(names) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608


SAVES = {
    "edit": lambda w, pair, toys: w.edit_contacts(pair, Drop(contact=1), curator="new", revision=2),
    "decide": lambda w, pair, toys: w.decide(pair, Decision(verdict=Verdict.ACCEPT, curator="new"), revision=2),
    "undo": lambda w, pair, toys: w.undo(pair, curator="ada", revision=2),
    "answer": lambda w, pair, toys: w.add_answer(pair, toys.answer(), asker="replay"),
    "fit": lambda w, pair, toys: w.add_fit(pair, toys.fit(3.0, seed=5), revision=2, curator="new"),
    "settle": lambda w, pair, toys: w.settle(1, apply=True, curator="bob"),
    "undo decisions": lambda w, pair, toys: w.undo_decisions("max"),
    "claim": lambda w, pair, toys: w.claims.next("new", PairFilter()),
    "skip": lambda w, pair, toys: w.claims.skip(pair, "new"),
    "draft": lambda w, pair, toys: w.drafts.save(pair, "new", revision=2, note="half", edits=[Drop(contact=1)]),
    "view": lambda w, pair, toys: w.views.save("mine", "new", PairFilter(text="hug")),
    "ask for reviews": lambda w, pair, toys: w.reviews.ask(PairFilter(), share=1.0),
    "take a review": lambda w, pair, toys: w.reviews.next("new"),
    "judge": lambda w, pair, toys: w.reviews.judge(1, Decision(verdict=Verdict.REJECT, curator="eve")),
    "resolve": lambda w, pair, toys: w.reviews.resolve(pair, Decision(verdict=Verdict.FLAG, curator="new"), revision=2),
    "queue jobs": lambda w, pair, toys: w.jobs.queue_all("ask", [pair, pair + 1]),
    "claim a job": lambda w, pair, toys: w.jobs.claim("new"),
    "stored with its job": lambda w, pair, toys: w.add_answer(pair, toys.answer(), asker="x", job=1, worker="old"),
    "fail for now": lambda w, pair, toys: w.jobs.fail(1, "old", "busy", again_in_s=9),
}


@pytest.mark.parametrize("save", SAVES)
def test_whichever_statement_fails_a_save_is_all_or_nothing(workspace, add_pairs, toys, save, monkeypatch) -> None:
    pair, other, third = add_pairs(3)
    workspace.add_fit(pair, toys.fit(), revision=1)
    workspace.edit_contacts(pair, SetNote(text="before"), curator="ada", revision=1)
    with pytest.raises(ConflictError):
        workspace.edit_contacts(pair, SetNote(text="late"), curator="bob", revision=1)
    workspace.decide(other, Decision(verdict=Verdict.FLAG, curator="max"), revision=1)
    workspace.reviews.assign(pair, "eve")
    workspace.reviews.ask(PairFilter(image=workspace.pair(third).image.id), share=1.0)
    for number in (pair, other):
        workspace.jobs.queue("fit", number, revision=1)
    workspace.jobs.claim("old")
    before = dump(workspace.path)
    monkeypatch.setattr(database, "_Connection", Failing)
    monkeypatch.setattr(Failing, "left", -1)
    with Workspace.open(workspace.path) as failing:
        for n in range(1, 100):
            Failing.left = n
            try:
                SAVES[save](failing, pair, toys)
            except StoreError as error:
                assert "disk I/O error" in str(error)  # noqa: PT017
                assert dump(workspace.path) == before
            else:
                break
    assert n > 5 or save == "fail for now"
    Failing.left = -1
    assert dump(workspace.path) != before
    check_whole(workspace)


def test_whichever_statement_fails_a_new_workspace_is_whole_or_empty(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(database, "_Connection", Failing)
    for n in range(1, 200):
        Failing.left = n
        try:
            Workspace.create(tmp_path / "w").close()
        except StoreError:
            continue
        break
    assert n > 20
    Failing.left = -1
    with Workspace.open(tmp_path / "w") as workspace:
        assert workspace.count() == 0


def test_a_full_disk_is_one_sentence_and_the_old_data_stay(workspace, pair) -> None:
    with workspace.database.write() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full; free some space"):
        workspace.edit_contacts(pair, SetNote(text="x" * 1_000_000), curator="ada", revision=1)
    assert workspace.pair(pair).sheet.revision == 1
    check_whole(workspace)


LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from apu.errors import StoreError
from review_db import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
fit = workspace.fit(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
try:
    workspace.files.put("artefacts", b"x" * 10_000, ".npz")
except StoreError as error:
    print(error)
"""


def test_a_file_that_does_not_fit_leaves_no_torn_artefact(workspace, pair, toys) -> None:
    workspace.add_fit(pair, toys.fit(), revision=1)
    before = sorted((workspace.path / "artefacts").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(workspace.path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in done.stdout
    assert sorted((workspace.path / "artefacts").iterdir()) == before


AS_NOBODY = """
import os, sys
import encodings.cp437  # zipfile asks for it when nobody may read Python's own folder any more
from pathlib import Path
from apu.errors import StoreError
from review_db import SetNote, Workspace
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    with Workspace.open(Path(sys.argv[1])) as workspace:
        print(workspace.count(), workspace.status()["states"]["asked"], len(workspace.pair(1).history))
        workspace.edit_contacts(1, SetNote(text="lost"), curator="ada", revision=1)
except StoreError as error:
    print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("at_work", [False, True])
def test_a_read_only_workspace_can_be_read_and_says_so_to_writers(workspace, pair, open_folder, at_work) -> None:
    if not at_work:
        workspace.close()
    folder = Path(shutil.copytree(workspace.path, open_folder / "workspace"))
    assert (folder / "review.db-wal").exists() is at_work
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ours = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in ours}
    for path in ours:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(folder)], capture_output=True, text=True, check=True
        )
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert re.fullmatch(r"1 1 1\n.*review\.db cannot be written: disk or folder is read-only.*\n", done.stdout), done
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_missing_or_damaged_artefact_is_one_sentence(workspace, pair, toys) -> None:
    fit = workspace.add_fit(pair, toys.fit(), revision=1)
    with workspace.database.read() as connection:
        (name,) = connection.execute("SELECT file FROM fits").fetchone()
    path = workspace.files.path("artefacts", name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="is damaged"):
        workspace.fit(fit)
    path.unlink()
    with pytest.raises(StoreError, match="is missing from the workspace"):
        workspace.fit(fit)
    assert workspace.pair(pair).fits[0].id == fit


def test_twenty_curators_save_without_a_lock_error_or_a_lost_row(workspace, add_pairs) -> None:
    pairs, saves = add_pairs(20), ROUNDS
    errors: list[Exception] = []

    def work(pair: int, curator: str) -> None:
        try:
            for n in range(saves):
                workspace.edit_contacts(pair, SetNote(text=str(n)), curator=curator, revision=n + 1)
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(pair, f"curator {pair}")) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(len(workspace.pair(pair).history) for pair in pairs) == 20 * (saves + 1)
    check_whole(workspace)


def test_twenty_curators_on_one_pair_lose_no_text(workspace, pair) -> None:
    refused = []

    def work(curator: str) -> None:
        try:
            workspace.edit_contacts(pair, SetNote(text=curator), curator=curator, revision=1)
        except ConflictError:
            refused.append(curator)

    threads = [threading.Thread(target=work, args=(f"curator {n}",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = workspace.pair(pair)
    assert len(refused) == 19
    assert {conflict.edit.text for conflict in record.conflicts} | {record.sheet.note} == {
        f"curator {n}" for n in range(20)
    }


def test_a_copied_workspace_is_the_same_workspace(workspace, pair, tmp_path) -> None:
    workspace.close()
    shutil.copytree(workspace.path, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy, Workspace.open(workspace.path) as original:
        assert copy.pair(pair).sheet == original.pair(pair).sheet
        check_whole(copy)
