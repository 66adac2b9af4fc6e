"""Corrections as figures, on cases counted by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apu.types import BodyPart, Contact, ContactAnswer, Decision, FitResult, Side, Verdict
from review_db import Add, Drop, Flip, Suggestion, Swap, Workspace, progress
from review_db.insights import Fate, Insights, Place, compare, lies_better_exchanged
from review_db.rates import Share, cohen_kappa, entropy, fleiss_kappa

R, F, I = Fate.RIGHT, Fate.FLIPPED, Fate.INVENTED  # noqa: E741 - as in the sums below


def place(text: str) -> Place:
    """``"hand L - back B"``."""
    sides = {"L": "left", "R": "right", "B": "both"}
    (a, s), (b, t) = (part.rsplit(" ", 1) for part in text.split(" - "))
    return a, sides[s], b, sides[t]


def places(*texts: str) -> list[Place]:
    return [place(text) for text in texts]


@pytest.mark.parametrize(
    ("stated", "accepted", "fates", "missed"),
    [
        (["hand L - back B"], ["hand L - back B"], [R], []),
        (["hand R - back B"], ["hand L - back B"], [F], []),
        (["hand R - head B"], ["hand L - back B"], [I], ["hand L - back B"]),
        ([], ["hand L - back B"], [], ["hand L - back B"]),
        (["hand L - back B"], [], [I], []),
        # the equal one is taken first, wherever it stands; what is left of its parts is a flip, then invented
        (["hand R - hand R", "hand L - hand R", "hand R - hand L"], ["hand L - hand R", "hand L - hand L"],
         [F, R, I], []),
        # stated twice is right once
        (["arm L - arm R", "arm L - arm R"], ["arm L - arm R"], [R, I], []),
    ],
)  # fmt: skip
def test_contacts_are_compared_one_to_one(
    stated: list[str], accepted: list[str], fates: list[Fate], missed: list[str]
) -> None:
    assert compare(places(*stated), places(*accepted)) == (fates, places(*missed))


_PLACES = st.lists(st.tuples(*[st.sampled_from(["hand", "back"]), st.sampled_from(["left", "right"])] * 2), max_size=5)


@given(stated=_PLACES, accepted=_PLACES)
def test_every_contact_is_counted_once_and_exchanging_both_changes_nothing(
    stated: list[Place], accepted: list[Place]
) -> None:
    fates, missed = compare(stated, accepted)
    assert len(fates) == len(stated)
    assert len(fates) - fates.count(I) + len(missed) == len(accepted)

    def exchanged(contacts: list[Place]) -> list[Place]:
        return [(b, t, a, s) for a, s, b, t in contacts]

    assert compare(exchanged(stated), exchanged(accepted)) == (fates, exchanged(missed))
    if lies_better_exchanged(stated, accepted):
        assert not lies_better_exchanged(exchanged(stated), accepted)


def test_an_answer_that_means_the_other_person_is_read_the_other_way_round() -> None:
    accepted = places("hand L - back B", "head B - shoulder R")
    assert lies_better_exchanged(places("back B - hand L", "shoulder R - head B"), accepted)
    assert not lies_better_exchanged(accepted, accepted)
    assert not lies_better_exchanged(places("foot L - knee L"), accepted)  # neither: as it was given


def test_wilsons_interval_is_that_of_the_tables() -> None:
    low, high = Share(count=8, of=10).interval or (0, 0)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    low, high = Share(count=0, of=20).interval or (1, 1)
    assert (low, high) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert Share(count=0, of=0).interval is None
    assert Share(count=0, of=0).value is None


def test_entropy_counts_kinds() -> None:
    assert entropy([5, 5, 5, 5]) == pytest.approx(2)
    assert entropy([7]) == 0
    assert entropy([]) == 0
    assert entropy([1, 3]) == pytest.approx(0.8113, abs=1e-4)


def test_kappas_are_those_of_worked_examples() -> None:
    # Cohen: 20 and 15 agreed of 50, chance one half -> (0.7 - 0.5) / 0.5
    both = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    assert cohen_kappa(both) == pytest.approx(0.4)
    assert cohen_kappa({("yes", "yes"): 3}) is None
    # Fleiss (1971) in small: three raters, agreement (1 + 1/3 + 1) / 3 = 7/9, chance (5² + 4²) / 9² = 41/81
    ratings = [{"a": 3}, {"a": 2, "b": 1}, {"b": 3}]
    assert fleiss_kappa(ratings) == pytest.approx((7 / 9 - 41 / 81) / (1 - 41 / 81))
    assert fleiss_kappa([*ratings, {"a": 1}]) == fleiss_kappa(ratings)
    assert fleiss_kappa([{"a": 2}]) is None


@pytest.fixture
def fit(toys: Any) -> Callable[..., FitResult]:
    return toys.fit


def contact(text: str) -> Contact:
    a, s, b, t = place(text)
    return Contact(parts=(BodyPart(name=a, side=Side(s)), BodyPart(name=b, side=Side(t))), confidence=0.9)


def tell(workspace: Workspace, pair: int, model: str, contacts: list[str], flips: list[bool] | None = None) -> None:
    stated = tuple(map(contact, contacts))
    answer = ContactAnswer(
        interaction="Side hug ", people=("", ""), orientation="", contacts=stated, raw="{}", model=model, prompt_id="p1"
    )
    verdicts = [
        Suggestion(flipped=flip, probability=0.9 if flip else 0.1, distances=(None, None), evidence="")
        for flip in flips or [False] * len(stated)
    ]
    workspace.add_answer(pair, answer, asker="openai", suggestions=verdicts)


@pytest.fixture
def add_pair(add_pairs: Callable[..., list[int]]) -> Callable[[], int]:
    """Adds one more pair without an answer."""
    numbers = iter(range(1, 9))
    return lambda: add_pairs(next(numbers), asked=False)[-1]


@pytest.fixture
def accepted(workspace: Workspace, add_pair: Callable[[], int], fit: Callable[..., FitResult]) -> int:
    """A pair whose accepted contacts are hand L - back B (stated R, and the denoiser says L) and head B - head B."""
    pair = add_pair()
    tell(workspace, pair, "m1", ["hand R - back B", "arm L - arm R"], [True, False])
    for edit in (Flip(contact=1), Drop(contact=2), Add(parts=contact("head B - head B").parts)):
        workspace.edit_contacts(pair, edit, curator="ada", revision=workspace.pair(pair).sheet.revision)
    accept(workspace, pair, fit)
    return pair


def accept(workspace: Workspace, pair: int, fit: Callable[..., FitResult]) -> None:
    revision = workspace.pair(pair).sheet.revision
    workspace.add_fit(pair, fit(contacts=workspace.pair(pair).sheet.active), revision=revision)
    workspace.decide(pair, Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=revision)


def test_rates_of_a_model_before_and_after_the_denoiser(workspace: Workspace, accepted: int) -> None:
    (group,) = Insights(workspace.database).groups("model")
    assert (group.name, group.pairs, group.answers, group.exchanged) == ("m1", 1, 1, 0)
    before, after = group.before, group.after
    assert (before.right, before.flipped, before.invented, before.missed) == (0, 1, 1, 1)
    assert (after.right, after.flipped, after.invented, after.missed) == (1, 0, 1, 1)
    assert (before.precision.value, after.precision.value) == (0, 0.5)
    assert (before.recall.value, after.recall.value) == (0, 0.5)
    assert (before.hallucination.value, before.side_flip.value, after.side_flip.value) == (0.5, 1, 0)


def test_only_accepted_pairs_are_the_truth_and_figures_follow_the_work(
    workspace: Workspace, accepted: int, add_pair: Callable[[], int], fit: Callable[..., FitResult]
) -> None:
    insights = Insights(workspace.database)
    other = add_pair()
    tell(workspace, other, "m2", ["hand L - hand L"])
    assert [group.name for group in insights.groups("model")] == ["m1"]
    accept(workspace, other, fit)
    assert {group.name: group.before.right for group in insights.groups("model")} == {"m1": 0, "m2": 1}
    tell(workspace, accepted, "m2", ["hand L - back B"])  # asked again: the accepted contacts stay
    by_model = {group.name: group for group in insights.groups("model")}
    assert (by_model["m2"].answers, by_model["m2"].before.right, by_model["m2"].before.missed) == (2, 2, 1)
    workspace.undo(other, curator="ada", revision=workspace.pair(other).sheet.revision)
    assert {group.name: group.answers for group in insights.groups("model")} == {"m1": 1, "m2": 1}
    assert insights.groups("model") == Insights(workspace.database).groups("model")  # as if read afresh


def test_rates_by_part_count_a_contact_for_both_its_parts(workspace: Workspace, accepted: int) -> None:
    parts = {group.name: group.before for group in Insights(workspace.database).groups("part")}
    assert set(parts) == {"hand", "back", "arm", "head"}
    assert (parts["hand"].flipped, parts["back"].flipped, parts["arm"].invented, parts["head"].missed) == (1, 1, 1, 1)
    assert sum(parts["head"].__dict__.values()) == 1  # both parts the same: once


def test_a_pair_whose_people_were_swapped_counts_as_read_the_other_way_round(
    workspace: Workspace, add_pair: Callable[[], int], fit: Callable[..., FitResult]
) -> None:
    pair = add_pair()
    tell(workspace, pair, "m1", ["hand L - back B"], [False])
    workspace.edit_contacts(pair, Swap(), curator="ada", revision=1)
    accept(workspace, pair, fit)
    (group,) = Insights(workspace.database).groups("all")
    assert (group.exchanged, group.before.right, group.before.precision.value) == (1, 1, 1)


def test_an_answer_without_contacts_counts_where_there_is_nothing_to_find(
    workspace: Workspace, add_pair: Callable[[], int], fit: Callable[..., FitResult]
) -> None:
    pair = add_pair()
    tell(workspace, pair, "m1", [])
    accept(workspace, pair, fit)
    (group,) = Insights(workspace.database).groups("model")
    assert (group.answers, group.before.precision.value, group.before.recall.value) == (1, None, None)
    assert Insights(workspace.database).groups("part") == ()


def test_figures_can_be_of_one_source_alone(workspace: Workspace, accepted: int) -> None:
    insights = Insights(workspace.database)
    source = workspace.pair(accepted).summary.source
    assert len(insights.groups("model", source=source)) == 1
    assert insights.groups("model", source="another") == ()
    assert insights.groups("model", simulated=not workspace.pair(accepted).summary.simulated) == ()
    with pytest.raises(ValueError, match="by must be"):
        insights.groups("colour")


def test_progress_counts_sources_filter_interactions_and_pace(
    workspace: Workspace, accepted: int, add_pair: Callable[[], int], fit: Callable[..., FitResult]
) -> None:
    asked = add_pair()
    tell(workspace, asked, "m1", [])
    workspace.add_fit(asked, fit(), revision=workspace.pair(asked).sheet.revision)
    reject = Decision(verdict=Verdict.REJECT, curator="ben", reason="no contact")
    workspace.decide(asked, reject, revision=workspace.pair(asked).sheet.revision)
    add_pair()
    with workspace.database.read() as connection:
        (source,) = progress.sources(connection)
        found = progress.automatic_filter(connection)
        kinds = progress.interactions(connection, accepted=True)
        paces = progress.pace(connection)
    assert (source.candidates, source.asked, source.fitted, source.accepted, source.rejected) == (3, 2, 2, 1, 1)
    kept = found.keeps.count / 2
    assert found.keeps.of == 2
    assert sum(found.verdicts.values()) == 2
    assert found.agrees.value == pytest.approx(0.5) or kept == 0
    assert (kinds.counts, kinds.bits, kinds.effective) == ({"side hug": 1}, 0, 1)
    assert [(pace.curator, pace.decisions, pace.seconds) for pace in paces] == [("ada", 1, None), ("ben", 1, None)]
