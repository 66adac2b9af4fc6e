"""FlickrCI3D's signatures, left person first."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.errors import FormatError, InputError
from apu.formats import read_flickrci3d

LEFT, RIGHT = [10.0, 20.0, 110.0, 220.0], [90.0, 15.0, 210.0, 230.0]


def sign(people=(0, 1), **changes):
    ids = {"face_id": [[5, 6]], "vertex_id": [[7, 8], [9, 10]], "region_id": [[3, 70], [4, 0]]}
    return {"person_ids": list(people), "smplx": ids | changes, "ghum": {"region_id": []}}


def write(path, boxes, signs):
    path.write_text(json.dumps({"a.png": {"bbxes": boxes, "ci_sign": signs}, "b.png": {"bbxes": [], "ci_sign": []}}))
    return path


@pytest.mark.parametrize("swapped", [False, True])
def test_the_left_person_comes_first_with_all_that_is_theirs(tmp_path, swapped):
    boxes = [RIGHT, LEFT] if swapped else [LEFT, RIGHT]
    pairs = read_flickrci3d(write(tmp_path / "s.json", boxes, [sign()]))
    assert pairs["b.png"] == ()
    (pair,) = pairs["a.png"]
    np.testing.assert_array_equal(pair.boxes, [LEFT, RIGHT])
    order = [1, 0] if swapped else [0, 1]
    assert pair.people == tuple(order)
    np.testing.assert_array_equal(pair.regions[:, order], [[3, 70], [4, 0]])
    np.testing.assert_array_equal(pair.vertices[:, order], [[7, 8], [9, 10]])
    np.testing.assert_array_equal(pair.faces[:, order], [[5, 6]])


def test_a_pair_without_contacts_stays_a_pair(tmp_path):
    empty = {"person_ids": [0, 1], "smplx": {"region_id": []}}
    (pair,) = read_flickrci3d(write(tmp_path / "s.json", [LEFT, RIGHT], [empty]))["a.png"]
    assert pair.regions.shape == pair.faces.shape == pair.vertices.shape == (0, 2)


@pytest.mark.parametrize(
    "bad",
    [
        sign(people=(0, 2)),
        sign(people=(0, -1)),
        sign(people=(0,)),
        sign(region_id=[[75, 0]]),
        sign(region_id=[[1.5, 0]]),
        sign(region_id=[[1, 2, 3]]),
        sign(region_id=[1, 2]),
        sign(vertex_id=[[True, 1]]),
        {"person_ids": [0, 1]},
        7,
    ],
)
def test_other_layouts_are_one_clear_sentence(tmp_path, bad):
    with pytest.raises(FormatError, match=r"s\.json: a\.png is not annotated as in FlickrCI3D: .+"):
        read_flickrci3d(write(tmp_path / "s.json", [LEFT, RIGHT], [bad]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(key=st.sampled_from(["bbxes", "ci_sign", "smplx", "region_id", "person_ids"]), value=VALUES)
def test_any_value_ends_in_pairs_or_a_typed_error(tmp_path_factory, key, value):
    contacts = sign(**({key: value} if key == "region_id" else {}))
    if key in ("smplx", "person_ids"):
        contacts[key] = value
    annotation = {"bbxes": [LEFT, RIGHT], "ci_sign": [contacts]} | ({key: value} if key in ("bbxes", "ci_sign") else {})
    path = tmp_path_factory.mktemp("signature") / "s.json"
    path.write_text(json.dumps({"a.png": annotation}))
    with contextlib.suppress(InputError):
        assert all(np.isfinite(pair.boxes).all() for pair in read_flickrci3d(path)["a.png"])
