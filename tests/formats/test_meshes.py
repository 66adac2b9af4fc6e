"""Estimators' meshes: parameters, joints and camera come through; impossible people are not valid."""

import contextlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.camera import project
from apu.errors import FormatError, InputError, UnsafeFileError
from apu.formats import read_bev, read_openpose, read_smplx
from apu.formats.people import read_meshes
from apu.types import SMPL_JOINTS, BodyParams, Camera


def test_bev_gives_pose_shape_joints_and_camera(tmp_path, joints, camera, bev_results, write_bev):
    people = np.stack([joints(200), joints(600)])
    expected = bev_results(people)
    meshes = read_bev(write_bev(tmp_path / "a.npz", people))
    np.testing.assert_allclose(meshes.estimate.joints, people, atol=1e-5)
    np.testing.assert_array_equal(meshes.estimate.global_orient, expected["smpl_thetas"][:, :3])
    np.testing.assert_array_equal(meshes.estimate.body_pose.reshape(2, 63), expected["smpl_thetas"][:, 3:66])
    np.testing.assert_array_equal(meshes.estimate.betas, expected["smpl_betas"])
    assert meshes.estimate.valid.all()
    assert meshes.estimate.body == "smpl"
    assert (meshes.camera.width, meshes.camera.height) == (camera.width, camera.height)
    np.testing.assert_allclose(meshes.camera.K, camera.K, atol=0.5)


def test_romp_without_child_beta_and_without_projection(tmp_path, joints, bev_results):
    results = bev_results([joints(200)])
    results["smpl_betas"] = results["smpl_betas"][:, :10]
    del results["pj2d_org"], results["center_confs"]
    boxed = np.empty((), object)
    boxed[()] = results
    np.savez(tmp_path / "a.npz", results=boxed)
    meshes = read_bev(tmp_path / "a.npz")
    assert meshes.camera is None
    assert meshes.estimate.betas.shape == (1, 11)
    assert meshes.estimate.betas[0, 10] == 0


@pytest.mark.parametrize("focal", [0.0, 1e-6, -1.0, 1e9])
def test_a_camera_that_no_lens_has_is_not_taken(tmp_path, joints, camera, write_bev, focal):
    people = np.stack([joints(200), joints(600)])
    joined = np.concatenate([people, np.repeat(people[:, :1], 49, axis=1)], axis=1)
    pixels = joined[..., :2] / joined[..., 2:] * focal * camera.K[0, 0] + camera.K[:2, 2]
    assert read_bev(write_bev(tmp_path / "a.npz", people, pj2d_org=pixels)).camera is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -5.0, 0.0, 1e-30, 1e9])
def test_people_who_cannot_stand_before_the_camera_are_not_valid(tmp_path, joints, bev_results, write_bev, value):
    people = [joints(200), joints(600)]
    transl = bev_results(people)["cam_trans"]
    transl[0, 2] = value
    estimate = read_bev(write_bev(tmp_path / "a.npz", people, cam_trans=transl)).estimate
    assert estimate.valid.tolist() == [False, True]
    assert all((getattr(estimate, name)[0] == 0).all() for name in ("joints", "body_pose", "betas", "global_orient"))
    np.testing.assert_allclose(estimate.joints[1], people[1], atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"smpl_thetas": np.zeros((2, 71), np.float32)},
        {"smpl_thetas": np.zeros((3, 72), np.float32)},
        {"smpl_thetas": np.array([{}, {}])},
        {"smpl_thetas": [0.0] * 72},
        {"joints": np.zeros((2, 20, 3), np.float32)},
        {"joints": np.zeros((2, 71, 2), np.float32)},
        {"joints": np.array("text")},
        {"cam_trans": np.zeros(3, np.float32)},
        {"smpl_betas": np.zeros((2, 0), np.float32)},
        {"pj2d_org": np.zeros((1, 71, 2), np.float32)},
        {"smpl_thetas": np.zeros((201, 72), np.float32)},
    ],
)
def test_other_shapes_are_one_clear_sentence(tmp_path, joints, write_bev, changes):
    with pytest.raises(FormatError, match=r"a\.npz is not a BEV file: .+"):
        read_bev(write_bev(tmp_path / "a.npz", [joints(200), joints(600)], **changes))


def test_no_people_is_an_empty_estimate(tmp_path, write_bev):
    empty = {"cam_trans": np.zeros((0, 3)), "joints": np.zeros((0, 71, 3)), "pj2d_org": np.zeros((0, 71, 2))}
    empty |= {"smpl_thetas": np.zeros((0, 72)), "smpl_betas": np.zeros((0, 11))}
    boxed = np.empty((), object)
    boxed[()] = empty
    np.savez(tmp_path / "a.npz", results=boxed)
    meshes = read_bev(tmp_path / "a.npz")
    assert len(meshes.estimate.valid) == 0
    assert meshes.camera is None


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_code_inside_a_bev_dictionary_does_not_run(tmp_path, joints, write_bev):
    path = write_bev(tmp_path / "a.npz", [joints(200)], center_confs=Evil(tmp_path / "ran"))
    for read in (read_bev, read_meshes):
        with pytest.raises(UnsafeFileError, match=r"a\.npz was refused"):
            read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.real
def test_bev_on_the_photographs(real):
    for name, size in (("image_1", (1457, 971)), ("image_5", (1666, 2500))):
        meshes = read_bev(real / f"{name}_0.08.npz")
        camera = Camera.of_image(*size)
        assert meshes.estimate.valid.all()
        assert (meshes.camera.width, meshes.camera.height) == size
        np.testing.assert_allclose(meshes.camera.K, camera.K, rtol=2e-5)
        # The keypoints of both people lie on the projected joints: wrists and ears are where detectors see them.
        nose = read_openpose(real / f"{name}_keypoints.json")[:, 0, :2]
        head = project(meshes.estimate.joints, camera)[:, SMPL_JOINTS.index("head")]
        assert np.linalg.norm(nose[:, None] - head, axis=-1).min(axis=1).max() < 0.15 * size[1]


def smplx_file(path, people=2, **changes):
    generator = np.random.default_rng(0)
    arrays = {
        "global_orient": generator.normal(0, 0.1, (people, 3)),
        "body_pose": generator.normal(0, 0.1, (people, 63)),
        "betas": generator.normal(0, 1, (people, 10)),
        "transl": np.tile([0.0, 0.0, 3.0], (people, 1)),
        "left_hand_pose": np.zeros((people, 6)),
        "joints": np.tile([0.0, 0.0, 3.0], (people, 55, 1)),
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path, arrays


@pytest.mark.parametrize("count", [10, 11, 16, 300])
def test_smplx_parameters_with_any_number_of_betas(tmp_path, count):
    path, arrays = smplx_file(tmp_path / "a.npz", betas=np.ones((2, count)))
    meshes = read_smplx(path)
    assert meshes.estimate.body == "smplx"
    assert meshes.camera is None
    np.testing.assert_allclose(meshes.estimate.body_pose.reshape(2, 63), arrays["body_pose"], rtol=1e-6)
    assert (meshes.estimate.betas[:, :10] == 1).all()
    assert (meshes.estimate.betas[:, 10] == (count == 11)).all()


def test_smplx_parameters_without_joints_need_a_body(tmp_path):
    with pytest.raises(FormatError, match="'joints' is missing, and no body model was given"):
        read_smplx(smplx_file(tmp_path / "a.npz", joints=None)[0])


def test_a_body_poses_smplx_parameters_without_joints(tmp_path, body):
    path, arrays = smplx_file(tmp_path / "a.npz", joints=None)
    params = BodyParams(
        global_orient=np.float32(arrays["global_orient"]),
        body_pose=np.float32(arrays["body_pose"]).reshape(2, 21, 3),
        betas=np.column_stack([arrays["betas"], np.zeros(2)]).astype(np.float32),
        transl=np.float32(arrays["transl"]),
    )
    estimate = read_smplx(path, body=body).estimate
    assert estimate.valid.all()
    np.testing.assert_allclose(estimate.joints, body.forward(params).joints[:, :22], atol=1e-5)


@pytest.mark.parametrize("name", ["global_orient", "body_pose", "betas", "transl"])
def test_smplx_parameters_that_lack_one_are_refused(tmp_path, name):
    with pytest.raises(FormatError, match=f"'{name}' is missing"):
        read_smplx(smplx_file(tmp_path / "a.npz", **{name: None})[0])


def test_the_kind_of_an_npz_is_seen_from_its_arrays(tmp_path, joints, write_bev):
    assert read_meshes(write_bev(tmp_path / "a.npz", [joints(200)])).estimate.source == "bev"
    assert read_meshes(smplx_file(tmp_path / "b.npz")[0]).estimate.source == "smplx"
    np.savez(tmp_path / "c.npz", poses=np.zeros(3))
    with pytest.raises(FormatError, match=r"c\.npz holds neither"):
        read_meshes(tmp_path / "c.npz")


@settings(max_examples=50, deadline=None)
@given(
    name=st.sampled_from(["smpl_thetas", "smpl_betas", "cam_trans", "joints", "pj2d_org"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.floats(width=32),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
)
def test_any_number_and_any_damage_ends_in_meshes_or_a_typed_error(
    tmp_path_factory, joints, bev_results, write_bev, name, place, value, edits
):
    people = [joints(200), joints(600)]
    array = bev_results(people)[name]
    array.flat[int(place * array.size)] = value
    path = write_bev(tmp_path_factory.mktemp("bev") / "a.npz", people, **{name: array})
    data = bytearray(path.read_bytes())
    for position, byte in edits:
        data[int(position * len(data))] = byte
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        estimate = read_bev(path).estimate
        assert np.isfinite(estimate.joints).all()
        assert (estimate.joints[estimate.valid][..., 2] > 0).all()
