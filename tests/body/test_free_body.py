"""The shipped file: what it holds, that smplx takes it as its own, and every convention of SMPL-X's layout."""

import hashlib
import json
import warnings

import numpy as np
import pytest
import smplx
from scipy.spatial import KDTree
from smplx.vertex_ids import vertex_ids

from apu.body.rig import JOINTS
from apu.files import asset
from apu.types import KEYPOINTS, SMPL_JOINTS, BodyParams, mirror_name

FOLDER = asset("body/SHA256SUMS").parent
POINTS = vertex_ids["smplx"]
FLIP = np.array([-1.0, 1.0, 1.0])
AGES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def data():
    with np.load(FOLDER / "smplx/SMPLX_NEUTRAL.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def params(pose=None, *, betas=(), **fields):
    rotations = np.zeros((1, 21, 3), np.float32)
    for joint, degrees in (pose or {}).items():
        rotations[0, SMPL_JOINTS.index(joint) - 1] = np.radians(degrees)
    shape = np.zeros((1, 11), np.float32)
    shape[0, : len(betas)] = betas
    zeros = np.zeros((1, 3), np.float32)
    return BodyParams(**{"global_orient": zeros, "body_pose": rotations, "betas": shape, "transl": zeros} | fields)


def posed(body, pose=None, **rest):
    """Vertices (V, 3) and joints by name, in the body's own axes; angles in degrees."""
    out = body.forward(params(pose, **rest))
    return out.vertices[0], dict(zip(JOINTS, out.joints[0], strict=True))


def kid(value):
    return [0] * 10 + [value]


def test_shipped_files_match_their_checksums():
    sums = dict(reversed(line.split()) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == {"smplx/SMPLX_NEUTRAL.npz", "smplx_kid_template.npy", "regions.json", "build.json"}
    for name, expected in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == expected, name


def test_build_record_names_seed_versions_and_errors_but_no_machine():
    text = (FOLDER / "build.json").read_text()
    record = json.loads(text)
    assert record["name"] == "anny-free"
    assert record["seed"] == 0
    assert {"anny", "numpy", "scipy", "smplx", "torch"} <= record["versions"].keys()
    assert "/" not in text
    assert record["measured"]["posed_surface_mm_mean"] < 3
    assert record["measured"]["posed_joints_mm_mean"] < 3
    assert record["measured"]["shape_adults_mm_mean"] < 2


def test_file_holds_plain_arrays_in_smplx_layout(data):
    count = len(data["v_template"])
    assert str(data["apu_name"]) == "anny-free"
    assert data["shapedirs"].shape == (count, 3, 400)
    assert not data["shapedirs"][..., 10:].any()
    assert data["posedirs"].shape == (count, 3, 486)
    assert data["J_regressor"].shape == (55, count)
    assert data["kintree_table"].shape == (2, 55)
    assert data["f"].min() == 0
    assert data["f"].max() == count - 1
    np.testing.assert_allclose(data["weights"].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(data["J_regressor"].sum(1), 1, atol=1e-4)


def test_smplx_loads_the_file_unchanged_with_eleven_betas_and_not_a_word(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = smplx.SMPLX(
            str(FOLDER / "smplx"), age="kid", kid_template_path=str(FOLDER / "smplx_kid_template.npy"), num_betas=10
        )
        output = model()
    assert model.betas.shape == (1, 11)
    assert output.joints.shape == (1, 55 + 21 + 51, 3)
    assert capsys.readouterr().out == ""


def test_surface_is_closed_and_turned_outwards(body):
    vertices = body.smplx.v_template.numpy().astype(float)
    corners = vertices[body.faces]
    assert 0.04 < np.einsum("fc,fc->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6 < 0.12
    edges = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    forth, back = ({tuple(edge) for edge in e.tolist()} for e in (edges, edges[:, ::-1]))
    assert forth == back
    assert len(forth) == len(edges)


def test_axes_are_y_up_facing_z_left_at_x(body):
    vertices, joint = posed(body)
    assert np.ptp(vertices[:, 1]) == pytest.approx(1.70, abs=0.02)
    assert joint["left_wrist"][0] > 0.5
    assert joint["right_wrist"][0] < -0.5
    assert joint["head"][1] > joint["pelvis"][1] > joint["left_ankle"][1]
    assert vertices[POINTS["nose"], 2] > joint["head"][2] + 0.05
    assert vertices[POINTS["LBigToe"], 2] > joint["left_ankle"][2] + 0.1


def test_rest_is_a_t_pose(body):
    _, joint = posed(body)
    arm = np.stack([joint["left_shoulder"], joint["left_elbow"], joint["left_wrist"]])
    assert np.ptp(arm[:, 1:], axis=0).max() < 0.005
    leg = joint["left_ankle"] - joint["left_hip"]
    assert np.degrees(np.arctan2(np.hypot(leg[0], leg[2]), -leg[1])) == pytest.approx(2, abs=0.5)
    knee = joint["left_knee"] - joint["left_hip"]
    assert np.linalg.norm(np.cross(leg, knee)) / np.linalg.norm(leg) < 0.002


def test_soles_are_flat(body):
    vertices, joint = posed(body)
    ground = vertices[:, 1].min()
    foot = vertices[vertices[:, 1] < ground + 0.015]
    assert np.ptp(foot[:, 2]) > 0.2
    assert abs(vertices[POINTS["LHeel"], 1] - vertices[POINTS["LBigToe"], 1]) < 0.03
    assert joint["left_ankle"][1] - ground < 0.12


def test_palms_face_down_and_thumbs_forward(body):
    _, joint = posed(body)
    assert joint["left_thumb3"][2] > joint["left_index3"][2] > joint["left_pinky3"][2] + 0.05
    vertices, _ = posed(body)
    for side in "lr":  # fingers curl towards the palm, below the line of the arm
        tips = vertices[[POINTS[f"{side}{finger}"] for finger in ("index", "middle", "ring", "pinky")]]
        assert (tips[:, 1] < joint["left_wrist"][1]).all()


@pytest.mark.parametrize(
    ("pose", "moved", "axis", "sign"),
    [
        ({"left_elbow": (0, -90, 0)}, "left_wrist", 2, 1),
        ({"right_elbow": (0, 90, 0)}, "right_wrist", 2, 1),
        ({"left_knee": (90, 0, 0)}, "left_ankle", 2, -1),
        ({"right_knee": (90, 0, 0)}, "right_ankle", 2, -1),
        ({"left_hip": (-90, 0, 0)}, "left_knee", 2, 1),
        ({"right_hip": (-90, 0, 0)}, "right_knee", 2, 1),
        ({"left_shoulder": (0, 0, -90)}, "left_elbow", 1, -1),
        ({"right_shoulder": (0, 0, 90)}, "right_elbow", 1, -1),
        ({"spine1": (40, 0, 0)}, "head", 2, 1),
        ({"neck": (40, 0, 0)}, "head", 2, 1),
        ({"head": (0, 60, 0)}, "left_eye", 2, -1),
    ],
)
def test_joints_bend_as_in_smplx(body, pose, moved, axis, sign):
    _, rest = posed(body)
    _, bent = posed(body, pose)
    shift = bent[moved] - rest[moved]
    assert sign * shift[axis] > 0.02
    assert sign * shift[axis] >= 0.6 * np.abs(shift).max()


def test_a_bent_elbow_and_knee_stay_in_their_planes(body):
    _, joint = posed(body, {"left_elbow": (0, -90, 0), "left_knee": (90, 0, 0)})
    assert abs(joint["left_wrist"][1] - joint["left_elbow"][1]) < 0.01
    assert abs(joint["left_wrist"][0] - joint["left_elbow"][0]) < 0.01
    assert abs(joint["left_ankle"][0] - joint["left_knee"][0]) < 0.02


def test_skin_keeps_clear_of_an_elbow_bent_by_a_right_angle(body):
    """Elbow and knee do not collapse: their skin stays 2 cm from the joint at least on average."""
    for pose, name in (({"left_elbow": (0, -90, 0)}, "left_elbow"), ({"left_knee": (90, 0, 0)}, "left_knee")):
        rest, joint = posed(body)
        ring = KDTree(rest).query(joint[name], k=20)[1]
        bent, moved = posed(body, pose)
        assert np.linalg.norm(bent[ring] - moved[name], axis=1).mean() > 0.02


def test_hands_are_relaxed_by_default_and_flat_on_request(body):
    relaxed, _ = posed(body)
    mean = np.concatenate([body.smplx.left_hand_mean, body.smplx.right_hand_mean]).reshape(1, 30, 3)
    flat, _ = posed(body, hand_pose=-mean)
    for tip in ("lmiddle", "rmiddle"):
        assert flat[POINTS[tip], 1] > relaxed[POINTS[tip], 1] + 0.01
        assert abs(flat[POINTS[tip], 0]) > abs(relaxed[POINTS[tip], 0])


def test_heights_fall_with_the_child_beta(body):
    heights = [np.ptp(posed(body, betas=kid(age))[0][:, 1]) for age in AGES]
    np.testing.assert_allclose(heights, [1.70, 1.45, 1.20, 0.95, 0.70], atol=0.02)


def test_first_beta_is_stature_and_one_standard_deviation(body):
    tall, short = (np.ptp(posed(body, betas=[beta])[0][:, 1]) for beta in (1.0, -1.0))
    assert (tall - short) / 2 == pytest.approx(0.106, abs=0.01)


def test_no_beta_moves_the_body(data, body):
    kid_template = np.load(FOLDER / "smplx_kid_template.npy")
    for array in (data["v_template"], kid_template, *np.moveaxis(data["shapedirs"][..., :10], -1, 0)):
        assert np.abs(array.mean(0, dtype=np.float64)).max() < 1e-6
    loaded = body.smplx.v_template + body.smplx.shapedirs[..., 10]
    np.testing.assert_allclose(loaded.numpy(), kid_template, atol=1e-6)


def test_children_have_larger_heads_for_their_height(body):
    def head_share(age):
        vertices, joint = posed(body, betas=kid(age))
        return (vertices[:, 1].max() - joint["head"][1]) / np.ptp(vertices[:, 1])

    shares = [head_share(age) for age in AGES]
    assert shares == sorted(shares)
    assert shares[-1] > 1.3 * shares[0]


def winding(point, corners):
    """How often a closed surface winds around a point: 1 inside, 0 outside (sum of solid angles)."""
    a, b, c = np.moveaxis(corners - point, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    volume = np.einsum("fc,fc->f", a, np.cross(b, c))
    dots = la * lb * lc + np.einsum("fc,fc->f", a, b) * lc + np.einsum("fc,fc->f", b, c) * la
    return np.arctan2(volume, dots + np.einsum("fc,fc->f", c, a) * lb).sum() / (2 * np.pi)


@pytest.mark.parametrize("betas", [*np.random.default_rng(1).normal(0, 1, (3, 10)), kid(0.5), kid(1.0)])
def test_joints_lie_inside_the_body_in_every_shape(body, betas):
    vertices, joint = posed(body, {"left_shoulder": (0, 0, -60), "right_elbow": (0, 60, 0)}, betas=betas)
    corners = vertices[body.skin_faces].astype(float)
    for name in SMPL_JOINTS:
        assert winding(joint[name], corners) == pytest.approx(1, abs=1e-3), name


def test_smplx_surface_points_lie_where_their_names_say(body):
    vertices, joint = posed(body)
    at = {name: vertices[index] for name, index in POINTS.items()}
    head = vertices[vertices[:, 1] > joint["head"][1] - 0.05]
    head = head[np.abs(head[:, 0]) < 0.12]
    assert at["nose"][2] == head[:, 2].max()
    assert abs(at["nose"][0]) < 1e-6
    for side, name in (("l", "left"), ("r", "right")):
        assert np.linalg.norm(at[f"{side}eye"] - joint[f"{name}_eye"]) < 0.02
        assert at[f"{side}eye"][2] > joint[f"{name}_eye"][2]
        assert abs(at[f"{side}ear"][0]) > 0.06
        assert abs(at[f"{side}ear"][1] - at[f"{side}eye"][1]) < 0.05
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            last, knuckle = joint[f"{name}_{finger}3"], joint[f"{name}_{finger}2"]
            tip = at[side + finger]
            assert 0.01 < np.linalg.norm(tip - last) < 0.05
            assert (tip - last) @ (last - knuckle) > 0
        upper = side.upper()
        assert at[f"{upper}Heel"][2] < joint[f"{name}_ankle"][2] - 0.03
        assert at[f"{upper}BigToe"][2] > joint[f"{name}_foot"][2]
        assert abs(at[f"{upper}SmallToe"][0]) > abs(at[f"{upper}BigToe"][0]) + 0.02


def test_left_is_positive_x_and_mirrors_right_at_all_surface_points(body):
    vertices = body.smplx.v_template.numpy()
    for name, index in POINTS.items():
        if name[0] in "lL":
            other = POINTS[("r" if name[0] == "l" else "R") + name[1:]]
            assert vertices[index, 0] > 0
            np.testing.assert_allclose(vertices[index] * FLIP, vertices[other], atol=1e-6)


def test_body_is_mirror_symmetric_in_shape_and_motion(body):
    rest = body.smplx.v_template.numpy()
    distance, mirror = KDTree(rest).query(rest * FLIP)
    assert distance.max() < 1e-6
    rng = np.random.default_rng(2)
    pose = {joint: rng.normal(0, 20, 3) for joint in SMPL_JOINTS[1:]}
    image = {mirror_name(joint): angles * (1, -1, -1) for joint, angles in pose.items()}
    betas = rng.normal(0, 1, 11)
    ours, theirs = posed(body, pose, betas=betas)[0], posed(body, image, betas=betas)[0]
    np.testing.assert_allclose(ours[mirror] * FLIP, theirs, atol=1e-5)


def test_keypoint_weights_are_convex_and_mirror_symmetric(data, body):
    index, weight = data["keypoint_index"], data["keypoint_weight"]
    assert index.shape == weight.shape
    assert len(index) == len(KEYPOINTS) == 67
    assert weight.min() >= 0
    np.testing.assert_allclose(weight.sum(1), 1, atol=1e-5)
    found = dict(zip(KEYPOINTS, body.keypoints(params())[0], strict=True))
    for name, place in found.items():
        np.testing.assert_allclose(place * FLIP, found[mirror_name(name)], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("betas", [kid(0.0), kid(0.5), kid(1.0), [2.0, -1.0, 1.0]])
def test_keypoints_lie_at_what_detectors_mark(body, betas):
    vertices, joint = posed(body, betas=betas)
    size = np.ptp(vertices[:, 1])
    found = dict(zip(KEYPOINTS, body.keypoints(params(betas=betas))[0], strict=True))
    for name, radius in (("elbow", 0.02), ("wrist", 0.02), ("knee", 0.02), ("ankle", 0.03), ("eye", 0.02)):
        assert np.linalg.norm(found[f"left_{name}"] - joint[f"left_{name}"]) < radius * size, name
    for name, point in (
        ("nose", "nose"),
        ("left_big_toe", "LBigToe"),
        ("left_small_toe", "LSmallToe"),
        ("left_heel", "LHeel"),
    ):
        assert np.linalg.norm(found[name] - vertices[POINTS[point]]) < 0.03 * size, name
    for finger in ("thumb", "index", "middle", "ring", "pinky"):
        np.testing.assert_allclose(found[f"left_{finger}_tip"], vertices[POINTS[f"l{finger}"]], atol=1e-5)
        for i in (1, 2, 3):
            assert np.linalg.norm(found[f"left_{finger}{i}"] - joint[f"left_{finger}{i}"]) < 0.006 * size
    np.testing.assert_allclose(found["neck"], (found["left_shoulder"] + found["right_shoulder"]) / 2, atol=1e-5)
    np.testing.assert_allclose(found["mid_hip"], (found["left_hip"] + found["right_hip"]) / 2, atol=1e-5)


def test_face_landmarks_lie_on_the_face(body):
    vertices, joint = posed(body)
    for faces in (body.smplx.lmk_faces_idx, body.smplx.lmk_faces_idx[-20:]):
        places = vertices[body.faces[faces.numpy()]].mean(1)
        assert (places[:, 2] > joint["head"][2]).all()
        assert (np.abs(places[:, 0]) < 0.08).all()
    eyes, mouth = vertices[body.faces[body.smplx.lmk_faces_idx.numpy()]].mean(1)[[19, 40]]
    assert mouth[1] < vertices[POINTS["nose"], 1] < eyes[1]
