"""Blind second reviews: chosen fairly, given without a sight of the first, compared, and resolved."""

import pytest

from apu.errors import ConflictError, StoreError
from apu.types import Decision, Verdict
from review_db import Drop, Flip, PairFilter, PairState, SetNote

EVERY = PairFilter()
DISAGREE = PairFilter(disagrees=True)


def verdict(which: Verdict, curator: str, **more) -> Decision:
    return Decision(verdict=which, curator=curator, **more)


def test_a_share_is_chosen_by_chance_and_only_grows(workspace, add_pairs) -> None:
    pairs = add_pairs(20)
    assert workspace.reviews.ask(EVERY, share=0.25, seed=3) == 5
    few = {review.pair for review in workspace.reviews.list()}
    assert workspace.reviews.ask(EVERY, share=0.25, seed=3) == 0
    assert workspace.reviews.ask(EVERY, share=0.5, seed=3) == 5
    more = {review.pair for review in workspace.reviews.list()}
    assert few < more < set(pairs)
    assert more != set(pairs[:10])
    with pytest.raises(ValueError, match="share must lie"):
        workspace.reviews.ask(EVERY, share=1.5)


def test_nobody_reviews_their_own_work_and_each_review_is_given_once(workspace, add_pairs) -> None:
    first, second = add_pairs(2)
    workspace.decide(first, verdict(Verdict.FLAG, "ada"), revision=1)
    workspace.edit_contacts(second, SetNote(text="x"), curator="bob", revision=1)
    assert workspace.reviews.ask(EVERY, share=1.0) == 2
    by_ada, by_bob = workspace.reviews.next("ada"), workspace.reviews.next("bob")
    assert (by_ada.pair, by_bob.pair) == (second, first)
    assert workspace.reviews.next("ada").id == by_ada.id
    assert workspace.reviews.next("eve") is None
    workspace.reviews.judge(by_ada.id, verdict(Verdict.REJECT, "ada"))
    assert workspace.reviews.next("ada") is None


def test_an_abandoned_review_goes_to_someone_else_and_an_assigned_one_does_not(workspace, add_pairs) -> None:
    free, assigned = add_pairs(2)
    workspace.reviews.assign(assigned, "bob")
    workspace.reviews.ask(EVERY, share=1.0)
    assert workspace.reviews.next("ada", lease_s=0).pair == free
    assert workspace.reviews.next("eve", lease_s=60).pair == free
    assert workspace.reviews.next("zoe") is None
    mine = workspace.reviews.next("bob")
    assert mine.pair == assigned
    with pytest.raises(StoreError, match="not ada's to give"):
        workspace.reviews.judge(mine.id, verdict(Verdict.FLAG, "ada"))
    workspace.edit_contacts(free, SetNote(text="x"), curator="max", revision=1)
    with pytest.raises(StoreError, match="cannot judge it blindly"):
        workspace.reviews.assign(free, "max")


def test_the_reviewer_sees_nothing_of_the_first_curator(workspace, pair, toys) -> None:
    workspace.add_fit(pair, toys.fit(7.0), revision=1)
    untouched = workspace.pair(pair)
    workspace.edit_contacts(pair, Drop(contact=2), curator="ada", revision=1)
    workspace.edit_contacts(pair, SetNote(text="secret"), curator="ada", revision=2)
    workspace.add_fit(pair, toys.fit(3.0, toys.answer().contacts[:1]), revision=3, curator="ada")
    workspace.decide(pair, verdict(Verdict.ACCEPT, "ada", note="secret"), revision=3)
    with pytest.raises(ConflictError):
        workspace.edit_contacts(pair, SetNote(text="secret too"), curator="max", revision=1)
    seen = workspace.reviews.look(workspace.reviews.assign(pair, "bob"))
    assert seen.sheet == untouched.sheet
    assert (seen.fits, seen.history, seen.answer) == (untouched.fits, untouched.history, untouched.answer)
    assert (seen.summary.state, seen.summary.decided_by, seen.summary.revision) == (PairState.FITTED, "", 1)
    assert seen.summary.fit_error == 7.0
    assert "secret" not in repr(seen)
    assert "ada" not in repr(seen)


def test_a_review_changes_neither_sheet_nor_state_and_is_final(workspace, pair) -> None:
    before = workspace.pair(pair)
    review = workspace.reviews.assign(pair, "bob")
    workspace.reviews.judge(review, verdict(Verdict.REJECT, "bob", reason="no contact"), edits=[Drop(contact=1)])
    after = workspace.pair(pair)
    assert (after.sheet, after.history, after.summary.state) == (before.sheet, before.history, before.summary.state)
    (given,) = workspace.reviews.list(pair=pair)
    assert (given.verdict, given.reason, given.contacts) == (Verdict.REJECT, "no contact", before.sheet.active[1:])
    with pytest.raises(StoreError, match="not bob's to give"):
        workspace.reviews.judge(review, verdict(Verdict.ACCEPT, "bob"))
    for statement in ("UPDATE reviews SET verdict = 'accept'", "DELETE FROM reviews"):
        with pytest.raises(Exception, match="append-only"), workspace.database.write() as connection:
            connection.execute(statement)


def test_disagreement_is_listed_until_somebody_resolves_it(workspace, add_pairs) -> None:
    first, second = add_pairs(2)
    for pair, judged in ((first, Verdict.REJECT), (second, Verdict.FLAG)):
        workspace.decide(pair, verdict(Verdict.FLAG, "ada"), revision=1)
        workspace.reviews.judge(workspace.reviews.assign(pair, "bob"), verdict(judged, "bob"))
    assert [line.id for line in workspace.pairs(DISAGREE)] == [first]
    with pytest.raises(ConflictError):
        workspace.reviews.resolve(first, verdict(Verdict.REJECT, "eve"), revision=1)
    assert workspace.count(DISAGREE) == 1
    workspace.reviews.resolve(first, verdict(Verdict.FLAG, "eve"), revision=2)
    assert workspace.count(DISAGREE) == 0
    assert workspace.reviews.list(pair=first)[0].settled_at


def test_accepting_other_contacts_is_a_disagreement_too(workspace, add_pairs, toys) -> None:
    same, other, fewer = add_pairs(3)
    for pair, edits in ((same, []), (other, [Flip(contact=1)]), (fewer, [Drop(contact=2)])):
        fit = workspace.add_fit(pair, toys.fit(3.0), revision=1)
        workspace.decide(pair, verdict(Verdict.ACCEPT, "ada", fit_id=fit), revision=1)
        workspace.reviews.judge(workspace.reviews.assign(pair, "bob"), verdict(Verdict.ACCEPT, "bob"), edits=edits)
    assert sorted(line.id for line in workspace.pairs(DISAGREE)) == [other, fewer]
    workspace.reviews.resolve(other, verdict(Verdict.FLAG, "eve"), revision=2)
    assert [line.id for line in workspace.pairs(DISAGREE)] == [fewer]


def test_a_pair_is_seen_blindly_only_by_whom_its_open_review_is(workspace, pair) -> None:
    workspace.edit_contacts(pair, Drop(contact=2), curator="ada", revision=1)
    workspace.decide(pair, verdict(Verdict.FLAG, "ada"), revision=2)
    review = workspace.reviews.assign(pair, "bob")
    hidden, open_to = (workspace.reviews.seen_by(name, pair) for name in ("bob", "eve"))
    assert (hidden.decision, len(hidden.sheet.active), hidden.summary.state) == (None, 2, PairState.ASKED)
    assert (open_to.summary, open_to.history) == (workspace.pair(pair).summary, workspace.pair(pair).history)
    workspace.reviews.judge(review, verdict(Verdict.FLAG, "bob"))
    assert workspace.reviews.seen_by("bob", pair).summary == workspace.pair(pair).summary


def test_a_review_before_the_decision_counts_as_much(workspace, pair) -> None:
    workspace.reviews.judge(workspace.reviews.assign(pair, "bob"), verdict(Verdict.REJECT, "bob"))
    assert workspace.count(DISAGREE) == 0
    workspace.decide(pair, verdict(Verdict.FLAG, "ada"), revision=1)
    assert workspace.count(DISAGREE) == 1
    workspace.undo(pair, curator="ada", revision=2)
    assert workspace.count(DISAGREE) == 0


def test_agreement_is_counted_beyond_chance(workspace, add_pairs) -> None:
    assert workspace.reviews.agreement().kappa is None
    pairs = add_pairs(4)
    decided = (Verdict.FLAG, Verdict.FLAG, Verdict.REJECT, Verdict.REJECT)
    reviewed = (Verdict.FLAG, Verdict.FLAG, Verdict.REJECT, Verdict.FLAG)
    for pair, first, second in zip(pairs, decided, reviewed, strict=True):
        workspace.decide(pair, verdict(first, "ada"), revision=1)
        edits = [Drop(contact=1)] if pair == pairs[0] else []
        workspace.reviews.judge(workspace.reviews.assign(pair, "bob"), verdict(second, "bob"), edits=edits)
    agreement = workspace.reviews.agreement()
    assert (agreement.reviews, agreement.agreed) == (4, 3)
    assert agreement.verdicts[Verdict.REJECT, Verdict.FLAG] == 1
    # Observed 3/4; by chance 1/2 x 3/4 + 1/2 x 1/4 = 1/2.
    assert agreement.kappa == pytest.approx(0.5)
    # Eight contacts against seven, all of which both have.
    assert agreement.f1 == pytest.approx(14 / 15)
    assert agreement.side_flips == 0
    assert workspace.reviews.agreements() == {("ada", "bob"): agreement}


def test_agreement_is_told_for_each_pair_of_curators_with_contacts_and_turned_sides(workspace, add_pairs) -> None:
    one, two, three = add_pairs(3)
    for pair, first, second in ((one, "ada", "bob"), (two, "ada", "bob"), (three, "bob", "ada")):
        workspace.decide(pair, verdict(Verdict.FLAG, first), revision=1)
        # The sheet: left hand - back, right hand - left hand. The reviewer turns both sides of the second contact.
        edits = [Flip(contact=2)] if pair == one else [Drop(contact=1), Flip(contact=2)] if pair == three else []
        workspace.reviews.judge(
            workspace.reviews.assign(pair, second), verdict(Verdict.REJECT if pair == two else Verdict.FLAG, second),
            edits=edits,
        )  # fmt: skip
    figures = workspace.reviews.agreements()
    assert list(figures) == [("ada", "bob"), ("bob", "ada")]
    # On `one` they share 1 of 2 and 2 contacts, on `two` 2 of 2 and 2: 2 * 3 / 8. One of four has turned sides.
    ada = figures["ada", "bob"]
    assert (ada.reviews, ada.agreed, ada.f1, ada.side_flips) == (2, 1, 0.75, 0.25)
    assert ada.kappa == 0  # one flags always, so that all agreement may be chance
    # On `three` they share none of 2 and 1; the one that both have by its parts has turned sides.
    bob = figures["bob", "ada"]
    assert (bob.reviews, bob.agreed, bob.f1, bob.side_flips, bob.kappa) == (1, 1, 0, 1, None)


def test_who_resolved_a_disagreement_is_not_compared_with_what_they_saw(workspace, pair) -> None:
    workspace.decide(pair, verdict(Verdict.FLAG, "ada"), revision=1)
    workspace.reviews.judge(workspace.reviews.assign(pair, "bob"), verdict(Verdict.REJECT, "bob"))
    workspace.edit_contacts(pair, Drop(contact=1), curator="eve", revision=2)
    workspace.reviews.resolve(pair, verdict(Verdict.REJECT, "eve"), revision=3)
    assert list(workspace.reviews.agreements()) == [("ada", "bob")]
    agreement = workspace.reviews.agreement()
    assert (agreement.agreed, agreement.f1) == (0, 1)


def test_a_share_falls_on_decided_pairs_by_their_numbers_alone(workspace, add_pairs) -> None:
    pairs = add_pairs(40)
    for pair in pairs[:30]:
        workspace.decide(pair, verdict(Verdict.FLAG, "ada"), revision=1)
    count = workspace.reviews.draw(0.3)
    chosen = {review.pair for review in workspace.reviews.list()}
    assert 3 <= count == len(chosen) <= 15
    assert chosen < set(pairs[:30])
    assert workspace.reviews.draw(0.3) == 0
    for pair in pairs[30:]:
        workspace.decide(pair, verdict(Verdict.FLAG, "bob"), revision=1)
        workspace.reviews.draw(0.3, pairs=[pair])
    late = {review.pair for review in workspace.reviews.list()}
    assert workspace.reviews.draw(0.3) == 0
    assert workspace.reviews.draw(1.0) == 40 - len(late)
    assert chosen <= late
    assert workspace.reviews.open_for("ada") == 10
    assert workspace.reviews.open_for("eve") == 40
    taken = workspace.reviews.next("bob")
    assert workspace.reviews.taken_by("bob") == {taken.pair: taken.id}
    assert workspace.reviews.taken_by("ada") == {}
