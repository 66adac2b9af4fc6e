"""The published fit, plainly: what the engine is measured against; for tests and benches only.

The objective of APU (section 3.3) with BUDDI's published settings, minimised as published: the full SMPL-X forward and
backward pass in every step, Adam on axis-angle parameters, two stages, dense winding numbers in the second. Written
from the formulas. Where the papers leave something open, this is what is taken here:

- A stage starts Adam anew and ends with its last state. The slope is that of the least-squares line through the last
  20 values of the whole loss, in units of the loss per step; the stage stops as soon as it is above -1e-4.
- Every term is a sum over people. L_J sums over keypoints the squared confidence times the squared distance e^2, made
  robust as in SMPLify, s^2 e^2 / (s^2 + e^2) with s = 100. L_init is over the 21 body joints' axis-angle numbers,
  L_beta over all 11 betas.
- The feet that stand in for an ankle that is not detected (ankle, toes and heel of that leg in the initial mesh,
  projected) count with the person's mean confidence.
- A contact's region is the union of the regions of its part. APU's soft contact, W times the smallest squared distance
  in centimetres, takes the place of BUDDI's region contact and its weight. BUDDI's own (the mean of the squared
  distances from each region's vertices to the nearest of the other's, both directions added, unweighted) is made for
  regions of a palm's size; pulling all of a hand to all of a back and back again, it presses people flat. It is there
  with weight 0, so that the published baseline is the stronger of the two (docs/reference.md compares them).
- Interpenetration is the sum over the inside vertices of the squared distance (metres) to the other's nearest vertex;
  inside means a winding number above one half about the proxy.
- The proxy is the outer skin decimated to about 1,000 vertices, each moved to the nearest vertex of the full mesh, so
  that it is posed with it. The camera, the hands and the face stay as they are.
- L_GMM counts where the user has a mixture beside the body; none may be shipped, so on the free body it is left out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import fast_simplification
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from apu.body.collide import Collider, other_person
from apu.body.model import BodyModel
from apu.fit.proxy import fit_body
from apu.fit.start import initial_pose
from apu.metrics import units_512, used_confidence
from apu.types import BODY_25, BodyParams, Contact, PairObservation

_FOOT = ("ankle", "big_toe", "small_toe", "heel")
_CM = 100.0
"""Contact distances are in centimetres."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Weights of one stage; the defaults are those that both stages share.

    Attributes:
        keypoints: on squared 512-units (the larger side of the person's box is 512).
        region_contact, soft_contact: on square centimetres. interpenetration: on square metres.
        initial_pose: on square radians. mixture: on negative log likelihoods. shape: on squared betas.
        shape_free: the betas are optimised.
    """

    keypoints: float
    region_contact: float = 0.0
    soft_contact: float = 10.0
    interpenetration: float
    initial_pose: float = 200.0
    mixture: float = 4.0
    shape: float
    shape_free: bool


@dataclass(frozen=True, kw_only=True)
class PublishedOptions:
    """The published schedule.

    Attributes:
        stages: weights. robust: 512-units; keypoints much further off than this lose their pull.
        learning_rate: of Adam. steps: most, per stage.
        window, slope: a stage stops when the loss's slope over this many steps is above this.
        proxy_vertices: of the mesh that winding numbers are asked of, about.
    """

    stages: tuple[Stage, ...] = (
        Stage(keypoints=0.04, interpenetration=0.0, shape=40.0, shape_free=True),
        Stage(keypoints=0.1, interpenetration=1000.0, shape=0.0, shape_free=False),
    )
    robust: float = 100.0
    learning_rate: float = 0.01
    steps: int = 1000
    window: int = 20
    slope: float = -1e-4
    proxy_vertices: int = 1000


class SlopeRule:
    """True once the least-squares slope of the last `window` values is above `slope`."""

    def __init__(self, window: int, slope: float):
        self._window, self._slope = window, slope
        self.values: list[float] = []

    def __call__(self, value: float) -> bool:
        """Whether to stop after this value."""
        self.values.append(value)
        last = np.array(self.values[-self._window :])
        time_ = np.arange(len(last)) - (len(last) - 1) / 2
        return len(last) == self._window and float(time_ @ last / (time_ @ time_)) > self._slope


def winding_numbers(
    points: Float[Tensor, "points 3"], triangles: Float[Tensor, "faces 3 3"], *, chunk: int = 128
) -> Float[Tensor, "points"]:
    """Signed solid angles of all triangles over 4 pi: 1 inside a closed outward mesh, 0 outside.

    With a, b, c from the point to a triangle's corners, its solid angle is (van Oosterom and Strackee, 1983)
    2 atan2(a . (b x c), |a||b||c| + (a . b)|c| + (b . c)|a| + (c . a)|b|).
    """
    numbers = []
    for some in points.split(chunk):
        a, b, c = (triangles - some[:, None, None]).unbind(2)
        la, lb, lc = a.norm(dim=-1), b.norm(dim=-1), c.norm(dim=-1)
        volume = (a * torch.linalg.cross(b, c)).sum(-1)
        cosine = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
        numbers.append(torch.atan2(volume, cosine).sum(-1) / (2 * torch.pi))
    return torch.cat(numbers)


@lru_cache(maxsize=4)
def coarse_skin(body: BodyModel, vertices: int) -> tuple[Int[np.ndarray, "proxy"], Int[np.ndarray, "faces 3"]]:
    """The outer skin decimated: ids of the full mesh's vertices that stand for it, and triangles of them."""
    rest = body.tensor("v_template").cpu().double().numpy()
    used, faces = np.unique(body.skin_faces, return_inverse=True)
    points, triangles = fast_simplification.simplify(  # pyright: ignore[reportAssignmentType] - two without a flag
        rest[used], faces.reshape(-1, 3).astype(np.int32), target_count=2 * vertices
    )
    nearest = np.asarray(KDTree(rest[used]).query(points)[1])
    ids, triangles = np.unique(nearest[triangles], return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    proper = (triangles != np.roll(triangles, 1, axis=1)).all(1)
    return used[ids], triangles[proper]


InsideTest = Callable[[Float[Tensor, "2 vertices 3"]], Bool[Tensor, "2 vertices"]]
"""Which vertices of each person lie inside the other's proxy."""


def dense_inside(body: BodyModel, options: PublishedOptions) -> InsideTest:
    """As published: the winding number of every vertex about every triangle of the other's proxy."""
    ids, faces = (torch.as_tensor(a, device=body.device) for a in coarse_skin(body, options.proxy_vertices))

    def inside(vertices: Float[Tensor, "2 vertices 3"]) -> Bool[Tensor, "2 vertices"]:
        triangles = vertices[:, ids][:, faces]
        return torch.stack([winding_numbers(vertices[p], triangles[1 - p]) > 0.5 for p in range(2)])

    return inside


def fast_inside(body: BodyModel, options: PublishedOptions) -> InsideTest:
    """The same test of the same proxy by a bounding volume hierarchy: the same answer in a small part of the time."""
    ids, faces = coarse_skin(body, options.proxy_vertices)
    index = torch.as_tensor(ids, device=body.device)
    collider = Collider(faces, len(ids), 2, body.device)

    def inside(vertices: Float[Tensor, "2 vertices 3"]) -> Bool[Tensor, "2 vertices"]:
        collider.update(vertices[:, index])
        return other_person(collider.query(other_person(vertices)).depth[..., None])[..., 0] > 0

    return inside


@dataclass(frozen=True, eq=False)
class Unknowns:
    """What the published fit optimises, for both people; axis-angle, metres."""

    global_orient: Float[Tensor, "2 3"]
    body_pose: Float[Tensor, "2 21 3"]
    betas: Float[Tensor, "2 11"]
    transl: Float[Tensor, "2 3"]

    @classmethod
    def of(cls, params: BodyParams, body: BodyModel) -> "Unknowns":
        """From parameters, on the body's device and in its precision."""
        return cls(*(torch.as_tensor(getattr(params, n), dtype=body.dtype, device=body.device) for n in _NAMES))

    def params(self) -> BodyParams:
        """As parameters, float32."""
        return BodyParams(**{name: getattr(self, name).detach().float().cpu().numpy() for name in _NAMES})


_NAMES = tuple(Unknowns.__dataclass_fields__)


class PublishedObjective:
    """The weighted terms of one pair.

    Args:
        observation: keypoints and camera. contacts: with their weights W. start: where the fit begins.
        inside: `dense_inside` or `fast_inside`. robust: of `PublishedOptions`.
    """

    def __init__(
        self, observation: PairObservation, contacts: Sequence[Contact], body: BodyModel, start: BodyParams,
        inside: InsideTest, *, robust: float,
    ):  # fmt: skip
        tensor = lambda a: torch.tensor(np.asarray(a), dtype=body.dtype, device=body.device)  # noqa: E731
        prepared = fit_body(body)
        self._body, self._inside, self._mixture, self._robust = body, inside, prepared.mixture, robust
        self._start = Unknowns.of(start, body)
        self._support = torch.as_tensor(body.keypoint_index[: len(BODY_25)], device=body.device)
        self._support_weight = tensor(body.keypoint_weight[: len(BODY_25)])
        confidence = used_confidence(observation)
        self._unit = tensor(units_512(observation, confidence))[:, None]
        self._focal, self._centre = tensor(np.diag(observation.camera.K)[:2]), tensor(observation.camera.K[:2, 2])
        with torch.no_grad():
            projected = self.projected(self.surface(self._start)).cpu().double().numpy()
        seen = np.nan_to_num(observation.keypoints[:, : len(BODY_25), :2].astype(float))
        for person, side in np.ndindex(2, 2):
            foot = [BODY_25.index(f"{('left', 'right')[side]}_{name}") for name in _FOOT]
            if confidence[person].any() and confidence[person, foot[0]] == 0:
                seen[person, foot] = projected[person, foot]
                confidence[person, foot] = confidence[person][confidence[person] > 0].mean()
        self._seen, self._confidence = tensor(seen), tensor(confidence)
        parts = [[prepared.regions.part_vertices(part) for part in contact.parts] for contact in contacts]
        self._parts = [tuple(torch.as_tensor(ids, device=body.device) for ids in pair) for pair in parts]
        self._contact_weight = [contact.weight for contact in contacts]

    def surface(self, unknowns: Unknowns) -> tuple[Float[Tensor, "2 vertices 3"], Float[Tensor, "2 joints 3"]]:
        """The full forward pass: vertices and joints, camera frame, metres."""
        zeros = torch.zeros_like(unknowns.transl)
        output = self._body.smplx(
            global_orient=unknowns.global_orient, body_pose=unknowns.body_pose.flatten(1), betas=unknowns.betas,
            transl=unknowns.transl, left_hand_pose=zeros.repeat(1, 15), right_hand_pose=zeros.repeat(1, 15),
            jaw_pose=zeros, leye_pose=zeros, reye_pose=zeros, expression=zeros.repeat(1, 4)[:, :10],
        )  # fmt: skip
        return output.vertices, output.joints[:, :55]

    def projected(
        self, surface: tuple[Float[Tensor, "2 vertices 3"], Float[Tensor, "2 joints 3"]]
    ) -> Float[Tensor, "2 25 2"]:
        """The body keypoints in the image, pixels."""
        support = torch.cat(surface, 1)[:, self._support]
        points = (self._support_weight[..., None] * support).sum(-2)
        return points[..., :2] / points[..., 2:] * self._focal + self._centre

    def terms(self, unknowns: Unknowns, stage: Stage) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of a stage; those of weight 0, and L_GMM without a mixture, are left out."""
        vertices, joints = self.surface(unknowns)
        offset = (self.projected((vertices, joints)) - self._seen) * self._unit[..., None]
        square = offset.square().sum(-1)
        square = self._robust**2 * square / (self._robust**2 + square)
        moved = unknowns.body_pose - self._start.body_pose
        terms = {
            "keypoints": stage.keypoints * (self._confidence.square() * square).sum(),
            "initial_pose": stage.initial_pose * moved.square().sum(),
        }
        if stage.shape:
            terms["shape"] = stage.shape * unknowns.betas.square().sum()
        if self._mixture is not None:
            m = self._mixture
            white = torch.einsum("pgd,gde->pge", unknowns.body_pose.flatten(1)[:, None] - m.means, m.roots)
            terms["mixture"] = stage.mixture * (0.5 * white.square().sum(-1) + m.penalties).amin(-1).sum()
        if self._parts:
            region, soft = self._contacts(vertices)
            if stage.region_contact:
                terms["region_contact"] = stage.region_contact * region
            terms["soft_contact"] = stage.soft_contact * soft
        if stage.interpenetration:
            terms["interpenetration"] = stage.interpenetration * self._interpenetration(vertices)
        return terms

    def _contacts(self, vertices: Float[Tensor, "2 vertices 3"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        region, soft = vertices.new_zeros(()), vertices.new_zeros(())
        for (first, second), weight in zip(self._parts, self._contact_weight, strict=True):
            a, b = vertices[0, first] * _CM, vertices[1, second] * _CM
            with torch.no_grad():
                distance = torch.cdist(a, b)
            to_b = (a - b[distance.argmin(1)]).square().sum(-1)
            to_a = (b - a[distance.argmin(0)]).square().sum(-1)
            region = region + to_b.mean() + to_a.mean()
            soft = soft + weight * to_b.amin()
        return region, soft

    def _interpenetration(self, vertices: Float[Tensor, "2 vertices 3"]) -> Float[Tensor, ""]:
        total = vertices.new_zeros(())
        with torch.no_grad():
            inside = self._inside(vertices)
        for p in range(2):
            points, other = vertices[p, inside[p]], vertices[1 - p]
            if len(points):
                with torch.no_grad():
                    nearest = torch.cdist(points, other).argmin(1)
                total = total + (points - other[nearest]).square().sum()
        return total


@dataclass(frozen=True, eq=False)
class StageRun:
    """One stage as it went.

    Attributes:
        unknowns: where it ended. losses: the whole loss before every step. seconds: of every step.
    """

    unknowns: Unknowns
    losses: list[float]
    seconds: list[float]


def run_stage(
    objective: PublishedObjective, start: Unknowns, stage: Stage, options: PublishedOptions, *, steps: int | None = None
) -> StageRun:
    """Adam until the slope rule or the last step; with `steps`, exactly so many and no rule (to measure them)."""
    free = {name: getattr(start, name).clone().requires_grad_(name != "betas" or stage.shape_free) for name in _NAMES}
    unknowns = Unknowns(**free)
    adam = torch.optim.Adam([x for x in free.values() if x.requires_grad], lr=options.learning_rate)
    rule, seconds = SlopeRule(options.window, options.slope), []
    for _ in range(steps or options.steps):
        began = time.perf_counter()
        adam.zero_grad()
        loss = torch.stack(list(objective.terms(unknowns, stage).values())).sum()
        loss.backward()
        adam.step()
        stop = rule(loss.item())  # also waits for a GPU
        seconds.append(time.perf_counter() - began)
        if stop and steps is None:
            break
    return StageRun(Unknowns(**{n: x.detach() for n, x in free.items()}), rule.values, seconds)


@dataclass(frozen=True, eq=False)
class PublishedFit:
    """Where the published fit ended: parameters, where it began, and its stages as they went."""

    params: BodyParams
    start: BodyParams
    stages: tuple[StageRun, ...]


def fit_published(
    observation: PairObservation,
    contacts: Sequence[Contact],
    body: BodyModel,
    *,
    dense: bool = True,
    options: PublishedOptions | None = None,
) -> PublishedFit:
    """Fit a pair as published, from the same start as the engine.

    Args:
        observation, contacts, body: as for `apu.fit.fit_pair`.
        dense: the published inside test; False: the same test by `fast_inside`.
        options: None for the published ones.

    Raises:
        FitError: a person has neither a mesh nor enough keypoints to place one.
    """
    options = options or PublishedOptions()
    start = initial_pose(observation, fit_body(body)).params()
    inside = (dense_inside if dense else fast_inside)(body, options)
    objective = PublishedObjective(observation, contacts, body, start, inside, robust=options.robust)
    unknowns, runs = Unknowns.of(start, body), []
    for stage in options.stages:
        runs.append(run_stage(objective, unknowns, stage, options))
        unknowns = runs[-1].unknowns
    return PublishedFit(unknowns.params(), start, tuple(runs))
