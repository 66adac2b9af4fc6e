"""What the store hands out: immutable records, names instead of ids where a person reads them, UTC times (ISO 8601)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np

from apu.types import BodyParams, Contact, ContactAnswer, Decision, PairObservation, Verdict
from review_db.edits import Edit, Entry, Sheet, StatedContact, TakeReading


class PairState(StrEnum):
    """Where a pair stands; the first rule that holds, from the bottom up.

    PROPOSED: nothing known beyond the observation. ASK_FAILED: no answer yet and the last question failed.
    ASKED: an answer stands, or a curator added contacts. FITTED: at least one fit.
    ACCEPTED, REJECTED, FLAGGED: a decision stands. Editing the contacts afterwards reopens the pair.
    """

    PROPOSED = "proposed"
    ASK_FAILED = "ask_failed"
    ASKED = "asked"
    FITTED = "fitted"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FLAGGED = "flagged"


class Order(StrEnum):
    """How the queue is sorted; ties by id."""

    ID = "id"
    UNCERTAIN = "uncertain"
    """The answers that the model and the denoiser doubt most first."""
    WORST_FIT = "worst_fit"
    """The largest 512-scaled reprojection error of the latest fit first; pairs without a fit last."""
    STRATIFIED = "stratified"
    """One pair of each interaction in turn, of each the most uncertain first, so that rare ones come early."""
    RANDOM = "random"
    """By chance, the same for the same seed."""


Range = tuple[float | None, float | None]
"""From, to; both ends belong to it, None is no limit."""


@dataclass(frozen=True, kw_only=True)
class PairFilter:
    """Which pairs a queue shows; every field that is set must hold.

    Attributes:
        states: any of these. source: exactly this data set. interactions: exactly one of these, as the standing answer
            names it. simulated: made by the program or not. image: id of the photograph.
        text: occurs in the image's name, the action or the interaction (case-insensitive for ASCII).
        curator: the standing decision is this curator's.
        disagrees: a blind second review judged otherwise than the decision that stands, or both accept with other
            contacts, and nobody has settled it.
        confidence: 1 - `PairSummary.uncertainty`.
        gap_m: largest contact gap of the latest fit, metres. reprojection: its `PairSummary.fit_error`. Pairs without a
            fit lie in no range of these two.

    Raises:
        ValueError: a range has an end that is no number, or ends before it begins.
    """

    states: frozenset[PairState] | None = None
    source: str | None = None
    interactions: frozenset[str] | None = None
    simulated: bool | None = None
    image: int | None = None
    text: str = ""
    curator: str | None = None
    disagrees: bool | None = None
    confidence: Range | None = None
    gap_m: Range | None = None
    reprojection: Range | None = None

    def __post_init__(self) -> None:
        for name in ("confidence", "gap_m", "reprojection"):
            low, high = getattr(self, name) or (None, None)
            ends = [end for end in (low, high) if end is not None]
            if not all(isfinite(end) for end in ends) or ends != sorted(ends):
                raise ValueError(f"{name} must be a range of two finite numbers or None, got {(low, high)}")
        for text in (self.text, self.source or "", self.curator or "", *(self.interactions or ())):
            if "\0" in text or text != text.encode(errors="replace").decode():
                raise ValueError(f"texts of a filter must be plain Unicode, got {text!r}")


EVERY_PAIR = PairFilter()
UNDECIDED = PairFilter(states=frozenset({PairState.PROPOSED, PairState.ASK_FAILED, PairState.ASKED, PairState.FITTED}))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a pair stands in a queue of `total` pairs: so many are before it; `inside`: it is one of them."""

    before: int
    total: int
    inside: bool


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A curator's own decisions: today's (UTC), the last hour's, and the median of the seconds from one to the next.

    Breaks of ten minutes and more are left out of the median; it is None before the second decision.
    """

    today: int
    hour: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """A detector's file that came with an image, kept unchanged; `kind` is the importer's word for its format."""

    kind: str
    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """A photograph of the workspace; `path` is the copy by content hash, `size` (width, height) in pixels."""

    id: int
    name: str
    sha256: str
    path: Path
    size: tuple[int, int]
    source: str
    action: str
    inputs: tuple[ImageInput, ...]


@dataclass(frozen=True, kw_only=True)
class PairSummary:
    """One line of the queue, as it was when it was read: keep it to go on from there.

    Attributes:
        image: name of the photograph. asker: who gave the standing answer, empty without.
        uncertainty: mean `StatedContact.doubt` of the standing answer, 0 to 1; 1 without. Edits do not change it, so
            that a pair keeps its place while it is worked on.
        fit_error: larger 512-scaled reprojection error of the latest fit; 0 without. gap_m: its largest contact gap in
            metres; None without. disagrees: see `PairFilter.disagrees`.
        contacts: number of active contacts. decided_by: curator of the standing decision.
    """

    id: int
    image: str
    state: PairState
    source: str
    action: str
    simulated: bool
    interaction: str
    asker: str
    uncertainty: float
    fit_error: float
    gap_m: float | None
    disagrees: bool
    contacts: int
    revision: int
    decided_by: str
    updated_at: str


@dataclass(frozen=True, kw_only=True)
class AnswerRecord:
    """One question put to an asker, answered or failed; failures are kept and can be asked again.

    Attributes:
        asker: ``"openai"``, ``"replay"``, ``"keypoints"``, ... status: ``"ok"`` or the failure's kind.
        answer: the parsed answer; None for a failure. stated: its contacts with the denoiser's verdicts.
        raw: the text as it came. message: the failure's sentence.
    """

    id: int
    asker: str
    model: str
    prompt_id: str
    status: str
    message: str
    raw: str
    answer: ContactAnswer | None
    stated: tuple[StatedContact, ...]
    seconds: float
    asked_at: str


@dataclass(frozen=True, kw_only=True)
class EditRecord:
    """One entry of a pair's history: it led from `revision` - 1 to `revision`; `curator` is empty for the program."""

    revision: int
    edit: Entry
    curator: str
    made_at: str
    undone: bool


@dataclass(frozen=True, kw_only=True)
class ConflictRecord:
    """A refused edit, kept until its author settles it: made on `based_on` while `found` was stored."""

    id: int
    edit: Edit | Decision
    curator: str
    based_on: int
    found: int
    made_at: str


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """A fit's settings and figures (`FitResult` names and units); `Workspace.fit` loads parameters and loss curves.

    Attributes:
        revision: of the sheet the fit used. stale: the active contacts have changed since.
        contacts: the ones used, in the person order used, with their weights; `gaps_m` one per contact.
    """

    id: int
    revision: int
    stale: bool
    curator: str
    made_at: str
    contacts: tuple[Contact, ...]
    swapped: bool
    gaps_m: tuple[float, ...]
    max_gap_m: float
    reprojection_512: tuple[float, float]
    reprojection_px: tuple[float, float]
    max_penetration_m: float
    mean_penetration_m: float
    kept: bool
    stop: str
    seconds: float
    iterations: int
    device: str
    body: str
    seed: int
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """A decision with its time and the revision it was made on; `stands`: it is the pair's current one."""

    id: int
    pair: int
    decision: Decision
    revision: int
    made_at: str
    stands: bool


@dataclass(frozen=True, kw_only=True)
class PairRecord:
    """Everything about one pair at one moment; lists are oldest first."""

    summary: PairSummary
    image: ImageRecord
    observation: PairObservation
    sheet: Sheet
    answer: AnswerRecord | None
    """The standing answer."""
    answers: tuple[AnswerRecord, ...]
    history: tuple[EditRecord, ...]
    fits: tuple[FitRecord, ...]
    decision: DecisionRecord | None
    """The standing decision."""
    decisions: tuple[DecisionRecord, ...]
    conflicts: tuple[ConflictRecord, ...]
    """Refused edits that nobody has settled yet."""


@dataclass(frozen=True, kw_only=True)
class ClaimRecord:
    """A pair that a curator has to themselves until `expires_at`."""

    pair: int
    curator: str
    claimed_at: str
    expires_at: str


@dataclass(frozen=True, kw_only=True)
class DraftRecord:
    """What a curator has begun on a pair, seen at `revision`, and not saved: a note, edits in their order.

    `verdict` and `reason` are of a decision that was begun; None and empty without.
    """

    pair: int
    curator: str
    revision: int
    note: str
    edits: tuple[Edit, ...]
    verdict: Verdict | None
    reason: str
    saved_at: str


@dataclass(frozen=True, kw_only=True)
class ViewRecord:
    """A queue under a name; `seed` is that of `Order.RANDOM`."""

    name: str
    owner: str
    where: PairFilter
    order: Order
    seed: int
    saved_at: str


@dataclass(frozen=True, kw_only=True)
class ReviewRecord:
    """A blind second review, asked for or given.

    Attributes:
        curator: who gives it; empty while nobody has taken it.
        verdict, judged_at: None until given. contacts: the active ones as the reviewer would have them.
        settled_at: when somebody resolved the pair who had seen both judgements.
    """

    id: int
    pair: int
    curator: str
    asked_at: str
    judged_at: str | None
    verdict: Verdict | None
    reason: str
    note: str
    contacts: tuple[Contact, ...]
    settled_at: str | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Second reviews against the first decisions on the same pairs.

    Attributes:
        reviews: how many were compared. agreed: with the same verdict.
        verdicts: their number by (decision, review).
        kappa: Cohen's; None without reviews, or where everybody always gives one verdict.
        f1: of the contacts, equal in parts and sides: twice those that both have over all that either has; None where
            neither has any.
        side_flips: of the contacts that both have by their parts, the share on which a side differs; those of parts
            without sides aside. None without.
    """

    reviews: int
    agreed: int
    verdicts: Mapping[tuple[Verdict, Verdict], int]
    kappa: float | None
    f1: float | None
    side_flips: float | None


@dataclass(frozen=True, kw_only=True)
class AlternativeRecord:
    """One reading of a pair's contacts with its fit.

    Attributes:
        edit: makes the contacts so; None: as they stand. words: what differs.
        probability: by what is seen in the image. score: the higher, the better its fit bears it out.
        fit: its figures; id 0, for it is none of the pair's fits yet.
    """

    id: int
    edit: TakeReading | None
    words: str
    probability: float
    score: float
    fit: FitRecord


@dataclass(frozen=True, kw_only=True)
class FanRecord:
    """The alternatives of a pair, the best first.

    Attributes:
        taken: id of the alternative that stands now; `undoes`: the revision of its edit. None: none was taken.
    """

    id: int
    pair: int
    alternatives: tuple[AlternativeRecord, ...]
    taken: int | None
    undoes: int | None
    made_at: str


JobKind = Literal["fit", "fan", "ask"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A fit or a question to be worked off by a worker process.

    Attributes:
        revision: of the sheet when it was queued. options: plain values for the worker.
        prepared: nobody waits for it: it runs once nothing else is to do.
        attempt: 1, or 2 after a worker died on it. cancelling: asked to stop, still running.
        progress: the worker's latest words. preview: its latest file, or None. error: one sentence when failed.
        result: id of the fit or answer when done.
    """

    id: int
    kind: JobKind
    pair: int
    revision: int
    curator: str
    options: Mapping[str, Any]
    prepared: bool
    state: JobState
    worker: str
    attempt: int
    cancelling: bool
    progress: Mapping[str, Any]
    preview: Path | None
    error: str
    result: int | None
    queued_at: str
    started_at: str
    finished_at: str


@dataclass(frozen=True, kw_only=True)
class ExportedPair:
    """One pair read back from an export.

    Attributes:
        entry: its dictionary in ``pairs.json``.
        params: the accepted (or latest) fit's parameters, camera frame. K: intrinsics, pixels. None without a fit.
    """

    id: int
    image: str
    body: str
    simulated: bool
    params: BodyParams | None
    K: np.ndarray | None
    keypoints: np.ndarray
    contacts: tuple[Contact, ...]
    entry: Mapping[str, Any]
