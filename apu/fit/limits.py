"""Anatomical ranges of the body joints as rotation vectors in SMPL-X's frames (T-pose; x left, y up, z forward).

Generous textbook ranges: they stop elbows and knees from bending backwards and spines from folding, and leave the
rest to the start pose. Flexion axes: knee +x; left elbow -y, right elbow +y; spine and neck forward +x.
"""

import numpy as np
import torch

from apu.types import SMPL_JOINTS, mirror_name

_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    # joint: ranges about x, y, z, degrees; the right side is mirrored (y and z change sign).
    "spine1": ((-25, 50), (-30, 30), (-30, 30)),
    "spine2": ((-20, 35), (-30, 30), (-25, 25)),
    "spine3": ((-20, 35), (-30, 30), (-25, 25)),
    "neck": ((-45, 50), (-50, 50), (-40, 40)),
    "head": ((-40, 40), (-45, 45), (-35, 35)),
    "left_hip": ((-130, 40), (-60, 60), (-40, 75)),
    "left_knee": ((-3, 155), (-15, 15), (-8, 8)),
    "left_ankle": ((-50, 40), (-40, 40), (-35, 35)),
    "left_foot": ((-40, 40), (-15, 15), (-15, 15)),
    "left_collar": ((-25, 25), (-35, 25), (-20, 40)),
    "left_shoulder": ((-100, 100), (-145, 60), (-110, 100)),
    "left_elbow": ((-100, 100), (-155, 3), (-30, 30)),
    "left_wrist": ((-60, 60), (-40, 40), (-85, 85)),
}


def joint_ranges(
    *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """(lower, upper) of the 21 joints after the root, (21, 3) radians."""
    lower, upper = np.zeros((21, 3)), np.zeros((21, 3))
    for i, name in enumerate(SMPL_JOINTS[1:]):
        ranges = _RANGES.get(name)
        if ranges is None:
            (x, (y0, y1), (z0, z1)) = _RANGES[mirror_name(name)]
            ranges = (x, (-y1, -y0), (-z1, -z0))
        lower[i], upper[i] = np.radians(ranges).T
    return torch.as_tensor(lower, dtype=dtype, device=device), torch.as_tensor(upper, dtype=dtype, device=device)
