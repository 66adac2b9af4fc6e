"""One pair to read: its history in words, every answer, fit, decision and review, and its meshes from all sides."""

from dataclasses import replace

from fastapi import FastAPI, Request

from app.meshes import crop_box
from app.pages.history import events, words_of
from app.pages.shell import Json, Site
from app.screen import figures, fit_list, pictures_of
from apu.errors import ApuError
from review_db import AnswerRecord, PairRecord, PairSummary, ReviewRecord
from review_db.records import DecisionRecord


def add_pair(app: FastAPI, site: Site) -> None:
    """What the pair page's script asks for."""

    @app.get("/pair/data")
    def data(request: Request, id: int) -> Json:
        visitor, workspace = site.visitor(request), site.workspace
        record = workspace.reviews.seen_by(site.who(request), id)
        blind = id in workspace.reviews.taken_by(site.who(request))
        reviews = [] if blind else [each for each in workspace.reviews.list(pair=id) if each.verdict]
        neighbours = {
            name: found.id if (found := workspace.next_pair(record.summary, backwards=name == "previous")) else None
            for name in ("previous", "next")
        }
        return {"blind": blind, **_pair(site, record, reviews, names=visitor.sees_names), **neighbours}


def _pair(site: Site, record: PairRecord, reviews: list[ReviewRecord], *, names: bool) -> Json:
    summary, (x0, y0, x1, y1) = record.summary, crop_box(record.observation)
    return {
        **_summary(summary),
        "size": list(record.image.size),
        "crop": dict(zip(("x", "y", "width", "height"), (x0, y0, x1 - x0, y1 - y0), strict=True)),
        "sha256": record.image.sha256,
        "inputs": [f"{each.kind}: {each.name}" for each in record.image.inputs],
        "note": record.sheet.note,
        "contacts": [
            {
                "sides": [str(part.side) for part in line.contact.parts],
                "parts": [part.name for part in line.contact.parts],
                "confidence": line.contact.confidence, "dropped": line.dropped, "source": line.contact.source,
                "by": (line.edited_by if names else "a curator") if line.edited_by else "",
            }
            for line in record.sheet.contacts
        ],
        "answers": [_answer(answer, stands=answer == record.answer) for answer in record.answers],
        "fits": _fits(site, record, names=names),
        "decisions": [_decision(each, names=names) for each in record.decisions],
        "reviews": [_review(each, names=names) for each in reviews],
        "events": events(record, names=names),
    }  # fmt: skip


def _summary(summary: PairSummary) -> Json:
    same = ("id", "image", "state", "source", "action", "simulated", "interaction", "disagrees", "revision")
    return {name: getattr(summary, name) for name in same}


def _answer(answer: AnswerRecord, *, stands: bool) -> Json:
    said = answer.answer
    return {
        "stands": stands, "model": answer.model or answer.asker, "asker": answer.asker, "prompt": answer.prompt_id,
        "at": answer.asked_at[:16], "seconds": answer.seconds, "status": answer.status, "message": answer.message,
        "raw": answer.raw[:20_000], "interaction": said.interaction if said else "",
        "people": list(said.people) if said else [], "orientation": said.orientation if said else "",
        "contacts": [
            {"words": words_of(each.contact), "confidence": each.contact.confidence,
             "doubt": each.suggestion.evidence if each.suggestion and each.suggestion.flipped else ""}
            for each in answer.stated
        ],
    }  # fmt: skip


def _fits(site: Site, record: PairRecord, *, names: bool) -> list[Json]:
    """The start and every fit, with pictures where meshes can be shown."""
    try:
        site.pictures.check(record)
    except (ApuError, ValueError) as reason:
        missing = {"id": 0, "number": 0, "words": str(reason), "figures": figures(None), "stale": False}
        return [missing | pictures_of(None)]
    unnamed = record if names else replace(record, fits=tuple(replace(fit, curator="") for fit in record.fits))
    return fit_list(unnamed)


def _decision(each: DecisionRecord, *, names: bool) -> Json:
    decision = each.decision
    return {
        "verdict": decision.verdict, "reason": decision.reason, "note": decision.note, "at": each.made_at[:16],
        "who": decision.curator if names else "a curator", "stands": each.stands,
    }  # fmt: skip


def _review(each: ReviewRecord, *, names: bool) -> Json:
    return {
        "verdict": each.verdict, "reason": each.reason, "note": each.note, "at": (each.judged_at or "")[:16],
        "who": each.curator if names else "a curator", "settled": each.settled_at is not None,
        "contacts": [words_of(contact) for contact in each.contacts],
    }  # fmt: skip
