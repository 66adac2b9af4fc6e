"""One connection that all threads of a process write through, each in its turn; who writes together shares a commit."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from apu.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
else:
    from sqlite_utils.utils import sqlite3

MOST_WRITES = 64
"""So many writes at most wait for one commit."""

_OVERDUE_S = 0.1


class _Batch:
    """Writes that become durable together, or not at all."""

    def __init__(self) -> None:
        self.writes = 0
        self.ended = threading.Event()
        self.error: BaseException | None = None


class Writer:
    """Turns of writing on one connection.

    A turn is a savepoint inside a transaction that began with BEGIN IMMEDIATE. Whoever ends a turn while nobody waits
    for the next commits for all; so the disk is flushed once for many, and still nobody returns before their work is
    on it.

    Args:
        connect: opens the connection.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self.process = os.getpid()
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._batch: _Batch | None = None
        self._thread: int | None = None

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of the block, on the disk when it has ended."""
        with self._my_turn():
            if self._connection is None:
                self._connection = self._connect()
            batch = self._batch or self._begin(self._connection)
            try:
                with self._savepoint(self._connection, batch):
                    yield self._connection
            finally:
                if batch.error is not None or not self._waiting or batch.writes >= MOST_WRITES:
                    self._commit(batch)
        while not batch.ended.wait(_OVERDUE_S):
            with self._turn:  # whoever was to commit was interrupted while waiting
                self._commit(batch)
        if batch.error is not None:
            if isinstance(batch.error, sqlite3.Error):
                raise batch.error
            raise StoreError("a write that was to be stored together with this one failed; repeat the last step")

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._thread == threading.get_ident():
            raise RuntimeError("a thread that writes must end that before it begins another write")
        with self._counting:
            self._waiting += 1
        try:
            self._turn.acquire()
        finally:
            with self._counting:
                self._waiting -= 1
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None
            self._turn.release()

    def _begin(self, connection: sqlite3.Connection) -> _Batch:
        connection.execute("BEGIN IMMEDIATE")
        self._batch = _Batch()
        return self._batch

    @contextmanager
    def _savepoint(self, connection: sqlite3.Connection, batch: _Batch) -> Iterator[None]:
        connection.execute("SAVEPOINT turn")
        try:
            yield
            connection.execute("RELEASE turn")
        except BaseException as cause:
            try:
                connection.execute("ROLLBACK TO turn")
                connection.execute("RELEASE turn")
            except sqlite3.Error:  # after some errors SQLite has rolled all of it back, the other turns too
                connection.rollback()
                batch.error = cause
            raise
        batch.writes += 1

    def _commit(self, batch: _Batch) -> None:
        """End a batch, if nobody has."""
        if self._batch is not batch or self._connection is None:
            return
        self._batch = None
        try:
            if batch.error is None:
                self._connection.execute("COMMIT" if batch.writes else "ROLLBACK")
        except BaseException as error:
            self._connection.rollback()
            batch.error = error
            if not isinstance(error, sqlite3.Error):
                raise
        finally:
            batch.ended.set()
