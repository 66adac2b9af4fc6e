"""Threads that write together share a commit, and still each write is all or nothing."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from apu.errors import StoreError
from review_db import database
from review_db.database import Database, sqlite3


@pytest.fixture
def notes(tmp_path: Path) -> Database:
    opened = Database(tmp_path / "notes.db", create=True)
    opened.use_write_ahead_log()
    with opened.write() as connection:
        connection.execute("CREATE TABLE notes (text TEXT NOT NULL UNIQUE) STRICT")
    return opened


def stored(notes: Database) -> list[str]:
    with notes.read() as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY text")]


def together(notes: Database, *blocks: Callable[[sqlite3.Connection], None]) -> list[Exception | None]:
    """Run blocks in threads whose turns follow one another in one transaction; what each raised."""
    raised: list[Exception | None] = [None] * len(blocks)
    first, all_wait = threading.Event(), threading.Event()

    def run(number: int) -> None:
        try:
            with notes.write() as connection:
                if number == 0:
                    first.set()
                    all_wait.wait(10)
                blocks[number](connection)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            raised[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(blocks))]
    threads[0].start()
    assert first.wait(10)
    for thread in threads[1:]:
        thread.start()
    while notes._writer._waiting < len(blocks) - 1:
        pass
    all_wait.set()
    for thread in threads:
        thread.join(30)
    return raised


def note(text: str) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: connection.execute("INSERT INTO notes VALUES (?)", (text,)) and None


def commits(monkeypatch: pytest.MonkeyPatch, *, fail: bool = False) -> list[str]:
    """The COMMITs from now on; with `fail`, the disk refuses them."""
    seen: list[str] = []

    class Watched(database._Connection):
        def execute(self, sql, *parameters):
            if sql == "COMMIT" and threading.current_thread() is not threading.main_thread():
                seen.append(sql)
                if fail:
                    raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    monkeypatch.setattr(database, "_Connection", Watched)
    return seen


def test_threads_that_write_together_share_one_commit(notes, monkeypatch) -> None:
    seen = commits(monkeypatch)
    notes.close()
    assert together(notes, *(note(f"{n}") for n in range(5))) == [None] * 5
    assert stored(notes) == list("01234")
    assert len(seen) == 1


def test_one_that_raises_takes_nobody_along(notes) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise ValueError("no")

    for blocks in ((note("a"), broken, note("b")), (broken, note("c")), (note("d"), broken), (broken,)):
        raised = together(notes, *blocks)
        assert [isinstance(error, ValueError) for error in raised] == [block is broken for block in blocks]
    assert stored(notes) == list("abcd")


def test_a_commit_that_fails_is_told_to_all_whom_it_concerns(notes, monkeypatch) -> None:
    commits(monkeypatch, fail=True)
    notes.close()
    raised = together(notes, note("a"), note("b"), note("c"))
    assert all(isinstance(error, StoreError) and "disk I/O error" in str(error) for error in raised)
    monkeypatch.undo()
    assert stored(notes) == []
    with notes.write() as connection:
        note("later")(connection)
    assert stored(notes) == ["later"]


def test_what_sqlite_rolls_back_by_itself_is_told_to_all_too(notes) -> None:
    def given_up(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        connection.execute("ROLLBACK")  # as SQLite does when the disk is full in the middle of a statement
        raise sqlite3.OperationalError("database or disk is full")

    raised = together(notes, note("a"), given_up, note("b"))
    assert [type(error) for error in raised[:2]] == [StoreError, StoreError]
    assert stored(notes) == ([] if raised[2] else ["b"])  # b may have written before the others


def test_a_write_inside_a_write_is_a_mistake_and_no_deadlock(notes) -> None:
    with pytest.raises(RuntimeError, match="must end that"), notes.write(), notes.write() as connection:
        note("inner")(connection)
    assert stored(notes) == []


def test_a_forked_child_writes_on_a_connection_of_its_own(notes) -> None:
    with notes.write() as connection:
        note("parent")(connection)
    child = os.fork()
    if not child:
        with suppress(BaseException), notes.write() as connection:
            note("child")(connection)
        os._exit(0)
    os.waitpid(child, 0)
    assert stored(notes) == ["child", "parent"]
