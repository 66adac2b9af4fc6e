"""The workspace: one folder with `review.db`, images and artefacts, and every operation on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from apu.errors import AnswerError
from apu.types import ContactAnswer, Decision, FitResult, PairObservation
from review_db.edits import Edit, Sheet, Suggestion
from review_db.jobs import Jobs
from review_db.records import EVERY_PAIR, DecisionRecord, ImageRecord, Order, PairFilter, PairRecord, PairSummary


class Workspace:
    """A folder that holds all work: safe to use from many threads and processes at once.

    Every write is one transaction that is on the disk when the call returns. Errors of the world (read-only or full
    disk, damaged file, not a workspace, ...) are `StoreError`; a wrong argument is `ValueError`.

    Attributes:
        path: the folder. jobs: the queue of fits and questions.
    """

    path: Path
    jobs: Jobs

    @classmethod
    def create(cls, path: Path) -> Self:
        """Open the workspace at `path`, making folder and database where there are none."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing workspace; an older one is migrated.

        Raises:
            StoreError: no workspace there, damaged, made by a newer program, or not writable.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections of every thread."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Coming in ------------------------------------------------------------------------------------------------------

    def add_image(self, path: Path, *, size: tuple[int, int], source: str = "", action: str = "") -> int:
        """Copy an image file in by its content; the same content again gives the same id and changes nothing.

        `path` is a JPEG, PNG or WebP file that `apu.formats.read_image` has read, `size` its (width, height) in
        pixels, `source` the data set and `action` the data's own label, if any.
        """
        raise NotImplementedError

    def add_input(self, image: int, kind: str, path: Path) -> bool:
        """Keep a detector's file of an image unchanged, for `apu propose`; False if it was there already."""
        raise NotImplementedError

    def images(self) -> tuple[ImageRecord, ...]:
        """All images with their detector files, in order of arrival."""
        raise NotImplementedError

    def image(self, image: int) -> ImageRecord:
        """One image."""
        raise NotImplementedError

    def add_pair(self, image: int, observation: PairObservation) -> int:
        """Add a candidate pair; the same observation of the same image again gives the same id and adds nothing."""
        raise NotImplementedError

    # Looking --------------------------------------------------------------------------------------------------------

    def pairs(
        self,
        where: PairFilter = EVERY_PAIR,
        *,
        order: Order = Order.ID,
        after: PairSummary | None = None,
        limit: int | None = None,
    ) -> tuple[PairSummary, ...]:
        """The queue from its beginning or after a pair, at most `limit` lines."""
        raise NotImplementedError

    def next_pair(
        self,
        after: PairSummary | None,
        where: PairFilter = EVERY_PAIR,
        *,
        order: Order = Order.ID,
        backwards: bool = False,
    ) -> PairSummary | None:
        """The neighbour of a pair in the queue (None: its first, backwards its last); None at the end.

        `after` is the summary as read when the pair was opened, so that work on it does not move the place.
        """
        raise NotImplementedError

    def position(self, pair: PairSummary, where: PairFilter = EVERY_PAIR, *, order: Order = Order.ID) -> int:
        """How many pairs of the queue stand before this one."""
        raise NotImplementedError

    def count(self, where: PairFilter = EVERY_PAIR) -> int:
        """How many pairs the queue has."""
        raise NotImplementedError

    def pair(self, pair: int) -> PairRecord:
        """Everything about one pair, from one snapshot.

        Raises:
            ValueError: there is no such pair.
            StoreError: its observation's file is missing or damaged.
        """
        raise NotImplementedError

    def fit(self, fit: int) -> FitResult:
        """A stored fit with parameters, start and loss curves."""
        raise NotImplementedError

    def decisions(self, *, curator: str | None = None, since: str = "") -> tuple[DecisionRecord, ...]:
        """Decisions by time, also those that no longer stand; `since` as ISO 8601 UTC."""
        raise NotImplementedError

    def status(self) -> dict[str, Any]:
        """The dictionary that `apu status --json` prints: pairs with their fits, counts by state, jobs, body."""
        raise NotImplementedError

    # Working --------------------------------------------------------------------------------------------------------

    def add_answer(
        self, pair: int, answer: ContactAnswer, *, asker: str, suggestions: Sequence[Suggestion | None] = ()
    ) -> int:
        """Store an answer; it becomes the pair's contact sheet unless a curator has already worked on that.

        `suggestions` holds the denoiser's verdict per contact, or nothing. `edits.TakeAnswer` with the returned id
        makes an answer the sheet later.
        """
        raise NotImplementedError

    def add_answer_failure(
        self, pair: int, error: AnswerError, *, asker: str, model: str = "", prompt_id: str = "", seconds: float = 0.0
    ) -> int:
        """Keep a failed question; the pair can be asked again."""
        raise NotImplementedError

    def edit_contacts(self, pair: int, edit: Edit, *, curator: str, revision: int) -> Sheet:
        """Apply an edit that was made on `revision` and return the new sheet.

        Raises:
            ConflictError: someone saved in between; the edit is kept in `PairRecord.conflicts`.
            ValueError: the edit names a contact that is not on the sheet, or changes nothing.
        """
        raise NotImplementedError

    def decide(self, pair: int, decision: Decision, *, revision: int) -> Sheet:
        """Let a decision stand; the latest stands. Accepting needs a fit: the named one, else the latest.

        Raises:
            ConflictError: as `edit_contacts`. ValueError: the fit is not one of this pair, or there is none to accept.
        """
        raise NotImplementedError

    def undo(self, pair: int, *, curator: str, revision: int) -> Sheet:
        """Take back the latest edit or decision that still holds; again: the one before it.

        Raises:
            ConflictError: as `edit_contacts`. StoreError: nothing to take back, or the latest edit is someone else's.
        """
        raise NotImplementedError

    def settle(self, conflict: int, *, apply: bool, curator: str) -> Sheet:
        """Settle a refused edit: apply it on top of what is stored now, or let the stored state stand."""
        raise NotImplementedError

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
        raise NotImplementedError
