"""Bring a recipe's people into true contact: parts touch, bodies do not cut each other, soles stand on the floor.

The fit's engine without observations: its objective's contacts, penetration, joint limits and start pose, no keypoints,
and two terms more: what rests on the floor or a seat, and hands that are laid on, not pricked in.

``python -m apu.synth.solve`` solves the demo's scenes and writes ``assets/demo/solved.npz``.
"""

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from apu.body.model import load_body
from apu.body.skinning import Frames, Pose, Rows, SkinnedPoints, entries, stack
from apu.files import asset, load_npz
from apu.fit.objective import Contribution, FurtherTerm, Objective, add_per_person, add_rows
from apu.fit.options import PART_SAMPLES, FitOptions, Phase
from apu.fit.problem import Problem
from apu.fit.proxy import FitBody, farthest_points, fit_body
from apu.fit.solver import minimise
from apu.synth.recipe import Recipe, load_recipes, part, start
from apu.types import BODY_25, SMPL_JOINTS, BodyParams, BodyPart, Side

OPTIONS = FitOptions(
    schedule=tuple(
        Phase(keypoint_scale=1.0, contact_temperature=temperature, penetration=penetration, shape=False, steps=steps)
        for temperature, penetration, steps in (
            (0.06, 0.1, 8),
            (0.03, 0.3, 8),
            (0.02, 0.6, 8),
            (0.01, 1.0, 12),
            (0.01, 1.0, 10),
        )
    ),
    contact_sigma=0.003,
    contact_pairs=6,
    normal_bonus=0.05,
    penetration_sigma=0.003,
    penetration_margin=0.001,
    limit_sigma=0.02,
    transl_sigma=(0.12, 0.3, 0.12),
)
"""Coarse to fine; the sigmas say what is wanted of a scene, not what is known of a photograph."""
FIRST_GAPS = (0.03, 0.012, 0.006, 0.003, 0.003)
"""What one unit of a contact's gap is worth in each phase, metres, lest parts rush through a body."""
OPENED = (0.0, 0.35, 0.7)
"""Shares by which reaching arms are opened before they close: hands that start inside a body may come out in front."""
LOCKED = 40.0
"""Penetration, as the objective counts it, beyond which parts have locked through each other for good."""


@dataclass(frozen=True, kw_only=True)
class Wants:
    """What a scene wants besides contact, as deviations that count as one.

    Attributes:
        turn, stance, nod: bending away from the recipe, radians: the whole body; trunk, legs and idle arms; the neck.
        reach: joints of an arm that touches somebody. ankle: of feet, which follow the floor.
        floor: of what rests on the floor or a seat, and of anything below the floor, metres.
        laid: distance of a touching hand's palm and fingers, root mean square, metres.
    """

    turn: float = 0.1
    stance: float = 0.1
    nod: float = 0.15
    reach: float = 0.35
    ankle: float = 0.3
    floor: float = 0.003
    laid: float = 0.02


WANTS = Wants()
_PALM = 24
"""Points of a palm that are laid on."""
_SOLE, _SOLE_M = 8, 0.008
"""Points of a sole, and how high above the lowest one they may be at rest."""
_HULL = 96
"""Points of a body that must not be below the floor."""


def solve(recipe: Recipe, body: FitBody, *, options: FitOptions = OPTIONS, wants: Wants = WANTS) -> BodyParams:
    """The recipe's people in contact, camera's frame; fingers stay relaxed.

    It does what it can, and stops early where people are locked in each other: `apu.synth.check.flaws` says whether
    that was enough.
    """
    begun = [_pose(_opened(recipe, share), body) for share in OPENED]
    touch = _touching(recipe, body)
    problem = _problem(recipe, begun[0], touch, wants)
    problem = problem[torch.zeros(len(begun), dtype=torch.long, device=problem.unit.device)]
    further: list[FurtherTerm] = [_Rests(recipe, body, wants)]
    if recipe.laid and len(touch.palms.owner):
        further.append(_Laid(touch, wants))
    pose = stack(begun)
    for index, (phase, gap) in enumerate(zip(options.schedule, FIRST_GAPS, strict=True)):
        wanted = replace(problem, contact_weight=problem.contact_weight * (options.contact_sigma / gap) ** 2)
        coarse = phase is not options.schedule[-1]
        colliding = _blind(body) if coarse else _fine(body)
        objective = Objective(wanted, touch.points, touch.normals, colliding, options, further)
        solution = minimise(objective, pose, phase)
        best = solution.value.argmin()[None] if index else torch.arange(len(solution.value))
        pose, problem = solution.pose[best], problem[best]
        if index and coarse:
            inside = objective[best].evaluate(pose, phase).terms["penetration"] / phase.penetration
            if inside > LOCKED:
                break
    return pose[0].params()


def _pose(recipe: Recipe, body: FitBody) -> Pose:
    return Pose.of(start(recipe, body.model), device=body.surface.rest.device, dtype=body.surface.rest.dtype)


def _opened(recipe: Recipe, share: float) -> Recipe:
    """The recipe before its people reach out: touching arms more sideways and straight, by this share."""
    people = []
    for person, who in enumerate(recipe.people):
        pose = {part: dict(angles) for part, angles in who.pose.items()}
        for side in _reaching(recipe, person):
            arm = pose.setdefault(f"{side}_arm", {})
            arm |= {name: (1 - share) * arm.get(name, 0.0) for name in ("forward", "elbow", "twist")}
        people.append(who.model_copy(update={"pose": pose}))
    return recipe.model_copy(update={"people": tuple(people)})


def _reaching(recipe: Recipe, person: int) -> set[str]:
    """Sides of the arms with which a person touches the other."""
    parts = [contact.parts[person] for contact in recipe.true_contacts]
    arms = [of for of in parts if of.name in ("hand", "arm", "forearm", "elbow", "upper arm")]
    return {side for of in arms for side in (("left", "right") if of.side is Side.BOTH else (str(of.side),))}


@lru_cache(maxsize=4)
def _blind(body: FitBody) -> FitBody:
    """The body with one vertex for every keypoint, of which none is observed."""
    index = body.keypoint_index[:, :1]
    return replace(body, keypoint_index=index, keypoint_weight=torch.ones_like(body.keypoint_weight[:, :1]))


@lru_cache(maxsize=4)
def _fine(body: FitBody) -> FitBody:
    """The blind body with its whole skin for collisions: the coarse one has no fingers to speak of."""
    used, faces = np.unique(body.model.skin_faces, return_inverse=True)
    skin = body.surface.take(used[:, None], np.ones((len(used), 1)))
    mesh = trimesh.Trimesh(skin.rest.cpu().numpy(), faces := faces.reshape(-1, 3), process=False)
    area = np.bincount(faces.ravel(), np.repeat(mesh.area_faces / 3, 3))
    area = torch.as_tensor(area / area.mean(), dtype=skin.rest.dtype, device=skin.rest.device)
    every = torch.arange(len(used), device=area.device)
    return replace(_blind(body), skin=skin, skin_faces=faces, probes=every, probe_area=area)


class _Palms(NamedTuple):
    """Hands of either person that touch something: whose, samples of the palm, samples of what it is laid on."""

    owner: Int[Tensor, "hands"]
    palm: Int[Tensor, "hands palm"]
    other: Int[Tensor, "hands samples"]


@dataclass(frozen=True, eq=False)
class _Touching:
    """Points of the touching parts, their normals at rest, and their ids for every contact's two parts."""

    points: SkinnedPoints
    normals: Float[Tensor, "points 3"]
    index: Int[Tensor, "2 contacts samples"]
    palms: _Palms


def _touching(recipe: Recipe, body: FitBody) -> _Touching:
    contacts = [contact.parts for contact in recipe.true_contacts]
    samples = np.array([[_surface(body, parts[person], recipe.laid) for parts in contacts] for person in range(2)])
    used, index = np.unique(samples, return_inverse=True)
    index = torch.as_tensor(index.reshape(samples.shape), device=body.surface.rest.device)
    hands = [(person, c) for c, parts in enumerate(contacts) for person in range(2) if parts[person].name == "hand"]
    owner, contact = torch.tensor(hands, dtype=torch.long).reshape(-1, 2).T
    return _Touching(
        points=body.surface.take(used[:, None], np.ones((len(used), 1))),
        normals=body.normals[used],
        index=index,
        palms=_Palms(owner, index[owner, contact, :_PALM], index[1 - owner, contact]),
    )


@lru_cache(maxsize=256)
def _surface(body: FitBody, of: BodyPart, laid: bool) -> Int[np.ndarray, "samples"]:
    """A part's samples, evenly spread from the first on; of a hand that is laid on those on the palm's side."""
    if of.name != "hand" or not laid:
        return body.samples(of)
    vertices = body.regions.part_vertices(of)
    vertices = vertices[body.normals[vertices, 1].cpu().numpy() < -0.3]  # at rest the palms look down
    return vertices[farthest_points(body.surface.rest[vertices].cpu().numpy(), PART_SAMPLES)]


def _problem(recipe: Recipe, begin: Pose, touch: _Touching, wants: Wants) -> Problem:
    start, like = stack([begin]), begin.transl
    keypoints = (1, 2, len(BODY_25))
    return Problem(
        start=start,
        target=start.rotations,
        pose_sigma=torch.as_tensor(_stiffness(recipe, wants), dtype=like.dtype, device=like.device)[None],
        observed=like.new_zeros(*keypoints, 2),
        weight=like.new_zeros(keypoints),
        unit=like.new_ones(1, 2),
        focal=like.new_ones(1, 2),
        centre=like.new_zeros(1, 2),
        part_index=touch.index[None],
        contact_weight=like.new_ones(1, touch.index.shape[1]),
        touching=torch.ones(1, 2, 4, dtype=torch.bool, device=like.device),
        stands=like.new_ones((1, 2)),
        give_up=like.new_full((1, touch.index.shape[1]), torch.inf),
        given_up=like.new_zeros(1),
    )


def _stiffness(recipe: Recipe, wants: Wants) -> Float[np.ndarray, "2 22"]:
    joint = SMPL_JOINTS.index
    stiffness = np.full((2, len(SMPL_JOINTS)), wants.stance)
    stiffness[:, joint("pelvis")] = wants.turn
    stiffness[:, [joint("neck"), joint("head")]] = wants.nod
    stiffness[:, [joint("left_ankle"), joint("right_ankle")]] = wants.ankle
    for person in range(2):
        for side in _reaching(recipe, person):
            chain = [joint(f"{side}_{j}") for j in ("collar", "shoulder", "elbow", "wrist")]
            stiffness[person, chain] = wants.reach
    return stiffness


class _Rests:
    """What rests lies at its height, soles flat and other parts by their lowest point; nothing is below the floor."""

    def __init__(self, recipe: Recipe, body: FitBody, wants: Wants):
        rests = [
            (person, part(words), height)
            for person, who in enumerate(recipe.people)
            for words, height in who.rests.items()
        ]
        sets = [_sole(body, of) if of.name == "foot" else body.samples(of) for _, of, _ in rests]
        hull = _hull(body)
        used = np.concatenate([hull, *sets])
        self._points = body.surface.take(used[:, None], np.ones((len(used), 1)))
        self._floor, self._sigma = recipe.eye, wants.floor
        self._index = torch.arange(len(used), device=self._points.rest.device)[:, None]
        self._height = torch.zeros(2, len(used), device=self._index.device)
        self._resting = torch.zeros(2, len(used), dtype=torch.bool, device=self._index.device)
        self._lowest: list[tuple[int, slice]] = []
        first = len(hull)
        for (person, of, height), ids in zip(rests, sets, strict=True):
            where = slice(first, first := first + len(ids))
            self._height[person, where] = height
            if of.name == "foot":
                level = body.surface.rest[ids, 1]
                self._height[person, where] += level - level.min()
                self._resting[person, where] = True
            else:
                self._lowest.append((person, where))

    def __call__(self, pose: Pose, frames: Frames, phase: Phase, pairs: Int[Tensor, "N"]) -> Contribution:
        skinned = self._points.posed(pose, frames)
        points = skinned.points
        below = points[..., 1] - self._floor + self._height  # (N, 2, points)
        resting = self._resting.expand(below.shape).clone()
        every = torch.arange(len(below), device=below.device)
        for person, where in self._lowest:
            resting[every, person, where.start + below[:, person, where].argmax(-1)] = True
        residual = torch.where(resting, below, (points[..., 1] - self._floor).clamp_min(0)) / self._sigma

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            index = self._index.expand(*points[of].shape[:2], *self._index.shape)
            ones = torch.ones_like(index, dtype=points.dtype)
            rows = self._points.jacobian(entries(frames, of), entries(skinned, of), index, ones, shape=phase.shape)
            rows = rows[..., 1, :] * ((residual[of] != 0)[..., None] / self._sigma)
            add_per_person(hessian, gradient, rows, residual[of])

        return Contribution({"rests": 0.5 * residual.square().sum((-1, -2))}, add)


@lru_cache(maxsize=4)
def _hull(body: FitBody) -> Int[np.ndarray, "points"]:
    """Vertices all over the skin."""
    skin = np.unique(body.model.skin_faces)
    return skin[farthest_points(body.surface.rest[skin].cpu().numpy(), _HULL)]


@lru_cache(maxsize=16)
def _sole(body: FitBody, foot: BodyPart) -> Int[np.ndarray, "points"]:
    """Vertices on which a foot stands, spread evenly; at rest soles are level."""
    vertices = body.regions.part_vertices(foot)
    rest = body.surface.rest[vertices].cpu().numpy()
    low = rest[:, 1] < rest[:, 1].min() + _SOLE_M
    return vertices[low][farthest_points(rest[low], _SOLE)]


class _Laid:
    """Palms are laid on: every point of them is near what they touch, with skin that faces skin."""

    def __init__(self, touch: _Touching, wants: Wants):
        self._touch = touch
        self._sigma = wants.laid * np.sqrt(_PALM)

    def __call__(self, pose: Pose, frames: Frames, phase: Phase, pairs: Int[Tensor, "N"]) -> Contribution:
        samples, (owner, palm, other) = self._touch.points, self._touch.palms
        skinned = samples.posed(pose, frames)
        points, normals = skinned.points, samples.directions(self._touch.normals, frames)
        own, theirs = owner[:, None], 1 - owner[:, None]
        apart = points[:, own, palm][..., None, :] - points[:, theirs, other][..., None, :, :]
        facing = normals[:, own, palm] @ normals[:, theirs, other].transpose(-1, -2)
        nearest = (apart.square().sum(-1) + OPTIONS.normal_bonus**2 * (1 + facing)).argmin(-1)  # (N, hands, palm)
        nearest = other.expand(len(points), *other.shape).gather(-1, nearest)
        ids = torch.stack([torch.where(own == person, palm, nearest) for person in range(2)], 1).flatten(2)
        at = points.gather(2, ids[..., None].expand(*ids.shape, 3))
        residual = (at[:, 0] - at[:, 1]).flatten(1) / self._sigma

        def add(hessian: Tensor | None, gradient: Tensor, of: Rows) -> None:
            index = ids[of][..., None]
            ones = torch.ones_like(index, dtype=points.dtype)
            rows = samples.jacobian(entries(frames, of), entries(skinned, of), index, ones, shape=phase.shape)
            rows = torch.cat([rows[:, 0], -rows[:, 1]], -1).flatten(1, 2) / self._sigma
            add_rows(hessian, gradient, rows, residual[of])

        return Contribution({"laid": 0.5 * residual.square().sum(-1)}, add)


def main(names: list[str]) -> None:
    """Solve all recipes of the demo, or the named ones, and write the shipped file."""
    recipes, body = load_recipes(), fit_body(load_body())
    path = Path(asset("demo/recipes.json")).with_name("solved.npz")
    stored = load_npz(path) if path.exists() and names else {}
    for name in names or recipes:
        stored |= {f"{name}.{key}": array for key, array in solve(recipes[name], body).arrays().items()}
    np.savez_compressed(path, allow_pickle=False, **stored)


if __name__ == "__main__":
    main(sys.argv[1:])
