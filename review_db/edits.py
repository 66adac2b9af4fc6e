"""The typed edits of a pair's contact sheet and what each one does: pure functions, no database.

The history of a pair is the list of its edits. `apply` gives the next sheet, `rebuild` replays a whole history;
the stored sheet always equals the replayed one. An undo is an edit too: it names the one it takes back.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from apu.types import BodyPart, Contact


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The denoiser's verdict on one stated contact; it never acts by itself.

    Attributes:
        flipped: the keypoints speak for the flipped sides (`Contact.flipped`).
        distances: normalised keypoint distance of (the stated sides, the flipped sides).
        evidence: one line of plain words.
    """

    flipped: bool
    distances: tuple[float, float]
    evidence: str


@dataclass(frozen=True, kw_only=True)
class StatedContact:
    """A contact as an answer stated it, with the denoiser's verdict."""

    contact: Contact
    suggestion: Suggestion | None = None


@dataclass(frozen=True, kw_only=True)
class SheetContact:
    """One line of the contact sheet.

    Attributes:
        id: number within the pair, never given twice.
        original: as first stated. contact: as it stands; `.source` says who made it so.
        dropped: struck out, kept on the sheet.
        suggestion: the denoiser's verdict; None where there is none, or once an edit left the combinations it compared.
        edited_by: the curator who last changed this line; empty: untouched.
    """

    id: int
    original: Contact
    contact: Contact
    dropped: bool = False
    suggestion: Suggestion | None = None
    edited_by: str = ""

    @property
    def suggested(self) -> Contact | None:
        """What the denoiser would make of this line, if that differs from how it stands."""
        if self.suggestion is None:
            return None
        parts = self.original.flipped.parts if self.suggestion.flipped else self.original.parts
        return None if parts == self.contact.parts else replace(self.contact, parts=parts, source="denoiser")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Everything edits can change about a pair.

    Attributes:
        revision: number of edits so far; a save names the revision it started from.
        contacts: all lines, dropped ones too. swapped: the answer's two people stand exchanged.
        note: free text. answer: id of the answer that stands. decision: id of the decision that stands.
    """

    revision: int = 0
    contacts: tuple[SheetContact, ...] = ()
    swapped: bool = False
    note: str = ""
    answer: int | None = None
    decision: int | None = None
    next_id: int = 1

    @property
    def active(self) -> tuple[Contact, ...]:
        """The contacts that a fit uses: all that are not dropped."""
        return tuple(line.contact for line in self.contacts if not line.dropped)


@dataclass(frozen=True, kw_only=True)
class TakeAnswer:
    """Replace the models' contacts by those of an answer; lines that curators added stay."""

    answer: int
    kind: Literal["take_answer"] = field(default="take_answer", repr=False)


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Flip both sides of one contact: (L, R) <-> (R, L), (L, L) <-> (R, R)."""

    contact: int
    kind: Literal["flip"] = field(default="flip", repr=False)


@dataclass(frozen=True, kw_only=True)
class FlipSide:
    """Flip the side of one person in one contact."""

    contact: int
    person: Literal[0, 1]
    kind: Literal["flip_side"] = field(default="flip_side", repr=False)


@dataclass(frozen=True, kw_only=True)
class SetPart:
    """Name another part or side of one person in one contact."""

    contact: int
    person: Literal[0, 1]
    part: BodyPart
    kind: Literal["set_part"] = field(default="set_part", repr=False)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Flip the side of one person in every contact."""

    person: Literal[0, 1]
    kind: Literal["mirror"] = field(default="mirror", repr=False)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Exchange the two people in every contact and in the answer's descriptions."""

    kind: Literal["swap"] = field(default="swap", repr=False)


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Strike a contact out."""

    contact: int
    kind: Literal["drop"] = field(default="drop", repr=False)


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Take a struck-out contact back in."""

    contact: int
    kind: Literal["restore"] = field(default="restore", repr=False)


@dataclass(frozen=True, kw_only=True)
class Add:
    """Add a contact that no model stated."""

    parts: tuple[BodyPart, BodyPart]
    confidence: float = 1.0
    kind: Literal["add"] = field(default="add", repr=False)


@dataclass(frozen=True, kw_only=True)
class SetConfidence:
    """Change how much a contact counts, 0 to 1."""

    contact: int
    confidence: float
    kind: Literal["confidence"] = field(default="confidence", repr=False)


@dataclass(frozen=True, kw_only=True)
class TakeSuggestion:
    """Make one contact (None: every contact) what the denoiser suggests."""

    contact: int | None = None
    kind: Literal["take_suggestion"] = field(default="take_suggestion", repr=False)


@dataclass(frozen=True, kw_only=True)
class SetNote:
    """Replace the pair's note."""

    text: str
    kind: Literal["note"] = field(default="note", repr=False)


@dataclass(frozen=True, kw_only=True)
class Decide:
    """Let a stored decision stand; written by `Workspace.decide`."""

    decision: int
    kind: Literal["decide"] = field(default="decide", repr=False)


@dataclass(frozen=True, kw_only=True)
class Undo:
    """Take back the edit that made `revision`; written by `Workspace.undo`."""

    revision: int
    kind: Literal["undo"] = field(default="undo", repr=False)


Edit = (
    TakeAnswer | Flip | FlipSide | SetPart | Mirror | Swap | Drop | Restore | Add | SetConfidence | TakeSuggestion
    | SetNote | Decide | Undo
)  # fmt: skip
"""Any edit; `.kind` is its name in the database and in exports."""
