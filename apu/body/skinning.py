"""Linear blend skinning of chosen points with its analytic Jacobian: the forward model of the fit.

A full SMPL-X forward and backward pass costs 30 ms on two cores; a fit needs some hundred points. Here the fingers,
jaw and eyes are posed once (relaxed), their skinning weights go to the wrists and the head, and B = 22 joints stay.

Local rotations change on the manifold, R_j <- exp([w]x) R_j. Let bone b, with skinning weight W_b, carry a point to
x_b, so that the posed point is x = sum_b W_b x_b; let S_j and s_j be the sums of W_b x_b and of W_b over the subtree
of joint j, p_j the joint's place and G its parent's global rotation. Then

    dx/dw_j = -[S_j - s_j p_j]x G_parent(j),      dx/dtransl = I.

Pose correctives move the points; their derivative is left out (they are millimetres and vary slowly).
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import roma
import torch
from jaxtyping import Float, Int
from smplx.lbs import lbs
from torch import Tensor

from apu.body.model import BodyModel
from apu.types import NUM_BETAS, BodyParams

NUM_JOINTS = 22
NUM_PARAMS = 3 * NUM_JOINTS + NUM_BETAS + 3
"""Unknowns per person: 22 rotation vectors, 11 betas, a translation; in this order."""
ROTATIONS, BETAS, TRANSL = slice(0, 66), slice(66, 77), slice(77, 80)

_WRISTS, _HEAD = (20, 21), 15
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
        turn = roma.rotvec_to_rotmat(delta[..., ROTATIONS].unflatten(-1, (NUM_JOINTS, 3)))
        return replace(
            self,
            rotations=turn @ self.rotations,
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


def stack(poses: list[Pose]) -> Pose:
    """Poses of the same shape along a new first axis."""
    return Pose(*(torch.stack([getattr(p, f.name) for p in poses]) for f in fields(Pose)))


def joined(*poses: Pose) -> Pose:
    """Batches of poses, one after the other along their first axis."""
    return Pose(*(torch.cat([getattr(p, f.name) for p in poses]) for f in fields(Pose)))


class Frames(NamedTuple):
    """Where the joints are, per person.

    Attributes:
        rotation: global. place: camera frame, metres. place_dirs: its derivative by betas.
        parent_rotation: the parent's global rotation (identity for the root).
    """

    rotation: Float[Tensor, "*batch 22 3 3"]
    place: Float[Tensor, "*batch 22 3"]
    place_dirs: Float[Tensor, "*batch 22 3 11"]
    parent_rotation: Float[Tensor, "*batch 22 3 3"]


class Skinned(NamedTuple):
    """Points of every person in the camera's frame and, unposed, under betas and pose correctives; metres."""

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
    def levels(self) -> tuple[tuple[Int[Tensor, "level"], Int[Tensor, "level"]], ...]:
        """By depth below the root: (joints, index of their parents in the level above), to pose a depth at once."""
        levels, above = [], [0]
        while above:
            here = [j for j in range(NUM_JOINTS) if self.parents[j] in above]
            if here:
                ids = (here, [above.index(self.parents[j]) for j in here])
                levels.append(tuple(torch.tensor(i, device=self.joints.device) for i in ids))
            above = here
        return tuple(levels)

    @cached_property
    def order(self) -> Int[Tensor, "22"]:
        """Places of the joints 0..21 in the concatenated levels."""
        ids = torch.cat([torch.zeros(1, dtype=torch.long, device=self.joints.device), *(ids for ids, _ in self.levels)])
        return torch.argsort(ids)

    @cached_property
    def subtree(self) -> Float[Tensor, "22 22"]:
        """1 where column j is row b or one of its ancestors: sums over subtrees as a product."""
        matrix = torch.eye(NUM_JOINTS, dtype=self.joints.dtype, device=self.joints.device)
        for b in range(1, NUM_JOINTS):
            matrix[b] += matrix[self.parents[b]]
        return matrix

    def rest(self, betas: Float[Tensor, "*batch 11"]) -> Float[Tensor, "*batch 22 3"]:
        """Joint places of the unposed body, metres."""
        return self.joints + torch.einsum("jck,...k->...jc", self.joint_dirs, betas)

    def frames(self, pose: Pose) -> Frames:
        """Forward kinematics, one batched product per depth of the tree."""
        rest = self.rest(pose.betas)
        batch = pose.transl.shape[:-1]
        dirs = self.joint_dirs.expand(*batch, *self.joint_dirs.shape)
        eye = torch.eye(3, dtype=rest.dtype, device=rest.device).expand(*batch, 1, 3, 3)
        rotation = [pose.rotations[..., :1, :, :]]
        place = [rest[..., :1, :] + pose.transl[..., None, :]]
        place_dirs, parent_rotation = [dirs[..., :1, :, :]], [eye]
        for ids, above in self.levels:
            turn = rotation[-1][..., above, :, :]
            parents = [self.parents[j] for j in ids.tolist()]
            bone, bone_dirs = rest[..., ids, :] - rest[..., parents, :], dirs[..., ids, :, :] - dirs[..., parents, :, :]
            parent_rotation.append(turn)
            place.append(place[-1][..., above, :] + (turn @ bone[..., None])[..., 0])
            place_dirs.append(place_dirs[-1][..., above, :, :] + turn @ bone_dirs)
            rotation.append(turn @ pose.rotations[..., ids, :, :])
        return Frames(
            torch.cat(rotation, -3)[..., self.order, :, :],
            torch.cat(place, -2)[..., self.order, :],
            torch.cat(place_dirs, -3)[..., self.order, :, :],
            torch.cat(parent_rotation, -3)[..., self.order, :, :],
        )


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

        return replace(
            self, **{name: combine(getattr(self, name)) for name in ("rest", "dirs", "weights", "correctives")}
        )

    def shaped(self, pose: Pose) -> Float[Tensor, "*batch points 3"]:
        """Unposed places under the betas and the pose correctives."""
        return self.rest + torch.einsum("nck,...k->...nc", self._by_features, _features(pose))

    @cached_property
    def _by_features(self) -> Float[Tensor, "points 3 200"]:
        return torch.cat([self.dirs, self.correctives], -1)

    def posed(self, pose: Pose, frames: Frames) -> Skinned:
        """Linear blend skinning of all points."""
        shaped = self.shaped(pose)
        affine = torch.cat([frames.rotation.flatten(-2), _offset(self.skeleton, pose, frames)], -1)  # (*batch, 22, 12)
        blend = self.weights @ affine
        turn, shift = blend[..., :9].unflatten(-1, (3, 3)), blend[..., 9:]
        return Skinned((turn @ shaped[..., None])[..., 0] + shift, shaped)

    def jacobian(
        self,
        pose: Pose,
        frames: Frames,
        shaped: Float[Tensor, "*batch points 3"],
        index: Int[Tensor, "*batch rows support"],
        weight: Float[Tensor, "*batch rows support"],
    ) -> Float[Tensor, "*batch rows 3 80"]:
        """Derivative of weighted sums of the points by the 80 unknowns of their person.

        Args:
            pose, frames: (*batch). shaped: as `posed` gave it for them.
            index, weight: for every row the points it sums and their weights.
        """
        W, dirs = self.weights[index], self.dirs[index]  # (*batch, rows, support, ...)
        flat = index.flatten(-2)
        shaped = shaped.gather(-2, flat[..., None].expand(*flat.shape, 3)).unflatten(-2, index.shape[-2:])
        # Sums over the support of W_b x_b and of W_b, for each bone b.
        w = weight[..., None] * W
        lever = torch.einsum("...rkb,...rkc->...rbc", w, shaped)
        lever_dirs = torch.einsum("...rkb,...rkcm->...rbcm", w, dirs)
        return _columns(self.skeleton, pose, frames, lever, lever_dirs, w.sum(-2))

    def sums(self, index: Int[Tensor, "rows support"], weight: Float[Tensor, "rows support"]) -> "SkinnedSums":
        """Weighted sums of these points, wherever their support lies; exact."""
        w = weight[..., None] * self.weights[index]  # (rows, support, 22)
        lever, dirs, correctives = (
            torch.einsum("rkb,rk...->rb...", w, array[index]) for array in (self.rest, self.dirs, self.correctives)
        )
        return SkinnedSums(self.skeleton, lever, torch.cat([dirs, correctives], -1), w.sum(1))


class PosedSums(NamedTuple):
    """Sums of points in the camera's frame, and of their unposed places over each bone; metres."""

    points: Float[Tensor, "*batch rows 3"]
    lever: Float[Tensor, "*batch rows 22 3"]


@dataclass(frozen=True, eq=False)
class SkinnedSums:
    """Weighted sums of a body's points, such as keypoints, collapsed onto its bones: skinning is linear in the points.

    Attributes:
        lever: sums of weight x skinning weight x unposed place, for each bone, at betas = 0, metres.
        dirs: their derivative by the 11 betas and the 189 entries of R - I. mass: sums of weight x skinning weight.
    """

    skeleton: Skeleton
    lever: Float[Tensor, "rows 22 3"]
    dirs: Float[Tensor, "rows 22 3 200"]
    mass: Float[Tensor, "rows 22"]

    def posed(self, pose: Pose, frames: Frames) -> PosedSums:
        """The sums, and what `jacobian` needs of them."""
        lever = self.lever + torch.einsum("rbck,...k->...rbc", self.dirs, _features(pose))
        offset = _offset(self.skeleton, pose, frames)
        points = torch.einsum("...bdc,...rbc->...rd", frames.rotation, lever) + self.mass @ offset
        return PosedSums(points, lever)

    def jacobian(
        self, pose: Pose, frames: Frames, lever: Float[Tensor, "*batch rows 22 3"]
    ) -> Float[Tensor, "*batch rows 3 80"]:
        """Derivative of the sums by the 80 unknowns of their person; `lever` as `posed` gave it."""
        return _columns(self.skeleton, pose, frames, lever, self.dirs[..., :NUM_BETAS], self.mass)


def _features(pose: Pose) -> Float[Tensor, "*batch 200"]:
    """What unposed places are linear in: betas, and R - I of the joints after the root."""
    eye = torch.eye(3, dtype=pose.betas.dtype, device=pose.betas.device)
    return torch.cat([pose.betas, (pose.rotations[..., 1:, :, :] - eye).flatten(-3)], -1)


def _offset(skeleton: Skeleton, pose: Pose, frames: Frames) -> Float[Tensor, "*batch 22 3"]:
    """Where each bone's frame puts the origin of the unposed body."""
    return frames.place - (frames.rotation @ skeleton.rest(pose.betas)[..., None])[..., 0]


def _columns(
    skeleton: Skeleton,
    pose: Pose,
    frames: Frames,
    lever: Float[Tensor, "*batch rows 22 3"],
    lever_dirs: Float[Tensor, "*#batch rows 22 3 11"],
    mass: Float[Tensor, "*#batch rows 22"],
) -> Float[Tensor, "*batch rows 3 80"]:
    """Derivative of sums of skinned points by the 80 unknowns, from the sums over each bone."""
    offset = _offset(skeleton, pose, frames)
    offset_dirs = frames.place_dirs - frames.rotation @ skeleton.joint_dirs
    moment = torch.einsum("...bdc,...rbc->...rbd", frames.rotation, lever) + mass[..., None] * offset[..., None, :, :]
    moment = torch.einsum("...rbc,bj->...rjc", moment, skeleton.subtree)
    arm = moment - (mass @ skeleton.subtree)[..., None] * frames.place[..., None, :, :]
    # Column k of -[arm]x G is G_k x arm.
    turn = torch.linalg.cross(
        frames.parent_rotation.transpose(-1, -2)[..., None, :, :, :].expand(*arm.shape[:-1], 3, 3),
        arm[..., None, :].expand(*arm.shape[:-1], 3, 3),
    )  # (*batch, rows, 22, 3 [k], 3 [xyz])
    shape = torch.einsum("...bdc,...rbcm->...rdm", frames.rotation, lever_dirs)
    shape = shape + torch.einsum("...rb,...bdm->...rdm", mass, offset_dirs)
    eye = torch.eye(3, dtype=arm.dtype, device=arm.device)
    shift = (mass.sum(-1)[..., None, None] * eye).expand(*shape.shape[:-1], 3)
    return torch.cat([turn.flatten(-3, -2).transpose(-1, -2), shape, shift], -1)


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
