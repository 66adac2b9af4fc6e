"""What a curator's actions do: each is checked, carried out in the store, and answered with the page as it then is.

Nothing about a visitor is kept between actions: the pair, the revision and the curator's name travel with each one.
"""

import getpass
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.pictures import Pictures
from app.screen import REASONS, Json, pair_screen
from apu.body.parts import PARTS
from apu.errors import ApuError, ConflictError, StoreError
from apu.types import BodyPart, Decision, Side, Verdict
from review_db import (
    Add,
    Drop,
    Edit,
    Flip,
    FlipSide,
    JobRecord,
    Mirror,
    Order,
    PairFilter,
    PairRecord,
    PairState,
    PairSummary,
    Restore,
    SetNote,
    Swap,
    TakeSuggestion,
    Workspace,
)
from review_db.accounts import Account, Role
from review_db.records import EVERY_PAIR

ORDER = Order.UNCERTAIN
NO_PAIRS = (
    "There are no pairs here yet. Bring in photographs with `apu import`, find the pairs in them with `apu propose`, "
    "then reload this page."
)
_DECIDED = frozenset({PairState.ACCEPTED, PairState.REJECTED, PairState.FLAGGED})
_LOOKING = frozenset({"open", "refresh", "next", "previous"})
_OPEN = PairFilter(states=frozenset(PairState) - _DECIDED)
_LOG = logging.getLogger(__name__)


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


class Action(BaseModel):
    """One action of the page; which fields matter depends on `name`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    pair: int | None = None
    revision: int | None = None
    curator: str = Field(default="", max_length=60)
    contact: int | None = None
    person: Literal[0, 1] = 0
    parts: tuple[Part, Part] | None = Field(default=None, strict=False)
    verdict: str = ""
    reason: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=2000)
    conflict: int = 0
    apply: bool = False


def _added(action: Action) -> Edit:
    if action.parts is None:
        raise ValueError("parts must name a part of both people")
    a, b = action.parts
    return Add(parts=(a.body_part(), b.body_part()))


_EDITS: dict[str, Callable[[Action], Edit]] = {
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


class Desk:
    """Carries out the page's actions on a workspace.

    Args:
        workspace: the store. pictures: draws its meshes. curator: name of who sits here unless they say otherwise.
        trouble: says in one sentence whether the fit worker is down.
    """

    def __init__(self, workspace: Workspace, pictures: Pictures, *, curator: str, trouble: Callable[[], str]) -> None:
        self._workspace, self._pictures, self._curator, self._trouble = workspace, pictures, curator, trouble

    def act(self, data: dict[str, Any], account: Account | None = None) -> Json:
        """Carry out an action; returns the page as it then is. An account's name stands for any that the page sends."""
        action, pair, notice = Action(name="open"), None, None
        try:
            action = Action.model_validate(data)
            pair = action.pair
            if account:
                action.curator = account.name
                self._check_role(action, account)
            pair, notice = self._perform(action, action.curator.strip() or self._curator)
        except ConflictError:
            pass  # the record carries the conflict and the page asks about it
        except ValidationError:
            notice = _error("The page sent something the server does not understand; reload it.")
        except (ApuError, ValueError) as error:
            notice = _error(_sentence(str(error)))
        except Exception:  # noqa: BLE001 - the page lives on, the log has the traceback
            _LOG.exception("action %s failed", action.name)
            notice = _error("The program failed at this and nothing was saved; the server's log says more.")
        screen = self._show(pair, notice, action)
        return screen | {"curator": account.name, "role": account.role} if account else screen

    def live(self, pair: int) -> JobRecord | None:
        """The latest fit job of a pair, in whatever state."""
        jobs = self._workspace.jobs.list(pair=pair, states=("queued", "running", "done", "failed", "cancelled"))
        return next((job for job in reversed(jobs) if job.kind == "fit"), None)

    def _check_role(self, action: Action, account: Account) -> None:
        """Viewers only look; what another left to settle is theirs or an admin's.

        Raises:
            StoreError: the role is not enough.
        """
        if not account.role.may_write and action.name not in _LOOKING:
            raise StoreError("viewers may look, but not change anything; ask an admin for the role of a curator")
        if action.name == "settle" and account.role is not Role.ADMIN and action.pair is not None:
            conflicts = self._workspace.pair(action.pair).conflicts
            if [each.curator for each in conflicts if each.id == action.conflict] != [account.name]:
                raise StoreError("only its author or an admin settles a change that was kept aside")

    def _perform(self, action: Action, curator: str) -> tuple[int | None, Json | None]:
        """The pair to show next, and what to say."""
        if action.name in ("open", "refresh"):
            return self._open(action.pair)
        if action.pair is None:
            raise ValueError("there is no pair to work on")
        if action.name in ("next", "previous"):
            summary = self._neighbour(action.pair, backwards=action.name == "previous")
            return (summary.id if summary else action.pair), None
        if action.name == "decide":
            return self._decide(action, curator)
        self._change(action, action.pair, curator)
        return action.pair, None

    def _change(self, action: Action, pair: int, curator: str) -> None:
        revision = action.revision or 0
        if action.name in _EDITS:
            self._workspace.edit_contacts(pair, _EDITS[action.name](action), curator=curator, revision=revision)
        elif action.name == "undo":
            self._workspace.undo(pair, curator=curator, revision=revision)
        elif action.name == "settle":
            self._workspace.settle(action.conflict, apply=action.apply, curator=curator)
        elif action.name == "fit":
            self._workspace.jobs.queue("fit", pair, revision=revision, curator=curator)
        elif action.name == "cancel":
            for job in self._workspace.jobs.list(pair=pair):
                self._workspace.jobs.cancel(job.id)
        else:
            raise ValueError(f"there is no action {action.name!r}")

    def _open(self, pair: int | None) -> tuple[int | None, Json | None]:
        """The pair asked for, else the first that nobody has decided on, else the first."""
        if pair is not None:
            try:
                self._workspace.pair(pair)
            except ValueError:
                notice = _error(f"There is no pair {pair} in this workspace; this is the first one.")
                return self._first(), notice
            return pair, None
        return self._first(), None

    def _first(self) -> int | None:
        first = self._workspace.next_pair(None, _OPEN, order=ORDER) or self._workspace.next_pair(None, order=ORDER)
        return first.id if first else None

    def _neighbour(self, pair: int, *, backwards: bool = False, where: PairFilter = EVERY_PAIR) -> PairSummary | None:
        summary = self._workspace.pair(pair).summary
        return self._workspace.next_pair(summary, where, order=ORDER, backwards=backwards)

    def _decide(self, action: Action, curator: str) -> tuple[int | None, Json]:
        """Store a decision and go on to the next pair without one."""
        pair = action.pair or 0
        decision = Decision(
            verdict=Verdict(action.verdict), curator=curator, reason=action.reason.strip(), note=action.note.strip()
        )
        if decision.verdict is Verdict.ACCEPT:
            _check_fit(self._workspace.pair(pair))
        self._workspace.decide(pair, decision, revision=action.revision or 0)
        done = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.FLAG: "flagged"}[decision.verdict]
        following = self._neighbour(pair, where=_OPEN) or self._workspace.next_pair(None, _OPEN, order=ORDER)
        rest = "" if following else " Every pair is decided."
        return following.id if following else pair, {"kind": "done", "text": f"Pair {pair} {done} and saved.{rest}"}

    def _show(self, pair: int | None, notice: Json | None, action: Action) -> Json:
        screen: Json = {
            "serial": time.time_ns(), "workspace": self._workspace.path.name, "curator": self._curator, "role": "",
            "parts": list(PARTS), "reasons": list(REASONS), "notice": notice, "pair": None, "queue": {"total": 0},
            "empty": "",
        }  # fmt: skip
        if pair is None:
            return screen | {"empty": NO_PAIRS}
        try:
            record = self._workspace.pair(pair)
            terms = self._workspace.fit(record.fits[-1].id).terms if record.fits else {}
            screen["pair"] = pair_screen(
                record, job=self.live(pair), worker=self._trouble(), no_mesh=self._no_mesh(record), terms=terms
            )
            screen["queue"] = self._queue(record, action.curator or self._curator)
        except (ApuError, ValueError) as error:
            screen["notice"] = _error(_sentence(str(error)))
        return screen

    def _no_mesh(self, record: PairRecord) -> str:
        """Why a pair has no meshes to show; empty where it has."""
        try:
            self._pictures.check(record)
        except (ApuError, ValueError) as error:
            return _sentence(str(error))
        return ""

    def _queue(self, record: PairRecord, curator: str) -> Json:
        workspace, here = self._workspace, record.summary
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).isoformat()
        return {
            "place": workspace.position(here, order=ORDER) + 1,
            "total": workspace.count(),
            "decided": workspace.count(PairFilter(states=_DECIDED)),
            "today": len(workspace.decisions(curator=curator, since=today)),
            "previous": workspace.next_pair(here, order=ORDER, backwards=True) is not None,
            "next": workspace.next_pair(here, order=ORDER) is not None,
        }


def default_curator() -> str:
    """The name of whoever runs the server, until accounts exist."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "curator"


def _check_fit(record: PairRecord) -> None:
    """Make sure that the latest fit is one of the contacts as they stand."""
    if not record.fits:
        raise ValueError("fit this pair first: accepting keeps its latest fit")
    if record.fits[-1].stale:
        raise ValueError("refit first: the contacts have changed since this fit")


def _error(text: str) -> Json:
    return {"kind": "error", "text": text}


def _sentence(text: str) -> str:
    text = text.strip() or "Something is wrong"
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
