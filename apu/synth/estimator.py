"""Simulated first meshes: a regressor that sees directions in the image but not depth.

An error is invisible in 2D where it moves the body along the viewing rays: a person's distance together with their
size, the lean of the trunk, and the bas-relief ambiguity of every bone, whose image tells how much it is
foreshortened but not to which side. Hidden limbs are guessed. A common offset, people's places and small turns of all
joints show in the image.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.rig import PARENTS
from apu.fit.limits import joint_ranges
from apu.fit.proxy import fit_body
from apu.fit.start import shape_to_joints
from apu.synth.noise import EstimatorNoise
from apu.synth.pose import local_rotations
from apu.synth.scene import Scene
from apu.types import KEYPOINTS, SMPL_JOINTS, BodyParams

_TOLD_BY = {"shoulder": "elbow", "elbow": "wrist", "wrist": "middle1", "hip": "knee", "knee": "ankle",
            "ankle": "big_toe"}  # fmt: skip
"""The keypoint that tells how a joint is turned."""
_BONE_BELOW = {SMPL_JOINTS.index(f"{side}_{a}"): SMPL_JOINTS.index(f"{side}_{b}")
               for side in ("left", "right")
               for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))}  # fmt: skip
_NECK = SMPL_JOINTS.index("neck")
_LOWER, _UPPER = (bound.double().numpy() for bound in joint_ranges())


def estimate(
    scene: Scene, body: BodyModel, seen: Bool[np.ndarray, "2 67"], rng: np.random.Generator, *, noise: EstimatorNoise
) -> BodyParams:
    """The people as an estimator takes them to be, as parameters of `body`."""
    params = scene.params
    joints = body.forward(params).joints.astype(float)
    local = np.stack([_turned(params, p, joints[p], seen[p], rng, noise) for p in range(2)])
    betas = params.betas.copy()
    betas[:, :3] += noise.shape * rng.standard_normal((2, 3))
    away = np.exp(noise.depth * rng.standard_normal(2))
    units = np.ptp(joints[..., :2], axis=1).max(-1)[:, None] / 512
    offset = units * (noise.offset * rng.standard_normal((1, 2)) + noise.place * rng.standard_normal((2, 2)))
    posed = replace(
        params,
        global_orient=local[:, 0].astype(np.float32),
        body_pose=local[:, 1:].astype(np.float32),
        betas=betas.astype(np.float32),
    )
    pelvis = joints[:, :1] - body.forward(posed).joints[:, :1]
    posed = replace(posed, transl=(posed.transl + pelvis[:, 0]).astype(np.float32))
    return _farther(posed, body, away, offset) if (away != 1).any() or offset.any() else posed


def _farther(params: BodyParams, body: BodyModel, away: np.ndarray, offset: np.ndarray) -> BodyParams:
    """Everybody scaled about the camera, as far as the shape space can: farther and larger, the same in the image."""
    joints = body.forward(params).joints[:, : len(SMPL_JOINTS)] * away[:, None, None]
    joints[..., :2] += (away[:, None] * offset)[:, None]
    rotvec = np.concatenate([params.global_orient[:, None], params.body_pose], axis=1)
    rotations = torch.as_tensor(Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(2, -1, 3, 3))
    skeleton = fit_body(body).surface.skeleton
    pose = shape_to_joints(
        rotations.to(body.dtype).to(body.device),
        torch.as_tensor(joints, dtype=body.dtype, device=body.device),
        skeleton,
    )
    return replace(params, betas=pose.betas.float().cpu().numpy(), transl=pose.transl.float().cpu().numpy())


def _turned(
    params: BodyParams, person: int, joints: Float[np.ndarray, "55 3"], seen: Bool[np.ndarray, "67"],
    rng: np.random.Generator, noise: EstimatorNoise,
) -> Float[np.ndarray, "22 3"]:  # fmt: skip
    """Local rotations of one person, the root's first."""
    true = [Rotation.from_rotvec(r) for r in (params.global_orient[person], *params.body_pose[person])]
    standing = Rotation.from_rotvec(local_rotations({}))
    jitter = Rotation.from_rotvec(np.radians(noise.joint) * rng.standard_normal((len(true), 3)))
    lean, yaw = np.radians([noise.lean, noise.turn]) * rng.standard_normal(2)
    shortening = noise.foreshortening * rng.standard_normal(len(true))
    reversal = rng.random(len(true)) < noise.reversed
    spine = joints[_NECK] - joints[0]
    root = Rotation.from_rotvec(lean * _unit(np.cross(spine, joints[0]))) * Rotation.from_rotvec(yaw * _unit(spine))
    turns, world, world_true = [root * jitter[0] * true[0]], [root * jitter[0] * true[0]], [true[0]]
    for joint, turn in enumerate(true[1:], 1):
        above = world[PARENTS[joint]]
        world_true.append(world_true[PARENTS[joint]] * turn)
        if not _is_seen(SMPL_JOINTS[joint], seen):
            turn = turn * Rotation.from_rotvec(noise.hanging * (turn.inv() * standing[joint - 1]).as_rotvec())
        elif joint in _BONE_BELOW and (noise.foreshortening or noise.reversed):
            bone = joints[_BONE_BELOW[joint]] - joints[joint]
            carried = (above * turn * world_true[joint].inv()).apply(bone)
            told = _in_depth(_unit(bone), _unit(joints[joint]), shortening[joint], -1 if reversal[joint] else 1)
            turn = _within(above.inv() * _swing(_unit(carried), told) * above * turn, joint, turn)
        turns.append(turn * jitter[joint])
        world.append(above * turns[-1])
    return np.array([turn.as_rotvec() for turn in turns])


def _is_seen(joint: str, seen: Bool[np.ndarray, "67"]) -> bool:
    side, _, name = joint.rpartition("_")
    return name not in _TOLD_BY or bool(seen[KEYPOINTS.index(f"{side}_{_TOLD_BY[name]}")])


def _in_depth(bone: np.ndarray, ray: np.ndarray, shortening: float, sign: int) -> np.ndarray:
    """A bone's direction with another depth.

    Its length across the view is off by `shortening`; what is left is depth, of the true `sign` (1) or the other (-1).
    """
    along = bone @ ray
    across = bone - along * ray
    length = np.linalg.norm(across)
    if length < 0.05:  # it points at the camera, or away from it
        return bone
    told = np.clip(length + shortening, 0.05, 1.0)
    return told * across / length + sign * np.sign(along) * np.sqrt(1 - told**2) * ray


def _swing(start: np.ndarray, end: np.ndarray) -> Rotation:
    """The smallest rotation of one direction to another."""
    axis = np.cross(start, end)
    return Rotation.from_rotvec(np.arctan2(np.linalg.norm(axis), start @ end) * _unit(axis))


def _within(turn: Rotation, joint: int, true: Rotation) -> Rotation:
    """As far as the joint can: regressors know bodies."""
    rotvec, known = turn.as_rotvec(), true.as_rotvec()
    lower, upper = np.minimum(_LOWER[joint - 1], known), np.maximum(_UPPER[joint - 1], known)
    return Rotation.from_rotvec(rotvec.clip(lower, upper))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
