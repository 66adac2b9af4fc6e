"""Adam on the engine's own objective: the plain first-order path that Levenberg-Marquardt is held against.

The same terms, start and phases as the engine's, one gradient (J^T r alone) and one Adam step (Kingma and Ba, 2015) at
a time. Moments live in the tangent space of the rotations, and a step is R <- exp(w) R; at a hundredth of a radian per
step the tangent spaces of neighbouring steps agree. As in the published fit a stage has at most 1,000 steps and the
slope rule; the engine's phases share a stage's steps in proportion to their own. Limbs that lock through each other
stay locked: there are no restarts. `fit_damped` is the engine's minimiser on the same way, without other starts either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.model import BodyModel
from apu.body.skinning import NUM_PARAMS, Pose, stack
from apu.fit.objective import Objective
from apu.fit.options import FitOptions, Phase
from apu.fit.problem import build_problem
from apu.fit.proxy import fit_body
from apu.fit.reference import SlopeRule
from apu.fit.solver import Step, minimise
from apu.fit.start import initial_pose
from apu.types import BodyParams, Contact, PairObservation


@dataclass(frozen=True, kw_only=True)
class AdamOptions:
    """Adam's numbers; all but the last two as in the published fit.

    Attributes:
        learning_rate: radians, metres and betas. steps: most, per stage.
        window, slope: a phase stops when the objective's slope over this many steps is above this.
        decay: of the two moments. tiny: added to the root of the second.
    """

    learning_rate: float = 0.01
    steps: int = 1000
    window: int = 20
    slope: float = -1e-4
    decay: tuple[float, float] = (0.9, 0.999)
    tiny: float = 1e-8


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a minimiser ended that had one start.

    Attributes:
        pose: of the pair, (1, P, ...). value: the last phase's objective there.
        steps: taken in stage 1 (shape free) and stage 2 (shape held).
    """

    pose: Pose
    value: float
    steps: tuple[int, int]

    @property
    def params(self) -> BodyParams:
        """As parameters."""
        return self.pose[0].params()


@torch.inference_mode()
def fit_adam(
    observation: PairObservation,
    contacts: Sequence[Contact],
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    adam: AdamOptions | None = None,
) -> Descent:
    """Fit one pair by Adam, from the engine's start through the engine's phases.

    Raises:
        FitError: a person has neither a mesh nor enough keypoints to place one.
    """
    options, adam = options or FitOptions(), adam or AdamOptions()
    objective, pose = _one_start(observation, contacts, body, options)
    value, taken = float("nan"), {True: 0, False: 0}
    for phase in options.schedule:
        planned = sum(other.steps for other in options.schedule if other.shape == phase.shape)
        pose, value, steps = descend(objective, pose, phase, adam, steps=round(adam.steps * phase.steps / planned))
        taken[phase.shape] += steps
    return Descent(pose, value, (taken[True], taken[False]))


@torch.inference_mode()
def fit_damped(
    observation: PairObservation, contacts: Sequence[Contact], body: BodyModel, *, options: FitOptions | None = None
) -> Descent:
    """Fit one pair by Levenberg-Marquardt on Adam's way: from the same start, through the same phases, no other start.

    Raises:
        FitError: as `fit_adam`.
    """
    options = options or FitOptions()
    objective, pose = _one_start(observation, contacts, body, options)
    value, taken = float("nan"), {True: 0, False: 0}
    for phase in options.schedule:
        steps: list[Step] = []
        end = minimise(objective, pose, phase, observe=steps.append)
        pose, value = end.pose, float(end.value)
        taken[phase.shape] += len(steps)
    return Descent(pose, value, (taken[True], taken[False]))


def _one_start(
    observation: PairObservation, contacts: Sequence[Contact], body: BodyModel, options: FitOptions
) -> tuple[Objective, Pose]:
    """The engine's objective of one pair, and the first of its starts."""
    prepared = fit_body(body)
    start = initial_pose(observation, prepared)
    problem = build_problem([observation], [contacts], [start], prepared, options)
    return Objective(*problem, prepared, options), stack([start])


def descend(
    objective: Objective, pose: Pose, phase: Phase, adam: AdamOptions, *, steps: int
) -> tuple[Pose, float, int]:
    """Lower the objective of one pair in one phase.

    Returns:
        The lowest state met, its objective, and the steps taken.
    """
    first = second = torch.zeros_like(pose.transl[:, :1, :1].expand(-1, 2, NUM_PARAMS))
    best, lowest, taken = pose, float("inf"), 0
    rule = SlopeRule(adam.window, adam.slope)
    while True:
        now = objective.evaluate(pose, phase)
        value = float(now.total)
        if value < lowest:
            best, lowest = pose, value
        if rule(value) or taken == steps:
            return best, lowest, taken
        slope = now.gradient().unflatten(-1, (2, NUM_PARAMS))
        taken += 1
        first = adam.decay[0] * first + (1 - adam.decay[0]) * slope
        second = adam.decay[1] * second + (1 - adam.decay[1]) * slope.square()
        pose = pose.step(_step(first, second, taken, adam))


def _step(first: Float[Tensor, "1 2 80"], second: Float[Tensor, "1 2 80"], taken: int, adam: AdamOptions) -> Tensor:
    """Adam's step from the two moments, their bias removed."""
    mean, square = first / (1 - adam.decay[0] ** taken), second / (1 - adam.decay[1] ** taken)
    return -adam.learning_rate * mean / (square.sqrt() + adam.tiny)
