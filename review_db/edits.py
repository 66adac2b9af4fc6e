"""The typed edits of a pair's contact sheet and what each one does: pure functions, no database.

The history of a pair is the list of its edits. `apply` gives the next sheet, `rebuild` replays a whole history;
the stored sheet always equals the replayed one. An undo is an edit too: it names the one it takes back.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, TypeAdapter, ValidationError

from apu.types import BodyPart, Contact

Person = Literal[0, 1]

PROGRAM = "program"
"""Author of edits that no person made: corrected sides, exchanged people. A person may take them back."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The denoiser's verdict on one stated contact; it never acts by itself.

    Attributes:
        flipped: other sides are suggested.
        probability: of other sides than the stated ones being true.
        distances: between the parts in the image, in torso lengths: (as stated, otherwise); None where not visible.
        evidence: one line of plain words.
        flips: whose side is suggested to change, (of person 0, of person 1).
    """

    flipped: bool
    probability: float
    distances: tuple[float | None, float | None]
    evidence: str
    flips: tuple[bool, bool] = (True, True)

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must lie in [0, 1], got {self.probability}")
        visible = tuple(None if d is None or not isfinite(d) else float(d) for d in self.distances)
        object.__setattr__(self, "distances", visible)


@dataclass(frozen=True, kw_only=True)
class StatedContact:
    """A contact as an answer stated it, with the denoiser's verdict."""

    contact: Contact
    suggestion: Suggestion | None = None

    @property
    def doubt(self) -> float:
        """1 - confidence; with a verdict 1 - confidence x the probability of the stated sides."""
        right = 1.0 if self.suggestion is None else 1.0 - self.suggestion.probability
        return 1.0 - self.contact.confidence * right


Answers = Mapping[int, tuple[StatedContact, ...]]
"""What the answers of a pair stated, by answer id."""


@dataclass(frozen=True, kw_only=True)
class SheetContact:
    """One line of the contact sheet.

    Attributes:
        id: number within the pair, never given twice.
        original: as first stated. contact: as it stands; `.source` says who made it so, `.weight` is as stated.
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
        """The other sides, where the denoiser is for them and no curator has touched the line, who knows better."""
        if self.suggestion is None or not self.suggestion.flipped or self.dropped or self.edited_by:
            return None
        parts = tuple(
            part.flipped if flip else part
            for part, flip in zip(self.original.parts, self.suggestion.flips, strict=True)
        )  # fmt: skip
        return None if parts == self.contact.parts else replace(self.contact, parts=parts, source="denoiser")

    def _with(self, contact: Contact, by: str, *, source: str = "curator") -> "SheetContact":
        if contact == self.contact:
            return self
        return replace(self, contact=replace(contact, source=source), edited_by=by)

    def _with_part(self, person: Person, part: BodyPart, by: str) -> "SheetContact":
        """With another part of one person: the denoiser's verdict was on other combinations and goes."""
        parts = (part, self.contact.parts[1]) if person == 0 else (self.contact.parts[0], part)
        if parts == self.contact.parts:
            return self
        return replace(self._with(replace(self.contact, parts=parts), by), suggestion=None)


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


_SIDELESS = "what has neither left nor right stays as it is, so this changes nothing"


class _SheetEdit(ABC):
    """An edit of the sheet as a whole.

    Attributes:
        idle: what to say where it changes nothing.
    """

    idle: ClassVar[str] = "this changes nothing"

    @abstractmethod
    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        """The sheet after this edit by a curator."""

    def _born(self, answers: Answers) -> int:
        """How many contact numbers it gives out."""
        return 0


@dataclass(frozen=True, kw_only=True)
class _LineEdit(_SheetEdit):
    """An edit of one contact.

    Attributes:
        contact: its number on the sheet.
    """

    contact: int

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        if all(line.id != self.contact for line in sheet.contacts):
            raise ValueError(f"contact must be one of {[line.id for line in sheet.contacts]}, got {self.contact}")
        lines = tuple(self._on_line(line, by) if line.id == self.contact else line for line in sheet.contacts)
        return replace(sheet, contacts=lines)

    @abstractmethod
    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        """The line after this edit by a curator."""


@dataclass(frozen=True, kw_only=True)
class Flip(_LineEdit):
    """Flip both sides of one contact: (L, R) <-> (R, L), (L, L) <-> (R, R)."""

    idle: ClassVar[str] = _SIDELESS
    kind: Literal["flip"] = field(default="flip", repr=False)

    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        return line._with(line.contact.flipped, by)


@dataclass(frozen=True, kw_only=True)
class FlipSide(_LineEdit):
    """Flip the side of one person in one contact."""

    idle: ClassVar[str] = _SIDELESS
    person: Person
    kind: Literal["flip_side"] = field(default="flip_side", repr=False)

    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        return line._with_part(self.person, line.contact.parts[self.person].flipped, by)


@dataclass(frozen=True, kw_only=True)
class SetPart(_LineEdit):
    """Name another part or side of one person in one contact."""

    person: Person
    part: BodyPart
    kind: Literal["set_part"] = field(default="set_part", repr=False)

    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        return line._with_part(self.person, self.part, by)


@dataclass(frozen=True, kw_only=True)
class Drop(_LineEdit):
    """Strike a contact out; it stays on the sheet and can be restored."""

    kind: Literal["drop"] = field(default="drop", repr=False)

    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        return line if line.dropped else replace(line, dropped=True, edited_by=by)


@dataclass(frozen=True, kw_only=True)
class Restore(_LineEdit):
    """Take a struck-out contact back in."""

    kind: Literal["restore"] = field(default="restore", repr=False)

    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        return replace(line, dropped=False, edited_by=by) if line.dropped else line


@dataclass(frozen=True, kw_only=True)
class SetConfidence(_LineEdit):
    """Change how much a contact counts, 0 to 1."""

    confidence: float
    kind: Literal["confidence"] = field(default="confidence", repr=False)

    def _on_line(self, line: SheetContact, by: str) -> SheetContact:
        return line._with(replace(line.contact, confidence=self.confidence), by, source=line.contact.source)


@dataclass(frozen=True, kw_only=True)
class TakeSuggestion(_SheetEdit):
    """Make one contact (None: every contact) what the denoiser suggests."""

    idle: ClassVar[str] = "no other side is suggested, so this changes nothing"
    contact: int | None = None
    kind: Literal["take_suggestion"] = field(default="take_suggestion", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        return replace(
            sheet,
            contacts=tuple(
                line._with(line.suggested, by, source="denoiser")
                if self.contact in (None, line.id) and line.suggested is not None
                else line
                for line in sheet.contacts
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Mirror(_SheetEdit):
    """Flip the side of one person in every contact."""

    idle: ClassVar[str] = _SIDELESS
    person: Person
    kind: Literal["mirror"] = field(default="mirror", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        lines = (line._with_part(self.person, line.contact.parts[self.person].flipped, by) for line in sheet.contacts)
        return replace(sheet, contacts=tuple(lines))


@dataclass(frozen=True, kw_only=True)
class Swap(_SheetEdit):
    """Exchange the two people in every contact and in the answer's descriptions."""

    kind: Literal["swap"] = field(default="swap", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        lines = (replace(line._with(line.contact.swapped, by), suggestion=None) for line in sheet.contacts)
        return replace(sheet, contacts=tuple(lines), swapped=not sheet.swapped)


@dataclass(frozen=True, kw_only=True)
class TakeReading(_SheetEdit):
    """Let one of the fan's readings stand, as one edit.

    Attributes:
        exchanged: first exchange the two people, as `Swap`.
        flips: (contact, whose sides change then: of person 0, of person 1). drops: contacts to strike out.
    """

    exchanged: bool = False
    flips: tuple[tuple[int, bool, bool], ...] = ()
    drops: tuple[int, ...] = ()
    kind: Literal["take_reading"] = field(default="take_reading", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        before = sheet
        if self.exchanged:
            sheet = Swap()._on(sheet, by, answers)
        people: tuple[Person, Person] = (0, 1)
        for contact, *flips in self.flips:
            for person in people:
                if flips[person]:
                    sheet = FlipSide(contact=contact, person=person)._on(sheet, by, answers)
        for contact in self.drops:
            sheet = Drop(contact=contact)._on(sheet, by, answers)
        return _denoised(sheet, before) if by == PROGRAM else sheet


@dataclass(frozen=True, kw_only=True)
class Add(_SheetEdit):
    """Add a contact that no model stated."""

    parts: tuple[BodyPart, BodyPart]
    confidence: float = 1.0
    kind: Literal["add"] = field(default="add", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        contact = Contact(parts=self.parts, confidence=self.confidence, source="curator")
        line = SheetContact(id=sheet.next_id, original=contact, contact=contact, edited_by=by)
        return replace(sheet, contacts=(*sheet.contacts, line), next_id=sheet.next_id + 1)

    def _born(self, answers: Answers) -> int:
        return 1


@dataclass(frozen=True, kw_only=True)
class SetNote(_SheetEdit):
    """Replace the pair's note."""

    text: str
    kind: Literal["note"] = field(default="note", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        return replace(sheet, note=self.text)


@dataclass(frozen=True, kw_only=True)
class TakeAnswer(_SheetEdit):
    """Let an answer's contacts stand instead of an earlier answer's; contacts that curators added stay."""

    answer: int
    kind: Literal["take_answer"] = field(default="take_answer", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        if self.answer not in answers:
            raise ValueError(f"answer must be one of {sorted(answers)}, got {self.answer}")
        lines = tuple(
            SheetContact(id=number, original=stated.contact, contact=stated.contact, suggestion=stated.suggestion)
            for number, stated in enumerate(answers[self.answer], sheet.next_id)
        )
        added = tuple(line for line in sheet.contacts if line.original.source == "curator")
        next_id = sheet.next_id + len(lines)
        return replace(sheet, contacts=lines + added, swapped=False, answer=self.answer, next_id=next_id)

    def _born(self, answers: Answers) -> int:
        return len(answers[self.answer])


@dataclass(frozen=True, kw_only=True)
class TakeVersion(_SheetEdit):
    """Let the sheet stand that another machine came to (`review_db.merge`); its contacts get new numbers.

    Attributes:
        contacts: its lines, struck-out ones too. swapped, note: its own.
        entries: what led to it since the last common entry: (curator, time, entry as plain values).
    """

    contacts: tuple[SheetContact, ...]
    swapped: bool
    note: str
    entries: tuple[tuple[str, str, dict[str, Any]], ...]
    kind: Literal["take_version"] = field(default="take_version", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        lines = tuple(replace(line, id=number) for number, line in enumerate(self.contacts, sheet.next_id))
        return replace(sheet, contacts=lines, swapped=self.swapped, note=self.note, next_id=sheet.next_id + len(lines))

    def _born(self, answers: Answers) -> int:
        return len(self.contacts)


@dataclass(frozen=True, kw_only=True)
class Decide(_SheetEdit):
    """Let a stored decision stand; `Workspace.decide` writes it."""

    decision: int
    kind: Literal["decide"] = field(default="decide", repr=False)

    def _on(self, sheet: Sheet, by: str, answers: Answers) -> Sheet:
        return replace(sheet, decision=self.decision)


@dataclass(frozen=True, kw_only=True)
class Undo:
    """Take back the edit that made `revision`; `Workspace.undo` writes it."""

    revision: int
    kind: Literal["undo"] = field(default="undo", repr=False)


Edit = (
    Flip | FlipSide | SetPart | Drop | Restore | SetConfidence | TakeSuggestion | Mirror | Swap | TakeReading
    | Add | SetNote | TakeAnswer | TakeVersion
)  # fmt: skip
"""What a curator can do to a sheet; `.kind` is the edit's name in the database and in exports."""

Entry = Edit | Decide | Undo
"""What a history holds."""

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Discriminator("kind")])


def to_json(entry: Entry) -> dict[str, Any]:
    """An entry as plain values."""
    return _ENTRY.dump_python(entry, mode="json")


def from_json(values: Mapping[str, Any]) -> Entry:
    """The entry of plain values.

    Raises:
        ValueError: they are not one.
    """
    try:
        return _ENTRY.validate_python(values)
    except ValidationError as error:
        raise ValueError(f"edit must be one of this program's, got {values}") from error


def apply(sheet: Sheet, edit: Edit | Decide, *, curator: str = "", answers: Answers) -> Sheet:
    """The next sheet; a change of the active contacts reopens a decided pair.

    Raises:
        ValueError: the edit names something that is not there, or changes nothing.
    """
    after = edit._on(sheet, curator, answers)
    if after == sheet:
        raise ValueError(edit.idle)
    if after.active != sheet.active:
        after = replace(after, decision=None)
    return replace(after, revision=sheet.revision + 1)


History = Sequence[tuple[str, Entry]]
"""(curator, entry) from the first revision on."""


def undone(history: History) -> frozenset[int]:
    """The revisions that later entries took back."""
    return frozenset(entry.revision for _, entry in history if isinstance(entry, Undo))


def born(entry: Entry, answers: Answers) -> int:
    """How many contact numbers an entry gives out."""
    return 0 if isinstance(entry, Undo) else entry._born(answers)


def rebuild(history: History, answers: Answers) -> Sheet:
    """The sheet that a history leads to: all its edits except those taken back."""
    skip = undone(history)
    sheet = Sheet()
    for revision, (curator, entry) in enumerate(history, 1):
        if isinstance(entry, Undo):
            continue
        if revision in skip:
            # A number once given out is never given to another contact.
            sheet = replace(sheet, next_id=sheet.next_id + entry._born(answers))
        else:
            sheet = apply(sheet, entry, curator=curator, answers=answers)
    return replace(sheet, revision=len(history))


def last_standing(history: History) -> int | None:
    """The revision of the latest edit that still holds, which an undo takes back; None: there is none."""
    skip = undone(history)
    standing = (r for r in range(len(history), 0, -1) if r not in skip and not isinstance(history[r - 1][1], Undo))
    return next(standing, None)


def _denoised(sheet: Sheet, before: Sheet) -> Sheet:
    """What differs in contacts as the denoiser's word, which a fit weighs and may give up, and not a curator's."""
    changed = [new.contact != old.contact for new, old in zip(sheet.contacts, before.contacts, strict=True)]
    lines = (
        replace(line, contact=replace(line.contact, source="denoiser")) if differs else line
        for line, differs in zip(sheet.contacts, changed, strict=True)
    )
    return replace(sheet, contacts=tuple(lines))
