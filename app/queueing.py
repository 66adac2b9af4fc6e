"""The queue as an address names it: its filter and order, where a pair stands in it, its lines and its counts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from app.filters import ORDER_WORDS, STATE_WORDS, address_of, filter_of, order_of
from app.screen import Json
from app.sight import Sight
from review_db import Order, PairFilter, PairRecord, PairState, PairSummary, Workspace
from review_db.records import UNDECIDED

MOST_LINES = 200
"""Of a list in one answer."""

DECIDED = frozenset({PairState.ACCEPTED, PairState.REJECTED, PairState.FLAGGED})

_RANGES = {"confidence": "confidence", "gap": "gap_m", "error": "reprojection"}
"""In words -> field of the filter."""


def _usual(disagrees: bool | None, curator: str | None) -> frozenset[PairState] | None:
    """The states of a queue that names none: what nobody has decided on, unless it asks for decisions."""
    return None if disagrees or curator else UNDECIDED.states


@dataclass(frozen=True, kw_only=True)
class Line:
    """A queue: which pairs, and in which order."""

    where: PairFilter = UNDECIDED
    order: Order = Order.UNCERTAIN
    seed: int = 0

    @property
    def within(self) -> dict[str, Any]:
        """The arguments `order` and `seed` of the store's functions."""
        return {"order": self.order, "seed": self.seed}

    @property
    def to_do(self) -> PairFilter:
        """Those of the queue that wait for a decision; all of them where it was made to look at decided ones."""
        states = self.where.states
        left = UNDECIDED.states if states is None else states & (UNDECIDED.states or frozenset())
        return replace(self.where, states=left) if left else self.where

    @property
    def query(self) -> str:
        """The queue as the part of an address that `parse` reads; empty for the usual one."""
        where, states = self.where, [("state", "all")]
        if where.states == _usual(where.disagrees, where.curator):
            where, states = replace(where, states=None), []
        elif where.states is not None:
            states = []
        named = states + address_of(where, self.order, self.seed)
        plain = [pair for pair in named if pair != ("order", str(Order.UNCERTAIN))]
        return urlencode(plain + ([("order", str(Order.ID))] if self.order is Order.ID else []))

    @property
    def words(self) -> str:
        """The queue in a few words."""
        where = self.where
        parts: list[str] = []
        if where.disagrees:
            parts.append("disagreements")
        if where.states is None:
            parts.append("all pairs")
        elif where.states != UNDECIDED.states:
            parts.append(", ".join(STATE_WORDS[state] for state in PairState if state in where.states))
        elif not parts:
            parts.append("to do")
        parts += [text for text in (where.text, where.source, *sorted(where.interactions or ())) if text]
        parts += [f"by {where.curator}"] if where.curator else []
        parts += [name for name, field in _RANGES.items() if getattr(where, field)]
        parts += ["simulated" if where.simulated else "not simulated"] if where.simulated is not None else []
        return " · ".join((*parts, ORDER_WORDS[self.order]))


def parse(query: str) -> Line:
    """The queue that the query of an address names; names of other things in it are passed over.

    Raises:
        ValueError: it names no state, order or range that there is.
    """
    asked = QueryParams(query)
    every = "all" in asked.getlist("state")
    where = filter_of(QueryParams([each for each in asked.multi_items() if each != ("state", "all")]))
    order, seed = order_of(asked, default=Order.UNCERTAIN)
    if where.states is None and not every:
        where = replace(where, states=_usual(where.disagrees, where.curator))
    return Line(where=where, order=order, seed=seed)


def place(workspace: Workspace, record: PairRecord, line: Line, curator: str) -> Json:
    """Where a pair stands in the queue, how far that is worked off, and how its curator gets on."""
    sight = Sight.of(workspace, curator)
    found = sight.place(record.summary, line.where, **line.within)
    every = replace(line.where, states=None)
    whole = sight.count(every)
    decided = sight.count(replace(every, states=DECIDED))
    pace = workspace.pace(curator)
    return {
        "query": line.query, "words": line.words, "place": found.before + 1 if found.inside else None,
        "total": found.total, "whole": whole, "decided": decided, "today": pace.today, "hour": pace.hour,
        "seconds": pace.seconds, "previous": found.before > 0, "next": found.total > found.before + found.inside,
    }  # fmt: skip


def lines(workspace: Workspace, line: Line, curator: str, *, start: int, limit: int) -> Json:
    """So many lines of the queue from one on, with who holds them."""
    sight, limit = Sight.of(workspace, curator), min(limit, MOST_LINES)
    found = sight.pairs(line.where, limit=limit, skip=start, **line.within)
    others = {claim.pair: claim.curator for claim in workspace.claims.held() if claim.curator != curator}
    return {"start": start, "lines": [_line(each, others.get(each.id, ""), each.id in sight.blind) for each in found]}


def _line(pair: PairSummary, held: str, blind: bool) -> Json:
    """A line; of a pair that the curator is to judge blindly it gives nothing of the first judgement away."""
    fitted = pair.gap_m is not None and not blind
    return {
        "id": pair.id, "image": pair.image, "interaction": pair.interaction or "not named", "held": held,
        "state": "review" if blind else str(pair.state), "words": "second review" if blind else STATE_WORDS[pair.state],
        "confidence": round(1 - pair.uncertainty, 2), "error": round(pair.fit_error, 1) if fitted else None,
        "gap": round(100 * pair.gap_m, 1) if fitted and pair.gap_m is not None else None,
        "disagrees": pair.disagrees and not blind, "simulated": pair.simulated,
        "by": "" if blind else pair.decided_by,
    }  # fmt: skip


def counts(workspace: Workspace, line: Line, curator: str) -> Json:
    """The queue's length, what each choice of a filter would leave, saved views, what waits for the curator."""
    where, sight = line.where, Sight.of(workspace, curator)

    def choices(facet: str, **free: None) -> Mapping[str, int]:
        return sight.facets(replace(where, **free))[facet]

    states = choices("state", states=None)
    either = {
        "simulated": replace(where, simulated=True),
        "disagrees": replace(where, disagrees=True, states=None if where.states == UNDECIDED.states else where.states),
    }
    return {
        "query": line.query, "words": line.words, "order": str(line.order), "seed": line.seed,
        "total": sight.count(where), "all": sight.count(),
        "orders": [[str(order), words] for order, words in ORDER_WORDS.items()],
        "states": [[str(state), STATE_WORDS[state], states.get(state, 0)] for state in PairState],
        "sources": sorted(choices("source", source=None).items()),
        "interactions": _most(choices("interaction", interactions=None)),
        "curators": _most(choices("curator", curator=None)),
        **{name: sight.count(asked) for name, asked in either.items()},
        "views": [
            {"name": view.name, "owner": view.owner, "mine": view.owner == curator,
             "query": Line(where=view.where, order=view.order, seed=view.seed).query}
            for view in workspace.views.list()
        ],
        "skipped": workspace.claims.skipped(curator),
        "reviews": workspace.reviews.open_for(curator),
        "share": workspace.settings.review_share, "unsettled": sight.count(PairFilter(disagrees=True)),
    }  # fmt: skip


def _most(counted: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))
