"""How two surfaces touch: gaps, correct contacts, and how deep they cut each other. Lengths in metres."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from apu.body.collide import Collider, penetration
from apu.body.regions import Regions
from apu.types import Contact

PCC_RADII = (0.005, 0.010, 0.015, 0.020, 0.025)
"""Metres at which `correct_contacts` is reported."""


def contact_gaps(
    vertices: Float[np.ndarray, "people vertices 3"], contacts: Sequence[Contact], regions: Regions
) -> Float[np.ndarray, "contacts"]:
    """Smallest distance between the vertices of a contact's two parts, metres."""
    gaps = np.zeros(len(contacts))
    for i, contact in enumerate(contacts):
        a, b = (vertices[p][regions.part_vertices(part)] for p, part in enumerate(contact.parts))
        gaps[i] = KDTree(b).query(a)[0].min()
    return gaps


def correct_contacts(
    gaps: Float[np.ndarray, "contacts"], radii: Sequence[float] = PCC_RADII
) -> Float[np.ndarray, "radii"]:
    """PCC: share of the true contacts that the fitted bodies make, within each radius.

    A true contact names a region of each person; it is correct at radius r where the nearest two points of the fitted
    regions are at most r apart (BUDDI, arXiv 2306.09337, on FlickrCI3D's annotated pairs of regions). Here the regions
    are the contact's parts. It asks whether the right parts meet, not whether other parts stay apart: penetration
    belongs beside it.

    Args:
        gaps: of the TRUE contacts, measured on the fitted surfaces (`contact_gaps`), metres.
        radii: metres.

    Returns:
        Shares, 0 to 1; NaN without contacts.
    """
    if not len(gaps):
        return np.full(len(radii), np.nan)
    return (gaps[:, None] <= np.asarray(radii)).mean(0)


def inside_depths(
    vertices: Float[np.ndarray, "2 vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    collider: Collider | None = None,
) -> Float[np.ndarray, "inside"]:
    """Depth of every vertex that lies inside the other body, on the full mesh, metres; empty where none does.

    Args:
        collider: of two bodies with these faces, where one is kept.
    """
    points = torch.as_tensor(vertices, device=None if collider is None else collider.device)
    depth, inside = penetration(points, faces, collider=collider)
    return depth[inside].cpu().double().numpy()


def penetration_depth(
    vertices: Float[np.ndarray, "2 vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    collider: Collider | None = None,
) -> tuple[float, float]:
    """Depth of the vertices inside the other body: (deepest, mean of those inside), metres; as `inside_depths`."""
    depths = inside_depths(vertices, faces, collider=collider)
    return float(depths.max(initial=0.0)), float(depths.mean()) if len(depths) else 0.0
