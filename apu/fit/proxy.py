"""What the fit sees of a body: a coarse skin for collisions, samples of every part, keypoint supports."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import fast_simplification
import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from apu.body.collide import Collider, Colliders
from apu.body.kernels import compile_all, skinning_kernels
from apu.body.model import BodyModel, Posed
from apu.body.regions import Regions, regions_of
from apu.body.skinning import Pose, SkinnedPoints, skinned_surface
from apu.fit.kernels import ground_kernel
from apu.fit.mixture import Mixture, load_mixture
from apu.fit.options import PART_SAMPLES
from apu.types import BODY_25, SMPL_JOINTS, BodyPart

SKIN_VERTICES = 2500
"""Of the collision skin: with half as many, five times as many pairs keep more than 1 cm of penetration."""
PROBES = 2500
"""Points all over the skin, 3 cm apart, that are asked whether they are inside the other person. The skin's own
vertices lie where it is curved: thighs have triangles 20 cm long, and an elbow fits between their corners."""
_FINER = {"wrist": 2.5, "ankle": 2.0, "foot": 2.0}
"""So many times closer are those of thin parts, hands and feet, by the joint that moves them."""
_DENSE = 6
"""Random points for every probe, of which those farthest apart are taken."""
KEYPOINT_SUPPORT = 48
"""Most vertices that stand for one keypoint."""


@dataclass(frozen=True, eq=False)
class FitBody:
    """A body prepared for fitting; made once per model.

    Attributes:
        surface: all vertices, then the 55 joints, as skinned points. normals: of the surface at rest (joints: zero).
        skin: for collisions; the vertices of a decimated skin, with triangles `skin_faces`, and after them the probes.
        probes: the points of `skin` that are asked whether they are inside the other person. probe_area: over its mean.
        regions: part -> vertices. mixture: the pose prior L_GMM, where the user has one.
        keypoint_index, keypoint_weight: BODY_25 as sums over surface points.
    """

    model: BodyModel
    surface: SkinnedPoints
    normals: Float[Tensor, "points 3"]
    skin: SkinnedPoints
    skin_faces: Int[np.ndarray, "faces 3"]
    probes: Int[Tensor, "probes"]
    probe_area: Float[Tensor, "probes"]
    regions: Regions
    keypoint_index: Int[Tensor, "25 support"]
    keypoint_weight: Float[Tensor, "25 support"]
    mixture: Mixture | None

    @cached_property
    def colliders(self) -> Colliders:
        """Of the coarse skin."""
        return Colliders(self.skin_faces, self.skin.rest[: int(self.skin_faces.max()) + 1])

    @cached_property
    def outer(self) -> Colliders:
        """Of the model's whole skin."""
        return Colliders(self.model.skin_faces, self.surface.rest[: self.model.num_vertices])

    def posed(self, pose: Pose) -> Posed:
        """The whole body as `BodyModel.forward` has it, to 0.02 mm and in a tenth of its time.

        Args:
            pose: the batch axes are (P,).
        """
        points = self.surface.posed(pose, self.surface.skeleton.frames(pose)).points.float().cpu().numpy()
        return Posed(*np.split(points, [self.model.num_vertices], axis=1))

    def samples(self, part: BodyPart) -> Int[np.ndarray, "160"]:
        """Vertices spread evenly over a part (farthest-point order), repeated where the part has fewer."""
        return _spread(self, part)


@lru_cache(maxsize=4)
def fit_body(model: BodyModel) -> FitBody:
    """Prepare a body model for fitting, on the model's device."""
    compile_all([*skinning_kernels(model.dtype), ground_kernel(model.dtype)], model.device)
    surface = skinned_surface(model)
    rest = surface.rest[: model.num_vertices].cpu().double().numpy()
    mesh = trimesh.Trimesh(rest, model.faces, process=False)
    normals = torch.zeros_like(surface.rest)
    normals[: model.num_vertices] = torch.as_tensor(
        np.array(mesh.vertex_normals), dtype=model.dtype, device=model.device
    )
    outer = trimesh.Trimesh(rest, model.skin_faces, process=False)
    vertices, faces = _decimated(outer)
    asked, area = _all_over(outer, surface.weights)
    skin = _tied(np.concatenate([vertices, asked]), outer, surface)
    for points in (surface, skin):
        points.prepare()
    index, weight = _strongest(model.keypoint_index[: len(BODY_25)], model.keypoint_weight[: len(BODY_25)])
    index = torch.as_tensor(index, device=model.device)
    weight = torch.as_tensor(weight, dtype=model.dtype, device=model.device)
    probes = torch.arange(len(vertices), len(skin.rest), device=model.device)
    area = torch.as_tensor(area / area.mean(), dtype=model.dtype, device=model.device)
    mixture = load_mixture(model.pose_mixture, device=model.device, dtype=model.dtype) if model.pose_mixture else None
    return FitBody(model, surface, normals, skin, faces, probes, area, regions_of(model), index, weight, mixture)


def _decimated(outer: trimesh.Trimesh) -> tuple[Float[np.ndarray, "skin 3"], Int[np.ndarray, "faces 3"]]:
    """The skin with few triangles: large ones where it is smooth."""
    used, faces = np.unique(outer.faces, return_inverse=True)
    vertices, triangles = fast_simplification.simplify(  # pyright: ignore[reportAssignmentType] - two without a flag
        outer.vertices[used], faces.reshape(-1, 3).astype(np.int32), target_count=2 * SKIN_VERTICES
    )
    return vertices, np.asarray(triangles, np.int64)


def _all_over(
    outer: trimesh.Trimesh, weights: Float[Tensor, "points 22"]
) -> tuple[Float[np.ndarray, "probes 3"], Float[np.ndarray, "probes"]]:
    """Points all over the skin, and the area that each stands for, in units of the largest."""
    dense, face = trimesh.sample.sample_surface(  # pyright: ignore[reportAssignmentType] - two without colours
        outer, _DENSE * PROBES, seed=0
    )
    bone = weights.argmax(1).cpu().numpy()[outer.faces[face, 0]]
    finer = np.array([_FINER.get(name.rpartition("_")[2], 1.0) for name in SMPL_JOINTS[: weights.shape[1]]])[bone]
    chosen = farthest_points(finer[:, None] * dense, PROBES)
    return dense[chosen], finer[chosen] ** -2


def _tied(points: Float[np.ndarray, "rows 3"], outer: trimesh.Trimesh, surface: SkinnedPoints) -> SkinnedPoints:
    """Points near the skin as points of it that move with the body."""
    faces = np.asarray(outer.faces)
    collider = Collider(faces, len(outer.vertices), 1)
    collider.update(torch.as_tensor(np.asarray(outer.vertices)[None], dtype=torch.float32))
    nearest = collider.query(torch.as_tensor(points[None], dtype=torch.float32), ignored=1.0)
    return surface.take(faces[nearest.face[0].numpy()], nearest.bary[0])


def _strongest(index: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoint supports cut to their strongest points (half a millimetre at the hips, nothing elsewhere)."""
    order = np.argsort(-np.abs(weight), axis=1)[:, :KEYPOINT_SUPPORT]
    index, weight = (np.take_along_axis(a, order, axis=1) for a in (index, weight))
    return index, weight / weight.sum(1, keepdims=True)


@lru_cache(maxsize=512)
def _spread(body: FitBody, part: BodyPart) -> np.ndarray:
    vertices = body.regions.part_vertices(part)
    return vertices[farthest_points(body.surface.rest[vertices].cpu().numpy(), PART_SAMPLES)]


def farthest_points(points: Float[np.ndarray, "points 3"], count: int) -> Int[np.ndarray, "count"]:
    """Indices of `count` points, each farthest from those before it; starts over when the points run out."""
    chosen = np.zeros(min(count, len(points)), np.int64)
    axes = np.ascontiguousarray(points.T)
    square = np.full(len(points), np.inf)
    for i in range(1, len(chosen)):
        x, y, z = axes - axes[:, chosen[i - 1], None]
        np.minimum(square, x * x + y * y + z * z, out=square)
        chosen[i] = square.argmax()
    return np.resize(chosen, count)
