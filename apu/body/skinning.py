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
from apu.body.rotation import cross_matrix
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """Where the joints are, per person.

    Attributes:
        place: camera frame, metres. place_dirs: its derivative by betas.
        bones: homogeneous matrices that carry points of the unposed body along with each joint's bone.
        origin_dirs: derivative by betas of where they carry its origin.
        parent_rotation: the parent's global rotation (identity for the root).
    """

    place: Float[Tensor, "*batch 22 3"]
    place_dirs: Float[Tensor, "*batch 22 3 11"]
    bones: Float[Tensor, "*batch 22 4 4"]
    origin_dirs: Float[Tensor, "*batch 22 3 11"]
    parent_rotation: Float[Tensor, "*batch 22 3 3"]

    @property
    def rotation(self) -> Float[Tensor, "*batch 22 3 3"]:
        """Of the joints, global."""
        return self.bones[..., :3, :3]

    @cached_property
    def turning(self) -> Float[Tensor, "*batch 22 4 9"]:
        """-[S - s p]x G of every joint (3 x 3, flattened) as a matrix that S and s, in a row, are multiplied with."""
        # Column k of -[arm]x G is G_k x arm.
        turn = cross_matrix(self.parent_rotation.transpose(-1, -2)).movedim(-1, -3).transpose(-1, -2).flatten(-2)
        return torch.cat([turn, -self.place[..., None, :] @ turn], -2)


class Skinned(NamedTuple):
    """Points of every person in the camera's frame, metres.

    Attributes:
        points: their places. shaped: those of the unposed body, under betas and pose correctives.
        turn: what skinning multiplies the latter with, the mean of the bones' rotations.
    """

    points: Float[Tensor, "*batch points 3"]
    shaped: Float[Tensor, "*batch points 3"]
    turn: Float[Tensor, "*batch points 3 3"]


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
    def ancestors(self) -> Int[Tensor, "rounds 23"]:
        """Every joint's parent, its second, fourth, ... ancestor; 22 is what is above the root, and above itself."""
        rounds = [torch.tensor([*self.parents, -1], device=self.joints.device) % (NUM_JOINTS + 1)]
        while (rounds[-1] < NUM_JOINTS).any():
            rounds.append(rounds[-1][rounds[-1]])
        return torch.stack(rounds[:-1])

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
        """Forward kinematics: every frame is composed with its parent's, then its second, fourth ... ancestor's.

        Places are followed by their derivatives by betas, which turn with them: (3, 1 + 11) per joint.
        """
        dirs = self.joint_dirs.expand(*pose.transl.shape[:-1], *self.joint_dirs.shape)
        rest = torch.nn.functional.pad(torch.cat([self.rest(pose.betas)[..., None], dirs], -1), (0, 0, 0, 0, 0, 1))
        parents = self.ancestors[0]
        bone = rest - rest[..., parents, :, :]
        bone[..., 0, :, 0] += pose.transl
        still = torch.eye(3, dtype=rest.dtype, device=rest.device).expand_as(pose.rotations[..., :1, :, :])
        frame = torch.cat([torch.cat([pose.rotations, still], -3), bone], -1)
        for above in self.ancestors:
            onto = frame[..., above, :, :]
            frame = onto[..., :3] @ frame
            frame[..., 3:] += onto[..., 3:]
        rotation, place = frame.split((3, 1 + NUM_BETAS), -1)
        origin = place - rotation @ rest
        last = torch.eye(4, dtype=rest.dtype, device=rest.device)[3:].expand(*rest.shape[:-2], 1, 4)
        joints = slice(NUM_JOINTS)
        return Frames(
            place=place[..., joints, :, 0],
            place_dirs=place[..., joints, :, 1:],
            bones=torch.cat([torch.cat([rotation, origin[..., :1]], -1), last], -2)[..., joints, :, :],
            origin_dirs=origin[..., joints, :, 1:],
            parent_rotation=rotation[..., parents[joints], :, :],
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

    def prepare(self) -> None:
        """Make now what is made once: tensors first made in inference mode can have no part in autograd."""
        _ = self._flat, self.skeleton.ancestors, self.skeleton.subtree

    def shaped(self, pose: Pose) -> Float[Tensor, "*batch points 3"]:
        """Unposed places under the betas and the pose correctives."""
        dirs, moved, correctives = self._flat
        betas, turned = pose.betas.reshape(-1, NUM_BETAS), _turned(pose)
        places = self.rest.flatten() + betas @ dirs
        places = places.index_add(-1, moved, turned.reshape(-1, turned.shape[-1]) @ correctives)
        return places.view(*pose.betas.shape[:-1], -1, 3)

    @cached_property
    def _flat(self) -> tuple[Float[Tensor, "11 coordinates"], Int[Tensor, "moved"], Float[Tensor, "189 moved"]]:
        """By the points' x, y, z in a row: `dirs`, the places that pose correctives move, and those correctives.

        A product with them, so laid out, takes half the time; correctives move a quarter of the free body.
        """
        correctives = self.correctives.flatten(0, 1)
        moved = correctives.any(1).nonzero()[:, 0]
        return self.dirs.flatten(0, 1).T.contiguous(), moved, correctives[moved].T.contiguous()

    def posed(self, pose: Pose, frames: Frames) -> Skinned:
        """Linear blend skinning of all points."""
        shaped = self.shaped(pose)
        blend = (self.weights @ frames.bones[..., :3, :].flatten(-2)).unflatten(-1, (3, 4))
        turn = blend[..., :3]
        return Skinned((turn @ shaped[..., None])[..., 0] + blend[..., 3], shaped, turn)

    def jacobian(
        self,
        frames: Frames,
        skinned: Skinned,
        index: Int[Tensor, "*batch rows support"],
        weight: Float[Tensor, "*batch rows support"],
        *,
        shape: bool = True,
    ) -> Float[Tensor, "*batch rows 3 80"]:
        """Derivative of weighted sums of the points by the 80 unknowns of their person.

        Args:
            frames, skinned: as `posed` took and gave them.
            index, weight: for every row the points it sums and their weights.
            shape: False leaves out the derivative by betas.
        """
        flat, support = index.flatten(-2), index.shape[-2:]
        shaped = torch.take_along_dim(skinned.shaped, flat[..., None], -2).unflatten(-2, support)
        shares = weight[..., None] * self.weights[index]  # (*batch, rows, support, 22)
        lever = shares.transpose(-1, -2) @ torch.nn.functional.pad(shaped, (0, 1), value=1.0)
        if not shape:
            return _columns(self.skeleton, frames, lever, None)
        turn = torch.take_along_dim(skinned.turn, flat[..., None, None], -3).unflatten(-3, support)
        turn = (weight[..., None, None] * turn).transpose(-3, -2).flatten(-2)  # (*batch, rows, 3, support 3)
        return _columns(self.skeleton, frames, lever, turn @ self.dirs[index].flatten(-3, -2))

    def sums(self, index: Int[Tensor, "rows support"], weight: Float[Tensor, "rows support"]) -> "SkinnedSums":
        """Weighted sums of these points, wherever their support lies; exact."""
        w = weight[..., None] * self.weights[index]  # (rows, support, 22)
        lever, dirs, correctives = (
            torch.einsum("rkb,rk...->rb...", w, array[index]) for array in (self.rest, self.dirs, self.correctives)
        )
        lever = torch.cat([lever, w.sum(1)[..., None]], -1)
        return SkinnedSums(self.skeleton, lever, torch.cat([dirs, correctives], -1))


class PosedSums(NamedTuple):
    """Sums of points in the camera's frame, and of their unposed places over each bone, homogeneous; metres."""

    points: Float[Tensor, "*batch rows 3"]
    lever: Float[Tensor, "*batch rows 22 4"]


@dataclass(frozen=True, eq=False)
class SkinnedSums:
    """Weighted sums of a body's points, such as keypoints, collapsed onto its bones: skinning is linear in the points.

    Attributes:
        lever: sums of weight x skinning weight x unposed place, for each bone, at betas = 0, metres; their fourth
            entry sums the weights alone.
        dirs: derivative of the places by the 11 betas and the 189 entries of R - I.
    """

    skeleton: Skeleton
    lever: Float[Tensor, "rows 22 4"]
    dirs: Float[Tensor, "rows 22 3 200"]

    def posed(self, pose: Pose, frames: Frames) -> PosedSums:
        """The sums, and what `jacobian` needs of them."""
        moved = torch.einsum("rbck,...k->...rbc", self.dirs, torch.cat([pose.betas, _turned(pose)], -1))
        lever = self.lever + torch.nn.functional.pad(moved, (0, 1))
        return PosedSums(torch.einsum("...bdc,...rbc->...rd", frames.bones[..., :3, :], lever), lever)

    def jacobian(
        self, frames: Frames, lever: Float[Tensor, "*batch rows 22 4"], *, shape: bool = True
    ) -> Float[Tensor, "*batch rows 3 80"]:
        """Derivative of the sums by the 80 unknowns of their person; `lever` as `posed` gave it."""
        dirs = torch.einsum("...bdc,rbcm->...rdm", frames.rotation, self.dirs[..., :NUM_BETAS]) if shape else None
        return _columns(self.skeleton, frames, lever, dirs)


def _turned(pose: Pose) -> Float[Tensor, "*batch 189"]:
    """What pose correctives are linear in: R - I of the joints after the root."""
    eye = torch.eye(3, dtype=pose.betas.dtype, device=pose.betas.device)
    return (pose.rotations[..., 1:, :, :] - eye).flatten(-3)


def _columns(
    skeleton: Skeleton,
    frames: Frames,
    lever: Float[Tensor, "*batch rows 22 4"],
    dirs: Float[Tensor, "*batch rows 3 11"] | None,
) -> Float[Tensor, "*batch rows 3 80"]:
    """Derivative of sums of skinned points by the 80 unknowns.

    Args:
        lever: sums over each bone of W_b x unposed place, and of W_b. dirs: derivative of the sums by betas where the
            joints stay; None leaves betas out.
    """
    moment = lever.transpose(-3, -2) @ frames.bones.transpose(-1, -2)  # (*batch, 22, rows, 4), homogeneous
    beneath = (skeleton.subtree.T @ moment.flatten(-2)).unflatten(-1, (-1, 4))
    turn = (beneath @ frames.turning).unflatten(-1, (3, 3))  # (*batch, 22, rows, 3, 3)
    columns = lever.new_zeros(*lever.shape[:-2], 3, NUM_PARAMS)
    columns[..., ROTATIONS].unflatten(-1, (NUM_JOINTS, 3)).copy_(turn.movedim(-4, -2))
    mass = lever[..., 3]
    if dirs is not None:
        columns[..., BETAS] = dirs + torch.einsum("...rb,...bdm->...rdm", mass, frames.origin_dirs)
    columns[..., TRANSL].diagonal(dim1=-2, dim2=-1).copy_(mass.sum(-1, keepdim=True))
    return columns


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
