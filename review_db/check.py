"""Whether a workspace is whole: every file that rows name, every state that follows from history; and mending it.

Mending loses nothing: files are set aside, never deleted, and what happened to a pair is one more entry of its history.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from sqlite_utils import Database as UtilsDatabase

from apu.errors import StoreError
from review_db.database import Database, sqlite3
from review_db.edits import PROGRAM, Undo, rebuild
from review_db.fans import drop_fans
from review_db.files import SET_ASIDE, Folder
from review_db.jobs import LEASE_S
from review_db.schema import migrations
from review_db.sheets import as_history, load_answers, load_history, load_sheet, record, refresh, store_sheet
from review_db.workspace import Workspace

Kind = Literal["database", "file", "lost", "history", "state", "leftover", "job"]

_OLD_S = 3600.0
"""A file comes before the row that names it, so only older ones are nobody's."""

_BATCH = 200

_NAMED: dict[str, tuple[Folder, str]] = {
    "images": ("images", "sha256 || suffix"),
    "inputs": ("artefacts", "file"),
    "pairs": ("artefacts", "observation"),
    "fits": ("artefacts", "file"),
    "alternatives": ("artefacts", "file"),
}
"""The tables that name files: where those lie, and their names as SQL."""

_REMEDIES = {
    "images": "import the photograph again or restore it from a backup",
    "inputs": "import the photograph's files again or restore it from a backup",
    "pairs": "run `apu propose` again or restore it from a backup",
    "fits": "`apu check --repair` lets the pair ask for a new fit",
    "alternatives": "`apu check --repair` removes its fan, which is made again when asked for",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: ``"lost"`` is a file that an earlier repair found missing and that only people can bring back.
        text: one sentence: what, where, what to do.
        repaired: what was done about it; empty: nothing.
        harmless: a leftover of an interrupted step, which endangers nothing.
    """

    kind: Kind
    text: str
    repaired: str = ""
    harmless: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was looked at and found."""

    pairs: int
    files: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all is well now."""
        return all(finding.repaired or finding.harmless for finding in self.findings)


def check(workspace: Workspace, *, repair: bool = False) -> CheckReport:
    """Look through a workspace, while people may work in it; with `repair`, put right what can be.

    Verified are SQLite's own integrity and references, the form of the tables, every file's presence and hash, every
    pair's state against its history and facts, decisions against the history, forgotten files and silent jobs.

    Raises:
        StoreError: the database cannot be read at all, or the repair cannot be written.
    """
    try:
        findings = list(_database(workspace.database))
    except StoreError as error:  # SQLite gave up before the end
        findings = [Finding(kind="database", text=str(error))]
    files = pairs = 0
    if not findings:
        for table in _NAMED:
            for count, found in _files(workspace, table, repair):
                files += count
                findings += found
        for count, found in _states(workspace.database, repair):
            pairs += count
            findings += found
        findings += _decisions(workspace.database)
        findings += _leftovers(workspace, repair)
        findings += _jobs(workspace.database)
    return CheckReport(pairs=pairs, files=files, findings=tuple(findings))


def _database(database: Database) -> Iterator[Finding]:
    with database.read() as connection:
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield Finding(kind="database", text=f"{database.path} is damaged ({line}); restore it from a backup")
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            text = f"row {row} of {table} names a row of {parent} that is not there; restore it from a backup"
            yield Finding(kind="database", text=text)
        fresh = UtilsDatabase(memory=True)
        migrations.apply(fresh)
        expected, found = (_form(each) for each in (fresh.conn, connection))
        fresh.close()
    strange = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if strange:
        text = f"{database.path} has other tables than this program's ({', '.join(strange)}); restore it from a backup"
        yield Finding(kind="database", text=text)


def _form(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT type || ' ' || name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")
    return {name: sql for name, sql in rows}


def _files(workspace: Workspace, table: str, repair: bool) -> Iterator[tuple[int, list[Finding]]]:
    folder, name = _NAMED[table]
    sql = f"SELECT id, {name} AS file, {name} IN (SELECT file FROM lost_files) AS lost FROM {table}"  # noqa: S608
    for rows in _batches(workspace.database, sql):
        found: list[Finding] = []
        for row in rows:
            try:
                path = workspace.files.path(folder, row["file"])
            except StoreError as error:
                found.append(Finding(kind="database", text=f"{table[:-1]} {row['id']}: {error}"))
                continue
            trouble = _trouble(path)
            if trouble and (not row["lost"] or table == "alternatives"):
                found.append(_lose(workspace, table, row["id"], path, trouble, repair))
            elif trouble and table != "fits":
                text = f"{path} is known to be lost, {table[:-1]} {row['id']} needs it; {_REMEDIES[table]}"
                found.append(Finding(kind="lost", text=text))
            elif row["lost"] and not trouble:
                found.append(_regain(workspace.database, row["file"], repair))
        yield len(rows), found


def _batches(database: Database, sql: str, size: int = _BATCH) -> Iterator[list[sqlite3.Row]]:
    """The rows of a table by id, a few at a time, so that no snapshot is held for long."""
    last = -1
    while True:
        with database.read() as connection:
            rows = connection.execute(f"{sql} WHERE id > ? ORDER BY id LIMIT ?", (last, size)).fetchall()
        if not rows:
            return
        last = rows[-1]["id"]
        yield rows


def _trouble(path: Path) -> str:
    """What is wrong with a file that is named by its content; empty: nothing."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if found == path.stem else "is damaged"


def _lose(workspace: Workspace, table: str, number: int, path: Path, trouble: str, repair: bool) -> Finding:
    text = f"{path} {trouble}, {table[:-1]} {number} needs it; {_REMEDIES[table]}"
    if not repair:
        return Finding(kind="file", text=text)
    done = _set_aside(workspace, path) if trouble == "is damaged" else ""
    with workspace.database.write() as connection:
        if table == "alternatives":
            fan = connection.execute("SELECT fan_id FROM alternatives WHERE id = ?", (number,)).fetchone()
            drop_fans(connection, workspace.files, [fan["fan_id"]] if fan else [])
            return Finding(kind="file", text=text, repaired=f"{done}the fan is gone")
        connection.execute(
            "INSERT OR IGNORE INTO lost_files (file, found_at) VALUES (?, ?)", (path.name, _text(datetime.now(UTC)))
        )
        if table != "fits":
            return Finding(kind="file", text=f"{text} ({done}noted as known to be lost)")
        for (pair,) in connection.execute("SELECT DISTINCT pair_id FROM fits WHERE file = ?", (path.name,)).fetchall():
            _reopen(connection, pair, path.name)
    return Finding(kind="file", text=text, repaired=f"{done}the fit no longer counts, the pair asks for a new one")


def _reopen(connection: sqlite3.Connection, pair: int, file: str) -> None:
    """Let a fit no longer count, and take back the decision that accepted it."""
    accepted = connection.execute(
        "SELECT d.revision FROM pairs p JOIN decisions d ON d.id = p.decision_id JOIN fits f ON f.id = d.fit_id "
        "WHERE p.id = ? AND d.verdict = 'accept' AND f.file = ?",
        (pair, file),
    ).fetchone()
    if accepted is None:
        return refresh(connection, pair)
    entry, sheet = Undo(revision=accepted["revision"]), load_sheet(connection, pair)
    history = [*as_history(load_history(connection, pair)), (PROGRAM, entry)]
    after = rebuild(history, load_answers(connection, pair))
    return record(connection, pair, after, entry, PROGRAM, before=sheet)


def _regain(database: Database, file: str, repair: bool) -> Finding:
    text = f"{file} was lost and is there again; `apu check --repair` takes it back in"
    if not repair:
        return Finding(kind="file", text=text, harmless=True)
    with database.write() as connection:
        connection.execute("DELETE FROM lost_files WHERE file = ?", (file,))
        for (pair,) in connection.execute("SELECT DISTINCT pair_id FROM fits WHERE file = ?", (file,)).fetchall():
            refresh(connection, pair)
    return Finding(kind="file", text=text, repaired="it counts again", harmless=True)


class _NotMeant(Exception):
    """Ends a transaction that only tried something out."""


def _states(database: Database, repair: bool) -> Iterator[tuple[int, list[Finding]]]:
    for rows in _batches(database, "SELECT id FROM pairs"):
        found: list[Finding] = []
        if database.read_only:
            with database.read() as connection:
                for (pair,) in rows:
                    found += _state(connection, pair, repair=False, derive=False)
        else:
            with contextlib.suppress(_NotMeant), database.write() as connection:
                for (pair,) in rows:
                    found += _state(connection, pair, repair=repair, derive=True)
                if not any(finding.repaired for finding in found):
                    raise _NotMeant
        yield len(rows), found


def _state(connection: sqlite3.Connection, pair: int, *, repair: bool, derive: bool) -> Iterator[Finding]:
    """Compare a pair's rows with those that its history and facts lead to; those are then stored."""
    before = connection.execute("SELECT * FROM pairs WHERE id = ?", (pair,)).fetchone()
    if before is None:
        return  # forgotten meanwhile
    try:
        history = load_history(connection, pair)
        if [entry.revision for entry in history] != list(range(1, len(history) + 1)):
            raise ValueError("an entry is missing")
        sheet = rebuild(as_history(history), load_answers(connection, pair))
        same = sheet == load_sheet(connection, pair)
    except (ValueError, LookupError) as error:
        yield Finding(kind="history", text=f"pair {pair} has a broken history ({error}); restore it from a backup")
        return
    strange = [] if same else ["contacts"]
    if derive:
        store_sheet(connection, pair, sheet, time=before["updated_at"])
        after = connection.execute("SELECT * FROM pairs WHERE id = ?", (pair,)).fetchone()
        strange += [name for name in after.keys() if after[name] != before[name]]
    if strange:
        text = f"pair {pair} does not stand as its history says ({', '.join(strange)}); `apu check --repair` mends it"
        yield Finding(kind="state", text=text, repaired="derived again from the history" if repair else "")


def _decisions(database: Database) -> Iterator[Finding]:
    sql = """
        SELECT coalesce(d.pair_id, e.pair_id) AS pair, coalesce(d.revision, e.revision) AS revision
        FROM decisions d FULL JOIN (SELECT * FROM edits WHERE kind = 'decide') e
            ON e.pair_id = d.pair_id AND e.revision = d.revision AND json_extract(e.edit, '$.decision') = d.id
        WHERE d.id IS NULL OR e.pair_id IS NULL"""
    with database.read() as connection:
        rows = connection.execute(sql).fetchall()
    for pair, revision in rows:
        text = f"pair {pair}: decision and history disagree at revision {revision}; restore it from a backup"
        yield Finding(kind="history", text=text)


def _leftovers(workspace: Workspace, repair: bool) -> Iterator[Finding]:
    """Files that nobody names: an interrupted import, fit or write."""
    with workspace.database.read() as connection:
        named = {
            _digest(Path(file))
            for table, (_, name) in _NAMED.items()
            for (file,) in connection.execute(f"SELECT {name} FROM {table}")  # noqa: S608 - this file's own words
        }
        previews = {
            name for (name,) in connection.execute("SELECT preview FROM jobs WHERE state IN ('queued', 'running')")
        }
    for folder in ("images", "artefacts", "progress"):
        for path in _old_files(workspace.path / folder):
            if path.name in previews or _digest(path) in named:
                continue
            text = f"{path} belongs to nothing; an interrupted step left it"
            done = ""
            if repair and not _named_now(workspace.database, path):
                done = _set_aside(workspace, path) or "it had gone by itself"
            yield Finding(kind="leftover", text=text, repaired=done.removesuffix(", "), harmless=True)


def _old_files(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD_S:
                    yield Path(entry.path)


def _digest(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.stem)
    except ValueError:
        return b""


def _named_now(database: Database, path: Path) -> bool:
    with database.read() as connection:
        return any(
            connection.execute(f"SELECT 1 FROM {table} WHERE {name} = ? LIMIT 1", (path.name,)).fetchone()  # noqa: S608
            for table, (folder, name) in _NAMED.items()
            if folder == path.parent.name
        )


def _set_aside(workspace: Workspace, path: Path) -> str:
    """Move a file out of the way; gives what was done, to be continued."""
    aside = workspace.path / SET_ASIDE
    try:
        aside.mkdir(exist_ok=True)
        path.rename(aside / path.name)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"{path} cannot be set aside: {error.strerror}") from error
    return f"set aside in {aside}, "


def _jobs(database: Database) -> Iterator[Finding]:
    since = _text(datetime.now(UTC) - timedelta(seconds=LEASE_S))
    with database.read() as connection:
        silent = connection.execute(
            "SELECT id, kind FROM jobs WHERE state = 'running' AND heartbeat_at < ?", (since,)
        ).fetchall()
    for number, kind in silent:
        text = f"the worker of {kind} job {number} is silent; the next worker takes the job up again"
        yield Finding(kind="job", text=text, harmless=True)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
