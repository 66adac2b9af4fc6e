"""Anny's bodies (Apache-2.0, MakeHuman's CC0 data) at rest and in the T-pose, in SMPL-X's axes and metres."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from apu.body import rig
from apu.errors import InputError
from apu.types import mirror_name

ADULT_YEARS = (18.0, 64.0)
FLIP = np.array([-1.0, 1.0, 1.0])
JOINT_MIRROR = np.array([rig.JOINTS.index(mirror_name(joint)) for joint in rig.JOINTS])

Phenotypes = torch.Tensor | dict[str, float | torch.Tensor]
"""Anny's shape parameters: a row per body in the order of its labels, or by name."""


class Bodies(NamedTuple):
    """N body shapes in the T-pose, each centred on the mean of its vertices."""

    vertices: Float[np.ndarray, "bodies vertices 3"]
    joints: Float[np.ndarray, "bodies 55 3"]


class Anny:
    """The loaded model with all its 163 bones, and what is read off it.

    Attributes:
        model: Anny itself. bones, parents: its rig. faces: triangles. mirror: the opposite of each vertex.
        joint_of_bone: the SMPL-X joint that moves each bone. weights: skinning, dense over bones.
        joint_weights: the same merged to 55 joints. keypoints: Anny's dense regressors by COCO name.
    """

    def __init__(self) -> None:
        try:
            import anny
        except ImportError as error:
            raise InputError(
                "building the body needs Anny: install the extra with `pip install 'apu-review[body]'`"
            ) from error
        # Never Anny's own smplx / smpl topologies: they download files for non-commercial use only.
        self.model: Any = anny.Anny(
            rig="makehuman", topology="anny", phenotypes="all", phenotype_blendshapes="original"
        )
        self.bones: Sequence[str] = self.model.bone_labels
        self.parents = [-1 if parent is None else parent for parent in self.model.bone_parents]
        self.faces: Int[np.ndarray, "faces 3"] = self.model.get_triangular_faces().numpy()
        self.joint_of_bone = rig.joint_of_bone(self.bones, self.parents)
        self.weights = _dense_weights(self.model)
        coco = anny.KeypointsRegressor.coco(self.model)
        self.keypoints = dict(zip(coco.labels, coco.regression_weights.numpy(), strict=True))
        self.mirror = _mirror(self.rest({})[0][0])
        merged = np.zeros((len(self.weights), len(rig.JOINTS)))
        np.add.at(merged.T, self.joint_of_bone, self.weights.T)
        self.joint_weights = (merged + merged[self.mirror][:, JOINT_MIRROR]) / 2

    def sample_adults(self, count: int, *, seed: int) -> Float[torch.Tensor, "count phenotypes"]:
        """Phenotypes of adults, height and weight by age as in the WHO's data (Anny's own distribution)."""
        from anny.shape_distribution import SimpleShapeDistribution

        youngest, oldest = torch.tensor(ADULT_YEARS, dtype=self.model.dtype)
        years = torch.distributions.Uniform(youngest, oldest)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, phenotypes = SimpleShapeDistribution(self.model, years).sample(count)
        return torch.stack([phenotypes[label] for label in self.model.phenotype_labels], dim=1)

    def rest(self, phenotypes: Phenotypes) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) and bone heads (N, B, 3) at Anny's own rest pose."""
        with torch.no_grad():
            out = self.model(phenotype_kwargs=phenotypes)
        return rig.smplx_axes(out["rest_vertices"].numpy()), rig.smplx_axes(out["rest_bone_heads"].numpy())

    def t_posed(self, phenotypes: Phenotypes) -> Bodies:
        """The bodies in the T-pose, exactly mirror-symmetric and centred.

        smplx subtracts the mean of the child template but not of v_template; were the bodies not centred, the 11th
        beta would also move them.
        """
        vertices, joints = [], []
        for points, heads in zip(*self.rest(phenotypes), strict=True):
            pose = rig.t_pose(heads, self.bones, self.parents)
            posed, places = rig.skin(points, heads, pose, self.weights), rig.joint_places(pose, self.bones)
            posed = (posed + posed[self.mirror] * FLIP) / 2
            places = (places + places[JOINT_MIRROR] * FLIP) / 2
            vertices.append(posed - posed.mean(0))
            joints.append(places - posed.mean(0))
        return Bodies(np.stack(vertices), np.stack(joints))


def _dense_weights(model: Any) -> Float[np.ndarray, "vertices bones"]:
    ids, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    weights = np.zeros((len(ids), model.bone_count))
    np.add.at(weights, (np.arange(len(ids))[:, None], ids), values)
    return weights / weights.sum(1, keepdims=True)


def _mirror(vertices: Float[np.ndarray, "vertices 3"]) -> Int[np.ndarray, "vertices"]:
    """The vertex opposite to each; Anny is symmetric to some micrometres."""
    distance, mirror = (np.asarray(found) for found in KDTree(vertices).query(vertices * FLIP))
    if distance.max() > 1e-4 or (mirror[mirror] != np.arange(len(mirror))).any():
        raise RuntimeError(f"Anny's mesh is not mirror-symmetric (off by {distance.max():.4f} m)")
    return mirror
