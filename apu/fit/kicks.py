"""Restarts for limbs that have locked through each other: a local minimum that no small step leaves.

An arm that went into a torso from the wrong side is held there by the penetration term itself. Where one pair of
limbs is deeper than a limit, the state is taken again with these two pushed apart along the viewing direction (which
the keypoints hardly notice), one way and the other, as a new start.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from apu.body.collide import other_person
from apu.body.skinning import EVERY, NUM_PARAMS, Pose
from apu.fit.objective import Objective, System, add_per_person
from apu.fit.options import FitOptions
from apu.fit.solver import damped_step

_SEGMENT_OF_JOINT = (0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0, 0, 3, 4, 5, 4, 5, 4, 5)
"""Torso 0, left leg 1, right leg 2, head 3, left arm 4, right arm 5: what moves apart as one."""
_SEGMENTS = 6
_TORSO_DISTANCE, _LIMB_DISTANCE = 0.25, 0.12
"""Metres to push: a torso is thicker than a limb."""
_STEPS, _HOLD_SIGMA, _DAMPING = 8, 0.02, 1e-2
"""Steps of the push, how firmly (metres) the two segments are led to their pushed places, and its damping."""
_LED = 40
"""Points that lead a segment."""


def locked_pairs(objective: Objective, pose: Pose, options: FitOptions) -> Int[Tensor, "locked"]:
    """Which of the N pairs are deeper in each other than `kick_depth`."""
    depth, _ = _deepest(objective, _vertices(objective, pose), _segments(objective), options)
    return (depth >= options.kick_depth).nonzero()[:, 0]


def kicked_starts(
    objective: Objective, pose: Pose, options: FitOptions, *, check: Callable[[], None] | None = None
) -> tuple[Int[Tensor, "M"], Pose]:
    """New starts for the pairs that are locked in `pose`: their deepest pair of segments apart, both ways.

    Args:
        check: called in every step; may raise to stop.

    Returns:
        Which of the N pairs each of the M starts is for, two in a row, and the starts; M = 0 where nothing is locked.
    """
    vertices, segment = _vertices(objective, pose), _segments(objective)
    deepest, locked = _deepest(objective, vertices, segment, options)
    pairs = (deepest >= options.kick_depth).nonzero()[:, 0]
    if not len(pairs):
        return pairs, pose[pairs]
    few = torch.stack([_spread(segment, s) for s in range(_SEGMENTS)])  # (segments, led)
    pushed = torch.stack([locked[pairs] // _SEGMENTS, locked[pairs] % _SEGMENTS], 1)  # (M / 2, P)
    led = few[pushed]  # (M / 2, P, led)
    places = vertices[pairs].gather(2, led[..., None].expand(*led.shape, 3))
    away = torch.nn.functional.normalize(places.mean(2, keepdim=True), dim=-1)
    distance = torch.where((pushed == 0).any(1), _TORSO_DISTANCE, _LIMB_DISTANCE).to(places)[:, None, None, None]
    apart = places.new_tensor([0.5, -0.5])[:, None, None] * distance * away
    both = torch.stack([places + apart, places - apart], 1).flatten(0, 1)
    pairs, led = pairs.repeat_interleave(2), led.repeat_interleave(2, 0)
    return pairs, _led(objective[pairs], pose[pairs], led, both, check)


def _vertices(objective: Objective, pose: Pose) -> Float[Tensor, "N 2 V 3"]:
    skin = objective.body.skin
    return skin.posed(pose, skin.skeleton.frames(pose)).points


def _segments(objective: Objective) -> Int[Tensor, "V"]:
    weights = objective.body.skin.weights
    return torch.tensor(_SEGMENT_OF_JOINT, device=weights.device)[weights.argmax(1)]


def _deepest(
    objective: Objective, vertices: Float[Tensor, "N 2 V 3"], segment: Int[Tensor, "V"], options: FitOptions
) -> tuple[Float[Tensor, "N"], Int[Tensor, "N"]]:
    """How deep the deepest probe is, metres, and between which segments (person 0's x `_SEGMENTS` + person 1's)."""
    bodies, probes = vertices.flatten(0, 1), objective.body.probes
    inside = objective.collider(bodies).query(other_person(bodies[:, probes]), ignored=options.penetration_margin)
    depth = inside.depth.to(bodies.dtype).unflatten(0, (-1, 2))  # of body p: of the other person's probes
    hit, asked = segment[objective.faces[inside.face, 0]].unflatten(0, (-1, 2)), segment[probes]
    both = torch.stack([hit[:, 0] * _SEGMENTS + asked, asked * _SEGMENTS + hit[:, 1]], 1)
    deepest, probe = depth.flatten(1).max(1)
    return deepest, both.flatten(1).gather(1, probe[:, None])[:, 0]


def _spread(segment: Int[Tensor, "V"], which: int) -> Int[Tensor, "led"]:
    """Vertices all over a segment."""
    members = (segment == which).nonzero()[:, 0]
    return members[torch.linspace(0, len(members) - 1, _LED, device=members.device).long()]


def _led(
    objective: Objective, pose: Pose, led: Int[Tensor, "N 2 led"], target: Float[Tensor, "N 2 led 3"],
    check: Callable[[], None] | None,
) -> Pose:  # fmt: skip
    """A few Gauss-Newton steps that bring the led points to their targets while the other terms hold the rest."""
    skin = objective.body.skin
    phase = replace(objective.options.schedule[0], shape=False)  # a push moves people, it does not reshape them
    ones = torch.ones_like(led, dtype=target.dtype)[..., None]
    for _ in range(_STEPS):
        if check is not None:
            check()
        hessian, gradient = objective.evaluate(pose, phase).linearise(EVERY)
        frames = skin.skeleton.frames(pose)
        skinned = skin.posed(pose, frames)
        rows = skin.jacobian(frames, skinned, led[..., None], ones, shape=False).flatten(2, 3) / _HOLD_SIGMA
        places = skinned.points.gather(2, led[..., None].expand(*led.shape, 3))
        residual = ((places - target) / _HOLD_SIGMA).flatten(2)
        add_per_person(hessian, gradient, rows, residual)
        step, _ = damped_step(System(hessian, gradient), hessian.new_full((len(led),), _DAMPING))
        pose = pose.step(step.unflatten(-1, (2, NUM_PARAMS)))
    return pose
