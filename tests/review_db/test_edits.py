"""The typed edits and their replay, without a database."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apu.types import BodyPart, Contact, Side
from review_db.edits import (
    Add,
    Answers,
    Decide,
    Drop,
    Flip,
    FlipSide,
    Mirror,
    Restore,
    SetConfidence,
    SetNote,
    SetPart,
    Sheet,
    StatedContact,
    Suggestion,
    Swap,
    TakeAnswer,
    TakeSuggestion,
    Undo,
    apply,
    from_json,
    last_standing,
    rebuild,
    to_json,
)

L, R, BOTH = Side.LEFT, Side.RIGHT, Side.BOTH


def contact(a: str, side_a: Side, b: str, side_b: Side, confidence: float = 0.6) -> Contact:
    return Contact(parts=(BodyPart(name=a, side=side_a), BodyPart(name=b, side=side_b)), confidence=confidence)


FLIP = Suggestion(flipped=True, probability=0.8, distances=(0.9, 0.2), evidence="the right hand is nearer")
ANSWERS = {
    1: (
        StatedContact(contact=contact("hand", L, "back", BOTH), suggestion=FLIP),
        StatedContact(contact=contact("hand", R, "hand", L)),
        StatedContact(contact=contact("chest", BOTH, "chest", BOTH)),
    ),
    2: (StatedContact(contact=contact("arm", R, "shoulder", R)),),
}
START = apply(Sheet(), TakeAnswer(answer=1), answers=ANSWERS)


def edited(*edits, sheet: Sheet = START, answers: Answers = ANSWERS) -> Sheet:
    for edit in edits:
        sheet = apply(sheet, edit, curator="ada", answers=answers)
    return sheet


def sides(sheet: Sheet) -> list[tuple[Side, Side]]:
    return [(line.contact.parts[0].side, line.contact.parts[1].side) for line in sheet.contacts]


def test_an_answer_becomes_the_sheet_in_its_order() -> None:
    assert START.active == tuple(stated.contact for stated in ANSWERS[1])
    assert [line.id for line in START.contacts] == [1, 2, 3]


def test_flip_exchanges_both_sides_and_names_the_curator() -> None:
    line = edited(Flip(contact=2)).contacts[1]
    assert (line.contact.parts[0].side, line.contact.parts[1].side) == (L, R)
    assert (line.contact.source, line.edited_by, line.original) == ("curator", "ada", ANSWERS[1][1].contact)


def test_flip_side_mirror_and_swap() -> None:
    assert sides(edited(FlipSide(contact=2, person=1)))[1] == (R, R)
    assert sides(edited(Mirror(person=0))) == [(R, BOTH), (L, L), (BOTH, BOTH)]
    swapped = edited(Swap())
    assert sides(swapped) == [(BOTH, L), (L, R), (BOTH, BOTH)]
    assert swapped.swapped
    assert not edited(Swap(), Swap()).swapped


def test_dropped_contacts_stay_on_the_sheet_but_not_in_the_fit() -> None:
    sheet = edited(Drop(contact=1))
    assert len(sheet.contacts) == 3
    assert sheet.active == START.active[1:]
    assert edited(Restore(contact=1), sheet=sheet).active == START.active


def test_set_part_and_confidence() -> None:
    sheet = edited(SetPart(contact=1, person=1, part=BodyPart(name="waist")), SetConfidence(contact=1, confidence=0.3))
    assert sheet.contacts[0].contact.parts[1].name == "waist"
    assert sheet.contacts[0].contact.confidence == 0.3


def test_a_suggestion_acts_only_when_taken() -> None:
    assert START.contacts[0].suggested is not None
    line = edited(TakeSuggestion()).contacts[0]
    assert line.contact.parts[0].side is R
    assert line.contact.source == "denoiser"
    assert line.suggested is None


def test_the_denoiser_does_not_argue_against_a_curator() -> None:
    keep = replace(FLIP, flipped=False, probability=0.5, distances=(None, None), evidence="not visible")
    stated = tuple(replace(entry, suggestion=keep) for entry in ANSWERS[1])
    sheet = apply(Sheet(), TakeAnswer(answer=1), answers={1: stated})
    assert all(line.suggested is None for line in sheet.contacts)
    assert edited(Flip(contact=1), sheet=sheet).contacts[0].suggested is None
    for edits in ((Flip(contact=1),), (Flip(contact=1), Flip(contact=1)), (Drop(contact=1), Restore(contact=1))):
        sheet = edited(*edits)
        assert sheet.contacts[0].suggested is None
        with pytest.raises(ValueError, match="changes nothing"):
            edited(TakeSuggestion(), sheet=sheet)


def test_a_suggestion_may_be_about_one_persons_side_alone() -> None:
    alone = replace(FLIP, flips=(False, True))
    stated = (replace(ANSWERS[1][1], suggestion=alone),)
    sheet = edited(TakeAnswer(answer=9), TakeSuggestion(), sheet=Sheet(), answers={9: stated})
    assert sides(sheet) == [(R, R)]


def test_a_suggestion_goes_once_the_combination_it_compared_is_left() -> None:
    for edit in (FlipSide(contact=1, person=0), Mirror(person=0), Swap()):
        assert edited(edit).contacts[0].suggestion is None
    assert edited(Flip(contact=1)).contacts[0].suggestion is FLIP


def test_another_answer_replaces_the_models_contacts_and_keeps_the_curators() -> None:
    mine = Add(parts=(BodyPart(name="knee", side=L), BodyPart(name="knee", side=R)))
    sheet = edited(mine, TakeAnswer(answer=2))
    assert [line.id for line in sheet.contacts] == [5, 4]
    assert sheet.contacts[1].contact.parts == mine.parts


def test_a_change_of_contacts_reopens_a_decided_pair_and_a_note_does_not() -> None:
    decided = edited(Decide(decision=7))
    assert edited(SetNote(text="check"), sheet=decided).decision == 7
    assert edited(Drop(contact=1), sheet=decided).decision is None


@pytest.mark.parametrize(
    "edit", [Flip(contact=9), Flip(contact=3), Restore(contact=1), SetNote(text=""), TakeAnswer(answer=9)]
)
def test_an_edit_of_nothing_or_without_effect_is_refused(edit) -> None:
    with pytest.raises(ValueError, match=r"must be|changes nothing"):
        edited(edit)


def test_suggestions_store_invisible_distances_as_none() -> None:
    assert Suggestion(flipped=False, probability=0.5, distances=(float("nan"), 0.1), evidence="").distances == (
        None,
        0.1,
    )


NUMBERS = st.integers(1, 6)
PERSON = st.sampled_from((0, 1))
PART = st.builds(BodyPart, name=st.sampled_from(("hand", "back")), side=st.sampled_from(Side))
EDITS = st.one_of(
    st.builds(Flip, contact=NUMBERS),
    st.builds(FlipSide, contact=NUMBERS, person=PERSON),
    st.builds(SetPart, contact=NUMBERS, person=PERSON, part=PART),
    st.builds(Drop, contact=NUMBERS),
    st.builds(Restore, contact=NUMBERS),
    st.builds(SetConfidence, contact=NUMBERS, confidence=st.floats(0, 1)),
    st.builds(TakeSuggestion, contact=st.none() | NUMBERS),
    st.builds(Mirror, person=PERSON),
    st.just(Swap()),
    st.builds(Add, parts=st.tuples(PART, PART)),
    st.builds(SetNote, text=st.text(max_size=3)),
    st.builds(TakeAnswer, answer=st.sampled_from((1, 2))),
    st.builds(Decide, decision=st.integers(1, 3)),
)


def replayed(steps) -> tuple[Sheet, list]:
    """The sheet by single steps (None: undo), and the history they leave."""
    history: list = []
    sheet = Sheet()
    for step in steps:
        if step is None:
            target = last_standing(history)
            if target is None:
                continue
            history.append(("ada", Undo(revision=target)))
            sheet = rebuild(history, ANSWERS)
            continue
        try:
            sheet = apply(sheet, step, curator="ada", answers=ANSWERS)
        except ValueError:
            continue
        history.append(("ada", step))
    return sheet, history


@given(st.lists(EDITS | st.none(), max_size=25))
def test_the_history_leads_to_the_sheet(steps) -> None:
    sheet, history = replayed([TakeAnswer(answer=1), *steps])
    assert rebuild(history, ANSWERS) == sheet
    assert sheet.revision == len(history)
    assert all(line.id < sheet.next_id for line in sheet.contacts)


@given(st.lists(EDITS | st.none(), max_size=15), EDITS)
def test_undo_restores_everything_the_edit_changed(steps, last) -> None:
    before, history = replayed([TakeAnswer(answer=1), *steps])
    try:
        edited(last, sheet=before)
    except ValueError:
        return
    after, _ = replayed([entry if not isinstance(entry, Undo) else None for _, entry in history] + [last, None])
    assert replace(after, revision=before.revision, next_id=before.next_id) == before


@given(st.lists(EDITS, max_size=10))
def test_contact_numbers_are_never_given_twice(steps) -> None:
    _, history = replayed([TakeAnswer(answer=1), *(each for step in steps for each in (step, None))])
    adds = [revision for revision, (_, entry) in enumerate(history, 1) if isinstance(entry, Add)]
    given_out = [rebuild(history[:revision], ANSWERS).contacts[-1].id for revision in adds]
    assert given_out == sorted(set(given_out))


@given(EDITS | st.builds(Undo, revision=NUMBERS))
def test_entries_survive_json(entry) -> None:
    assert from_json(to_json(entry)) == entry


def test_json_of_no_edit_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of"):
        from_json({"kind": "drop_table", "contact": 1})
