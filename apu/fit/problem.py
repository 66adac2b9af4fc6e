"""Pairs to be fitted as padded tensors: what the objective knows besides the unknowns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from apu.body.skinning import NUM_JOINTS, Pose, Skeleton, SkinnedPoints, joined
from apu.errors import FitError
from apu.fit.options import PART_SAMPLES, FitOptions
from apu.fit.proxy import FitBody
from apu.fit.relief import mirrored, mirrored_limbs, touching
from apu.metrics import units_512, used_confidence
from apu.types import BODY_25, NUM_BETAS, SMPL_JOINTS, BodyParams, Contact, PairObservation

_MOST_TILT = 0.6
"""Radians of lean along the viewing direction that may be a mistake; more is a person who bends or lies."""
_MOST_DOUBTED = 8
"""Contacts of a pair, the least sure ones, that a fit may go without: each is another start."""
_FURTHEST = 100.0
"""Metres that people may be away."""
_OF_TWO = {
    "global_orient": (2, 3), "body_pose": (2, 21, 3), "betas": (2, NUM_BETAS), "transl": (2, 3),
    "hand_pose": (2, 30, 3),
}  # fmt: skip
"""Shapes of two people's parameters."""
_JOINT = {name: i for i, name in enumerate(SMPL_JOINTS)}
_POINT = {name: i for i, name in enumerate(BODY_25)}
_ANKLES = [_POINT["left_ankle"], _POINT["right_ankle"]]


@dataclass(frozen=True, eq=False)
class Problem:
    """N pairs of P = 2 people; every field has the pair axis first.

    Attributes:
        start: where the fit begins; target: the pose L_init pulls to; pose_sigma: how much, radians per joint.
        observed, weight: BODY_25 in pixels and their confidences (0: not used); unit: 512-units per pixel.
        focal, centre: of the camera, pixels.
        part_index: samples of every contact's two parts, as ids of `samples`; who comes early in a part has a low one,
            so that the first few of all parts are the first samples.
        contact_weight: W, 0 for padding.
        touching: limbs that a contact names.
        stands: 1, or 0 for somebody whom the other person carries and not the floor.
        give_up: what it costs the objective to fit without a contact, infinite where that is not to be; given_up: what
            that and every other departure from what was stated or is usual has cost so far.
    """

    start: Pose
    target: Float[Tensor, "N P 22 3 3"]
    pose_sigma: Float[Tensor, "N P 22"]
    observed: Float[Tensor, "N P 25 2"]
    weight: Float[Tensor, "N P 25"]
    unit: Float[Tensor, "N P"]
    focal: Float[Tensor, "N 2"]
    centre: Float[Tensor, "N 2"]
    part_index: Int[Tensor, "N P C S"]
    contact_weight: Float[Tensor, "N C"]
    touching: Bool[Tensor, "N P limbs"]
    stands: Float[Tensor, "N P"]
    give_up: Float[Tensor, "N C"]
    given_up: Float[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.unit)

    def __getitem__(self, index: Tensor | slice) -> "Problem":
        """The chosen pairs."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def joined(self, other: "Problem") -> "Problem":
        """These pairs and then those."""
        both = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return replace(
            self, **{name: joined(a, b) if isinstance(a, Pose) else torch.cat([a, b]) for name, a, b in both}
        )

    def each_without_one(self) -> tuple["Problem", Int[Tensor, "M"]]:
        """Every pair without one of the contacts that may be given up, and which of these pairs each of the M is.

        The last one stays: people are a pair because they touch.
        """
        given = self.contact_weight > 0
        several = given.sum(-1, keepdim=True) > 1
        pairs, contact = (torch.isfinite(self.give_up) & given & several).nonzero(as_tuple=True)
        some, at = self[pairs], torch.arange(len(pairs), device=pairs.device)
        weight = some.contact_weight.index_put((at, contact), some.contact_weight.new_zeros(()))
        return replace(some, contact_weight=weight, given_up=some.given_up + some.give_up[at, contact]), pairs

    def each_carried(self, price: float) -> tuple["Problem", Int[Tensor, "M"]]:
        """Every pair with one of its people carried by the other, and which of these pairs each of the M is.

        Who is carried touches who carries, and the floor says where two people are only while the feet of both are
        seen.
        """
        floor = (self.weight[..., _ANKLES] > 0).any(-1).all(-1) & (self.stands > 0).all(-1)
        held = (self.contact_weight > 0).any(-1)
        pairs, person = (floor & held)[:, None].expand_as(self.stands).nonzero(as_tuple=True)
        some, at = self[pairs], torch.arange(len(pairs), device=pairs.device)
        stands = some.stands.index_put((at, person), some.stands.new_zeros(()))
        return replace(some, stands=stands, given_up=some.given_up + price), pairs

    def each_put_down(self, price: float) -> tuple["Problem", Int[Tensor, "M"]]:
        """Every pair of whom one is carried with both on the floor again, and which of these pairs each of the M is."""
        pairs = (self.stands == 0).any(-1).nonzero()[:, 0]
        some = self[pairs]
        return replace(some, stands=torch.ones_like(some.stands), given_up=some.given_up - price), pairs

    def mirrored(self, which: Bool[Tensor, "N P 8"], skeleton: Skeleton, price: float) -> "Problem":
        """With some bones of L_init mirrored in depth; each limb that no contact names has its price.

        Args:
            which: see `apu.fit.relief.mirrored`.
        """
        target = mirrored(replace(self.start, rotations=self.target), which, skeleton).rotations
        paid = (mirrored_limbs(which) & ~self.touching).sum((-1, -2))
        return replace(self, target=target, given_up=self.given_up + price * paid)


def check_observation(observation: PairObservation, options: FitOptions) -> None:
    """See that there is something to fit to, and a camera that sees it.

    Raises:
        FitError: neither person has a usable keypoint, the camera's matrix says nothing, or a mesh is out of its sight.
    """
    if not used_confidence(observation, min_confidence=options.min_confidence, border=options.border).any():
        raise FitError(
            f"{observation.image}: no keypoint of either person is sure enough to fit to; check the detector's file"
        )
    K = observation.camera.K
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise FitError(
            f"{observation.image}: the camera's matrix must be finite and its focal lengths positive, "
            f"got {K.tolist()}; check the camera"
        )
    for person in np.flatnonzero(observation.estimate.valid):
        depth = float(observation.estimate.joints[person, 0, 2])
        if not 0 < depth < _FURTHEST:
            raise FitError(
                f"{observation.image}: person {'AB'[person]}'s initial mesh must be in front of the camera and nearer "
                f"than {_FURTHEST:.0f} m, got a depth of {depth:.1f} m; check the mesh, or fit without it"
            )


def check_earlier(params: BodyParams, observation: PairObservation) -> None:
    """See that a fit to go on from is of two people who are in front of the camera.

    Raises:
        FitError: it is not, and what is wrong with it.
    """
    shapes = {name: array.shape for name, array in params.arrays().items()}
    if shapes != _OF_TWO:
        wrong = ", ".join(f"{name} of {shape}" for name, shape in shapes.items() if shape != _OF_TWO[name])
        trouble = f"have the parameters of two people, got {wrong}"
    elif not params.finite:
        trouble = "be finite"
    elif not (np.abs(params.transl) < _FURTHEST).all() or not (params.transl[:, 2] > 0).all():
        places = " and ".join(f"({x:.3g}, {y:.3g}, {z:.3g})" for x, y, z in params.transl)
        trouble = f"have both people in front of the camera and nearer than {_FURTHEST:.0f} m, got {places} m"
    else:
        return
    raise FitError(f"{observation.image}: the fit to go on from must {trouble}; fit afresh")


def build_problem(
    observations: Sequence[PairObservation],
    contacts: Sequence[Sequence[Contact]],
    starts: Sequence[Pose],
    body: FitBody,
    options: FitOptions,
) -> tuple[Problem, SkinnedPoints, Float[Tensor, "samples 3"]]:
    """Tensors of a batch, with the contact samples as skinned points and their normals at rest."""
    surface = body.surface
    tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=surface.rest.dtype, device=surface.rest.device)  # noqa: E731
    confidence = np.stack(
        [used_confidence(o, min_confidence=options.min_confidence, border=options.border) for o in observations]
    )
    units = np.stack([units_512(o, c) for o, c in zip(observations, confidence, strict=True)])
    sigma = np.stack([_pose_sigma(row, options) for row in confidence])
    start = Pose(*(torch.stack([getattr(s, name) for s in starts]) for name in ("rotations", "betas", "transl")))
    target = start.rotations.clone()
    hidden = torch.as_tensor(_hidden_legs(confidence), device=target.device)
    target[hidden] = torch.eye(3, dtype=target.dtype, device=target.device)
    cut_off = hidden[..., [_JOINT["left_knee"], _JOINT["right_knee"]]].all(-1)
    target[..., 0, :, :][cut_off] = without_depth_tilt(target[..., 0, :, :][cut_off])
    sigma[hidden.cpu().numpy()] = options.hidden_leg_sigma
    cameras = [o.camera for o in observations]
    index, weight, give_up = _contact_samples(contacts, body, options)
    used, part_index = _numbered(index)
    device = surface.rest.device
    problem = Problem(
        start=start,
        target=target,
        pose_sigma=tensor(sigma),
        observed=tensor(
            [
                np.where(c[..., None] > 0, o.keypoints[:, : len(BODY_25), :2], 0)
                for o, c in zip(observations, confidence, strict=True)
            ]
        ),
        weight=tensor(confidence),
        unit=tensor(units),
        focal=tensor([[c.K[0, 0], c.K[1, 1]] for c in cameras]),
        centre=tensor([c.K[:2, 2] for c in cameras]),
        part_index=torch.as_tensor(part_index, device=device),
        contact_weight=tensor(weight),
        touching=torch.as_tensor(np.stack([touching(row) for row in contacts]), device=device),
        stands=tensor(np.ones((len(contacts), 2))),
        give_up=tensor(give_up),
        given_up=tensor(np.zeros(len(contacts))),
    )
    samples = surface.take(used[:, None], np.ones((len(used), 1)))
    return problem, samples, body.normals[torch.as_tensor(used, device=device)]


def without_depth_tilt(orient: Float[Tensor, "people 3 3"]) -> Float[Tensor, "people 3 3"]:
    """Root orientations turned about the image's horizontal until the body leans neither to the camera nor away.

    Of people cut off above the knees a regressor guesses the lean along the viewing direction, and often wrong (in
    one photograph by 20 degrees); people stand or sit, so their trunk is more likely upright. What they lean sideways
    is seen in the image and stays. Who leans by more than `_MOST_TILT` bends or lies, and is left alone.
    """
    up = orient[:, :, 1]
    # Upright is -y in the image; the angle of `up` in the plane of y and z.
    angle = torch.atan2(up[:, 2], -up[:, 1])
    angle = torch.where(angle.abs() < _MOST_TILT, angle, torch.zeros_like(angle))
    about_x = torch.zeros_like(up)
    about_x[:, 0] = angle
    return roma.rotvec_to_rotmat(about_x) @ orient


def _contact_samples(
    contacts: Sequence[Sequence[Contact]], body: FitBody, options: FitOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    most = max((len(c) for c in contacts), default=0)
    index = np.zeros((len(contacts), 2, most, PART_SAMPLES), np.int64)
    weight, give_up = np.zeros((len(contacts), most)), np.full((len(contacts), most), np.inf)
    for n, row in enumerate(contacts):
        for c, contact in enumerate(row):
            index[n, :, c] = [body.samples(part) for part in contact.parts]
            weight[n, c] = contact.weight
            if contact.source != "curator":
                give_up[n, c] = options.doubt * contact.weight
    np.put_along_axis(give_up, np.argsort(give_up, axis=1)[:, _MOST_DOUBTED:], np.inf, axis=1)
    return index, weight, give_up


def _numbered(index: Int[np.ndarray, "N P C S"]) -> tuple[Int[np.ndarray, "samples"], Int[np.ndarray, "N P C S"]]:
    """The different entries, those that come earlier along the last axis first, and the place of every entry there."""
    by_rank = np.moveaxis(index, -1, 0)
    used, first, place = np.unique(by_rank, return_index=True, return_inverse=True)
    order = first.argsort()
    return used[order], np.ascontiguousarray(np.moveaxis(order.argsort()[place].reshape(by_rank.shape), 0, -1))


def _pose_sigma(confidence: np.ndarray, options: FitOptions) -> Float[np.ndarray, "P 22"]:
    """How far the start may be wrong, joint by joint: a limb that nobody saw was guessed."""
    sigma = np.full((len(confidence), NUM_JOINTS), options.other_sigma)
    sigma[:, _JOINT["pelvis"]] = options.orient_sigma
    sigma[:, [_JOINT[name] for name in ("spine1", "spine2", "spine3")]] = options.spine_sigma
    for side in ("left", "right"):
        for joint, told_by, seen, unseen in (
            ("shoulder", "elbow", options.arm_sigma, options.hidden_arm_sigma),
            ("elbow", "wrist", options.arm_sigma, options.hidden_arm_sigma),
            ("hip", "knee", options.leg_sigma, options.leg_sigma),
            ("knee", "ankle", options.leg_sigma, options.leg_sigma),
        ):
            told = confidence[:, _POINT[f"{side}_{told_by}"]] > 0
            sigma[:, _JOINT[f"{side}_{joint}"]] = np.where(told, seen, unseen)
    return sigma


def _hidden_legs(confidence: Float[np.ndarray, "N P 25"]) -> np.ndarray:
    """Hips, knees and ankles of legs whose knee is not seen."""
    hidden = np.zeros((*confidence.shape[:2], NUM_JOINTS), bool)
    for side in ("left", "right"):
        unseen = confidence[..., _POINT[f"{side}_knee"]] == 0
        for joint in ("hip", "knee", "ankle"):
            hidden[..., _JOINT[f"{side}_{joint}"]] = unseen
    return hidden
