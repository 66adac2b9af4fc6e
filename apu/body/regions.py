"""Surface regions of a body, and the one table from the paper's parts to regions to vertices.

Seventy-five regions: 37 on each side and the middle of the face. They are defined by a rule on skinning weights and
T-pose geometry, so every model in SMPL-X's layout has them, whatever its vertices; the free body's are also stored
(assets/body/regions.json). Users' `contact_regions.json` (FlickrCI3D's 75 regions of SMPL-X) gives the same type.

Everything is decided on the left half: a right vertex is judged by its mirror image, which makes the regions exactly
as symmetric as the body is. A vertex on the midline belongs to both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pydantic import TypeAdapter, ValidationError

from apu.body.model import BodyModel
from apu.body.parts import PARTS
from apu.body.rig import JOINTS
from apu.errors import FormatError, InputError
from apu.types import BodyPart, Side, mirror_name

_FOUR = ("front", "back", "inner", "outer")
_TABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hand": ("palm", "hand_back", "fingers"),
        "upper arm": tuple(f"upper_arm_{q}" for q in _FOUR),
        "elbow": ("elbow",),
        "forearm": tuple(f"forearm_{q}" for q in _FOUR),
        "shoulder": ("shoulder",),
        "thigh": tuple(f"thigh_{q}" for q in _FOUR),
        "knee": ("knee",),
        "foot": ("foot_top", "foot_sole"),
        "chest": ("chest", "ribs"),
        "stomach": ("stomach", "belly"),
        "back": ("upper_back", "lower_back", "buttock"),
        "waist": ("waist", "hip", "belly", "lower_back"),
        "neck": ("neck",),
        "face": ("face", "face_middle"),
        "head": ("head_side", "head_back", "face", "face_middle"),
        "arm": (*(f"upper_arm_{q}" for q in _FOUR), "elbow", *(f"forearm_{q}" for q in _FOUR)),
        "leg": (*(f"thigh_{q}" for q in _FOUR), "knee", *(f"lower_leg_{q}" for q in _FOUR)),
    }
)
"""The regions of each part, on each of its sides."""

CENTRAL = "face_middle"
"""The one region without a side: nose, mouth and chin; it belongs to both halves of the face."""
_SIDED = tuple(dict.fromkeys(region for part in _TABLE.values() for region in part if region != CENTRAL))
NAMES = (*(f"left_{name}" for name in _SIDED), *(f"right_{name}" for name in _SIDED), CENTRAL)
"""The 75 regions of our own definition, in order."""

_MIDLINE = 1e-6
"""A vertex closer than this to the plane of symmetry (metres) lies on it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Regions:
    """A body's surface cut into R regions.

    Attributes:
        names: unique; ``left_``, ``right_`` or central.
        vertices: ids per region, ascending; neighbouring regions may share vertices on their border.
        faces: ids per region, ascending.
        mirror: the region on the other side, per region; a central one is its own.
        parts: region ids of every part and side, ascending.
    """

    names: tuple[str, ...]
    vertices: tuple[Int[np.ndarray, "_"], ...]
    faces: tuple[Int[np.ndarray, "_"], ...]
    mirror: tuple[int, ...]
    parts: Mapping[BodyPart, tuple[int, ...]]

    def of_part(self, part: BodyPart) -> tuple[int, ...]:
        """The ids of a part's regions; for both sides the union, so that a torso part's sides are its halves.

        Raises:
            ValueError: the part is not one of `apu.body.parts.PARTS`.
        """
        if part not in self.parts:
            raise ValueError(f"body part must be one of {', '.join(PARTS)}; got {part.name!r}")
        return self.parts[part]

    def part_vertices(self, part: BodyPart) -> Int[np.ndarray, "part_vertices"]:
        """The vertex ids of a part, ascending, int64.

        Raises:
            ValueError: the part is not one of `apu.body.parts.PARTS`.
        """
        return np.unique(np.concatenate([self.vertices[region] for region in self.of_part(part)]))


def regions_of(body: BodyModel) -> Regions:
    """The regions of a loaded body.

    Args:
        body: any model in SMPL-X's layout. Its own `contact_regions` (FlickrCI3D's) count; without, our definition.

    Raises:
        FormatError: the body's contact_regions.json does not hold 75 lists of faces of this body.
    """
    model: Any = body.smplx
    vertices, weights = model.v_template.cpu().numpy(), model.lbs_weights.cpu().numpy()
    joints = (model.J_regressor @ model.v_template).cpu().numpy()
    if body.contact_regions is None:
        return surface_regions(vertices, body.faces, weights, joints)
    return read_contact_regions(body.contact_regions, vertices, body.faces, weights, joints)


def surface_regions(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    weights: Float[np.ndarray, "vertices 55"],
    joints: Float[np.ndarray, "55 3"],
) -> Regions:
    """Our own 75 regions from a body's T-pose (SMPL-X axes, metres) and its skinning weights."""
    labels = _labels(vertices, weights, joints)
    left, right = vertices[:, 0] > -_MIDLINE, vertices[:, 0] < _MIDLINE
    sides = {"left": left, "right": right}
    members = []
    for name in NAMES:
        side, _, base = name.partition("_")
        inside = labels == CENTRAL if name == CENTRAL else (labels == base) & sides[side]
        members.append(np.flatnonzero(inside))
    own = _region_of_face(labels, left, faces)
    return Regions(
        names=NAMES,
        vertices=tuple(members),
        faces=tuple(np.flatnonzero(own == region) for region in range(len(NAMES))),
        mirror=tuple(NAMES.index(mirror_name(name)) for name in NAMES),
        parts=_parts({name: (region,) for region, name in enumerate(NAMES)}),
    )


def read_contact_regions(
    path: Path,
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    weights: Float[np.ndarray, "vertices 55"],
    joints: Float[np.ndarray, "55 3"],
) -> Regions:
    """FlickrCI3D's regions of SMPL-X (``rid_to_smplx_fids``: 75 lists of face ids), which users bring.

    The file has no names. A region is named after the region of our own definition that most of its area lies in, and
    belongs to a part if at least half of its area does; a part that would stay empty gets the region that covers most
    of it.

    Raises:
        InputError: the file is missing. FormatError: it does not hold 75 lists of faces of this body.
    """
    lists = _read_face_lists(path, len(faces))
    own = surface_regions(vertices, faces, weights, joints)
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    overlap = np.zeros((len(lists), len(NAMES)))
    own_of_face = np.zeros(len(faces), np.int64)
    for region, ids in enumerate(own.faces):
        own_of_face[ids] = region
    for row, ids in enumerate(lists):
        np.add.at(overlap[row], own_of_face[ids], area[ids])
    share = overlap / overlap.sum(1, keepdims=True)
    parts = {}
    for part, ids in own.parts.items():
        inside = share[:, ids].sum(1)
        chosen = np.flatnonzero(inside >= 0.5)
        parts[part] = tuple(chosen.tolist()) or (int(overlap[:, ids].sum(1).argmax()),)
    centres = np.stack([np.average(corners[ids].mean(1), axis=0, weights=area[ids]) for ids in lists])
    return Regions(
        names=_unique([NAMES[best] for best in share.argmax(1)]),
        vertices=tuple(np.unique(faces[ids]).astype(np.int64) for ids in lists),
        faces=tuple(lists),
        mirror=_mutual_mirror(centres),
        parts=MappingProxyType(parts),
    )


def _read_face_lists(path: Path, num_faces: int) -> list[np.ndarray]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the path of a contact_regions.json"
        ) from error
    try:
        table = TypeAdapter(dict[str, object]).validate_json(text).get("rid_to_smplx_fids")
        lists = TypeAdapter(list[list[int]]).validate_python(table)
    except ValidationError as error:
        raise FormatError(f"{path}: expected the key 'rid_to_smplx_fids' with 75 lists of SMPL-X face ids") from error
    if len(lists) != len(NAMES):
        raise FormatError(f"{path}: expected 75 regions under 'rid_to_smplx_fids', got {len(lists)}")
    arrays = [np.unique(np.array(ids, np.int64)) for ids in lists]
    for region, ids in enumerate(arrays):
        if not len(ids):
            raise FormatError(f"{path}: region {region} has no faces")
        if ids[0] < 0 or ids[-1] >= num_faces:
            raise FormatError(
                f"{path}: region {region} names face {ids[-1]}, but this body has {num_faces}; is it SMPL-X's?"
            )
    return arrays


def _parts(ids: Mapping[str, tuple[int, ...]]) -> Mapping[BodyPart, tuple[int, ...]]:
    """The table by part and side, given the region ids of each name."""
    table = {}
    for name in PARTS:
        for side in (Side.LEFT, Side.RIGHT):
            members = [CENTRAL if base == CENTRAL else f"{side}_{base}" for base in _TABLE[name]]
            table[BodyPart(name=name, side=side)] = tuple(sorted(i for member in members for i in ids[member]))
        both = {i for side in (Side.LEFT, Side.RIGHT) for i in table[BodyPart(name=name, side=side)]}
        table[BodyPart(name=name, side=Side.BOTH)] = tuple(sorted(both))
    return MappingProxyType(table)


def _region_of_face(labels: np.ndarray, left: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The region most of a face's corners lie in; of three different ones the first by name."""
    corners = np.sort(labels[faces], axis=1)
    base = np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])
    side = np.where(left[faces].all(1), "left_", "right_")
    names = np.where(base == CENTRAL, CENTRAL, np.char.add(side, base))
    index = {name: region for region, name in enumerate(NAMES)}
    return np.array([index[name] for name in names.tolist()])


def _unique(names: list[str]) -> tuple[str, ...]:
    """Number the names that occur more than once: ``left_thigh_front``, ``left_thigh_front_2``, ..."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(result)


def _mutual_mirror(centres: Float[np.ndarray, "regions 3"]) -> tuple[int, ...]:
    """The region nearest to each region's mirror image, where both agree; else the region itself."""
    image = np.linalg.norm(centres[:, None] * (-1.0, 1.0, 1.0) - centres, axis=2).argmin(1)
    return tuple(int(other) if image[other] == region else region for region, other in enumerate(image.tolist()))


# --- the rule -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    """Where regions end. Lengths are shares of the body's own bones, so that children get the same regions.

    Attributes:
        shoulder: share of the upper arm that is shoulder. shoulder_radius: of the torso's share around the joint, in
            upper arms. joint: share of each neighbouring bone that is elbow or knee.
        seat, hip: share of the thigh that is buttock behind, hip outside.
        pelvis, navel, midriff: heights between hip (0) and shoulder (1) where the torso's regions change.
        side: half opening angle of the torso's sides on a cross-section scaled to a circle, radians.
        face, head_side: angles from straight ahead where the face and the head's side end, radians.
        brow, middle: top of the face above the eyes, half width of its middle, in half eye distances.
    """

    shoulder: float = 0.18
    shoulder_radius: float = 0.4
    elbow: float = 0.1
    knee: float = 0.18
    seat: float = 0.22
    hip: float = 0.22
    pelvis: float = 0.18
    navel: float = 0.25
    midriff: float = 0.5
    side: float = np.radians(35)
    face: float = np.radians(65)
    head_side: float = np.radians(120)
    brow: float = 2.2
    middle: float = 0.9


_RULE = _Rule()


def _labels(vertices: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The side-less region of every vertex."""
    mirror = [JOINTS.index(mirror_name(joint)) for joint in JOINTS]
    flip = np.array([-1.0, 1.0, 1.0])
    places = (joints + joints[mirror] * flip) / 2
    at = dict(zip(JOINTS, places, strict=True))
    points = vertices * np.where(vertices[:, :1] < 0, flip, 1.0)
    # A vertex near the midline may lean on the other side's joints too: what counts is the kind of joint.
    share = weights + weights[:, mirror]
    kind = _kind(share)
    labels = np.empty(len(points), object)
    for name, rule in (("arm", _arm), ("leg", _leg), ("torso", _torso), ("head", _head)):
        mask = kind == name
        labels[mask] = rule(points[mask], share[mask], at)
    labels[kind == "neck"] = "neck"
    return labels.astype(str)


_KINDS = {
    "arm": ("shoulder", "elbow", "wrist", "thumb", "index", "middle", "ring", "pinky"),
    "leg": ("hip", "knee", "ankle", "foot"),
    "neck": ("neck",),
    "head": ("head", "jaw", "eye"),
    "torso": ("pelvis", "spine", "collar"),
}


def _kind(share: np.ndarray) -> np.ndarray:
    """Which limb moves each vertex most."""
    columns = [
        [j for j, joint in enumerate(JOINTS) if any(word in joint for word in words)] for words in _KINDS.values()
    ]
    totals = np.stack([share[:, ids].sum(1) for ids in columns], axis=1)
    return np.array(list(_KINDS))[totals.argmax(1)]


def _along(points: np.ndarray, chain: tuple[np.ndarray, ...]) -> np.ndarray:
    """Place along a chain of joints: 0 at the first, 1 at the second, ..., beyond both ends continued."""
    reach = np.zeros(len(points))
    for bone, (start, end) in enumerate(pairwise(chain)):
        axis = end - start
        share = (points - start) @ axis / (axis @ axis)
        reach += np.clip(share, 0 if bone else None, 1 if bone < len(chain) - 2 else None)
    return reach


def _round(level: np.ndarray, *coordinates: np.ndarray, bins: int = 24) -> list[np.ndarray]:
    """Coordinates scaled slice by slice to -1..1, so that a cross-section becomes a circle about its middle."""
    edges = np.linspace(level.min(), level.max(), bins + 1)
    slices = np.clip(np.digitize(level, edges) - 1, 0, bins - 1)
    filled = np.unique(slices)
    centres = (edges[:-1] + edges[1:])[filled] / 2
    scaled = []
    for values in coordinates:
        low = np.array([values[slices == k].min() for k in filled])
        high = np.array([values[slices == k].max() for k in filled])
        middle = np.interp(level, centres, (low + high) / 2)
        half = np.interp(level, centres, (high - low) / 2)
        scaled.append((values - middle) / np.maximum(half, 1e-9))
    return scaled


def _quarter(forward: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """Front, back, inner or outer quarter of a limb."""
    return np.where(
        np.abs(forward) > np.abs(outward),
        np.where(forward > 0, "front", "back"),
        np.where(outward > 0, "outer", "inner"),
    )


def _limb(level: np.ndarray, points: np.ndarray, outward: int, names: tuple[str, str]) -> np.ndarray:
    """Quarters of the first and second bone of a limb."""
    forward, out = _round(level, points[:, 2], points[:, outward])
    bone = np.where(level < 1, *names)
    return np.char.add(np.char.add(bone, "_"), _quarter(forward, out))


def _arm(points: np.ndarray, share: np.ndarray, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """In the T-pose the outer side of an arm is up, the inner one (and the palm) down, its front the thumb's side."""
    level = _along(points, (at["left_shoulder"], at["left_elbow"], at["left_wrist"]))
    labels = _limb(np.minimum(level, 2), points, 1, ("upper_arm", "forearm"))
    labels = np.where(np.abs(level - 1) < _RULE.elbow, "elbow", labels)
    normal = np.cross(at["left_index1"] - at["left_wrist"], at["left_pinky1"] - at["left_wrist"])
    hand = np.where((points - at["left_wrist"]) @ normal > 0, "hand_back", "palm")
    fingers = [j for j, joint in enumerate(JOINTS) if joint.endswith(("1", "2", "3")) and "spine" not in joint]
    hand = np.where(share[:, fingers].sum(1) > share.sum(1) / 2, "fingers", hand)
    labels = np.where(level > 2, hand, labels)
    return np.where(level < _RULE.shoulder, "shoulder", labels)


def _leg(points: np.ndarray, share: np.ndarray, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """Thigh, knee and lower leg in quarters; the foot in top and sole; the seat belongs to the buttock."""
    level = _along(points, (at["left_hip"], at["left_knee"], at["left_ankle"]))
    labels = _limb(np.minimum(level, 2), points, 0, ("thigh", "lower_leg"))
    labels = np.where(np.abs(level - 1) < _RULE.knee, "knee", labels)
    forefoot = [JOINTS.index(name) for name in ("left_ankle", "right_ankle", "left_foot", "right_foot")]
    foot = share[:, forefoot].sum(1) > share.sum(1) / 2
    ground = points[:, 1].min()
    sole = points[:, 1] < ground + 0.3 * (at["left_ankle"][1] - ground)
    labels = np.where(foot, np.where(sole, "foot_sole", "foot_top"), labels)
    seat = (level < _RULE.seat) & (labels == "thigh_back")
    hip = (level < _RULE.hip) & (labels == "thigh_outer")
    return np.where(seat, "buttock", np.where(hip, "hip", labels))


def _torso(points: np.ndarray, _share: np.ndarray, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """Front, side and back at four heights; the top of the shoulder belongs to the shoulder."""
    hip, shoulder, elbow = (at[f"left_{joint}"] for joint in ("hip", "shoulder", "elbow"))
    level = (points[:, 1] - hip[1]) / (shoulder[1] - hip[1])
    both = np.concatenate([points, points * (-1.0, 1.0, 1.0)])
    out, forward = (c[: len(points)] for c in _round(np.tile(level, 2), both[:, 0], both[:, 2]))
    angle = np.arctan2(forward, out)
    height = np.digitize(level, [_RULE.pelvis, _RULE.navel, _RULE.midriff])
    front = np.array(["belly", "belly", "stomach", "chest"])[height]
    side = np.array(["hip", "waist", "waist", "ribs"])[height]
    back = np.array(["buttock", "lower_back", "lower_back", "upper_back"])[height]
    # Beside the neck and between the legs there is only a front and a back.
    width = np.where((level < 0) | (level > 1), 0.0, _RULE.side)
    labels = np.where(angle > width, front, np.where(angle < -width, back, side))
    near = np.linalg.norm(points - shoulder, axis=1) < _RULE.shoulder_radius * np.linalg.norm(elbow - shoulder)
    top = (level > 1) & (points[:, 0] > shoulder[0] / 2)
    return np.where(near | top, "shoulder", labels)


def _head(points: np.ndarray, _share: np.ndarray, at: Mapping[str, np.ndarray]) -> np.ndarray:
    """Face, side and back about the vertical axis of the head; nose, mouth, throat and chin are the face's middle."""
    eye = at["left_eye"]
    forward = points[:, 2] - (points[:, 2].min() + points[:, 2].max()) / 2
    angle = np.arctan2(points[:, 0], forward)
    up = (points[:, 1] - eye[1]) / eye[0]
    labels = np.where(angle < _RULE.face, "face", np.where(angle < _RULE.head_side, "head_side", "head_back"))
    labels = np.where(up > _RULE.brow, "head_back", labels)
    middle = (points[:, 0] < _RULE.middle * eye[0]) & (up < 0) & (forward > -eye[0])
    return np.where(middle, CENTRAL, labels)
