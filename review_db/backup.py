"""The whole workspace as one file, taken while people work; and a workspace from it, checked before it appears.

A backup is a plain tar archive: ``backup.json``, ``review.db`` as it was at one moment, and the files that it names. As
nothing in it is compressed, it cannot unpack to more than it is; and only names that the database gives are unpacked.
"""

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from apu.errors import StoreError
from review_db.check import CheckReport, check
from review_db.database import Database, now, sentences, sqlite3
from review_db.exports.folder import appearing, sync
from review_db.schema import refuse_views
from review_db.workspace import Workspace

FORMAT = "apu-review backup 1"

_NAMED = """
SELECT place || file, file IN (SELECT file FROM lost_files) FROM (
    SELECT 'images/' AS place, sha256 || suffix AS file FROM images
    UNION SELECT 'artefacts/', file FROM inputs
    UNION SELECT 'artefacts/', observation FROM pairs
    UNION SELECT 'artefacts/', file FROM fits)
"""

# What belongs to the running server and not to the work: sessions end, workers have taken nothing, fans are made
# again, and a run, which may cost money, is not begun by a copy.
_LEAVE_OUT = (
    "PRAGMA secure_delete = ON",
    "DELETE FROM sessions",
    "DELETE FROM login_failures",
    "DELETE FROM alternatives",
    "DELETE FROM fans",
    "UPDATE runs SET state = 'cancelled', cancelling = 1 WHERE state IN ('queued', 'running')",
    "UPDATE jobs SET state = 'queued', worker = '', preview = NULL WHERE state = 'running'",
)

_FILE = re.compile(r"(images|artefacts)/([0-9a-f]{64})\.[a-z0-9]{1,8}")
_MAX_HEAD_BYTES = 65_536
_PIECE = 2**20


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a backup holds.

    Attributes:
        made_at: when its moment was (UTC). sha256: of the database. files, bytes: of everything else.
    """

    made_at: str
    sha256: str
    files: int
    bytes: int


def backup(workspace: Workspace, path: Path) -> Backup:
    """Write the workspace as it is at one moment to the new file `path`, which appears when it is complete.

    Raises:
        StoreError: there is such a file, it would lie in the workspace, a file of the workspace is missing or damaged,
            or the disk refuses.
    """
    path = Path(path).absolute()
    if path.exists():
        raise StoreError(f"{path} exists; backups are never overwritten, choose another name")
    if path.is_relative_to(workspace.path.absolute()):
        raise StoreError(f"{path} would lie in the workspace itself; choose a place outside, best on another disk")
    if not path.parent.is_dir():
        raise StoreError(f"there is no folder {path.parent}; make it first, or choose another place for the backup")
    with sentences(path), _appearing_file(path) as file, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        moment = Path(folder) / "review.db"
        made_at = _copy(workspace.database, moment)
        sizes = {name: _size(workspace, name, lost) for name, lost in _names(moment, workspace.path).items()}
        files = sorted((name, size) for name, size in sizes.items() if size is not None)
        head = Backup(made_at=made_at, sha256=_sha256(moment), files=len(files), bytes=sum(size for _, size in files))
        _add(file, "backup.json", BytesIO(json.dumps({"format": FORMAT, **asdict(head)}, indent=1).encode()))
        with moment.open("rb") as database:
            _add(file, "review.db", database)
        for name, _ in files:
            place, _, file_name = name.partition("/")
            _add(file, name, BytesIO(workspace.files.get("images" if place == "images" else "artefacts", file_name)))
        file.write(bytes(2 * tarfile.BLOCKSIZE))
    return head


def restore(path: Path, out: Path) -> CheckReport:
    """Make the new workspace `out` from a backup; it appears only once `check` has found it as whole as it was.

    Raises:
        StoreError: `out` exists, the file is no backup, or not a whole one.
    """
    path, out = Path(path), Path(out).absolute()
    with sentences(path), path.open("rb") as file:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise StoreError(f"{out} exists and is not empty; a backup never overwrites, choose a new folder")
        with appearing(out) as folder:
            try:
                _unpack(file, folder, path)
            except (tarfile.TarError, ValueError, TypeError, RecursionError) as error:
                raise StoreError(f"{path} is not a whole backup: {error}") from error
            report = _checked(folder, path)
            os.sync()
    return report


def _copy(database: Database, moment: Path) -> str:
    """Copy the database as it is now, while others write; gives the time."""
    with database.read() as connection:
        connection.execute("SELECT 1 FROM images").fetchone()  # the snapshot begins with the first look
        made_at = now()
        copy = sqlite3.connect(moment, isolation_level=None)
        try:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            for statement in _LEAVE_OUT:
                copy.execute(statement)
        finally:
            copy.close()
    return made_at


def _names(database: Path, path: Path) -> dict[str, bool]:
    """The files that a database names, and whether they are known to be lost; `path` is what an error names."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        refuse_views(connection, path)
        return {name: bool(lost) for name, lost in connection.execute(_NAMED)}
    finally:
        connection.close()


def _size(workspace: Workspace, name: str, lost: bool) -> int | None:
    """In bytes; None: lost, and known to be."""
    try:
        return (workspace.path / name).stat().st_size
    except FileNotFoundError as error:
        if lost:
            return None
        raise StoreError(
            f"{workspace.path / name} is missing; run `apu check {workspace.path} --repair`, then repeat the backup"
        ) from error


def _add(archive: IO[bytes], name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = content.seek(0, os.SEEK_END), 0o600
    content.seek(0)
    archive.write(entry.tobuf(tarfile.GNU_FORMAT))
    shutil.copyfileobj(content, archive)
    archive.write(bytes(-entry.size % tarfile.BLOCKSIZE))


@contextmanager
def _appearing_file(path: Path) -> Iterator[IO[bytes]]:
    """A hidden file that becomes `path` when the block ends, readable by its owner alone: it holds password hashes."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            raise StoreError(f"{path} has come into being meanwhile; choose another name")
        os.rename(name, path)
        sync(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def _unpack(file: IO[bytes], folder: Path, path: Path) -> None:
    """Write the archive's members into a folder, each checked before it is believed."""
    head = _head(file, path)
    if _write(file, _member(file), "review.db", folder / "review.db") != head.sha256:
        raise ValueError("its database is damaged")
    named = _names_of_backup(folder / "review.db", path)
    missing = set(named)
    while entry := _member(file):
        match = _FILE.fullmatch(entry.name)
        if match is None or entry.name not in missing:
            raise ValueError(f"it holds {entry.name!r}, which its database does not name")
        missing.remove(entry.name)
        (folder / match[1]).mkdir(exist_ok=True)
        if _write(file, entry, entry.name, folder / entry.name) != match[2]:
            raise ValueError(f"{entry.name} is damaged")
    missing = {name for name in missing if not named[name]}
    if missing:
        raise ValueError(f"{len(missing)} of its {head.files} files are missing")


def _member(file: IO[bytes]) -> tarfile.TarInfo | None:
    """The next member's header; None: the end. Links, devices, sparse files and all extensions of tar are refused."""
    block = file.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return None
    entry = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    if entry.type != tarfile.REGTYPE or entry.size < 0:
        raise ValueError(f"it holds {entry.name!r}, which is no plain file")
    return entry


def _head(file: IO[bytes], path: Path) -> Backup:
    entry = _member(file)
    if entry is None or entry.name != "backup.json" or entry.size > _MAX_HEAD_BYTES:
        raise ValueError("it does not begin with backup.json")
    values = json.loads(b"".join(_content(file, entry.size)))
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise StoreError(f"{path} is not a backup of this program ({FORMAT})")
    return Backup(**values)


def _content(file: IO[bytes], size: int) -> Iterator[bytes]:
    """A member's bytes, piece by piece, and past its padding."""
    for begin in range(0, size, _PIECE):
        piece = file.read(min(_PIECE, size - begin))
        if len(piece) < min(_PIECE, size - begin):
            raise ValueError("it is cut off")
        yield piece
    file.read(-size % tarfile.BLOCKSIZE)


def _write(file: IO[bytes], entry: tarfile.TarInfo | None, name: str, target: Path) -> str:
    """Write a member to a new file; gives its SHA-256."""
    if entry is None or entry.name != name:
        raise ValueError(f"{name} is missing")
    found = hashlib.sha256()
    with target.open("xb") as written:
        for piece in _content(file, entry.size):
            found.update(piece)
            written.write(piece)
    return found.hexdigest()


def _names_of_backup(database: Path, path: Path) -> dict[str, bool]:
    try:
        return _names(database, path)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is not a whole backup: its database is damaged") from error


def _checked(folder: Path, path: Path) -> CheckReport:
    with Workspace.open(folder) as workspace:
        report = check(workspace)
    broken = [finding.text for finding in report.findings if not finding.harmless and finding.kind != "lost"]
    if broken:
        raise StoreError(f"{path} is not a whole backup: {broken[0].replace(str(folder) + '/', '')}")
    return report


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
