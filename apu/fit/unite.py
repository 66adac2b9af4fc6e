"""Unite: fit two bodies to keypoints, contacts and each other (APU, section 3.3), coarse to fine, with restarts.

One program for one pair and for a thousand: pairs are rows of one batch and leave it as they converge; restarts are
further rows, and each pair keeps its lowest objective.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from apu.body.model import BodyModel
from apu.body.skinning import Pose, Skeleton, stack
from apu.errors import FitError
from apu.fit.contest import (
    Ahead,
    against,
    first_phase,
    leading,
    limb_by_limb,
    no_higher_than,
    on_the_floor_or_carried,
    race,
)
from apu.fit.kicks import kicked_starts, locked_pairs
from apu.fit.objective import Objective
from apu.fit.options import FitOptions, Phase, check_whole
from apu.fit.problem import build_problem, check_earlier, check_observation
from apu.fit.proxy import FitBody, fit_body
from apu.fit.relief import mirrored, mirrored_limbs, nearest_reading, readings, touching, with_limbs
from apu.fit.start import facings, initial_pose, nearest_facing
from apu.fit.watch import FitCancelled, FitProgress, Watch, check_cancelled
from apu.metrics import contact_gaps, penetration_depth, reprojection_error
from apu.sides import Seen, sides
from apu.types import BodyParams, Contact, FitResult, PairObservation

_TOGETHER = 4
"""Pairs of a batch on a CPU: more share no work and do not fit its cache. A GPU takes all at once."""
_BETTER = 1e-3
"""A restart counts where it lowers the objective by more than this share."""


def fit_pair(
    observation: PairObservation,
    contacts: Sequence[Contact],
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    start: BodyParams | None = None,
    before: Sequence[Contact] = (),
    seed: int = 0,
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit both people of a pair together.

    Args:
        observation: keypoints, camera and first guess. contacts: with their weights W, people in that order.
        body: the model to fit; the fit runs on its device. options: None for the defaults.
        start: a fit of the same pair under other contacts, to go on from (a warm refit): in half the time about as
            good as a first fit, but not from a fit without any contact. before: that fit's contacts; limbs that these
            or the new ones name begin anew, too.
        seed: kept with the result; the fit itself draws no random numbers.
        progress: called after every step. cancelled: asked after every step.

    Raises:
        FitError: no usable keypoint, a `start` out of the camera's sight, or nothing finite came out.
        FitCancelled: `cancelled` said so.
    """
    (result,) = fit_pairs(
        [observation], [contacts], body, options=options, starts=None if start is None else [start], before=[before],
        seed=seed, progress=progress, cancelled=cancelled,
    )  # fmt: skip
    if isinstance(result, FitError):
        raise result
    return result


def fit_pairs(
    observations: Sequence[PairObservation],
    contacts: Sequence[Sequence[Contact]],
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    starts: Sequence[BodyParams] | None = None,
    before: Sequence[Sequence[Contact]] | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[FitResult | FitError]:
    """Fit many pairs as one batch; a pair that cannot be fitted gives its reason in its place.

    Args:
        observations, contacts, starts, before: one per pair; otherwise as for `fit_pair`.
        threads: of a CPU, each with a few pairs at a time; `progress` and `cancelled` are then called by all of them.
        options: `max_seconds` counts per pair: a batch of N may take N times as long, and its pairs share that time.

    Raises:
        ValueError: the lists differ in length, or `threads` is no whole number from 1 on.
        FitCancelled: `cancelled` said so.
    """
    before = [()] * len(observations) if before is None else before
    lists = {"observations": observations, "contacts": contacts}
    lists |= {"before": before} if starts is None else {"starts": starts, "before": before}
    if len({len(each) for each in lists.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(each)}" for name, each in lists.items())
        raise ValueError(f"fit_pairs takes lists that are equally long, one entry per pair, got {lengths}")
    check_whole(1, threads=threads)
    size = _TOGETHER if body.device.type == "cpu" else max(1, len(observations))
    chunks = [slice(first, first + size) for first in range(0, len(observations), size)]
    fit_body(body)  # once, before several threads want it

    def fit(chunk: slice) -> list[FitResult | FitError]:
        return _fit_together(
            observations[chunk], contacts[chunk], body, options or FitOptions(),
            None if starts is None else starts[chunk], before[chunk], seed, chunk.start, progress, cancelled,
        )  # fmt: skip

    with _one_thread(body.device):
        if threads == 1:
            return [result for chunk in chunks for result in fit(chunk)]
        with ThreadPoolExecutor(threads) as pool:
            return [result for results in pool.map(fit, chunks) for result in results]


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """A fit's matrices are too small for more CPU threads, and sums added up in one order make the same fit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if device.type == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()  # a tenth of a step is what autograd notes down
def _fit_together(
    observations: Sequence[PairObservation],
    contacts: Sequence[Sequence[Contact]],
    body: BodyModel,
    options: FitOptions,
    starts: Sequence[BodyParams] | None,
    before: Sequence[Sequence[Contact]],
    seed: int,
    first: int,
    progress: Callable[[FitProgress], None] | None,
    cancelled: Callable[[], bool] | None,
) -> list[FitResult | FitError]:
    prepared = fit_body(body)
    began, deadline = time.monotonic(), time.thread_time() + options.max_seconds * len(observations)
    guesses: dict[int, Pose] = {}  # of the pairs that can be fitted
    hypotheses: list[_Hypothesis] = []
    outcomes: list[FitResult | FitError | None] = [None] * len(observations)
    for pair, observation in enumerate(observations):
        try:
            check_observation(observation, options)
            if starts is not None:
                check_earlier(starts[pair], observation)
            guesses[pair] = guess = initial_pose(observation, prepared, observe=lambda _: check_cancelled(cancelled))
        except FitCancelled:
            raise
        except FitError as error:
            outcomes[pair] = error
            continue
        skeleton = prepared.skin.skeleton
        for read in sides(observation, skeleton.frames(guess).place.cpu().double().numpy()):
            ways = facings(read.observation, guess, skeleton)
            if starts is None:
                found = _afresh(ways, contacts[pair], skeleton)
            else:
                earlier = _pose(starts[pair], body)
                found = _going_on(earlier, before[pair], ways, contacts[pair], skeleton, options)
            paid = options.exchange * len(read.exchanged)
            hypotheses += [
                _Hypothesis(pair, read, paid + price, start, begin, starts is not None and i == 0)
                for i, (price, start, begin) in enumerate(found)
            ]
    if hypotheses:
        pairs, seen, prices, poses, begins, kept = zip(*hypotheses, strict=True)
        problem, samples, normals = build_problem(
            [each.observation for each in seen], [contacts[i] for i in pairs], poses, prepared, options
        )
        problem = replace(problem, given_up=problem.given_up + problem.given_up.new_tensor(prices))
        phases, again = (options.schedule, options.refit) if starts is None else (options.refit, ())
        watch = Watch([first + i for i in pairs], progress, cancelled, deadline=deadline, last=phases[-1])
        objective = Objective(problem, samples, normals, prepared, options)
        earlier = torch.as_tensor(kept, device=body.device).nonzero()[:, 0]
        ends = _solve(objective, stack(begins), earlier, phases, again, watch)
        seconds = (time.monotonic() - began) / len(observations)
        for end in ends:
            pair = pairs[end.row]
            outcomes[pair] = _result(
                seen[end.row], tuple(contacts[pair]), body, prepared, end, guesses[pair].params(),
                options=options, watch=watch, seconds=seconds, seed=seed,
            )  # fmt: skip
    return [outcome for outcome in outcomes if outcome is not None]


class _Hypothesis(NamedTuple):
    """One way to read a pair, a row of the batch.

    Attributes:
        pair: its number. seen: what its keypoints may say. paid: what that and its reading of limbs cost the objective.
        start: what L_init holds to. begin: where the fit begins. earlier: begins at the fit that a refit goes on from.
    """

    pair: int
    seen: Seen
    paid: float
    start: Pose
    begin: Pose
    earlier: bool


_Reading = tuple[float, Pose, Pose]
"""The price, the start and the beginning of a hypothesis."""


def _afresh(ways: Sequence[Pose], contacts: Sequence[Contact], skeleton: Skeleton) -> list[_Reading]:
    """Every facing of the people, with every reading of the limbs that touch."""
    return [(0.0, each, each) for facing in ways for each in readings(facing, contacts, skeleton)]


def _going_on(
    earlier: Pose,
    before: Sequence[Contact],
    ways: Sequence[Pose],
    contacts: Sequence[Contact],
    skeleton: Skeleton,
    options: FitOptions,
) -> list[_Reading]:
    """The earlier fit; then the same with the limbs that touch, or did, as the start has them, these in their readings.

    Whose contacts were edited has limbs where the wrong contacts drew them, and no small step leads back from there.
    The rest has been found already: where people stand, their shape, and how limbs that touch nobody are read.

    Args:
        before: the contacts of the earlier fit.
    """
    facing, named = nearest_facing(ways, earlier), touching(contacts)
    sigma = np.array([[options.arm_sigma] * 2 + [options.leg_sigma] * 2] * 2)
    price = options.mirror * ~named
    found = nearest_reading(facing, earlier, sigma, price, skeleton)
    drawn = named | touching(before)
    which = torch.as_tensor(np.stack([found, found & ~drawn.repeat(2, axis=1)]), device=facing.transl.device)
    as_it_was, otherwise = (mirrored(facing, bones, skeleton) for bones in which)
    paid = (mirrored_limbs(which).cpu().numpy() * price).sum((1, 2)).tolist()
    anew = readings(otherwise, contacts, skeleton, plain=True) if drawn.any() else []
    return [(paid[0], as_it_was, earlier), *((paid[1], each, with_limbs(earlier, each, drawn)) for each in anew)]


def _pose(params: BodyParams, body: BodyModel) -> Pose:
    return Pose.of(params, device=body.device, dtype=body.dtype)


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
    check_observation(observation, options)
    start = initial_pose(observation, prepared)
    given = [replace(contact, weight=contact.confidence) for contact in contacts]
    exchanged = [contact.swapped for contact in given]
    problem = build_problem([observation] * 2, [given, exchanged], [start] * 2, prepared, options)
    loss = Objective(*problem, prepared, options).contact_loss(stack([start] * 2))
    return bool(loss[1] < loss[0])


def _solve(
    objective: Objective,
    begin: Pose,
    earlier: Int[Tensor, "refits"],
    phases: Sequence[Phase],
    again: Sequence[Phase],
    watch: Watch,
) -> "list[_End]":
    """Anneal every start, the leading ones of each pair to the end, and the lowest of each `again` from its end.

    `earlier` are the rows that begin at the fit that a refit goes on from: it never ends higher than these lie. `again`
    is for what is strained at the end: contacts that pull, or people inside each other. A refit has none.

    The leading ones compete with fits in which one person carries the other, and with fits without one of the contacts
    that a program stated: a floor that does not carry, or a contact that is not there, costs the other terms more than
    giving it up does. First fits then ask of limbs whether their mirror image in depth does better. A refit begins with
    one person carried where the earlier fit lies so, and these compete with fits with both on the floor.

    When the time is over a first fit, too, is held against its starts: low without interpenetration may be high with.
    """
    options, owner = objective.options, watch.owner.to(begin.transl.device)
    first, *rest = phases
    every = torch.arange(len(owner), device=owner.device)
    if len(earlier):
        objective = on_the_floor_or_carried(objective, earlier, begin, first)
    most = options.leading if again else options.refit_leading
    ahead = first_phase(objective, every, begin, first, watch, owner, most)
    rivals = ahead.objective.each_carried() if again else ahead.objective.each_put_down()
    ahead = against(rivals, ahead, first, watch, owner, most)
    ahead = against(ahead.objective.each_without_one(), ahead, first, watch, owner, most)
    if again and not watch.late:
        ahead = limb_by_limb(ahead, first, watch, owner)
    if rest and not watch.late:
        lowest, pose, value = race(
            ahead.objective, ahead.pose, rest, watch, ahead.rows, owner[ahead.rows], done=1 / len(phases)
        )
    else:
        lowest = leading(ahead.value, owner[ahead.rows], 1)
        pose, value = ahead.pose[lowest], ahead.value[lowest]
    ended = ahead[lowest]
    best = _Best(ended.objective, ended.rows, pose, value)
    _unlock(best, ended.pose, rest or phases, phases[-2:], watch)
    if watch.late and again:
        earlier = every
    if len(earlier):
        before = Ahead(objective[earlier], earlier, begin[earlier], value.new_zeros(len(earlier)))
        ended = replace(ended, pose=best.pose, value=best.value)
        ended = no_higher_than(before, ended, phases[-1], watch, owner).leading(owner, 1)
        best = _Best(ended.objective, ended.rows, ended.pose, ended.value)
    objective, rows = ended.objective, ended.rows
    end = objective.evaluate(best.pose, phases[-1])
    pull = sum(
        (end.terms[name] for name in ("contact", "penetration") if name in end.terms), torch.zeros_like(best.value)
    )
    strained = (pull > options.strain).nonzero()[:, 0]
    if len(strained) and again and again[-1] == phases[-1]:
        if len(best.challenge(strained, best.pose[strained], again, watch)):
            end = objective.evaluate(best.pose, phases[-1])
    watch.conclude(end, rows)
    return [
        _End(
            row=row,
            pose=best.pose[i],
            weights=objective.problem.contact_weight[i].tolist(),
            carried=not bool(objective.problem.stands[i].all()),
        )
        for i, row in enumerate(rows.tolist())
    ]


def _unlock(best: "_Best", relaxed: Pose, rest: Sequence[Phase], last: Sequence[Phase], watch: Watch) -> None:
    """Start again where limbs have locked: pushed apart first as they were before they met, then as they lie.

    Args:
        relaxed: every pair before `rest`, the phases that count interpenetration; `last` are the last of them.
    """
    if watch.late:
        return
    options = best.objective.options
    locked = locked_pairs(best.objective, best.pose, options)
    for attempt in range(options.kicks):
        if not len(locked) or watch.late:
            return
        begin, phases = (best.pose, last) if attempt else (relaxed, rest)
        which, starts = kicked_starts(best.objective[locked], begin[locked], options, check=watch.check)
        gained = best.challenge(locked[which], starts, phases, watch)
        locked = gained if attempt else locked


@dataclass(frozen=True, kw_only=True, eq=False)
class _End:
    """Where a pair ended.

    Attributes:
        row: that became its result. weights: of its contacts there. carried: only one person has a floor.
    """

    row: int
    pose: Pose
    weights: list[float]
    carried: bool


class _Best:
    """The lowest state of every pair so far.

    Attributes:
        objective: of the N pairs. pose, value: theirs, and their final objectives.
    """

    def __init__(self, objective: Objective, rows: Int[Tensor, "N"], pose: Pose, value: Float[Tensor, "N"]):
        self.objective, self._rows, self.pose, self.value = objective, rows, pose, value

    def challenge(
        self, pairs: Int[Tensor, "M"], starts: Pose, phases: Sequence[Phase], watch: Watch
    ) -> Int[Tensor, "gained"]:
        """Fit other starts of some pairs and keep what is lower; returns the pairs that gained."""
        if not len(pairs) or watch.late:
            return pairs[:0]
        kept, poses, values = race(self.objective[pairs], starts, phases, watch, self._rows[pairs], pairs)
        lower = values < self.value[pairs[kept]] * (1 - _BETTER)
        gained = pairs[kept][lower]
        self.pose = self.pose.put(gained, poses[lower])
        self.value = self.value.index_copy(0, gained, values[lower])
        watch.restarted(self._rows[gained])
        return gained


def _result(
    seen: Seen, contacts: tuple[Contact, ...], body: BodyModel, prepared: FitBody, end: _End, start: BodyParams, *,
    options: FitOptions, watch: Watch, seconds: float, seed: int,
) -> FitResult | FitError:  # fmt: skip
    observation, stop = seen.observation, watch.stop(end.row)
    if seen.exchanged:
        stop += f"; with the keypoints' left and right exchanged of {' and '.join(seen.exchanged)}"
    if end.carried:
        stop += "; without the floor under one of them"  # of whom does not show: they only touch each other
    params = end.pose.params()
    contacts = tuple(replace(c, weight=weight) for c, weight in zip(contacts, end.weights, strict=False))
    terms = watch.history(end.row)
    if not (params.finite and isfinite(sum(values[-1] for values in terms.values()))):
        return FitError(f"{observation.image}: the fit did not stay finite; check the initial mesh and the camera")
    posed = prepared.posed(end.pose)
    vertices = posed.vertices
    error_512, error_px = reprojection_error(
        body.keypoints_of(posed), observation, min_confidence=options.min_confidence, border=options.border
    )
    deepest, mean = penetration_depth(vertices, body.skin_faces, collider=prepared.outer.of(2))
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
        terms=terms,
        stop=stop,
        seconds=seconds,
        iterations=max(map(len, terms.values())) - 1,
        device=str(body.device),
        body=body.name,
        seed=seed,
        options=options.as_dict(),
    )
