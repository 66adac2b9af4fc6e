"""All figures of one fitted pair."""

from typing import NamedTuple

import numpy as np

from apu.bench.case import Case
from apu.body.model import BodyModel, Posed
from apu.body.regions import regions_of
from apu.formats.skeletons import landmarks
from apu.metrics import (
    PCC_RADII,
    contact_gaps,
    correct_contacts,
    inside_depths,
    interaction_error,
    joint_pa_mpjpe,
    mpjpe,
    mpvpe,
    pa_mpjpe,
    reprojection_error,
)

_MM = 1000.0
PCC = tuple(f"pcc_{radius * _MM:.0f}mm" for radius in PCC_RADII)

FIGURES = (
    "joint_pa_mpjpe_mm", "pa_mpjpe_mm", "mpjpe_mm", "mpvpe_mm", "interaction_error_mm", "contact_gap_mm", *PCC,
    "mean_penetration_mm", "max_penetration_mm", "reprojection_512",
)  # fmt: skip
"""What is measured of a pair, by name; `measure` says how."""


class Figure(NamedTuple):
    """A value of one pair, and how much it counts in the mean over pairs."""

    value: float
    weight: float = 1.0


def measure(posed: Posed, case: Case, body: BodyModel) -> dict[str, Figure]:
    """The figures of a pair, those that its truth allows.

    Joints are the comparable ones of the truth's skeleton. Figures per person are averaged over the two. MPJPE needs
    the truth in the camera's frame, MPVPE true vertices, gap and PCC true contacts; without, they are left out.
    The mean over pairs weighs PCC by the number of true contacts and mean penetration by that of the vertices inside,
    so that they are shares of all contacts, and the mean depth of all vertices that are inside.
    """
    truth, skeleton = case.truth, case.truth.of
    points = landmarks(body, posed)
    joints, root = skeleton.of_landmarks(points), skeleton.root_index
    figures = {
        "joint_pa_mpjpe_mm": Figure(joint_pa_mpjpe(joints, truth.joints)),
        "pa_mpjpe_mm": Figure(float(pa_mpjpe(joints, truth.joints).mean())),
        "interaction_error_mm": Figure(interaction_error(joints, truth.joints)),
        "reprojection_512": Figure(float(reprojection_error(body.keypoints_of(posed), case.observation)[0].mean())),
    }
    if truth.in_camera:
        figures["mpjpe_mm"] = Figure(float(mpjpe(joints, truth.joints, root=root).mean()))
    if truth.vertices is not None:
        pelvis, true_pelvis = (points[:, list(root)].mean(1) for points in (joints, truth.joints))
        error = mpvpe(posed.vertices, truth.vertices, pelvis=pelvis, true_pelvis=true_pelvis)
        figures["mpvpe_mm"] = Figure(float(error.mean()))
    if case.contacts:
        gaps = contact_gaps(posed.vertices, case.contacts, regions_of(body))
        figures["contact_gap_mm"] = Figure(float(gaps.mean()) * _MM)
        shares = correct_contacts(gaps).tolist()
        figures |= {name: Figure(share, len(gaps)) for name, share in zip(PCC, shares, strict=True)}
    depths = inside_depths(posed.vertices, body.skin_faces) * _MM
    figures["mean_penetration_mm"] = Figure(float(depths.mean()) if len(depths) else 0.0, len(depths))
    figures["max_penetration_mm"] = Figure(float(depths.max(initial=0.0)))
    return {name: figure for name, figure in figures.items() if not np.isnan(figure.value)}
