"""The terms of the objective as pure functions: residuals and their derivative by the points they rest on.

Every term is half a sum of (robust) squares, so that Levenberg-Marquardt can use it. A term returns its value per pair
and residual rows r with slopes dr/dx, scaled such that the gradient of the value is sum_i r_i dr_i/dx; where the
term is robust or soft, the rows are the reweighted ones (their weights held, as in iterated reweighted least squares).
Axes: N pairs, P = 2 people.
"""

import math
from typing import NamedTuple

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from apu.fit.options import Stance


class Term(NamedTuple):
    """A term's value per pair, its residual rows and their slopes by a point (or by a rotation vector)."""

    value: Float[Tensor, "pairs"]
    residual: Float[Tensor, "pairs *rows"]
    slope: Float[Tensor, "pairs *rows 3"]


class ContactTerm(NamedTuple):
    """The contact term and the pairs of samples that stand for each contact's soft minimum."""

    term: Term
    index: Int[Tensor, "pairs contacts best 2"]


class GroundTerm(NamedTuple):
    """The ground term's two values per pair, and its rows with the floor where it is best.

    Attributes:
        floor: of the soles, with what the floor's tilts cost. balance: of the centres of mass.
        residual, slope: rows and their derivative, the floor held, by each person's soles and last the centre of mass.
        columns: their derivative by the floor's height and two tilts, negated.
    """

    floor: Float[Tensor, "N"]
    balance: Float[Tensor, "N"]
    residual: Float[Tensor, "N R"]
    slope: Float[Tensor, "N R P K+1 3"]
    columns: Float[Tensor, "N R 3"]

    def with_floor(self, rows: Float[Tensor, "N R unknowns"]) -> Float[Tensor, "N R unknowns"]:
        """The Jacobian of a floor that follows, from that of a floor held (variable projection; Kaufman, 1975)."""
        return rows - self.columns @ _least_squares(self.columns, rows)


def reprojection(
    points: Float[Tensor, "N P K 3"],
    observed: Float[Tensor, "N P K 2"],
    weight: Float[Tensor, "N P K"],
    focal: Float[Tensor, "N 2"],
    centre: Float[Tensor, "N 2"],
    *,
    unit: Float[Tensor, "N P"],
    sigma: float,
    scale: float,
) -> Term:
    """L_J: confidence-weighted distance of projected keypoints to detected ones, Geman-McClure (SMPLify-X, eq. 5).

    With e the distance in 512-units and c the scale, a keypoint costs w^2 / (2 sigma^2) * c^2 e^2 / (c^2 + e^2).

    Args:
        points: camera frame, metres. observed: pixels. weight: confidences; 0 drops a keypoint.
        focal, centre: of the camera, pixels. unit: 512-units per pixel of each person.
        sigma, scale: 512-units.
    """
    # A point that a step threw behind the camera must still have a finite value, so that the step is refused.
    z = points[..., 2:].clamp_min(0.05)
    offset = (points[..., :2] / z * focal[:, None, None] + centre[:, None, None] - observed) * unit[..., None, None]
    square = offset.square().sum(-1)
    robust = scale**2 / (scale**2 + square)
    value = 0.5 * (weight.square() * robust * square).sum((-1, -2)) / sigma**2
    factor = (weight * robust / sigma)[..., None]
    # d(f X / z) = f / z (dX - X / z dz), for each of the two image axes.
    ray = points[..., :2] / z
    direction = torch.eye(2, 3, dtype=points.dtype, device=points.device) - ray[..., None] * points.new_tensor(
        [0, 0, 1.0]
    )
    slope = (factor * unit[..., None, None] * focal[:, None, None] / z)[..., None] * direction
    return Term(value, factor * offset, slope)


def contact(
    points: Float[Tensor, "N P C S 3"],
    normals: Float[Tensor, "N P C S 3"],
    weight: Float[Tensor, "N C"],
    *,
    temperature: float,
    sigma: float,
    best: int,
    normal_bonus: float,
) -> ContactTerm:
    """L_C = sum_ij W_ij C_ij min |v - u|^2 over the samples v, u of two parts (APU, eq. 1), the minimum softened.

    Over the `best` closest pairs of samples k, with D_k = |v - u|^2 + bonus^2 (1 + n_v . n_u) and temperature t, the
    minimum is -t^2 log(mean_k exp(-D_k / t^2)); skin that faces the other skin is preferred.

    Args:
        points: samples of both parts of every contact, metres. normals: outward, unit. weight: W; 0: no contact.
        temperature, sigma, normal_bonus: metres.

    Returns:
        Rows (N, C, best, 3) = sqrt(W p_k) (v - u) / sigma with p the soft choice; slopes (N, C, best, 3, 3) are by v
        and, negated, by u.
    """
    # The exact form: the faster one errs by millimetres a few metres from the origin.
    exact_form = "donot_use_mm_for_euclid_dist"
    difference_square = torch.cdist(points[:, 0], points[:, 1], compute_mode=exact_form).square()
    facing = normals[:, 0] @ normals[:, 1].transpose(-1, -2)
    distance = difference_square + normal_bonus**2 * (1 + facing)
    samples = distance.shape[-1]
    flat = distance.flatten(-2).topk(min(best, samples * samples), largest=False).indices
    index = torch.stack([flat // samples, flat % samples], -1)
    v, u = (points[:, p].gather(2, index[..., p, None].expand(*index.shape[:-1], 3)) for p in (0, 1))
    facing_best = facing.flatten(-2).gather(-1, flat)
    exact = (v - u).square().sum(-1) + normal_bonus**2 * (1 + facing_best)
    t2 = temperature**2
    soft = -t2 * (torch.logsumexp(-exact / t2, -1) - math.log(flat.shape[-1]))
    value = 0.5 * (weight * soft).sum(-1) / sigma**2
    choice = torch.softmax(-exact.detach() / t2, -1)
    factor = (weight[..., None] * choice).sqrt()[..., None] / sigma
    eye = torch.eye(3, dtype=points.dtype, device=points.device)
    return ContactTerm(Term(value, factor * (v - u), factor[..., None] * eye), index)


def penetration(
    depth: Float[Tensor, "N M"],
    outward: Float[Tensor, "N M 3"],
    area: Float[Tensor, "N M"],
    *,
    sigma: float,
    margin: float,
    weight: float,
) -> Term:
    """L_P: half of weight * sum of area (depth + margin)^2 / sigma^2 over vertices deeper than -margin.

    Args:
        depth: of one body's vertices in the other, metres, positive inside. outward: unit direction of the way out.
        area: of each vertex over the mean vertex's. sigma, margin: metres.

    Returns:
        Slopes by the vertex; the surface's nearest point has the negated ones (point to plane).
    """
    factor = (weight * area).sqrt() / sigma
    excess = (depth + margin).clamp_min(0)
    residual = factor * excess
    value = 0.5 * residual.square().sum(-1)
    return Term(value, residual, -(factor * (excess > 0))[..., None] * outward)


_FLOOR_ROUNDS = 4
"""Of reweighting, after which the floor lies where it is best."""


def ground(
    soles: Float[Tensor, "N P K 3"], mass: Float[Tensor, "N P 3"], weight: Float[Tensor, "N P K"], stance: Stance
) -> GroundTerm:
    """People stand on one floor, upright: on the plane y = h + a x + b z that fits them best, no unknown of the fit.

    A sole e above or below it costs w^2 / (2 sigma^2) c^2 e^2 / (c^2 + e^2) (Geman-McClure: a raised foot is let go),
    the tilts a^2 / (2 sigma_a^2) + b^2 / (2 sigma_b^2), for cameras are seldom level. A centre of mass at d from the
    floor's normal through the feet that carry it costs s / (2 sigma_d^2) c_d^2 d^2 / (c_d^2 + d^2), with s how surely
    its person stands.

    Args:
        soles: points under the feet. mass: centres of mass; camera frame, metres. weight: 0 for a foot nobody saw.
    """
    seen = (weight > 0).to(weight.dtype)
    # The floor is looked for about the feet, where its height and its tilts hardly depend on each other.
    middle = (seen[..., None] * soles).sum((1, 2)) / seen.sum((1, 2)).clamp_min(1)[:, None]
    soles, mass = (points - middle.detach()[:, None] for points in (soles.flatten(1, 2), mass))
    soles = soles.unflatten(1, weight.shape[1:])
    lowest = torch.where(weight > 0, soles[..., 1].detach(), -torch.inf).amax((1, 2))
    plane = torch.nn.functional.pad(lowest.nan_to_num(neginf=0)[:, None], (0, 2))
    for _ in range(_FLOOR_ROUNDS):
        term = _on_floor(soles, mass, weight, plane, stance)
        plane = plane + _least_squares(term.columns, term.residual[..., None])[..., 0].detach()
    return _on_floor(soles, mass, weight, plane, stance)


def _on_floor(soles: Tensor, mass: Tensor, weight: Tensor, plane: Float[Tensor, "N 3"], stance: Stance) -> GroundTerm:
    """The ground term with a given floor: h, a, b."""
    pairs, people, points = weight.shape
    x, y, z = soles.unbind(-1)
    height, a, b = (value[:, None, None] for value in plane.unbind(-1))
    off = y - height - a * x - b * z
    hold = stance.floor_scale**2 / (stance.floor_scale**2 + off.square())
    # Which feet carry, and whether: held, like the weights of reweighted least squares. A foot that nobody saw may.
    carries = ((weight > 0).any(-1, keepdim=True) * hold.square()).detach()
    share = carries / carries.sum(-1, keepdim=True).clamp_min(1e-9)
    above = mass - (share[..., None] * soles).sum(2)
    upward = torch.eye(3, dtype=y.dtype, device=y.device)[[0, 2]] + plane[:, 1:, None] * y.new_tensor([0, 1, 0])
    across = (upward[:, None] @ above[..., None])[..., 0]  # (N, P, 2), along x and z
    near = stance.balance_scale**2 / (stance.balance_scale**2 + across.square().sum(-1))
    stands = carries.amax(-1)
    tilt = plane[:, 1:] / y.new_tensor(stance.tilt_sigma)

    of_sole = weight * hold / stance.floor_sigma
    of_person = stands.sqrt() * near / stance.balance_sigma
    own = torch.eye(people, dtype=y.dtype, device=y.device)
    each = torch.eye(points, points + 1, dtype=y.dtype, device=y.device)
    normal = torch.stack([-plane[:, 1], torch.ones_like(plane[:, 1]), -plane[:, 2]], -1)
    lever = torch.nn.functional.pad(-share, (0, 1), value=1.0)
    of_tilt = torch.diag(1 / y.new_tensor(stance.tilt_sigma)).expand(pairs, 2, 2)
    return GroundTerm(
        floor=0.5 * (weight.square() * hold * off.square()).sum((1, 2)) / stance.floor_sigma**2
        + 0.5 * tilt.square().sum(-1),
        balance=0.5 * (stands * near * across.square().sum(-1)).sum(-1) / stance.balance_sigma**2,
        residual=torch.cat([(of_sole * off).flatten(1), (of_person[..., None] * across).flatten(1), -tilt], 1),
        slope=torch.cat(
            [
                torch.einsum("npk,pq,kl,nc->npkqlc", of_sole, own, each, normal).flatten(1, 2),
                torch.einsum("np,pq,npl,nrc->nprqlc", of_person, own, lever, upward).flatten(1, 2),
                soles.new_zeros(pairs, 2, people, points + 1, 3),
            ],
            1,
        ),
        columns=torch.cat(
            [
                (of_sole[..., None] * torch.stack([torch.ones_like(x), x, z], -1)).flatten(1, 2),
                torch.nn.functional.pad(
                    torch.diag_embed(-(of_person * above[..., 1])[..., None].expand_as(across)), (1, 0)
                ).flatten(1, 2),
                torch.nn.functional.pad(of_tilt, (1, 0)),
            ],
            1,
        ),
    )


def _least_squares(columns: Float[Tensor, "N R 3"], rows: Float[Tensor, "N R M"]) -> Float[Tensor, "N 3 M"]:
    """What to multiply the columns by to come nearest to the rows."""
    tiny = 1e-6 * torch.eye(columns.shape[-1], dtype=columns.dtype, device=columns.device)  # where nobody stands
    return torch.linalg.solve(columns.transpose(1, 2) @ columns + tiny, columns.transpose(1, 2) @ rows)


def inverse_left_jacobian(rotvec: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """D log(exp([w]x) R) / dw at w = 0, for R = exp([rotvec]x): I - [r]x / 2 + (1/t^2 - cot(t/2)/(2t)) [r]x^2."""
    angle = rotvec.norm(dim=-1)[..., None, None]
    small = angle < 1e-3
    safe = torch.where(small, torch.ones_like(angle), angle)
    quadratic = torch.where(small, torch.full_like(angle, 1 / 12), 1 / safe**2 - 1 / (2 * safe * torch.tan(safe / 2)))
    zero = torch.zeros_like(rotvec[..., 0])
    x, y, z = rotvec.unbind(-1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) - cross / 2 + quadratic * (cross @ cross)


def pose_prior(
    rotations: Float[Tensor, "N P J 3 3"],
    target: Float[Tensor, "N P J 3 3"],
    sigma: Float[Tensor, "N P J"],
) -> Term:
    """L_init: half of |log(R R_0^T)|^2 / sigma^2, the geodesic distance to a target pose in radians."""
    rotvec = roma.rotmat_to_rotvec(rotations @ target.transpose(-1, -2))
    residual = rotvec / sigma[..., None]
    value = 0.5 * residual.square().sum((-1, -2, -3))
    return Term(value, residual, inverse_left_jacobian(rotvec) / sigma[..., None, None])


def joint_limits(
    rotations: Float[Tensor, "N P J 3 3"],
    lower: Float[Tensor, "J 3"],
    upper: Float[Tensor, "J 3"],
    *,
    sigma: float,
) -> Term:
    """Half the square of what each joint's rotation vector exceeds its anatomical range by, over sigma^2, radians."""
    rotvec = roma.rotmat_to_rotvec(rotations)
    beyond = (rotvec - upper).clamp_min(0) - (lower - rotvec).clamp_min(0)
    value = 0.5 * beyond.square().sum((-1, -2, -3)) / sigma**2
    slope = (beyond != 0)[..., None] * inverse_left_jacobian(rotvec) / sigma
    return Term(value, beyond / sigma, slope)


def gaussian_mixture(
    rotations: Float[Tensor, "N P J 3 3"],
    means: Float[Tensor, "G D"],
    roots: Float[Tensor, "G D D"],
    penalties: Float[Tensor, "G"],
    *,
    weight: float,
) -> Term:
    """L_GMM: the nearest component of a Gaussian mixture over the body pose as rotation vectors (SMPLify, eq. 4).

    min_g weight / 2 |T_g^T (theta - mu_g)|^2 + weight * penalty_g, with T T^T the inverse covariance and the penalty
    -log(weight_g) + log det(cov_g) / 2, shifted so that the least is zero. Rows: (N, P, D); slopes by each joint:
    (N, P, D, J, 3), here flattened to (N, P, D, 3 J).
    """
    rotvec = roma.rotmat_to_rotvec(rotations)
    theta = rotvec.flatten(-2)[..., None, :] - means
    white = torch.einsum("...gd,gde->...ge", theta, roots)
    energy = 0.5 * white.square().sum(-1) + penalties
    component = energy.argmin(-1)
    value = weight * energy.amin(-1).sum(-1)
    residual = (
        weight**0.5
        * white.gather(-2, component[..., None, None].expand(*component.shape, 1, white.shape[-1]))[..., 0, :]
    )
    slope = weight**0.5 * roots[component].transpose(-1, -2).unflatten(-1, (-1, 3))
    slope = torch.einsum("...djc,...jck->...djk", slope, inverse_left_jacobian(rotvec))
    return Term(value, residual, slope)
