"""Starts of a pair compete: other sides, facings and readings of limbs, people carried, contacts given up.

Starts of all pairs are rows of one batch. After the first phase the lowest of each pair go on, beside rivals that
explain the same picture otherwise; only one takes the last, long phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from apu.body.skinning import Pose, Skeleton, joined
from apu.fit.objective import Objective
from apu.fit.options import Phase
from apu.fit.relief import distinguishable, limb_readings, mirrored
from apu.fit.solver import minimise
from apu.fit.watch import Watch

_SAME = 0.05
"""Metres: starts whose joints are no further apart lead to one minimum."""
_GLANCE = 10
"""Steps after which it shows whether another reading of a limb leads lower."""
_GLANCED = 2
"""Of each pair so many of the lowest are tried with other readings of their limbs."""


@dataclass(frozen=True, eq=False)
class Ahead:
    """Starts that are on their way.

    Attributes:
        objective: of each. rows: which of all starts it is, or is a variant of. pose, value: where it has come.
    """

    objective: Objective
    rows: Int[Tensor, "N"]
    pose: Pose
    value: Float[Tensor, "N"]

    def __getitem__(self, index: Int[Tensor, "some"]) -> "Ahead":
        return Ahead(self.objective[index], self.rows[index], self.pose[index], self.value[index])

    def joined(self, other: "Ahead") -> "Ahead":
        """These starts and then those."""
        return Ahead(
            self.objective.joined(other.objective),
            torch.cat([self.rows, other.rows]),
            joined(self.pose, other.pose),
            torch.cat([self.value, other.value]),
        )

    def apart(self, owner: Int[Tensor, "starts"]) -> "Ahead":
        """No two of a pair that go to one minimum; `owner` is the pair of every start."""
        by_pair = self[owner[self.rows].argsort(stable=True)]
        skeleton = self.objective.body.skin.skeleton
        return by_pair[distinct(skeleton, by_pair.pose, by_pair.value, owner[by_pair.rows])]

    def leading(self, owner: Int[Tensor, "starts"], most: int) -> "Ahead":
        """The lowest of each pair, at most so many."""
        return self[leading(self.value, owner[self.rows], most)]


def leading(value: Float[Tensor, "N"], owner: Int[Tensor, "N"], most: int) -> Int[Tensor, "leading"]:
    """The rows of lowest objective, at most so many of each pair, in their order."""
    by_value = value.nan_to_num(nan=torch.inf).argsort(stable=True)
    order = by_value[owner[by_value].argsort(stable=True)]  # pair by pair, the lowest first
    _, counts = owner[order].unique_consecutive(return_counts=True)
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return order[place < most].sort().values


def distinct(
    skeleton: Skeleton, pose: Pose, value: Float[Tensor, "N"], owner: Int[Tensor, "N"]
) -> Int[Tensor, "distinct"]:
    """The rows but those that lie where a lower one (or an equal, earlier) of the pair does: they go to one minimum."""
    _, pair, counts = owner.unique_consecutive(return_inverse=True, return_counts=True)
    place = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[pair]
    shape = len(counts), int(counts.max())
    joints = skeleton.frames(pose).place.flatten(1, 2)
    where, height = joints.new_full((*shape, *joints.shape[1:]), torch.nan), value.new_full(shape, torch.nan)
    where[pair, place], height[pair, place] = joints, value
    apart = (where[:, :, None] - where[:, None]).norm(dim=-1).amax(-1)
    mine, other = height[:, :, None], height[:, None]
    earlier = torch.ones(shape[1], shape[1], dtype=torch.bool, device=pose.transl.device).tril(-1)
    doubled = (((other < mine) | (earlier & (other == mine))) & (apart < _SAME)).any(2)
    return (~doubled[pair, place]).nonzero()[:, 0]


def on_the_floor_or_carried(
    objective: Objective, earlier: Int[Tensor, "refits"], pose: Pose, phase: Phase
) -> Objective:
    """All starts of a refit with both people on the floor or with one carried: what is lowest at the earlier fit.

    Args:
        earlier: the starts that are earlier fits; those up to the next go on from it, under the same keypoints.
    """
    lies = objective[earlier]
    others, of = lies.each_carried()
    if not len(of):
        return objective
    rows, everybody = torch.cat([torch.arange(len(earlier), device=earlier.device), of]), lies.joined(others)
    value = everybody.evaluate(pose[earlier[rows]], phase).total
    lowest = leading(value, rows, 1)
    ends = everybody.problem[lowest[rows[lowest].argsort()]]  # one of each refit, in their order again
    refit = torch.searchsorted(earlier, torch.arange(len(objective.problem), device=earlier.device), right=True) - 1
    return objective.with_stands(ends.stands[refit], (ends.given_up - lies.problem.given_up)[refit])


def first_phase(
    objective: Objective,
    rows: Int[Tensor, "N"],
    begin: Pose,
    phase: Phase,
    watch: Watch,
    owner: Int[Tensor, "starts"],
    most: int,
) -> Ahead:
    """The first phase of many starts, of which the leading ones of each pair go on, at most so many."""
    return Ahead(objective, rows, *anneal(objective, begin, (phase,), watch, rows)).apart(owner).leading(owner, most)


def against(
    rivals: tuple[Objective, Int[Tensor, "M"]],
    ahead: Ahead,
    phase: Phase,
    watch: Watch,
    owner: Int[Tensor, "starts"],
    most: int,
) -> Ahead:
    """Let those ahead compete with rivals of them, which begin where they have come.

    Args:
        rivals: objectives, and which of those ahead each is a variant of. most: of each pair go on.
    """
    objective, which = rivals
    worth = (objective.problem.given_up < ahead.value[which]).nonzero()[:, 0]  # no other term is below zero
    if not len(worth) or watch.late:
        return ahead
    of = which[worth]
    others = first_phase(objective[worth], ahead.rows[of], ahead.pose[of], phase, watch, owner, most)
    return ahead.joined(others).leading(owner, most)


def no_higher_than(earlier: Ahead, ended: Ahead, phase: Phase, watch: Watch, owner: Int[Tensor, "starts"]) -> Ahead:
    """What refits end with, and besides, where they end higher than the fits they go on from lie, these in their place.

    Args:
        earlier: the fits that refits go on from; their `value` is not used. ended: one of each pair. phase: the last.
    """
    value = earlier.objective.evaluate(earlier.pose, phase).total
    height = value.new_full((int(owner.max()) + 1,), torch.inf)
    # A refit that ran out of time has its height in an earlier phase.
    height[owner[ended.rows]] = ended.objective.evaluate(ended.pose, phase).total if watch.late else ended.value
    lower = (value < height[owner[earlier.rows]]).nonzero()[:, 0]
    if not len(lower):
        return ended
    kept = replace(earlier[lower], value=value[lower])
    if not watch.late:
        pose, value = anneal(kept.objective, kept.pose, (phase,), watch, kept.rows)
        kept = replace(kept, pose=pose, value=value)
    return replace(ended, value=height[owner[ended.rows]]).joined(kept)


def limb_by_limb(ahead: Ahead, phase: Phase, watch: Watch, owner: Int[Tensor, "starts"]) -> Ahead:
    """Let those ahead compete with other readings of the lowest two: of the limb that gains most, and of all that gain.

    A few steps show which do. Limbs hardly depend on each other, so that 24 readings at most stand for the 4^8.
    """
    able = ahead.leading(owner, _GLANCED)
    # Who is hardly above the price has nothing to gain.
    able = able[(able.objective.problem.given_up + able.objective.options.mirror < able.value).nonzero()[:, 0]]
    if not len(able.rows):
        return ahead
    skeleton, device = able.objective.body.skin.skeleton, able.rows.device
    each = torch.as_tensor(limb_readings(), device=device)
    apart = distinguishable(able.pose, skeleton)
    worth = of, limb, way = (~(each & ~apart[:, None, None]).any((-1, -2))).nonzero(as_tuple=True)
    if not len(of):
        return ahead
    tried, begin = able.objective[of].mirrored(each[limb, way]), mirrored(able.pose[of], each[limb, way], skeleton)
    glance = replace(phase, steps=min(phase.steps, _GLANCE))
    # Not told to the caller: what leads is not among these.
    seen = minimise(tried, begin, glance, observe=lambda _: watch.check(), deadline=watch.deadline)
    value = able.value.new_full((len(able.rows), *each.shape[:2]), torch.inf)
    value[worth] = seen.value.nan_to_num(nan=torch.inf)
    place = torch.zeros_like(value, dtype=torch.long)
    place[worth] = torch.arange(len(of), device=device)
    gain, way = (able.value[:, None, None] - value).nan_to_num(nan=-torch.inf).max(-1)
    lower = gain > 0
    single, several = lower.any(1).nonzero()[:, 0], (lower.sum(1) > 1).nonzero()[:, 0]
    if not len(single) or watch.late:
        return ahead
    best = gain[single].argmax(1)
    one = place[single, best, way[single, best]]
    chosen = each[torch.arange(len(each), device=device), way] & lower[..., None, None]
    together = chosen.any(1)[several]
    others = tried[one].joined(able.objective[several].mirrored(together))
    begin = joined(seen.pose[one], mirrored(able.pose[several], together, skeleton))
    rows = able.rows[torch.cat([single, several])]
    rivals = Ahead(others, rows, *anneal(others, begin, (phase,), watch, rows))
    # Only one of them, for what leads at first may end higher than what it would take the place of.
    return ahead.joined(rivals.leading(owner, 1)).apart(owner).leading(owner, ahead.objective.options.leading)


def anneal(
    objective: Objective,
    pose: Pose,
    phases: Sequence[Phase],
    watch: Watch,
    rows: Int[Tensor, "N"],
    *,
    done: float = 0.0,
) -> tuple[Pose, Float[Tensor, "N"]]:
    """Run the phases, after `done` of the work; the poses and their last objectives. The first one runs in any case."""
    for k, phase in enumerate(phases):
        watch.enter(phase, rows, done=done + (1 - done) * k / len(phases))
        solution = minimise(objective, pose, phase, observe=watch, deadline=watch.deadline)
        pose = solution.pose
        if watch.late:
            break
    watch.ended(rows, solution.converged & (phase == watch.last))
    return pose, solution.value


def race(
    objective: Objective,
    pose: Pose,
    phases: Sequence[Phase],
    watch: Watch,
    rows: Int[Tensor, "N"],
    owner: Int[Tensor, "N"],
    *,
    done: float = 0.0,
) -> tuple[Int[Tensor, "pairs"], Pose, Float[Tensor, "pairs"]]:
    """Run the phases with several starts of a pair, of which only the lowest takes the last, long one.

    Args:
        owner: the pair of every start.

    Returns:
        Which start each pair kept, its pose and its final objective.
    """
    kept = torch.arange(len(rows), device=rows.device)
    if phases[:-1]:
        pose, value = anneal(objective, pose, phases[:-1], watch, rows, done=done)
        kept = leading(value, owner, 1)
        if watch.late:
            watch.ended(rows[kept], torch.zeros_like(kept, dtype=torch.bool))
            return kept, pose[kept], value[kept]
    done += (1 - done) * (1 - 1 / len(phases))
    pose, value = anneal(objective[kept], pose[kept], phases[-1:], watch, rows[kept], done=done)
    lowest = leading(value, owner[kept], 1)
    return kept[lowest], pose[lowest], value[lowest]
