"""Restarts for limbs that have locked through each other: a local minimum that no small step leaves.

An arm that went into a torso from the wrong side is held there by the penetration term itself. Where one pair of
limbs is deeper than a limit, the state is taken again with these two pushed apart along the viewing direction (which
the keypoints hardly notice), one way and the other, as a new start.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.collide import Collider, other_person
from apu.body.skinning import BETAS, NUM_PARAMS, Pose
from apu.fit.objective import Objective, System
from apu.fit.options import FitOptions
from apu.fit.solver import damped_step

_SEGMENT_OF_JOINT = (0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0, 0, 3, 4, 5, 4, 5, 4, 5)
"""Torso 0, left leg 1, right leg 2, head 3, left arm 4, right arm 5: what moves apart as one."""
_TORSO_DISTANCE, _LIMB_DISTANCE = 0.25, 0.12
"""Metres to push: a torso is thicker than a limb."""
_STEPS, _HOLD_SIGMA, _DAMPING = 8, 0.02, 1e-2
"""Steps of the push, how firmly (metres) the two segments are led to their pushed places, and its damping."""


def kicked_starts(objective: Objective, pose: Pose, options: FitOptions) -> list[Pose]:
    """New starts for the one pair of `pose` (1, 2, ...): its deepest pair of segments apart, both ways."""
    skin, skeleton = objective.body.skin, objective.body.surface.skeleton
    frames = skeleton.frames(pose)
    vertices = skin.posed(pose, frames).points
    bodies = vertices.flatten(0, 1)
    collider = Collider(objective.body.skin_faces, bodies.shape[1], 2, bodies.device)
    collider.update(bodies)
    inside = collider.query(other_person(bodies), ignored=options.penetration_margin)
    faces = torch.as_tensor(objective.body.skin_faces, device=bodies.device)
    segment = torch.tensor(_SEGMENT_OF_JOINT, device=bodies.device)[skin.weights.argmax(1)]
    # Depth by pair of segments (of person 0, of person 1), whichever person's vertex is inside.
    deepest = bodies.new_zeros(6, 6)
    for other in range(2):
        depth, own = inside.depth[other].to(bodies.dtype), segment
        hit = segment[faces[inside.face[other], 0]]
        pairs = (own, hit) if other == 1 else (hit, own)
        deepest.view(-1).scatter_reduce_(0, pairs[0] * 6 + pairs[1], depth, "amax")
    if deepest.max() < options.kick_depth:
        return []
    a, b = divmod(int(deepest.argmax()), 6)
    distance = _TORSO_DISTANCE if 0 in (a, b) else _LIMB_DISTANCE
    members = (segment == a).nonzero()[:, 0], (segment == b).nonzero()[:, 0]
    starts = []
    for sign in (1.0, -1.0):
        target = vertices.clone()
        for p, rows in enumerate(members):
            centre = torch.nn.functional.normalize(vertices[0, p, rows].mean(0), dim=0)
            target[0, p, rows] += (sign if p == 0 else -sign) * distance / 2 * centre
        starts.append(_led(objective, pose, members, target)[0])
    return starts


def _led(objective: Objective, pose: Pose, members: tuple[Tensor, Tensor], target: Float[Tensor, "1 2 V 3"]) -> Pose:
    """A few Gauss-Newton steps that bring the two segments to their targets while the other terms hold the rest."""
    skin, skeleton = objective.body.skin, objective.body.surface.skeleton
    phase = replace(objective.options.schedule[0], shape=False)
    for _ in range(_STEPS):
        hessian, gradient = objective.evaluate(pose, phase).linearise()
        frames = skeleton.frames(pose)
        vertices, shaped = skin.posed(pose, frames)
        for p, rows in enumerate(members):
            few = rows[:: max(1, len(rows) // 40)]
            own = slice(p * NUM_PARAMS, (p + 1) * NUM_PARAMS)
            person, joint = pose[:, p : p + 1], type(frames)(*(f[:, p : p + 1] for f in frames))
            index = few[None, None, :, None]
            jacobian = skin.jacobian(
                person, joint, shaped[:, p : p + 1], index, torch.ones_like(index, dtype=vertices.dtype)
            )
            lead = jacobian[0, 0].flatten(0, 1) / _HOLD_SIGMA
            lead[:, BETAS] = 0  # a push moves people, it does not reshape them
            residual = ((vertices - target)[0, p, few] / _HOLD_SIGMA).flatten()
            hessian[0, own, own] += lead.T @ lead
            gradient[0, own] += lead.T @ residual
        step = damped_step(System(hessian, gradient), hessian.new_full((1,), _DAMPING))
        pose = pose.step(step.unflatten(-1, (2, NUM_PARAMS)))
    return pose
