"""The terms of the objective as pure functions: residuals and their derivative by the points they rest on.

Every term is half a sum of (robust) squares, so that Levenberg-Marquardt can use it. A term returns its value per pair
and residual rows r with slopes dr/dx, scaled such that the gradient of the value is sum_i r_i dr_i/dx; where the
term is robust or soft, the rows are the reweighted ones (their weights held, as in iterated reweighted least squares).
The rows of contacts are scaled besides, so that they give the gradient and another curvature.
Axes: N pairs, P = 2 people.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

_SLIDE = 0.03
"""Share of a contact's stiffness along the skins: the next step chooses its points anew, so that sliding is cheap."""


class Term(NamedTuple):
    """A term's value per pair, its residual rows and their slopes by a point (or by a rotation vector)."""

    value: Float[Tensor, "pairs"]
    residual: Float[Tensor, "pairs *rows"]
    slope: Float[Tensor, "pairs *rows 3"]


class ContactTerm(NamedTuple):
    """The contact term and the pairs of samples that stand for each contact's soft minimum."""

    term: Term
    index: Int[Tensor, "pairs contacts best 2"]


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

    The squared distance from a point to a skin curves across the skin and, near it, hardly along it (Pottmann and Hofer
    2003), for another point is the nearest then. Rows with the full stiffness of (v - u) would glue together whichever
    points came near first; these have `_SLIDE` of it along the skins. (Where both normals are the same, n is zero and
    the rows are loose in all directions; the bonus lets such points hardly weigh.)

    Args:
        points: samples of both parts of every contact, metres. normals: outward, unit. weight: W; 0: no contact.
        temperature, sigma, normal_bonus: metres.

    Returns:
        Rows sqrt(W p_k) S^-1 (v - u) / sigma, (N, C, best, 3), and slopes sqrt(W p_k) S / sigma by v and, negated, by
        u, (N, C, best, 3, 3); p is the soft choice, n the common normal, S = n n^T + sqrt(slide) (I - n n^T).
    """
    index = _closest_pairs(_distances(points, normals, normal_bonus), best)
    (v, u), (n_v, n_u) = (
        [a[:, p].gather(2, index[..., p, None].expand(*index.shape[:-1], 3)) for p in (0, 1)] for a in (points, normals)
    )
    gap = v - u
    exact = gap.square().sum(-1) + normal_bonus**2 * (1 + (n_v * n_u).sum(-1))
    t2 = temperature**2
    soft = -t2 * (torch.logsumexp(-exact / t2, -1) - math.log(index.shape[-2]))
    value = 0.5 * (weight * soft).sum(-1) / sigma**2
    choice = torch.softmax(-exact.detach() / t2, -1)
    factor = (weight[..., None] * choice).sqrt()[..., None] / sigma
    apart = normalize(n_u - n_v, dim=-1)
    across = (gap * apart).sum(-1, keepdim=True) * apart
    slide, eye = _SLIDE**0.5, torch.eye(3, dtype=points.dtype, device=points.device)
    slope = slide * eye + (1 - slide) * apart[..., None] * apart[..., None, :]
    residual = factor * (across + (gap - across) / slide)
    return ContactTerm(Term(value, residual, factor[..., None] * slope), index)


def _distances(
    points: Float[Tensor, "N 2 C S 3"], normals: Float[Tensor, "N 2 C S 3"], normal_bonus: float
) -> Float[Tensor, "N C S S"]:
    """|v - u|^2 + bonus^2 (1 + n_v . n_u) of all pairs of samples, near enough to choose among them: one product.

    About the middle of both parts it errs by micrometres squared; a few metres away it would by millimetres.
    """
    points = points - points.mean((1, 3), keepdim=True)
    (v, u), (n_v, n_u) = points.unbind(1), (normal_bonus * normals).unbind(1)
    square, one = points.square().sum(-1, keepdim=True), torch.ones_like(v[..., :1])
    left = torch.cat([v, square[:, 0] + normal_bonus**2, one, n_v], -1)
    return left @ torch.cat([-2 * u, one, square[:, 1], n_u], -1).transpose(-1, -2)


def _closest_pairs(distance: Float[Tensor, "N C S T"], count: int) -> Int[Tensor, "N C best 2"]:
    """The least entries; they lie in as many rows, those of the least minima, so that few have to be sorted."""
    rows, columns = distance.shape[-2:]
    near = distance.amin(-1).topk(min(count, rows), largest=False).indices
    among = distance.gather(-2, near[..., None].expand(*near.shape, columns)).flatten(-2)
    flat = among.topk(min(count, rows * columns), largest=False).indices
    return torch.stack([near.gather(-1, flat // columns), flat % columns], -1)


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


def pose_prior(
    rotvec: Float[Tensor, "N P J 3"],
    sigma: Float[Tensor, "N P J"],
) -> Term:
    """L_init: half of |log(R R_0^T)|^2 / sigma^2, the geodesic distance to a target pose in radians.

    Args:
        rotvec: the logarithms. Slopes are by their entries, each row's by its own.
    """
    slope = (1 / sigma)[..., None].expand_as(rotvec)
    residual = rotvec * slope
    return Term(0.5 * residual.square().sum((-1, -2, -3)), residual, slope)


def joint_limits(
    rotvec: Float[Tensor, "N P J 3"],
    lower: Float[Tensor, "J 3"],
    upper: Float[Tensor, "J 3"],
    *,
    sigma: float,
) -> Term:
    """Half the square of what each joint's rotation vector exceeds its anatomical range by, over sigma^2, radians.

    Slopes are by the vectors' entries, each row's by its own.
    """
    residual = (rotvec - rotvec.clamp(lower, upper)) / sigma
    return Term(0.5 * residual.square().sum((-1, -2, -3)), residual, (residual != 0) / sigma)


def gaussian_mixture(
    rotvec: Float[Tensor, "N P J 3"],
    means: Float[Tensor, "G D"],
    roots: Float[Tensor, "G D D"],
    penalties: Float[Tensor, "G"],
    *,
    weight: float,
) -> Term:
    """L_GMM: the nearest component of a Gaussian mixture over the body pose as rotation vectors (SMPLify, eq. 4).

    min_g weight / 2 |T_g^T (theta - mu_g)|^2 + weight * penalty_g, with T T^T the inverse covariance and the penalty
    -log(weight_g) + log det(cov_g) / 2, shifted so that the least is zero. Rows: (N, P, D); slopes by the rotation
    vectors: (N, P, D, J, 3).
    """
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
    return Term(value, residual, slope)
