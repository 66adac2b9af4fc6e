"""A fit repairs what was disturbed, obeys its caller, and is the same for the same input."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from apu.body.model import BodyModel
from apu.body.regions import regions_of
from apu.body.skinning import EVERY, NUM_PARAMS, Pose, stack
from apu.errors import FitError
from apu.fit import FitCancelled, FitOptions, FitProgress, contest, fit_pair, fit_pairs, lies_closer_exchanged, unite
from apu.fit.kicks import kicked_starts
from apu.fit.objective import Objective
from apu.fit.options import Phase, Stance, check_whole
from apu.fit.problem import build_problem
from apu.fit.proxy import fit_body
from apu.fit.solver import Solution, minimise
from apu.fit.start import initial_pose
from apu.metrics import contact_gaps, reprojection_error
from apu.types import Contact, FitResult, PairObservation

Contacts = tuple[Contact, ...]


@pytest.fixture(scope="module")
def fitted(scene, touch: Contacts, body: BodyModel) -> FitResult:
    return fit_pair(scene.observation, touch, body)


def test_the_fit_lies_on_the_keypoints_and_in_contact(scene, fitted: FitResult, body: BodyModel) -> None:
    before = reprojection_error(body.keypoints(fitted.start), scene.observation)[0]
    assert (before > 20).all()
    assert (fitted.reprojection_512 < 5).all()
    assert fitted.max_gap_m < 0.01
    assert fitted.max_penetration_m < 0.01
    assert fitted.kept


def test_the_fit_is_nearer_to_the_truth_than_its_start(scene, fitted: FitResult, body: BodyModel) -> None:
    truth = body.forward(scene.truth).joints[:, :22]

    def error(params) -> float:
        joints = body.forward(params).joints[:, :22]
        return float(np.linalg.norm((joints - joints.mean((0, 1))) - (truth - truth.mean((0, 1))), axis=-1).mean())

    assert error(fitted.params) < 0.7 * error(fitted.start)


def test_the_figures_are_those_of_the_meshes(fitted: FitResult, scene, body: BodyModel) -> None:
    """The fit's own forward model is within 0.02 mm of the body's."""
    vertices = body.forward(fitted.params).vertices
    np.testing.assert_allclose(fitted.gaps_m, contact_gaps(vertices, fitted.contacts, regions_of(body)), atol=2e-5)
    expected = reprojection_error(body.keypoints(fitted.params), scene.observation)[0]
    np.testing.assert_allclose(fitted.reprojection_512, expected, atol=1e-3)


def test_the_same_input_gives_the_same_fit(scene, touch: Contacts, fitted: FitResult, body: BodyModel) -> None:
    fit_pair(scene.observation.swapped(), (), body)  # what a thread keeps between fits has no say
    again = fit_pair(scene.observation, touch, body)
    for name, array in fitted.params.arrays().items():
        np.testing.assert_array_equal(array, again.params.arrays()[name], err_msg=name)


def test_the_objective_does_not_know_who_is_person_0(scene, touch: Contacts, body: BodyModel) -> None:
    """The same two bodies in either order: equal terms, and a Gauss-Newton system that is only re-ordered."""
    systems = []
    for observation, contacts in (
        (scene.observation, touch),
        (scene.observation.swapped(), [c.swapped for c in touch]),
    ):
        start, options, prepared = initial_pose(observation, fit_body(body)), FitOptions(), fit_body(body)
        objective = Objective(*build_problem([observation], [contacts], [start], prepared, options), prepared, options)
        evaluation = objective.evaluate(stack([start]), options.schedule[-1])
        systems.append((evaluation.terms, evaluation.linearise(EVERY)))
    (terms, system), (other_terms, other) = systems
    for name, value in terms.items():
        assert float(other_terms[name]) == pytest.approx(float(value), rel=1e-4), name
    order = torch.arange(2 * NUM_PARAMS).roll(NUM_PARAMS)
    scale = system.hessian.abs().max()
    torch.testing.assert_close(other.hessian[0][order][:, order] / scale, system.hessian[0] / scale, atol=1e-5, rtol=0)


def test_exchanging_the_people_exchanges_the_result(
    scene, touch: Contacts, body: BodyModel, observed: Callable[..., PairObservation]
) -> None:
    """Rounding differs with the order, and of minima centimetres apart it takes another now and then, on any processor.

    So five starts near the truth are asked: mostly the same minimum, and neither order ends lower.
    """
    apart, lower, pixels = [], [], []
    for seed in range(5):
        near = observed(body, scene.truth, noise=0.05, seed=seed)
        one, other = fit_pair(near, touch, body), fit_pair(near.swapped(), tuple(c.swapped for c in touch), body)
        distance = body.forward(one.params).joints[:, :22] - body.forward(other.params).joints[::-1, :22]
        apart.append(np.linalg.norm(distance, axis=-1).mean())
        lower.append(np.log(other.objective / one.objective))
        pixels.append(np.abs(other.reprojection_512[::-1] - one.reprojection_512).max())
    assert np.median(apart) < 0.02
    assert max(apart) < 0.1
    assert abs(np.mean(lower)) < 0.1
    assert np.median(np.abs(lower)) < 0.2
    assert max(pixels) < 1


def test_a_contact_that_lies_closer_with_the_people_exchanged_is_exchanged(
    scene, touch: Contacts, body: BodyModel
) -> None:
    """Stated of the wrong foot and hand, both orders of an answer end in the one that lies closer at the start."""
    hand, foot = touch[0].parts[0], replace(touch[0].parts[0], name="foot")
    stated = (replace(touch[0], parts=(foot, hand)),)
    exchanged = [lies_closer_exchanged(scene.observation, c, body) for c in (stated, (stated[0].swapped,))]
    assert sorted(exchanged) == [False, True]
    assert not lies_closer_exchanged(scene.observation, touch, body), "the truth stays"
    assert not lies_closer_exchanged(scene.observation, (), body)


def test_progress_only_goes_forward_and_shows_both_stages(scene, touch: Contacts, body: BodyModel) -> None:
    seen: list[FitProgress] = []
    result = fit_pair(scene.observation, touch, body, progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= fractions[-1] <= 1
    assert [stage for stage, _ in itertools.groupby(p.stage for p in seen)] == [1, 2]
    assert len(seen) == result.iterations
    assert all(p.params.finite for p in seen)
    assert all(len(values) == result.iterations + 1 for values in result.terms.values())


def test_a_cancelled_fit_stops_within_one_step(scene, touch: Contacts, body: BodyModel) -> None:
    seen: list[FitProgress] = []
    with pytest.raises(FitCancelled):
        fit_pair(scene.observation, touch, body, progress=seen.append, cancelled=lambda: len(seen) >= 3)
    assert len(seen) == 3


def test_when_the_time_is_over_no_further_phase_begins(
    scene, touch: Contacts, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases: list[Phase] = []

    def noted(objective: Objective, pose: Pose, phase: Phase, **options: Any) -> Solution:
        phases.append(phase)
        return minimise(objective, pose, phase, **options)

    monkeypatch.setattr(contest, "minimise", noted)
    for name in ("locked_pairs", "kicked_starts"):
        monkeypatch.setattr(unite, name, None)
    options = FitOptions(max_seconds=1e-6)
    result = fit_pair(scene.observation, touch, body, options=options)
    assert phases == [options.schedule[0]]
    assert (result.stop, result.iterations) == ("time", 1)
    assert result.params.finite


def test_a_contact_without_weight_is_none(scene, touch: Contacts, body: BodyModel) -> None:
    unweighed = fit_pair(scene.observation, [replace(touch[0], weight=0.0)], body)
    without = fit_pair(scene.observation, (), body)
    assert unweighed.objective == pytest.approx(without.objective, rel=1e-4)
    np.testing.assert_allclose(unweighed.params.body_pose, without.params.body_pose, atol=1e-3)


@pytest.mark.parametrize("depth", [-10.0, 10_000.0, np.nan])
def test_a_mesh_that_the_camera_cannot_see_is_named(scene, body: BodyModel, depth: float) -> None:
    estimate = scene.observation.estimate
    joints = estimate.joints.copy()
    joints[1, :, 2] = depth
    with pytest.raises(FitError, match=r"scene\.png: person B's initial mesh must be in front of the camera"):
        fit_pair(replace(scene.observation, estimate=replace(estimate, joints=joints)), (), body)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("transl", [[0, 0, 3], [0, 0, -10]], r"nearer than 100 m, got \(0, 0, 3\) and \(0, 0, -10\) m; fit afresh"),
        ("transl", [[0, 0, 3], [1e30, 0, 3]], r"in front of the camera and nearer than 100 m"),
        ("transl", [[0, 0, 3]], r"have the parameters of two people, got transl of \(1, 3\); fit afresh"),
        ("betas", np.zeros((2, 10)), r"have the parameters of two people, got betas of \(2, 10\)"),
        ("body_pose", np.full((2, 21, 3), np.nan), "be finite; fit afresh"),
    ],
)
def test_a_fit_that_nothing_can_go_on_from_is_named(
    scene, touch: Contacts, fitted: FitResult, body: BodyModel, name: str, value: Sequence[Sequence[float]], says: str
) -> None:
    away = replace(fitted.params)
    object.__setattr__(away, name, np.array(value, np.float32))  # as where nobody checks shapes
    with pytest.raises(FitError, match=rf"scene\.png: the fit to go on from must .*{says}"):
        fit_pair(scene.observation, touch, body, start=away)
    other, good = fit_pairs([scene.observation] * 2, [touch] * 2, body, starts=[away, fitted.params])
    assert isinstance(other, FitError)
    assert isinstance(good, FitResult)


def test_pairs_fitted_together_are_fitted_as_alone(scene, touch: Contacts, observed, body: BodyModel) -> None:
    """Others in the batch, other sizes of it, one that cannot be fitted: a pair's fit stays what it is.

    Up to rounding, which differs with a batch's size; see above.
    """
    blind = scene.observation.keypoints.copy()
    blind[..., 2] = 0
    nobody = replace(scene.observation, keypoints=blind)
    seen = [observed(body, scene.truth, seed=seed) for seed in range(5)]
    contacts = [(), *[touch] * 4]
    nothing, *results = fit_pairs([nobody, *seen], [touch, *contacts], body)
    assert isinstance(nothing, FitError)
    assert "no keypoint" in str(nothing)
    apart, lower = [], []
    for observation, stated, together in zip(seen, contacts, results, strict=True):
        assert isinstance(together, FitResult)
        alone = fit_pair(observation, stated, body)
        joints = [body.forward(result.params).joints[:, :22] for result in (alone, together)]
        apart.append(np.linalg.norm(joints[0] - joints[1], axis=-1).mean())
        lower.append(np.log(together.objective / alone.objective))
        np.testing.assert_allclose(together.reprojection_512, alone.reprojection_512, atol=1)
    assert np.median(apart) < 0.01
    assert max(apart) < 0.1
    assert abs(np.mean(lower)) < 0.1
    assert np.median(np.abs(lower)) < 0.1
    assert fit_pairs([], [], body) == []


def test_two_threads_give_the_same_fits_as_one(
    scene, touch: Contacts, observed, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs on their own, of people who start inside each other; the second cannot be fitted."""
    monkeypatch.setattr(unite, "_TOGETHER", 1)
    blind = scene.observation.keypoints.copy()
    blind[..., 2] = 0
    seen = [observed(body, scene.truth, seed=seed) for seed in range(4)]
    seen[1] = replace(scene.observation, keypoints=blind)
    contacts = [(), touch, (), touch]
    params = [initial_pose(each, fit_body(body)).params() for each in seen]
    starts = [replace(each, transl=each.transl + np.float32([[0.4, 0, 0], [0, 0, 0]])) for each in params]
    told: list[tuple[int, bool]] = []

    def fitted(threads: int) -> list[FitResult | FitError]:
        def progress(now: FitProgress) -> None:
            told.append((now.pair, threading.current_thread() is threading.main_thread()))

        return fit_pairs(
            seen, contacts, body, starts=starts, threads=threads, progress=progress,
            options=FitOptions(refit=(replace(FitOptions().schedule[-1], steps=4),), kicks=0),
        )  # fmt: skip

    one, two = fitted(1), fitted(2)
    assert {pair for pair, _ in told} == {0, 2, 3}
    assert {main for _, main in told} == {True, False}
    assert len(one) == len(two) == 4
    for alone, beside in zip(one, two, strict=True):
        assert type(alone) is type(beside)
        if isinstance(alone, FitResult) and isinstance(beside, FitResult):
            np.testing.assert_equal(beside.params.arrays(), alone.params.arrays())
            assert beside.terms == alone.terms


def test_lists_of_different_lengths_are_refused_in_one_sentence(
    scene, touch: Contacts, fitted: FitResult, body: BodyModel
) -> None:
    pair = scene.observation
    with pytest.raises(ValueError, match="equally long, one entry per pair, got observations: 2, contacts: 1"):
        fit_pairs([pair, pair], [touch], body)
    with pytest.raises(ValueError, match="observations: 1, contacts: 2"):
        fit_pairs([pair], [touch, touch], body)
    with pytest.raises(ValueError, match="observations: 1, contacts: 1, starts: 2"):
        fit_pairs([pair], [touch], body, starts=[fitted.params] * 2)


@pytest.mark.parametrize(
    ("row", "column", "value"), [(0, 0, np.nan), (1, 1, np.inf), (0, 2, np.nan), (0, 0, 0.0), (1, 1, -500.0)]
)
def test_a_camera_that_says_nothing_is_named(scene, body: BodyModel, row: int, column: int, value: float) -> None:
    camera = scene.observation.camera
    K = camera.K.copy()
    K[row, column] = value
    with pytest.raises(
        FitError, match=r"scene\.png: the camera's matrix must be finite and its focal lengths positive"
    ):
        fit_pair(replace(scene.observation, camera=replace(camera, K=K)), (), body)


def test_a_refit_goes_on_from_the_earlier_fit(scene, touch: Contacts, fitted: FitResult, body: BodyModel) -> None:
    """A contact more, from the fit without it: in fewer steps as good as from the beginning."""
    without = fit_pair(scene.observation, (), body)
    refit = fit_pair(scene.observation, touch, body, start=without.params)
    assert refit.iterations < fitted.iterations
    assert refit.max_gap_m < 0.01
    total = [result.objective for result in (refit, fitted)]
    assert total[0] < 1.1 * total[1]
    for name, array in refit.start.arrays().items():
        np.testing.assert_array_equal(
            array, fitted.start.arrays()[name], err_msg="the estimator's guess stays the prior"
        )


@pytest.mark.parametrize("name", ["betas", "body_pose"])
def test_what_does_not_come_out_finite_is_no_result(
    scene, touch: Contacts, fitted: FitResult, body: BodyModel, name: str
) -> None:
    wild = getattr(fitted.params, name).copy()
    wild[0, 0] = 1e30
    with pytest.raises(FitError, match=r"scene\.png: the fit did not stay finite"):
        fit_pair(scene.observation, touch, body, start=replace(fitted.params, **{name: wild}))


def test_a_step_that_is_not_finite_is_refused(scene, touch: Contacts, body: BodyModel, monkeypatch) -> None:
    """NaN in the objective from the third evaluation on: the best finite state stands."""
    evaluate, seen = Objective.evaluate, []

    def poisoned(self: Objective, pose, phase):
        seen.append(None)
        evaluation = evaluate(self, pose, phase)
        return evaluation if len(seen) < 3 else replace(evaluation, total=evaluation.total * torch.nan)

    monkeypatch.setattr(Objective, "evaluate", poisoned)
    result = fit_pair(scene.observation, touch, body)
    assert result.params.finite
    assert len(seen) > 3


def test_a_start_that_is_not_finite_is_named(scene, touch: Contacts, body: BodyModel) -> None:
    joints = scene.observation.estimate.joints.copy()
    joints[0, 3] = np.inf
    broken = replace(scene.observation, estimate=replace(scene.observation.estimate, joints=joints))
    results = fit_pairs([broken, scene.observation], [touch, touch], body)
    assert isinstance(results[0], FitError)
    assert "finite" in str(results[0])
    assert isinstance(results[1], FitResult)


def test_the_time_limit_keeps_the_best_state(scene, touch: Contacts, body: BodyModel) -> None:
    result = fit_pair(scene.observation, touch, body, options=FitOptions(max_seconds=1e-3))
    assert result.stop.startswith("time")
    assert result.params.finite
    assert result.iterations <= 1 + len(FitOptions().schedule), "of every phase no more than the step it was in"


def test_a_pair_without_a_usable_keypoint_is_refused_in_one_sentence(scene, body: BodyModel) -> None:
    blind = scene.observation.keypoints.copy()
    blind[..., 2] = 0
    with pytest.raises(FitError, match=r"scene\.png: no keypoint"):
        fit_pair(replace(scene.observation, keypoints=blind), (), body)


def test_one_unseen_person_still_leaves_a_finite_fit(scene, touch: Contacts, body: BodyModel) -> None:
    half = scene.observation.keypoints.copy()
    half[1, :, 2] = 0
    result = fit_pair(replace(scene.observation, keypoints=half), touch, body)
    assert result.params.finite
    assert np.isnan(result.reprojection_512[1])
    assert not result.kept


def test_nan_keypoints_count_as_unseen(scene, touch: Contacts, body: BodyModel) -> None:
    holes = scene.observation.keypoints.copy()
    holes[0, 3:6] = np.nan
    result = fit_pair(replace(scene.observation, keypoints=holes), touch, body)
    assert result.params.finite
    assert (result.reprojection_512 < 10).all()


def test_limbs_that_start_inside_the_other_body_come_out(scene, body: BodyModel) -> None:
    """Both people pushed into each other along the viewing direction's side: the fit ends with skin on skin."""
    estimate = scene.observation.estimate
    joints = estimate.joints.copy()
    joints[0, :, 0] += 0.25
    start = replace(scene.observation, estimate=replace(estimate, joints=joints))
    result = fit_pair(start, (), body)
    assert result.max_penetration_m < 0.01


@pytest.mark.parametrize(
    ("name", "value"),
    [("keypoint_sigma", 0.0), ("contact_sigma", -0.1), ("transl_sigma", (0.1, 0.0, 0.1)), ("max_seconds", -1.0)],
)
def test_options_check_themselves(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        FitOptions(**{name: value})


def test_the_stance_checks_itself() -> None:
    with pytest.raises(ValueError, match="tilt_sigma"):
        Stance(tilt_sigma=(0.1, 0.0))


def test_a_push_apart_keeps_the_shapes(scene, body: BodyModel) -> None:
    """Two people in one place start again pushed apart, with the betas they had."""
    estimate = scene.observation.estimate
    joints = estimate.joints.copy()
    joints[0] += joints[1].mean(0) - joints[0].mean(0)
    observation = replace(scene.observation, estimate=replace(estimate, joints=joints))
    options, prepared = FitOptions(), fit_body(body)
    start = initial_pose(observation, prepared)
    objective = Objective(*build_problem([observation], [()], [start], prepared, options), prepared, options)
    which, starts = kicked_starts(objective, stack([start]), options)
    assert which.tolist() == [0, 0]
    for pushed in (starts[0], starts[1]):
        torch.testing.assert_close(pushed.betas, start.betas)
        assert (pushed.transl - start.transl).norm(dim=-1).max() > 0.02

    class Stopped(Exception): ...

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        kicked_starts(objective, stack([start]), options, check=stop)


def test_the_place_of_a_keypoint_that_is_not_used_does_not_matter(
    scene, touch: Contacts, fitted: FitResult, body: BodyModel
) -> None:
    keypoints = scene.observation.keypoints.copy()
    keypoints[0, 4] = (0, 0, 0)
    plain = fit_pair(replace(scene.observation, keypoints=keypoints), touch, body)
    keypoints[0, 4] = (np.inf, 1e22, 0)
    wild = fit_pair(replace(scene.observation, keypoints=keypoints), touch, body)
    np.testing.assert_array_equal(wild.params.body_pose, plain.params.body_pose)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kicks": -1}, {"doubt": -5.0}, {"penetration_margin": float("nan")}, {"contact_sigma": float("inf")},
        {"leading": 0}, {"refit_leading": 0}, {"contact_pairs": 0},
    ],
)  # fmt: skip
def test_an_option_that_means_nothing_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FitOptions(**wrong)
    with pytest.raises(ValueError, match="steps must be a whole number from 1 on, got 0"):
        replace(FitOptions().schedule[0], steps=0)
    for value in (2.5, "3", None):
        with pytest.raises(ValueError, match=f"steps must be a whole number from 1 on, got {value}"):
            check_whole(1, steps=value)
    for count in (0, 161):
        with pytest.raises(ValueError, match="contact_samples must be a whole number from 1 to 160, got"):
            replace(FitOptions().schedule[0], contact_samples=count)
