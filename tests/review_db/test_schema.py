"""The database's form: migrations from every kept version, and files that are refused."""

import sqlite3 as plain_sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database

from apu.errors import StoreError
from apu.types import Verdict
from review_db import PairFilter, PairState, Workspace
from review_db.database import SAFE_SQLITE, check_sqlite, sqlite3
from review_db.details import answer_records, fit_records
from review_db.edits import rebuild
from review_db.schema import migrations
from review_db.sheets import as_history, load_answers, load_history, load_sheet

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.sql"))


def test_there_is_a_sample_of_every_version() -> None:
    names = [migration.name for migration in migrations.pending(Database(memory=True))]
    assert [sample.stem for sample in SAMPLES] == sorted(names)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_workspace_of_every_version_opens_with_its_work(sample, tmp_path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    connection = sqlite3.connect(folder / "review.db")
    connection.executescript(sample.read_text())
    connection.close()
    with Workspace.open(folder) as workspace:
        (line,) = workspace.pairs()
        assert (line.state, line.image, line.decided_by) == (PairState.ACCEPTED, "hug.png", "ada")
        (decision,) = workspace.decisions()
        assert decision.decision.verdict is Verdict.ACCEPT
        with workspace.database.read() as connection:
            sheet, history = load_sheet(connection, line.id), load_history(connection, line.id)
            assert rebuild(as_history(history), load_answers(connection, line.id)) == sheet
            assert [answer.status for answer in answer_records(connection, line.id)] == ["timeout", "ok"]
            (fit,) = fit_records(connection, line.id, sheet, history)
        assert (fit.body, fit.stale, len(fit.contacts)) == ("anny-free", False, 2)
        assert len(workspace.images()[0].inputs) == 1


def test_the_sample_of_team_work_holds_a_row_of_every_kind(tmp_path) -> None:
    connection = sqlite3.connect(tmp_path / "review.db")
    connection.executescript((Path(__file__).parent / "samples" / "team_work.sql").read_text())
    connection.close()
    with Workspace.open(tmp_path) as workspace:
        (line,) = workspace.pairs(PairFilter(disagrees=True))
        assert [review.curator for review in workspace.reviews.list(pair=line.id)] == ["eve"]
        assert workspace.drafts.get(line.id, "bob").note == "half"
        assert [view.name for view in workspace.views.list()] == ["doubtful"]
        with workspace.database.read() as connection:
            rows = "SELECT length(value), (SELECT count(*) FROM claims), (SELECT count(*) FROM skips) FROM secrets"
            assert tuple(connection.execute(rows).fetchone()) == (32, 1, 1)


def test_a_newer_workspace_is_refused_untouched(workspace, pair) -> None:
    with workspace.database.write() as connection:
        connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'review_db', 'from_the_future', '2100')")
    with pytest.raises(StoreError, match="made by a newer version"):
        Workspace.open(workspace.path)
    assert workspace.count() == 1


def test_what_is_no_workspace_is_refused_in_one_sentence(tmp_path) -> None:
    with pytest.raises(StoreError, match="is not a workspace"):
        Workspace.open(tmp_path / "nowhere")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="choose an empty or new folder"):
        Workspace.create(tmp_path / "letters")
    with pytest.raises(StoreError, match="cannot be used"):
        Workspace.create(tmp_path / "letters" / "letter.txt")

    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "review.db").write_text("no database " * 100)
    with pytest.raises(StoreError, match="not a database of this program"):
        Workspace.open(tmp_path / "text")


def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path) -> None:
    path = tmp_path / "review.db"
    connection = plain_sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    before = path.read_bytes()
    for opened in (Workspace.open, Workspace.create):
        with pytest.raises(StoreError, match="another program"):
            opened(tmp_path)
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["review.db"]


def test_a_damaged_database_is_one_sentence(workspace, add_pairs) -> None:
    add_pairs(3)
    workspace.close()
    path = workspace.path / "review.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged|not a database"), Workspace.open(workspace.path) as broken:
        broken.status()


def test_an_unsafe_sqlite_is_refused() -> None:
    check_sqlite(SAFE_SQLITE)
    with pytest.raises(StoreError, match=r"SQLite 3\.51\.2 can damage"):
        check_sqlite((3, 51, 2))


def test_connections_are_set_for_durability(workspace) -> None:
    with workspace.database.read() as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        loose = [row[1] for row in connection.execute("PRAGMA table_list") if row[2] == "table" and not row[5]]
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    assert [name for name in loose if not name.startswith(("sqlite_", "_sqlite_"))] == []


CREATE = "import sys; from pathlib import Path; from review_db import Workspace; Workspace.create(Path(sys.argv[1]))"


def test_programs_that_start_together_make_one_workspace(tmp_path) -> None:
    folder = tmp_path / "new"
    children = [subprocess.Popen([sys.executable, "-c", CREATE, str(folder)]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    with Workspace.open(folder) as workspace:
        assert workspace.count() == 0
