"""Every name of every skeleton, and that left stays left."""

import re

import numpy as np
import pytest
from smplx.joint_names import JOINT_NAMES

from apu.body.model import BodyModel
from apu.formats.skeletons import KINECT_V2, LANDMARKS, NUITRACK, SKELETONS, Skeleton, landmarks
from apu.types import BODY_25, SMPL_JOINTS, BodyParams, mirror_name

KINECT_SDK = (
    "SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight "
    "HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight SpineShoulder HandTipLeft "
    "ThumbLeft HandTipRight ThumbRight"
).split()
"""Microsoft's enumeration JointType, values 0 to 24."""

NUITRACK_SDK = {
    "JOINT_NONE": 0, "JOINT_HEAD": 1, "JOINT_NECK": 2, "JOINT_TORSO": 3, "JOINT_WAIST": 4,
    "JOINT_LEFT_COLLAR": 5, "JOINT_LEFT_SHOULDER": 6, "JOINT_LEFT_ELBOW": 7, "JOINT_LEFT_WRIST": 8,
    "JOINT_LEFT_HAND": 9, "JOINT_LEFT_FINGERTIP": 10, "JOINT_RIGHT_COLLAR": 11, "JOINT_RIGHT_SHOULDER": 12,
    "JOINT_RIGHT_ELBOW": 13, "JOINT_RIGHT_WRIST": 14, "JOINT_RIGHT_HAND": 15, "JOINT_RIGHT_FINGERTIP": 16,
    "JOINT_LEFT_HIP": 17, "JOINT_LEFT_KNEE": 18, "JOINT_LEFT_ANKLE": 19, "JOINT_LEFT_FOOT": 20, "JOINT_RIGHT_HIP": 21,
    "JOINT_RIGHT_KNEE": 22, "JOINT_RIGHT_ANKLE": 23, "JOINT_RIGHT_FOOT": 24,
}  # fmt: skip
"""The C++ enumeration JointType."""

COCO_CATEGORY = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
"""`categories[0].keypoints` of COCO's person_keypoints files."""

OPENPOSE = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye "
    "REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
).split()
"""OpenPose's POSE_BODY_25_BODY_PARTS."""


def snake(name: str) -> str:
    """``HandTipLeft`` -> ``left_hand_tip``."""
    words = re.findall("[A-Z][a-z]+", name)
    sides = [word for word in words if word in ("Left", "Right")]
    return "_".join([*sides, *(word for word in words if word not in sides)]).lower()


def test_kinects_joints_are_the_sdks() -> None:
    assert tuple(map(snake, KINECT_SDK)) == KINECT_V2 == SKELETONS["kinect_v2"].joints
    assert len(KINECT_V2) == 25


def test_nuitracks_joints_are_the_sdks() -> None:
    assert {f"JOINT_{name.upper()}": i for i, name in enumerate(NUITRACK)} == NUITRACK_SDK


def test_openposes_and_cocos_joints_are_theirs() -> None:
    sides = {"L": "left_", "R": "right_"}
    named = [
        sides[n[0]] + "_".join(re.findall("[A-Z][a-z]+", n[1:])).lower()
        if n[0] in sides and n[1].isupper()
        else "_".join(re.findall("[A-Z][a-z]+", n)).lower()
        for n in OPENPOSE
    ]
    assert tuple(named) == BODY_25 == SKELETONS["body_25"].joints
    assert tuple(COCO_CATEGORY) == SKELETONS["coco_17"].joints


def test_smplx_has_55_joints_in_the_packages_order() -> None:
    assert SKELETONS["smplx_55"].joints == tuple(name.removesuffix("_smplhf") for name in JOINT_NAMES[:55])
    assert SKELETONS["smplx_55"].compared == SMPL_JOINTS


@pytest.mark.parametrize("name", SKELETONS)
class TestEverySkeleton:
    @pytest.fixture
    def skeleton(self, name: str) -> Skeleton:
        return SKELETONS[name]

    def test_names_joints_once(self, skeleton: Skeleton) -> None:
        assert len(set(skeleton.joints)) == len(skeleton.joints)
        assert len(set(skeleton.landmarks.values())) == len(skeleton.landmarks), "two joints at one point"

    def test_has_the_other_side_of_every_joint(self, skeleton: Skeleton) -> None:
        assert {mirror_name(joint) for joint in skeleton.joints} == set(skeleton.joints)

    def test_compares_left_with_left(self, skeleton: Skeleton) -> None:
        for joint, landmark in skeleton.landmarks.items():
            kind, _, point = landmark.partition(":")
            mirrored = f"{kind}:{mirror_name(point)}"
            assert skeleton.landmarks[mirror_name(joint)] == mirrored
            assert joint.partition("_")[0] in ("left", "right") or mirrored == landmark

    def test_compares_points_that_exist(self, skeleton: Skeleton) -> None:
        assert set(skeleton.landmarks) <= set(skeleton.joints)
        assert set(skeleton.landmarks.values()) <= set(LANDMARKS)
        assert set(skeleton.root) <= set(skeleton.compared)
        assert len(skeleton.compared) >= 12

    def test_finds_the_joints_of_a_body(self, skeleton: Skeleton, rest: np.ndarray) -> None:
        points = dict(zip(skeleton.compared, skeleton.of_landmarks(rest)[0], strict=True))
        assert points["left_wrist"][0] > 0.3 > -0.3 > points["right_wrist"][0], "the person's left is at +x"
        assert points["left_ankle"][1] < points["left_knee"][1] < points["left_hip"][1] < points["left_shoulder"][1]
        pelvis = np.mean([points[name] for name in skeleton.root], axis=0)
        assert abs(pelvis[0]) < 0.01
        assert np.linalg.norm(pelvis - rest[0, 0]) < 0.15

    def test_takes_its_compared_joints_from_a_file(self, skeleton: Skeleton) -> None:
        numbers = np.arange(len(skeleton.joints), dtype=float)[None, :, None] * np.ones((2, 1, 3))
        taken = [skeleton.joints[int(i)] for i in skeleton.take(numbers)[0, :, 0]]
        assert tuple(taken) == skeleton.compared
        with pytest.raises(ValueError, match=f"{len(skeleton.joints)}, got 3"):
            skeleton.take(numbers[:, :3])


@pytest.fixture(scope="module")
def rest(body: BodyModel) -> np.ndarray:
    zero = np.zeros
    still = BodyParams(global_orient=zero((1, 3)), body_pose=zero((1, 21, 3)), betas=zero((1, 11)), transl=zero((1, 3)))
    return landmarks(body, body.forward(still))
