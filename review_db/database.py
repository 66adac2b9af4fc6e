"""SQLite as the store uses it: explicit transactions, errors as sentences.

Each thread reads on a connection of its own; all write on one (`review_db.writer`). Every write begins with BEGIN
IMMEDIATE, so that two processes wait for each other instead of failing half-way, and is on the disk when it returns
(write-ahead log, synchronous FULL).
"""

import errno
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apu.errors import InputError, StoreError
from review_db.writer import Writer

if TYPE_CHECKING:
    import sqlite3
else:
    from sqlite_utils.utils import sqlite3  # pysqlite3 where it is installed: one library for every connection

SAFE_SQLITE = (3, 51, 3)
"""Older versions can damage a write-ahead log that two connections reset at once (SQLite's "WAL-reset bug")."""

BUSY_TIMEOUT_S = 30.0

_REMEDIES = {
    "SQLITE_READONLY": "cannot be written: disk or folder is read-only; copy the workspace to one you may write to",
    "SQLITE_CANTOPEN": "cannot be opened for writing; check that the folder exists and that you may write to it",
    "SQLITE_PERM": "cannot be opened: access is not allowed; ask its owner for write access",
    "SQLITE_FULL": "cannot be written: the disk is full; free some space and repeat the last step",
    "SQLITE_BUSY": "is locked by another program; close that and repeat the last step",
    "SQLITE_LOCKED": "is locked by another program; close that and repeat the last step",
    "SQLITE_NOTADB": "is not a database of this program; restore it from a backup or choose another folder",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error; check the disk and repeat the last step",
}

_DENIED = "access is denied or the disk is read-only; choose a place that you may read and write"
_REASONS = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: _DENIED,
    errno.ENOSPC: "the disk is full; free some space and repeat the last step",
    errno.ENOENT: "there is no such file",
}


def now() -> str:
    """The time as stored: UTC, ISO 8601, microseconds; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def later(seconds: float) -> str:
    """The time as stored, so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Refuse a SQLite that can lose data.

    Raises:
        StoreError: it is older than `SAFE_SQLITE`.
    """
    if version < SAFE_SQLITE:
        found, needed = (".".join(map(str, v)) for v in (version, SAFE_SQLITE))
        raise StoreError(f"SQLite {found} can damage the workspace, {needed} is needed: pip install pysqlite3")


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turn SQLite's and the file system's errors about `path` into a `StoreError` of one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} {_remedy(error)}") from error
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # a mistake in this program, not in the world
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} {_remedy(error)}") from error
    except InputError as error:
        raise StoreError(str(error)) from error
    except OverflowError as error:  # of a number that SQLite cannot hold, so that nothing has it
        raise ValueError("numbers must be smaller than 2**63") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StoreError(f"{error.filename or path} cannot be used: {reason}") from error


def _remedy(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    for start, remedy in _REMEDIES.items():
        if name.startswith(start):
            return remedy
    return f"cannot be used: {error}"


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly: threads that end take theirs along."""


class Database:
    """The connections to one database file.

    Args:
        path: the file. create: make it where there is none. read_only: never write, although the file could be.

    Attributes:
        read_only: that, or the file or its folder may not be written to; it is then only read.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        check_sqlite()
        self.path = path
        self._locked = path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
        self.read_only = read_only or self._locked
        self._create = create
        self._local = threading.local()
        self._all: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._writer = Writer(self._connect)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one moment of the database."""
        with sentences(self.path):
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is stored as a whole when the block ends, and not at all when it raises."""
        if self._writer.process != os.getpid():
            # A forked child may neither use nor close its parent's connections.
            self._local.inherited = (*getattr(self._local, "inherited", ()), self._writer)
            self._writer = Writer(self._connect)
        with sentences(self.path), self._writer.turn() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._all):
            connection.close()
        self._local = threading.local()
        self._writer = Writer(self._connect)

    def clean(self) -> bool:
        """Leave nothing of deleted rows in the file and its log; False: a reader still needs the log."""
        with sentences(self.path):
            connection = self._connection()
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def use_write_ahead_log(self) -> None:
        """Let readers and a writer work at the same time; the file remembers it."""
        with sentences(self.path):
            self._connection().execute("PRAGMA journal_mode = WAL")

    def _connection(self) -> _Connection:
        if getattr(self._local, "process", None) != os.getpid():
            inherited = getattr(self._local, "connection", None)
            self._local.inherited = (*getattr(self._local, "inherited", ()), inherited)
            self._local.connection = self._connect()
            self._local.process = os.getpid()
        return self._local.connection

    def _connect(self) -> _Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{self._mode()}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,  # only `close` and the writer reach over, one at a time
            factory=_Connection,
        )
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            if self.read_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        self._all.add(connection)
        return connection

    def _mode(self) -> str:
        # Where others write meanwhile, reading their log needs its index file, which a reader may have to make.
        if not self._locked:
            return "mode=rwc" if self._create else "mode=rw"
        # Reading a write-ahead log needs its index file beside it; without any log nobody is writing.
        log = any(self.path.with_name(self.path.name + end).exists() for end in ("-wal", "-shm"))
        return "mode=ro" if log else "mode=ro&immutable=1"


def insert(connection: sqlite3.Connection, table: str, row: dict[str, Any], *, replace: bool = False) -> int:
    """Insert one row; table and column names come from this program, values are bound. Returns the row's id.

    With `replace`, it takes the place of the row with the same key.
    """
    columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    verb = "REPLACE" if replace else "INSERT"
    cursor = connection.execute(f"{verb} INTO {table} ({columns}) VALUES ({marks})", row)
    return cursor.lastrowid or 0


def one(connection: sqlite3.Connection, sql: str, parameters: Any, *, missing: str) -> sqlite3.Row:
    """The one row of a query.

    Raises:
        ValueError: there is none; `missing` is the sentence.
    """
    row = connection.execute(sql, parameters).fetchone()
    if row is None:
        raise ValueError(missing)
    return row
