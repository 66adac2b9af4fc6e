"""Levenberg-Marquardt over a batch of pairs: damping and acceptance per pair; pairs leave as they converge."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from apu.body.skinning import EVERY, NUM_PARAMS, Pose, entries
from apu.fit.objective import Objective, System
from apu.fit.options import Phase

_FIRST_DAMPING = 1e-2
_LEAST_DAMPING, _MOST_DAMPING = 1e-6, 1e5
_PATIENCE = 2
"""Accepted steps in a row that hardly lower the objective."""
_HOPE = 3.0
"""A refused step that promised less than so many times what counts as progress is the last: the next, shorter one
promises less. A sixth of all steps came after it and led nowhere."""
_CROWDED = 0.75
"""The batch is packed anew once no more than this share of it still moves; packing costs about a step."""


@dataclass(frozen=True, eq=False)
class Step:
    """What an observer sees after each step: the pairs that were still on their way, where they are, and their terms.

    Attributes:
        index: of the step in its phase. pairs: M of the batch's N pairs. pose, terms, total: theirs.
    """

    index: int
    pairs: Int[Tensor, "M"]
    pose: Pose
    terms: dict[str, Float[Tensor, "M"]]
    total: Float[Tensor, "M"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a phase ended.

    Attributes:
        pose, value: the best state and its objective. converged: it stopped by itself.
    """

    pose: Pose
    value: Float[Tensor, "N"]
    converged: Bool[Tensor, "N"]


@dataclass(frozen=True, eq=False)
class _State:
    """Pairs on their way: which they are, where they are, and the system there; one row each."""

    pairs: Int[Tensor, "M"]
    pose: Pose
    value: Float[Tensor, "M"]
    terms: dict[str, Float[Tensor, "M"]]
    system: System
    damping: Float[Tensor, "M"]
    patience: Int[Tensor, "M"]

    @property
    def moving(self) -> Bool[Tensor, "M"]:
        return torch.isfinite(self.value) & (self.patience < _PATIENCE) & (self.damping < _MOST_DAMPING)

    def __getitem__(self, rows: Int[Tensor, "rows"]) -> "_State":
        return _State(
            self.pairs[rows],
            self.pose[rows],
            self.value[rows],
            {name: value[rows] for name, value in self.terms.items()},
            entries(self.system, rows),
            self.damping[rows],
            self.patience[rows],
        )


def minimise(
    objective: Objective,
    pose: Pose,
    phase: Phase,
    *,
    observe: Callable[[Step], None] | None = None,
    deadline: float = float("inf"),
) -> Solution:
    """Lower the objective of every pair from `pose` on.

    A step is taken only where it lowers the pair's objective and everything stays finite; otherwise the damping
    grows and the state stays, so the result is never worse than the start.

    Args:
        objective: of N pairs. pose: (N, 2, ...). observe: called after every step; may raise to stop.
        deadline: `time.thread_time()` after which the best state is returned; other work of the machine changes no fit.
    """
    state = _begin(objective, pose, phase)
    end = Solution(pose, state.value.clone(), torch.zeros_like(state.value, dtype=torch.bool))
    for index in range(phase.steps):
        state = _step(objective, state, phase)
        if observe is not None:
            observe(Step(index, state.pairs, state.pose, state.terms, state.value))
        moving = state.moving
        count = int(moving.sum())
        if count == 0 or time.thread_time() > deadline:
            break
        if count <= _CROWDED * len(moving):
            end = _left(end, state)
            rows = moving.nonzero()[:, 0]
            objective, state = objective[rows], state[rows]
    return _left(end, state)


def _begin(objective: Objective, pose: Pose, phase: Phase) -> _State:
    now = objective.evaluate(pose, phase)
    n, like = len(now.total), now.total
    return _State(
        pairs=torch.arange(n, device=like.device),
        pose=pose,
        value=now.total,
        terms=now.terms,
        system=now.linearise(EVERY),
        damping=torch.full_like(like, _FIRST_DAMPING),
        patience=torch.zeros(n, dtype=torch.long, device=like.device),
    )


def _step(objective: Objective, state: _State, phase: Phase) -> _State:
    """One step of every pair: taken where it helps, refused and damped more where it does not."""
    step, promise = damped_step(state.system, state.damping)
    trial = state.pose.step(step.unflatten(-1, (2, NUM_PARAMS)))
    then = objective.evaluate(trial, phase)
    better = state.moving & torch.isfinite(then.total) & (then.total < state.value)
    progress = phase.enough * state.value.abs()
    slow, hopeless = state.value - then.total < progress, promise < _HOPE * progress
    patience = torch.where(better, torch.where(slow, state.patience + 1, 0), state.patience + _PATIENCE * hopeless)
    damping = torch.where(better, state.damping / 4, state.damping * 6).clamp(_LEAST_DAMPING, None)
    state = replace(state, damping=damping, patience=patience)
    taken = better.nonzero()[:, 0]
    if not len(taken):
        return state
    if len(taken) == len(better):
        system = then.linearise(EVERY)
    else:  # a refused step's system is not asked for: four steps in ten are refused
        fresh = zip(state.system, then.linearise(taken), strict=True)
        system = System(*(old.index_copy_(0, taken, new) for old, new in fresh))
    return replace(
        state,
        pose=trial.where(better, state.pose),
        value=torch.where(better, then.total, state.value),
        terms={name: torch.where(better, then.terms[name], old) for name, old in state.terms.items()},
        system=system,
    )


def _left(end: Solution, state: _State) -> Solution:
    """What the pairs of `state` have reached, written into the whole batch's."""
    return Solution(
        end.pose.put(state.pairs, state.pose),
        end.value.index_copy(0, state.pairs, state.value),
        end.converged.index_copy(0, state.pairs, ~state.moving),
    )


class Damped(NamedTuple):
    """A step of every pair, and by how much it lowers the quadratic whose system it solves."""

    step: Float[Tensor, "N 160"]
    promise: Float[Tensor, "N"]


def damped_step(system: System, damping: Float[Tensor, "N"]) -> Damped:
    """-(H + damping diag H)^-1 g; zero, promising anything, where that cannot be solved: more damping may help."""
    diagonal = torch.diagonal(system.hessian, dim1=1, dim2=2)
    # A column that no residual sees (all zero) must not make the matrix singular.
    damped = damping[:, None] * diagonal + 1e-6
    held = system.hessian.clone()
    held.diagonal(dim1=1, dim2=2).add_(damped)
    factor, failed = torch.linalg.cholesky_ex(held)
    step = -torch.cholesky_solve(system.gradient[..., None], factor)[..., 0]
    usable = (failed == 0) & torch.isfinite(step).all(-1)
    # s^T (H + D) s = -g^T s, so that -g^T s - s^T H s / 2 is half of what follows.
    promise = 0.5 * ((damped * step - system.gradient) * step).sum(-1)
    return Damped(step.where(usable[:, None], 0.0), promise.where(usable, torch.inf))
