"""Where a fit begins: an estimator's mesh carried over to the fit's body, or keypoints alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from apu.body.lines import torso_length
from apu.body.model import BodyModel
from apu.body.skinning import Pose, Skeleton, stack
from apu.camera import project
from apu.errors import FitError
from apu.fit.objective import Objective
from apu.fit.options import FitOptions, Phase
from apu.fit.problem import build_problem
from apu.fit.proxy import FitBody, fit_body
from apu.fit.solver import Step, minimise
from apu.metrics import used_confidence
from apu.types import BODY_25, NUM_BETAS, SMPL_JOINTS, BodyParams, PairObservation

_JOINT_SIGMA = 0.02
"""Metres: how well another body's joints agree with this one's; against betas of sigma 1 it sets the ridge."""
_NEAREST, _FURTHEST = 0.3, 100.0
"""Metres of depth that a start may have."""

_ACROSS = 0.3
"""Torso lengths between the shoulders in the image from which it is plain which is the left one."""

_ALONE = FitOptions(orient_sigma=1.5, transl_sigma=(3.0, 3.0, 3.0), arm_sigma=1.0, leg_sigma=0.7)
"""A person without a mesh starts from a standing figure that means little: L_init holds it loosely."""
_ALONE_PHASES = (
    Phase(keypoint_scale=1000.0, contact_temperature=0.06, penetration=0.0, shape=False, steps=25),
    Phase(keypoint_scale=120.0, contact_temperature=0.06, penetration=0.0, shape=True, steps=20),
)


def initial_params(observation: PairObservation, body: BodyModel) -> BodyParams:
    """The start of a fit as parameters of `body`.

    Raises:
        FitError: a person has neither a mesh nor enough keypoints to place one.
    """
    return initial_pose(observation, fit_body(body)).params()


def initial_pose(observation: PairObservation, body: FitBody, *, observe: Callable[[Step], None] | None = None) -> Pose:
    """The start of a fit: meshes carried over where there are any, else the better of two standing figures.

    Args:
        observe: called after every step that places a standing figure; may raise to stop.

    Raises:
        FitError: a person has neither a mesh nor enough keypoints to place one.
    """
    estimate, like = observation.estimate, body.surface.rest
    tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=like.dtype, device=like.device)  # noqa: E731
    rotvec = tensor(np.concatenate([estimate.global_orient[:, None], estimate.body_pose], axis=1))
    rotations = roma.rotvec_to_rotmat(rotvec)
    betas = tensor(estimate.betas) if estimate.body == body.model.name else None
    pose = shape_to_joints(rotations, tensor(estimate.joints), body.surface.skeleton, betas=betas)
    if not estimate.valid.all():
        pose = _from_keypoints(observation, pose, body, observe)
    return pose


def facings(observation: PairObservation, pose: Pose, skeleton: Skeleton) -> list[Pose]:
    """The start, and with it every way of turning those people around whose keypoints say that the start is wrong.

    Seen from the side or from behind, estimators sometimes take a back for a front. Left and right shoulders (and
    hips) are then the other way round in the image than the keypoints have them. Detectors exchange left and right as
    well, but then the face does not fit: people who show a nose face the viewer. Only where both agree against the
    start is it doubted, and the lower objective decides.
    """
    places = skeleton.frames(pose).place.cpu().double().numpy()
    around = [p for p in range(len(places)) if observation.estimate.valid[p] and _reversed(observation, places[p], p)]
    turn = torch.diag(pose.transl.new_tensor([-1.0, 1.0, -1.0]))  # half a turn about the body's own vertical
    starts = []
    for turned in product((False, True), repeat=len(around)):
        rotations = pose.rotations.clone()
        for p in (p for p, is_turned in zip(around, turned, strict=True) if is_turned):
            rotations[p, 0] = rotations[p, 0] @ turn
        starts.append(replace(pose, rotations=rotations))
    return starts


def nearest_facing(poses: Sequence[Pose], fitted: Pose) -> Pose:
    """Of `facings` the one that is turned most like an earlier fit of the same pair."""

    def turned(pose: Pose) -> float:
        turn = pose.rotations[:, 0].transpose(-1, -2) @ fitted.rotations[:, 0]
        return float(roma.rotmat_to_rotvec(turn).square().sum())

    return min(poses, key=turned)


def _reversed(observation: PairObservation, places: Float[np.ndarray, "22 3"], person: int) -> bool:
    confidence = used_confidence(observation)[person]
    point, joint = BODY_25.index, SMPL_JOINTS.index
    across = []  # from right to left in the image, in torso lengths: (as detected, as the start has it)
    for part in ("shoulder", "hip"):
        names = f"left_{part}", f"right_{part}"
        if all(confidence[point(name)] > 0 for name in names):
            left, right = (observation.keypoints[person, point(name), 0] for name in names)
            ours = project(places[[joint(name) for name in names]], observation.camera)[:, 0]
            across.append((left - right, ours[0] - ours[1]))
    torso = torso_length(observation.keypoints[person])
    if not across or not np.isfinite(torso):
        return False
    detected, ours = np.array(across).T / torso
    opposite = (detected * ours < 0).all() and abs(detected[0]) > _ACROSS and abs(ours[0]) > _ACROSS
    return bool(opposite and (detected[0] > 0) == (confidence[point("nose")] > 0))


def shape_to_joints(
    rotations: Float[Tensor, "P 22 3 3"],
    joints: Float[Tensor, "P 22 3"],
    skeleton: Skeleton,
    *,
    betas: Float[Tensor, "P 11"] | None = None,
) -> Pose:
    """Betas and translation that bring the skeleton's joints to another body's, under the same rotations.

    Shape spaces differ between bodies, bone lengths do not. With the rotations given, joints are linear in betas and
    translation, so a ridge (betas of sigma 1) solves it; the child axis is kept within [0, 1].

    Args:
        rotations: local, with the root's. joints: camera frame, metres. betas: given where the body is the same.
    """
    people = len(rotations)
    none = rotations.new_zeros(people, NUM_BETAS)
    frames = skeleton.frames(Pose(rotations, none, rotations.new_zeros(people, 3)))
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand(people, 22, 3, 3)
    if betas is None:
        columns = torch.cat([frames.place_dirs.transpose(-1, -2), eye], -1).flatten(1, 2) / _JOINT_SIGMA
        wanted = (joints - frames.place).flatten(1) / _JOINT_SIGMA
        child = _ridge(columns, wanted)[:, NUM_BETAS - 1].clamp(0, 1)
        adult = columns.clone()
        adult[..., NUM_BETAS - 1] = 0
        betas = _ridge(adult, wanted - columns[..., NUM_BETAS - 1] * child[:, None])[:, :NUM_BETAS]
        betas = torch.cat([betas[:, :-1].clamp(-3, 3), child[:, None]], 1)
    placed = frames.place + torch.einsum("pjmc,pm->pjc", frames.place_dirs, betas)
    return Pose(rotations, betas, (joints - placed).mean(1))


def _ridge(columns: Float[Tensor, "P R 14"], wanted: Float[Tensor, "P R"]) -> Float[Tensor, "P 14"]:
    weight = torch.diag(columns.new_tensor([1.0] * NUM_BETAS + [1e-3] * 3))
    normal = columns.transpose(1, 2) @ columns + weight
    return torch.linalg.solve(normal, columns.transpose(1, 2) @ wanted[..., None])[..., 0]


def _from_keypoints(
    observation: PairObservation, known: Pose, body: FitBody, observe: Callable[[Step], None] | None
) -> Pose:
    """Replace the people without a mesh by figures fitted to their keypoints, from the front and from the back."""
    missing = [p for p, valid in enumerate(observation.estimate.valid) if not valid]
    starts = []
    for turned in product((False, True), repeat=len(missing)):
        pose = Pose(known.rotations.clone(), known.betas.clone(), known.transl.clone())
        for p, away in zip(missing, turned, strict=True):
            figure = _standing(observation, p, body, away=away)
            pose.rotations[p], pose.betas[p], pose.transl[p] = figure.rotations[0], figure.betas[0], figure.transl[0]
        starts.append(pose)
    n = len(starts)
    problem, samples, normals = build_problem([observation] * n, [()] * n, starts, body, _ALONE)
    objective, pose = Objective(problem, samples, normals, body, _ALONE), stack(starts)
    for phase in _ALONE_PHASES:
        solution = minimise(objective, pose, phase, observe=observe)
        pose = solution.pose
    fitted = pose[int(solution.value.argmin())]
    absent = torch.as_tensor(~observation.estimate.valid, device=fitted.transl.device)
    return fitted.where(absent, known)


def _standing(observation: PairObservation, person: int, body: FitBody, *, away: bool) -> Pose:
    """A standing figure that faces the camera or turns its back, at the depth its keypoints' spread asks for."""
    like = body.surface.rest
    confidence = used_confidence(observation)[person]
    used = np.flatnonzero(confidence)
    if len(used) < 3:
        raise FitError(
            f"{observation.image}: person {'AB'[person]} has no initial mesh and only {len(used)} usable keypoints; "
            "give a mesh or a better detection"
        )
    rotvec = np.zeros((22, 3))
    for side, sign in (("left", -1.0), ("right", 1.0)):
        rotvec[SMPL_JOINTS.index(f"{side}_shoulder")] = (0, 0, sign * 1.2)
    rotvec[0] = (0, 0, np.pi) if away else (np.pi, 0, 0)
    rotations = roma.rotvec_to_rotmat(torch.as_tensor(rotvec, dtype=like.dtype, device=like.device))[None]
    pose = Pose(rotations, like.new_zeros(1, NUM_BETAS), like.new_zeros(1, 3))
    support = body.surface.posed(pose, body.surface.skeleton.frames(pose)).points[0][body.keypoint_index]
    marks = (body.keypoint_weight[..., None] * support).sum(1).cpu().double().numpy()[used]
    seen = observation.keypoints[person, : len(BODY_25)][used, :2].astype(float)
    camera = observation.camera
    rays = (seen - camera.K[:2, 2]) / np.array([camera.K[0, 0], camera.K[1, 1]])
    spread_3d, spread_2d = (np.linalg.norm(a - a.mean(0), axis=1).mean() for a in (marks[:, :2], rays))
    depth = float(np.clip(spread_3d / max(spread_2d, 1e-6), _NEAREST, _FURTHEST))
    place = np.append(rays.mean(0) * depth - marks[:, :2].mean(0), depth)
    return replace(pose, transl=torch.as_tensor(place[None], dtype=like.dtype, device=like.device))
