"""The workspace: one folder with `review.db`, images and artefacts, and every operation on it."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from apu.errors import AnswerError, ConflictError, StoreError
from apu.types import ContactAnswer, Decision, FitResult, PairObservation
from review_db import changes, details, queue, report
from review_db.claims import Claims
from review_db.codec import pack_fit, pack_observation
from review_db.columns import Queue
from review_db.database import Database, insert, now, one, sentences, sqlite3
from review_db.drafts import Drafts
from review_db.edits import Edit, Sheet, Suggestion
from review_db.fans import Fans
from review_db.files import Files
from review_db.forget import refuse_forgotten
from review_db.jobs import LOST, Jobs, close_job
from review_db.pace import pace
from review_db.records import (
    EVERY_PAIR,
    DecisionRecord,
    ImageRecord,
    Order,
    Pace,
    PairFilter,
    PairRecord,
    PairSummary,
    Place,
)
from review_db.reviews import Reviews
from review_db.schema import migrate
from review_db.settings import Settings
from review_db.views import Views

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Workspace:
    """A folder that holds all work: safe to use from many threads and processes at once.

    Every write is one transaction that is on the disk when the call returns. Errors of the world (read-only or full
    disk, damaged file, not a workspace, ...) are `StoreError`; a wrong argument is `ValueError`.

    Attributes:
        path: the folder. jobs: the queue of fits and questions. claims, drafts, fans, reviews, settings, views: see
            their classes.
        database, files, queue: what lies below.
    """

    def __init__(self, path: Path, database: Database) -> None:
        """For `create` and `open`."""
        self.path = path
        self.files = Files(path)
        self.jobs = Jobs(database, self.files)
        self.database = database
        self.queue = Queue()
        self.claims = Claims(database, self.queue)
        self.drafts = Drafts(database)
        self.fans = Fans(database, self.files, self.jobs.drop_preview)
        self.reviews = Reviews(database, self.files, self.queue)
        self.settings = Settings(database)
        self.views = Views(database)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Open the workspace at `path`, making folder and database where there are none.

        Raises:
            StoreError: as `open`; or there is a folder with other things in it.
        """
        path = Path(path)
        with sentences(path):
            path.mkdir(parents=True, exist_ok=True)
            if not (path / "review.db").exists() and any(path.iterdir()):
                raise StoreError(f"{path} is a folder with other files and no workspace; choose an empty or new folder")
        return cls._start(path, create=True)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open an existing workspace; an older one is migrated, one that may not be written to is only read.

        With `read_only` it is only read too, whatever is asked of it; a write is a `StoreError`.

        Raises:
            StoreError: no workspace there, damaged, made by a newer program, or by an older one and not writable.
        """
        path = Path(path)
        with sentences(path):
            if not (path / "review.db").is_file():
                raise StoreError(f"{path} is not a workspace (it has no review.db); make one with: apu import")
        return cls._start(path, create=False, read_only=read_only)

    @classmethod
    def _start(cls, path: Path, *, create: bool, read_only: bool = False) -> Self:
        database = Database(path / "review.db", create=create, read_only=read_only)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(path, database)

    def close(self) -> None:
        """Close the connections of every thread."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Coming in ------------------------------------------------------------------------------------------------------

    def add_image(self, path: Path, *, size: tuple[int, int], source: str = "", action: str = "") -> int:
        """Copy an image file in by its content; the same content again gives the same id and changes nothing.

        `path` is a JPEG, PNG or WebP file that `apu.formats.read_image` has read, `size` its (width, height) in
        pixels, `source` the data set and `action` the data's own label, if any.

        Raises:
            StoreError: it was taken down.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in IMAGE_SUFFIXES:
            raise ValueError(f"image must be one of {', '.join(IMAGE_SUFFIXES)}, got {path}")
        with sentences(path):
            data = Path(path).read_bytes()
        content = hashlib.sha256(data).hexdigest()
        row = {"sha256": content, "suffix": suffix, "name": Path(path).name, "width": size[0], "height": size[1]}
        row |= {"source": source, "action": action, "added_at": now()}
        with self.database.write() as connection:
            refuse_forgotten(connection, content, Path(path).name)
            self.files.put("images", data, suffix)
            return _insert_new(connection, "images", row, key=("sha256",))[0]

    def forgotten_in(self, folder: Path) -> tuple[str, ...]:
        """Names of the photographs of a folder that were taken down."""
        with self.database.read() as connection:
            gone = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM forgotten")}
        if not gone:
            return ()
        with sentences(folder):
            files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
            return tuple(path.name for path in files if path.is_file() and _sha256(path) in gone)

    def add_input(self, image: int, kind: str, path: Path) -> bool:
        """Keep a detector's file of an image unchanged, for `apu propose`; False if it was there already."""
        with sentences(path):
            data = Path(path).read_bytes()
        with self.database.read() as connection:
            _check_image(connection, image)  # before its file: a forgotten image leaves no more traces
        file = self.files.put("artefacts", data, Path(path).suffix.lower())
        row = {"image_id": image, "kind": kind, "name": Path(path).name, "file": file, "added_at": now()}
        with self.database.write() as connection:
            _check_image(connection, image)
            return _insert_new(connection, "inputs", row, key=("image_id", "kind", "file"))[1]

    def has_pair(self, pair: int) -> bool:
        """Whether there is such a pair: one may have been forgotten meanwhile."""
        with self.database.read() as connection:
            return connection.execute("SELECT 1 FROM pairs WHERE id = ?", (pair,)).fetchone() is not None

    def images(self) -> tuple[ImageRecord, ...]:
        """All images with their detector files, in order of arrival."""
        with self.database.read() as connection:
            ids = [row["id"] for row in connection.execute("SELECT id FROM images ORDER BY id")]
            return tuple(details.image_record(connection, self.files, image) for image in ids)

    def image(self, image: int) -> ImageRecord:
        """One image."""
        with self.database.read() as connection:
            return details.image_record(connection, self.files, image)

    def add_pair(self, image: int, observation: PairObservation) -> int:
        """Add a candidate pair; the same observation of the same image again gives the same id and adds nothing."""
        with self.database.read() as connection:
            _check_image(connection, image)
        file = self.files.put("artefacts", pack_observation(observation), ".npz")
        time = now()
        row = {
            "image_id": image,
            "observation": file,
            "source": observation.source,
            "action": observation.action,
            "simulated": observation.simulated,
            "created_at": time,
            "updated_at": time,
        }
        with self.database.write() as connection:
            _check_image(connection, image)
            row["id"] = connection.execute(NEXT_PAIR).fetchone()[0]
            return _insert_new(connection, "pairs", row, key=("image_id", "observation"))[0]

    # Looking --------------------------------------------------------------------------------------------------------

    def pairs(
        self,
        where: PairFilter = EVERY_PAIR,
        *,
        order: Order = Order.ID,
        seed: int = 0,
        after: PairSummary | None = None,
        backwards: bool = False,
        skip: int = 0,
        limit: int | None = None,
        without: Collection[int] = (),
    ) -> tuple[PairSummary, ...]:
        """The queue from its beginning or after a pair, at most `limit` lines; `backwards` from its end or before.

        The first `skip` lines of that are left out, for lists that are looked through page by page.
        `after` is the summary as read when the pair was opened, so that work on it does not move the place. `seed` is
        that of `Order.RANDOM`. `without`: pairs that are left out, here and below.
        """
        with self._looking() as connection:
            most = None if limit is None else skip + limit
            ids = self.queue.ids(
                connection, where, order, seed=seed, after=after, backwards=backwards, limit=most, without=without
            )
            return tuple(queue.summaries(connection, ids[skip:]))

    def next_pair(
        self,
        after: PairSummary | None,
        where: PairFilter = EVERY_PAIR,
        *,
        order: Order = Order.ID,
        seed: int = 0,
        backwards: bool = False,
        without: Collection[int] = (),
    ) -> PairSummary | None:
        """The neighbour of a pair in the queue (None: its first, backwards its last); None at the end."""
        lines = self.pairs(where, order=order, seed=seed, after=after, backwards=backwards, limit=1, without=without)
        return lines[0] if lines else None

    def place(
        self,
        pair: PairSummary,
        where: PairFilter = EVERY_PAIR,
        *,
        order: Order = Order.ID,
        seed: int = 0,
        without: Collection[int] = (),
    ) -> Place:
        """Where a pair stands in the queue, whether it belongs to it or not, and how long the queue is."""
        with self._looking() as connection:
            return self.queue.place(connection, pair, where, order, seed=seed, without=without)

    def count(self, where: PairFilter = EVERY_PAIR, *, without: Collection[int] = ()) -> int:
        """How many pairs the queue has."""
        with self._looking() as connection:
            return self.queue.count(connection, where, without=without)

    def facets(self, where: PairFilter = EVERY_PAIR, *, without: Collection[int] = ()) -> dict[str, dict[str, int]]:
        """How many pairs of the queue there are by `state`, `source`, `interaction` and deciding `curator`."""
        with self._looking() as connection:
            return self.queue.facets(connection, where, without=without)

    def pair(self, pair: int) -> PairRecord:
        """Everything about one pair, from one snapshot.

        Raises:
            ValueError: there is no such pair.
            StoreError: its observation's file is missing or damaged.
        """
        with self.database.read() as connection:
            return details.pair_record(connection, self.files, pair)

    def fit(self, fit: int) -> FitResult:
        """A stored fit with parameters, start and loss curves.

        Raises:
            ValueError: there is no such fit.
            StoreError: its file is missing or damaged.
        """
        with self.database.read() as connection:
            return details.fit_result(connection, self.files, fit)

    def decisions(self, *, curator: str | None = None, since: str = "") -> tuple[DecisionRecord, ...]:
        """Decisions by time, also those that no longer stand; `since` as ISO 8601 UTC."""
        condition = "d.made_at >= ?" if curator is None else "d.made_at >= ? AND u.name = ?"
        with self.database.read() as connection:
            return details.decision_records(connection, condition, (since,) if curator is None else (since, curator))

    def standing_decisions(self, curator: str, *, last: int) -> tuple[DecisionRecord, ...]:
        """A curator's latest decisions that still stand, the latest first: what `undo_decisions` takes back."""
        with self.database.read() as connection:
            return details.standing_decisions(connection, curator, last)

    def pace(self, curator: str) -> Pace:
        """How a curator gets on."""
        with self.database.read() as connection:
            return pace(connection, curator)

    def status(self) -> dict[str, Any]:
        """The dictionary that `apu status --json` prints: pairs with their fits, counts by state, jobs."""
        with self.database.read() as connection:
            return {"workspace": str(self.path), **report.status(connection)}

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        with self.database.read() as connection:
            yield connection
        if self.queue.is_worth_keeping and not self.database.read_only:
            with suppress(StoreError), self.database.write() as connection:  # only to save the next process time
                self.queue.keep(connection)

    # Working --------------------------------------------------------------------------------------------------------

    def add_answer(
        self,
        pair: int,
        answer: ContactAnswer,
        *,
        asker: str,
        suggestions: Sequence[Suggestion | None] = (),
        job: int | None = None,
        worker: str = "",
    ) -> int:
        """Store an answer; it becomes the pair's contact sheet unless a curator's edit or decision stands.

        `suggestions` holds the denoiser's verdict per contact, or nothing. `edits.TakeAnswer` with the returned id
        makes an answer the sheet later. With `job`, that job of `worker` is finished in the same transaction.

        Raises:
            StoreError: the job is no longer this worker's; nothing is stored.
        """
        with self.database.write() as connection:
            number = changes.add_answer(connection, pair, answer, asker, suggestions)
            self._finish(connection, job, worker, number)
        return number

    def add_answer_failure(
        self, pair: int, error: AnswerError, *, asker: str, model: str = "", prompt_id: str = "", seconds: float = 0.0
    ) -> int:
        """Keep a failed question; the pair can be asked again."""
        with self.database.write() as connection:
            return changes.add_failure(connection, pair, error, asker, model, prompt_id, seconds)

    def edit_contacts(self, pair: int, edit: Edit, *, curator: str, revision: int) -> Sheet:
        """Apply an edit that was made on `revision` and return the new sheet.

        Raises:
            ConflictError: someone saved in between; the edit is kept in `PairRecord.conflicts`.
            ValueError: the edit names a contact that is not on the sheet, or changes nothing.
        """
        return self._save(pair, edit, curator=curator, revision=revision)

    def decide(self, pair: int, decision: Decision, *, revision: int) -> Sheet:
        """Let a decision stand; the latest stands. Accepting needs a fit: the named one, else the latest.

        Raises:
            ConflictError: as `edit_contacts`.
            ValueError: the fit is not one of this pair, there is none to accept, or the contacts have changed since.
        """
        return self._save(pair, decision, curator=decision.curator, revision=revision)

    def undo(self, pair: int, *, curator: str, revision: int) -> Sheet:
        """Take back the latest edit or decision that still holds; again: the one before it.

        Raises:
            ConflictError: someone saved in between.
            StoreError: there is nothing to take back, or the latest edit is someone else's.
        """
        with self.database.write() as connection:
            return changes.undo(connection, pair, curator, revision)

    def undo_decisions(self, curator: str, *, last: int = 1) -> tuple[int, ...]:
        """Take back a curator's latest decisions that still stand, whatever came after; gives their pairs."""
        with self.database.write() as connection:
            return changes.undo_decisions(connection, curator, last)

    def settle(self, conflict: int, *, apply: bool, curator: str) -> Sheet:
        """Settle a refused edit: apply it on top of what is stored now, or let the stored state stand.

        Raises:
            ValueError: there is no such open conflict, or the edit no longer applies: its contact is gone, or the fit
                that was to be accepted is of other contacts.
        """
        with self.database.write() as connection:
            return changes.settle(connection, conflict, take=apply, curator=curator)

    def add_fit(
        self,
        pair: int,
        result: FitResult,
        *,
        revision: int,
        curator: str = "",
        job: int | None = None,
        worker: str = "",
    ) -> int:
        """Store a fit of the sheet at `revision`; with `job`, finish that job of `worker` in the same transaction.

        Raises:
            ValueError: a parameter or figure is not finite.
            StoreError: the job is no longer this worker's; nothing is stored.
        """
        changes.check_finite(result)
        if job is not None:
            self.jobs.check(job, worker)
        with self.database.write() as connection:
            # Inside: a fan that goes may take a file of the same content along until a row names it.
            file = self.files.put("artefacts", pack_fit(result), ".npz")
            fit = changes.add_fit(connection, pair, result, file, revision, curator)
            self._finish(connection, job, worker, fit)
        if job is not None:
            self.jobs.drop_preview(job)
        return fit

    @staticmethod
    def _finish(connection: sqlite3.Connection, job: int | None, worker: str, result: int) -> None:
        if job is not None and not close_job(connection, job, worker, "done", result=result):
            raise StoreError(LOST.format(job=job))

    def _save(self, pair: int, change: Edit | Decision, *, curator: str, revision: int) -> Sheet:
        with self.database.write() as connection:
            sheet = changes.save(connection, pair, change, curator, revision)
        if sheet is None:
            raise ConflictError(changes.stale(pair))
        return sheet


# The number of a forgotten pair is never given to another: pictures, addresses and browsers know pairs by number.
NEXT_PAIR = """SELECT 1 + max(
    coalesce((SELECT max(id) FROM pairs), 0), coalesce((SELECT max(last_pair) FROM forgotten), 0))"""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_image(connection: sqlite3.Connection, image: int) -> None:
    one(connection, "SELECT id FROM images WHERE id = ?", (image,), missing=f"there is no image {image}")


def _insert_new(
    connection: sqlite3.Connection, table: str, row: dict[str, Any], *, key: tuple[str, ...]
) -> tuple[int, bool]:
    """The id of the row with the same key, inserted if there is none; and whether it was."""
    condition = " AND ".join(f"{name} = :{name}" for name in key)
    known = connection.execute(f"SELECT id FROM {table} WHERE {condition}", row).fetchone()  # noqa: S608
    return (known["id"], False) if known else (insert(connection, table, row), True)
