"""Linear blend skinning of chosen points with its analytic Jacobian: the forward model of the fit.

A full SMPL-X forward and backward pass costs 30 ms on two cores; a fit needs some hundred points. Here the fingers,
jaw and eyes are posed once (relaxed), their skinning weights go to the wrists and the head, and B = 22 joints stay.

Local rotations change on the manifold, R_j <- exp([w]x) R_j. Let bone b, with skinning weight W_b, carry a point to
x_b, so that the posed point is x = sum_b W_b x_b; let S_j and s_j be the sums of W_b x_b and of W_b over the subtree
of joint j, p_j the joint's place and G its parent's global rotation. Then

    dx/dw_j = -[S_j - s_j p_j]x G_parent(j),      dx/dtransl = I.

Pose correctives move the points; their derivative is left out (they are millimetres and vary slowly). Large products
are PyTorch's, what is small and many is in `apu.body.kernels`; nothing is noted down for autograd.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import roma
import torch
from jaxtyping import Float, Int
from smplx.lbs import lbs
from torch import Tensor

from apu.body.kernels import launch, skinning_kernels
from apu.body.model import BodyModel
from apu.body.rotation import stepped
from apu.types import NUM_BETAS, BodyParams

# For the whole process, since filters of a block are not its thread's alone.
warnings.filterwarnings("ignore", "Sparse CSC tensor support is in beta")

NUM_JOINTS = 22
NUM_PARAMS = 3 * NUM_JOINTS + NUM_BETAS + 3
"""Unknowns per person: 22 rotation vectors, 11 betas, a translation; in this order."""
ROTATIONS, BETAS, TRANSL = slice(0, 66), slice(66, 77), slice(77, 80)

_WRISTS, _HEAD = (20, 21), 15
_FEW = 0.2
"""Share of entries that are not zero below which a sparse matrix multiplies faster."""
_LEAST_SHARE = 1e-7
"""Of a bone in a sum of points: less is rounding."""
_FACE_JOINTS, _HAND_JOINTS = slice(22, 25), (slice(25, 40), slice(40, 55))


@dataclass(frozen=True, eq=False)
class Pose:
    """The unknowns of a fit; the leading axes (pairs, people, ...) are free."""

    rotations: Float[Tensor, "*batch 22 3 3"]
    betas: Float[Tensor, "*batch 11"]
    transl: Float[Tensor, "*batch 3"]

    @classmethod
    def of(
        cls, params: BodyParams, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "Pose":
        """From axis-angle parameters of P people; the batch axes are (P,)."""
        rotvec = torch.as_tensor(
            np.concatenate([params.global_orient[:, None], params.body_pose], axis=1), dtype=dtype, device=device
        )
        betas, transl = (torch.as_tensor(a, dtype=dtype, device=device) for a in (params.betas, params.transl))
        return cls(roma.rotvec_to_rotmat(rotvec), betas, transl)

    def params(self) -> BodyParams:
        """As axis-angle parameters, float32; the batch must be people only."""
        rotvec = roma.rotmat_to_rotvec(self.rotations).float().cpu().numpy()
        return BodyParams(
            global_orient=rotvec[:, 0],
            body_pose=rotvec[:, 1:],
            betas=self.betas.float().cpu().numpy(),
            transl=self.transl.float().cpu().numpy(),
        )

    def step(self, delta: Float[Tensor, "*batch 80"]) -> "Pose":
        """The pose after a step in the tangent space: R <- exp([w]x) R; betas and translation are added to."""
        return replace(
            self,
            rotations=stepped(self.rotations, delta[..., ROTATIONS].unflatten(-1, (NUM_JOINTS, 3))),
            betas=self.betas + delta[..., BETAS],
            transl=self.transl + delta[..., TRANSL],
        )

    def __getitem__(self, index: Tensor | slice | int | tuple) -> "Pose":
        """Entries along the leading axes."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def put(self, index: Int[Tensor, "rows"], other: "Pose") -> "Pose":
        """This batch with the entries of `index` along the first axis replaced by those of `other`."""
        return replace(
            self, **{f.name: getattr(self, f.name).index_copy(0, index, getattr(other, f.name)) for f in fields(self)}
        )

    def where(self, mask: Tensor, other: "Pose") -> "Pose":
        """This pose where `mask` (over the first axes) holds, `other` elsewhere."""

        def pick(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(mask.reshape(mask.shape + (1,) * (mine.ndim - mask.ndim)), mine, theirs)

        return replace(self, **{f.name: pick(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


def stack(poses: Sequence[Pose]) -> Pose:
    """Poses of the same shape along a new first axis."""
    return Pose(*(torch.stack([getattr(p, f.name) for p in poses]) for f in fields(Pose)))


def joined(*poses: Pose) -> Pose:
    """Batches of poses, one after the other along their first axis."""
    return Pose(*(torch.cat([getattr(p, f.name) for p in poses]) for f in fields(Pose)))


Rows = Int[Tensor, "rows"] | slice
"""Entries along the first axis."""
EVERY = slice(None)
"""All of them, without a copy."""

_Tensors = TypeVar("_Tensors", bound=tuple)


def entries(tensors: _Tensors, rows: Rows) -> _Tensors:
    """Some entries along the first axis of every tensor in a named tuple, and in those that it holds."""
    return type(tensors)(*(entries(a, rows) if isinstance(a, tuple) else a[rows] for a in tensors))


class Frames(NamedTuple):
    """Where the joints and their bones are, per person, in the camera's frame.

    Attributes:
        rotation: of the joints, global. place: metres.
        origin: where each bone carries the origin of the unposed body: its points go to rotation x + origin.
        place_dirs, origin_dirs: derivative of place and origin by the 11 betas.
    """

    rotation: Float[Tensor, "*batch 22 3 3"]
    place: Float[Tensor, "*batch 22 3"]
    origin: Float[Tensor, "*batch 22 3"]
    place_dirs: Float[Tensor, "*batch 22 11 3"]
    origin_dirs: Float[Tensor, "*batch 22 11 3"]

    @property
    def flat(self) -> "Frames":
        """With all people along one axis."""
        return Frames(*(a.reshape(-1, *a.shape[self.rotation.ndim - 3 :]) for a in self))


class Skinned(NamedTuple):
    """Points of every person in the camera's frame, metres.

    Attributes:
        points: their places. shaped: those of the unposed body, under betas and pose correctives.
    """

    points: Float[Tensor, "*batch points 3"]
    shaped: Float[Tensor, "*batch points 3"]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The 22-joint tree with rest places linear in betas.

    Attributes:
        parents: of each joint; -1 for the root.
        joints, joint_dirs: rest places, metres, and their derivative by betas.
    """

    parents: tuple[int, ...]
    joints: Float[Tensor, "22 3"]
    joint_dirs: Float[Tensor, "22 3 11"]

    @cached_property
    def tree(self) -> tuple[Int[Tensor, "22"], Float[Tensor, "22 3"], Float[Tensor, "22 11 3"]]:
        """Parents, rest places and their derivative, as kernels take them."""
        parents = torch.tensor(self.parents, dtype=torch.int32, device=self.joints.device)
        return parents, self.joints.contiguous(), self.joint_dirs.transpose(1, 2).contiguous()

    def frames(self, pose: Pose) -> Frames:
        """Forward kinematics."""
        rotations, betas, transl = (
            a.reshape(-1, *a.shape[pose.transl.ndim - 1 :]).contiguous()
            for a in (pose.rotations, pose.betas, pose.transl)
        )
        like, batch = rotations, pose.transl.shape[:-1]
        shapes = (NUM_JOINTS, 3, 3), (NUM_JOINTS, 3), (NUM_JOINTS, 3), *[(NUM_JOINTS, NUM_BETAS, 3)] * 2
        found = Frames(*(like.new_empty(len(like), *shape) for shape in shapes))
        launch(skinning_kernels(like.dtype).frames, (len(like),), *self.tree, rotations, betas, transl, *found)
        return Frames(*(a.view(*batch, *a.shape[1:]) for a in found))


@dataclass(frozen=True, eq=False)
class SkinnedPoints:
    """N points of a body that move with its skeleton: vertices, points on triangles, joints.

    Attributes:
        rest: unposed places at betas = 0, metres. dirs: their derivative by betas.
        weights: skinning weights over the 22 joints, rows sum to 1.
        correctives: pose blend shapes, by the 21 x 9 entries of R - I of the joints after the root.
    """

    skeleton: Skeleton
    rest: Float[Tensor, "points 3"]
    dirs: Float[Tensor, "points 3 11"]
    weights: Float[Tensor, "points 22"]
    correctives: Float[Tensor, "points 3 189"]

    def take(
        self, index: Int[np.ndarray | Tensor, "rows support"], weight: Float[np.ndarray | Tensor, "rows support"]
    ) -> "SkinnedPoints":
        """New points as weighted sums of these (weights sum to 1): subsets, points on triangles, keypoints.

        Exact where the support shares its skinning weights, millimetres off across a joint; for sums over wide
        supports pose the support and sum afterwards.
        """
        index = torch.as_tensor(index, device=self.rest.device)
        weight = torch.as_tensor(weight, dtype=self.rest.dtype, device=self.rest.device)

        def combine(array: Tensor) -> Tensor:
            return torch.einsum("rk,rk...->r...", weight, array[index])

        return self._each(combine)

    def first(self, count: int) -> "SkinnedPoints":
        """The first so many of the points."""
        return self if count == len(self.rest) else self._each(lambda array: array[:count])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "SkinnedPoints":
        arrays = ("rest", "dirs", "weights", "correctives")
        return replace(self, **{name: change(getattr(self, name)) for name in arrays})

    def prepare(self) -> None:
        """Make now what is made once, before several threads want it."""
        _ = self._flat, self._bones, self._dirs, self.skeleton.tree

    def shaped(self, pose: Pose) -> Float[Tensor, "*batch points 3"]:
        """Unposed places under the betas and the pose correctives."""
        dirs, correctives = self._flat
        betas, turned = pose.betas.reshape(-1, NUM_BETAS), _turned(pose)
        places = self.rest.flatten() + betas @ dirs
        places += turned.reshape(-1, turned.shape[-1]) @ correctives
        return places.view(*pose.betas.shape[:-1], -1, 3)

    @cached_property
    def _flat(self) -> tuple[Float[Tensor, "11 coordinates"], Tensor]:
        """`dirs` and `correctives` (189, coordinates) by the points' x, y, z in a row; so they take half the time.

        A bone's correctives move the points about its joint, in the free body 1 % of all: a CPU is faster with these.
        """
        correctives = self.correctives.flatten(0, 1).T.contiguous()
        if correctives.device.type == "cpu" and correctives.count_nonzero() < _FEW * correctives.numel():
            correctives = correctives.to_sparse_csc()
        return self.dirs.flatten(0, 1).T.contiguous(), correctives

    @cached_property
    def _bones(self) -> tuple[Int[Tensor, "points most"], Float[Tensor, "points most"]]:
        """Those that carry each point, as many as any point has, and their shares of it."""
        most = int((self.weights != 0).sum(1).max())
        bone = self.weights.abs().topk(most).indices  # none after the first without a share
        return bone.int(), self.weights.gather(1, bone)

    def posed(self, pose: Pose, frames: Frames) -> Skinned:
        """Linear blend skinning of all points."""
        shaped = self.shaped(pose)
        return Skinned(self._blended(shaped, frames.rotation, frames.origin), shaped)

    def directions(self, rest: Float[Tensor, "points 3"], frames: Frames) -> Float[Tensor, "*batch points 3"]:
        """Directions at the points, such as their normals, turned as skinning turns these."""
        batch = frames.place.shape[:-2]
        return self._blended(rest.expand(*batch, *rest.shape), frames.rotation, torch.zeros_like(frames.origin))

    def _blended(
        self,
        rest: Float[Tensor, "*batch points 3"],
        rotation: Float[Tensor, "*batch 22 3 3"],
        origin: Float[Tensor, "*batch 22 3"],
    ) -> Float[Tensor, "*batch points 3"]:
        """Every point carried along by its bones, each by its share."""
        posed = rest.new_empty(rest.shape)
        flat = [a.reshape(-1, *a.shape[rest.ndim - 2 :]) for a in (rotation, origin, rest)]
        launch(
            skinning_kernels(rest.dtype).points,
            (len(flat[0]), rest.shape[-2]),
            *self._bones,
            *flat,
            posed.view(flat[2].shape),
        )
        return posed

    def jacobian(
        self,
        frames: Frames,
        skinned: Skinned,
        index: Int[Tensor, "*batch people rows support"],
        weight: Float[Tensor, "*batch people rows support"],
        slope: Float[Tensor, "*batch people rows asked 3"] | None = None,
        *,
        shape: bool = True,
    ) -> Float[Tensor, "*batch people rows asked 80"]:
        """Derivative of weighted sums of the points by the 80 unknowns of their person.

        In memory the rows of a pair's people lie side by side, as rows of all its unknowns are wanted.

        Args:
            frames, skinned: as `posed` took and gave them.
            index, weight: for every row the points it sums and their weights.
            slope: what the derivative is multiplied with, such as a residual's; None for x, y and z.
            shape: False leaves out the derivative by betas.
        """
        if slope is None:
            slope = torch.eye(3, dtype=weight.dtype, device=weight.device).expand(*weight.shape[:-1], 3, 3)
        batch, (people, rows), asked = weight.shape[:-3], weight.shape[-3:-1], slope.shape[-2]
        pairs = batch.numel()
        columns = weight.new_empty(pairs, rows * asked, people, NUM_PARAMS)
        index, weight, slope = (
            a.reshape(pairs * people, rows, *a.shape[len(batch) + 2 :]) for a in (index, weight, slope)
        )
        parents, flat = self.skeleton.tree[0], frames.flat
        launch(
            skinning_kernels(weight.dtype).rows, (pairs * people, rows),
            parents, *self._bones, self._dirs, flat.rotation, flat.place, flat.origin, flat.origin_dirs,
            skinned.shaped.view(pairs * people, len(self.rest), 3), index.long(), weight, slope, shape, columns,
        )  # fmt: skip
        return columns.view(*batch, rows, asked, people, NUM_PARAMS).movedim(-2, -4)

    @cached_property
    def _dirs(self) -> Float[Tensor, "points 11 3"]:
        return self.dirs.transpose(1, 2).contiguous()

    def sums(self, index: Int[Tensor, "rows support"], weight: Float[Tensor, "rows support"]) -> "SkinnedSums":
        """Weighted sums of these points, wherever their support lies; exact. Weights must not be negative."""
        w = weight[..., None] * self.weights[index]  # (rows, support, 22)
        mass = w.sum(1)
        row, bone = (mass.abs() > _LEAST_SHARE).nonzero(as_tuple=True)
        each = w[row, :, bone] / mass[row, bone, None]
        rest, dirs, correctives = (
            torch.einsum("vk,vk...->v...", each, array[index[row]])
            for array in (self.rest, self.dirs, self.correctives)
        )
        own = torch.eye(NUM_JOINTS, dtype=w.dtype, device=w.device)[bone]
        points = SkinnedPoints(self.skeleton, rest, dirs, own, correctives)
        shares = w.new_zeros(len(index), len(row))
        shares[row, torch.arange(len(row), device=row.device)] = mass[row, bone]
        most = int((shares != 0).sum(1).max())
        among = (shares != 0).to(w.dtype).topk(most).indices
        sums = SkinnedSums(points, shares, among, shares.gather(1, among))
        points.prepare()
        return sums


class PosedSums(NamedTuple):
    """Sums of points in the camera's frame, metres, and the points that they sum."""

    points: Float[Tensor, "*batch rows 3"]
    skinned: Skinned


@dataclass(frozen=True, eq=False)
class SkinnedSums:
    """Weighted sums of a body's points, such as keypoints, collapsed onto its bones: skinning is linear in the points.

    Attributes:
        points: one for every row and bone that has a share in it: the mean of what the bone carries.
        shares: of the points in every row. index, weight: the same, of a row's own points only.
    """

    points: SkinnedPoints
    shares: Float[Tensor, "rows points"]
    index: Int[Tensor, "rows support"]
    weight: Float[Tensor, "rows support"]

    def posed(self, pose: Pose, frames: Frames) -> PosedSums:
        """The sums, and what `jacobian` needs of them."""
        skinned = self.points.posed(pose, frames)
        return PosedSums(self.shares @ skinned.points, skinned)

    def jacobian(
        self,
        frames: Frames,
        posed: PosedSums,
        rows: slice | list[int],
        slope: Float[Tensor, "*batch people chosen asked 3"] | None = None,
        *,
        shape: bool = True,
    ) -> Float[Tensor, "*batch people chosen asked 80"]:
        """Derivative of some of the sums, see `SkinnedPoints.jacobian`; `posed` as `posed` gave it."""
        batch = posed.points.shape[:-2]
        index, weight = (a[rows].expand(*batch, -1, -1) for a in (self.index, self.weight))
        return self.points.jacobian(frames, posed.skinned, index, weight, slope, shape=shape)


def _turned(pose: Pose) -> Float[Tensor, "*batch 189"]:
    """What pose correctives are linear in: R - I of the joints after the root."""
    eye = torch.eye(3, dtype=pose.betas.dtype, device=pose.betas.device)
    return (pose.rotations[..., 1:, :, :] - eye).flatten(-3)


def skinned_surface(body: BodyModel) -> SkinnedPoints:
    """All V vertices of a body, then its 55 joints, as points on the 22-joint skeleton with relaxed hands.

    The relaxed hands are baked into the rest shape by posing them with smplx's own skinning, once for betas = 0 and
    once for each beta (the result is linear in betas).
    """
    dtype, device = body.dtype, body.device
    betas = torch.cat([torch.zeros(1, NUM_BETAS), torch.eye(NUM_BETAS)]).to(device, dtype)
    hands = body.tensor("pose_mean").to(device, dtype).repeat(len(betas), 1)
    parents, skinning = body.tensor("parents"), body.tensor("lbs_weights")
    template, shapedirs, posedirs = (body.tensor(name) for name in ("v_template", "shapedirs", "posedirs"))
    vertices, joints = lbs(betas, hands, template, shapedirs, posedirs, body.tensor("J_regressor"), parents, skinning)  # pyright: ignore[reportArgumentType] - smplx names its own alias of Tensor
    points = torch.cat([vertices, joints], 1)
    skeleton = Skeleton(
        parents=tuple(parents[:NUM_JOINTS].tolist()),
        joints=joints[0, :NUM_JOINTS],
        joint_dirs=(joints[1:] - joints[:1]).permute(1, 2, 0)[:NUM_JOINTS],
    )
    own = torch.eye(len(parents), dtype=dtype, device=device)
    weights = _without_fingers(torch.cat([skinning, own]))
    correctives = torch.zeros(len(points[0]), 3, 189, dtype=dtype, device=device)
    correctives[: body.num_vertices] = posedirs[:189].reshape(189, -1, 3).permute(1, 2, 0)
    return SkinnedPoints(skeleton, points[0], (points[1:] - points[:1]).permute(1, 2, 0), weights, correctives)


def _without_fingers(weights: Float[Tensor, "points 55"]) -> Float[Tensor, "points 22"]:
    kept = weights[:, :NUM_JOINTS].clone()
    kept[:, _HEAD] += weights[:, _FACE_JOINTS].sum(1)
    for wrist, fingers in zip(_WRISTS, _HAND_JOINTS, strict=True):
        kept[:, wrist] += weights[:, fingers].sum(1)
    return kept
