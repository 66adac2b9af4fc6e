"""Levenberg-Marquardt over a batch of pairs: damping and acceptance per pair; pairs leave as they converge."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from apu.body.skinning import NUM_PARAMS, Pose
from apu.fit.objective import Objective, System
from apu.fit.options import Phase

_FIRST_DAMPING = 1e-2
_LEAST_DAMPING, _MOST_DAMPING = 1e-6, 1e5
_ENOUGH = 1e-3
"""A pair has converged when an accepted step lowers its objective by less than this share, twice in a row."""


@dataclass(frozen=True, eq=False)
class Step:
    """What an observer sees after each step: the batch's poses and terms, and which pairs still move."""

    index: int
    pose: Pose
    terms: dict[str, Float[Tensor, "N"]]
    moving: Bool[Tensor, "N"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a phase ended.

    Attributes:
        pose, value: the best state and its objective. converged: it stopped by itself.
    """

    pose: Pose
    value: Float[Tensor, "N"]
    converged: Bool[Tensor, "N"]


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
        deadline: `time.monotonic()` after which the best state is returned.
    """
    n, device = len(pose.transl), pose.transl.device
    now = objective.evaluate(pose, phase)
    value, terms, system = now.total, now.terms, now.linearise()
    damping = torch.full((n,), _FIRST_DAMPING, dtype=value.dtype, device=device)
    patience = torch.zeros(n, dtype=torch.long, device=device)
    moving = torch.isfinite(value)
    for index in range(phase.steps):
        trial = pose.step(damped_step(system, damping).unflatten(-1, (2, NUM_PARAMS)))
        then = objective.evaluate(trial, phase)
        better = moving & torch.isfinite(then.total) & (then.total < value)
        gain = torch.where(better, value - then.total, torch.zeros_like(value))
        patience = torch.where(better, torch.where(gain < _ENOUGH * value.abs(), patience + 1, 0), patience)
        if better.any():
            fresh = then.linearise()
            pose = trial.where(better, pose)
            value = torch.where(better, then.total, value)
            terms = {name: torch.where(better, then.terms[name], old) for name, old in terms.items()}
            system = System(
                *(
                    torch.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)
                    for a, b in zip(fresh, system, strict=True)
                )
            )
        damping = torch.where(better, damping / 4, damping * 6).clamp(_LEAST_DAMPING, None)
        moving = moving & (patience < 2) & (damping < _MOST_DAMPING)
        if observe is not None:
            observe(Step(index, pose, terms, moving))
        if not moving.any() or time.monotonic() > deadline:
            break
    return Solution(pose, value, ~moving)


def damped_step(system: System, damping: Float[Tensor, "N"]) -> Float[Tensor, "N 160"]:
    """-(H + damping diag H)^-1 g; zero where the system cannot be solved."""
    diagonal = torch.diagonal(system.hessian, dim1=1, dim2=2)
    # A column that no residual sees (all zero) must not make the matrix singular.
    hessian = system.hessian + torch.diag_embed(damping[:, None] * diagonal + 1e-6)
    factor, failed = torch.linalg.cholesky_ex(hessian)
    step = -torch.cholesky_solve(system.gradient[..., None], factor)[..., 0]
    usable = (failed == 0) & torch.isfinite(step).all(-1)
    return torch.where(usable[:, None], step, torch.zeros_like(step))
