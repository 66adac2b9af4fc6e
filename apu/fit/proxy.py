"""What the fit sees of a body: a coarse skin for collisions, samples of every part, keypoint supports."""

from dataclasses import dataclass
from functools import lru_cache

import fast_simplification
import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from apu.body.collide import Collider
from apu.body.model import BodyModel
from apu.body.regions import Regions, regions_of
from apu.body.skinning import SkinnedPoints, skinned_surface
from apu.fit.mixture import Mixture, load_mixture
from apu.types import BODY_25, BodyPart

PROXY_VERTICES = 2500
"""Of the collision skin: half as many are two to four times faster, but leave 14 to 24 mm of penetration."""
KEYPOINT_SUPPORT = 48
"""Most vertices that stand for one keypoint."""
PART_SAMPLES = 160
"""Surface points that stand for a body part in the soft minimum of a contact."""


@dataclass(frozen=True, eq=False)
class FitBody:
    """A body prepared for fitting; made once per model.

    Attributes:
        surface: all vertices, then the 55 joints, as skinned points. normals: of the surface at rest (joints: zero).
        skin: the collision proxy's vertices. skin_faces, skin_area: its triangles; vertex areas over their mean.
        regions: part -> vertices. mixture: the pose prior L_GMM, where the user has one.
        keypoint_index, keypoint_weight: BODY_25 as sums over surface points.
    """

    model: BodyModel
    surface: SkinnedPoints
    normals: Float[Tensor, "points 3"]
    skin: SkinnedPoints
    skin_faces: Int[np.ndarray, "faces 3"]
    skin_area: Float[Tensor, "skin"]
    regions: Regions
    keypoint_index: Int[Tensor, "25 support"]
    keypoint_weight: Float[Tensor, "25 support"]
    mixture: Mixture | None

    def samples(self, part: BodyPart) -> Int[np.ndarray, "160"]:
        """Vertices spread evenly over a part (farthest-point order), repeated where the part has fewer."""
        return _spread(self, part)


@lru_cache(maxsize=4)
def fit_body(model: BodyModel) -> FitBody:
    """Prepare a body model for fitting, on the model's device."""
    surface = skinned_surface(model)
    rest = surface.rest[: model.num_vertices].cpu().double().numpy()
    mesh = trimesh.Trimesh(rest, model.faces, process=False)
    normals = torch.zeros_like(surface.rest)
    normals[: model.num_vertices] = torch.as_tensor(
        np.array(mesh.vertex_normals), dtype=model.dtype, device=model.device
    )
    skin, faces = _collision_skin(surface, rest, model.skin_faces)
    coarse = trimesh.Trimesh(skin.rest.cpu().numpy(), faces, process=False)
    area = np.bincount(faces.ravel(), np.repeat(coarse.area_faces / 3, 3), minlength=len(skin.rest))
    index, weight = _strongest(model.keypoint_index[: len(BODY_25)], model.keypoint_weight[: len(BODY_25)])
    index = torch.as_tensor(index, device=model.device)
    weight = torch.as_tensor(weight, dtype=model.dtype, device=model.device)
    area = torch.as_tensor(area / area.mean(), dtype=model.dtype, device=model.device)
    mixture = load_mixture(model.pose_mixture, device=model.device, dtype=model.dtype) if model.pose_mixture else None
    return FitBody(model, surface, normals, skin, faces, area, regions_of(model), index, weight, mixture)


def _collision_skin(surface: SkinnedPoints, rest: np.ndarray, outer: np.ndarray) -> tuple[SkinnedPoints, np.ndarray]:
    """The outer skin, decimated and tied to the full surface."""
    used, faces = np.unique(outer, return_inverse=True)
    vertices, triangles = fast_simplification.simplify(  # pyright: ignore[reportAssignmentType] - two without a flag
        rest[used], faces.reshape(-1, 3).astype(np.int32), target_count=2 * PROXY_VERTICES
    )
    collider = Collider(outer, len(rest), 1)
    collider.update(torch.as_tensor(rest[None], dtype=torch.float32))
    nearest = collider.query(torch.as_tensor(vertices[None], dtype=torch.float32), ignored=1.0)
    support = outer[nearest.face[0].numpy()]
    return surface.take(support, nearest.bary[0]), np.asarray(triangles, np.int64)


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
    distance = np.full(len(points), np.inf)
    for i in range(1, len(chosen)):
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[i - 1]], axis=1))
        chosen[i] = distance.argmax()
    return np.resize(chosen, count)
