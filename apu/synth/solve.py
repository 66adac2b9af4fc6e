"""Bring a recipe's people into true contact: parts touch, bodies do not cut each other, soles stand on the floor.

Done once per recipe and shipped (``python -m apu.synth.solve`` writes ``assets/demo/solved.npz``), so plain Adam on the
fit's skinned points will do. Unlike a fit there are no observations: the recipe's pose says what is meant.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.collide import Collider, other_person
from apu.body.model import load_body
from apu.body.skinning import Frames, Pose, SkinnedPoints
from apu.files import asset
from apu.fit.proxy import FitBody, fit_body
from apu.synth.recipe import Recipe, load_recipes, start
from apu.types import SMPL_JOINTS, BodyParams, BodyPart, Side

STEPS, RATE = 600, 0.01

# What costs one unit, in metres and radians; the objective is the sum of squares.
GAP, FIRST_GAP, SOFT = 0.003, 0.03, 0.02
"""Distance of two parts, at the end and at first, lest they rush through a body; temperature of the soft minimum."""
FACING = 0.05
"""Skin whose normals do not oppose counts as up to sqrt(2) times this further away."""
LAID = 0.02
"""Distance of a touching hand's palm and fingers, on average, so that hands are laid on and not pricked in."""
DEPTH, FLOOR, TRAVEL, TURN = 0.002, 0.002, 0.08, 0.08
REACH, NOD, STANCE = 0.35, 0.15, 0.08
"""Bending away from the recipe: joints of an arm that touches somebody, of the neck, and all others."""


@dataclass(frozen=True, eq=False)
class _Surface:
    """Points of both people's touching parts: for every contact, the points of either person's part."""

    points: SkinnedPoints
    normals: Float[Tensor, "points 3"]
    contacts: list[tuple[Tensor, Tensor]]
    hands: list[tuple[bool, ...]]

    def posed(self, pose: Pose, frames: Frames) -> tuple[Float[Tensor, "2 points 3"], Float[Tensor, "2 points 3"]]:
        """Places and normals."""
        turn = (self.points.weights @ frames.rotation.flatten(-2)).unflatten(-1, (3, 3))
        return self.points.posed(pose, frames).points, (turn @ self.normals[..., None])[..., 0]


def solve(recipe: Recipe, body: FitBody, *, steps: int = STEPS) -> BodyParams:
    """The recipe's people in contact, camera's frame; fingers stay relaxed."""
    begin = Pose.of(start(recipe, body.model))
    parts, soles = _touching(recipe, body), _soles(body)
    stiffness = _stiffness(recipe)
    collider = Collider(body.skin_faces, len(body.skin.rest), 2)
    turn, travel = (torch.zeros(2, n, 3, requires_grad=True) for n in (len(SMPL_JOINTS), 1))
    optimiser = torch.optim.Adam([turn, travel], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=RATE / 50)
    for step in range(steps):
        pose = _moved(begin, turn, travel)
        frames = body.surface.skeleton.frames(pose)
        loss = (turn / stiffness).square().sum() + (travel / TRAVEL).square().sum()
        gap = max(GAP, FIRST_GAP * (GAP / FIRST_GAP) ** (2 * step / steps))
        loss = loss + _touch(parts, pose, frames, gap)
        loss = loss + ((soles.posed(pose, frames).points[..., 1].amax(1) - recipe.eye) / FLOOR).square().sum()
        loss = loss + (0.3 + 3 * step / steps) * _inside(body, collider, pose, frames)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return _moved(begin, turn.detach(), travel.detach()).params()


def _stiffness(recipe: Recipe) -> Float[Tensor, "2 22 1"]:
    stiffness = torch.full((2, len(SMPL_JOINTS), 1), STANCE)
    stiffness[:, 0] = TURN
    stiffness[:, [SMPL_JOINTS.index("neck"), SMPL_JOINTS.index("head")]] = NOD
    for contact in recipe.true_contacts:
        for person, part in enumerate(contact.parts):
            if part.name in ("hand", "arm", "forearm", "elbow", "upper arm"):
                sides = ("left", "right") if part.side is Side.BOTH else (str(part.side),)
                chain = [SMPL_JOINTS.index(f"{s}_{j}") for s in sides for j in ("collar", "shoulder", "elbow", "wrist")]
                stiffness[person, chain] = REACH
    return stiffness


def _moved(begin: Pose, turn: Tensor, travel: Tensor) -> Pose:
    return replace(begin, rotations=roma.rotvec_to_rotmat(turn) @ begin.rotations, transl=begin.transl + travel[:, 0])


def _some(body: FitBody, vertices: np.ndarray) -> SkinnedPoints:
    return body.surface.take(vertices[:, None], np.ones((len(vertices), 1)))


def _soles(body: FitBody) -> SkinnedPoints:
    return _some(body, body.regions.part_vertices(BodyPart(name="foot")))


def _touching(recipe: Recipe, body: FitBody) -> _Surface:
    """The parts' samples; of a hand, those of its palm and fingers."""
    samples = [tuple(_inner(body, part) for part in contact.parts) for contact in recipe.true_contacts]
    vertices, place = np.unique(np.concatenate([s for pair in samples for s in pair]), return_inverse=True)
    places = torch.as_tensor(place).split([len(s) for pair in samples for s in pair])
    return _Surface(
        points=_some(body, vertices),
        normals=body.normals[vertices],
        contacts=list(zip(places[::2], places[1::2], strict=True)),
        hands=[tuple(part.name == "hand" for part in contact.parts) for contact in recipe.true_contacts],
    )


def _inner(body: FitBody, part: BodyPart) -> np.ndarray:
    """A part's samples; of a hand those on the palm's side."""
    samples = body.samples(part)
    if part.name != "hand":
        return samples
    # At rest the palms look down.
    return samples[body.normals[samples, 1].numpy() < -0.3]


def _touch(parts: _Surface, pose: Pose, frames: Frames, gap: float) -> Tensor:
    points, normals = parts.posed(pose, frames)
    loss = torch.zeros(())
    for (a, b), hands in zip(parts.contacts, parts.hands, strict=True):
        square = (points[0, a][:, None] - points[1, b][None]).square().sum(-1)
        cost = square + FACING**2 * (1 + normals[0, a] @ normals[1, b].T)
        choice = torch.softmax(-cost.detach().flatten() / SOFT**2, 0)
        loss = loss + (choice * square.flatten()).sum() / gap**2
        for axis, is_hand in enumerate(hands):
            if is_hand:
                nearest = cost.detach().argmin(1 - axis, keepdim=True)
                loss = loss + square.gather(1 - axis, nearest).mean() / LAID**2
    return loss


def _inside(body: FitBody, collider: Collider, pose: Pose, frames: Frames) -> Tensor:
    """Squared depths of the collision skin's vertices in the other person, point to plane."""
    vertices = body.skin.posed(pose, frames).points
    collider.update(vertices)
    inside = collider.query(other_person(vertices))
    person, vertex = torch.nonzero(inside.depth > 0, as_tuple=True)
    corners = torch.as_tensor(body.skin_faces)[inside.face[person, vertex]]
    surface = (inside.bary[person, vertex][..., None] * vertices[person[:, None], corners]).sum(1)
    offset = surface - vertices[1 - person, vertex]
    outwards = torch.nn.functional.normalize(offset.detach(), dim=-1)
    return ((offset * outwards).sum(-1) / DEPTH).square().sum()


def main(names: list[str]) -> None:
    """Solve all recipes, or the named ones, and write the shipped file."""
    recipes, body = load_recipes(), fit_body(load_body())
    path = Path(asset("demo/recipes.json")).with_name("solved.npz")
    stored = dict(np.load(path)) if path.exists() and names else {}
    for name in names or recipes:
        stored |= {f"{name}.{key}": array for key, array in solve(recipes[name], body).arrays().items()}
    np.savez_compressed(path, **stored)


if __name__ == "__main__":
    main(sys.argv[1:])
