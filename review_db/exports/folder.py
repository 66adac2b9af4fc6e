"""A folder that is there as a whole or not at all."""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apu.errors import StoreError


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A hidden sibling of `out` that becomes it when the block ends, and vanishes when the block raises.

    What a killed program left behind is removed first: the folder of a living one is locked, which ends with it.

    Raises:
        StoreError: `out` is not empty, or another program is writing it.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StoreError(f"{out} exists and is not empty; choose a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in out.parent.glob(f".{_escaped(out.name)}.partial-*"):
        _remove_abandoned(left, out)
    folder = out.with_name(f".{out.name}.partial-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
        for each in (path for path in folder.rglob("*") if path.is_dir()):
            sync(each)
        os.fsync(lock)
        folder.rename(out)
        sync(out.parent)
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path, out: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone in the meantime, or nothing of ours
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except BlockingIOError as error:
        raise StoreError(f"{out} is being written by another export; wait for that or choose a new folder") from error
    finally:
        os.close(lock)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def digest(path: Path) -> str:
    """SHA-256 of a file, which is on the disk when this returns."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(folder: Path, name: str, data: bytes) -> None:
    """Write a file below a folder, once: equal names are equal files."""
    path = folder / name
    if ".." in path.parts[len(folder.parts) :]:
        raise StoreError(f"{name!r:.100} would lie outside of the export; do not use this workspace")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
