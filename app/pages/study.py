"""Studies: raters choose between two meshes of a pair without knowing whose they are; whoever set it up sees results.

Pictures are asked for by item and side, and drawn without contacts, so that nothing a rater gets names a method.
"""

import hashlib
from typing import Annotated, Literal

import cv2
import numpy as np
from fastapi import FastAPI, Query, Request, Response
from pydantic import Field
from starlette.datastructures import QueryParams

from app.filters import filter_of
from app.pages.shell import Json, Sent, Site, Visitor
from app.pages.thumbs import encoded, kept
from app.responses import Id, pictured
from app.who import NAME_LENGTH
from apu.errors import InputError
from apu.render import view
from review_db import PairState
from review_db.preference import ATTENTIVE, Results, results
from review_db.rates import Share
from review_db.runs import Runs
from review_db.studies import METHODS, Studies, StudyRecord, fitted_by

PICTURE = (420, 440)
Name = Annotated[str, Query(max_length=NAME_LENGTH)]


class Create(Sent):
    """A study over the pairs of an address."""

    name: str = Field(min_length=1, max_length=100)
    address: str = Field(default="", max_length=2000)
    methods: list[str] = Field(max_length=20)
    shared: int = Field(ge=0, le=1000)
    own: int = Field(ge=0, le=1000)
    checks: int = Field(ge=0, le=100)
    seed: int = Field(default=0, ge=0, lt=2**31)


class Rate(Sent):
    """Which side a rater prefers, and how long it took."""

    study: int
    item: int
    side: Literal["left", "right", "same"]
    seconds: float = Field(ge=0, le=86400)


class Which(Sent):
    """An action on a study."""

    study: int


def add_study(app: FastAPI, site: Site) -> None:
    """What the study's script asks for."""
    studies, runs = Studies(site.workspace.database), Runs(site.workspace.database)

    @app.get("/study/data")
    def data(request: Request, curator: Name = "") -> Json:
        visitor = site.visitor(request)
        rater = _rater(site, visitor, curator)
        return {
            "methods": [*METHODS, *fitted_by(site.workspace.database)] if visitor.may_set_up else [],
            "studies": [_study(studies, each, rater, visitor.may_set_up) for each in studies.list()],
        }

    @app.get("/study/next")
    def following(request: Request, study: int, curator: Name = "") -> Json:
        rater = _rater(site, _may_rate(site.visitor(request)), curator)
        item = studies.next(study, rater)
        done, total = studies.progress(study, rater)
        return {"item": item.id if item else None, "pair": item.pair if item else None, "done": done, "total": total}

    @app.get("/study/picture/{item}/{side}/{direction}")
    def side(
        request: Request, item: Id, side: Literal["left", "right"], direction: Literal["front", "side", "top"],
        curator: Name = "",
    ) -> Response:  # fmt: skip
        shown = studies.sides(item, _rater(site, _may_rate(site.visitor(request)), curator))
        method = shown.left if side == "left" else shown.right
        name = f"photo-{shown.pair}-study-{item}-{hashlib.sha256(method.encode()).hexdigest()[:12]}-{direction}.webp"
        return pictured(
            request, kept(site.scratch / name, lambda: _draw(site, studies, item, method, direction)), "image/webp"
        )

    @app.get("/study/results")
    def result(request: Request, study: int) -> Json:
        if not site.visitor(request).may_set_up:
            raise InputError("only who sets up studies sees their results")
        found = results(studies.ratings(study))
        return _results(found) | {"rows": [dict(row) for row in studies.rows(study)]}

    @app.post("/study/create")
    def create(request: Request, sent: Create) -> Json:
        owner = _setter(site, request, sent)
        state = PairState.ACCEPTED if "curated" in sent.methods else None
        where = filter_of(QueryParams(sent.address))
        pairs = [
            line.id for line in site.workspace.pairs(where)
            if line.asker and (state is None or line.state is state)
        ]  # fmt: skip
        study = studies.create(
            sent.name, owner, pairs, sent.methods, shared=sent.shared, own=sent.own, checks=sent.checks, seed=sent.seed
        )
        run = runs.start("study", curator=owner, pairs=studies.pairs(study), options={"study": study})
        return {"study": study, "run": run}

    @app.post("/study/close")
    def close(request: Request, sent: Which) -> Json:
        _setter(site, request, sent)
        studies.close(sent.study)
        return {}

    @app.post("/study/rate")
    def rate(request: Request, sent: Rate) -> Json:
        rater = site.writer(request, sent)
        studies.rate(sent.item, rater, sent.side, seconds=sent.seconds)
        return following(request, sent.study, rater)

    @app.post("/study/back")
    def back(request: Request, sent: Which) -> Json:
        rater = site.writer(request, sent)
        studies.take_back(sent.study, rater)
        return following(request, sent.study, rater)


def _rater(site: Site, visitor: Visitor, curator: str) -> str:
    return visitor.name or curator.strip() or site.curator


def _may_rate(visitor: Visitor) -> Visitor:
    if not visitor.may_write:
        raise InputError("viewers may look, but not rate; ask an admin for the role of a curator")
    return visitor


def _setter(site: Site, request: Request, sent: Sent) -> str:
    if not site.visitor(request).may_set_up:
        raise InputError("only an admin sets up and closes studies")
    return site.writer(request, sent)


def _draw(site: Site, studies: Studies, item: int, method: str, direction: Literal["front", "side", "top"]) -> bytes:
    params, body = studies.mesh(item, method)
    if body != site.pictures.body.name:
        raise InputError(f"this study was made with another body ({body}); serve it with that one")
    vertices = np.asarray(site.pictures.body.forward(params).vertices, np.float32)
    seen = view(vertices, site.pictures.body.faces, direction, PICTURE)
    return encoded(cv2.cvtColor(seen, cv2.COLOR_RGB2BGR), item)


def _study(studies: Studies, study: StudyRecord, rater: str, may_set_up: bool) -> Json:
    done, total = studies.progress(study.id, rater)
    same = ("id", "name", "owner", "pairs", "meshes", "meshes_needed", "items", "own", "ratings")
    values: Json = {name: getattr(study, name) for name in same}
    values |= {"made": study.made_at[:10], "closed": study.closed_at is not None, "done": done, "todo": total}
    return values | ({"methods": list(study.methods), "seed": study.seed} if may_set_up else {"methods": [], "seed": 0})


def _results(found: Results) -> Json:
    return {
        "attentive": ATTENTIVE, "fleiss": found.fleiss, "cohen": found.cohen,
        "methods": [
            {"name": each.name, "won": _share(each.won), "votes": _share(each.votes), "spread": each.spread}
            for each in found.methods
        ],
        "duels": [
            {"a": a, "b": b, "for_a": for_a, "for_b": for_b, "same": same,
             "share": _share(Share(count=for_a, of=for_a + for_b))}
            for (a, b), (for_a, for_b, same) in found.duels.items()
        ],
        "raters": [
            {"name": each.name, "ratings": each.ratings, "checks": _share(each.checks), "attentive": each.attentive}
            for each in found.raters
        ],
    }  # fmt: skip


def _share(share: Share) -> Json:
    low, high = share.interval or (None, None)
    return {"value": share.value, "low": low, "high": high, "count": share.count, "of": share.of}
