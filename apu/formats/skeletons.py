"""Other people's 3D joints: each skeleton's names in order, and which points of a body they can be held against.

Skeletons mean different things by the same word. A joint is comparable where both place it at the same anatomical spot;
the others (a depth sensor's hands, feet, head and upper spine, say) are read and left out of every figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from apu.body.model import BodyModel, Posed
from apu.body.rig import JOINTS
from apu.formats.coco import COCO_17
from apu.types import BODY_25, KEYPOINTS, SMPL_JOINTS

LANDMARKS = (*(f"joint:{name}" for name in JOINTS), *(f"keypoint:{name}" for name in KEYPOINTS))
"""The points of a fitted body that joints are held against: its 55 joints and the 67 points that detectors mark."""

KINECT_V2 = (
    "spine_base", "spine_mid", "neck", "head", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_shoulder", "right_elbow", "right_wrist", "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot",
    "right_hip", "right_knee", "right_ankle", "right_foot", "spine_shoulder", "left_hand_tip", "left_thumb",
    "right_hand_tip", "right_thumb",
)  # fmt: skip
"""Kinect for Windows SDK 2.0's JointType, SpineBase (0) to ThumbRight (24), as NTU RGB+D stores it from 0."""

NUITRACK = (
    "none", "head", "neck", "torso", "waist", "left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "left_fingertip", "right_collar", "right_shoulder", "right_elbow", "right_wrist", "right_hand", "right_fingertip",
    "left_hip", "left_knee", "left_ankle", "left_foot", "right_hip", "right_knee", "right_ankle", "right_foot",
)  # fmt: skip
"""Nuitrack's JointType by index; 0 is reserved, and fingertips and feet are not tracked."""

_LIMBS = tuple(
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A way to name a person's joints.

    Attributes:
        joints: names in the order of its files.
        landmarks: of the comparable ones, the point of `LANDMARKS` each is held against.
        root: the comparable joints whose mean is the pelvis.
    """

    joints: tuple[str, ...]
    landmarks: Mapping[str, str]
    root: tuple[str, ...]

    @property
    def compared(self) -> tuple[str, ...]:
        """The comparable joints in the skeleton's order."""
        return tuple(name for name in self.joints if name in self.landmarks)

    @property
    def root_index(self) -> tuple[int, ...]:
        """The root's places among `compared`."""
        return tuple(self.compared.index(name) for name in self.root)

    def take(self, joints: Float[np.ndarray, "people joints 3"]) -> Float[np.ndarray, "people compared 3"]:
        """The comparable ones of a file's joints."""
        if joints.shape[1] != len(self.joints):
            raise ValueError(f"joints must be the skeleton's {len(self.joints)}, got {joints.shape[1]}")
        return joints[:, [self.joints.index(name) for name in self.compared]]

    def of_landmarks(self, points: Float[np.ndarray, "people 122 3"]) -> Float[np.ndarray, "people compared 3"]:
        """The fitted body's points for `compared`, from all of its `LANDMARKS`."""
        return points[:, [LANDMARKS.index(self.landmarks[name]) for name in self.compared]]


def _joints(*names: str, **others: str) -> Mapping[str, str]:
    return {name: f"joint:{joint}" for name, joint in {**{name: name for name in names}, **others}.items()}


SKELETONS: Mapping[str, Skeleton] = {
    "smplx_55": Skeleton(joints=JOINTS, landmarks=_joints(*SMPL_JOINTS), root=("pelvis",)),
    "body_25": Skeleton(joints=BODY_25, landmarks={name: f"keypoint:{name}" for name in BODY_25}, root=("mid_hip",)),
    "coco_17": Skeleton(
        joints=COCO_17, landmarks={name: f"keypoint:{name}" for name in COCO_17}, root=("left_hip", "right_hip")
    ),
    "kinect_v2": Skeleton(joints=KINECT_V2, landmarks=_joints(*_LIMBS, spine_base="pelvis"), root=("spine_base",)),
    "nuitrack": Skeleton(joints=NUITRACK, landmarks=_joints(*_LIMBS, waist="pelvis"), root=("waist",)),
}
"""By the name that files give. SMPL-X's fingers, jaw and eyes are not compared: no fit moves them."""


def landmarks(body: BodyModel, posed: Posed) -> Float[np.ndarray, "people 122 3"]:
    """`LANDMARKS` of posed people, camera frame, metres."""
    return np.concatenate([posed.joints, body.keypoints_of(posed)], axis=1)
