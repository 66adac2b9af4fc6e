"""Unite: fit two bodies to keypoints, contacts and each other (APU, section 3.3), coarse to fine, with restarts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.model import BodyModel
from apu.body.skinning import Pose, stack
from apu.errors import FitError
from apu.fit.kicks import kicked_starts
from apu.fit.objective import Objective
from apu.fit.options import FitOptions
from apu.fit.problem import build_problem
from apu.fit.proxy import FitBody, fit_body
from apu.fit.solver import Step, minimise
from apu.fit.start import initial_pose
from apu.metrics import contact_gaps, penetration_depth, reprojection_error
from apu.types import BodyParams, Contact, FitResult, PairObservation

_BETTER = 1e-3
"""A restart counts where it lowers the objective by more than this share."""


class FitCancelled(FitError):
    """The person who started the fit stopped it."""


@dataclass(frozen=True, kw_only=True)
class FitProgress:
    """A fit on its way.

    Attributes:
        stage: 1 (shape free) or 2 (shape held, interpenetration in full). step: steps taken so far.
        fraction: of the work, 0 to 1; an estimate that never goes back. params: the state now. terms: the objective.
    """

    stage: int
    step: int
    fraction: float
    params: BodyParams
    terms: dict[str, float]


def fit_pair(
    observation: PairObservation,
    contacts: Sequence[Contact],
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    seed: int = 0,
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit both people of a pair together.

    Args:
        observation: keypoints, camera and first guess. contacts: with their weights W, people in that order.
        body: the model to fit; the fit runs on its device. options: None for the defaults.
        seed: kept with the result; the fit itself draws no random numbers.
        progress: called after every step. cancelled: asked after every step.

    Raises:
        FitError: no usable keypoint, or nothing finite came out. FitCancelled: `cancelled` said so.
    """
    began = time.monotonic()
    options = options or FitOptions()
    prepared = fit_body(body)
    start = initial_pose(observation, prepared)
    watch = _Watch(options, progress, cancelled)
    objective = Objective(*build_problem([observation], [contacts], [start], prepared, options), prepared, options)
    deadline = began + options.max_seconds
    poses, values = _anneal(objective, stack([start]), options, watch, deadline)
    best, kicks = _restart(objective, poses[0], float(values[0]), options, watch, deadline)
    watch.conclude(objective.evaluate(stack([best]), options.schedule[-1]).terms)
    return _result(
        observation, tuple(contacts), body, prepared, best.params(), start.params(), options=options, watch=watch,
        stop=watch.stop(deadline, kicks), seconds=time.monotonic() - began, seed=seed,
    )  # fmt: skip


def lies_closer_exchanged(
    observation: PairObservation, contacts: Sequence[Contact], body: BodyModel, *, options: FitOptions | None = None
) -> bool:
    """Whether an answer's contacts lie closer at the start of the fit with its two people exchanged.

    A model's left and right person can be the wrong way round; the smaller L_C decides (APU, implementation details).
    Sides and weights depend on who is who, so this comes before both: W is the confidence alone.

    Raises:
        FitError: as `fit_pair`.
    """
    if not contacts:
        return False
    options, prepared = options or FitOptions(), fit_body(body)
    start = initial_pose(observation, prepared)
    given = [replace(contact, weight=contact.confidence) for contact in contacts]
    exchanged = [contact.swapped for contact in given]
    problem = build_problem([observation] * 2, [given, exchanged], [start] * 2, prepared, options)
    loss = Objective(*problem, prepared, options).contact_loss(stack([start] * 2))
    return bool(loss[1] < loss[0])


def _anneal(
    objective: Objective, pose: Pose, options: FitOptions, watch: "_Watch", deadline: float, *, first: int = 0
) -> tuple[Pose, Float[Tensor, "N"]]:
    """Run the schedule from phase `first` on; the poses and their final objectives."""
    values = pose.transl.new_full((len(pose.transl),), torch.nan)
    for index in range(first, len(options.schedule)):
        watch.enter(index)
        solution = minimise(objective, pose, options.schedule[index], observe=watch, deadline=deadline)
        pose, values = solution.pose, solution.value
        watch.converged = bool(solution.converged.all())
    return pose, values


def _restart(
    objective: Objective, pose: Pose, value: float, options: FitOptions, watch: "_Watch", deadline: float
) -> tuple[Pose, int]:
    """Where limbs have locked through each other, start again with them pushed apart; keep the lowest objective."""
    for taken in range(options.kicks if len(options.schedule) > 1 else 0):
        starts = kicked_starts(objective, stack([pose]), options)
        if not starts or time.monotonic() > deadline:
            return pose, taken
        several = objective[torch.zeros(len(starts), dtype=torch.long, device=pose.transl.device)]
        poses, values = _anneal(several, stack(starts), options, watch, deadline, first=1)
        best = int(torch.nan_to_num(values, nan=torch.inf).argmin())
        if not values[best] < value * (1 - _BETTER):
            return pose, taken
        pose, value = poses[best], float(values[best])
    return pose, options.kicks


class _Watch:
    """Collects the terms of every step, tells the caller, and stops the solver when the caller asks for it."""

    def __init__(
        self, options: FitOptions, progress: Callable[[FitProgress], None] | None, cancelled: Callable[[], bool] | None
    ):
        self._progress, self._cancelled = progress, cancelled
        self._schedule = options.schedule
        self._phase, self.steps, self._fraction = 0, 0, 0.0
        self.converged = False
        self.terms: dict[str, list[float]] = {}

    def enter(self, phase: int) -> None:
        self._phase = phase

    def __call__(self, step: Step) -> None:
        self.steps += 1
        now = {name: float(value[0]) for name, value in step.terms.items()}
        # Every term has one value per step, so that the curves share their axis.
        for name in now.keys() - self.terms.keys():
            self.terms[name] = [0.0] * (self.steps - 1)
        for name, values in self.terms.items():
            values.append(now.get(name, 0.0))
        if self._cancelled is not None and self._cancelled():
            raise FitCancelled("the fit was cancelled")
        if self._progress is not None:
            planned = sum(phase.steps for phase in self._schedule)
            done = sum(phase.steps for phase in self._schedule[: self._phase]) + step.index + 1
            self._fraction = max(self._fraction, 0.9 * done / planned)
            stage = 1 if self._schedule[self._phase].shape else 2
            self._progress(
                FitProgress(
                    stage=stage, step=self.steps, fraction=self._fraction, params=step.pose[0].params(), terms=now
                )
            )

    def conclude(self, terms: dict[str, Float[Tensor, "1"]]) -> None:
        """The terms of the state that stands come last, whichever restart ended last."""
        for name, values in self.terms.items():
            values.append(float(terms[name][0]) if name in terms else 0.0)

    def stop(self, deadline: float, kicks: int) -> str:
        reason = "time" if time.monotonic() > deadline else "converged" if self.converged else "steps"
        return f"{reason}, {kicks} restarts" if kicks else reason


def _result(
    observation: PairObservation, contacts: tuple[Contact, ...], body: BodyModel, prepared: FitBody, params: BodyParams,
    start: BodyParams, *, options: FitOptions, watch: _Watch, stop: str, seconds: float, seed: int,
) -> FitResult:  # fmt: skip
    if not params.finite:
        raise FitError(f"{observation.image}: the fit did not stay finite; check the initial mesh and the camera")
    vertices = body.forward(params).vertices
    error_512, error_px = reprojection_error(
        body.keypoints(params), observation, min_confidence=options.min_confidence, border=options.border
    )
    deepest, mean = penetration_depth(vertices, body.skin_faces)
    return FitResult(
        params=params,
        start=start,
        contacts=contacts,
        swapped=False,
        gaps_m=contact_gaps(vertices, contacts, prepared.regions),
        reprojection_512=error_512,
        reprojection_px=error_px,
        max_penetration_m=deepest,
        mean_penetration_m=mean,
        kept=bool(np.all(error_512 < options.reprojection_limit)),
        terms=watch.terms,
        stop=stop,
        seconds=seconds,
        iterations=watch.steps,
        device=str(body.device),
        body=body.name,
        seed=seed,
        options=options.as_dict(),
    )
