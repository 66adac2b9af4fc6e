"""Takedowns: an image and all that derives from it leaves the workspace, and a tombstone without content stays."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from apu.errors import InputError, StoreError
from apu.files import MIB, read_json
from review_db.database import insert, now, sentences, sqlite3
from review_db.files import SET_ASIDE, Files
from review_db.jobs import LEASE_S

if TYPE_CHECKING:  # the workspace asks `refuse_forgotten`
    from review_db.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What a takedown removed.

    Attributes:
        sha256: of the photograph. pairs: their numbers, which are not given again.
        files: number of files removed.
        clean: nothing of it is left in the database's file and log; False: a program that reads the workspace has to
            end first, then forget again.
    """

    sha256: str
    pairs: tuple[int, ...]
    files: int
    clean: bool


def refuse_forgotten(connection: sqlite3.Connection, sha256: str, name: str) -> None:
    """Keep a forgotten photograph out.

    Raises:
        StoreError: it was taken down here.
    """
    row = connection.execute("SELECT forgotten_at FROM forgotten WHERE sha256 = ?", (sha256,)).fetchone()
    if row:
        day = row["forgotten_at"][:10]
        raise StoreError(f"{name} was taken out of this workspace for good on {day} and is not taken in again")


def find_image(workspace: "Workspace", image: str) -> tuple[str, tuple[int, ...]]:
    """(SHA-256, numbers of its pairs) of an image by its name or SHA-256, also of one that is forgotten already.

    Raises:
        InputError: there is none, or several have this name.
    """
    with workspace.database.read() as connection:
        wanted = "SELECT id, sha256 FROM images WHERE sha256 = ?1 OR name = ?1"
        found = connection.execute(wanted, (image,)).fetchall()
        hits = [row for row in found if row["sha256"] == image] or found
        if len(hits) == 1:
            pairs = connection.execute("SELECT id FROM pairs WHERE image_id = ? ORDER BY id", (hits[0]["id"],))
            return hits[0]["sha256"], tuple(pair for (pair,) in pairs)
        if connection.execute("SELECT 1 FROM forgotten WHERE sha256 = ?", (image,)).fetchone():
            return image, ()
    if hits:
        several = ", ".join(row["sha256"] for row in hits)
        raise InputError(f"{len(hits)} images are called {image}; give the SHA-256 of one: {several}")
    raise InputError(f"there is no image {image!r} in {workspace.path}; give its file name or its SHA-256")


def forget(workspace: "Workspace", sha256: str) -> Forgotten:
    """Remove an image, its pairs and all that is known of them: rows, history, files, kept answers, the log.

    It can be repeated: one that was interrupted is completed. Exports and backups made before are out of reach.

    Args:
        workspace: must be writable.
        sha256: of the image's content (`find_image`).

    Raises:
        StoreError: a fit or question of one of its pairs is running, or the disk refuses.
        ValueError: there is no such image.
    """
    with workspace.database.write() as connection:
        connection.execute("PRAGMA secure_delete = ON")
        image = connection.execute("SELECT id FROM images WHERE sha256 = ?", (sha256,)).fetchone()
        if image is None and not connection.execute("SELECT 1 FROM forgotten WHERE sha256 = ?", (sha256,)).fetchone():
            raise ValueError(f"there is no image {sha256}")
        pairs, names = _delete(connection, workspace.files, image["id"], sha256) if image else ((), set())
        kept = {hashlib.sha256(raw.encode()).digest() for (raw,) in connection.execute("SELECT raw FROM answers")}
        # Before the commit: an interruption leaves rows without files, and forgetting again completes it.
        with sentences(workspace.path):
            removed = sum(_remove(workspace.path, name) for name in sorted(names))
            removed += sum(_remove(workspace.path, f"images/{path.name}") for path in _all_of(workspace, sha256))
            removed += _forget_kept_answers(workspace.path / "answers", kept)
    return Forgotten(sha256=sha256, pairs=pairs, files=removed, clean=workspace.database.clean())


def _delete(connection: sqlite3.Connection, files: Files, image: int, sha256: str) -> tuple[tuple[int, ...], set[str]]:
    """Delete an image's rows; gives the numbers of its pairs and the names of the files that nothing names any more."""
    of_pairs = "SELECT id FROM pairs WHERE image_id = ?"
    pairs = tuple(pair for (pair,) in connection.execute(f"{of_pairs} ORDER BY id", (image,)))
    alive_since = (datetime.now(UTC) - timedelta(seconds=LEASE_S)).isoformat(timespec="microseconds")
    running = connection.execute(
        f"SELECT pair_id FROM jobs WHERE state = 'running' AND heartbeat_at >= ? AND pair_id IN ({of_pairs})",  # noqa: S608
        (alive_since, image),
    ).fetchone()
    if running:
        raise StoreError(f"a job of pair {running['pair_id']} is running; cancel it or wait for its end, then repeat")
    last = connection.execute("SELECT coalesce(max(id), 0) FROM pairs").fetchone()[0]
    insert(connection, "forgotten", {"sha256": sha256, "forgotten_at": now(), "last_pair": last})
    _split_shared_inputs(connection, files, image)
    names = {f"artefacts/{name}" for (name,) in connection.execute(_ARTEFACTS, {"image": image})}
    names |= {f"progress/{name}" for (name,) in connection.execute(_PREVIEWS, {"image": image})}
    connection.execute("PRAGMA defer_foreign_keys = ON")
    for statement in _deletions(connection):
        connection.execute(statement, {"image": image})
    used = {f"artefacts/{name}" for (name,) in connection.execute(_USED)}
    connection.execute("DELETE FROM lost_files WHERE file NOT IN (SELECT file FROM fits)")
    return pairs, names - used


_ARTEFACTS = """
SELECT file FROM inputs WHERE image_id = :image UNION SELECT observation FROM pairs WHERE image_id = :image
UNION SELECT file FROM fits WHERE pair_id IN (SELECT id FROM pairs WHERE image_id = :image)
UNION SELECT a.file FROM alternatives a JOIN fans f ON f.id = a.fan_id JOIN pairs p ON p.id = f.pair_id
    WHERE p.image_id = :image
"""
_PREVIEWS = """
SELECT preview FROM jobs WHERE preview IS NOT NULL AND pair_id IN (SELECT id FROM pairs WHERE image_id = :image)
"""
_USED = """
SELECT file FROM inputs UNION SELECT observation FROM pairs UNION SELECT file FROM fits
UNION SELECT file FROM alternatives
"""


def _deletions(connection: sqlite3.Connection) -> Iterator[str]:
    """Statements that delete the image ``:image`` and what derives from it, the most derived first.

    What must refer to a deleted row derives from it and is deleted too; what may refer to one stays and refers to
    nothing.
    """
    references = list(_references(connection))
    doomed = {"images": "id = :image"}
    while True:
        new: dict[str, list[str]] = {}
        for table, column, parent, key, needed in references:
            if needed and parent in doomed and table not in doomed:
                new.setdefault(table, []).append(f"{column} IN (SELECT {key} FROM {parent} WHERE {doomed[parent]})")  # noqa: S608
        if not new:
            break
        doomed |= {table: " OR ".join(conditions) for table, conditions in new.items()}
    for table, column, parent, key, needed in references:
        if not needed and parent in doomed and table not in doomed:
            yield (
                f"UPDATE {table} SET {column} = NULL "  # noqa: S608
                f"WHERE {column} IN (SELECT {key} FROM {parent} WHERE {doomed[parent]})"
            )
    for table, condition in reversed(doomed.items()):
        yield f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - names from the database's own schema


def _references(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str, str, bool]]:
    """(table, column, table it refers to, its key, whether it must refer to something) of every foreign key."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    for (table,) in tables.fetchall():
        needed = {row["name"]: row["notnull"] or row["pk"] for row in connection.execute(f"PRAGMA table_info({table})")}
        for row in connection.execute(f"PRAGMA foreign_key_list({table})"):
            yield table, row["from"], row["table"], row["to"] or "id", bool(needed[row["from"]])


def _split_shared_inputs(connection: sqlite3.Connection, files: Files, image: int) -> None:
    """Give the other images of a detector's file for many images one without this image's people and name."""
    (name,) = connection.execute("SELECT name FROM images WHERE id = ?", (image,)).fetchone()
    shared = connection.execute(
        "SELECT DISTINCT file FROM inputs WHERE image_id = :image AND kind = 'coco' "
        "AND file IN (SELECT file FROM inputs WHERE image_id <> :image)",
        {"image": image},
    ).fetchall()
    for (file,) in shared:
        rest = without_image(files.get("artefacts", file), name)
        new = files.put("artefacts", rest, Path(file).suffix)
        connection.execute("UPDATE inputs SET file = ? WHERE file = ? AND image_id <> ?", (new, file, image))


def without_image(data: bytes, name: str) -> bytes:
    """A COCO file without one image; the same bytes where it does not have that."""
    content = json.loads(data.decode("utf-8-sig"))
    gone = [image for image in content["images"] if re.split(r"[/\\]", image["file_name"])[-1] == name]
    if not gone:
        return data
    ids = [image["id"] for image in gone]
    content["images"] = [image for image in content["images"] if image not in gone]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] not in ids]
    return json.dumps(content, ensure_ascii=False).encode()


def _all_of(workspace: "Workspace", sha256: str) -> list[Path]:
    """The photograph under every suffix, and what interrupted writes of it left."""
    paths = [path for folder in ("images", SET_ASIDE) for path in (workspace.path / folder).glob("*")]
    return [path for path in paths if path.name.lstrip(".").startswith(sha256)]


def _remove(root: Path, name: str) -> int:
    """Remove a file and what interrupted writes of it left; gives their number."""
    path = root / name
    if path.parent.parent != root:  # a hostile database's name for a file that is not the workspace's
        return 0
    paths = [path, *path.parent.glob(f".{path.name}.*"), root / SET_ASIDE / path.name]
    present = [each for each in paths if each.is_file()]
    for each in present:
        each.unlink()
    return len(present)


def _forget_kept_answers(folder: Path, kept: set[bytes]) -> int:
    """Remove the answers kept to save questions, except those that are an answer of an image that is still there."""
    removed = 0
    for path in folder.glob("*.json"):
        try:
            content = read_json(path, max_bytes=4 * MIB)
        except InputError:
            content = None
        raw = content.get("raw") if isinstance(content, Mapping) else None
        if not isinstance(raw, str) or hashlib.sha256(raw.encode("utf-8", "surrogatepass")).digest() not in kept:
            path.unlink()
            removed += 1
    return removed
