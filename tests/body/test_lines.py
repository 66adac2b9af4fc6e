import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.body.lines import pair_unit, part_gap, part_lines, torso_length
from apu.body.parts import PARTS
from apu.types import KEYPOINTS, BodyPart, Side

INDEX = {name: index for index, name in enumerate(KEYPOINTS)}
HAND, ARM, KNEE = (BodyPart(name=name, side=Side.LEFT) for name in ("hand", "arm", "knee"))


def person(**places):
    keypoints = np.zeros((67, 3))
    for name, (x, y, *confidence) in places.items():
        keypoints[INDEX[name]] = (x, y, *(confidence or [1.0]))
    return keypoints


def gap(a, b, parts=(KNEE, KNEE)):
    return part_gap(parts, np.stack([a, b]))


def densely(lines):
    """Many points on the lines."""
    t = np.linspace(0, 1, 200)[:, None]
    return np.concatenate([start + t * (end - start) for start, end in lines[..., :2]])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from(PARTS), st.sampled_from(PARTS), st.sampled_from(Side))
def test_the_gap_is_the_smallest_distance_of_any_two_points_on_the_lines(seed, a, b, side):
    rng = np.random.default_rng(seed)
    keypoints = np.concatenate([rng.uniform(0, 1, (2, 67, 2)), np.ones((2, 67, 1))], -1)
    parts = BodyPart(name=a, side=side), BodyPart(name=b)
    p, q = (densely(part_lines(part, points)) for part, points in zip(parts, keypoints, strict=True))
    sampled = np.linalg.norm(p[:, None] - q[None], axis=-1).min()
    assert part_gap(parts, keypoints).distance == pytest.approx(sampled, abs=0.015)


def test_crossing_lines_touch():
    upright = person(left_shoulder=(0, -1), left_elbow=(0, 1))
    level = person(left_shoulder=(-1, 0.2), left_elbow=(1, 0.2))
    upper_arm = BodyPart(name="upper arm", side=Side.LEFT)
    assert gap(upright, level, (upper_arm, upper_arm)).distance == 0


def test_an_unseen_point_takes_its_pieces_with_it_but_not_the_rest():
    whole = person(left_shoulder=(0, 0), left_elbow=(0, 1), left_wrist=(0, 2))
    assert len(part_lines(ARM, whole)) == 2
    no_elbow = person(left_shoulder=(0, 0), left_elbow=(0, 1, 0.1), left_wrist=(0, 2))
    lone = part_lines(ARM, no_elbow)
    np.testing.assert_array_equal(lone[:, 0], lone[:, 1])
    assert gap(no_elbow, person(left_knee=(0, 1)), (ARM, KNEE)).distance == 1
    assert part_lines(ARM, person()).shape == (0, 2, 3)


def test_both_sides_are_whichever_side_is_seen():
    one_knee = person(right_knee=(3, 4))
    knees = BodyPart(name="knee")
    assert gap(one_knee, person(left_knee=(0, 0)), (knees, knees)).distance == 5


def test_confidence_is_that_of_the_nearest_lines_and_unseen_is_said():
    assert gap(person(left_knee=(0, 0, 0.9)), person(left_knee=(0, 1, 0.4))).confidence == pytest.approx(0.6)
    unseen = gap(person(left_knee=(0, 0, 0.9)), person(left_knee=(0, 1, 0.1)))
    assert not unseen.seen
    assert np.isnan(unseen.distance)
    assert unseen.confidence == 0


def test_a_hand_without_fingers_is_its_wrist():
    assert gap(person(left_wrist=(0, 2)), person(left_knee=(0, 0)), (HAND, KNEE)).distance == 2


def test_a_torso_is_measured_by_its_longest_visible_line():
    front = person(left_shoulder=(20, 0), right_shoulder=(-20, 0), left_hip=(10, 50), right_hip=(-10, 50))
    assert torso_length(front) == pytest.approx(56)
    side_view = person(left_shoulder=(1, 0), right_shoulder=(-1, 0), left_hip=(1, 50), right_hip=(-1, 50))
    assert torso_length(side_view) == pytest.approx(50)
    assert np.isnan(torso_length(person(left_shoulder=(0, 0), left_hip=(0, 0))))
    assert np.isnan(torso_length(person(nose=(0, 0))))


def test_a_pairs_unit_is_the_mean_of_the_torsos_that_are_seen():
    short, tall = (person(left_shoulder=(0, 0), left_hip=(0, length)) for length in (30, 50))
    assert pair_unit(np.stack([short, tall])) == 40
    assert pair_unit(np.stack([person(), tall])) == 50
    assert np.isnan(pair_unit(np.stack([person(), person()])))
