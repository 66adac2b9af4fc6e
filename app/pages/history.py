"""A pair's history in words: what each entry did, to which contact, by whom and when. Pure functions of records.

The texts hold what people and models wrote; the page shows them as text only.
"""

from collections.abc import Callable, Iterator
from typing import Any

from apu.types import Contact, Verdict
from review_db import (
    Add,
    Drop,
    Flip,
    FlipSide,
    Mirror,
    PairRecord,
    Restore,
    SetConfidence,
    SetNote,
    SetPart,
    Sheet,
    Swap,
    TakeAnswer,
    TakeSuggestion,
)
from review_db.edits import PROGRAM, Decide, Entry, TakeReading, TakeVersion, Undo, rebuild
from review_db.sheets import as_history

Json = dict[str, Any]

_DECIDED = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.FLAG: "flagged"}


def events(record: PairRecord, *, names: bool) -> list[Json]:
    """Everything that happened to a pair, oldest first: answers, entries of the history, fits, conflicts.

    Each has `at` (UTC), `who` (empty without `names`), `kind` and `words`; `undone` where it was taken back later.
    """
    found = [
        *_answers(record), *_entries(record), *_fits(record),
        *(
            _event(each.made_at, each.curator, "conflict", "made a change on an older version, which waits aside")
            for each in record.conflicts
        ),
    ]  # fmt: skip
    ordered = sorted(found, key=lambda event: str(event["at"]))
    return ordered if names else [event | {"who": "a curator" if _is_person(str(event["who"])) else event["who"]}
                                  for event in ordered]  # fmt: skip


def words_of(contact: Contact) -> str:
    """A contact in words."""
    return f"A's {contact.parts[0]} – B's {contact.parts[1]}"


def _is_person(who: str) -> bool:
    return who not in ("", PROGRAM)


def _event(at: str, who: str, kind: str, words: str, *, undone: bool = False) -> Json:
    return {"at": at, "who": who or PROGRAM, "kind": kind, "words": words, "undone": undone}


def _answers(record: PairRecord) -> Iterator[Json]:
    for answer in record.answers:
        model = answer.model or answer.asker
        if answer.answer is None:
            yield _event(answer.asked_at, "", "answer", f"asked {model}: no usable answer. {answer.message}")
        else:
            said = f"asked {model}: “{answer.answer.interaction}”, {_count(len(answer.stated), 'contact')}"
            yield _event(answer.asked_at, "", "answer", said)


def _fits(record: PairRecord) -> Iterator[Json]:
    for number, fit in enumerate(record.fits, 1):
        a, b = fit.reprojection_512
        words = (
            f"fit {number} of {_count(len(fit.contacts), 'contact')}: reprojection A {a:.1f}, B {b:.1f}, largest gap "
            f"{100 * fit.max_gap_m:.1f} cm, {fit.seconds:.1f} s"
        )
        yield _event(fit.made_at, fit.curator, "fit", words)


def _entries(record: PairRecord) -> Iterator[Json]:
    answers = {answer.id: answer.stated for answer in record.answers}
    history = as_history(record.history)
    for index, entry in enumerate(record.history):
        before = rebuild(history[:index], answers)
        kind = "decision" if isinstance(entry.edit, Decide) else "edit"
        words = _words(entry.edit, before, record)
        yield _event(entry.made_at, entry.curator, kind, words, undone=entry.undone)


_WORDS: dict[type, Callable[[Any, str, str], str]] = {
    Flip: lambda edit, which, person: f"flipped both sides of {which}",
    FlipSide: lambda edit, which, person: f"flipped {person}'s side of {which}",
    SetPart: lambda edit, which, person: f"made {person}'s part of {which} the {edit.part}",
    Drop: lambda edit, which, person: f"dropped {which}",
    Restore: lambda edit, which, person: f"restored {which}",
    SetConfidence: lambda edit, which, person: f"set the confidence of {which} to {edit.confidence:.2f}",
    TakeSuggestion: lambda edit, which, person: (
        f"took the suggested sides of {which if edit.contact else 'every contact'}"
    ),
    Mirror: lambda edit, which, person: f"mirrored {person} in every contact",
    Swap: lambda edit, which, person: "exchanged the two people",
    Add: lambda edit, which, person: f"added A's {edit.parts[0]} – B's {edit.parts[1]}",
    SetNote: lambda edit, which, person: f"wrote the note “{edit.text}”" if edit.text else "removed the note",
    TakeReading: lambda edit, which, person: "took a reading of the fan",
    TakeVersion: lambda edit, which, person: "took the version of another machine",
}
"""Edit -> words, given the contact and the person that it names."""


def _words(edit: Entry, before: Sheet, record: PairRecord) -> str:
    if isinstance(edit, Undo):
        return f"took back: {_words(record.history[edit.revision - 1].edit, before, record)}"
    if isinstance(edit, Decide):
        return _decision(edit, record)
    if isinstance(edit, TakeAnswer):
        answer = next((each for each in record.answers if each.id == edit.answer), None)
        return f"let the answer of {answer.model or answer.asker} stand" if answer else "let another answer stand"
    lines = {line.id: line.contact for line in before.contacts}
    number = getattr(edit, "contact", None)
    which = words_of(lines[number]) if number in lines else "a contact"
    words = _WORDS.get(type(edit))
    return words(edit, which, "AB"[getattr(edit, "person", 0)]) if words else edit.kind.replace("_", " ")


def _decision(edit: Decide, record: PairRecord) -> str:
    found = next((each.decision for each in record.decisions if each.id == edit.decision), None)
    if found is None:
        return "decided"
    more = "; ".join(filter(None, (found.reason, f"“{found.note}”" if found.note else "")))
    return _DECIDED[found.verdict] + (f": {more}" if more else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
