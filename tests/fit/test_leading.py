"""Which of a pair's starts go on: the lowest few of each pair, and of those that lie together only one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from apu.body.model import BodyModel
from apu.body.skinning import NUM_JOINTS, Pose, Skeleton
from apu.fit import FitOptions, contest
from apu.fit.objective import Objective
from apu.fit.options import Phase
from apu.fit.problem import build_problem
from apu.fit.proxy import fit_body
from apu.fit.watch import Watch
from apu.types import NUM_BETAS

from .conftest import Scene

NAN = float("nan")
OPTIONS = FitOptions(leading=2)
FULL = OPTIONS.schedule[0].steps


@pytest.fixture(scope="module")
def skeleton(body: BodyModel) -> Skeleton:
    return fit_body(body).skin.skeleton


def leading(value: Sequence[float], owner: Sequence[int], most: int) -> list[int]:
    return contest.leading(torch.tensor(value), torch.tensor(owner), most).tolist()


def at(*depths: float) -> Pose:
    """Two people of each start at rest, person 0 so many metres away."""
    place = torch.zeros(len(depths), 2, 3)
    place[:, 0, 2] = torch.tensor(depths)
    turns = torch.eye(3).expand(len(depths), 2, NUM_JOINTS, 3, 3)
    return Pose(turns, torch.zeros(len(depths), 2, NUM_BETAS), place)


def distinct(skeleton: Skeleton, pose: Pose, value: Sequence[float], owner: Sequence[int]) -> list[int]:
    return contest.distinct(skeleton, pose, torch.tensor(value), torch.tensor(owner)).tolist()


class TestLeading:
    def test_the_lowest_of_each_pair_lead_in_their_order(self) -> None:
        assert leading([5.0, 1.0, 3.0, 9.0, 8.0], [0, 0, 0, 1, 1], 2) == [1, 2, 3, 4]
        assert leading([5.0, 1.0, 3.0, 9.0, 8.0], [0, 0, 0, 1, 1], 1) == [1, 4]

    def test_a_pair_is_not_measured_by_its_neighbours(self) -> None:
        assert leading([100.0, 200.0, 1.0, 2.0], [4, 4, 7, 7], 1) == [0, 2]

    def test_the_starts_of_a_pair_need_not_follow_each_other(self) -> None:
        assert leading([3.0, 1.0, 2.0, 9.0, 0.5], [0, 1, 0, 1, 0], 2) == [1, 2, 3, 4]

    def test_fewer_starts_than_may_lead_all_do(self) -> None:
        assert leading([2.0, 1.0, 7.0], [0, 0, 1], 6) == [0, 1, 2]

    def test_what_is_not_a_number_comes_last(self) -> None:
        assert leading([NAN, 2.0, 3.0], [0, 0, 0], 2) == [1, 2]
        assert leading([float("inf"), NAN, 2.0], [0, 0, 1], 1) == [0, 2]

    def test_a_pair_without_a_number_keeps_a_start(self) -> None:
        assert leading([NAN, NAN, 1.0], [0, 0, 1], 1) == [0, 2]

    def test_of_equally_low_starts_the_earlier_leads(self) -> None:
        assert leading([3.0, 1.0, 1.0, 1.0], [0, 0, 0, 0], 2) == [1, 2]


class TestDistinct:
    def test_of_starts_in_one_place_the_lower_stays(self, skeleton: Skeleton) -> None:
        assert distinct(skeleton, at(3.0, 3.01, 3.5), [2.0, 1.0, 9.0], [0, 0, 0]) == [1, 2]

    def test_of_equally_low_starts_in_one_place_the_earlier_stays(self, skeleton: Skeleton) -> None:
        assert distinct(skeleton, at(3.0, 3.01, 3.02), [1.0, 1.0, 1.0], [0, 0, 0]) == [0]

    def test_five_centimetres_tell_places_apart(self, skeleton: Skeleton) -> None:
        assert distinct(skeleton, at(3.0, 3.04), [1.0, 2.0], [0, 0]) == [0]
        assert distinct(skeleton, at(3.0, 3.06), [1.0, 2.0], [0, 0]) == [0, 1]

    def test_one_joint_far_off_is_another_place(self, skeleton: Skeleton) -> None:
        pose = at(3.0, 3.0)
        turns = pose.rotations.clone()
        turns[1, 1, 18] = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))  # an elbow moves nothing but its hand
        assert distinct(skeleton, Pose(turns, pose.betas, pose.transl), [1.0, 2.0], [0, 0]) == [0, 1]

    def test_other_pairs_in_the_same_place_do_not_count(self, skeleton: Skeleton) -> None:
        assert distinct(skeleton, at(3.0, 3.0, 3.0), [1.0, 2.0, 3.0], [0, 5, 9]) == [0, 1, 2]

    def test_pairs_of_different_sizes_keep_their_own(self, skeleton: Skeleton) -> None:
        pose, value = at(3.0, 3.0, 4.0, 3.0, 4.0, 4.0), [2.0, 1.0, 9.0, 5.0, 7.0, 6.0]
        assert distinct(skeleton, pose, value, [0, 0, 0, 1, 1, 1]) == [1, 2, 3, 5]
        assert distinct(skeleton, pose, value, [0, 1, 1, 1, 2, 2]) == [0, 1, 2, 5]

    def test_what_is_not_a_number_takes_nobodys_place(self, skeleton: Skeleton) -> None:
        assert distinct(skeleton, at(3.0, 3.0), [NAN, 2.0], [0, 0]) == [0, 1]

    def test_equally_low_starts_do_not_both_go(self, skeleton: Skeleton) -> None:
        assert distinct(skeleton, at(3.0, 3.0, 4.0), [1.0, 1.0, 2.0], [0, 0, 0])[-1] == 2
        assert len(distinct(skeleton, at(3.0, 3.0, 4.0), [1.0, 1.0, 2.0], [0, 0, 0])) > 1


class Descent:
    """Stands for the solver: every start stays where it is, at a given height; notes who took how many steps."""

    def __init__(self, value: Sequence[float]):
        self.value, self.taken = torch.tensor(value), list[tuple[list[int], int]]()

    def __call__(
        self, objective: Objective, pose: Pose, phases: Sequence[Phase], watch: Watch, rows: torch.Tensor
    ) -> tuple[Pose, torch.Tensor]:
        (phase,) = phases
        assert len(objective.problem) == len(pose.transl) == len(rows)
        self.taken.append((rows.tolist(), phase.steps))
        return pose, self.value[rows]


FirstPhase = Callable[[Descent, Pose, Sequence[int]], list[int]]


@pytest.fixture
def first_phase(scene: Scene, body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> FirstPhase:
    """Which starts lead after the first phase, when two may."""

    def first_phase(descent: Descent, pose: Pose, owner: Sequence[int]) -> list[int]:
        monkeypatch.setattr(contest, "anneal", descent)
        count, prepared = len(owner), fit_body(body)
        starts = [pose[i] for i in range(count)]
        problem = build_problem([scene.observation] * count, [()] * count, starts, prepared, OPTIONS)
        watch = Watch(owner, None, None, deadline=float("inf"), last=OPTIONS.schedule[-1])
        ahead = contest.first_phase(
            Objective(*problem, prepared, OPTIONS),
            torch.arange(count),
            pose,
            OPTIONS.schedule[0],
            watch,
            watch.owner,
            OPTIONS.leading,
        )
        torch.testing.assert_close(ahead.pose.transl, pose.transl[ahead.rows])
        torch.testing.assert_close(ahead.value, descent.value[ahead.rows])
        return ahead.rows.tolist()

    return first_phase


class TestFirstPhase:
    def test_every_start_takes_all_of_it_and_the_lowest_lead(self, first_phase: FirstPhase) -> None:
        descent = Descent([5.0, 1.0, 4.0, 2.0, 3.0, 7.0, 6.0])
        assert first_phase(descent, at(*range(3, 10)), [0, 0, 0, 0, 0, 1, 1]) == [1, 3, 5, 6]
        assert descent.taken == [(list(range(7)), FULL)]

    def test_no_leading_place_is_taken_twice(self, first_phase: FirstPhase) -> None:
        assert first_phase(Descent([1.0, 2.0, 3.0]), at(3.0, 3.01, 4.0), [0, 0, 0]) == [0, 2]


def test_rivals_begin_where_those_ahead_have_come(
    scene: Scene, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only those whose price is below what leads: no other term is less than nothing."""
    pose, prepared, owner = at(3.0, 4.0, 5.0), fit_body(body), torch.tensor([0, 0, 1])
    problem = build_problem([scene.observation] * 3, [()] * 3, [pose[i] for i in range(3)], prepared, OPTIONS)
    objective = Objective(*problem, prepared, OPTIONS)
    ahead = contest.Ahead(objective, torch.arange(3), pose, torch.tensor([5.0, 6.0, 7.0]))
    dear = replace(problem[0], given_up=torch.tensor([6.5, 0.0, 1.0]))
    rivals = Objective(dear, *problem[1:], prepared, OPTIONS), torch.tensor([1, 0, 2])
    descent, begun = Descent([4.0, 8.0, 3.0]), list[Pose]()

    def anneal(objective: Objective, pose: Pose, *rest: Any) -> tuple[Pose, torch.Tensor]:
        begun.append(pose)
        return descent(objective, pose, *rest)

    monkeypatch.setattr(contest, "anneal", anneal)
    watch = Watch(owner.tolist(), None, None, deadline=float("inf"), last=OPTIONS.schedule[-1])
    left = contest.against(rivals, ahead, OPTIONS.schedule[0], watch, owner, OPTIONS.leading)
    assert descent.taken == [([0, 2], FULL)]
    torch.testing.assert_close(begun[0].transl, pose.transl[[0, 2]])
    assert sorted(left.value.tolist()) == [3.0, 4.0, 5.0, 7.0]  # two of each pair
