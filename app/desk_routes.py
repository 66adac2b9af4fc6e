"""What the page asks the desk for, as plain requests with JSON: they take a fraction of a Gradio event's time."""

from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from app import queueing
from app.actions import NOTE_LENGTH, QUERY_LENGTH, Sent
from app.desk import LEASE_S, Desk, Visitor
from app.login import account_of
from app.responses import Id
from app.screen import Json, decision_words
from app.who import NAME_LENGTH, name_given
from apu.errors import StoreError
from apu.types import Verdict
from review_db import Workspace

LAST_DECISIONS = 10
"""So many can be taken back."""

Name = Annotated[str, Query(alias="as", max_length=NAME_LENGTH)]
"""Who asks, where there are no accounts; `curator` in an address is a filter."""

Number = Annotated[int | None, Query(ge=0, lt=2**53)]


class Claim(Sent):
    """The pairs that a page has open or keeps ready, and those that it has left."""

    pairs: list[int] = Field(default=[], max_length=4)
    left: list[int] = Field(default=[], max_length=8)


class Draft(Sent):
    """What somebody has typed and chosen on a pair and not saved."""

    pair: int
    revision: int
    note: str = Field(default="", max_length=NOTE_LENGTH)
    verdict: str = ""
    reason: str = Field(default="", max_length=200)


class View(Sent):
    """A queue under a name; without a query it is forgotten."""

    name: str = Field(max_length=NAME_LENGTH)
    query: str | None = Field(default=None, max_length=QUERY_LENGTH)


class Arrangement(Sent):
    """What the team agrees on; what is not given stays."""

    reasons: list[str] | None = Field(default=None, max_length=20)
    share: float | None = Field(default=None, strict=False)


def add_desk(app: FastAPI, desk: Desk, workspace: Workspace) -> None:
    """Actions and screens of the review page, its queue, and what it keeps for who works on it."""

    @app.post("/act")
    def act(request: Request, data: Annotated[dict[str, Any], Body()]) -> Json:
        return desk.act(data, account_of(request))

    @app.get("/screen")
    def screen(
        request: Request, pair: Number = None, review: Number = None, go: str = "open", curator: Name = ""
    ) -> Json:
        who = curator or name_given(request)
        asked: Json = {"name": go if go in ("next", "previous") else "open", "curator": who, "pair": pair}
        return desk.look(asked | {"review": review, "queue": request.url.query}, account_of(request))

    @app.get("/decisions")
    def decisions(request: Request, curator: Name = "") -> list[Json]:
        found = workspace.standing_decisions(_visitor(desk, request, curator).name, last=LAST_DECISIONS)
        return [
            {
                "pair": each.pair,
                "words": decision_words(each.decision),
                "note": each.decision.note,
                "time": f"{each.made_at[11:16]} UTC",
            }
            for each in found
        ]

    _add_queue(app, desk, workspace)
    _add_keeping(app, desk, workspace)
    _add_arrangement(app, desk, workspace)


def _add_queue(app: FastAPI, desk: Desk, workspace: Workspace) -> None:
    @app.get("/queue/lines")
    def lines(request: Request, start: Annotated[int, Query(ge=0)] = 0, limit: int = 100, curator: Name = "") -> Json:
        who = _visitor(desk, request, curator).name
        return queueing.lines(workspace, queueing.parse(request.url.query), who, start=start, limit=limit)

    @app.get("/queue/counts")
    def counts(request: Request, curator: Name = "") -> Json:
        who = _visitor(desk, request, curator).name
        return queueing.counts(workspace, queueing.parse(request.url.query), who)

    @app.post("/view")
    def view(request: Request, sent: View) -> Json:
        who = _visitor(desk, request, sent.curator, writes=True).name
        if sent.query is None:
            workspace.views.remove(sent.name, who)
        else:
            line = queueing.parse(sent.query)
            workspace.views.save(sent.name.strip(), who, line.where, **line.within)
        return {}


def _add_keeping(app: FastAPI, desk: Desk, workspace: Workspace) -> None:
    @app.post("/claim")
    def claim(request: Request, sent: Claim) -> Json:
        who, claims = _visitor(desk, request, sent.curator, writes=True).name, workspace.claims
        for pair in sent.left:
            claims.release(pair, who)
        asked = [pair for pair in sent.pairs if workspace.has_pair(pair)]
        lost = [pair for pair in asked if not claims.take(pair, who, lease_s=LEASE_S)]
        holders = {each.pair: each.curator for each in claims.held()} if lost else {}
        return {"held": {pair: holders.get(pair, "") for pair in lost}}

    @app.post("/fans/{pair}")
    def fans(request: Request, pair: Id, curator: Name = "") -> Response:
        desk.prepare(pair, request.url.query, _visitor(desk, request, curator, writes=True))
        return Response(status_code=204)

    @app.post("/draft")
    def draft(request: Request, sent: Draft) -> Json:
        who = _visitor(desk, request, sent.curator, writes=True).name
        verdict, standing = Verdict(sent.verdict) if sent.verdict else None, workspace.drafts.get(sent.pair, who)
        edits = standing.edits if standing else ()
        if sent.note or verdict or edits:
            workspace.drafts.save(
                sent.pair, who, revision=sent.revision, note=sent.note, verdict=verdict, reason=sent.reason, edits=edits
            )
        else:
            workspace.drafts.drop(sent.pair, who)
        return {}


def _add_arrangement(app: FastAPI, desk: Desk, workspace: Workspace) -> None:
    @app.get("/agreement")
    def agreement() -> Json:
        given = [each.verdict is not None for each in workspace.reviews.list()]
        curators = [
            {
                "first": first,
                "second": second,
                "reviews": each.reviews,
                "kappa": each.kappa,
                "f1": each.f1,
                "sideFlips": each.side_flips,
            }
            for (first, second), each in workspace.reviews.agreements().items()
        ]
        return {"given": sum(given), "waiting": len(given) - sum(given), "curators": curators}

    @app.post("/arrangement")
    def arrange(request: Request, sent: Arrangement) -> Response:
        if not _visitor(desk, request, sent.curator).may_arrange:
            return JSONResponse({"error": "Only an admin changes what holds for everybody."}, status_code=403)
        try:
            if sent.reasons is not None:
                workspace.settings.set_reasons(sent.reasons)
            if sent.share is not None:
                workspace.settings.set_review_share(sent.share)
                workspace.reviews.draw(sent.share)
        except ValueError as error:
            sentence = f"{error}."
            return JSONResponse({"error": sentence[0].upper() + sentence[1:]}, status_code=400)
        return JSONResponse({})


def _visitor(desk: Desk, request: Request, name: str, *, writes: bool = False) -> Visitor:
    found = desk.visitor(name or name_given(request), account_of(request))
    if writes and not found.may_write:
        raise StoreError("viewers may look, but not change anything")
    return found
