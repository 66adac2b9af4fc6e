"""Runs: propose, ask or fit over a selection, with its size, cost, progress, errors and a way to stop it."""

from collections.abc import Sequence
from typing import Literal

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.datastructures import QueryParams

from app.askers import OPENAI, available
from app.filters import filter_of
from app.pages.shell import Json, Sent, Site
from app.sight import Sight
from apu.ask import load_prompt
from apu.errors import InputError
from review_db import PairFilter
from review_db.runs import RunRecord, Runs

ERRORS = 200
"""So many failed items of a run are listed; the rest are counted."""

_CHARS_PER_TOKEN = 4
_PICTURES = 2 * 1100
_ANSWER = 500
"""A rough guess until answers of the model say better: two pictures at about 1,100 tokens each, and a short answer."""


Kind = Literal["propose", "ask", "fit"]


class Start(Sent):
    """A run over the pairs of an address, over pairs by id, or (propose) over all photographs."""

    kind: Kind
    pairs: list[int] | None = Field(default=None, max_length=100_000)
    address: str = Field(default="", max_length=2000)
    asker: Literal["keypoints", "openai"] = "keypoints"
    model: str = Field(default="", max_length=200)
    again: bool = False
    limit: int = Field(default=0, ge=0, le=10**12)


class Cancel(Sent):
    """Stop a run."""

    run: int


def add_runs(app: FastAPI, site: Site) -> None:
    """What the runs' script asks for."""
    workspace, runs = site.workspace, Runs(site.workspace.database)

    @app.get("/runs/data")
    def data(request: Request) -> Json:
        site.visitor(request)
        return {"runs": [_shown(runs, run) for run in runs.list()], "askers": list(available())}

    @app.get("/runs/selection")
    def selection(request: Request, kind: Kind, again: bool = False, model: str = "") -> Json:
        number = len(_chosen(site, site.sight(request), kind, filter_of(request.query_params), again=again))
        return {"total": number, "estimate": _estimate(runs, model, number) if kind == "ask" and model else None}

    @app.post("/runs/start")
    def start(request: Request, sent: Start) -> Json:
        curator = site.writer(request, sent)
        options: Json = {}
        if sent.kind == "ask":
            options = {"asker": sent.asker, "model": sent.model.strip(), "again": sent.again, "limit": sent.limit}
            _check(site, request, sent)
        pairs = sent.pairs
        if pairs is None:
            where = filter_of(QueryParams(sent.address))
            pairs = _chosen(site, site.sight(request), sent.kind, where, again=sent.again)
        if sent.kind == "propose":
            run = runs.start("propose", curator=curator, images=[image.id for image in workspace.images()])
        else:
            run = runs.start(sent.kind, curator=curator, pairs=pairs or [-1], options=options)
        return _shown(runs, runs.get(run))

    @app.post("/runs/cancel")
    def cancel(request: Request, sent: Cancel) -> Json:
        site.writer(request, sent)
        runs.cancel(sent.run)
        return _shown(runs, runs.get(sent.run))


def _check(site: Site, request: Request, sent: Start) -> None:
    """Asking a model costs money, so that an admin starts it.

    Raises:
        InputError: the visitor may not, or the model has no name.
    """
    if sent.asker != OPENAI:
        return
    if not site.visitor(request).may_set_up:
        raise InputError("asking a model costs money; ask an admin to start this run")
    if OPENAI not in available():
        raise InputError("no model can be asked here; set OPENAI_API_KEY or OPENAI_BASE_URL and start the server again")
    if not sent.model.strip():
        raise InputError("a model must be named, as its server calls it")


def _chosen(site: Site, sight: Sight, kind: str, where: PairFilter, *, again: bool) -> Sequence[int]:
    """The pairs of a filter for a step; without `again` those that it was not done for yet. For propose the images."""
    if kind == "propose":
        return [image.id for image in site.workspace.images()]
    asking = kind == "ask"
    return [
        line.id for line in sight.pairs(where)
        if again or (line.asker == "" if asking else line.state in ("asked",))
    ]  # fmt: skip


def _estimate(runs: Runs, model: str, number: int) -> Json:
    """Tokens that so many questions will take: as this model's answers here took, else a rough guess."""
    read, written, answers = runs.spent_per_question(model)
    if not answers:
        prompt = load_prompt()
        read, written = (len(prompt.template) + len(prompt.example_answer)) / _CHARS_PER_TOKEN + _PICTURES, _ANSWER
    return {"in": round(read * number), "out": round(written * number), "answers": answers}


def _shown(runs: Runs, run: RunRecord) -> Json:
    failed = runs.items(run.id, state="failed", limit=ERRORS) if run.failed else ()
    same = ("id", "kind", "curator", "state", "cancelling", "message", "total", "done", "failed")
    return {name: getattr(run, name) for name in same} | {
        "asker": run.options.get("asker", ""), "model": run.options.get("model", ""),
        "limit": run.options.get("limit", 0), "queued": run.queued_at[:16], "started": run.started_at[:19],
        "finished": run.finished_at[:19], "tokens": {"in": run.tokens_in, "out": run.tokens_out},
        "errors": [{"pair": item.pair, "name": item.name, "message": item.message} for item in failed],
    }  # fmt: skip
