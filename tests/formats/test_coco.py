"""COCO keypoints: every image by name, in the program's order, visibility as confidence."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.errors import FormatError, InputError
from apu.formats import read_coco
from apu.formats.coco import COCO_17
from apu.types import KEYPOINTS


def annotation(image_id, values, **more):
    return {"image_id": image_id, "category_id": 1, "keypoints": [float(v) for v in np.ravel(values)], **more}


def write(path, annotations, images=("train/a.jpg", "b.jpg")):
    content = {
        "images": [{"id": i, "file_name": name, "width": 640, "height": 480} for i, name in enumerate(images)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    path.write_text(json.dumps(content))
    return path


def test_each_keypoint_lands_under_its_own_name(tmp_path):
    values = [(10 * i + 1, 10 * i + 2, 2) for i in range(17)]
    people = read_coco(write(tmp_path / "c.json", [annotation(1, values)]))
    assert people["a.jpg"].shape == (0, 67, 3)
    (person,) = people["b.jpg"]
    for i, name in enumerate(COCO_17):
        np.testing.assert_allclose(person[KEYPOINTS.index(name)], (10 * i + 1, 10 * i + 2, 1))
    rest = [KEYPOINTS.index(n) for n in KEYPOINTS if n not in COCO_17]
    assert {"neck", "mid_hip"} <= {KEYPOINTS[i] for i in rest}
    assert (person[rest] == 0).all()


def test_visibility_becomes_confidence_and_a_detectors_confidence_stays(tmp_path):
    stated = [(1, 1, v) for v in ([0, 1, 2] * 6)[:17]]
    detected = [(1, 1, 0.25)] + [(1, 1, 1.0)] * 16
    first, second = read_coco(write(tmp_path / "c.json", [annotation(0, stated), annotation(0, detected)]))["a.jpg"]
    np.testing.assert_allclose(first[[KEYPOINTS.index(n) for n in COCO_17[:3]], 2], [0, 0.5, 1])
    np.testing.assert_allclose(second[[KEYPOINTS.index(n) for n in COCO_17[:2]], 2], [0.25, 1])


def test_wholebody_adds_feet_and_hands_where_they_are_valid(tmp_path):
    more = {
        "foot_kpts": [v for i in range(6) for v in (i, 7, 2)],
        "lefthand_kpts": [v for i in range(21) for v in (i, 8, 2)],
        "righthand_kpts": [v for i in range(21) for v in (i, 9, 2)],
        "foot_valid": True, "lefthand_valid": True, "righthand_valid": False,
    }  # fmt: skip
    (person,) = read_coco(write(tmp_path / "c.json", [annotation(0, [(1, 1, 2)] * 17, **more)]))["a.jpg"]
    np.testing.assert_allclose(person[KEYPOINTS.index("left_big_toe")], (0, 7, 1))
    np.testing.assert_allclose(person[KEYPOINTS.index("right_heel")], (5, 7, 1))
    np.testing.assert_allclose(person[KEYPOINTS.index("left_pinky_tip")], (20, 8, 1))
    assert (person[KEYPOINTS.index("right_wrist_root") :] == 0).all()


def test_people_without_a_keypoint_are_left_out(tmp_path):
    crowd = annotation(0, np.zeros((17, 3)), iscrowd=1)
    assert len(read_coco(write(tmp_path / "c.json", [crowd, annotation(0, [(1, 1, 2)] * 17)]))["a.jpg"]) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "not a COCO"),
        ({"images": []}, "'annotations' is missing"),
        ({"images": [{"id": 1}], "annotations": []}, "'file_name' is missing"),
        ({"images": [], "annotations": [annotation(3, [(1, 1, 2)] * 17)]}, "3 is missing"),
        ({"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}, "'keypoints' is missing"),
        ({"images": [{"id": 1, "file_name": "a"}], "annotations": [annotation(1, [1, 2])]}, "2 numbers .*expected 51"),
        ({"images": [{"id": 1, "file_name": 5}], "annotations": []}, "not a COCO"),
        ({"images": [{"id": 1, "file_name": "a"}], "annotations": [annotation(1, [(1, 1, 2)] * 17)] * 201}, "201"),
    ],
)
def test_other_layouts_are_one_clear_sentence(tmp_path, content, says):
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=says) as caught:
        read_coco(tmp_path / "c.json")
    assert "c.json" in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(key=st.sampled_from(["keypoints", "image_id", "foot_kpts", "lefthand_kpts", "lefthand_valid"]), value=VALUES)
def test_any_value_ends_in_keypoints_or_a_typed_error(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("coco") / "c.json"
    write(path, [annotation(0, [(1, 1, 2)] * 17) | {key: value}])
    with contextlib.suppress(InputError):
        assert all(np.isfinite(people).all() for people in read_coco(path).values())
