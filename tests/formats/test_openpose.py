"""OpenPose's layout: what is detected comes through, what is not has confidence 0, everything else is a sentence."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.errors import FormatError, InputError
from apu.formats import read_openpose
from apu.types import BODY_25, KEYPOINTS


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def body(**changes):
    return {"pose_keypoints_2d": [100.0, 200.0, 0.5] * 25, **changes}


def test_people_come_through_in_the_programs_order(tmp_path, person, write_openpose):
    people = np.stack([person(200), person(600)])
    people[0, KEYPOINTS.index("neck")] = 0
    np.testing.assert_allclose(read_openpose(write_openpose(tmp_path / "a.json", people)), people, rtol=1e-6)


@pytest.mark.parametrize("content", [{}, {"people": []}, {"version": 1.3, "people": []}])
def test_no_people_is_an_empty_array(tmp_path, content):
    assert read_openpose(write(tmp_path / "a.json", content)).shape == (0, 67, 3)


def test_hands_and_face_may_be_missing(tmp_path):
    people = [body(), body(hand_left_keypoints_2d=[], face_keypoints_2d=[1, 2])]
    keypoints = read_openpose(write(tmp_path / "a.json", {"people": people}))
    assert (keypoints[:, :25] == (100, 200, 0.5)).all()
    assert (keypoints[:, 25:] == 0).all()


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        ([5, 6, 1.7], [5, 6, 1]),
        ([5, 6, -0.1], [5, 6, 0]),
        ([float("nan"), 6, 0.9], [0, 0, 0]),
        ([5, float("inf"), 0.9], [0, 0, 0]),
        ([5, 6, None], [0, 0, 0]),
        ([1e30, 6, 0.9], [0, 0, 0]),
    ],
)
def test_numbers_that_cannot_be_become_undetected(tmp_path, triple, expected):
    content = {"people": [body(pose_keypoints_2d=triple + [100, 200, 0.5] * 24)]}
    keypoints = read_openpose(write(tmp_path / "a.json", content))
    np.testing.assert_allclose(keypoints[0, 0], expected)
    np.testing.assert_allclose(keypoints[0, 1], [100, 200, 0.5])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "'people' must be a list"),
        ({"people": {"a": 1}}, "'people' must be a list"),
        ({"people": [body()] * 201}, "at most 200"),
        ({"people": [body(), 7]}, "person 2 has no 'pose_keypoints_2d'"),
        ({"people": [{"pose_keypoints": [0] * 75}]}, "person 1 has no 'pose_keypoints_2d'"),
        ({"people": [body(pose_keypoints_2d=[0.0] * 54)]}, "person 1 has 54 numbers in .* expected 75"),
        ({"people": [body(pose_keypoints_2d=[0.0] * 51)]}, "51 numbers"),
        ({"people": [body(pose_keypoints_2d=[[1, 2, 3]] * 75)]}, "not a number"),
        ({"people": [body(pose_keypoints_2d=["1"] * 75)]}, "not a number"),
        ({"people": [body(pose_keypoints_2d=[True] * 75)]}, "not a number"),
        ({"people": [body(pose_keypoints_2d=[10**400] * 75)]}, "without bound"),
        ({"people": [body(hand_left_keypoints_2d=[1.0] * 60)]}, "60 numbers in 'hand_left_keypoints_2d'"),
        ({"people": [body(hand_left_keypoints_2d="x")]}, "no list of numbers"),
        ({"people": [body(pose_keypoints_2d=[0.5, 0.5, 0.9] * 25)]}, "shares of the image"),
    ],
)
def test_other_layouts_are_one_clear_sentence(tmp_path, content, says):
    with pytest.raises(FormatError, match=says) as caught:
        read_openpose(write(tmp_path / "a.json", content))
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_the_photographs_of_vitpose(real):
    for name in ("image_1", "image_5"):
        keypoints = read_openpose(real / f"{name}_keypoints.json")
        assert keypoints.shape == (2, 67, 3)
        missing = [BODY_25.index("neck"), BODY_25.index("mid_hip")]
        assert (keypoints[:, missing, 2] == 0).all()
        assert (keypoints[:, BODY_25.index("nose"), 2] > 0.8).all()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(
    numbers=st.lists(VALUES, max_size=75) | st.lists(st.integers() | st.floats() | st.none(), min_size=75, max_size=75),
    other=VALUES,
)
def test_any_json_ends_in_keypoints_or_a_typed_error(tmp_path_factory, numbers, other):
    path = tmp_path_factory.mktemp("openpose") / "a.json"
    for content in ({"people": [body(pose_keypoints_2d=numbers)]}, {"people": [other]}, {"people": other}, other):
        write(path, content)
        with contextlib.suppress(InputError):
            keypoints = read_openpose(path)
            assert np.isfinite(keypoints).all()
            assert ((keypoints[..., 2] >= 0) & (keypoints[..., 2] <= 1)).all()


@settings(max_examples=50, deadline=None)
@given(place=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.just(1.0) | st.floats(0, 1))
def test_damaged_files_end_in_a_typed_error(tmp_path_factory, place, byte, cut):
    path = write(tmp_path_factory.mktemp("openpose") / "a.json", {"people": [body(), body()]})
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data[: int(cut * len(data))])
    with contextlib.suppress(InputError):
        assert np.isfinite(read_openpose(path)).all()
