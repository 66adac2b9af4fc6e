"""Adam on the engine's objective: its step, its gradient, and that it and Levenberg-Marquardt find the same minima."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from apu.body.model import BodyModel
from apu.body.skinning import EVERY, NUM_PARAMS, Pose, stack
from apu.fit import FitOptions
from apu.fit.adam import AdamOptions, descend, fit_adam
from apu.fit.objective import Objective
from apu.fit.problem import build_problem
from apu.fit.proxy import fit_body
from apu.fit.solver import minimise
from apu.fit.start import initial_pose
from apu.metrics import reprojection_error
from apu.types import Contact

Contacts = tuple[Contact, ...]
OPTIONS, ADAM = FitOptions(), AdamOptions()
LAST = OPTIONS.schedule[-1]


@pytest.fixture(scope="module")
def scene(scene):
    """The scene with keypoints that err by five pixels, so that the objective's least value is not nearly zero."""
    keypoints = scene.observation.keypoints.copy()
    keypoints[..., :2] += np.random.default_rng(1).normal(size=keypoints[..., :2].shape) * 5
    return replace(scene, observation=replace(scene.observation, keypoints=keypoints))


@pytest.fixture(scope="module")
def begun(scene, touch: Contacts, body: BodyModel) -> tuple[Objective, Pose]:
    """The objective of one pair, and its start."""
    prepared = fit_body(body)
    start = initial_pose(scene.observation, prepared)
    problem = build_problem([scene.observation], [touch], [start], prepared, OPTIONS)
    return Objective(*problem, prepared, OPTIONS), stack([start])


@pytest.fixture(scope="module")
def minimum(begun: tuple[Objective, Pose]) -> tuple[Pose, float]:
    """Where the engine's solver ends, phase by phase."""
    objective, pose = begun
    for phase in OPTIONS.schedule:
        pose = minimise(objective, pose, phase).pose
    return pose, float(objective.evaluate(pose, LAST).total)


def test_the_gradient_alone_is_that_of_the_system(begun: tuple[Objective, Pose]) -> None:
    objective, pose = begun
    for phase in (OPTIONS.schedule[0], LAST):
        evaluation = objective.evaluate(pose, phase)
        torch.testing.assert_close(evaluation.gradient(), evaluation.linearise(EVERY).gradient)


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign(begun: tuple[Objective, Pose]) -> None:
    objective, pose = begun
    phase = OPTIONS.schedule[0]
    gradient = objective.evaluate(pose, phase).gradient().unflatten(-1, (2, NUM_PARAMS))
    end, value, taken = descend(objective, pose, phase, ADAM, steps=1)
    assert taken == 1
    assert value < float(objective.evaluate(pose, phase).total)
    expected = pose.step(-0.01 * gradient.sign())
    torch.testing.assert_close(end.transl, expected.transl, atol=1e-6, rtol=0)
    torch.testing.assert_close(end.rotations, expected.rotations, atol=1e-4, rtol=0)


def test_held_shapes_stay(begun: tuple[Objective, Pose]) -> None:
    objective, pose = begun
    end, _, _ = descend(objective, pose, LAST, ADAM, steps=3)
    torch.testing.assert_close(end.betas, pose.betas, atol=0, rtol=0)


def test_a_phase_stops_by_the_slope_rule(begun: tuple[Objective, Pose]) -> None:
    _, _, taken = descend(*begun, LAST, replace(ADAM, slope=-1e9), steps=100)
    assert taken == ADAM.window - 1


def test_started_near_the_minimum_adam_returns_to_it(
    begun: tuple[Objective, Pose], minimum: tuple[Pose, float]
) -> None:
    """Disturbed by about a degree and a centimetre, Adam ends within two per cent of the engine's objective."""
    objective, _ = begun
    pose, lowest = minimum
    nudge = 0.02 * torch.randn(1, 2, NUM_PARAMS, generator=torch.Generator().manual_seed(0))
    nudge[..., 66:77] = 0  # the shape is held
    near = pose.step(nudge)
    assert float(objective.evaluate(near, LAST).total) > 1.5 * lowest
    _, value, _ = descend(objective, near, LAST, replace(ADAM, learning_rate=0.002), steps=600)
    assert value == pytest.approx(lowest, rel=0.02)


def test_neither_finds_much_below_the_others_end(begun: tuple[Objective, Pose], minimum: tuple[Pose, float]) -> None:
    """The gentlest Adam gains less than one per cent from the engine's end."""
    objective, _ = begun
    pose, lowest = minimum
    _, value, _ = descend(objective, pose, LAST, replace(ADAM, learning_rate=1e-4, slope=np.inf), steps=60)
    assert 0.99 * lowest < value <= lowest * (1 + 1e-6)


def test_a_whole_adam_fit_ends_where_the_engine_does(
    scene, touch: Contacts, body: BodyModel, begun: tuple[Objective, Pose], minimum: tuple[Pose, float]
) -> None:
    """With half of the steps (a quarter end up to a tenth apart when the start moves by a micrometre).

    The choice of skin that touches has several minima of nearly the same depth, and either method may find a slightly
    lower one; `apu bench speed` compares them over many pairs.
    """
    fit = fit_adam(scene.observation, touch, body, adam=replace(ADAM, steps=500))
    assert minimum[1] == pytest.approx(fit.value, rel=0.05)
    assert all(0 < steps <= 500 for steps in fit.steps)
    assert (reprojection_error(body.keypoints(fit.params), scene.observation)[0] < 15).all()
    polished = float(minimise(begun[0], fit.pose, LAST).value)
    assert 0.95 * minimum[1] < polished <= fit.value, "the engine's solver finds nothing much lower from there"
