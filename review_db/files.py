"""The workspace's files: named by the SHA-256 of their content, complete before any row names them."""

import hashlib
import os
import re
from pathlib import Path
from typing import Literal

from apu.errors import StoreError
from apu.files import atomic_write
from review_db.database import sentences

SET_ASIDE = "set-aside"
"""Folder of a workspace that keeps what a repair took out."""

Folder = Literal["images", "artefacts", "progress"]

_NAME = {
    "images": re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}"),
    "artefacts": re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}"),
    "progress": re.compile(r"[^/\0]*"),
}


class Files:
    """The folders ``images``, ``artefacts`` and ``progress`` (passing) of a workspace."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, folder: Folder, name: str) -> Path:
        """Where a file lies.

        Raises:
            StoreError: a workspace names no file so; a database from elsewhere may point out of its folder.
        """
        if not _NAME[folder].fullmatch(name):
            raise StoreError(f"{self._root} names {name!r:.100}, which is no file of a workspace; do not use it")
        return self._root / folder / name

    def put(self, folder: Folder, data: bytes, suffix: str) -> str:
        """Store content once, on the disk when this returns; gives the name.

        Raises:
            StoreError: the disk is full or read-only.
        """
        name = f"{hashlib.sha256(data).hexdigest()}{suffix}"
        path = self.path(folder, name)
        with sentences(path):
            try:
                os.utime(path)  # `check` takes only old files for leftovers, and a row is about to name this one
            except FileNotFoundError:
                self.write(path, data)
        return name

    def write(self, path: Path, data: bytes) -> None:
        """Write or replace a file as a whole."""
        with sentences(path):
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, data)

    def get(self, folder: Folder, name: str) -> bytes:
        """The content of a stored file.

        Raises:
            StoreError: it is missing, or not what was stored.
        """
        path = self.path(folder, name)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing from the workspace; restore it from a backup") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != Path(name).stem:
            raise StoreError(f"{path} is damaged: its content is not what was stored; restore it from a backup")
        return data

    def remove(self, folder: Folder, name: str) -> None:
        """Remove a passing file, if it is there."""
        with sentences(self.path(folder, name)):
            self.path(folder, name).unlink(missing_ok=True)
