"""Second reviews on the page: the untouched pair for who reviews it, both judgements for who settles them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.meshes import Meshes, Source
from app.screen import Json, decision_words
from apu.types import BodyPart, Contact, Decision, Verdict
from review_db import Add, Drop, Edit, PairRecord, Restore, ReviewRecord, SetNote, Workspace
from review_db.edits import apply

Parts = tuple[BodyPart, BodyPart]


@dataclass(frozen=True, kw_only=True)
class Blind:
    """A review that somebody is giving: the pair as nobody has touched it, with the reviewer's own edits on it."""

    review: int
    record: PairRecord
    edits: tuple[Edit, ...]
    note: str


def open_review(workspace: Workspace, review: int, curator: str) -> Blind:
    """The review as far as its curator has come.

    Raises:
        ValueError: it is not theirs to give, or given already.
    """
    pair = next((pair for pair, taken in workspace.reviews.taken_by(curator).items() if taken == review), None)
    if pair is None:
        raise ValueError("that second review is not yours to give any more; take the next one")
    record, draft = workspace.reviews.look(review), workspace.drafts.get(pair, curator)
    edits, sheet = (draft.edits if draft else ()), record.sheet
    for edit in edits:
        sheet = apply(sheet, edit, curator=curator, answers={})
    note = draft.note if draft else ""
    # The revision stays that of the untouched pair: later ones are those of others, and have pictures.
    sheet = replace(sheet, note=note, revision=record.sheet.revision)
    return Blind(review=review, record=replace(record, sheet=sheet), edits=edits, note=note)


def change(workspace: Workspace, blind: Blind, edit: Edit | None, curator: str) -> None:
    """Keep one more edit of the reviewer, or one less; they are nobody else's until the review is given.

    Raises:
        ValueError: the edit does not apply.
    """
    edits, note = (*blind.edits, edit) if edit else blind.edits[:-1], blind.note
    if isinstance(edit, SetNote):
        edits, note = blind.edits, edit.text
    elif edit:
        apply(blind.record.sheet, edit, curator=curator, answers={})
    pair = blind.record.summary.id
    workspace.drafts.save(pair, curator, revision=blind.record.sheet.revision, note=note, edits=edits)


def check_sight(workspace: Workspace, meshes: Meshes, curator: str | None) -> None:
    """Make sure that meshes give nothing away of a pair that somebody (None: who may be anybody) is to judge blindly.

    Raises:
        ValueError: they are the work of others on it.
    """
    if meshes.pair not in workspace.reviews.taken_by(curator):
        return
    record = workspace.reviews.seen_by(curator, meshes.pair)
    if meshes.source is Source.GUESS:
        seen = meshes.number <= record.sheet.revision
    else:
        seen = meshes.source in (Source.START, Source.FIT) and meshes.number in {fit.id for fit in record.fits}
    if not seen:
        raise ValueError(f"the work of others on pair {meshes.pair} is shown once your second review is given")


def judge(workspace: Workspace, blind: Blind, decision: Decision) -> None:
    """Give the review."""
    workspace.reviews.judge(blind.review, decision, edits=blind.edits)
    workspace.drafts.drop(blind.record.summary.id, decision.curator)


def judgements(record: PairRecord, reviews: Sequence[ReviewRecord]) -> Json | None:
    """Both sides of a disagreement that nobody has settled; None where there is none."""
    given = [each for each in reviews if each.verdict is not None and each.settled_at is None]
    if not record.summary.disagrees or record.decision is None or not given:
        return None
    decided = record.decision
    stands = [_parts(record.sheet.active), *(_parts(each.contacts) for each in given)]
    people = [_side("decided", decided.decision, decided.made_at, None)]
    people += [_side("reviewed", _decision(each), each.judged_at or "", each.id) for each in given]
    every = dict.fromkeys(parts for each in stands for parts in each)
    contacts = [
        {
            "parts": [{"name": part.name, "side": str(part.side)} for part in parts],
            "has": [parts in contacts for contacts in stands],
        }
        for parts in every
    ]
    return {"people": people, "contacts": contacts}


def edits_to(record: PairRecord, contacts: Sequence[Contact]) -> list[Edit]:
    """The edits that make the active contacts of a pair those of a review."""
    wanted, edits = _parts(contacts), []
    for line in record.sheet.contacts:
        if line.dropped and line.contact.parts in wanted and line.contact.parts not in _parts(record.sheet.active):
            edits.append(Restore(contact=line.id))
        elif not line.dropped and line.contact.parts not in wanted:
            edits.append(Drop(contact=line.id))
    known = {line.contact.parts for line in record.sheet.contacts}
    return edits + [Add(parts=parts) for parts in wanted if parts not in known]


def _parts(contacts: Sequence[Contact]) -> list[Parts]:
    return [contact.parts for contact in contacts]


def _decision(review: ReviewRecord) -> Decision:
    return Decision(
        verdict=review.verdict or Verdict.FLAG, curator=review.curator, reason=review.reason, note=review.note
    )


def _side(did: str, decision: Decision, time: str, review: int | None) -> Json:
    return {
        "who": decision.curator, "did": did, "verdict": str(decision.verdict), "words": decision_words(decision),
        "note": decision.note, "time": f"{time[:10]} {time[11:16]} UTC", "review": review,
    }  # fmt: skip
