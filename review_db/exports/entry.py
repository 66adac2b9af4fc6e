"""One pair as the dictionary of the paper's data file: everything about it, in plain values.

Answers, fits and decisions are numbered within the pair, so that a workspace that took the pair over by
`review_db.imports` gives the same dictionary.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from review_db.edits import to_json
from review_db.records import AnswerRecord, DecisionRecord, EditRecord, FitRecord, PairRecord
from review_db.sheets import CONTACT, CONTACTS, STATED

Name = Callable[[str], str]
"""A curator's name as the export shows it."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What belongs to a pair beside its record: names of its files, and judged second reviews as plain values."""

    observation: str
    fits: Mapping[int, str]
    reviews: Sequence[Mapping[str, Any]] = ()


def fit_to_export(record: PairRecord) -> FitRecord | None:
    """The decided fit, else the latest; None: there is none."""
    decided = record.decision.decision.fit_id if record.decision else None
    fits = [fit for fit in record.fits if decided in (None, fit.id)]
    return fits[-1] if fits else None


def entry(record: PairRecord, beside: Beside, name: Name = str) -> dict[str, Any]:
    """A pair's dictionary; `name` changes curators' names."""
    numbers = _Numbers(record)
    chosen, observation = fit_to_export(record), record.observation
    fits = [_fit(fit, numbers, beside, name) for fit in record.fits]
    answers = [_answer(answer, numbers) for answer in record.answers]
    decisions = [_decision(decision, numbers, name) for decision in record.decisions]
    standing = numbers.answers.get(record.sheet.answer)
    return {
        "id": record.summary.id,
        "image": {"name": record.image.name, "sha256": record.image.sha256, "size": list(record.image.size)}
        | {"source": record.image.source, "action": record.image.action},
        "source": observation.source,
        "simulated": observation.simulated,
        "action": observation.action,
        "boxes": observation.boxes.tolist(),
        "keypoints": observation.keypoints.tolist(),
        "observation": beside.observation,
        "parameters": f"{record.summary.id}.npz" if chosen else None,
        "body": chosen.body if chosen else None,
        "interaction": record.summary.interaction,
        "answer": next((answer for answer in answers if answer["number"] == standing), None),
        "other_answers": [answer for answer in answers if answer["number"] != standing],
        "people_swapped": record.sheet.swapped,
        "contacts": [
            {
                "id": line.id,
                "contact": CONTACT.dump_python(line.contact, mode="json"),
                "original": CONTACT.dump_python(line.original, mode="json"),
                "dropped": line.dropped,
                "edited_by": name(line.edited_by) if line.edited_by else "",
            }
            for line in record.sheet.contacts
        ],
        "note": record.sheet.note,
        "history": [_history(step, numbers, name) for step in record.history],
        "fit": next((fit for fit in fits if chosen and fit["number"] == numbers.fits[chosen.id]), None),
        "other_fits": [fit for fit in fits if chosen and fit["number"] != numbers.fits[chosen.id]],
        "state": record.summary.state.value,
        "decision": next((decision for decision in decisions if decision["stands"]), None),
        "decisions": decisions,
        "reviews": [_review(review, numbers, name) for review in beside.reviews],
        "updated_at": record.summary.updated_at,
    }


class _Numbers:
    """Places within the pair, from 1, by id in the workspace."""

    def __init__(self, record: PairRecord) -> None:
        self.answers = _count(record.answers)
        self.fits = _count(record.fits)
        self.decisions = _count(record.decisions)

    def edit(self, edit: Mapping[str, Any]) -> dict[str, Any]:
        """An edit as plain values, with these numbers for ids."""
        if edit["kind"] == "take_answer":
            return {**edit, "answer": self.answers[edit["answer"]]}
        if edit["kind"] == "decide":
            return {**edit, "decision": self.decisions[edit["decision"]]}
        return dict(edit)


def _count(records: Sequence[AnswerRecord] | Sequence[FitRecord] | Sequence[DecisionRecord]) -> dict[int | None, int]:
    return {id_: number for number, id_ in enumerate((record.id for record in records), 1)}


def _answer(record: AnswerRecord, numbers: _Numbers) -> dict[str, Any]:
    same = ("asker", "model", "prompt_id", "status", "message", "raw", "seconds", "asked_at")
    values = {"number": numbers.answers[record.id]} | {name: getattr(record, name) for name in same}
    if record.answer is not None:
        answer = record.answer
        values |= {"interaction": answer.interaction, "people": list(answer.people), "orientation": answer.orientation}
        values |= {"usage": dict(answer.usage), "simulated": answer.simulated}
        values |= {"contacts": CONTACTS.dump_python(answer.contacts, mode="json")}
        stated = STATED.dump_python(record.stated, mode="json")
        values |= {"suggestions": [each["suggestion"] for each in stated]}
    return values


def _history(step: EditRecord, numbers: _Numbers, name: Name) -> dict[str, Any]:
    edit = numbers.edit(to_json(step.edit))
    if edit["kind"] == "take_version":  # its lines name curators too, and what led to it has another history's numbers
        lines = [{**line, "edited_by": line["edited_by"] and name(line["edited_by"])} for line in edit["contacts"]]
        edit |= {"contacts": lines, "entries": []}
    curator = name(step.curator) if step.curator else ""
    return {"revision": step.revision, "edit": edit, "curator": curator, "made_at": step.made_at, "undone": step.undone}


def _review(review: Mapping[str, Any], numbers: _Numbers, name: Name) -> dict[str, Any]:
    return {**review, "curator": name(review["curator"]), "edits": [numbers.edit(edit) for edit in review["edits"]]}


def _fit(fit: FitRecord, numbers: _Numbers, beside: Beside, name: Name) -> dict[str, Any]:
    same = (
        "revision", "stale", "swapped", "max_gap_m", "max_penetration_m", "mean_penetration_m", "kept", "stop",
        "seconds", "iterations", "device", "body", "seed", "made_at",
    )  # fmt: skip
    values = {key: getattr(fit, key) for key in same}
    values |= {key: list(getattr(fit, key)) for key in ("gaps_m", "reprojection_512", "reprojection_px")}
    values |= {"number": numbers.fits[fit.id], "arrays": beside.fits[fit.id], "options": dict(fit.options)}
    values |= {"contacts": CONTACTS.dump_python(fit.contacts, mode="json")}
    return values | {"curator": name(fit.curator) if fit.curator else ""}


def _decision(record: DecisionRecord, numbers: _Numbers, name: Name) -> dict[str, Any]:
    decision = record.decision
    return {
        "number": numbers.decisions[record.id],
        "verdict": decision.verdict.value,
        "curator": name(decision.curator),
        "fit": numbers.fits.get(decision.fit_id),  # None too where the fit's file is known to be lost
        "reason": decision.reason,
        "note": decision.note,
        "revision": record.revision,
        "made_at": record.made_at,
        "stands": record.stands,
    }
