"""What a curator's actions do: each is checked, carried out in the store, and answered with the page as it then is.

Nothing about a visitor is kept between actions: the pair, the revision, the queue and the curator's name travel with
each one.
"""

import getpass
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from app import fitting, queueing, second
from app.actions import EDITS, FITS, Action
from app.doubts import probably_wrong
from app.pictures import Pictures
from app.queueing import Line
from app.screen import NO_FAN, Json, job_screen, outdates, pair_screen
from app.sight import Sight
from apu.body.parts import PARTS
from apu.errors import ApuError, ConflictError, StoreError
from apu.types import Decision, Verdict
from review_db import FanRecord, PairRecord, PairSummary, SetNote, Workspace
from review_db.accounts import Account, Role
from review_db.records import UNDECIDED

NO_PAIRS = (
    "There are no pairs here yet. Bring in photographs with `apu import`, find the pairs in them with `apu propose`, "
    "then reload this page."
)
LEASE_S = 300.0
"""A page renews its claims every minute; one that was closed or lost leaves its pair to others after this time."""

_LOOKING = frozenset({"open", "refresh", "next", "previous"})
_PAST = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.FLAG: "flagged"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who acts; without accounts everybody may do everything."""

    name: str
    role: Role | None = None
    looks: bool = False
    """Only looks now, whatever they may do."""

    @property
    def may_write(self) -> bool:
        """Whether they may change anything."""
        return self.role is None or self.role.may_write

    @property
    def may_arrange(self) -> bool:
        """Whether they may change what holds for the whole team."""
        return self.role in (None, Role.ADMIN)


@dataclass(frozen=True, kw_only=True)
class _Next:
    """What to show after an action: a pair or a second review of one, and what to say."""

    pair: int | None
    notice: Json | None = None
    review: int | None = None


class Desk:
    """Carries out the page's actions on a workspace.

    Args:
        workspace: the store. pictures: draws its meshes. curator: name of who sits here unless they say otherwise.
        trouble: says in one sentence whether the fit worker is down. restart: starts it again.
        idle: what to do for fits to be made, where the server has no worker; else empty.
    """

    def __init__(
        self,
        workspace: Workspace,
        pictures: Pictures,
        *,
        curator: str,
        trouble: Callable[[], str],
        restart: Callable[[], None],
        idle: str = "",
    ) -> None:
        self._workspace, self._pictures, self._curator = workspace, pictures, curator
        self._trouble, self._restart, self._idle = trouble, restart, idle

    def visitor(self, name: str, account: Account | None) -> Visitor:
        """Who asks: the account where there is one, whatever name the page sends."""
        if account:
            return Visitor(name=account.name, role=account.role)
        return Visitor(name=name.strip() or self._curator)

    def act(self, data: dict[str, Any], account: Account | None = None) -> Json:
        """Carry out an action; returns the page as it then is."""
        return self._act(data, account, looking=False)

    def _act(self, data: dict[str, Any], account: Account | None, *, looking: bool) -> Json:
        action, line, notice = Action(name="open"), Line(), None
        shown = _Next(pair=None)
        try:
            action = Action.model_validate(data)
            shown = _Next(pair=action.pair, review=action.review)
            line = queueing.parse(action.queue)
            visitor = self.visitor(action.curator, account)
            self._check_role(action, visitor)
            shown = self._perform(action, line, replace(visitor, looks=looking))
        except ConflictError:
            pass  # the record carries the conflict and the page asks about it
        except ValidationError:
            notice = _error("The page sent something the server does not understand; reload it.")
        except (ApuError, ValueError) as error:
            notice = _error(_sentence(str(error)))
        except Exception:  # noqa: BLE001 - the page lives on, the log has the traceback
            _LOG.exception("action %s failed", action.name)
            notice = _error("The program failed at this and nothing was saved; the server's log says more.")
        if notice and shown.pair is None and action.name == "open":  # beside what is wrong with the address
            shown = replace(shown, pair=self._first())
        return self._show(shown, notice or shown.notice, line, self.visitor(action.curator, account))

    def look(self, data: dict[str, Any], account: Account | None = None) -> Json:
        """The page as somebody sees it who only looks: nothing is claimed."""
        return self._act(data, account, looking=True)

    def live(self, pair: int, visitor: Visitor) -> Json:
        """How the fits of a pair go: what a page that watches them asks for again and again."""
        if pair in self._workspace.reviews.taken_by(visitor.name):
            seen = self._workspace.reviews.seen_by(visitor.name, pair)
            still = {"job": None, "fan": NO_FAN, "worker": ""}
            return still | {"revision": seen.sheet.revision, "fits": len(seen.fits)}
        record, jobs = self._workspace.pair(pair), self._workspace.jobs
        job = fitting.latest(self._workspace, pair, "fit")
        fan = self._workspace.fans.get(pair)
        return {
            "job": job_screen(job, jobs.ahead(job.id) if job else (), outdated=outdates(record, job), idle=self._idle),
            "fan": self._fan(pair, fan),
            "revision": record.sheet.revision,
            "fits": len(record.fits),
            "worker": self._trouble(),
        }

    def prepare(self, pair: int, query: str, visitor: Visitor) -> None:
        """Let fans be fitted for the pair that a curator looks at, and for those that come next in their queue."""
        line, here = queueing.parse(query), self._workspace.pair(pair).summary
        following = self._workspace.pairs(line.to_do, **line.within, after=here, limit=fitting.AHEAD)
        fitting.prepare(self._workspace, (here, *following), curator=visitor.name)

    def _fan(self, pair: int, fan: FanRecord | None) -> Json:
        job = fitting.latest(self._workspace, pair, "fan")
        return fitting.fan_screen(fan, job, self._workspace.jobs.ahead(job.id) if job else (), self._idle)

    def _check_role(self, action: Action, visitor: Visitor) -> None:
        """Viewers only look; what another left to settle is theirs or an admin's.

        Raises:
            StoreError: the role is not enough.
        """
        if not visitor.may_write and action.name not in _LOOKING:
            raise StoreError("viewers may look, but not change anything; ask an admin for the role of a curator")
        if action.name == "settle" and not visitor.may_arrange and action.pair is not None:
            conflicts = self._workspace.pair(action.pair).conflicts
            if [each.curator for each in conflicts if each.id == action.conflict] != [visitor.name]:
                raise StoreError("only its author or an admin settles a change that was kept aside")

    def _perform(self, action: Action, line: Line, visitor: Visitor) -> _Next:
        if action.name in ("open", "refresh"):
            return self._open(action, line, visitor)
        if action.name == "review":
            return self._next_review(visitor, "Nobody asks for a second review that you could give.")
        if action.name == "undo-decisions":
            return self._undo_decisions(action.last, visitor)
        if action.pair is None:
            raise ValueError("there is no pair to work on")
        if action.review is not None:
            return self._review(action, action.pair, action.review, visitor)
        if action.name in ("next", "previous", "ahead"):
            return self._go(action.name, action.pair, line, visitor)
        if action.name == "skip":
            self._workspace.claims.skip(action.pair, visitor.name)
            onwards = self._onwards(action.pair, line, visitor, then=action.then)
            said = _done(f"Pair {action.pair} is put aside and comes back tomorrow, or from the list.")
            return _Next(pair=onwards or action.pair, notice=said)
        if action.name == "come-back":
            self._workspace.claims.come_back(action.pair, visitor.name)
            return _Next(pair=action.pair)
        if action.name == "decide":
            return self._decide(action, action.pair, line, visitor)
        self._change(action, action.pair, visitor)
        return _Next(pair=action.pair)

    def _change(self, action: Action, pair: int, visitor: Visitor) -> None:
        revision = action.revision or 0
        if action.name in EDITS:
            edit = EDITS[action.name](action)
            sheet = self._workspace.edit_contacts(pair, edit, curator=visitor.name, revision=revision)
            if isinstance(edit, SetNote):
                self._workspace.drafts.drop(pair, visitor.name)
            elif action.refit:
                fitting.start(self._workspace, pair, curator=visitor.name, revision=sheet.revision)
        elif action.name == "undo":
            self._workspace.undo(pair, curator=visitor.name, revision=revision)
        elif action.name == "settle":
            self._workspace.settle(action.conflict, apply=action.apply, curator=visitor.name)
        elif action.name == "take-contacts":
            self._take_contacts(pair, action.take, revision, visitor)
        elif action.name in FITS:
            FITS[action.name](self._workspace, action, visitor.name)
        elif action.name == "cancel":
            fitting.cancel(self._workspace, pair, asked_by=None if visitor.may_arrange else visitor.name)
        elif action.name == "restart-worker":
            self._restart()
        else:
            raise ValueError(f"there is no action {action.name!r}")

    # Where to go ----------------------------------------------------------------------------------------------------

    def _open(self, action: Action, line: Line, visitor: Visitor) -> _Next:
        """The review or the pair asked for, else the first of the queue, else the first of all."""
        if action.review is not None:
            blind = second.open_review(self._workspace, action.review, visitor.name)
            return _Next(pair=blind.record.summary.id, review=action.review)
        if action.pair is not None and self._workspace.has_pair(action.pair):
            return _Next(pair=action.pair)
        first = self._onwards(None, line, visitor) or self._first()
        if action.pair is None:
            return _Next(pair=first)
        missing = f"There is no pair {action.pair} in this workspace; this is the first one."
        return _Next(pair=first, notice=_error(missing))

    def _first(self) -> int | None:
        first = self._workspace.next_pair(None, order=Line().order)
        return first.id if first else None

    def _go(self, name: str, pair: int, line: Line, visitor: Visitor) -> _Next:
        if name == "previous":
            here = self._workspace.pair(pair).summary
            before = Sight.of(self._workspace, visitor.name).next_pair(here, line.where, backwards=True, **line.within)
            return _Next(pair=before.id if before else pair)
        onwards = self._onwards(pair, line, visitor, around=False)
        return _Next(pair=onwards if onwards is not None else pair)

    def _onwards(
        self, pair: int | None, line: Line, visitor: Visitor, *, then: int | None = None, around: bool = True
    ) -> int | None:
        """The next pair of the queue that waits for a decision and that nobody else holds, claimed for who may work.

        `then` was found so and preloaded. With `around`, the queue goes on from its beginning after its end.
        """
        if then is not None and self._workspace.claims.take(then, visitor.name, lease_s=LEASE_S):
            return then
        here = self._workspace.pair(pair).summary if pair is not None else None
        for after in (here, None) if here and around else (here,):
            found = self._free(after, line, visitor)
            if found and found.id != pair:
                return found.id
        return None

    def _free(self, after: PairSummary | None, line: Line, visitor: Visitor) -> PairSummary | None:
        sight = Sight.of(self._workspace, visitor.name)
        if visitor.looks or not visitor.may_write:
            return sight.next_pair(after, line.where, **line.within)
        without = sight.without(line.to_do, line.order)
        return self._workspace.claims.next(
            visitor.name, line.to_do, after=after, without=without, lease_s=LEASE_S, **line.within
        )

    # Decisions ------------------------------------------------------------------------------------------------------

    def _decide(self, action: Action, pair: int, line: Line, visitor: Visitor) -> _Next:
        """Store a decision and go on to the next pair without one."""
        decision, record = _decision(action, visitor), self._workspace.pair(pair)
        settling = record.summary.disagrees
        decide = self._workspace.reviews.resolve if settling else self._workspace.decide
        try:
            if decision.verdict is Verdict.ACCEPT:
                _check_fit(record)
            decide(pair, decision, revision=action.revision or 0)
        except (ApuError, ValueError):
            self._keep(decision, record, visitor)
            raise
        self._workspace.drafts.drop(pair, visitor.name)
        if not settling:
            self._workspace.reviews.draw(self._workspace.settings.review_share, pairs=[pair])
        onwards = self._onwards(pair, line, visitor, then=action.then)
        done = "settled: " if settling else ""
        rest = "" if onwards else " Nothing else waits in this queue."
        rest = rest if self._workspace.count(UNDECIDED) else " Every pair is decided."
        return _Next(
            pair=onwards or pair, notice=_done(f"Pair {pair} {done}{_PAST[decision.verdict]} and saved.{rest}")
        )

    def _keep(self, decision: Decision, record: PairRecord, visitor: Visitor) -> None:
        """What was refused stays a draft, so that nobody types or chooses it again."""
        verdict = None if decision.verdict is Verdict.ACCEPT else decision.verdict
        if verdict or decision.note != record.sheet.note:
            self._workspace.drafts.save(
                record.summary.id, visitor.name, revision=record.sheet.revision, note=decision.note, verdict=verdict,
                reason=decision.reason,
            )  # fmt: skip

    def _undo_decisions(self, last: int, visitor: Visitor) -> _Next:
        pairs = self._workspace.undo_decisions(visitor.name, last=last)
        if not pairs:
            raise ValueError("there is no decision of yours to take back")
        what = f"The decision on pair {pairs[0]} is" if len(pairs) == 1 else f"{len(pairs)} decisions are"
        return _Next(pair=pairs[-1], notice=_done(f"{what} taken back."))

    def _take_contacts(self, pair: int, review: int | None, revision: int, visitor: Visitor) -> None:
        """Make the contacts those of a review, edit by edit, each in the history."""
        given = next((each for each in self._workspace.reviews.list(pair=pair) if each.id == review), None)
        if given is None or given.verdict is None:
            raise ValueError("there is no such review of this pair")
        for edit in second.edits_to(self._workspace.pair(pair), given.contacts):
            revision = self._workspace.edit_contacts(pair, edit, curator=visitor.name, revision=revision).revision

    # Second reviews -------------------------------------------------------------------------------------------------

    def _review(self, action: Action, pair: int, review: int, visitor: Visitor) -> _Next:
        blind = second.open_review(self._workspace, review, visitor.name)
        if action.name == "decide":
            second.judge(self._workspace, blind, _decision(action, visitor))
            return self._next_review(visitor, "Your review is saved, and no other waits.")
        if action.name == "undo" and not blind.edits:
            raise ValueError("there is nothing to take back")
        if action.name != "undo" and action.name not in EDITS:
            raise ValueError("a second review is of the contacts and the decision alone")
        edit = EDITS[action.name](action) if action.name in EDITS else None
        second.change(self._workspace, blind, edit, visitor.name)
        return _Next(pair=pair, review=review)

    def _next_review(self, visitor: Visitor, none: str) -> _Next:
        found = self._workspace.reviews.next(visitor.name)
        if found:
            return _Next(pair=found.pair, review=found.id)
        return _Next(pair=self._onwards(None, Line(), visitor) or self._first(), notice=_done(none))

    # What is shown --------------------------------------------------------------------------------------------------

    def _show(self, shown: _Next, notice: Json | None, line: Line, visitor: Visitor) -> Json:
        screen: Json = {
            "serial": time.time_ns(), "workspace": self._workspace.path.name, "curator": visitor.name,
            "role": str(visitor.role or ""), "mayWrite": visitor.may_write, "mayArrange": visitor.may_arrange,
            "parts": list(PARTS), "reasons": list(self._workspace.settings.reasons), "notice": notice, "pair": None,
            "queue": {"total": 0, "query": line.query, "words": line.words}, "held": "", "draft": None, "review": None,
            "judgements": None, "empty": "",
        }  # fmt: skip
        if (pair := shown.pair) is None:
            return screen | {"empty": NO_PAIRS}
        try:
            review = shown.review or self._workspace.reviews.taken_by(visitor.name).get(pair)
            if review is not None:
                return screen | self._blind(review, line, visitor)
            return screen | self._pair(self._workspace.pair(pair), line, visitor)
        except (ApuError, ValueError) as error:
            return screen | {"notice": _error(_sentence(str(error)))}

    def _pair(self, record: PairRecord, line: Line, visitor: Visitor) -> Json:
        workspace, pair = self._workspace, record.summary.id
        terms = workspace.fit(record.fits[-1].id).terms if record.fits else {}
        job, fan, no_mesh = fitting.latest(workspace, pair, "fit"), workspace.fans.get(pair), self._no_mesh(record)
        draft = workspace.drafts.get(pair, visitor.name)
        begun = {"note": draft.note, "verdict": str(draft.verdict or ""), "reason": draft.reason} if draft else None
        disagreed = workspace.reviews.list(pair=pair) if record.summary.disagrees else ()
        others = {each.pair: each.curator for each in workspace.claims.held() if each.curator != visitor.name}
        return {
            "pair": pair_screen(
                record,
                job=job,
                worker=self._trouble(),
                idle=self._idle,
                no_mesh=no_mesh,
                terms=terms,
                ahead=workspace.jobs.ahead(job.id) if job else (),
                wrong={} if no_mesh else probably_wrong(record, fan, self._pictures.joints),
                fan=self._fan(pair, fan),
            ),
            "queue": queueing.place(workspace, record, line, visitor.name),
            "held": others.get(pair, ""),
            "draft": begun,
            "judgements": second.judgements(record, disagreed),
        }

    def _blind(self, review: int, line: Line, visitor: Visitor) -> Json:
        blind = second.open_review(self._workspace, review, visitor.name)
        terms = self._workspace.fit(blind.record.fits[-1].id).terms if blind.record.fits else {}
        pair = pair_screen(blind.record, job=None, worker="", no_mesh=self._no_mesh(blind.record), terms=terms)
        pair |= {"canUndo": bool(blind.edits), "saved": ""}
        queue = queueing.place(self._workspace, blind.record, line, visitor.name) | {"previous": False, "next": False}
        waiting = self._workspace.reviews.open_for(visitor.name)
        return {"pair": pair, "queue": queue, "review": {"id": review, "waiting": waiting}}

    def _no_mesh(self, record: PairRecord) -> str:
        """Why a pair has no meshes to show; empty where it has."""
        try:
            self._pictures.check(record)
        except (ApuError, ValueError) as error:
            return _sentence(str(error))
        return ""


def default_curator() -> str:
    """The name of whoever runs the server, until accounts exist."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "curator"


def _decision(action: Action, visitor: Visitor) -> Decision:
    return Decision(
        verdict=Verdict(action.verdict), curator=visitor.name, reason=action.reason.strip(), note=action.note.strip()
    )


def _check_fit(record: PairRecord) -> None:
    """Make sure that the latest fit is one of the contacts as they stand."""
    if not record.fits:
        raise ValueError("fit this pair first: accepting keeps its latest fit")
    if record.fits[-1].stale:
        raise ValueError("refit first: the contacts have changed since this fit")


def _done(text: str) -> Json:
    return {"kind": "done", "text": text}


def _error(text: str) -> Json:
    return {"kind": "error", "text": text}


def _sentence(text: str) -> str:
    text = text.strip() or "Something is wrong"
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
