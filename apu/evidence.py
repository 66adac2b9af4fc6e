"""Where both people's parts are, as far as keypoints and first meshes tell together: what sides are judged by.

Keypoints see places in the image; a mesh knows, less well, what they do not: which of two limbs is the left one, where
a hidden limb is, and how deep in the scene a limb lies. A mesh is moved onto its person's keypoints first, for
estimators misplace people more than they misplace limbs. Then

- keypoints whose left and right fit the mesh far better exchanged are exchanged (`apu.sides`);
- those far from the mesh are trusted less, or not at all;
- those that are missing are the mesh's guesses;
- every point has a depth beside its person's pelvis.

Lengths are torso lengths, of the pair's mean; depth between the people is left open.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from apu.body.lines import MIN_CONFIDENCE, pair_unit
from apu.body.parts import anchors
from apu.body.rig import PARENTS
from apu.camera import project
from apu.formats.match import trusted_keypoints
from apu.sides import sides
from apu.types import BODY_25, HAND_21, KEYPOINTS, SMPL_JOINTS, BodyPart, PairObservation, Side

Keypoints = Float[np.ndarray, "2 67 3"]

_BODY = len(BODY_25)
_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
_JOINT = {name: i for i, name in enumerate(SMPL_JOINTS)}

_IN_TORSO = 0.5
"""Metres of an adult's torso, for lengths below that are known in metres."""
_HEAD = {"nose": (0, 0.05, 0.12), "left_eye": (0.03, 0.08, 0.10), "right_eye": (-0.03, 0.08, 0.10),
         "left_ear": (0.075, 0.06, 0.01), "right_ear": (-0.075, 0.06, 0.01)}  # fmt: skip
"""Metres from the head's joint in its own frame, of an adult."""
_DEEP = {"back": -0.2, "chest": 0.2, "stomach": 0.2}
"""How far a trunk's skin lies before the line of its joints, torso lengths."""
_THICK = {"hand": 0.08, "forearm": 0.08, "arm": 0.08, "elbow": 0.08, "upper arm": 0.08, "foot": 0.10, "knee": 0.10,
          "neck": 0.10, "leg": 0.13, "thigh": 0.13, "waist": 0.15}  # fmt: skip
"""How far a part's skin is from its line in the image, torso lengths; of the others 0.12."""
_PALM, _LONGEST_PALM = 0.4, 0.2
"""A hand goes on along its forearm where no finger is seen: by this share of it, at most so many torso lengths."""
_SAMPLES = np.linspace(0, 1, 6)[:, None]
_WIDE = (0.0, 0.2, 0.4)
"""Half a trunk reaches from its flank to nearly the middle: shares of the way to the other flank."""

_MESH_TRUST = 0.6
_DOUBTED, _REFUSED = 0.6, 2.0
"""Torso lengths between a keypoint and the mesh from which it is trusted half, and not at all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """The keypoints of both people, with what the meshes add.

    Attributes:
        places: x, y in the image and depth behind the own pelvis, torso lengths; NaN where neither tells.
        trust: 0 to 1; of a keypoint its confidence. guessed: by the mesh, for want of a keypoint.
        front: unit directions that the people face, camera frame. depth: the third axis tells something.
        unit: pixels per torso length.
    """

    places: Float[np.ndarray, "2 67 3"]
    trust: Float[np.ndarray, "2 67"]
    guessed: Bool[np.ndarray, "2 67"]
    front: Float[np.ndarray, "2 3"]
    depth: bool
    unit: float

    @property
    def keypoints(self) -> Keypoints:
        """As (x, y, trust) in torso lengths, guesses among them; 0 where neither tells."""
        found = np.concatenate([self.places[..., :2], np.maximum(self.trust, MIN_CONFIDENCE)[..., None]], -1)
        return np.where(np.isfinite(found).all(-1, keepdims=True), found, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Touch:
    """Pairs of points of two parts, as many as matter.

    Attributes:
        across: distance in the image over how far touching skins' lines lie apart. deep: of the first behind the
            second, torso lengths, people's pelvises at one depth. spread: that distance. trust: 0 to 1.
    """

    across: Float[np.ndarray, "pairs"]
    deep: Float[np.ndarray, "pairs"]
    spread: Float[np.ndarray, "pairs"]
    trust: Float[np.ndarray, "pairs"]


def sight(seen: Keypoints | PairObservation) -> Sight | None:
    """What is known of where both people's points are; None where no torso gives the unit.

    Args:
        seen: keypoints alone, or all of an observation; its keypoints at the image border do not count.
    """
    if not isinstance(seen, PairObservation):
        return _sight(np.asarray(seen, float), None)
    keypoints = trusted_keypoints(sides(seen)[-1].observation).astype(float)
    if not seen.estimate.valid.all():
        return _sight(keypoints, None)
    return _sight(keypoints, seen)


def touch(parts: tuple[BodyPart, BodyPart], seen: Sight, *, guess_spread: float) -> Touch | None:
    """The pairs of points of a part of person 0 and one of person 1; None where a part cannot be placed.

    Args:
        guess_spread: standard deviation of the places that only a mesh tells, torso lengths.
    """
    (a, of_a), (b, of_b) = (_points(part, p, seen) for p, part in enumerate(parts))
    if not (len(a) and len(b)):
        return None
    thin = float(np.linalg.norm([_THICK.get(part.name, 0.12) for part in parts]))
    guessed = (of_a[:, None] < 0) | (of_b[None] < 0)
    spread = np.where(guessed, np.hypot(thin, guess_spread), thin)
    distance = np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=-1)
    trust = np.sqrt(np.abs(of_a[:, None] * of_b[None]))
    deep = a[:, None, 2] - b[None, :, 2]
    near = np.argsort(distance / spread, axis=None, kind="stable")[:80]
    across, deep, spread, trust = (a.ravel()[near] for a in (distance / spread, deep, spread, trust))
    return Touch(across=across, deep=deep, spread=spread, trust=trust)


def _sight(keypoints: Keypoints, of: PairObservation | None) -> Sight | None:
    confident = keypoints[..., 2] >= MIN_CONFIDENCE
    unit, depth, front = pair_unit(keypoints), np.zeros((2, 67)), np.zeros((2, 3))
    trust, guessed = np.where(confident, np.minimum(keypoints[..., 2], 1.0), 0.0), np.zeros((2, 67), bool)
    if of is not None:
        marks, front = _marks(of)
        torso = np.linalg.norm(of.estimate.joints[:, _JOINT["neck"]] - of.estimate.joints[:, 0], axis=1).mean()
        unit = unit if np.isfinite(unit) else float(of.camera.K[0, 0] * torso / np.nanmean(marks[..., 2]))
        places = project(marks, of.camera)
        depth = (marks[..., 2] - of.estimate.joints[:, :1, 2]) / torso
        places = places + np.stack([_offset(*pair) for pair in zip(keypoints, places, strict=True)])[:, None]
        confident = keypoints[..., 2] >= MIN_CONFIDENCE
        off = np.nan_to_num(np.linalg.norm(keypoints[..., :2] - places, axis=-1) / unit)
        guessed = (~confident | (off > _REFUSED)) & np.isfinite(places).all(-1)
        trust = np.where(confident, np.minimum(keypoints[..., 2], 1.0), 0.0) * np.where(off > _DOUBTED, 0.5, 1.0)
        trust = np.where(guessed, _MESH_TRUST, trust)
        keypoints = np.where(guessed[..., None], np.concatenate([places, trust[..., None]], -1), keypoints)
    if not (np.isfinite(unit) and unit > 0):
        return None
    found = np.concatenate([keypoints[..., :2] / unit, depth[..., None]], -1)
    found[(trust <= 0) | ~np.isfinite(found).all(-1)] = np.nan
    return Sight(places=found, trust=trust, guessed=guessed, front=front, depth=of is not None, unit=unit)


def _marks(of: PairObservation) -> tuple[Float[np.ndarray, "2 67 3"], Float[np.ndarray, "2 3"]]:
    """`KEYPOINTS` of the first meshes by their joints alone, metres, and where the people face."""
    estimate = of.estimate
    marks, front = np.full((2, len(KEYPOINTS), 3), np.nan), np.zeros((2, 3))
    for p, joints in enumerate(estimate.joints.astype(float)):
        turns = [Rotation.from_rotvec(estimate.global_orient[p])]
        for joint, turn in enumerate(estimate.body_pose[p], 1):
            turns.append(turns[PARENTS[joint]] * Rotation.from_rotvec(turn))
        size = np.linalg.norm(joints[_JOINT["neck"]] - joints[0]) / _IN_TORSO
        front[p] = turns[_JOINT["spine3"]].apply([0, 0, 1])
        for name in set(KEYPOINTS) & set(SMPL_JOINTS) - {"neck"}:
            marks[p, _INDEX[name]] = joints[_JOINT[name]]
        for name, offset in _HEAD.items():
            marks[p, _INDEX[name]] = joints[_JOINT["head"]] + size * turns[_JOINT["head"]].apply(offset)
        for side in ("left", "right"):
            for name, joint in (("big_toe", "foot"), ("small_toe", "foot"), ("heel", "ankle")):
                marks[p, _INDEX[f"{side}_{name}"]] = joints[_JOINT[f"{side}_{joint}"]]
            wrist, elbow = joints[_JOINT[f"{side}_wrist"]], joints[_JOINT[f"{side}_elbow"]]
            along = size * (wrist - elbow) / max(np.linalg.norm(wrist - elbow), 1e-6)
            for i, name in enumerate(HAND_21):
                marks[p, _INDEX[f"{side}_{name}"]] = wrist + along * (0.06 + 0.03 * ((i - 1) % 4) if i else 0.0)
    return marks, front


def _offset(keypoints: Float[np.ndarray, "67 3"], places: Float[np.ndarray, "67 2"]) -> Float[np.ndarray, "2"]:
    """How far a person's keypoints lie from their mesh, the median of the body's."""
    used = (keypoints[:_BODY, 2] >= MIN_CONFIDENCE) & np.isfinite(places[:_BODY]).all(-1)
    return np.median((keypoints[:_BODY, :2] - places[:_BODY])[used], axis=0) if used.sum() > 2 else np.zeros(2)


def _points(part: BodyPart, person: int, seen: Sight) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n"]]:
    """Points along a part, and across half a trunk, with their trust; negative: a guess of the mesh."""
    places = seen.places[person]
    trust = np.where(seen.guessed[person], -seen.trust[person], seen.trust[person])
    sides = (Side.LEFT, Side.RIGHT) if part.side is Side.BOTH else (part.side,)
    points, trusts = [np.zeros((0, 3))], [np.zeros(0)]
    for one in (BodyPart(name=part.name, side=side) for side in sides):
        line, of_line = _line(one, places, trust)
        other, _ = _line(one.flipped, places, trust)
        wide = _WIDE if part.name in ("chest", "stomach", "back", "waist") and len(other) == len(line) else (0.0,)
        for share in wide:
            points.append(line + share * (other - line) if share else line)
            trusts.append(of_line)
    found, of_found = np.concatenate(points), np.concatenate(trusts)
    return found + np.array([0, 0, _DEEP.get(part.name, 0.0) * seen.front[person, 2]]), of_found


def _line(part: BodyPart, places: np.ndarray, trust: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points along the seen pieces of a part's line."""
    ((*line,),) = anchors(part)
    ends = [(_INDEX[a], _INDEX[b], share) for a, b, share in line]
    at = np.array([(1 - share) * places[a] + share * places[b] for a, b, share in ends])
    of = np.array([min(trust[a], trust[b], key=lambda t: (t > 0, abs(t))) for a, b, _ in ends])
    if part.name == "hand" and of[0] > 0 and not (of[1:] > 0).any():
        on = _PALM * (at[0] - places[_INDEX[f"{part.side}_elbow"]])
        on *= min(1.0, _LONGEST_PALM / max(float(np.linalg.norm(on)), 1e-9))
        at, of = np.array([at[0], at[0] + on]), of[[0, 0]]
    known = [bool(np.isfinite(place).all()) for place in at]
    joined = [i for i in range(len(at) - 1) if known[i] and known[i + 1]]
    alone = [i for i in range(len(at)) if known[i] and not {i - 1, i} & set(joined)]
    points = [at[i] + (at[i + 1] - at[i]) * _SAMPLES for i in joined] + [at[[i]] for i in alone]
    trusts = [np.full(len(_SAMPLES), min(of[i], of[i + 1], key=lambda t: (t > 0, abs(t)))) for i in joined]
    trusts += [of[[i]] for i in alone]
    return np.concatenate([np.zeros((0, 3)), *points]), np.concatenate([np.zeros(0), *trusts])
