"""Build the licence-free body: Anny (Apache-2.0, MakeHuman's CC0 data) as a file that `smplx.SMPLX` loads unchanged.

    sample adults -> T-pose each -> shape space -> joints and keypoints -> reorder vertices -> write

Needs the extra ``body`` (`anny`); the program itself ships the built files and never runs this. Same seed and same
versions give the same arrays. What is free, and what is not: docs/decisions/0002-free-body.md.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from smplx.vertex_ids import vertex_ids

from apu.body import bake, rig
from apu.body.accuracy import measure
from apu.body.model import load_body
from apu.body.regions import regions_of
from apu.body.source import ADULT_YEARS, FLIP, JOINT_MIRROR, Anny, Bodies
from apu.types import HAND_21, mirror_name

NAME = "anny-free"
MODEL_FILE, KID_FILE = "smplx/SMPLX_NEUTRAL.npz", "smplx_kid_template.npy"
REGIONS_FILE, RECORD_FILE, SUMS_FILE = "regions.json", "build.json", "SHA256SUMS"

NUM_ADULTS = 300
KID_AGE = 0.0125
"""Anny's age of the child template: an infant of about 0.70 m."""
SHAPE_COLUMNS = 400
"""SMPL-X's layout: 300 shape and 100 expression columns. With fewer, smplx warns and reads expression from shape."""


@dataclass(frozen=True, eq=False)
class BuildReport:
    """What was built and how well it fits.

    Attributes:
        files: every file written, relative to the output folder. record: the content of ``build.json``.
    """

    files: tuple[str, ...]
    record: Mapping[str, Any]


def build_body(out_dir: Path, *, seed: int = 0) -> BuildReport:
    """Build the free body, its child template, checksums and build record.

    Args:
        out_dir: folder to write, e.g. ``assets/body``; made if missing, its files replaced.
        seed: of the sampled adults.

    Raises:
        InputError: the extra ``body`` is not installed.
    """
    anny = Anny()
    adults = anny.t_posed(anny.sample_adults(NUM_ADULTS, seed=seed))
    space, explained = shape_space(adults, anny.t_posed({"age": KID_AGE}))
    supports = _keypoints(anny, space)
    points = surface_points(space.vertices[0], space.joints[0], anny.joint_weights, supports, anny.mirror)
    supports |= {name: (np.array([points[point]]), np.ones(1)) for name, point in _TIPS.items()}
    order = vertex_order(points, len(anny.mirror))
    arrays: dict[str, Any] = {"apu_name": np.array(NAME)} | _surface(anny, space, order) | _motion(anny, space, order)
    arrays |= _landmarks(arrays["v_template"], arrays["f"], space.joints[0]) | _keypoint_arrays(supports, order)
    kid_template = _float32((space.vertices[0] + space.vertices[11])[order])

    out = Path(out_dir)
    (out / MODEL_FILE).parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / MODEL_FILE, **arrays)
    np.save(out / KID_FILE, kid_template)
    record = {
        "name": NAME,
        "seed": seed,
        "versions": {name: importlib.metadata.version(name) for name in ("anny", "numpy", "scipy", "smplx", "torch")},
        "recipe": {
            "adults": NUM_ADULTS,
            "adult_years": ADULT_YEARS,
            "kid_age": KID_AGE,
            "explained_variance": explained,
        },
        "measured": measure(anny, out / MODEL_FILE, out / KID_FILE, order, seed=seed),
    }
    return _finish(out, record)


def _surface(anny: Anny, space: Bodies, order: Int[np.ndarray, "vertices"]) -> dict[str, np.ndarray]:
    shapedirs = np.zeros((len(order), 3, SHAPE_COLUMNS), np.float32)
    shapedirs[:, :, :10] = _float32(np.moveaxis(space.vertices[1:11], 0, 2)[order])
    return {
        "v_template": _float32(space.vertices[0][order]),
        "f": np.argsort(order)[anny.faces].astype(np.int32),
        "anny_vertex": order.astype(np.int32),
        "shapedirs": shapedirs,
    }


def _motion(anny: Anny, space: Bodies, order: Int[np.ndarray, "vertices"]) -> dict[str, np.ndarray]:
    regressor = bake.joint_regressor(space.joints, space.vertices)
    regressor = (regressor + regressor[JOINT_MIRROR][:, anny.mirror]) / 2
    correctives, hands = _pose_space(anny)
    hand_basis = bake.hand_components()
    arrays = {
        "posedirs": correctives[order],
        "weights": anny.joint_weights[order],
        "J_regressor": regressor[:, order],
        "hands_meanl": hands[0],
        "hands_meanr": hands[1],
        "hands_componentsl": hand_basis[0],
        "hands_componentsr": hand_basis[1],
    }
    tree = np.array([rig.PARENTS, range(len(rig.JOINTS))], np.int32)
    return {name: _float32(array) for name, array in arrays.items()} | {"kintree_table": tree}


def _landmarks(vertices: np.ndarray, faces: np.ndarray, joints: Float[np.ndarray, "55 3"]) -> dict[str, np.ndarray]:
    inner, contour = bake.face_landmarks(
        vertices, faces, joints[[rig.JOINTS.index(f"{s}_eye") for s in ("left", "right")]]
    )
    yaws = 79  # SMPL-X's table of contours by the head's yaw; here they are all alike
    return {
        "lmk_faces_idx": inner,
        "lmk_bary_coords": np.full((len(inner), 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.tile(contour, (yaws, 1)),
        "dynamic_lmk_bary_coords": np.full((yaws, len(contour), 3), 1 / 3),
    }


def _keypoint_arrays(supports: Mapping[str, bake.Support], order: Int[np.ndarray, "vertices"]) -> dict[str, np.ndarray]:
    new_id = np.argsort(order)
    index, weight = bake.keypoint_table({name: (new_id[ids], values) for name, (ids, values) in supports.items()})
    return {"keypoint_index": index, "keypoint_weight": _float32(weight)}


def shape_space(adults: Bodies, kid: Bodies) -> tuple[Bodies, float]:
    """Template, ten principal directions per standard deviation, and the adult-to-child direction; what ten explain.

    Joints get the linear space that follows from the same coefficients. A direction's sign makes people taller.
    """
    mean = adults.vertices.mean(0)
    offsets = (adults.vertices - mean).reshape(len(adults.vertices), -1)
    left, values, right = np.linalg.svd(offsets, full_matrices=False)
    scores = left[:, :10] * np.sqrt(len(left))
    directions = (right[:10] * values[:10, None] / np.sqrt(len(left))).reshape(10, *mean.shape)
    tall = directions[:, mean[:, 1].argmax(), 1] - directions[:, mean[:, 1].argmin(), 1]
    sign = np.where(tall < 0, -1.0, 1.0)
    directions, scores = directions * sign[:, None, None], scores * sign
    joint_mean = adults.joints.mean(0)
    joint_directions = np.einsum("nk,njc->kjc", scores, adults.joints - joint_mean) / len(scores)
    space = Bodies(
        np.concatenate([mean[None], directions, kid.vertices - mean]),
        np.concatenate([joint_mean[None], joint_directions, kid.joints - joint_mean]),
    )
    return space, float((values[:10] ** 2).sum() / (values**2).sum())


_TIPS = {f"{side}_{finger}_tip": f"{side[0]}{finger}" for side in ("left", "right") for finger in rig.FINGERS}


def surface_points(
    vertices: Float[np.ndarray, "vertices 3"],
    joints: Float[np.ndarray, "55 3"],
    weights: Float[np.ndarray, "vertices 55"],
    keypoints: Mapping[str, bake.Support],
    mirror: Int[np.ndarray, "vertices"],
) -> dict[str, int]:
    """The vertices that smplx's 21 hard-coded surface points shall be: nose, eyes, ears, fingertips, toes, heels."""
    owner = weights.argmax(1)

    def furthest(joint: str, direction: np.ndarray, where: np.ndarray | None = None) -> int:
        mask = owner == rig.JOINTS.index(joint)
        mask = mask if where is None else mask & where
        return int(np.flatnonzero(mask)[(vertices[mask] @ direction).argmax()])

    def at(keypoint: str) -> np.ndarray:
        ids, values = keypoints[keypoint]
        return values @ vertices[ids]

    x, y, z = np.eye(3)
    # Along a finger, not along the arm: fingers are spread.
    tips = {
        finger: joints[rig.JOINTS.index(f"left_{finger}3")] - joints[rig.JOINTS.index(f"left_{finger}2")]
        for finger in rig.FINGERS
    }
    toe = {name: np.abs(vertices[:, 0] - at(f"left_{name}_toe")[0]) < 0.015 for name in ("big", "small")}
    left = {f"l{finger}": furthest(f"left_{finger}3", direction) for finger, direction in tips.items()}
    left |= {
        "leye": furthest("left_eye", z),
        "lear": furthest("head", x, np.abs(vertices[:, 1] - at("left_ear")[1]) < 0.02),
        "LBigToe": furthest("left_foot", z, toe["big"]),
        "LSmallToe": furthest("left_foot", z, toe["small"]),
        "LHeel": furthest("left_ankle", -z - 0.3 * y),
    }
    middle = (mirror == np.arange(len(mirror))) & (np.abs(vertices[:, 1] - at("nose")[1]) < 0.02)
    points = {"nose": furthest("head", z, middle)}
    for name, vertex in left.items():
        points[name] = vertex
        points[name.replace("l", "r", 1) if name[0] == "l" else name.replace("L", "R", 1)] = int(mirror[vertex])
    return points


def vertex_order(points: Mapping[str, int], count: int) -> Int[np.ndarray, "vertices"]:
    """Old vertex at each new place, such that smplx's hard-coded ids hit `points`; all others stay where they can."""
    order = np.arange(count)
    for name, vertex in points.items():
        there, here = vertex_ids["smplx"][name], int(np.flatnonzero(order == vertex)[0])
        order[[there, here]] = order[[here, there]]
    return order


def _keypoints(anny: Anny, space: Bodies) -> dict[str, bake.Support]:
    """Anny's COCO and foot keypoints and the finger joints; the right side mirrors the left."""
    supports = {}
    for name, dense in anny.keypoints.items():
        if not name.startswith("right_"):
            symmetric = dense / 2 + anny.keypoints[mirror_name(name)][anny.mirror] / 2
            supports[name] = bake.sparse_keypoint(symmetric, space.vertices, anny.joint_weights)
    ids, values = supports["nose"]
    supports["nose"] = (np.concatenate([ids, anny.mirror[ids]]), np.concatenate([values, values]) / 2)
    supports["left_wrist_root"] = supports["left_wrist"]
    for name in HAND_21[1:]:
        if not name.endswith("_tip"):
            joint = bake.hand_joint("left", name)
            supports[f"left_{name}"] = bake.ring_keypoint(joint, space.joints, space.vertices, anny.joint_weights)
    mirrored = {mirror_name(n): (anny.mirror[ids], v) for n, (ids, v) in supports.items() if n.startswith("left_")}
    return supports | mirrored


def _pose_space(anny: Anny) -> tuple[np.ndarray, np.ndarray]:
    """Pose correctives (V, 3, 486) and relaxed hands (2, 45), both of Anny's average body."""
    (points,), (heads,) = anny.rest({"age": 2 / 3})
    pose = rig.t_pose(heads, anny.bones, anny.parents)
    posed = rig.skin(points, heads, pose, anny.weights)
    shift = np.zeros((len(points), len(rig.JOINTS), 3))
    for bone, joint in enumerate(anny.joint_of_bone):
        own = np.flatnonzero(anny.weights[:, bone])
        moved = (points[own] - heads[bone]) @ pose.rotations[bone].T + pose.heads[bone]
        shift[own, joint] += anny.weights[own, bone, None] * (moved - posed[own])
    shift = (shift + shift[anny.mirror][:, JOINT_MIRROR] * FLIP) / 2
    bone_of_joint = [int(np.flatnonzero(anny.joint_of_bone == joint)[0]) for joint in range(len(rig.JOINTS))]
    return bake.pose_correctives(shift), bake.relaxed_hands(pose.rotations[bone_of_joint])


def _float32(array: np.ndarray) -> np.ndarray:
    """Single precision on a grid of 1e-7, so that the order of a machine's sums does not show in the file."""
    return array.round(7).astype(np.float32)


def _finish(out: Path, record: dict[str, Any]) -> BuildReport:
    """Write the regions, the record and the checksums next to the model."""
    regions = regions_of(load_body(out / MODEL_FILE, kid_template=out / KID_FILE))
    table = {
        "names": regions.names,
        "mirror": regions.mirror,
        "parts": {str(part): ids for part, ids in regions.parts.items()},
        "vertices": [ids.tolist() for ids in regions.vertices],
    }
    (out / REGIONS_FILE).write_text(json.dumps(table, separators=(",", ":")) + "\n", encoding="utf-8")
    (out / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    files = (MODEL_FILE, KID_FILE, REGIONS_FILE, RECORD_FILE)
    sums = [f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (out / SUMS_FILE).write_text("".join(sums), encoding="utf-8")
    return BuildReport((*files, SUMS_FILE), record)
