# pyright: reportInvalidTypeForm=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false
# pyright: reportAssignmentType=false, reportGeneralTypeIssues=false, reportArgumentType=false
# The kernel is Warp's language in Python's syntax; its names and operators are not Python's.
"""Which points of one body lie inside another, how deep, and where is the way out: NVIDIA Warp's BVH queries.

Many bodies share one Warp mesh, set far apart on a grid, so that one refit and one query serve a whole batch.
Inside and outside come from winding numbers: the sign by the nearest face's normal fails at thin parts (fingers,
armpits), where it once read 394 mm for a true 2.8 mm. Of a closed surface the winding number is the number of times a
ray from the point leaves it less the times it enters, also where skin folds through itself; that needs no sums over
solid angles, whose upkeep cost more than everything else.

Most points of most steps need no such query. A point that was d away from the surface has, after it moved by m and
no vertex of the surface by more than n, at least d - m - n left: as long as that is positive it is on the same side,
and as long as it is large it is not near.
"""

import threading
from typing import NamedTuple

import numpy as np
import torch
import warp as wp
from jaxtyping import Bool, Float, Int
from torch import Tensor

from apu.body.kernels import launch, torch_stream

_SPACING = 8.0
"""Metres between bodies of a batch: more than any body's reach, so that no query finds a neighbour's surface."""
_REACH = wp.constant(0.5)
"""Metres a query looks for surface: no point inside a body is further from its skin."""
_NEAR = wp.constant(0.03)
"""Metres that it looks for the surface of a body that the point is outside of."""
_SLANT_0, _SLANT_1 = wp.constant(0.0437679), wp.constant(-0.0291129)
"""Rays go along an axis, so slanted: along no axis and no plane of a body. One in 30,000 slips through an edge."""
_MOST_CROSSINGS = wp.constant(64)
_ONWARDS = wp.constant(1e-5)
"""Metres: a ray goes on this far behind a crossing."""
_ROUNDING = wp.constant(1e-4)
"""Metres that float32 may err when motions are added up."""
_MOST_KEPT = 8
"""Colliders of different sizes that a thread keeps of a surface; of a large batch one takes much memory."""


@wp.func
def _way_out(x: wp.vec3, lower: wp.vec3, upper: wp.vec3, which: int) -> wp.vec4:
    """A ray that leaves the body's box soon, and its length; those of `which` 0, 1 and 2 go along different axes."""
    ahead = upper - x
    behind = x - lower
    way = wp.min(ahead, behind)
    first = int(wp.argmin(way))
    axis = (first + which) % 3
    ray = wp.vec3(_SLANT_0, _SLANT_0, _SLANT_0)
    ray[(axis + 1) % 3] = _SLANT_1
    ray[axis] = wp.where(ahead[axis] < behind[axis], 1.0, -1.0)
    return wp.vec4(ray[0], ray[1], ray[2], way[axis])


@wp.func
def _winds(mesh: wp.uint64, q: wp.vec3, out: wp.vec4) -> bool:
    """Whether the closed surface winds around a point: a ray's ways out are more than its ways in."""
    turns = int(0)  # noqa: UP018, RUF046 - Warp takes a bare literal for a constant
    start = q
    ray = wp.vec3(out[0], out[1], out[2])
    left = out[3] + _ONWARDS
    for _ in range(_MOST_CROSSINGS):
        hit = wp.mesh_query_ray(mesh, start, ray, left)
        if not hit.result:
            break
        turns += wp.where(wp.dot(hit.normal, ray) > 0.0, 1, -1)
        start += (hit.t + _ONWARDS) * ray
        left -= hit.t + _ONWARDS
    return turns > 0


@wp.kernel(enable_backward=False)
def _closest(
    mesh: wp.uint64,
    faces_per_body: int,
    cells: wp.array(dtype=wp.vec3),
    lower: wp.array(dtype=wp.vec3),
    upper: wp.array(dtype=wp.vec3),
    points: wp.array2d(dtype=wp.vec3),
    before: wp.array2d(dtype=wp.vec3),
    depth_before: wp.array2d(dtype=float),
    moved: wp.array(dtype=float),
    ignored: float,
    once: bool,
    depth: wp.array2d(dtype=float),
    face: wp.array2d(dtype=int),
    bary: wp.array2d(dtype=wp.vec3),
):
    body, i = wp.tid()
    x = points[body, i]
    face[body, i] = 0
    bary[body, i] = wp.vec3(1.0, 0.0, 0.0)
    # What is left of the last signed depth after all that moved since; 0: nothing is known.
    left = wp.abs(depth_before[body, i]) - wp.length(x - before[body, i]) - moved[body] - _ROUNDING
    known = wp.max(left, 0.0) * wp.sign(depth_before[body, i])
    beyond = wp.max(wp.max(lower[body] - x, x - upper[body]), wp.vec3(0.0, 0.0, 0.0))
    depth[body, i] = wp.min(known, -wp.length(beyond))
    if depth[body, i] < -ignored:
        return
    q = x + cells[body]
    inside = known > 0.0
    if known == 0.0 and wp.length_sq(beyond) == 0.0:
        inside = _winds(mesh, q, _way_out(x, lower[body], upper[body], 0))
        if inside and _winds(mesh, q, _way_out(x, lower[body], upper[body], 1)) != inside:
            inside = _winds(mesh, q, _way_out(x, lower[body], upper[body], 2))
    reach = float(_REACH)
    if not inside:
        reach = wp.where(once, ignored, wp.max(_NEAR, ignored))
        depth[body, i] = -reach
        if reach == 0.0:
            return
    hit = wp.mesh_query_point_no_sign(mesh, q, reach)
    if not hit.result or hit.face // faces_per_body != body:  # only a giant reaches into its neighbour's cell
        return
    closest = wp.mesh_eval_position(mesh, hit.face, hit.u, hit.v)
    if known == 0.0 and not inside and wp.dot(closest - q, wp.mesh_eval_face_normal(mesh, hit.face)) > 0.0:
        inside = _winds(mesh, q, _way_out(x, lower[body], upper[body], 1)) and _winds(
            mesh, q, _way_out(x, lower[body], upper[body], 2)
        )
    depth[body, i] = wp.where(inside, 1.0, -1.0) * wp.length(closest - q)
    face[body, i] = hit.face - body * faces_per_body
    bary[body, i] = wp.vec3(hit.u, hit.v, 1.0 - hit.u - hit.v)


class Inside(NamedTuple):
    """Answer for every query point.

    Attributes:
        depth: distance to the surface, positive inside, negative outside, metres; of points further outside than the
            query was told to care for only a bound, with face and bary meaningless.
        face: the nearest face. bary: the nearest point's barycentric coordinates in it.
    """

    depth: Float[Tensor, "bodies points"]
    face: Int[Tensor, "bodies points"]
    bary: Float[Tensor, "bodies points 3"]


class Collider:
    """Closest-point and inside queries against B bodies of one topology.

    Args:
        faces: of one body. num_vertices: of one body. bodies: B. device: of all tensors given later.
    """

    def __init__(
        self, faces: Int[np.ndarray, "faces 3"], num_vertices: int, bodies: int, device: torch.device | str = "cpu"
    ):
        self.device = str(device)
        self._bodies, self._faces_per_body = bodies, len(faces)
        side = int(np.ceil(bodies ** (1 / 3)))  # a cube of bodies keeps coordinates small: float32 stays exact to 1 um
        grid = np.stack(np.unravel_index(np.arange(bodies), (side, side, side)), axis=1) * _SPACING
        self._origins = torch.as_tensor(grid, dtype=torch.float32, device=device)
        index = (faces[None] + np.arange(bodies)[:, None, None] * num_vertices).astype(np.int32).reshape(-1)
        self._points = self._origins.repeat_interleave(num_vertices, 0).contiguous()
        self._indices = wp.array(index, dtype=wp.int32, device=self.device)
        self._mesh: wp.Mesh | None = None
        self._by_axis: Tensor | None = None
        self._moved = torch.zeros(bodies, device=device)
        self._last: tuple[Tensor, Tensor] | None = None

    def update(self, vertices: Float[Tensor, "bodies vertices 3"]) -> None:
        """Move the bodies; their coordinates may be anywhere, each is centred on its own cell first."""
        vertices = vertices.detach().float()
        by_axis = vertices.transpose(1, 2).contiguous()  # sums along long rows are faster
        if self._by_axis is not None:
            self._moved = self._moved + (by_axis - self._by_axis).square().sum(1).amax(1).sqrt()
        self._by_axis = by_axis
        self._box = lower, upper = by_axis.aminmax(dim=2)
        self._cells = self._origins - (lower + upper) / 2
        torch.add(vertices, self._cells[:, None], out=self._points.view_as(vertices))
        with torch_stream(self._points):
            if self._mesh is None:
                points = wp.from_torch(self._points, dtype=wp.vec3)
                self._mesh = wp.Mesh(points=points, indices=self._indices, bvh_leaf_size=4)
            else:
                self._mesh.refit()

    def query(self, points: Float[Tensor, "bodies points 3"], *, ignored: float = 0.0, once: bool = False) -> Inside:
        """How deep `points[b]` lie in body b, and the nearest place on its surface.

        Args:
            points: same frame as the vertices. A collider is asked about the same points each time, as they move.
            ignored: metres; points further outside than this are not looked up.
            once: the points are not asked about again, so nobody needs to know how far outside the others are.
        """
        if self._mesh is None:
            raise ValueError("update the bodies' vertices before the first query")
        points = points.detach().float().contiguous()
        before, depth_before = self._last or (points, torch.zeros_like(points[..., 0]))
        depth, bary = torch.empty_like(depth_before), torch.empty_like(points)
        face = torch.empty_like(depth_before, dtype=torch.int32)
        launch(
            _closest, points.shape[:2], self._mesh.id, self._faces_per_body,
            self._cells, *self._box, points, before, depth_before, self._moved, ignored, once, depth, face, bary,
        )  # fmt: skip
        self._last, self._moved = (points, depth), torch.zeros_like(self._moved)
        return Inside(depth, face, bary)

    def forget(self) -> None:
        """Treat the next bodies and points as if they were the first."""
        self._last = self._by_axis = None
        self._moved = torch.zeros_like(self._moved)


class Colliders:
    """Colliders of bodies of one topology, kept: to build a tree takes as long as several steps of a fit.

    Each thread has its own. They are built about the bodies at rest, so that no answer depends on what was asked
    before.

    Args:
        faces: of one body. rest: its vertices.
    """

    def __init__(self, faces: Int[np.ndarray, "faces 3"], rest: Float[Tensor, "vertices 3"]):
        self._faces, self._rest, self._kept = faces, rest, threading.local()

    def of(self, bodies: int, *, anew: bool = True) -> Collider:
        """A collider of so many bodies.

        Args:
            anew: it knows nothing of the bodies yet; False: it may know where they were.
        """
        kept: dict[int, Collider] = self._kept.__dict__.setdefault("by_number", {})
        collider = kept.pop(bodies, None) or self._built(bodies)
        if len(kept) == _MOST_KEPT:
            del kept[next(iter(kept))]
        kept[bodies] = collider  # the last used comes last
        if anew:
            collider.forget()
        return collider

    @torch.inference_mode(False)  # it may be used under autograd too
    def _built(self, bodies: int) -> Collider:
        collider = Collider(self._faces, len(self._rest), bodies, self._rest.device)
        collider.update(self._rest.expand(bodies, -1, -1))
        collider.forget()
        return collider


def other_person(points: Float[Tensor, "bodies points 3"]) -> Float[Tensor, "bodies points 3"]:
    """Rows (pair 0 person 0, pair 0 person 1, pair 1 ...) with the two people of each pair exchanged."""
    return points.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def penetration(
    vertices: Float[Tensor, "bodies vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    collider: Collider | None = None,
) -> tuple[Float[Tensor, "bodies vertices"], Bool[Tensor, "bodies vertices"]]:
    """Depth of every vertex inside the other person of its pair, on the full mesh.

    Args:
        vertices: bodies in the order pair 0 person 0, pair 0 person 1, pair 1 person 0, ...
        collider: of as many bodies with these faces, where one is kept.

    Returns:
        depth in metres (0 outside) and whether the vertex is inside.
    """
    collider = collider or Collider(faces, vertices.shape[1], len(vertices), vertices.device)
    collider.update(vertices)
    depth = other_person(collider.query(other_person(vertices), once=True).depth[..., None])[..., 0]
    return depth.clamp_min(0), depth > 0
