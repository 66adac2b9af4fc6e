"""Runs and studies in the store, and what ratings come to, on cases counted by hand."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apu.errors import StoreError
from review_db import Workspace
from review_db.forget import forget
from review_db.merge import merge
from review_db.preference import Rating, results
from review_db.runs import Runs
from review_db.studies import WRONG, Studies


@pytest.fixture
def studies(workspace: Workspace) -> Studies:
    return Studies(workspace.database)


@pytest.fixture
def make_study(studies: Studies, add_pairs: Callable[..., list[int]], toys: Any) -> Callable[..., int]:
    """A study of start, automatic and curated over eight pairs, with all its meshes."""

    def make(**options: Any) -> int:
        pairs = add_pairs(8)
        sizes = {"shared": 2, "own": 2, "checks": 1, "seed": 5} | options
        study = studies.create("hugs", "ada", pairs, ["curated", "start", "automatic"], **sizes)
        for pair in studies.pairs(study):
            for method in studies.wanted(study, pair):
                studies.add_mesh(study, pair, method, toys.params(1), "anny-free")
        return study

    return make


def rated(studies: Studies, study: int, rater: str) -> list[tuple[int, str, str]]:
    """Rate everything for a rater, always the left one; (item, left, right) in the order shown."""
    seen = []
    while item := studies.next(study, rater):
        seen.append((item.id, item.left, item.right))
        studies.rate(item.id, rater, "left", seconds=1.0)
    return seen


def test_every_rater_sees_the_shared_items_and_checks_and_own_ones_alone(
    studies: Studies, make_study: Callable[..., int]
) -> None:
    study = make_study()
    ada, ben, eve, zoe = (rated(studies, study, rater) for rater in ("ada", "ben", "eve", "zoe"))
    # two pairs with every two of three methods, one check, two own
    assert [len(each) for each in (ada, ben, eve)] == [9, 9, 9]
    items = [{item for item, _, _ in each} for each in (ada, ben, eve, zoe)]
    common = set.intersection(*items)
    assert len(common) == 7
    own = [each - common for each in items]
    assert [len(each) for each in own] == [2, 2, 2, 0]  # six pairs are left for own items
    assert not own[0] & own[1]
    assert studies.progress(study, "ada") == (9, 9)


def test_order_and_sides_are_drawn_for_each_rater_and_stay(studies: Studies, make_study: Callable[..., int]) -> None:
    study = make_study(own=0)
    first = studies.next(study, "ada")
    assert first == studies.next(study, "ada") == studies.sides(first.id, "ada") if first else False
    orders = [[item for item, _, _ in rated(studies, study, rater)] for rater in ("ada", "ben", "eve")]
    assert len({tuple(order) for order in orders}) == 3
    lefts = Counter((row["item"], row["shown_left"]) for row in studies.rows(study))
    assert {side for _, side in lefts} == {"a", "b"}


def test_a_choice_is_kept_as_the_methods_whatever_the_side(studies: Studies, make_study: Callable[..., int]) -> None:
    study = make_study(own=0)
    shown = {item: left for item, left, _ in rated(studies, study, "ada")}
    for rating in studies.ratings(study):
        chosen = rating.a if rating.choice == "a" else rating.b
        assert chosen == shown[rating.item]


def test_ratings_are_given_once_taken_back_and_refused_when_closed(
    studies: Studies, make_study: Callable[..., int]
) -> None:
    study = make_study(own=0)
    item = studies.next(study, "ada")
    assert item is not None
    studies.rate(item.id, "ada", "same", seconds=2)
    studies.rate(item.id, "ada", "left", seconds=2)
    assert [rating.choice for rating in studies.ratings(study)] == ["same"]
    assert studies.take_back(study, "ada")
    assert not studies.take_back(study, "ada")
    assert studies.next(study, "ada") == item
    studies.close(study)
    assert studies.next(study, "ada") is None
    with pytest.raises(StoreError, match="closed"):
        studies.rate(item.id, "ada", "left", seconds=1)
    with pytest.raises(ValueError, match="no item"):
        studies.rate(999, "ada", "left", seconds=1)


@pytest.mark.parametrize(
    "wrong", [{"methods": ["start"]}, {"methods": ["start", "magic"]}, {"name": " "}, {"shared": 9}, {"checks": -1},
              {"shared": 0, "own": 0}]
)  # fmt: skip
def test_a_study_that_cannot_be_is_refused(studies: Studies, add_pairs: Callable[..., list[int]], wrong: dict) -> None:
    values = {"name": "x", "methods": ["start", "curated"], "shared": 1, "own": 1, "checks": 0} | wrong
    with pytest.raises(ValueError, match=r"study needs|too few"):
        studies.create(values.pop("name"), "ada", add_pairs(3), values.pop("methods"), **values)


def rating(item: int, a: str, b: str, rater: str, choice: str, kind: str = "shared") -> Rating:
    return Rating(item=item, kind=kind, a=a, b=b, rater=rater, choice=choice)


def test_preference_is_counted_over_attentive_raters() -> None:
    ratings = [
        rating(1, "start", "curated", "ada", "b"), rating(1, "start", "curated", "ben", "b"),
        rating(2, "start", "curated", "ada", "a"), rating(2, "start", "curated", "ben", "same"),
        rating(3, "automatic", "curated", "ada", "b"), rating(9, "curated", WRONG, "ada", "a", "check"),
        rating(9, "curated", WRONG, "eve", "b", "check"), rating(1, "start", "curated", "eve", "a"),
    ]  # fmt: skip
    found = results(ratings)
    assert {rater.name: rater.attentive for rater in found.raters} == {"ada": True, "ben": True, "eve": False}
    assert found.duels == {("automatic", "curated"): (0, 1, 0), ("start", "curated"): (1, 2, 1)}
    won = {method.name: (method.won.count, method.won.of, method.votes.of) for method in found.methods}
    assert won == {"curated": (3, 4, 4), "start": (1, 3, 4), "automatic": (0, 1, 4)}
    assert found.methods[0].name == "curated"
    assert found.methods[0].spread == pytest.approx(0.2357, abs=1e-4)  # of 2/3 and 1
    # two items of two raters: agreed (1 + 0) / 2, chance (2² + 1² + 1²) / 4² = 3/8
    assert found.fleiss == pytest.approx((1 / 2 - 3 / 8) / (1 - 3 / 8))


def test_no_ratings_come_to_nothing() -> None:
    found = results([])
    assert (found.methods, found.raters, found.fleiss, found.cohen) == ((), (), None, None)


def test_a_forgotten_photograph_leaves_studies_and_runs(
    workspace: Workspace, studies: Studies, make_study: Callable[..., int]
) -> None:
    study = make_study(own=0)
    rated(studies, study, "ada")
    run = Runs(workspace.database).start("fit", curator="ada", pairs=[line.id for line in workspace.pairs()])
    gone = studies.ratings(study)[0].item
    pair = studies.sides(gone, "ada").pair
    forget(workspace, workspace.pair(pair).image.sha256)
    assert gone not in {each.item for each in studies.ratings(study)}
    assert pair not in {row["pair"] for row in studies.rows(study)}
    assert Runs(workspace.database).get(run).total == 7


def test_ratings_of_two_machines_come_together(
    workspace: Workspace, studies: Studies, make_study: Callable[..., int], tmp_path: Path
) -> None:
    import shutil

    study = make_study(own=0)
    copy = tmp_path / "copy"
    workspace.close()
    shutil.copytree(workspace.path, copy)
    rated(studies, study, "ada")
    with Workspace.open(copy) as other:
        rated(Studies(other.database), study, "ben")
    assert merge(workspace, copy).ratings == 7
    assert Counter(each.rater for each in studies.ratings(study)) == {"ada": 7, "ben": 7}
    assert not merge(workspace, copy).changed


def test_a_run_is_taken_told_and_finished(workspace: Workspace, add_pairs: Callable[..., list[int]]) -> None:
    runs, pairs = Runs(workspace.database), add_pairs(3)
    run = runs.start("ask", curator="ada", pairs=pairs, options={"asker": "keypoints"})
    assert runs.is_open()
    taken = runs.take()
    assert taken is not None
    assert (taken.id, taken.state, taken.total) == (run, "running", 3)
    first, second, third = runs.items(run, state="waiting", limit=9)
    runs.tell(first.id, tokens=(100, 10))
    runs.tell(second.id, error="no answer in 60 s")
    again = runs.take()  # another runner, after the first has died
    assert again is not None
    assert again.id == run
    assert [item.id for item in runs.items(run, state="waiting", limit=9)] == [third.id]
    runs.tell(third.id)
    runs.finish(run)
    record = runs.get(run)
    assert (record.state, record.done, record.failed, record.tokens_in, record.tokens_out) == ("done", 2, 1, 100, 10)
    assert [item.message for item in runs.items(run, state="failed", limit=9)] == ["no answer in 60 s"]
    assert not runs.is_open()


def test_runs_are_cancelled_waiting_or_running(workspace: Workspace, add_pairs: Callable[..., list[int]]) -> None:
    runs, pairs = Runs(workspace.database), add_pairs(2)
    running, waiting = (runs.start("fit", curator="ada", pairs=pairs) for _ in range(2))
    runs.take()
    for run in (running, waiting):
        runs.cancel(run)
    assert runs.get(waiting).state == "cancelled"
    assert not runs.goes_on(running)
    runs.finish(running)
    assert runs.get(running).state == "cancelled"
    with pytest.raises(StoreError, match="nothing to do"):
        runs.start("fit", curator="ada", pairs=[999])


def test_what_a_question_costs_is_learnt_from_answers(
    workspace: Workspace, add_pairs: Callable[..., list[int]]
) -> None:
    assert Runs(workspace.database).spent_per_question("toy") == (0, 0, 0)
    add_pairs(1)  # its answer says only how many tokens there were in all
    assert Runs(workspace.database).spent_per_question("toy")[2] == 0
