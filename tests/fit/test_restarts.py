"""Fits that ended badly start again: locked limbs are pushed apart, strained pairs annealed once more."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch

from apu.body.model import BodyModel
from apu.body.skinning import Pose, stack
from apu.fit import FitOptions, contest, fit_pair, fit_pairs, unite
from apu.fit.objective import Objective
from apu.fit.options import SCHEDULE, Phase
from apu.fit.problem import build_problem
from apu.fit.proxy import fit_body
from apu.fit.relief import NUM_BONES, mirrored
from apu.fit.solver import Solution
from apu.fit.start import initial_pose
from apu.fit.watch import FitProgress, Watch
from apu.metrics import joint_pa_mpjpe
from apu.synth import load_scenes
from apu.synth.draw import draw_scene
from apu.synth.observe import mesh_estimate, observe
from apu.types import BodyParams, Contact, FitResult, PairObservation

from . import conftest as exact
from .conftest import Scene, contact, part

Entered = list[tuple[Phase, int]]

SHORT = replace(SCHEDULE[-1], steps=4)
FREE = replace(SHORT, shape=True)
PLAIN = FitOptions(mirror=1e9, carried=1e9)
"""Without rivals of the starts that lead."""


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> Entered:
    """The phases that fits go through, and with how many rows each."""
    phases: Entered = []
    minimise = contest.minimise

    def noted(objective: Objective, pose: Pose, phase: Phase, **keywords: Any) -> Solution:
        phases.append((phase, len(pose.transl)))
        return minimise(objective, pose, phase, **keywords)

    monkeypatch.setattr(contest, "minimise", noted)
    return phases


@pytest.fixture(scope="module")
def free(body: BodyModel) -> PairObservation:
    """A hug from behind as an estimator sees it."""
    (scene,) = load_scenes(["back_hug"])
    return observe(scene, body, 5000).observation


@pytest.fixture(scope="module")
def locked(free: PairObservation, body: BodyModel) -> PairObservation:
    """The same, started with an arm on the wrong side of the other's trunk: the truth's mirror image in depth."""
    (scene,) = load_scenes(["back_hug"])
    pose = Pose.of(scene.params)
    arm = torch.zeros(2, NUM_BONES, dtype=torch.bool)
    arm[0, :2] = True
    pose = mirrored(pose, arm, fit_body(body).skin.skeleton)
    return replace(free, estimate=mesh_estimate(pose.params(), body))


@pytest.fixture(scope="module")
def left(locked: PairObservation, free: PairObservation, body: BodyModel) -> list[FitResult]:
    """Both, without a restart of any kind."""
    return fitted([locked, free], body, replace(PLAIN, kicks=0, strain=1e9))


def fitted(observations: Sequence[PairObservation], body: BodyModel, options: FitOptions) -> list[FitResult]:
    fits = fit_pairs(observations, [()] * len(observations), body, options=options)
    return [fit for fit in fits if isinstance(fit, FitResult)]


class TestLocked:
    def test_an_arm_through_a_trunk_is_pushed_out_and_fitted_again(
        self, locked: PairObservation, left: Sequence[FitResult], body: BodyModel
    ) -> None:
        pushed = fit_pair(locked, (), body)
        assert left[0].max_penetration_m > 0.015
        assert pushed.max_penetration_m < 0.01
        assert pushed.objective < 0.5 * left[0].objective
        assert pushed.stop.endswith("restarts")

    def test_they_are_pushed_as_they_were_before_they_met_and_then_as_they_lie(
        self, monkeypatch: pytest.MonkeyPatch, best: "unite._Best"
    ) -> None:
        pushes = self.unlocked(monkeypatch, best, gains=2)
        assert pushes == [(5.0, SCHEDULE[1:]), (3.0, SCHEDULE[-2:]), (3.0, SCHEDULE[-2:]), (3.0, SCHEDULE[-2:])]

    def test_the_first_push_need_not_gain_for_the_second_to_be_tried(
        self, monkeypatch: pytest.MonkeyPatch, best: "unite._Best"
    ) -> None:
        pushes = self.unlocked(monkeypatch, best, gains=0)
        assert pushes == [(5.0, SCHEDULE[1:]), (3.0, SCHEDULE[-2:])]

    def test_who_is_not_locked_is_left_alone(self, monkeypatch: pytest.MonkeyPatch, best: "unite._Best") -> None:
        assert self.unlocked(monkeypatch, best, gains=2, locked=0) == []

    @staticmethod
    def unlocked(
        monkeypatch: pytest.MonkeyPatch, best: "unite._Best", *, gains: int, locked: int = 2
    ) -> list[tuple[float, Sequence[Phase]]]:
        """Where the pairs were when they were pushed, each time, and the phases of the fit that followed.

        Args:
            gains: how many of the pairs are lower after every push. locked: how many are locked to begin with.
        """
        pushes: list[tuple[float, Sequence[Phase]]] = []
        rows = torch.arange(len(best.value))

        def kicked(objective: Objective, pose: Pose, options: FitOptions, **_: object) -> tuple[torch.Tensor, Pose]:
            return rows[: len(pose.transl)], pose

        def challenge(pairs: torch.Tensor, starts: Pose, phases: Sequence[Phase], watch: Watch) -> torch.Tensor:
            (depth,) = starts.transl[..., 2].unique().tolist()
            pushes.append((depth, phases))
            return pairs[:gains]

        monkeypatch.setattr(unite, "locked_pairs", lambda *_: rows[:locked])
        monkeypatch.setattr(unite, "kicked_starts", kicked)
        monkeypatch.setattr(best, "challenge", challenge)
        unite._unlock(best, moved(best.pose, 2.0), SCHEDULE[1:], SCHEDULE[-2:], watch_of(best))
        return pushes


class TestStrained:
    def test_of_a_batch_only_who_is_strained_goes_through_the_refit(
        self, locked: PairObservation, free: PairObservation, left: Sequence[FitResult], body: BodyModel,
        entered: Entered,
    ) -> None:  # fmt: skip
        again = fitted([locked, free], body, replace(PLAIN, kicks=0))
        assert again[0].objective < 0.9 * left[0].objective
        assert again[1].objective == pytest.approx(left[1].objective, rel=1e-6)
        assert [phase for phase, _ in entered] == [*SCHEDULE, *FitOptions().refit]
        rows = [rows for _, rows in entered]  # of more starts than pairs until the last phase
        assert rows[len(SCHEDULE) - 1 :] == [2] + [1] * len(FitOptions().refit)

    def test_a_contact_that_pulls_is_a_strain(self, scene: Scene, body: BodyModel, entered: Entered) -> None:
        """Two heads that cannot meet, for the people's feet are seen."""
        said = replace(contact(part("head"), part("head"), 0.5), source="curator")
        fit_pair(scene.observation, (said,), body, options=replace(PLAIN, schedule=(SHORT,), refit=(FREE, SHORT)))
        assert [phase for phase, _ in entered] == [SHORT, FREE, SHORT]

    def test_a_refit_is_not_annealed_again(self, locked: PairObservation, body: BodyModel, entered: Entered) -> None:
        start = initial_pose(locked, fit_body(body)).params()
        fit_pair(locked, (), body, start=start, options=FitOptions(refit=(FREE, SHORT), kicks=0))
        assert [phase for phase, _ in entered] == [FREE, SHORT]

    def test_phases_that_end_in_another_objective_are_no_second_try(
        self, locked: PairObservation, body: BodyModel, entered: Entered
    ) -> None:
        fit_pair(locked, (), body, options=replace(PLAIN, schedule=(SHORT,), refit=(SHORT, FREE), kicks=0))
        assert [phase for phase, _ in entered] == [SHORT]


class Dance(NamedTuple):
    truth: BodyParams
    seen: PairObservation
    touch: tuple[Contact, ...]


@pytest.fixture(scope="module")
def dance(body: BodyModel) -> Dance:
    """Two who dance, seen exactly, whose estimate has an arm of each the wrong way round in depth."""
    scene = draw_scene("ballroom_hold", 2, fit_body(body))
    touch = tuple(replace(c, weight=1.0, source="curator") for c in scene.recipe.true_contacts)
    arms = torch.zeros(2, NUM_BONES, dtype=torch.bool)
    arms[0, :2] = arms[1, 2:4] = True
    wrong = mirrored(Pose.of(scene.params), arms, fit_body(body).skin.skeleton).params()
    right, started = (exact.observe(body, params, noise=0.05) for params in (scene.params, wrong))
    return Dance(scene.params, replace(right, estimate=started.estimate), touch)


class TestOtherReadings:
    def test_two_arms_that_point_the_wrong_way_are_put_right(self, body: BodyModel, dance: Dance) -> None:
        """Four limbs touch: too many for every combination of their readings to begin with."""
        with_all, with_some = (fit_pair(dance.seen, dance.touch, body, options=o) for o in (FitOptions(), PLAIN))
        joints, others, truth = (body.forward(p).joints for p in (with_all.params, with_some.params, dance.truth))
        assert with_all.objective < 0.8 * with_some.objective
        assert joint_pa_mpjpe(joints, truth) < 50 < 100 < joint_pa_mpjpe(others, truth)

    def test_a_refit_of_the_same_contacts_ends_where_it_began(self, body: BodyModel, dance: Dance) -> None:
        for touch in (dance.touch, dance.touch[:1]):  # with one contact most limbs have their price
            first = fit_pair(dance.seen, touch, body)
            again = fit_pair(dance.seen, touch, body, start=first.params)
            assert again.terms["given_up"][-1] == first.terms["given_up"][-1]
            assert again.objective < 1.25 * first.objective  # pulled back to the other reading it ended at 1.45

    @pytest.mark.parametrize(("apart", "least", "most"), [(True, 48, 48), (False, 0, 0), (None, 1, 47)])
    def test_of_the_two_lowest_what_is_worth_a_trial_is_tried(
        self, apart: bool | None, least: int, most: int, body: BodyModel, dance: Dance, entered: Entered,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """All 24 readings of each, none, or those of bones that point out of the image plane."""
        if apart is not None:
            every = lambda pose, _: torch.full((len(pose.transl), 2, NUM_BONES), apart)  # noqa: E731
            monkeypatch.setattr(contest, "distinguishable", every)
        fit_pair(dance.seen, dance.touch, body, options=FitOptions(kicks=0, strain=1e9))
        assert least <= sum(rows for phase, rows in entered if phase == replace(SCHEDULE[0], steps=10)) <= most

    def test_what_is_tried_for_a_few_steps_is_not_told(self, body: BodyModel, dance: Dance) -> None:
        told: list[FitProgress] = []
        fit = fit_pair(dance.seen, dance.touch, body, progress=told.append)
        assert [each.fraction for each in told] == sorted(each.fraction for each in told)
        plain = list[FitProgress]()
        fit_pair(dance.seen, dance.touch, body, options=PLAIN, progress=plain.append)
        begun = [sum(each.terms.values()) for each in told]
        assert begun[:20] == pytest.approx([sum(each.terms.values()) for each in plain][:20])
        assert fit.iterations == len(told)

    def test_who_has_no_more_to_gain_than_it_costs_is_left_alone(
        self, free: PairObservation, left: Sequence[FitResult], body: BodyModel, entered: Entered
    ) -> None:
        price = 2 * max(map(sum, zip(*left[1].terms.values(), strict=True)))  # more than the objective ever was
        fitted([free], body, FitOptions(kicks=0, strain=1e9, mirror=price))
        assert [phase for phase, _ in entered] == [*SCHEDULE]


def moved(pose: Pose, metres: float) -> Pose:
    return replace(pose, transl=pose.transl + pose.transl.new_tensor([0, 0, metres]))


def watch_of(best: "unite._Best") -> Watch:
    return Watch(range(len(best.value)), None, None, deadline=float("inf"), last=SCHEDULE[-1])


@pytest.fixture
def best(scene: Scene, body: BodyModel) -> "unite._Best":
    """Four pairs, three metres away, at an objective of 100 each."""
    prepared, options = fit_body(body), FitOptions()
    start = initial_pose(scene.observation, prepared)
    start.transl[:, 2] = 3.0
    problem = build_problem([scene.observation] * 4, [()] * 4, [start] * 4, prepared, options)
    return unite._Best(
        Objective(*problem, prepared, options), torch.arange(4), stack([start] * 4), torch.full((4,), 100.0)
    )


def test_a_challenger_is_kept_where_it_is_lower_by_more_than_a_thousandth(
    best: "unite._Best", monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = torch.tensor([99.0, 99.99, float("nan"), 101.0])

    def race(objective: Objective, pose: Pose, *_: object) -> tuple[torch.Tensor, Pose, torch.Tensor]:
        return torch.arange(4), moved(pose, 1.0), ends

    monkeypatch.setattr(unite, "race", race)
    watch = watch_of(best)
    gained = best.challenge(torch.arange(4), best.pose, SCHEDULE, watch)
    assert gained.tolist() == [0]
    assert best.value.tolist() == [99.0, 100.0, 100.0, 100.0]
    assert best.pose.transl[:, 0, 2].tolist() == [4.0, 3.0, 3.0, 3.0]
    assert [watch.stop(row) for row in range(2)] == ["steps, 1 restarts", "steps"]


def test_a_challenger_is_compared_with_its_own_pair(best: "unite._Best", monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two starts of the third pair and one of the first, the second and the third won their races."""

    def race(objective: Objective, pose: Pose, *_: object) -> tuple[torch.Tensor, Pose, torch.Tensor]:
        return torch.tensor([1, 2]), moved(pose[torch.tensor([1, 2])], 1.0), torch.tensor([50.0, 200.0])

    monkeypatch.setattr(unite, "race", race)
    pairs = torch.tensor([2, 2, 0])
    assert best.challenge(pairs, best.pose[pairs], SCHEDULE, watch_of(best)).tolist() == [2]
    assert best.value.tolist() == [100.0, 100.0, 50.0, 100.0]
    assert best.pose.transl[:, 0, 2].tolist() == [3.0, 3.0, 4.0, 3.0]


def test_nothing_is_challenged_when_the_time_is_over(best: "unite._Best", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unite, "race", lambda *_: pytest.fail("there is no time left"))
    late = Watch(range(4), None, None, deadline=0.0, last=SCHEDULE[-1])
    assert best.challenge(torch.arange(4), best.pose, SCHEDULE, late).tolist() == []


def test_a_fit_that_runs_out_of_time_in_its_first_phase_has_not_converged(scene: Scene, body: BodyModel) -> None:
    early = fit_pair(scene.observation, (), body, options=FitOptions(max_seconds=1e-6))
    assert early.stop == "time"
