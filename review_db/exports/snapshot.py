"""The pairs of an export, one after the other, from one moment's state."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apu.errors import StoreError
from apu.types import FitResult
from review_db import details, queue
from review_db.database import sqlite3
from review_db.exports.entry import Beside, Name, entry, fit_to_export
from review_db.exports.options import NEED_FIT, ExportOptions, split_of
from review_db.files import Files
from review_db.records import FitRecord, Order, PairRecord

IMAGES, ARTEFACTS = "images", "artefacts"


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """One pair on its way out.

    Attributes:
        entry: its dictionary (`review_db.exports.entry`), with ``split``.
        image: the photograph's file name, unique within the workspace. suffix: of its file.
        fit, result: the exported fit, where there is one.
        beside: names of its files in the workspace, second reviews. read: gives a file of ``images`` or ``artefacts``.
    """

    record: PairRecord
    entry: dict[str, Any]
    split: str
    image: str
    suffix: str
    fit: FitRecord | None
    result: FitResult | None
    beside: Beside
    read: Callable[[str, str], bytes]

    @property
    def id(self) -> int:
        """The pair's number."""
        return self.record.summary.id

    def photograph(self) -> bytes:
        """The photograph's file."""
        return self.read(IMAGES, self.record.image.path.name)


class Snapshot:
    """What `options` select, read inside one transaction.

    Attributes:
        skipped: pairs that were asked for and have no fit, by id; complete once `items` has ended.
        name: how curators are called.
    """

    def __init__(self, connection: sqlite3.Connection, files: Files, options: ExportOptions) -> None:
        self._connection, self._files, self._options = connection, files, options
        self.skipped: list[int] = []
        self.name = pseudonyms(secret(connection)) if options.pseudonyms else str
        twins = connection.execute("SELECT name FROM images GROUP BY name HAVING count(*) > 1")
        self._twins = {name for (name,) in twins}

    def items(self) -> Iterator[Item]:
        """The pairs by number."""
        skip = not self._options.unfitted or self._options.form in NEED_FIT
        for line in queue.walk(self._connection, self._options.where, Order.ID):
            item = self._item(line.id)
            if item.fit is None and skip:
                self.skipped.append(line.id)
            else:
                yield item

    def _item(self, pair: int) -> Item:
        record = details.pair_record(self._connection, self._files, pair)
        beside = beside_of(self._connection, pair)
        fit = fit_to_export(record)
        split = split_of(record.image.sha256, self._options.splits)
        path = record.image.path
        return Item(
            record=record,
            entry=entry(record, beside, self.name) | ({"split": split} if split else {}),
            split=split,
            image=self._unique(record.image.name, record.image.sha256),
            suffix=path.suffix,
            fit=fit,
            result=details.fit_result(self._connection, self._files, fit.id) if fit else None,
            beside=beside,
            read=self._files.get,  # type: ignore[arg-type] - the two folders are literals there
        )

    def _unique(self, name: str, sha256: str) -> str:
        path = Path(name)
        return f"{path.stem}-{sha256[:8]}{path.suffix}" if name in self._twins else name


def beside_of(connection: sqlite3.Connection, pair: int) -> Beside:
    """A pair's files and second reviews."""
    (observation,) = connection.execute("SELECT observation FROM pairs WHERE id = ?", (pair,)).fetchone()
    fits = connection.execute("SELECT id, file FROM fits WHERE pair_id = ?", (pair,)).fetchall()
    reviews = connection.execute(_REVIEWS, (pair,)).fetchall()
    return Beside(
        observation=observation,
        fits=dict(tuple(row) for row in fits),
        reviews=[{**row, **{name: json.loads(row[name]) for name in ("edits", "contacts")}} for row in reviews],
    )


_REVIEWS = """
SELECT u.name AS curator, r.verdict, r.reason, r.note, r.edits, r.contacts, r.asked_at, r.judged_at, r.settled_at
FROM reviews r JOIN curators u ON u.id = r.curator_id WHERE r.pair_id = ? AND r.verdict IS NOT NULL ORDER BY r.id
"""


def secret(connection: sqlite3.Connection) -> bytes:
    """The workspace's key for pseudonyms."""
    row = connection.execute("SELECT value FROM secrets WHERE name = 'pseudonyms'").fetchone()
    if row is None:
        raise StoreError("this workspace has no key for pseudonyms; open it once where it can be written")
    return row["value"]


def pseudonyms(key: bytes) -> Name:
    """A name per curator that nobody without the key can lead back: the start of a keyed hash."""

    def name(curator: str) -> str:
        digest = hmac.digest(key, curator.encode(), hashlib.sha256)
        return f"curator-{base64.b32encode(digest)[:10].decode().lower()}"

    return name
