"""Proposals: who could touch whom, whatever the order of the file, the size of the image or its mirror."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.formats import gather
from apu.propose import ProposeOptions, propose, torso_length
from apu.types import KEYPOINTS, NUM_BETAS, SMPL_JOINTS, Camera, MeshEstimate, mirror_name

WIDTH, HEIGHT = 1200, 900
CAMERA = Camera.of_image(WIDTH, HEIGHT)
MIRROR = [KEYPOINTS.index(mirror_name(name)) for name in KEYPOINTS]
JOINT_MIRROR = [SMPL_JOINTS.index(mirror_name(name)) for name in SMPL_JOINTS]
PLACES = {
    "nose": (0, -0.95), "neck": (0, -0.8), "eye": (0.03, -1.0), "ear": (0.08, -0.97), "shoulder": (0.2, -0.8),
    "elbow": (0.28, -0.55), "wrist": (0.3, -0.3), "hip": (0.1, -0.3), "mid_hip": (0, -0.3), "knee": (0.1, 0.1),
    "ankle": (0.1, 0.5), "big_toe": (0.12, 0.58), "small_toe": (0.16, 0.57), "heel": (0.09, 0.54),
}  # fmt: skip
TORSO = 0.5


def skeleton(names):
    """Metres from the pelvis; facing the camera, so that the person's left is at +x. Fingers are at the wrist."""
    places = []
    for name in names:
        x, y = PLACES.get(name.removeprefix("left_").removeprefix("right_"), PLACES["wrist"])
        places.append((-x if name.startswith("right_") else x, y))
    return np.array(places)


def person(x, *, y=480.0, scale=250.0):
    places = skeleton(KEYPOINTS) * scale + (x, y)
    return np.column_stack([places, np.full(67, 0.9)]).astype(np.float32)


def people(*places, **options):
    return np.stack([person(x, **options) for x in places])


def meshes(*places, scale=250.0, y=480.0, valid=True):
    depth = CAMERA.K[0, 0] / scale
    joints = np.concatenate([skeleton(SMPL_JOINTS), np.zeros((22, 1))], axis=1)
    centres = [((x - WIDTH / 2) / scale, (y - HEIGHT / 2) / scale, depth) for x in places]
    count = len(places)
    return MeshEstimate(
        global_orient=np.zeros((count, 3), np.float32),
        body_pose=np.zeros((count, 21, 3), np.float32),
        betas=np.zeros((count, NUM_BETAS), np.float32),
        joints=(joints + np.reshape(centres, (-1, 1, 3))).astype(np.float32),
        valid=np.full(count, valid),
    )


def none(count):
    return meshes(*[0.0] * count, valid=False)


def run(keypoints, estimate=None, camera=CAMERA, **options):
    estimate = none(len(keypoints)) if estimate is None else estimate
    return propose(keypoints, estimate, camera, image="a.jpg", options=ProposeOptions(**options))


def test_near_people_are_a_pair_and_far_ones_are_not():
    result = run(people(200, 330, 900), meshes(200, 330, 900), reach=0.6)
    assert [pair.boxes[:, 0].round().tolist() for pair in result.pairs] == [[125, 255]]
    assert result.counts == {"kept": 1, "distance": 2}
    (pair,) = result.pairs
    assert pair.estimate.valid.all()
    assert (pair.image, pair.camera) == ("a.jpg", CAMERA)


def test_each_drop_has_its_people_rule_and_one_sentence():
    keypoints = people(200, 330, 900, 331, 600)
    keypoints[3, :, 2] = 0.8  # a second detection of person 2
    keypoints[4, 5:, 2] = 0
    estimate = meshes(200, 700, 900, 331, 600)
    result = run(keypoints, estimate)
    reasons = {(d.people, d.rule): d.reason for d in result.dropped}
    assert reasons == {
        ((4,), "keypoints"): "person 5 has 5 valid keypoints, fewer than 6",
        ((3,), "duplicate"): "person 4 is a second detection of another person",
        ((1,), "mesh"): reasons[(1,), "mesh"],
        ((0, 2), "distance"): reasons[(0, 2), "distance"],
        ((1, 2), "distance"): reasons[(1, 2), "distance"],
    }
    assert reasons[(1,), "mesh"].startswith("the mesh of person 2 lies 0.94 of the person's size from the keypoints")
    assert "0 keypoints within 75 px (0.6 torso lengths)" in reasons[(0, 2), "distance"]
    (pair,) = result.pairs
    assert pair.estimate.valid.tolist() == [True, False]
    assert (pair.estimate.joints[1] == 0).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_any_number_of_people(count):
    assert (
        len(run(people(*[200, 330, 460][:count]) if count else np.zeros((0, 67, 3), np.float32)).pairs)
        == [0, 0, 1, 2][count]
    )


def test_people_without_meshes_still_form_pairs():
    (pair,) = run(people(200, 330)).pairs
    assert not pair.estimate.valid.any()


def test_people_without_any_keypoint_form_none():
    keypoints = people(200, 330)
    keypoints[..., 2] = 0
    assert run(keypoints).counts == {"kept": 0, "keypoints": 2}


def test_the_estimate_must_be_of_the_same_people():
    with pytest.raises(ValueError, match="2 people, got 3"):
        run(people(200, 330), none(3))


@pytest.mark.parametrize(
    "bad", [{"reach": 0}, {"reach": np.nan}, {"min_close": 0}, {"min_confidence": 0}, {"mesh_error": -1}]
)
def test_options_check_themselves(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ProposeOptions(**bad)


def same(a, b, *, scale=1.0):
    assert len(a.pairs) == len(b.pairs)
    for p, q in zip(a.pairs, b.pairs, strict=True):
        np.testing.assert_allclose(q.boxes, p.boxes * scale, rtol=1e-4)
        np.testing.assert_allclose(q.keypoints[..., :2], p.keypoints[..., :2] * scale, rtol=1e-4)
        np.testing.assert_array_equal(q.estimate.valid, p.estimate.valid)
        np.testing.assert_allclose(q.estimate.joints, p.estimate.joints, atol=1e-5)


CROWD = st.lists(st.floats(100, 1100), min_size=0, max_size=5, unique=True)


@settings(max_examples=40, deadline=None)
@given(places=CROWD, data=st.data())
def test_the_order_of_people_does_not_matter(places, data):
    order = data.draw(st.permutations(range(len(places))))
    keypoints = people(*places) if places else np.zeros((0, 67, 3), np.float32)
    estimate = meshes(*places)
    first = run(keypoints, estimate)
    second = run(keypoints[list(order)], estimate.take(order))
    same(first, second)
    assert first.counts == second.counts


@settings(max_examples=40, deadline=None)
@given(places=CROWD, scale=st.floats(0.1, 10))
def test_the_size_of_the_image_does_not_matter(places, scale):
    if not places:
        return
    keypoints = people(*places)
    camera = Camera(K=np.diag([scale, scale, 1]) @ CAMERA.K, width=round(WIDTH * scale), height=round(HEIGHT * scale))
    large = keypoints * np.float32([scale, scale, 1])
    same(run(keypoints, meshes(*places)), run(large, meshes(*places), camera), scale=scale)


@settings(max_examples=40, deadline=None)
@given(places=CROWD, reach=st.floats(0.1, 3))
def test_the_mirror_image_gives_the_mirrored_pairs(places, reach):
    if not places:
        return
    keypoints, estimate = people(*places), meshes(*places)
    mirrored = keypoints[:, MIRROR] * np.float32([-1, 1, 1]) + np.float32([WIDTH, 0, 0])
    joints = estimate.joints[:, JOINT_MIRROR] * np.float32([-1, 1, 1])
    flipped = MeshEstimate(**{**estimate.__dict__, "joints": joints})
    first, second = run(keypoints, estimate, reach=reach), run(mirrored, flipped, reach=reach)
    if "duplicate" in first.counts:
        return
    assert first.counts == second.counts
    expected = sorted((WIDTH - pair.boxes[::-1][:, [2, 1, 0, 3]]).round(1)[:, [0, 2]].tolist() for pair in first.pairs)
    found = sorted(pair.boxes[:, [0, 2]].round(1).tolist() for pair in second.pairs)
    np.testing.assert_allclose(found, expected, atol=0.2)
    for pair in second.pairs:
        assert pair.boxes[0, [0, 2]].sum() <= pair.boxes[1, [0, 2]].sum()


def test_the_torso_falls_back_to_the_persons_size():
    everyone = np.ones(67, bool)
    whole = person(300)
    assert torso_length(whole, everyone) == pytest.approx(TORSO * 250)
    hips = [KEYPOINTS.index(f"{side}_hip") for side in ("left", "right")]
    shoulders = [KEYPOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
    flat = whole.copy()
    flat[hips, :2] = flat[shoulders, :2]
    size = np.ptp(whole[:, 1])
    assert torso_length(flat, everyone) == pytest.approx(0.25 * size)
    cut = everyone.copy()
    cut[hips] = False
    assert torso_length(whole, cut) == pytest.approx(0.25 * size)
    assert torso_length(whole, ~everyone) == 0


def test_keypoints_at_the_border_bring_nobody_together():
    """Two people far apart whose feet the border cut off, so that a detector drew them to the same place."""
    keypoints = people(300, 800)
    feet = [i for i, name in enumerate(KEYPOINTS) if any(p in name for p in ("ankle", "toe", "heel"))]
    keypoints[:, feet, :2] = (550, HEIGHT - 5)
    assert run(keypoints).counts == {"kept": 0, "distance": 1}


def test_boxes_stay_inside_the_image():
    (pair,) = run(people(20, 150)).pairs
    assert pair.boxes[0, 0] == 0
    assert (pair.boxes[:, 2:] > pair.boxes[:, :2]).all()


@pytest.mark.real
def test_the_photographs_give_one_pair_each(real):
    for found in gather(real):
        result = propose(found.people.keypoints, found.people.estimate, found.people.camera, image=found.path.name)
        assert result.counts == {"kept": 1}
        (pair,) = result.pairs
        assert pair.estimate.valid.all()
        assert pair.boxes[0, [0, 2]].sum() < pair.boxes[1, [0, 2]].sum()
