"""A folder of annotated pairs: what is read, and what is said of what cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from apu.bench.case import Case
from apu.bench.data import read_case, recorded
from apu.body.model import BodyModel
from apu.errors import InputError
from apu.formats.skeletons import SKELETONS, landmarks
from apu.synth import Scene

from .folder import write_pair

TURN = Rotation.from_euler("xyz", [200, 30, -70], degrees=True).as_matrix()


@pytest.fixture
def read(tmp_path: Path, case: Case, scene: Scene, body: BodyModel):
    """A pair written with some changes, and read again."""

    def write_and_read(**changes) -> Case:
        write_pair(tmp_path, case, scene, body, **changes)
        return read_case(tmp_path, case.name, body)

    return write_and_read


def test_what_is_written_is_read(read, case: Case) -> None:
    got = read()
    np.testing.assert_allclose(got.truth.joints, case.truth.joints, atol=1e-6)
    np.testing.assert_allclose(got.observation.keypoints, case.observation.keypoints, atol=1e-3)
    np.testing.assert_allclose(got.observation.estimate.joints, case.observation.estimate.joints, atol=1e-5)
    np.testing.assert_allclose(got.observation.camera.K, case.observation.camera.K)
    assert [c.parts for c in got.contacts or ()] == [c.parts for c in case.contacts or ()]
    assert [c.parts for c in got.stated or ()] == [c.parts for c in case.stated or ()]
    assert (got.interaction, got.notes, got.truth.in_camera, got.truth.vertices) == ("handshake", (), True, None)
    assert got.observation.simulated


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_every_skeleton_finds_its_joints_in_either_unit(read, scene: Scene, body: BodyModel, skeleton: str) -> None:
    expected = SKELETONS[skeleton].of_landmarks(landmarks(body, body.forward(scene.params)))
    got = read(skeleton=skeleton, unit="mm")
    np.testing.assert_allclose(got.truth.joints, expected, atol=1e-6)
    assert got.truth.of is SKELETONS[skeleton]


def test_person_0_is_the_left_one_whatever_the_order_of_the_files(read, case: Case) -> None:
    got = read(order=(1, 0))
    np.testing.assert_allclose(got.truth.joints, case.truth.joints, atol=1e-6)
    np.testing.assert_allclose(got.observation.keypoints, case.observation.keypoints, atol=1e-3)
    np.testing.assert_allclose(got.observation.estimate.joints, case.observation.estimate.joints, atol=1e-5)
    assert [c.parts for c in got.contacts or ()] == [c.parts for c in case.contacts or ()]
    assert [c.parts for c in got.stated or ()] == [c.parts for c in case.stated or ()], "a model sees the picture"


def test_the_pair_may_be_two_of_more_people(read, case: Case, tmp_path: Path, body: BodyModel) -> None:
    read()
    path = tmp_path / f"{case.name}_keypoints.json"
    people = json.loads(path.read_text())["people"]
    path.write_text(json.dumps({"people": [people[1], people[0], people[0]]}))
    with pytest.raises(InputError, match="hold 3 people; 'people' must name the two"):
        read_case(tmp_path, case.name, body)
    description = tmp_path / f"{case.name}_pair.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"people": [2, 0]}))
    got = read_case(tmp_path, case.name, body)
    np.testing.assert_allclose(got.observation.keypoints, case.observation.keypoints, atol=1e-3)
    np.testing.assert_allclose(got.truth.joints, case.truth.joints, atol=1e-6)


def test_a_world_frame_is_kept_and_said(read, case: Case) -> None:
    got = read(frame="world", turn=TURN)
    assert not got.truth.in_camera
    assert got.notes == ()
    np.testing.assert_allclose(got.truth.joints, case.truth.joints @ TURN.T, atol=1e-6)


def test_a_left_handed_frame_is_noticed(read) -> None:
    (note,) = read(frame="world", turn=TURN @ np.diag([1, -1, 1])).notes
    assert "left-handed" in note


def test_unknown_joints_and_missing_files_are_allowed(
    read, case: Case, tmp_path: Path, scene: Scene, body: BodyModel
) -> None:
    path = write_pair(tmp_path, case, scene, body, contacts=None)
    content = json.loads(path.read_text())
    content["joints"]["places"][1][7] = None
    path.write_text(json.dumps(content))
    for name in ("_meshes.npz", "_contacts.json"):
        (tmp_path / f"{case.name}{name}").unlink()
    got = read_case(tmp_path, case.name, body)
    assert np.isnan(got.truth.joints).any(-1).sum() == 1
    assert (got.contacts, got.stated, got.notes) == (None, None, ())
    assert not got.observation.estimate.valid.any()


def test_meshes_and_answers_that_cannot_be_used_are_noted(
    read, case: Case, tmp_path: Path, scene: Scene, body: BodyModel
) -> None:
    write_pair(tmp_path, case, scene, body)
    (tmp_path / f"{case.name}_meshes.npz").write_bytes(b"no archive")
    (tmp_path / f"{case.name}_contacts.json").write_text('{"contacts": "many"}')
    got = read_case(tmp_path, case.name, body)
    assert not got.observation.estimate.valid.any()
    assert got.stated is None
    assert [name in note for note, name in zip(got.notes, ("_meshes.npz", "_contacts.json"), strict=True)] == [
        True,
        True,
    ]


PLACES = [[[0.0, 0.0, 3.0]] * 55] * 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"interaction": ""}, "interaction: String should have at least 1 character"),
        ({"image": {"width": 0, "height": 5}}, "image.width: Input should be greater than 0"),
        ({"unit_of_everything": "m"}, "unit_of_everything: Extra inputs are not permitted"),
        ({"contacts": [["left hand", "tail"]]}, "a part must be one of hand, arm"),
        ({"contacts": [["left hand", "back"]] * 2}, "lists a contact twice"),
        ({"contacts": [["left hand", "back"]] * 101}, "contacts: List should have at most 100 items"),
        ({"people": [0, 0]}, "must name the two of the pair"),
        ({"people": [0, 2]}, "must name the two of the pair"),
        ({"joints": {"skeleton": "kinect", "frame": "camera", "unit": "m", "places": PLACES}}, "joints.skeleton"),
        (
            {"joints": {"skeleton": "coco_17", "frame": "camera", "unit": "m", "places": PLACES}},
            "55 joints of person 1",
        ),
        ({"joints": {"skeleton": "smplx_55", "frame": "camera", "unit": "m", "places": PLACES}}, "span 0 m"),
        (
            {"joints": {"skeleton": "smplx_55", "frame": "camera", "unit": "m", "places": [[None] * 55] * 2}},
            "knows 0 joints of person 1",
        ),
        (
            {"joints": {"skeleton": "smplx_55", "frame": "camera", "unit": "m", "places": [[["1", 2, 3, 4]] * 55] * 2}},
            "joints.places",
        ),
    ],
)
def test_a_bad_description_is_one_sentence_that_names_the_file(read, changes: dict, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read(**changes)
    assert sentence in str(caught.value)
    assert "handshake_pair.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_millimetres_that_are_called_metres_are_noticed(
    tmp_path: Path, case: Case, scene: Scene, body: BodyModel
) -> None:
    path = write_pair(tmp_path, case, scene, body, unit="mm")
    path.write_text(path.read_text().replace('"mm"', '"m"'))
    with pytest.raises(InputError, match="is the unit 'm' right"):
        read_case(tmp_path, case.name, body)


def test_a_folder_lists_its_pairs_by_name(tmp_path: Path, body: BodyModel) -> None:
    with pytest.raises(InputError, match=r"holds no STEM_pair\.json"):
        recorded(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        recorded(tmp_path / "nowhere")
    for stem in ("b", "a"):
        (tmp_path / f"{stem}_pair.json").write_text("{")
    first, second = recorded(tmp_path)
    assert (first.name, second.name) == ("a", "b")
    with pytest.raises(InputError, match=r"a_pair\.json is not valid JSON"):
        first(body)
