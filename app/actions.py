"""What the page can ask for, as it is sent: every field is checked before anything is done."""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app import fitting
from app.who import NAME_LENGTH
from apu.body.parts import PARTS
from apu.types import BodyPart, Side
from review_db import Add, Drop, Edit, Flip, FlipSide, Mirror, Restore, SetNote, Swap, TakeSuggestion, Workspace

QUERY_LENGTH = 4000
NOTE_LENGTH = 2000


class Sent(BaseModel):
    """What a page sends to change something: strict, and nothing more than what is expected; requests extend it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    curator: str = Field(default="", max_length=NAME_LENGTH)


class Part(BaseModel):
    """A body part as the pickers name it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    side: Literal["left", "right", "both"]

    def body_part(self) -> BodyPart:
        """As the method's type."""
        if self.name not in PARTS:
            raise ValueError(f"body part must be one of {', '.join(PARTS)}; got {self.name!r}")
        return BodyPart(name=self.name, side=Side(self.side))


class Action(Sent):
    """One action of the page; which fields matter depends on `name`.

    Attributes:
        queue: the queue that is worked off, as `app.queueing.parse` reads it.
        then: the pair to show after a decision.
        review: the second review that is being given. take: the one whose contacts are to stand.
        last: of how many of one's own decisions. alternative: of the fan, to be taken. refit: after an edit.
    """

    name: str
    pair: int | None = None
    revision: int | None = None
    contact: int | None = None
    person: Literal[0, 1] = 0
    parts: tuple[Part, Part] | None = Field(default=None, strict=False)
    verdict: str = ""
    reason: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=NOTE_LENGTH)
    conflict: int = 0
    apply: bool = False
    queue: str = Field(default="", max_length=QUERY_LENGTH)
    then: int | None = None
    review: int | None = None
    take: int | None = None
    last: int = Field(default=1, ge=1, le=10)
    alternative: int = 0
    refit: bool = False


def _added(action: Action) -> Edit:
    if action.parts is None:
        raise ValueError("parts must name a part of both people")
    a, b = action.parts
    return Add(parts=(a.body_part(), b.body_part()))


EDITS: dict[str, Callable[[Action], Edit]] = {
    "flip": lambda action: Flip(contact=action.contact or 0),
    "flip-side": lambda action: FlipSide(contact=action.contact or 0, person=action.person),
    "drop": lambda action: Drop(contact=action.contact or 0),
    "restore": lambda action: Restore(contact=action.contact or 0),
    "take": lambda action: TakeSuggestion(contact=action.contact),
    "mirror": lambda action: Mirror(person=action.person),
    "swap": lambda action: Swap(),
    "add": _added,
    "note": lambda action: SetNote(text=action.note),
}
"""Actions that edit the contact sheet, or its note."""

FITS: dict[str, Callable[[Workspace, Action, str], object]] = {
    "fit": lambda workspace, action, curator: fitting.start(
        workspace, action.pair or 0, curator=curator, revision=action.revision or 0
    ),
    "afresh": lambda workspace, action, curator: fitting.start(
        workspace, action.pair or 0, curator=curator, revision=action.revision or 0, afresh=True
    ),
    "fan": lambda workspace, action, curator: fitting.start_fan(
        workspace, action.pair or 0, curator=curator, revision=action.revision or 0
    ),
    "pick": lambda workspace, action, curator: workspace.fans.take(
        action.pair or 0, action.alternative, curator=curator, revision=action.revision or 0
    ),
}
"""Actions that ask for fits, or take one."""
