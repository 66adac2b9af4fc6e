"""Is a scene what it claims to be: in contact, uncut, within joint limits, standing, seen with person 0 on the left?"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.regions import Regions
from apu.camera import project
from apu.fit.limits import joint_ranges
from apu.metrics import contact_gaps, penetration_depth
from apu.synth.recipe import Recipe, orientations, part
from apu.types import SMPL_JOINTS, BodyParams


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a scene must keep.

    Attributes:
        gap: of a listed contact, metres between vertices of the two parts. depth: of any vertex in the other body.
        turn: radians of the whole body away from what the recipe means, lest nobody recognise it.
        bend: radians beyond the joint limits. floor: metres of what rests from what it rests on, and below the floor.
        apart: between the people's centres in the picture, pixels.
    """

    gap: float = 0.005
    depth: float = 0.010
    turn: float = 0.4
    bend: float = 0.05
    floor: float = 0.010
    apart: float = 10.0


LIMITS = Limits()


def flaws(
    recipe: Recipe, params: BodyParams, body: BodyModel, regions: Regions, *, limits: Limits = LIMITS
) -> tuple[str, ...]:
    """What is wrong with a solved scene, in words; nothing for a true one.

    Args:
        recipe: what is meant. params: camera's frame. body, regions: of the parameters.
    """
    vertices = body.forward(params).vertices
    gaps = contact_gaps(vertices, recipe.true_contacts, regions)
    found = [
        f"{a} and {b} are {1000 * gap:.1f} mm apart"
        for (a, b), gap in zip(recipe.contacts, gaps, strict=True)
        if gap > limits.gap
    ]
    deepest, _ = penetration_depth(vertices, body.skin_faces)
    if deepest > limits.depth:
        found.append(f"a vertex is {1000 * deepest:.1f} mm inside the other body")
    toppled = (Rotation.from_rotvec(params.global_orient) * orientations(recipe).inv()).magnitude()
    for person in np.flatnonzero(toppled > limits.turn):
        found.append(f"person {person} is turned {np.degrees(toppled[person]):.0f} degrees away from what is meant")
    beyond = _beyond(params)
    for person, joint in zip(*np.nonzero(beyond > limits.bend), strict=True):
        degrees = np.degrees(beyond[person, joint])
        found.append(f"the {SMPL_JOINTS[joint + 1]} of person {person} is {degrees:.0f} degrees beyond its limit")
    heights = recipe.eye - vertices[..., 1]
    for person, who in enumerate(recipe.people):
        for words, height in who.rests.items():
            off = heights[person, regions.part_vertices(part(words))].min() - height
            if abs(off) > limits.floor:
                found.append(f"the {words} of person {person} is {1000 * off:.1f} mm off what it rests on")
        if heights[person].min() < -limits.floor:
            found.append(f"person {person} is {-1000 * heights[person].min():.1f} mm below the floor")
    return tuple(found + _framing(recipe, params, body, vertices, limits))


def _beyond(params: BodyParams) -> Float[np.ndarray, "2 21"]:
    """Radians by which each joint exceeds its range about any axis."""
    lower, upper = (bound.numpy() for bound in joint_ranges(dtype=torch.float64))
    return np.maximum(np.maximum(params.body_pose - upper, lower - params.body_pose), 0).max(-1)


def _framing(
    recipe: Recipe, params: BodyParams, body: BodyModel, vertices: Float[np.ndarray, "2 vertices 3"], limits: Limits
) -> list[str]:
    camera, found = recipe.camera, []
    pixels = project(vertices, camera)
    if not ((pixels > 0) & (pixels < (camera.width, camera.height))).all():
        found.append("somebody is cut off by the picture's border")
    across = project(body.keypoints(params), camera)[..., 0]
    left, right = (across.min(1) + across.max(1)) / 2
    if right - left < limits.apart:
        found.append(f"person 1 is only {right - left:.0f} pixels right of person 0")
    return found
