"""The same people of different files: found by where they are, whatever the order of the files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.camera import project
from apu.formats import border_mask, drop_duplicates, match_people, merge_keypoints, read_bev, read_openpose
from apu.types import KEYPOINTS


@pytest.fixture(scope="module")
def crowd(person):
    return np.stack([person(x) for x in (100, 230, 360, 700)])


@pytest.fixture(scope="module")
def points(joints, camera):
    return project(np.stack([joints(x) for x in (100, 230, 360, 700)]), camera)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(4)), noise=st.integers(0, 2**31))
def test_every_person_finds_their_own_mesh_in_any_order(crowd, points, order, noise):
    jitter = np.random.default_rng(noise).normal(0, 6, points.shape)
    match = match_people(crowd, (points + jitter)[list(order)])
    assert [order[m] for m in match] == [0, 1, 2, 3]


def test_a_person_whose_mesh_is_missing_gets_none(crowd, points):
    assert match_people(crowd, points[[3, 1]]).tolist() == [-1, 1, -1, 0]


def test_meshes_that_nobody_has_keypoints_for_stay_unmatched(crowd, points):
    assert match_people(crowd[[1]], points).tolist() == [1]


def test_an_outlier_does_not_pull_others_from_their_partners(crowd, points):
    """The far mesh costs the same wherever it goes."""
    moved = points.copy()
    moved[0] += 5000
    assert match_people(crowd, moved).tolist() == [-1, 1, 2, 3]


def test_nobody_is_matched_by_nothing(crowd, points):
    assert match_people(crowd[:0], points).tolist() == []
    assert match_people(crowd, points[:0]).tolist() == [-1] * 4
    blind = crowd.copy()
    blind[..., 2] = 0
    assert match_people(blind, points).tolist() == [-1] * 4
    assert match_people(crowd, np.full_like(points, np.nan)).tolist() == [-1] * 4


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.05, 20))
def test_the_size_of_the_image_does_not_matter(crowd, points, scale):
    large = crowd * np.float32([scale, scale, 1])
    assert match_people(large, points[::-1] * scale).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
@pytest.mark.real
def test_the_photographs_people(real, order):
    for name in ("image_1", "image_5"):
        keypoints = read_openpose(real / f"{name}_keypoints.json")
        meshes = read_bev(real / f"{name}_0.08.npz")
        points = project(meshes.estimate.joints, meshes.camera)[order]
        assert match_people(keypoints, points).tolist() == order
        # One mesh alone goes to its own person, never to the neighbour in their arms.
        assert match_people(keypoints, points[:1]).tolist() == [0 if order[0] == p else -1 for p in (0, 1)]


def test_border_is_a_share_of_each_side_and_what_lies_beyond(crowd):
    person = crowd[0].copy()
    person[:6, :2] = [(11, 300), (13, 300), (789, 300), (400, 8), (400, 592), (-50, 300)]
    assert border_mask(person, 800, 600)[:6].tolist() == [True, False, True, True, True, True]


@pytest.mark.real
def test_border_holds_the_knee_that_a_detector_was_sure_of(real):
    knee = KEYPOINTS.index("right_knee")
    keypoints = read_openpose(real / "image_5_keypoints.json")
    assert border_mask(keypoints, 1666, 2500)[0, knee]
    assert keypoints[0, knee, 2] > 0.7


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(6)))
def test_second_detections_go_and_people_stay(crowd, seed, order):
    again = crowd[:2] + np.random.default_rng(seed).normal(0, [3, 3, 0], (2, 67, 3))
    again[..., 2] *= 0.8
    again[0, 30:, 2] = 0  # a partial second detection
    everyone = np.concatenate([crowd, again])[list(order)]
    assert sorted(order[i] for i in drop_duplicates(everyone)) == [0, 1, 2, 3]


@pytest.mark.real
def test_people_in_an_embrace_are_two(real):
    for name in ("image_1", "image_5"):
        assert len(drop_duplicates(read_openpose(real / f"{name}_keypoints.json"))) == 2


def test_merging_takes_the_more_confident_of_each_keypoint(crowd):
    first, second = crowd[[0, 1]].copy(), crowd[[1, 0]].copy()
    feet = [KEYPOINTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("big_toe", "heel")]
    first[:, feet, 2] = 0
    second[..., :2] += 2
    second[..., 2] = 0.6
    merged = merge_keypoints(first, second)
    np.testing.assert_array_equal(merged[0, feet], second[1, feet])
    np.testing.assert_array_equal(merged[1, feet], second[0, feet])
    rest = np.setdiff1d(np.arange(67), feet)
    np.testing.assert_array_equal(merged[:, rest], first[:, rest])


def test_merging_keeps_people_whom_only_one_estimator_found(crowd):
    merged = merge_keypoints(crowd[[0]], crowd[[1, 0]])
    np.testing.assert_array_equal(merged, crowd[[0, 1]])
    np.testing.assert_array_equal(merge_keypoints(crowd[:0], crowd), crowd)
    np.testing.assert_array_equal(merge_keypoints(crowd, crowd[:0]), crowd)
