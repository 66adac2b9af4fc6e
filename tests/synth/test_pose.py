import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from apu.synth.pose import local_rotations
from apu.types import SMPL_JOINTS, BodyParams, mirror_name

RIGHT_OF = [SMPL_JOINTS.index(mirror_name(name)) - 1 for name in SMPL_JOINTS[1:]]


def place(body, words):
    """Joints of a person in SMPL-X's own axes: Y up, facing +Z, the person's left at +X."""
    nothing = np.zeros((1, 3), np.float32)
    pose, betas = local_rotations(words)[None], np.zeros((1, 11), np.float32)
    params = BodyParams(global_orient=nothing, body_pose=pose, betas=betas, transl=nothing)
    joints = body.forward(params).joints[0]
    return {name: joints[i] for i, name in enumerate(SMPL_JOINTS)} | {
        "left_fingers": joints[30],
        "right_fingers": joints[45],
    }


@pytest.mark.parametrize(
    ("angles", "direction"),
    [
        ({}, (0, -1, 0)),
        ({"raise": 90}, (1, 0, 0)),
        ({"raise": 90, "forward": 90}, (0, 0, 1)),
        ({"raise": 90, "forward": 180}, (-1, 0, 0)),
        ({"raise": 180}, (0, 1, 0)),
        ({"raise": 45, "forward": -90}, (0, -(0.5**0.5), -(0.5**0.5))),
    ],
)
def test_a_straight_arm_points_where_the_words_say(body, angles, direction):
    at = place(body, {"left_arm": angles})
    along = at["left_wrist"] - at["left_shoulder"]
    assert along / np.linalg.norm(along) == pytest.approx(direction, abs=0.08)


def test_elbows_bend_forwards_and_knees_backwards(body):
    at = place(body, {"left_arm": {"elbow": 90}, "left_leg": {"knee": 90}})
    forearm, shin = at["left_wrist"] - at["left_elbow"], at["left_ankle"] - at["left_knee"]
    assert forearm[2] > 0.95 * np.linalg.norm(forearm)
    assert shin[2] < -0.95 * np.linalg.norm(shin)


def test_twisting_in_lays_the_bent_arm_before_the_body(body):
    at = place(body, {"left_arm": {"elbow": 90, "twist": 80}})
    forearm = at["left_wrist"] - at["left_elbow"]
    assert forearm[0] < -0.9 * np.linalg.norm(forearm)


def test_bending_wrists_and_turning_palms(body):
    level = {"raise": 90, "forward": 0}
    flat = place(body, {"left_arm": level})
    down = place(body, {"left_arm": {**level, "wrist": 60}})
    up = place(body, {"left_arm": {**level, "palm": 180, "wrist": 60}})
    assert down["left_fingers"][1] < flat["left_fingers"][1] - 0.05 < up["left_fingers"][1] - 0.1


def test_trunk_head_and_thighs_follow_their_words(body):
    stood = place(body, {})
    bent = place(body, {"spine": {"bend": 40}})
    leant = place(body, {"spine": {"lean": 40}})
    raised = place(body, {"left_leg": {"flex": 90, "knee": 90}, "right_leg": {"open": 40}})
    assert bent["head"][2] > stood["head"][2] + 0.15
    assert leant["head"][0] > stood["head"][0] + 0.15
    assert raised["left_knee"][2] > stood["left_knee"][2] + 0.3
    assert raised["right_knee"][0] < stood["right_knee"][0] - 0.2


def test_the_same_words_on_the_other_side_are_the_mirror_image():
    arm = {"raise": 70, "forward": 40, "twist": 20, "elbow": 50, "palm": 30, "wrist": 20, "thumbward": 10}
    leg = {"flex": 30, "open": 10, "twist": 15, "knee": 40, "ankle": 10}
    left = local_rotations({"left_arm": arm, "left_leg": leg})
    right = local_rotations({"right_arm": arm, "right_leg": leg})
    mirrored = right[RIGHT_OF] * np.array([1, -1, -1])
    between = (Rotation.from_rotvec(left).inv() * Rotation.from_rotvec(mirrored)).magnitude()
    assert between.max() < 1e-5


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"tail": {}}, "part must be"),
        ({"arm": {}}, "part must be"),
        ({"left_spine": {}}, "part must be"),
        ({"left_arm": {"knee": 3}}, "knee"),
    ],
)
def test_unknown_words_are_named(words, match):
    with pytest.raises(ValueError, match=match):
        local_rotations(words)
