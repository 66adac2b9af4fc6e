"""What the workspace promises to people who work on pairs."""

import ast
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apu.errors import AnswerError, ConflictError, StoreError
from apu.types import BodyPart, Decision, Side, Verdict
from review_db import (
    Add,
    Drop,
    Flip,
    FlipSide,
    Mirror,
    PairState,
    Restore,
    SetNote,
    Swap,
    TakeAnswer,
    TakeSuggestion,
    Workspace,
)
from review_db.edits import rebuild
from review_db.sheets import as_history, load_answers, load_history, load_sheet


def decision(verdict: Verdict = Verdict.ACCEPT, curator: str = "ada", **more) -> Decision:
    return Decision(verdict=verdict, curator=curator, **more)


def state(workspace: Workspace, pair: int) -> PairState:
    return workspace.pair(pair).summary.state


def test_importing_the_same_files_twice_adds_nothing(workspace, tmp_path, toys) -> None:
    image = tmp_path / "hug.PNG"
    image.write_bytes(b"picture")
    copy = tmp_path / "copy.png"
    copy.write_bytes(b"picture")
    detections = tmp_path / "hug_keypoints.json"
    detections.write_text("{}")
    first = workspace.add_image(image, size=(640, 480))
    assert workspace.add_image(image, size=(640, 480)) == workspace.add_image(copy, size=(640, 480)) == first
    assert workspace.add_input(first, "openpose", detections)
    assert not workspace.add_input(first, "openpose", detections)
    assert workspace.add_pair(first, toys.observation()) == workspace.add_pair(first, toys.observation())
    assert workspace.add_pair(first, toys.observation(1)) != workspace.add_pair(first, toys.observation())
    (record,) = workspace.images()
    assert (record.name, record.path.read_bytes(), len(record.inputs)) == ("hug.PNG", b"picture", 1)
    assert (record.inputs[0].name, record.inputs[0].path.read_text()) == ("hug_keypoints.json", "{}")
    assert len(list((workspace.path / "images").iterdir())) == 1


def test_an_observation_comes_back_unchanged(workspace, pair, toys) -> None:
    stored, given_in = workspace.pair(pair).observation, toys.observation(0, "image_0.png")
    for name in ("boxes", "keypoints"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(given_in, name), strict=True)
    for name in ("global_orient", "body_pose", "betas", "joints", "valid"):
        np.testing.assert_array_equal(getattr(stored.estimate, name), getattr(given_in.estimate, name), strict=True)
    np.testing.assert_array_equal(stored.camera.K, given_in.camera.K)
    assert (stored.image, stored.action, stored.source, stored.simulated) == ("image_0.png", "hugging", "demo", True)


def test_numbers_that_are_none_are_refused(workspace, pair, toys) -> None:
    observation = toys.observation()
    observation.keypoints[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite numbers only, got others in keypoints"):
        workspace.add_pair(workspace.pair(pair).image.id, observation)
    with pytest.raises(ValueError, match="finite"):
        workspace.add_fit(pair, replace(toys.fit(), max_penetration_m=float("nan")), revision=1)
    assert workspace.pair(pair).fits == ()


def test_a_pair_goes_through_its_states(workspace, add_pairs, toys) -> None:
    (pair,) = add_pairs(asked=False)
    assert state(workspace, pair) is PairState.PROPOSED
    workspace.add_answer_failure(
        pair, AnswerError("refused", "the model declined", raw="no"), asker="openai", model="m"
    )
    assert state(workspace, pair) is PairState.ASK_FAILED
    workspace.add_answer(pair, toys.answer(), asker="openai")
    assert state(workspace, pair) is PairState.ASKED
    workspace.add_fit(pair, toys.fit(), revision=1)
    assert state(workspace, pair) is PairState.FITTED
    for verdict, expected in zip(Verdict, (PairState.ACCEPTED, PairState.REJECTED, PairState.FLAGGED), strict=True):
        sheet = workspace.decide(pair, decision(verdict), revision=workspace.pair(pair).sheet.revision)
        assert state(workspace, pair) is expected
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=sheet.revision)
    assert state(workspace, pair) is PairState.FITTED
    record = workspace.pair(pair)
    assert [answer.status for answer in record.answers] == ["refused", "ok"]
    assert record.answers[0].raw == "no"
    assert [d.decision.verdict for d in record.decisions] == list(Verdict)


def test_a_failed_question_never_replaces_an_answer(workspace, pair) -> None:
    before = workspace.pair(pair)
    workspace.add_answer_failure(pair, AnswerError("timeout", "no answer in 60 s"), asker="openai")
    after = workspace.pair(pair)
    assert (after.sheet, after.summary.state) == (before.sheet, PairState.ASKED)


def test_a_new_answer_waits_when_a_curator_has_worked(workspace, pair, toys) -> None:
    sheet = workspace.edit_contacts(pair, Flip(contact=2), curator="ada", revision=1)
    other = workspace.add_answer(pair, toys.answer(), asker="openai")
    assert workspace.pair(pair).sheet == sheet
    taken = workspace.edit_contacts(pair, TakeAnswer(answer=other), curator="ada", revision=2)
    assert workspace.pair(pair).answer.id == taken.answer == other


def test_a_note_or_an_edit_taken_back_does_not_hold_up_a_new_answer(workspace, pair, toys) -> None:
    workspace.edit_contacts(pair, SetNote(text="ask again"), curator="ada", revision=1)
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=2)
    workspace.undo(pair, curator="ada", revision=3)
    other = workspace.add_answer(pair, toys.answer(), asker="openai")
    sheet = workspace.pair(pair).sheet
    assert (sheet.answer, sheet.note) == (other, "ask again")


def test_an_answer_comes_back_with_its_verdicts(workspace, pair, toys) -> None:
    record = workspace.pair(pair)
    assert record.answer is not None
    assert record.answer.answer == toys.answer()
    assert record.answer.stated[0].suggestion == toys.flip
    assert record.sheet.contacts[0].suggestion == toys.flip
    assert record.summary.uncertainty == pytest.approx(np.mean([1 - 0.6 * 0.2, 1 - 0.9]))


def test_every_edit_is_in_the_history_with_its_curator_and_time(workspace, pair) -> None:
    workspace.edit_contacts(pair, Flip(contact=2), curator="ada", revision=1)
    workspace.edit_contacts(pair, SetNote(text="check the hand"), curator="bob", revision=2)
    history = workspace.pair(pair).history
    assert [(entry.edit.kind, entry.curator, entry.revision) for entry in history] == [
        ("take_answer", "", 1),
        ("flip", "ada", 2),
        ("note", "bob", 3),
    ]
    assert all(entry.made_at.endswith("+00:00") for entry in history)


def test_undo_takes_back_edits_and_decisions_one_by_one(workspace, pair, toys) -> None:
    workspace.add_fit(pair, toys.fit(), revision=1)
    start = workspace.pair(pair).sheet
    workspace.edit_contacts(pair, Mirror(person=0), curator="ada", revision=1)
    workspace.decide(pair, decision(Verdict.FLAG), revision=2)
    workspace.undo(pair, curator="ada", revision=3)
    assert state(workspace, pair) is PairState.FITTED
    sheet = workspace.undo(pair, curator="ada", revision=4)
    assert replace(sheet, revision=1) == start
    with pytest.raises(StoreError, match="no edit to take back"):
        workspace.undo(pair, curator="ada", revision=5)
    assert [entry.undone for entry in workspace.pair(pair).history] == [False, True, True, False, False]
    assert not any(each.stands for each in workspace.decisions())


def test_nobody_takes_back_another_curators_edit(workspace, pair) -> None:
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=1)
    with pytest.raises(StoreError, match="is ada's"):
        workspace.undo(pair, curator="bob", revision=2)


def test_two_curators_on_one_pair_one_wins_and_both_texts_are_kept(workspace, pair) -> None:
    ready, outcomes = threading.Barrier(2), []

    def save(curator: str) -> None:
        ready.wait()
        try:
            workspace.edit_contacts(pair, SetNote(text=f"seen by {curator}"), curator=curator, revision=1)
            outcomes.append((curator, "saved"))
        except ConflictError:
            outcomes.append((curator, "refused"))

    threads = [threading.Thread(target=save, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome for _, outcome in outcomes) == ["refused", "saved"]
    record = workspace.pair(pair)
    (conflict,) = record.conflicts
    winner, loser = (next(name for name, outcome in outcomes if outcome == o) for o in ("saved", "refused"))
    assert record.sheet.note == f"seen by {winner}"
    assert (conflict.edit, conflict.curator, conflict.based_on, conflict.found) == (
        SetNote(text=f"seen by {loser}"), loser, 1, 2,
    )  # fmt: skip

    assert workspace.settle(conflict.id, apply=True, curator=loser).note == f"seen by {loser}"
    assert workspace.pair(pair).conflicts == ()
    with pytest.raises(ValueError, match="no open conflict"):
        workspace.settle(conflict.id, apply=False, curator=loser)


def test_a_stale_decision_is_kept_too(workspace, pair) -> None:
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=1)
    late = decision(Verdict.REJECT, "bob", reason="no contact", note="they only pass")
    with pytest.raises(ConflictError, match="in the meantime"):
        workspace.decide(pair, late, revision=1)
    (conflict,) = workspace.pair(pair).conflicts
    assert conflict.edit == late
    workspace.settle(conflict.id, apply=False, curator="bob")
    assert state(workspace, pair) is PairState.ASKED
    assert workspace.decisions() == ()


def test_accepting_needs_a_fit_of_this_pair(workspace, add_pairs, toys) -> None:
    pair, other = add_pairs(2)
    with pytest.raises(ValueError, match="no fit to accept"):
        workspace.decide(pair, decision(), revision=1)
    foreign = workspace.add_fit(other, toys.fit(), revision=1)
    with pytest.raises(ValueError, match="must be a fit of pair"):
        workspace.decide(pair, decision(fit_id=foreign), revision=1)
    assert workspace.decisions() == ()
    fit = workspace.add_fit(pair, toys.fit(), revision=1)
    workspace.decide(pair, decision(note="good"), revision=1)
    stored = workspace.pair(pair).decision
    assert stored is not None
    assert (stored.decision.fit_id, stored.decision.note, stored.decision.curator) == (fit, "good", "ada")


def test_a_fit_of_other_contacts_is_not_accepted(workspace, pair, toys) -> None:
    old = workspace.add_fit(pair, toys.fit(), revision=1)
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=1)
    for late in (decision(), decision(fit_id=old)):
        with pytest.raises(ValueError, match="must be fitted again"):
            workspace.decide(pair, late, revision=2)
    new = workspace.add_fit(pair, toys.fit(), revision=2)
    with pytest.raises(ValueError, match="must be fitted again"):
        workspace.decide(pair, decision(fit_id=old), revision=2)
    workspace.decide(pair, decision(), revision=2)
    assert workspace.pair(pair).decision.decision.fit_id == new


def test_a_kept_accept_is_of_the_fit_that_was_seen(workspace, pair, toys) -> None:
    seen = workspace.add_fit(pair, toys.fit(), revision=1)
    workspace.edit_contacts(pair, Drop(contact=1), curator="bob", revision=1)
    workspace.add_fit(pair, toys.fit(3.0), revision=2)
    with pytest.raises(ConflictError):
        workspace.decide(pair, decision(), revision=1)
    (conflict,) = workspace.pair(pair).conflicts
    assert conflict.edit.fit_id == seen
    with pytest.raises(ValueError, match="must be fitted again"):
        workspace.settle(conflict.id, apply=True, curator="ada")
    assert workspace.pair(pair).conflicts == (conflict,)
    assert workspace.decisions() == ()
    workspace.undo(pair, curator="bob", revision=2)
    workspace.settle(conflict.id, apply=True, curator="ada")
    assert workspace.pair(pair).decision.decision.fit_id == seen


def test_the_last_ten_decisions_can_be_taken_back(workspace, add_pairs) -> None:
    pairs = add_pairs(12)
    for pair in pairs:
        workspace.decide(pair, decision(Verdict.FLAG), revision=1)
    workspace.edit_contacts(pairs[11], SetNote(text="later"), curator="bob", revision=2)
    workspace.decide(pairs[10], decision(Verdict.REJECT, "bob"), revision=2)
    workspace.undo(pairs[9], curator="ada", revision=2)
    assert workspace.undo_decisions("ada", last=10) == (pairs[11], *pairs[8::-1])
    assert workspace.undo_decisions("ada", last=10) == ()
    assert [state(workspace, pair) for pair in pairs] == [PairState.ASKED] * 10 + [PairState.REJECTED, PairState.ASKED]
    record = workspace.pair(pairs[11])
    assert record.sheet.note == "later"
    assert [entry.undone for entry in record.history] == [False, True, False, False]


def test_a_fit_comes_back_with_parameters_and_curves(workspace, pair, toys) -> None:
    fit = workspace.add_fit(pair, toys.fit(), revision=1, curator="ada")
    stored, given_in = workspace.fit(fit), toys.fit()
    for role in ("params", "start"):
        for name, array in getattr(given_in, role).arrays().items():
            np.testing.assert_array_equal(getattr(stored, role).arrays()[name], array, strict=True)
    for name in ("gaps_m", "reprojection_512", "reprojection_px"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(given_in, name))
    same = ("contacts", "swapped", "max_penetration_m", "kept", "terms", "stop", "seconds", "device", "body", "options")
    assert [getattr(stored, name) for name in same] == [getattr(given_in, name) for name in same]


def test_reading_an_artefact_parses_no_python(workspace, pair, toys, monkeypatch) -> None:
    """CPython 3.11 cannot build two syntax trees in two threads, and a page reads while another thread may."""
    fit = workspace.add_fit(pair, toys.fit(), revision=1)
    monkeypatch.setattr(ast, "parse", lambda *_, **__: pytest.fail("Python was parsed"))
    assert np.isfinite(workspace.fit(fit).params.body_pose).all()
    assert workspace.pair(pair).observation.keypoints.size


def test_a_fit_is_stale_exactly_while_the_contacts_differ_from_those_it_used(workspace, pair, toys) -> None:
    workspace.add_fit(pair, toys.fit(), revision=1)

    def stale() -> bool:
        return workspace.pair(pair).fits[0].stale

    assert not stale()
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=1)
    assert stale()
    workspace.undo(pair, curator="ada", revision=2)
    assert not stale()
    workspace.edit_contacts(pair, SetNote(text="fine"), curator="ada", revision=3)
    assert not stale()


def test_status_is_plain_json_with_the_promised_keys(workspace, pair, toys) -> None:
    workspace.add_fit(pair, toys.fit(), revision=1)
    status = json.loads(json.dumps(workspace.status()))
    (entry,) = status["pairs"]
    assert {"id", "image", "state", "asker", "contacts", "fits"} <= set(entry)
    assert entry["contacts"][0] == {"id": 1, "parts": ["left hand", "back"], "confidence": 0.6, "source": "model"}
    (fit,) = entry["fits"]
    expected = {
        "max_contact_gap_m": 0.02,
        "max_penetration_m": 0.003,
        "seconds": 1.5,
        "body": "anny-free",
        "device": "cpu",
    }
    assert {name: fit[name] for name in expected} == expected
    assert (fit["reprojection_512"], fit["device"]) == ([9.0, 4.5], "cpu")
    assert fit["contacts"][1]["gap_m"] == 0.02
    assert status["states"]["fitted"] == 1


@pytest.mark.parametrize("curator", ["", "  "])
def test_every_edit_has_a_curator(workspace, pair, curator) -> None:
    with pytest.raises(ValueError, match="curator must be a name"):
        workspace.edit_contacts(pair, Drop(contact=1), curator=curator, revision=1)


def test_unknown_ids_are_the_callers_mistake(workspace, pair, toys) -> None:
    for call in (
        lambda: workspace.pair(99),
        lambda: workspace.image(99),
        lambda: workspace.fit(99),
        lambda: workspace.add_pair(99, toys.observation()),
        lambda: workspace.add_answer(99, toys.answer(), asker="replay"),
        lambda: workspace.add_fit(99, toys.fit(), revision=0),
        lambda: workspace.jobs.queue("fit", 99, revision=0),
    ):
        with pytest.raises(ValueError, match=r"there is no .* 99"):
            call()


NUMBERS = st.integers(1, 5)
PART = st.builds(BodyPart, name=st.sampled_from(("hand", "back")), side=st.sampled_from(Side))
STEPS = st.lists(
    st.one_of(
        st.builds(Flip, contact=NUMBERS),
        st.builds(FlipSide, contact=NUMBERS, person=st.sampled_from((0, 1))),
        st.builds(Drop, contact=NUMBERS),
        st.builds(Restore, contact=NUMBERS),
        st.builds(Mirror, person=st.sampled_from((0, 1))),
        st.just(Swap()),
        st.builds(Add, parts=st.tuples(PART, PART)),
        st.just(TakeSuggestion()),
        st.builds(decision, st.sampled_from(Verdict)),
        st.sampled_from(("undo", "undo decision", "answer", "settle")),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(10, 10**9))
def test_the_stored_state_is_what_the_stored_history_leads_to(workspace, pair, toys, steps, seed) -> None:
    fresh = workspace.add_pair(workspace.pair(pair).image.id, toys.observation(seed))
    workspace.add_answer(fresh, toys.answer(), asker="replay", suggestions=[toys.flip, None])
    workspace.add_fit(fresh, toys.fit(), revision=1)
    for number, step in enumerate(steps):
        revision = workspace.pair(fresh).sheet.revision - (number % 5 == 4)  # some are late and become conflicts
        try:
            if step == "undo":
                workspace.undo(fresh, curator="ada", revision=revision)
            elif step == "undo decision":
                workspace.undo_decisions("ada")
            elif step == "answer":
                workspace.add_answer(fresh, toys.answer(), asker="replay")
            elif step == "settle":
                for conflict in workspace.pair(fresh).conflicts:
                    workspace.settle(conflict.id, apply=True, curator="ada")
            elif isinstance(step, Decision):
                workspace.decide(fresh, step, revision=revision)
            else:
                workspace.edit_contacts(fresh, step, curator="ada", revision=revision)
        except (ValueError, StoreError):
            continue
    with workspace.database.read() as connection:
        history = as_history(load_history(connection, fresh))
        assert rebuild(history, load_answers(connection, fresh)) == load_sheet(connection, fresh)


def test_history_cannot_be_rewritten(workspace, pair) -> None:
    for statement in ("UPDATE edits SET kind = 'x'", "DELETE FROM edits", "DELETE FROM answers"):
        with pytest.raises(Exception, match="append-only"), workspace.database.write() as connection:
            connection.execute(statement)
