"""The library: every pair as a small picture, found by filters, looked through page by page, worked on many at once."""

from dataclasses import replace
from math import ceil
from typing import Literal
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from pydantic import Field
from starlette.datastructures import QueryParams

from app.bands import GAP_CM, REPROJECTION, Limit
from app.filters import address_of, filter_of, order_of
from app.pages.shell import Json, Sent, Site
from app.pages.thumbs import thumbnail
from app.queueing import Line
from app.responses import Id, pictured
from app.who import NAME_LENGTH
from apu.types import Decision, Verdict
from review_db import PairFilter, PairSummary, ViewRecord, bulk
from review_db.database import now

PAGE = 60
"""Pairs of a page: two screens of small pictures."""

MOST = 2000
"""So many chosen pairs at most are sent at once."""

BATCH = 50
"""So many of all that match are decided on in one request, which takes a part of a second: others save in between."""


class Verdicts(Sent):
    """A decision on many pairs."""

    verdict: Literal["accept", "reject", "flag"]
    reason: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=2000)


class Bulk(Verdicts):
    """On chosen ones, each at the revision that the page has shown."""

    pairs: dict[str, int] = Field(max_length=MOST)


class BulkMatching(Verdicts):
    """On the next of all pairs that pass an address's filter, as they were when the page was shown.

    Attributes:
        at: the time that the page's answer named. after: the last pair of the batch before.
    """

    address: str = Field(max_length=2000)
    at: str = Field(max_length=40)
    after: int = Field(default=0, ge=0, lt=2**53)


class Undo(Sent):
    """Take an action on many pairs back; `pairs` as its answer gave them."""

    pairs: dict[str, int] = Field(max_length=MOST)


class View(Sent):
    """Keep the filter of an address under a name."""

    name: str = Field(min_length=1, max_length=NAME_LENGTH)
    address: str = Field(max_length=2000)


def add_library(app: FastAPI, site: Site) -> None:
    """What the library's script asks for."""
    workspace = site.workspace

    @app.get("/library/pairs")
    def pairs(request: Request) -> Json:
        visitor, query, sight, at = site.visitor(request), request.query_params, site.sight(request), now()
        where, (order, seed) = _visible(filter_of(query), visitor.sees_names), order_of(query)
        total = sight.count(where)
        pages = max(1, ceil(total / PAGE))
        page = min(max(_page(query.get("page", "1")), 1), pages)
        lines = sight.pairs(where, order=order, seed=seed, skip=(page - 1) * PAGE, limit=PAGE)
        return {
            "total": total, "page": page, "pages": pages, "all": sight.count(), "at": at,
            "open": workspace.count(where, without=sight.blind),
            "queue": Line(where=where, order=order, seed=seed).query,
            "pairs": [
                _tile(workspace.reviews.look(sight.blind[line.id]).summary, names=True, blind=True)
                if line.id in sight.blind
                else _tile(line, names=visitor.sees_names)
                for line in lines
            ],
            "views": [_view(view) for view in workspace.views.list()] if visitor.sees_names else [],
            "reasons": list(site.workspace.settings.reasons),
        }  # fmt: skip

    @app.get("/library/facets")
    def facets(request: Request) -> Json:
        where = _visible(filter_of(request.query_params), site.visitor(request).sees_names)
        counts = site.sight(request).facets(where)
        common = sorted(counts["interaction"].items(), key=lambda item: (-item[1], item[0]))
        return {"state": counts["state"], "source": counts["source"], "interaction": dict(common[:200])}

    @app.get("/thumb/{pair}")
    def thumb(request: Request, pair: Id, alone: bool = False) -> Response:
        return pictured(
            request, thumbnail(site, workspace.reviews.seen_by(site.who(request), pair), alone=alone), "image/webp"
        )

    if site.read_only:
        return

    @app.post("/library/decide")
    def decide(request: Request, sent: Bulk) -> Json:
        curator = site.writer(request, sent)
        return _outcome(bulk.decide(workspace, _numbers(sent.pairs), _decision(sent, curator)))

    @app.post("/library/decide-matching")
    def decide_matching(request: Request, sent: BulkMatching) -> Json:
        curator = site.writer(request, sent)
        where = _visible(filter_of(QueryParams(sent.address)), site.visitor(request).sees_names)
        decision = _decision(sent, curator)
        return _outcome(bulk.decide_matching(workspace, where, decision, at=sent.at, after=sent.after, limit=BATCH))

    @app.post("/library/undo")
    def undo(request: Request, sent: Undo) -> Json:
        curator = site.writer(request, sent)
        return _outcome(bulk.undo(workspace, _numbers(sent.pairs), curator))

    @app.post("/library/view")
    def view(request: Request, sent: View) -> Json:
        curator, query = site.writer(request, sent), QueryParams(sent.address)
        order, seed = order_of(query)
        workspace.views.save(sent.name.strip(), curator, filter_of(query), order=order, seed=seed)
        return {"views": [_view(each) for each in workspace.views.list()]}


def _visible(where: PairFilter, names: bool) -> PairFilter:
    """A filter without the curator where nobody is to learn who they are."""
    return where if names else replace(where, curator=None)


def _tile(line: PairSummary, *, names: bool, blind: bool = False) -> Json:
    """A picture's words; `blind`: who looks is to judge the pair blindly, and `line` hides others' work."""
    fitted = line.gap_m is not None
    return {
        "id": line.id, "revision": line.revision, "image": line.image, "state": line.state, "source": line.source,
        "interaction": line.interaction, "simulated": line.simulated, "contacts": line.contacts,
        "disagrees": line.disagrees, "blind": blind, "decidedBy": line.decided_by if names else "",
        "updated": line.updated_at[:16],
        "error": _figure(line.fit_error, REPROJECTION, "") if fitted else None,
        "gap": _figure(100 * (line.gap_m or 0.0), GAP_CM, " cm") if fitted else None,
    }  # fmt: skip


def _figure(value: float, limit: Limit, unit: str) -> Json:
    return {"text": f"{value:.1f}{unit}", "band": limit.band(value).split()[0], "help": limit.words}


def _view(view: ViewRecord) -> Json:
    address = urlencode(address_of(view.where, view.order, view.seed))
    return {"name": view.name, "owner": view.owner, "address": address}


def _page(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _numbers(pairs: dict[str, int]) -> dict[int, int]:
    """JSON has only texts for names; ValueError where one is no number."""
    return {int(pair): revision for pair, revision in pairs.items()}


def _decision(sent: Verdicts, curator: str) -> Decision:
    return Decision(verdict=Verdict(sent.verdict), curator=curator, reason=sent.reason.strip(), note=sent.note.strip())


def _outcome(outcome: bulk.Outcome) -> Json:
    return {
        "done": {str(pair): revision for pair, revision in outcome.done.items()},
        "refused": outcome.refused,
        "last": outcome.last,
    }
