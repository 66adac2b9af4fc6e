"""The objective of a batch of pairs: its value, and its Gauss-Newton system in the 160 unknowns of a pair."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from apu.body.collide import Collider, other_person
from apu.body.rotation import logarithm
from apu.body.skinning import (
    BETAS,
    EVERY,
    NUM_JOINTS,
    NUM_PARAMS,
    ROTATIONS,
    TRANSL,
    Frames,
    Pose,
    PosedSums,
    Rows,
    SkinnedPoints,
    SkinnedSums,
    entries,
)
from apu.fit import losses
from apu.fit.ground import ANKLES, SOLES, ground, joint_masses
from apu.fit.limits import joint_ranges
from apu.fit.options import FitOptions, Phase
from apu.fit.problem import Problem
from apu.fit.proxy import FitBody
from apu.types import BODY_25, NUM_BETAS

_PAIR = 2 * NUM_PARAMS
_MASS = len(BODY_25)
"""Place of the centre of mass among the marks: after the keypoints."""
_SOLES_PER_FOOT = len(SOLES) // 2
_MOST_INSIDE = 256
"""Vertices per person whose rows enter the system; the deepest ones, when there are more."""


class System(NamedTuple):
    """J^T J and J^T r of a pair's residuals; columns: 80 unknowns of person 0, 80 of person 1."""

    hessian: Float[Tensor, "N 160 160"]
    gradient: Float[Tensor, "N 160"]


class Contribution(NamedTuple):
    """What one term adds to the objective.

    Attributes:
        values: value per pair, by name. add: adds the term's J^T J (where asked for) and J^T r of some of the pairs to
            the tensors of their system, in place.
    """

    values: dict[str, Float[Tensor, "N"]]
    add: Callable[[Tensor | None, Tensor, Rows], None]


FurtherTerm = Callable[[Pose, Frames, Phase, Int[Tensor, "N"]], Contribution]
"""One more term of the objective (a floor, a prior, temporal smoothness): its contribution at a pose in a phase.

The last argument says which of the pairs that the problem was built with are asked for: pairs leave as they converge.
Where a phase holds the shape, its columns of betas are zero. `Contribution.add` is told for which of these pairs.
"""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The objective at a pose.

    Attributes:
        terms: value per pair of every term, by name. total: their sum.
        linearise: the Gauss-Newton system there of some of the pairs; computed only when asked for.
        gradient: J^T r alone, for first-order methods.
    """

    terms: dict[str, Float[Tensor, "N"]]
    total: Float[Tensor, "N"]
    linearise: Callable[[Rows], System]
    gradient: Callable[[], Float[Tensor, "N 160"]]


class Objective:
    """All terms of both stages over a batch of pairs (method: APU section 3.3; numbers: `FitOptions`)."""

    def __init__(
        self,
        problem: Problem,
        samples: SkinnedPoints,
        sample_normals: Float[Tensor, "samples 3"],
        body: FitBody,
        options: FitOptions,
        further: Sequence[FurtherTerm] = (),
    ):
        self._further = tuple(further)
        self._pairs = torch.arange(len(problem), device=samples.rest.device)
        self.problem, self.body, self.options = problem, body, options
        self._samples, self._normals = samples, sample_normals
        self._ranges = joint_ranges(device=samples.rest.device, dtype=samples.rest.dtype)
        self._marks = _Marks.of(body)
        sigma = [options.beta_sigma] * (NUM_BETAS - 1) + [options.child_sigma, *options.transl_sigma]
        self._rest_sigma = samples.rest.new_tensor(sigma)
        self._standing = bool((problem.weight[..., ANKLES] > 0).any())
        self._skin_vertices = int(body.skin_faces.max()) + 1
        self.faces = torch.as_tensor(body.skin_faces, device=samples.rest.device)
        # Shared by the objectives of some of the pairs: numbers of bodies, and samples by how many stand for a part.
        self._met: set[int] = set()
        self._coarser: dict[int, tuple[SkinnedPoints, Tensor]] = {}
        parts = problem.part_index.flatten(0, 2)
        self._used = (parts.amax(0).cummax(0).values + 1).tolist() if len(parts) else []  # by as many of each part

    def __getitem__(self, index: Tensor) -> "Objective":
        """The objective of some of the pairs."""
        some = copy(self)
        some.problem, some._pairs = self.problem[index], self._pairs[index]
        return some

    def each_without_one(self) -> tuple["Objective", Int[Tensor, "M"]]:
        """Of every pair one objective less each contact that may be given up; see `Problem.each_without_one`."""
        return self._rivals(*self.problem.each_without_one())

    def each_carried(self) -> tuple["Objective", Int[Tensor, "M"]]:
        """Of every pair two objectives with one of the people carried; see `Problem.each_carried`."""
        return self._rivals(*self.problem.each_carried(self.options.carried))

    def each_put_down(self) -> tuple["Objective", Int[Tensor, "M"]]:
        """Of every pair of whom one is carried the objective with both on the floor; see `Problem.each_put_down`."""
        return self._rivals(*self.problem.each_put_down(self.options.carried))

    def with_stands(self, stands: Float[Tensor, "N P"], paid: Float[Tensor, "N"]) -> "Objective":
        """With people on the floor or carried, as `Problem.stands`, and what that costs."""
        problem = replace(self.problem, stands=stands, given_up=self.problem.given_up + paid)
        return self._rivals(problem, torch.arange(len(problem), device=stands.device))[0]

    def mirrored(self, which: Bool[Tensor, "N P 8"]) -> "Objective":
        """With bones of L_init mirrored in depth; see `Problem.mirrored`."""
        problem = self.problem.mirrored(which, self.body.skin.skeleton, self.options.mirror)
        return self._rivals(problem, torch.arange(len(problem), device=which.device))[0]

    def _rivals(self, problem: Problem, pairs: Int[Tensor, "M"]) -> tuple["Objective", Int[Tensor, "M"]]:
        some = copy(self)
        some.problem, some._pairs = problem, self._pairs[pairs]
        return some, pairs

    def joined(self, other: "Objective") -> "Objective":
        """The pairs of this batch and then those of another that was chosen from the same one."""
        both = copy(self)
        both.problem, both._pairs = self.problem.joined(other.problem), torch.cat([self._pairs, other._pairs])
        return both

    def evaluate(self, pose: Pose, phase: Phase) -> Evaluation:
        """The objective at `pose` (N, P, ...)."""
        frames = self.body.surface.skeleton.frames(pose)
        marks = self._marks.posed(pose, frames, shape=phase.shape)
        parts = [self._reprojection(marks, phase), self._prior(pose, phase)]
        if self._standing:
            parts.append(self._ground(marks))
        if self.problem.contact_weight.shape[1]:
            parts.append(self._contact(pose, frames, phase))
        if phase.penetration > 0:
            parts.append(self._penetration(pose, frames, phase))
        parts += [term(pose, frames, phase, self._pairs) for term in self._further]
        terms = {name: value for values, _ in parts for name, value in values.items()}
        terms["given_up"] = self.problem.given_up
        total = torch.stack(list(terms.values())).sum(0)

        def gradient(hessian: Tensor | None = None, rows: Rows = EVERY) -> Tensor:
            gradient = total.new_zeros(len(total[rows]), _PAIR)
            for _, add in parts:
                add(hessian, gradient, rows)
            return gradient

        def linearise(rows: Rows) -> System:
            hessian = total.new_zeros(len(total[rows]), _PAIR, _PAIR)
            return System(hessian, gradient(hessian, rows))

        return Evaluation(terms, total, linearise, gradient)

    def collider(self, bodies: Float[Tensor, "bodies V 3"]) -> Collider:
        """A collider with these bodies' skins in place; it remembers where as many were before.

        Args:
            bodies: the points of `FitBody.skin`.
        """
        collider = self.body.colliders.of(len(bodies), anew=len(bodies) not in self._met)
        self._met.add(len(bodies))
        collider.update(bodies[:, : self._skin_vertices])
        return collider

    def contact_loss(self, pose: Pose) -> Float[Tensor, "N"]:
        """L_C alone, with the sharpest temperature: to compare the two assignments of people."""
        frames = self.body.surface.skeleton.frames(pose)
        return self._contact(pose, frames, self.options.schedule[-1]).values["contact"]

    # Each term: its values by name, and how its rows enter the system.

    def _reprojection(self, marks: "_PosedMarks", phase: Phase) -> Contribution:
        problem = self.problem
        term = losses.reprojection(
            marks.keypoints, problem.observed, problem.weight, problem.focal, problem.centre,
            unit=problem.unit, sigma=self.options.keypoint_sigma, scale=phase.keypoint_scale,
        )  # fmt: skip

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            rows = marks[of].jacobian(slice(_MASS), term.slope[of]).flatten(2, 3)
            add_per_person(hessian, gradient, rows, term.residual[of].flatten(2, 3))

        return Contribution({"keypoints": term.value}, add)

    def _ground(self, marks: "_PosedMarks") -> Contribution:
        seen = (self.problem.weight[..., ANKLES] > 0).to(marks.points.dtype)
        weight = seen * self.problem.stands[..., None] / _SOLES_PER_FOOT**0.5
        soles = marks.points[:, :, SOLES] + self._marks.sole_depth[:, None] * marks.points.new_tensor([0, 1, 0])
        term = ground(soles, marks.points[:, :, _MASS], weight, self.options.stance)

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            rows = term.slope[of].transpose(1, 2).flatten(3) @ marks[of].jacobian([*SOLES, _MASS]).flatten(2, 3)
            add_rows(hessian, gradient, rows.transpose(1, 2).flatten(2), term.residual[of])

        return Contribution({"floor": term.floor, "balance": term.balance}, add)

    def _contact(self, pose: Pose, frames: Frames, phase: Phase) -> Contribution:
        problem, (samples, directions) = self.problem, self._sampled(phase.contact_samples)
        parts = problem.part_index[..., : phase.contact_samples]
        skinned = samples.posed(pose, frames)
        points, normals = skinned.points, samples.directions(directions, frames)
        pairs, people = torch.arange(len(problem), device=points.device), torch.arange(2, device=points.device)
        at = (pairs[:, None, None, None], people[:, None, None], parts)
        found = losses.contact(
            points[at], normals[at], phase.contact * problem.contact_weight, temperature=phase.contact_temperature,
            sigma=self.options.contact_sigma, best=self.options.contact_pairs, normal_bonus=self.options.normal_bonus,
        )  # fmt: skip

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            term, best = entries(found, of)
            # (N, P, C * best): ids of the chosen samples of either person.
            ids = parts[of].gather(-1, best.permute(0, 3, 1, 2)).flatten(2)[..., None]
            signs = points.new_tensor([1.0, -1.0])[:, None, None].expand(ids.shape)
            slope = term.slope.flatten(1, 2)[:, None].expand(-1, 2, -1, -1, -1)
            rows = samples.jacobian(entries(frames, of), entries(skinned, of), ids, signs, slope, shape=phase.shape)
            add_rows(hessian, gradient, _of_both(rows), term.residual.flatten(1))

        return Contribution({"contact": found.term.value}, add)

    def _sampled(self, count: int) -> tuple[SkinnedPoints, Float[Tensor, "samples 3"]]:
        """The first so many samples of every contact's parts, which have the lowest ids, and their normals."""
        if count not in self._coarser:
            used = self._used[min(count, len(self._used)) - 1]
            self._coarser[count] = self._samples.first(used), self._normals[:used]
        return self._coarser[count]

    def _penetration(self, pose: Pose, frames: Frames, phase: Phase) -> Contribution:
        skin, options, margin = self.body.skin, self.options, self.options.penetration_margin
        skinned = skin.posed(pose, frames)
        bodies = skinned.points.flatten(0, 1)  # (N P, V, 3)
        collider = self.collider(bodies)
        # Row b: the probes of the other person, asked of body b.
        others = other_person(bodies[:, self.body.probes])
        inside = collider.query(others, ignored=margin)
        count = int((inside.depth > -margin).sum(-1).max().clamp(1, _MOST_INSIDE))
        depth, probe = inside.depth.topk(count)  # (N P, M)
        triangle = self.faces[inside.face.gather(1, probe).long()]  # (N P, M, 3)
        depth, bary = depth.to(bodies.dtype), _rows_of(inside.bary, probe).to(bodies.dtype)
        corners = _rows_of(bodies, triangle)
        outward = _outward(_rows_of(others, probe), (bary[..., None, :] @ corners)[..., 0, :], corners, depth)
        depth, probe, triangle, bary, outward = (
            a.unflatten(0, (-1, 2)) for a in (depth, probe, triangle, bary, outward)
        )
        term = losses.penetration(
            depth.flatten(1), outward.flatten(1, 2), self.body.probe_area[probe].flatten(1),
            sigma=options.penetration_sigma, margin=margin, weight=phase.penetration,
        )  # fmt: skip

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            # A row rests on a vertex of one person and, negated, on a triangle of the other, who was asked.
            asked = torch.eye(2, dtype=torch.bool, device=bodies.device)[..., None, None]
            one = torch.eye(1, 3, dtype=bodies.dtype, device=bodies.device)
            vertex = self.body.probes[probe[of]]
            index = torch.where(asked, triangle[of][:, None], vertex[:, None, ..., None]).flatten(2, 3)
            weight = torch.where(asked, -bary[of][:, None], one).flatten(2, 3)
            slope = term.slope[of][:, None, :, None].expand(-1, 2, -1, -1, -1)
            rows = skin.jacobian(entries(frames, of), entries(skinned, of), index, weight, slope, shape=phase.shape)
            add_rows(hessian, gradient, _of_both(rows), term.residual[of])

        return Contribution({"penetration": term.value}, add)

    def _prior(self, pose: Pose, phase: Phase) -> Contribution:
        problem, options = self.problem, self.options
        to_target = pose.rotations @ problem.target.transpose(-1, -2)
        rotvec, by_turn = logarithm(torch.cat([to_target, pose.rotations[..., 1:, :, :]], -3))
        from_target, of_joints = rotvec.split((NUM_JOINTS, NUM_JOINTS - 1), -2)
        initial = losses.pose_prior(from_target, problem.pose_sigma)
        limits = losses.joint_limits(of_joints, *self._ranges, sigma=options.limit_sigma)
        # Shape: L2 to the mean (L_beta); the child axis and the place: L2 to the start.
        start = problem.start
        usual = torch.cat([torch.zeros_like(start.betas[..., :-1]), start.betas[..., -1:], start.transl], -1)
        beside = (torch.cat([pose.betas, pose.transl], -1) - usual) / self._rest_sigma
        shape, place = beside.split((NUM_BETAS, 3), -1)
        values = {
            "initial_pose": initial.value,
            "joint_limits": limits.value,
            "shape": 0.5 * shape.square().sum((-1, -2)),
            "place": 0.5 * place.square().sum((-1, -2)),
        }
        mixture = None
        if self.body.mixture is not None:
            m = self.body.mixture
            mixture = losses.gaussian_mixture(of_joints, m.means, m.roots, m.penalties, weight=options.gmm_weight)
            values["pose_mixture"] = mixture.value

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            rows = torch.cat([initial.slope[of], limits.slope[of]], 2)[..., None] * by_turn[of]
            pull = (torch.cat([initial.residual[of], limits.residual[of]], 2)[..., None, :] @ rows)[..., 0, :]
            people = gradient.unflatten(1, (2, NUM_PARAMS))
            joints = people[..., ROTATIONS].unflatten(-1, (NUM_JOINTS, 3))
            joints += pull[:, :, :NUM_JOINTS]
            joints[:, :, 1:] += pull[:, :, NUM_JOINTS:]
            free = slice(BETAS.start if phase.shape else TRANSL.start, None)
            people[..., free] += (beside[of] / self._rest_sigma)[..., free.start - BETAS.start :]
            if hessian is not None:
                block, joints = rows.transpose(-1, -2) @ rows, _joint_blocks(hessian)
                joints += block[:, :, :NUM_JOINTS]
                joints[:, :, 1:] += block[:, :, NUM_JOINTS:]
                diagonal = hessian.diagonal(dim1=1, dim2=2).unflatten(1, (2, NUM_PARAMS))
                diagonal[..., ROTATIONS.stop :] += 1 / self._rest_sigma.square()
            if mixture is not None:
                turns = by_turn[of][:, :, NUM_JOINTS:]
                rows = torch.einsum("...djc,...jck->...djk", mixture.slope[of], turns).flatten(-2)
                padded = torch.nn.functional.pad(rows, (3, NUM_PARAMS - ROTATIONS.stop))
                add_per_person(hessian, gradient, padded, mixture.residual[of])

        return Contribution(values, add)


@dataclass(frozen=True, eq=False)
class _Marks:
    """A body's keypoints and, last, its centre of mass.

    Attributes:
        sums: the marks as sums over the body's points. sole_depth: of the floor below each sole, metres.
    """

    sums: SkinnedSums
    sole_depth: Float[Tensor, "K"]

    @classmethod
    @lru_cache(maxsize=4)  # takes as long as a step of the fit
    @torch.inference_mode(False)  # they may be used under autograd too
    def of(cls, body: FitBody) -> "_Marks":
        mass = body.surface.rest.new_tensor(joint_masses())[None]
        joints = (torch.arange(mass.shape[1], device=mass.device) + body.model.num_vertices)[None]
        width = max(body.keypoint_index.shape[1], mass.shape[1])
        index, weight = (
            torch.cat([torch.nn.functional.pad(a, (0, width - a.shape[1])) for a in both])
            for both in ((body.keypoint_index, joints), (body.keypoint_weight, mass))
        )
        sums = body.surface.sums(index, weight)
        level = (sums.shares @ sums.points.rest)[list(SOLES), 1]
        return cls(sums, level - level.min())

    def posed(self, pose: Pose, frames: Frames, *, shape: bool) -> "_PosedMarks":
        return _PosedMarks(self.sums, frames, shape, self.sums.posed(pose, frames))


@dataclass(frozen=True, eq=False)
class _PosedMarks:
    """The marks of people in a pose.

    Attributes:
        shape: whether betas are free. posed: the marks' places.
    """

    sums: SkinnedSums
    frames: Frames
    shape: bool
    posed: PosedSums

    def __getitem__(self, rows: Rows) -> "_PosedMarks":
        return replace(self, frames=entries(self.frames, rows), posed=entries(self.posed, rows))

    @property
    def points(self) -> Float[Tensor, "N P 26 3"]:
        return self.posed.points

    @property
    def keypoints(self) -> Float[Tensor, "N P 25 3"]:
        return self.points[:, :, :_MASS]

    def jacobian(
        self, marks: slice | list[int], slope: Float[Tensor, "N P M asked 3"] | None = None
    ) -> Float[Tensor, "N P M asked 80"]:
        """Of some marks, see `SkinnedPoints.jacobian`."""
        return self.sums.jacobian(self.frames, self.posed, marks, slope, shape=self.shape)


def _outward(x: Tensor, nearest: Tensor, corners: Tensor, depth: Tensor) -> Tensor:
    """Unit directions out of the body: to the nearest point from inside, away from it outside."""
    normal = torch.linalg.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
    direction = (nearest - x) * torch.sign(depth)[..., None]
    direction = torch.where(depth[..., None].abs() < 1e-3, normal, direction)
    return torch.nn.functional.normalize(direction, dim=-1)


def _rows_of(a: Float[Tensor, "bodies rows 3"], index: Int[Tensor, "bodies *some"]) -> Float[Tensor, "bodies *some 3"]:
    """Of every body the chosen rows."""
    bodies = torch.arange(len(a), device=a.device)
    return a[bodies.reshape(-1, *[1] * (index.ndim - 1)), index]


def _of_both(jacobian: Float[Tensor, "N P points asked 80"]) -> Float[Tensor, "N R 160"]:
    """Rows that rest on points of both people, from the derivative by each person's unknowns."""
    return jacobian.movedim(1, 3).flatten(3).flatten(1, 2)


def add_rows(
    hessian: Tensor | None, gradient: Tensor, rows: Float[Tensor, "N R columns"], residual: Float[Tensor, "N R"]
) -> None:
    """Add J^T J (unless None) and J^T r of rows that rest on all unknowns, in place; all of one dtype."""
    if hessian is not None:
        hessian.baddbmm_(rows.transpose(1, 2), rows)
    gradient[:, None].baddbmm_(residual[:, None], rows)


def add_per_person(
    hessian: Tensor | None, gradient: Tensor, rows: Float[Tensor, "N P R 80"], residual: Float[Tensor, "N P R"]
) -> None:
    """The same of rows that rest on one person each."""
    for p in range(2):
        own = slice(p * NUM_PARAMS, (p + 1) * NUM_PARAMS)
        block = None if hessian is None else hessian[:, own, own]
        add_rows(block, gradient[:, own], rows[:, p], residual[:, p])


def _joint_blocks(hessian: Float[Tensor, "N 160 160"]) -> Float[Tensor, "N P 22 3 3"]:
    """The blocks of every joint's rotation with itself, as a view."""
    people = hessian.unflatten(1, (2, NUM_PARAMS)).unflatten(-1, (2, NUM_PARAMS)).diagonal(dim1=1, dim2=3)
    joints = people[:, ROTATIONS, ROTATIONS].unflatten(1, (NUM_JOINTS, 3)).unflatten(3, (NUM_JOINTS, 3))
    return joints.diagonal(dim1=1, dim2=3).permute(0, 3, 4, 1, 2)
