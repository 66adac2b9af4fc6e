"""How good a pair of meshes is: against the keypoints, the contacts, the truth, and the bodies themselves."""

from apu.metrics.image import BORDER, MIN_CONFIDENCE, reprojection_error, units_512, used_confidence
from apu.metrics.pose import align, interaction_error, joint_pa_mpjpe, mpjpe, mpvpe, pa_mpjpe
from apu.metrics.surface import PCC_RADII, contact_gaps, correct_contacts, inside_depths, penetration_depth

__all__ = [
    "BORDER",
    "MIN_CONFIDENCE",
    "PCC_RADII",
    "align",
    "contact_gaps",
    "correct_contacts",
    "inside_depths",
    "interaction_error",
    "joint_pa_mpjpe",
    "mpjpe",
    "mpvpe",
    "pa_mpjpe",
    "penetration_depth",
    "reprojection_error",
    "units_512",
    "used_confidence",
]
