"""Left and right of limbs in keypoints: what a detector exchanged is doubted, and the fit that takes it back stands."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.fit import FitOptions, fit_pair
from apu.sides import sides
from apu.types import BODY_25, KEYPOINTS, SMPL_JOINTS, BodyParams, PairObservation

from .fit.conftest import observe, standing

ARMS, LEGS = ("elbow", "wrist"), ("knee", "ankle", "big_toe", "small_toe", "heel")


@pytest.fixture(scope="module")
def truth() -> BodyParams:
    """Two people who face the camera, feet apart."""
    people = standing()
    pose = people.body_pose.copy()
    pose[:, 0, 2], pose[:, 1, 2] = 0.25, -0.25
    upright = Rotation.from_rotvec([np.pi, 0, 0]).as_rotvec()
    return replace(people, body_pose=pose, global_orient=np.stack([upright, upright]))


@pytest.fixture(scope="module")
def seen(truth: BodyParams, body: BodyModel) -> PairObservation:
    return observe(body, truth)


def mirrored(observation: PairObservation, person: int, *parts: str, hands: bool = False) -> PairObservation:
    """Left and right of these keypoints exchanged; without any, of all."""
    keypoints = observation.keypoints.copy()
    for i, name in enumerate(KEYPOINTS):
        side, _, part = name.partition("_")
        if side in ("left", "right") and (not parts or part in parts or (hands and i >= len(BODY_25))):
            other = {"left": "right", "right": "left"}[side]
            keypoints[person, i] = observation.keypoints[person, KEYPOINTS.index(f"{other}_{part}")]
    return replace(observation, keypoints=keypoints)


def test_keypoints_that_the_meshes_agree_with_are_left_alone(seen: PairObservation) -> None:
    (only,) = sides(seen)
    np.testing.assert_array_equal(only.observation.keypoints, seen.keypoints)
    assert only.exchanged == ()


@pytest.mark.parametrize(
    ("person", "parts", "hands", "words"),
    [(1, ARMS, True, "B's arms"), (0, LEGS, False, "A's legs"), (1, (), True, "B")],
)
def test_what_was_exchanged_is_tried_both_ways(
    seen: PairObservation, person: int, parts: tuple[str, ...], hands: bool, words: str
) -> None:
    wrong = mirrored(seen, person, *parts, hands=hands)
    as_given, righted = sides(wrong)
    np.testing.assert_array_equal(as_given.observation.keypoints, wrong.keypoints)
    np.testing.assert_array_equal(righted.observation.keypoints, seen.keypoints)
    assert (as_given.exchanged, righted.exchanged) == ((), (words,))


def test_a_mesh_in_another_place_tells_as_well(seen: PairObservation) -> None:
    """Estimators misplace people more than limbs; 0.3 m here are 55 pixels."""
    beside = seen.estimate.joints + np.float32([0.3, -0.1, 0.0])
    assert len(sides(seen, beside)) == 1
    assert sides(mirrored(seen, 0, *LEGS), beside)[-1].exchanged == ("A's legs",)


def test_the_plainest_two_are_combined_and_all_exchanged_at_last(seen: PairObservation) -> None:
    """Meshes whose legs are nearly together say little of them."""
    wrong = seen
    for person in (0, 1):
        wrong = mirrored(mirrored(wrong, person, *ARMS, hands=True), person, *LEGS)
    joints = seen.estimate.joints.copy()
    for name in ("hip", "knee", "ankle"):
        both = [SMPL_JOINTS.index(f"{side}_{name}") for side in ("left", "right")]
        joints[:, both, 0] = joints[:, both, 0].mean(1, keepdims=True) + 0.15 * (
            joints[:, both, 0] - joints[:, both, 0].mean(1, keepdims=True)
        )
    *some, everything = sides(wrong, joints)
    assert [each.exchanged for each in some[:1]] == [()]
    assert {limb for each in some for limb in each.exchanged} == {"A's arms", "B's arms"}
    assert everything.exchanged == ("A's arms", "A's legs", "B's arms", "B's legs")


def test_limbs_that_are_right_are_not_exchanged_with_a_wrong_trunk(seen: PairObservation) -> None:
    wrong = mirrored(seen, 0, "shoulder", "hip", "eye", "ear")
    assert [each.exchanged for each in sides(wrong)] == [()]


def test_one_unsure_keypoint_on_the_other_side_is_no_exchanged_limb(seen: PairObservation) -> None:
    keypoints = seen.keypoints.copy()
    left, right = (BODY_25.index(f"{side}_wrist") for side in ("left", "right"))
    keypoints[0, left] = (*keypoints[0, right, :2], 0.3)
    assert len(sides(replace(seen, keypoints=keypoints))) == 1


def test_people_without_a_mesh_tell_nothing(seen: PairObservation) -> None:
    wrong = mirrored(seen, 0, *LEGS)
    alone = replace(wrong, estimate=replace(wrong.estimate, valid=np.array([False, True])))
    assert len(sides(alone)) == 1


def test_keypoints_that_were_not_found_tell_nothing(seen: PairObservation) -> None:
    wrong = mirrored(seen, 0, *LEGS)
    keypoints = wrong.keypoints.copy()
    keypoints[0, [BODY_25.index(f"{side}_{part}") for side in ("left", "right") for part in LEGS]] = (np.nan, np.nan, 0)
    nothing = replace(wrong, keypoints=keypoints)
    assert len(sides(nothing)) == 1


def test_a_fit_with_exchanged_legs_is_the_one_without(seen: PairObservation, body: BodyModel) -> None:
    expected = fit_pair(seen, (), body)
    given = fit_pair(mirrored(seen, 0, *LEGS), (), body)
    assert given.stop.endswith("left and right exchanged of A's legs")
    assert "exchanged" not in expected.stop
    assert (given.terms["given_up"][-1], expected.terms["given_up"][-1]) == (FitOptions().exchange, 0.0)
    joints = [body.forward(each.params).joints[:, :22] for each in (given, expected)]
    distance = np.linalg.norm(joints[0] - joints[1], axis=-1)
    assert given.objective - FitOptions().exchange == pytest.approx(expected.objective, rel=0.005)
    assert distance.mean() < 0.005
    assert distance.max() < 0.05  # a wrist that moves along its ray costs next to nothing
    np.testing.assert_allclose(given.reprojection_512, expected.reprojection_512, atol=0.1)
    again = fit_pair(mirrored(seen, 0, *LEGS), (), body, start=given.params)
    assert again.stop.endswith("left and right exchanged of A's legs")


def test_legs_that_the_mesh_has_crossed_stay_as_they_were_seen(truth: BodyParams, body: BodyModel) -> None:
    """Both ways are fitted, and the lower objective uncrosses the mesh's legs."""
    crossed = truth.body_pose.copy()
    crossed[0, 0, 2], crossed[0, 1, 2] = -0.3, 0.3
    start = observe(body, replace(truth, body_pose=crossed)).estimate
    doubted = replace(observe(body, truth), estimate=start)
    assert len(sides(doubted)) == 2
    assert "exchanged" not in fit_pair(doubted, (), body).stop
