"""How the body is made: the T-pose of MakeHuman's rig, the baked tables, and the file against Anny itself."""

import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu.body import bake, rig
from apu.body.accuracy import anny_posed, fit_betas
from apu.body.build import build_body, shape_space, vertex_order
from apu.body.source import Anny, Bodies
from apu.errors import InputError
from apu.files import asset
from apu.types import KEYPOINTS, mirror_name

FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def file(body):
    """The free body's arrays in float64."""
    model = body.smplx
    names = ("v_template", "shapedirs", "J_regressor", "lbs_weights")
    return {name: getattr(model, name).numpy().astype(float) for name in names}


@pytest.fixture(scope="module")
def basis(file):
    """Template and 11 directions: vertices (12, V, 3) and joints (12, 55, 3)."""
    vertices = np.concatenate([file["v_template"][None], np.moveaxis(file["shapedirs"], 2, 0)])
    return vertices, np.einsum("jv,svc->sjc", file["J_regressor"], vertices)


def makehuman_rig(joints, rng):
    """A rest pose with MakeHuman's bone names: the joints with the limbs turned at random, the same on both sides."""
    bones = {"root": ("", 0), "spine05": ("root", 0), "spine04": ("spine05", 0)}
    names = {joint: bone for joint, bone in rig._joint_heads().items()}
    for joint, parent in zip(rig.JOINTS[1:], rig.PARENTS[1:], strict=True):
        bones[names[joint]] = (names.get(rig.JOINTS[parent], "spine04"), rig.JOINTS.index(joint))
    for side in "LR":
        bones |= {f"toe{i}-1.{side}": (f"foot.{side}", 0) for i in (1, 3, 4, 5)}
    turns = {joint: rng.normal(0, 0.15, 3) for joint in rig.JOINTS if "right" not in joint and "eye" not in joint}
    turns["left_elbow"] = np.array([0.0, -0.7, 0.0])
    turns["left_shoulder"] = np.array([0.1, 0.1, -0.8])
    local = {}
    for joint in rig.JOINTS:
        left = turns.get(joint if joint in turns else mirror_name(joint), np.zeros(3))
        sign = (1, -1, -1) if "right" in joint else (1, 1, 1)
        centre = (1, 0, 0) if mirror_name(joint) == joint else (1, 1, 1)
        local[joint] = Rotation.from_rotvec(left * sign * centre).as_matrix()
    world, place = [local["pelvis"]], [joints[0]]
    for joint, parent in zip(range(1, 55), rig.PARENTS[1:], strict=True):
        world.append(world[parent] @ local[rig.JOINTS[joint]])
        place.append(place[parent] + world[parent] @ (joints[joint] - joints[parent]))
    heads = np.array([place[joint] for _, joint in bones.values()])
    order = list(bones)
    parents = [order.index(parent) if parent else -1 for parent, _ in bones.values()]
    return heads, order, parents


def test_smplx_axes_turn_z_up_into_y_up_without_mirroring():
    axes = rig.smplx_axes(np.eye(3))
    np.testing.assert_array_equal(axes, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert np.linalg.det(axes) == pytest.approx(1)


def test_joints_and_parents_are_smplx_own(body):
    assert len(rig.JOINTS) == len(set(rig.JOINTS)) == 55
    assert list(rig.PARENTS) == body.smplx.parents.tolist()
    assert rig.JOINTS[25:31] == (
        "left_index1",
        "left_index2",
        "left_index3",
        "left_middle1",
        "left_middle2",
        "left_middle3",
    )
    assert rig.JOINTS[52] == "right_thumb1"


def test_a_rig_without_the_needed_bones_is_a_callers_mistake():
    with pytest.raises(ValueError, match="jaw"):
        rig.joint_of_bone(["root"], [-1])


@pytest.mark.parametrize("seed", range(3))
def test_any_rest_pose_becomes_the_same_t_pose(basis, seed):
    joints = basis[1][0]
    heads, bones, parents = makehuman_rig(joints, np.random.default_rng(seed))
    pose = rig.t_pose(heads, bones, parents)
    at = dict(zip(bones, pose.heads, strict=True))
    rest = dict(zip(bones, heads, strict=True))
    for side, sign in (("L", 1), ("R", -1)):
        arm = [at[f"{bone}.{side}"] for bone in ("upperarm01", "lowerarm01", "wrist", "finger3-1")]
        for start, end in pairwise(arm):
            np.testing.assert_allclose((end - start) / np.linalg.norm(end - start), [sign, 0, 0], atol=1e-9)
        across = at[f"finger2-1.{side}"] - at[f"finger5-1.{side}"]
        assert across[2] > 0
        assert abs(across[1]) < 1e-9
        for finger in (2, 3, 4, 5):
            line = np.diff([at[f"finger{finger}-{i}.{side}"] for i in (1, 2, 3)], axis=0)
            np.testing.assert_allclose(line[:, 1], 0, atol=1e-9)
        hip, knee, ankle = (at[f"{bone}.{side}"] for bone in ("upperleg01", "lowerleg01", "foot"))
        np.testing.assert_allclose(np.cross(knee - hip, ankle - knee), 0, atol=1e-9)
        for bone in ("upperarm01", "lowerarm01", "upperleg01"):  # an elbow or knee bends from there as SMPL-X's does
            turn = pose.rotations[bones.index(f"{bone}.{side}")]
            assert np.linalg.det(turn) == pytest.approx(1)
        hinge = np.cross(
            rest[f"lowerarm01.{side}"] - rest[f"upperarm01.{side}"], rest[f"wrist.{side}"] - rest[f"lowerarm01.{side}"]
        )
        turned = pose.rotations[bones.index(f"upperarm01.{side}")] @ hinge
        np.testing.assert_allclose(turned / np.linalg.norm(turned), [0, -sign, 0], atol=1e-9)
    length = np.linalg.norm(heads[1:] - heads[parents[1:]], axis=1)
    np.testing.assert_allclose(np.linalg.norm(pose.heads[1:] - pose.heads[parents[1:]], axis=1), length, atol=1e-9)
    places = rig.joint_places(pose, bones)
    mirror = [rig.JOINTS.index(mirror_name(joint)) for joint in rig.JOINTS]
    np.testing.assert_allclose(places[mirror] * FLIP, places, atol=1e-9)


def test_skinning_with_the_rest_pose_changes_nothing(file):
    points, weights = file["v_template"], file["lbs_weights"]
    heads = file["J_regressor"] @ points
    still = rig.TPose(np.tile(np.eye(3), (55, 1, 1)), heads)
    np.testing.assert_allclose(rig.skin(points, heads, still, weights), points, atol=1e-6)


def test_shape_space_holds_the_mean_the_child_and_unit_variance():
    rng = np.random.default_rng(0)
    scale = 0.05 / np.arange(1, 13)
    directions = rng.normal(0, 1, (12, 30, 3))
    people = np.einsum("nk,kvc->nvc", rng.normal(0, scale, (200, 12)), directions) + rng.normal(0, 1, (30, 3))
    kid = people[:1] * 0.4
    space, explained = shape_space(Bodies(people, people[:, :55]), Bodies(kid, kid[:, :55]))
    np.testing.assert_allclose(space.vertices[0], people.mean(0), atol=1e-12)
    np.testing.assert_allclose(space.vertices[0] + space.vertices[11], kid[0], atol=1e-12)
    flat = space.vertices[1:11].reshape(10, -1)
    scores = (people - people.mean(0)).reshape(200, -1) @ np.linalg.pinv(flat)
    np.testing.assert_allclose(scores.std(0), 1, atol=1e-6)
    np.testing.assert_allclose(space.joints, space.vertices[:, :55], atol=1e-6)
    assert 0.9 < explained < 1


def test_joint_regressor_gives_inner_joints_of_every_shape(basis):
    vertices, joints = basis
    regressor = bake.joint_regressor(joints, vertices)
    np.testing.assert_allclose(regressor.sum(1), 1, atol=1e-9)
    assert (np.count_nonzero(regressor, axis=1) <= bake.JOINT_SUPPORT).all()
    rng = np.random.default_rng(0)
    betas = np.concatenate([np.ones((20, 1)), rng.normal(0, 1, (20, 10)), rng.uniform(0, 1, (20, 1))], axis=1)
    bodies, wanted = np.tensordot(betas, vertices, 1), np.tensordot(betas, joints, 1)
    assert np.linalg.norm(np.einsum("jv,nvc->njc", regressor, bodies) - wanted, axis=-1).max() < 0.001


def test_sparse_keypoint_follows_the_dense_one_in_shape_and_pose(file, basis):
    vertices, joints = basis
    weights = file["lbs_weights"]
    elbow = rig.JOINTS.index("left_elbow")
    dense = np.exp(-(np.linalg.norm(vertices[0] - joints[0, elbow], axis=1) ** 2) / 0.04**2)
    dense /= dense.sum()
    ids, values = bake.sparse_keypoint(dense, vertices, weights)
    assert len(ids) <= 64
    assert values.min() > 0
    assert values.sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        betas = np.concatenate([[1], rng.normal(0, 1, 10), rng.uniform(0, 1, 1)])
        points, heads = np.tensordot(betas, vertices, 1), np.tensordot(betas, joints, 1)
        turns = np.tile(np.eye(3), (55, 1, 1))
        turns[elbow] = Rotation.from_rotvec([0, -rng.uniform(0, 2), 0]).as_matrix()
        posed = rig.skin(points, heads, rig.TPose(turns, heads), weights)
        assert np.linalg.norm(values @ posed[ids] - dense @ posed) < 0.003


def test_ring_keypoint_lies_at_its_joint(file, basis):
    vertices, joints = basis
    joint = rig.JOINTS.index("left_middle2")
    ids, values = bake.ring_keypoint(joint, joints, vertices, file["lbs_weights"])
    assert values.sum() == pytest.approx(1)
    assert np.linalg.norm(values @ vertices[0, ids] - joints[0, joint]) < 0.003


def test_pose_correctives_vanish_where_one_joint_rules():
    shift = np.zeros((2, 55, 3))
    shift[0, rig.JOINTS.index("left_elbow")] = (0.01, 0, 0)
    shift[0, rig.JOINTS.index("left_shoulder")] = (-0.01, 0, 0)
    correctives = bake.pose_correctives(shift).reshape(2, 3, 54, 3, 3)
    assert not correctives[1].any()
    used = np.flatnonzero(np.abs(correctives[0]).sum((0, 2, 3)))
    assert [rig.JOINTS[j + 1] for j in used] == ["left_elbow"]
    turn = Rotation.from_rotvec([0, -0.3, 0]).as_matrix()
    feature = np.zeros((54, 3, 3))
    feature[rig.JOINTS.index("left_elbow") - 1] = turn - np.eye(3)
    moved = np.einsum("cjrk,jrk->c", correctives[0], feature)
    np.testing.assert_allclose(moved, (turn - np.eye(3)) @ (0.01, 0, 0), atol=1e-12)


def test_hand_components_are_orthonormal_and_mirrored():
    left, right = bake.hand_components()
    np.testing.assert_allclose(left @ left.T, np.eye(45), atol=1e-9)
    np.testing.assert_allclose(right, left * np.tile([1, -1, -1], 15), atol=1e-12)
    assert (left[0].reshape(5, 3, 3)[:4, :, 2] < 0).all()  # the first one curls the left fingers about -Z


def test_vertex_order_puts_the_points_where_smplx_looks():
    points = {"nose": 5, "leye": 9120, "rear": 9448, "lear": 7}
    order = vertex_order(points, 10_000)
    assert np.array_equal(np.sort(order), np.arange(10_000))
    assert order[[9120, 9448, 616, 6]].tolist() == [5, 9120, 9448, 7]


def test_keypoint_table_wants_every_keypoint():
    one = {name: (np.array([i]), np.ones(1)) for i, name in enumerate(KEYPOINTS) if name not in ("neck", "mid_hip")}
    index, weight = bake.keypoint_table(one)
    np.testing.assert_allclose(weight.sum(1), 1)
    shoulders = {KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")}
    assert set(index[KEYPOINTS.index("neck")].tolist()) == shoulders
    with pytest.raises(KeyError):
        bake.keypoint_table({name: support for name, support in one.items() if name != "nose"})


def test_building_without_anny_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(InputError, match=r"apu-review\[body\]"):
        build_body(tmp_path)


class TestAgainstAnny:
    """The shipped file against Anny's own forward pass."""

    @pytest.fixture(scope="class")
    def anny(self):
        paths = pytest.importorskip("anny.paths", reason="the extra `body` (anny) is not installed")
        if not paths.get_anny_cache_path().is_dir():
            pytest.skip("Anny has not been used here: `apu body build` fills its cache (740 MB), a test should not")
        return Anny()

    @pytest.mark.filterwarnings("ignore")
    def test_posed_body_is_anny_in_the_same_pose(self, anny, body):
        rng = np.random.default_rng(0)
        rotvec = rng.normal(0, 0.3, (55, 3))
        # One joint bends all toes in SMPL-X; in Anny each turns about its own base, so the feet stay straight here.
        rotvec[[0, 10, 11, 22, 23, 24]] = 0
        rotvec[25:] = np.concatenate([body.smplx.left_hand_mean, body.smplx.right_hand_mean]).reshape(30, 3)
        local = Rotation.from_rotvec(rotvec).as_matrix()
        phenotypes = anny.sample_adults(1, seed=7)
        (points,), (heads,) = anny.rest(phenotypes)
        ours, joints = anny_posed(anny, points, heads, local)

        world = local.copy()
        for joint, parent in enumerate(rig.PARENTS[1:], start=1):
            world[joint] = world[parent] @ local[joint]
        turn = world[anny.joint_of_bone] @ rig.t_pose(heads, anny.bones, anny.parents).rotations
        axes = rig.smplx_axes(np.eye(3)).T
        rest = anny.model(phenotype_kwargs=phenotypes)["rest_bone_poses"][0].numpy()
        pose = np.tile(np.eye(4), (1, len(turn), 1, 1))
        pose[0, :, :3, :3] = axes.T @ turn @ axes @ rest[:, :3, :3]
        out = anny.model(torch.tensor(pose), phenotypes, pose_parameterization="world-orient", return_bone_ends=True)
        theirs = rig.smplx_axes(out["vertices"][0].numpy())
        shift = theirs.mean(0) - ours.mean(0)
        np.testing.assert_allclose(ours + shift, theirs, atol=1e-6)
        bone = anny.bones.index("wrist.L")
        wrist = rig.smplx_axes(out["bone_heads"][0, bone].numpy()) - shift
        np.testing.assert_allclose(joints[rig.JOINTS.index("left_wrist")], wrist, atol=1e-6)

        order = np.load(asset("body/smplx/SMPLX_NEUTRAL.npz"))["anny_vertex"]
        betas = fit_betas(body.smplx, anny.t_posed(phenotypes).vertices[:, order], kid=False)
        out = body.smplx(betas=betas, body_pose=torch.tensor(rotvec[None, 1:22].reshape(1, -1), dtype=torch.float32),
                         left_hand_pose=torch.zeros(1, 45), right_hand_pose=torch.zeros(1, 45))  # fmt: skip
        error = np.linalg.norm(out.vertices[0].numpy() - ours[order], axis=1)
        assert error.mean() < 0.004
        assert np.percentile(error, 95) < 0.009
        assert np.linalg.norm(out.joints[0, :55].numpy() - joints, axis=1).mean() < 0.004
