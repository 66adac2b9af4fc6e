"""What a keypoint detector, a mesh estimator and a vision-language model might say of a scene: wrong in their ways.

Errors follow what is seen. A detector is unsure of what is hidden, and misses it or puts it elsewhere; an estimator
sees directions in the image but not depth, so people stand and limbs point wrongly along the viewing direction, and
hidden limbs hang; a model mistakes left for right, misses contacts and invents some.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.rig import PARENTS
from apu.camera import project
from apu.render import rasterize
from apu.synth.pose import local_rotations
from apu.synth.recipe import Recipe
from apu.synth.scene import Scene
from apu.types import KEYPOINTS, SMPL_JOINTS, BodyParams, BodyPart, Contact, Side

NOT_IN_VITPOSE = ("neck", "mid_hip")
"""Keypoints that ViTPose's files in this layout leave at confidence 0."""

_BURIED_M = (0.20, 0.03)
"""Keypoints lie within their own body, this deep at most; the other body hides what is this far behind it."""
_SEES = {"shoulder": "elbow", "elbow": "wrist", "wrist": "middle1", "hip": "knee", "knee": "ankle", "ankle": "big_toe"}
"""The keypoint that tells how a joint is turned."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How wrong the observations are.

    The defaults put the estimate where BEV is: a joint PA-MPJPE of about 110 mm (APU, table 3: 111.9) and some 30 units
    of 512 from the keypoints (BEV against ViTPose on real photographs). The rest is chosen, not measured.

    Attributes:
        keypoint: standard deviation of visible keypoints, units of a person 512 high. hidden_keypoint: of hidden ones.
        dropout: share of the hidden keypoints that are not detected at all.
        place: of people across the view, metres. depth: along it, metres. lean: of the trunk along it, degrees.
        limb: of seen limbs along the viewing direction, degrees. joint: of every joint in any direction, degrees.
        hanging: how far (0..1) hidden limbs go to those of a standing person. shape: of the first betas.
        flip: share of contacts with both sides wrong. miss: share left out. invent: share of answers with one too many.
    """

    keypoint: float = 3.0
    hidden_keypoint: float = 14.0
    dropout: float = 0.5
    place: float = 0.025
    depth: float = 0.12
    lean: float = 6.5
    limb: float = 14.0
    joint: float = 4.5
    hanging: float = 0.5
    shape: float = 0.35
    flip: float = 0.35
    miss: float = 0.12
    invent: float = 0.3


NOISE = Noise()


def visible(scene: Scene, body: BodyModel) -> Bool[np.ndarray, "2 67"]:
    """Which keypoints the camera sees: inside the picture, not behind the other person nor behind their own body."""
    camera = scene.recipe.camera
    vertices = body.forward(scene.params).vertices
    depths = [rasterize(one[None], body.faces, camera, shaded=False).depth for one in vertices]
    points = body.keypoints(scene.params)
    pixels = np.nan_to_num(project(points, camera), nan=-1.0)
    size = np.array([camera.width, camera.height])
    inside = ((pixels >= 0) & (pixels < size)).all(-1)
    columns, rows = np.clip(pixels, 0, size - 1).astype(int).transpose(2, 0, 1)
    seen = np.array(inside)
    for person in range(2):
        for of, depth in enumerate(depths):
            buried = _BURIED_M[of != person]
            seen[person] &= depth[rows[person], columns[person]] > points[person, :, 2] - buried
    return seen


def keypoints(
    scene: Scene, body: BodyModel, seen: Bool[np.ndarray, "2 67"], rng: np.random.Generator, *, noise: Noise = NOISE
) -> Float[np.ndarray, "2 67 3"]:
    """`KEYPOINTS` as a detector gives them: (x px, y px, confidence)."""
    camera = scene.recipe.camera
    pixels = project(body.keypoints(scene.params), camera)
    unit = np.ptp(pixels, axis=1).max(-1)[:, None, None] / 512
    spread = np.where(seen, noise.keypoint, noise.hidden_keypoint)[..., None]
    found = pixels + unit * spread * rng.standard_normal(pixels.shape)
    confidence = np.where(seen, rng.uniform(0.7, 0.97, seen.shape), rng.uniform(0.1, 0.5, seen.shape))
    lost = (rng.random(seen.shape) < noise.dropout) & ~seen
    lost |= ((found < 0) | (found >= (camera.width, camera.height))).any(-1)
    lost[:, [KEYPOINTS.index(name) for name in NOT_IN_VITPOSE]] = True
    return np.where(lost[..., None], 0, np.concatenate([found, confidence[..., None]], -1)).astype(np.float32)


def estimate(
    scene: Scene, body: BodyModel, seen: Bool[np.ndarray, "2 67"], rng: np.random.Generator, *, noise: Noise = NOISE
) -> BodyParams:
    """The people as an estimator takes them to be."""
    params = scene.params
    world = _world_rotations(params)
    joints = body.forward(params).joints
    standing = Rotation.from_rotvec(local_rotations({}))
    local = np.concatenate([params.global_orient[:, None], params.body_pose], axis=1).astype(float)
    for person, joint in np.ndindex(local.shape[:2]):
        name, hidden = SMPL_JOINTS[joint], not _is_seen(SMPL_JOINTS[joint], seen[person])
        turn = Rotation.from_rotvec(local[person, joint])
        if joint and hidden:
            path = (turn.inv() * standing[joint - 1]).as_rotvec()
            turn = turn * Rotation.from_rotvec(noise.hanging * path)
        along = _along_the_view(joints[person], joint) * np.radians(noise.limb if _of_a_limb(name) else 0.0)
        if joint == 0:
            along = np.array([1.0, 0.0, 0.0]) * np.radians(noise.lean)
        error = along * rng.standard_normal() + np.radians(noise.joint) * rng.standard_normal(3)
        above = world[person][PARENTS[joint]] if joint else Rotation.identity()
        local[person, joint] = (above.inv() * Rotation.from_rotvec(error) * above * turn).as_rotvec()
    betas = params.betas.copy()
    betas[:, :3] += noise.shape * rng.standard_normal((2, 3))
    moved = replace(
        params,
        global_orient=local[:, 0].astype(np.float32),
        body_pose=local[:, 1:].astype(np.float32),
        betas=betas.astype(np.float32),
    )
    return replace(moved, transl=_misplaced(params.transl, joints[:, 0], rng, noise))


def answer(recipe: Recipe, rng: np.random.Generator, *, noise: Noise = NOISE) -> dict[str, Any]:
    """A model's answer in the paper's format, marked as simulated."""
    contacts = []
    for contact in recipe.true_contacts:
        # Every draw is taken, so that one rate does not shift the others.
        missed, flipped, confidence = rng.random() < noise.miss, rng.random() < noise.flip, rng.uniform(0.6, 0.95)
        if not missed or len(recipe.contacts) == 1:
            contacts.append(replace(contact.flipped if flipped else contact, confidence=confidence))
    invented = _invented(recipe, rng)
    if rng.random() < noise.invent:
        contacts.append(invented)
    return {
        "interaction": recipe.interaction,
        "people": dict(zip(("person_left", "person_right"), (p.words for p in recipe.people), strict=True)),
        "orientation": recipe.orientation,
        "contacts": [_stated(contact) for contact in contacts],
        "simulated": True,
        "model": "simulated answers (no model)",
    }


def _stated(contact: Contact) -> dict[str, Any]:
    stated = {
        f"body_part_person_{who}": {"part_name": part.name, "body_side": str(part.side)}
        for who, part in zip(("left", "right"), contact.parts, strict=True)
    }
    return {**stated, "confidence": round(contact.confidence, 2)}


def _invented(recipe: Recipe, rng: np.random.Generator) -> Contact:
    """A contact that is not in the scene, of parts that models like to name."""
    sides = (Side.LEFT, Side.RIGHT)
    choices = [(BodyPart(name=a, side=s), BodyPart(name=b, side=t))
               for a, b in (("hand", "forearm"), ("forearm", "hand"), ("foot", "foot"), ("knee", "knee"))
               for s in sides for t in sides]  # fmt: skip
    true = {contact.parts for contact in recipe.true_contacts}
    choices = [parts for parts in choices if parts not in true]
    return Contact(parts=choices[rng.integers(len(choices))], confidence=float(rng.uniform(0.3, 0.7)))


def _is_seen(joint: str, seen: Bool[np.ndarray, "67"]) -> bool:
    side, _, name = joint.rpartition("_")
    return name not in _SEES or bool(seen[KEYPOINTS.index(f"{side}_{_SEES[name]}")])


def _of_a_limb(joint: str) -> bool:
    return joint.rpartition("_")[2] in ("shoulder", "elbow", "hip", "knee")


def _along_the_view(joints: Float[np.ndarray, "55 3"], joint: int) -> Float[np.ndarray, "3"]:
    """The unit axis that swings the bone below a joint along the viewing ray; the image changes least."""
    child = PARENTS.index(joint) if joint in PARENTS else joint
    bone, ray = joints[child] - joints[joint], joints[joint]
    axis = np.cross(bone, ray)
    return axis / max(np.linalg.norm(axis), 1e-9)


def _world_rotations(params: BodyParams) -> list[list[Rotation]]:
    """Global rotations of the 22 joints of each person."""
    people = []
    for orient, pose in zip(params.global_orient, params.body_pose, strict=True):
        chain = [Rotation.from_rotvec(orient)]
        for joint, local in enumerate(pose, 1):
            chain.append(chain[PARENTS[joint]] * Rotation.from_rotvec(local))
        people.append(chain)
    return people


def _misplaced(transl: np.ndarray, pelvis: np.ndarray, rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """Mostly nearer or farther along the ray through the pelvis."""
    ray = pelvis / np.linalg.norm(pelvis, axis=1, keepdims=True)
    sideways = noise.place * rng.standard_normal((2, 3)) * (1, 1, 0)
    return (transl + noise.depth * rng.standard_normal((2, 1)) * ray + sideways).astype(np.float32)
