"""Build the licence-free body: Anny (Apache-2.0, MakeHuman's CC0 data) as a file that `smplx.SMPLX` loads unchanged.

    sample adults -> T-pose each -> shape space -> joints and keypoints -> reorder vertices -> write

Needs the extra ``body`` (`anny`); the program itself ships the built files and never runs this. Same seed and same
versions give the same arrays. What is free, and what is not: docs/decisions/0002-free-body.md.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from smplx.vertex_ids import vertex_ids

from apu.body import bake, rig
from apu.errors import InputError
from apu.types import HAND_21, mirror_name

NAME = "anny-free"
MODEL_FILE, KID_FILE = "smplx/SMPLX_NEUTRAL.npz", "smplx_kid_template.npy"

NUM_ADULTS = 300
ADULT_YEARS = (18.0, 64.0)
KID_AGE = 0.0125
"""Anny's age of the child template: an infant of about 0.70 m."""
SHAPE_COLUMNS = 400
"""SMPL-X's layout: 300 shape and 100 expression columns. With fewer, smplx warns and reads expression from shape."""
_FLIP = np.array([-1.0, 1.0, 1.0])


class Bodies(NamedTuple):
    """N body shapes in the T-pose, each centred on the mean of its vertices."""

    vertices: Float[np.ndarray, "bodies vertices 3"]
    joints: Float[np.ndarray, "bodies 55 3"]


@dataclass(frozen=True, eq=False)
class BuildReport:
    """What was built and how well it fits.

    Attributes:
        files: every file written, relative to the output folder. record: the content of ``build.json``.
    """

    files: tuple[str, ...]
    record: Mapping[str, Any]


class Anny:
    """Anny's bodies at rest and in the T-pose, in SMPL-X's axes."""

    def __init__(self) -> None:
        try:
            import anny
        except ImportError as error:
            raise InputError(
                "building the body needs Anny: install the extra with `pip install 'apu-review[body]'`"
            ) from error
        # Never Anny's own smplx / smpl topologies: they download files for non-commercial use only.
        self.model = anny.Anny(rig="makehuman", topology="anny", phenotypes="all", phenotype_blendshapes="original")
        self.bones: Sequence[str] = self.model.bone_labels
        self.parents = [-1 if parent is None else parent for parent in self.model.bone_parents]
        self.faces: Int[np.ndarray, "faces 3"] = self.model.get_triangular_faces().numpy()
        self.joint_of_bone = rig.joint_of_bone(self.bones, self.parents)
        self.weights = _dense_weights(self.model)
        coco = anny.KeypointsRegressor.coco(self.model)
        self.keypoints = dict(zip(coco.labels, coco.regression_weights.numpy(), strict=True))
        self.mirror = _mirror(self.rest({})[0][0])

    def sample_adults(self, count: int, *, seed: int) -> Float[torch.Tensor, "count phenotypes"]:
        """Phenotypes of adults, height and weight by age as in the WHO's data (Anny's own distribution)."""
        from anny.shape_distribution import SimpleShapeDistribution

        years = torch.distributions.Uniform(*torch.tensor(ADULT_YEARS, dtype=self.model.dtype))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, phenotypes = SimpleShapeDistribution(self.model, years).sample(count)
        return torch.stack([phenotypes[label] for label in self.model.phenotype_labels], dim=1)

    def rest(self, phenotypes: torch.Tensor | Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) and bone heads (N, B, 3) at Anny's own rest pose."""
        with torch.no_grad():
            tensors = self.model.get_tensor_inputs(None, phenotypes, None, None)[1:]
            rest = self.model.get_rest_model(self.model._get_phenotype_blendshape_coefficients(*tensors))
        return rig.smplx_axes(rest["rest_vertices"].numpy()), rig.smplx_axes(rest["rest_bone_heads"].numpy())

    def t_posed(self, phenotypes: torch.Tensor | Mapping[str, float]) -> Bodies:
        """The bodies in the T-pose, exactly mirror-symmetric and centred.

        smplx subtracts the mean of the child template but not of v_template; were the bodies not centred, the 11th
        beta would also move them.
        """
        vertices, joints = [], []
        for points, heads in zip(*self.rest(phenotypes), strict=True):
            pose = rig.t_pose(heads, self.bones, self.parents)
            posed, places = rig.skin(points, heads, pose, self.weights), rig.joint_places(pose, self.bones)
            posed = (posed + posed[self.mirror] * _FLIP) / 2
            places = (places + places[_JOINT_MIRROR] * _FLIP) / 2
            vertices.append(posed - posed.mean(0))
            joints.append(places - posed.mean(0))
        return Bodies(np.stack(vertices), np.stack(joints))


_JOINT_MIRROR = np.array([rig.JOINTS.index(mirror_name(joint)) for joint in rig.JOINTS])


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
    kid = anny.t_posed({"age": KID_AGE})
    space, explained = shape_space(adults, kid)
    weights = _joint_weights(anny)
    regressor = _symmetric_rows(bake.joint_regressor(space.joints, space.vertices), anny.mirror)
    supports = _keypoints(anny, space, weights)
    chosen = surface_points(space.vertices[0], space.joints[0], weights, supports, anny.mirror)
    correctives, hands = _pose_space(anny, adults)

    order = vertex_order(chosen, len(weights))
    new_id = np.argsort(order)
    supports |= {name: (np.array([chosen[point]]), np.ones(1)) for name, point in _TIP_KEYPOINTS.items()}
    index, weight = bake.keypoint_table({name: (new_id[ids], values) for name, (ids, values) in supports.items()})
    template, faces = space.vertices[0][order].astype(np.float32), new_id[anny.faces].astype(np.int32)
    inner, contour = bake.face_landmarks(template, faces, space.joints[0, 23:25])
    shapedirs = np.zeros((len(order), 3, SHAPE_COLUMNS), np.float32)
    shapedirs[:, :, :10] = np.moveaxis(space.vertices[1:11], 0, 2)[order]
    hand_basis = bake.hand_components()
    arrays = {
        "v_template": template,
        "f": faces,
        "shapedirs": shapedirs,
        "posedirs": correctives[order].astype(np.float32),
        "weights": weights[order].astype(np.float32),
        "J_regressor": regressor[:, order].astype(np.float32),
        "kintree_table": np.array([rig.PARENTS, range(len(rig.JOINTS))], np.int32),
        "hands_meanl": hands[0].astype(np.float32),
        "hands_meanr": hands[1].astype(np.float32),
        "hands_componentsl": hand_basis[0].astype(np.float32),
        "hands_componentsr": hand_basis[1].astype(np.float32),
        "lmk_faces_idx": inner,
        "lmk_bary_coords": np.full((len(inner), 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.tile(contour, (79, 1)),
        "dynamic_lmk_bary_coords": np.full((79, len(contour), 3), 1 / 3),
        "keypoint_index": index,
        "keypoint_weight": weight,
        "apu_name": np.array(NAME),
    }
    kid_template = (space.vertices[0] + space.vertices[11])[order].astype(np.float32)
    record = {"name": NAME, "seed": seed, "versions": _versions(), "explained_variance": explained}
    return _write(Path(out_dir), arrays, kid_template, record)


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


_TIP_KEYPOINTS = {f"{side}_{finger}_tip": f"{side[0]}{finger}" for side in ("left", "right") for finger in rig.FINGERS}


def surface_points(
    vertices: Float[np.ndarray, "vertices 3"],
    joints: Float[np.ndarray, "55 3"],
    weights: Float[np.ndarray, "vertices 55"],
    keypoints: Mapping[str, tuple[np.ndarray, np.ndarray]],
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


def _dense_weights(model: Any) -> Float[np.ndarray, "vertices bones"]:
    ids, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    weights = np.zeros((len(ids), model.bone_count))
    np.add.at(weights, (np.arange(len(ids))[:, None], ids), values)
    return weights / weights.sum(1, keepdims=True)


def _mirror(vertices: Float[np.ndarray, "vertices 3"]) -> Int[np.ndarray, "vertices"]:
    """The vertex opposite to each; Anny is symmetric to some micrometres."""
    distance, mirror = cKDTree(vertices).query(vertices * _FLIP)
    if distance.max() > 1e-4 or (mirror[mirror] != np.arange(len(mirror))).any():
        raise RuntimeError(f"Anny's mesh is not mirror-symmetric (off by {distance.max():.4f} m)")
    return mirror


def _joint_weights(anny: Anny) -> Float[np.ndarray, "vertices 55"]:
    weights = np.zeros((len(anny.weights), len(rig.JOINTS)))
    np.add.at(weights.T, anny.joint_of_bone, anny.weights.T)
    return (weights + weights[anny.mirror][:, _JOINT_MIRROR]) / 2


def _symmetric_rows(regressor: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (regressor + regressor[_JOINT_MIRROR][:, mirror]) / 2


def _keypoints(
    anny: Anny, space: Bodies, weights: Float[np.ndarray, "vertices 55"]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Anny's COCO and foot keypoints and the finger joints; the right side mirrors the left."""
    supports = {}
    for name, dense in anny.keypoints.items():
        if not name.startswith("right_"):
            symmetric = dense / 2 + anny.keypoints[mirror_name(name)][anny.mirror] / 2
            supports[name] = bake.sparse_keypoint(symmetric, space.vertices, weights)
    ids, values = supports["nose"]
    supports["nose"] = (np.concatenate([ids, anny.mirror[ids]]), np.concatenate([values, values]) / 2)
    supports["left_wrist_root"] = supports["left_wrist"]
    for name in HAND_21[1:]:
        if not name.endswith("_tip"):
            joint = bake.hand_joint("left", name)
            supports[f"left_{name}"] = bake.ring_keypoint(joint, space.joints, space.vertices, weights)
    mirrored = {mirror_name(n): (anny.mirror[ids], v) for n, (ids, v) in supports.items() if n.startswith("left_")}
    return supports | mirrored


def _pose_space(anny: Anny, adults: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Pose correctives (V, 3, 486) and relaxed hands (2, 45), both of Anny's average body."""
    (points,), (heads,) = anny.rest({"age": 2 / 3})
    pose = rig.t_pose(heads, anny.bones, anny.parents)
    posed = rig.skin(points, heads, pose, anny.weights)
    shift = np.zeros((len(points), len(rig.JOINTS), 3))
    for bone, joint in enumerate(anny.joint_of_bone):
        own = np.flatnonzero(anny.weights[:, bone])
        moved = (points[own] - heads[bone]) @ pose.rotations[bone].T + pose.heads[bone]
        shift[own, joint] += anny.weights[own, bone, None] * (moved - posed[own])
    shift = (shift + shift[anny.mirror][:, _JOINT_MIRROR] * _FLIP) / 2
    bone_of_joint = [int(np.flatnonzero(anny.joint_of_bone == joint)[0]) for joint in range(len(rig.JOINTS))]
    return bake.pose_correctives(shift), bake.relaxed_hands(pose.rotations[bone_of_joint])


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("anny", "numpy", "scipy", "smplx", "torch")}


def _write(out: Path, arrays: Mapping[str, np.ndarray], kid: np.ndarray, record: dict[str, Any]) -> BuildReport:
    (out / MODEL_FILE).parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / MODEL_FILE, **arrays)
    np.save(out / KID_FILE, kid)
    (out / "build.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    files = (MODEL_FILE, KID_FILE, "build.json")
    sums = [f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    return BuildReport((*files, "SHA256SUMS"), record)
