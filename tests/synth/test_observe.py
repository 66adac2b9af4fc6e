from dataclasses import fields, replace

import numpy as np
import pytest

from apu.camera import project
from apu.fit.start import initial_params
from apu.metrics import joint_pa_mpjpe, reprojection_error
from apu.synth.calibrate import alone
from apu.synth.detector import NOT_IN_VITPOSE, keypoints, visible
from apu.synth.estimator import estimate
from apu.synth.noise import EXACT, NOISE, AnswerNoise, DetectorNoise, EstimatorNoise, without
from apu.synth.observe import observe
from apu.synth.teller import answer
from apu.types import KEYPOINTS, SMPL_JOINTS, Side, mirror_name

INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
MIRROR = [INDEX[mirror_name(name)] for name in KEYPOINTS]


@pytest.fixture(scope="session")
def seen(body, scenes):
    return {scene.recipe.name: visible(scene, body) for scene in scenes}


@pytest.fixture(scope="session")
def truth(body, scenes):
    return {scene.recipe.name: project(body.keypoints(scene.params), scene.recipe.camera) for scene in scenes}


def of(scenes, name):
    return next(scene for scene in scenes if scene.recipe.name == name)


def only(**numbers):
    return replace(EXACT.detector, **numbers)


def detect(scene, body, seen, noise, seed=0):
    return keypoints(scene, body, seen[scene.recipe.name], np.random.default_rng(seed), noise=noise)


def test_hands_behind_a_back_are_hidden_and_noses_in_front_are_seen(scenes, seen):
    hug = seen["side_hug"]
    assert hug[:, INDEX["nose"]].all()
    assert not hug[0, INDEX["left_middle1"]]
    assert hug[0, INDEX["right_middle1"]]


def test_a_perfect_detector_marks_the_bodys_own_points(body, scenes, seen, truth):
    found = detect(of(scenes, "handshake"), body, seen, EXACT.detector)
    marked = found[..., 2] > 0
    assert np.abs(found[..., :2] - truth["handshake"])[marked].max() < 1e-2
    assert not marked[:, [INDEX[name] for name in NOT_IN_VITPOSE]].any()


def test_hidden_keypoints_are_less_sure_less_right_and_sometimes_missing(body, scenes, seen, truth):
    errors, sure = {True: [], False: []}, {True: [], False: []}
    for scene in scenes:
        name = scene.recipe.name
        found = detect(scene, body, seen, NOISE.detector)
        error = np.linalg.norm(found[..., :2] - truth[name], axis=-1)
        for flag in (True, False):
            of_kind = seen[name] == flag
            errors[flag].extend(error[of_kind & (found[..., 2] > 0)])
            sure[flag].extend(found[..., 2][of_kind])
    assert np.mean(errors[False]) > 1.5 * np.mean(errors[True])
    assert np.mean(sure[False]) < 0.5 * np.mean(sure[True])
    assert 0.3 < np.mean(np.array(sure[False]) == 0) < 0.6


def test_confidence_warns_of_many_errors_and_not_of_all(body, scenes, seen, truth):
    error, sure = [], []
    noise = without(NOISE.detector, "swapped_limb", "swapped_person")
    for scene in scenes:
        for seed in range(5):
            found = detect(scene, body, seen, noise, seed)
            used = found[..., 2] > 0.3
            error.extend(np.linalg.norm(found[..., :2] - truth[scene.recipe.name], axis=-1)[used])
            sure.extend(found[..., 2][used])
    error, sure = np.array(error), np.array(sure)
    wrong = error > 50
    assert np.corrcoef(wrong, sure)[0, 1] < -0.15
    assert np.mean(sure[wrong] > 0.6) > 0.1


def test_bias_is_least_at_the_eyes_and_most_at_the_hips(body, scenes, seen, truth):
    scene = of(scenes, "high_five")
    found = np.array([detect(scene, body, seen, only(bias=1.0), seed)[..., :2] for seed in range(60)])
    spread = np.linalg.norm(found - truth["high_five"], axis=-1).mean((0, 1))
    assert spread[INDEX["left_hip"]] > 2 * spread[INDEX["left_eye"]]
    hand, wrist = (found[:, :, INDEX[f"left_{name}"]] - truth["high_five"][:, INDEX[f"left_{name}"]]
                   for name in ("index_tip", "wrist"))  # fmt: skip
    np.testing.assert_allclose(hand, wrist, atol=0.01)  # a hand goes where its wrist goes


def test_outliers_lie_on_a_limb_as_often_as_anywhere(body, scenes, seen, truth):
    scene, noise = of(scenes, "high_five"), only(outlier_seen=1.0, outlier_hidden=1.0)
    true, found = truth["high_five"], detect(scene, body, seen, noise)[..., :2]
    limbs = np.concatenate([true[:, MIRROR], true[::-1], true[::-1][:, MIRROR]]).reshape(3, 2, 67, 2)
    on_limb = (np.linalg.norm(found - limbs, axis=-1) < 1).any(0)
    assert 0.25 < on_limb.mean() < 0.75


@pytest.mark.parametrize(("number", "swapped"), [("swapped_person", "left_eye"), ("swapped_limb", "left_wrist")])
def test_left_and_right_are_swapped_of_a_whole_person_or_of_a_limb(body, scenes, seen, truth, number, swapped):
    true, all_seen = truth["high_five"], {"high_five": np.zeros((2, 67), bool)}
    found = detect(of(scenes, "high_five"), body, all_seen, only(**{number: 1.0}))[..., :2]
    other = INDEX[mirror_name(swapped)]
    np.testing.assert_allclose(found[:, INDEX[swapped]], true[:, other], atol=0.01)
    stays = number == "swapped_limb"
    shoulder = INDEX["left_shoulder" if stays else "right_shoulder"]
    np.testing.assert_allclose(found[:, INDEX["left_shoulder"]], true[:, shoulder], atol=0.01)


def test_keypoints_outside_of_the_picture_come_back_on_its_border(body, scenes, seen, truth):
    scene = of(scenes, "high_five")
    params = scene.params
    scene = replace(scene, params=replace(params, transl=params.transl + np.float32([0, 0.9, 0])))
    found = keypoints(scene, body, visible(scene, body), np.random.default_rng(0), noise=only(clamped=1.0))
    ankles = found[:, [INDEX["left_ankle"], INDEX["right_ankle"]]]
    np.testing.assert_allclose(ankles[..., 1], scene.recipe.camera.height - 1)
    assert (ankles[..., 2] >= 0.3).all()


def test_a_perfect_estimator_gives_the_truth(body, scenes, seen):
    scene = of(scenes, "hug")
    found = estimate(scene, body, seen["hug"], np.random.default_rng(0), noise=EXACT.estimator)
    assert np.abs(body.forward(found).joints[:, :22] - body.forward(scene.params).joints[:, :22]).max() < 1e-4


@pytest.mark.parametrize(
    ("kind", "limit"), [(("depth",), 4.0), (("lean",), 9.0), (("foreshortening", "reversed"), 12.0)]
)
def test_errors_along_the_rays_hardly_show_in_the_image(body, scenes, kind, limit):
    wrong, shown = [], []
    for scene in scenes[:6]:
        observation = observe(scene, body, 1, noise=alone(kind)).observation
        start = initial_params(observation, body)
        joints, true = (body.forward(p).joints[:, : len(SMPL_JOINTS)] for p in (start, scene.params))
        wrong.append(joint_pa_mpjpe(joints, true))
        shown.append(np.mean(reprojection_error(body.keypoints(start), observation)[0]))
    assert np.mean(wrong) > 10
    assert np.mean(shown) < limit


def test_hidden_arms_hang_and_seen_ones_do_not(body, scenes, seen):
    scene = of(scenes, "side_hug")
    found = estimate(
        scene, body, seen["side_hug"], np.random.default_rng(0), noise=replace(EXACT.estimator, hanging=0.8)
    )
    moved = np.linalg.norm(body.forward(found).joints - body.forward(scene.params).joints, axis=-1)
    assert moved[0, SMPL_JOINTS.index("left_wrist")] > 0.1
    assert moved[0, SMPL_JOINTS.index("right_wrist")] < 1e-3


def stated(answer):
    """Parts of every contact, as (name, side) of both people."""
    people = ("body_part_person_left", "body_part_person_right")
    return [tuple((c[who]["part_name"], c[who]["body_side"]) for who in people) for c in answer["contacts"]]


def true_parts(scene):
    return [tuple((part.name, str(part.side)) for part in contact.parts) for contact in scene.recipe.true_contacts]


def test_a_perfect_model_states_the_truth(body, scenes, seen):
    for scene in scenes:
        told = answer(scene, body, seen[scene.recipe.name], np.random.default_rng(0), noise=EXACT.answer)
        assert stated(told) == true_parts(scene)


def test_answers_miss_and_invent_at_the_stated_rates(body, scenes, seen):
    rng, noise = np.random.default_rng(0), replace(EXACT.answer, missed=0.1, invented=0.3)
    scene = of(scenes, "hug")
    true, missed, invented = set(true_parts(scene)), 0, 0
    for _ in range(100):
        told = set(stated(answer(scene, body, np.ones_like(seen["hug"]), rng, noise=noise)))
        missed += len(true - told)
        invented += len(told - true)
    assert missed / (100 * len(true)) == pytest.approx(0.1, abs=0.04)
    assert invented / 100 == pytest.approx(0.3, abs=0.12)


def test_a_mirrored_person_is_mirrored_throughout_the_answer(body, scenes, seen):
    scene = of(scenes, "hug")
    flip = {"left": "right", "right": "left", "both": "both"}
    told = stated(answer(scene, body, seen["hug"], np.random.default_rng(0), noise=replace(EXACT.answer, mirrored=2.0)))
    assert told == [tuple((name, flip[side]) for name, side in parts) for parts in true_parts(scene)]


def test_hidden_contacts_are_missed_more_often_and_stated_with_less_confidence(body, scenes, seen):
    scene, rng = of(scenes, "side_hug"), np.random.default_rng(0)
    counts = []
    for mask in (np.ones((2, 67), bool), np.zeros((2, 67), bool)):
        told = [answer(scene, body, mask, rng, noise=replace(EXACT.answer, missed=0.2)) for _ in range(60)]
        contacts = [contact for one in told for contact in one["contacts"]]
        counts.append((len(contacts), np.mean([contact["confidence"] for contact in contacts])))
    assert counts[1][0] < counts[0][0]
    assert counts[1][1] < counts[0][1] - 0.1


def test_what_is_invented_lies_close_in_the_image(body, scenes, seen, truth):
    rng, noise = np.random.default_rng(0), replace(EXACT.answer, invented=1.0)
    scene = of(scenes, "high_five")
    told = [stated(answer(scene, body, seen["high_five"], rng, noise=noise))[-1] for _ in range(25)]
    assert not set(told) & set(true_parts(scene))
    assert len(set(told)) > 5
    assert np.mean([{a[0], b[0]} <= {"hand", "forearm", "upper arm", "shoulder"} for a, b in told]) > 0.6


def test_an_observation_is_ready_for_a_fit_and_says_that_it_is_simulated(body, scenes):
    observation, told = observe(scenes[0], body, 3)
    assert (observation.simulated, told.simulated) == (True, True)
    assert observation.estimate.valid.all()
    assert initial_params(observation, body).finite
    assert told.contacts
    assert all(part.side in Side for contact in told.contacts for part in contact.parts)
    inside = (observation.boxes >= 0) & (observation.boxes <= np.tile(
        [observation.camera.width, observation.camera.height], 2))  # fmt: skip
    assert inside.all()


def test_the_same_seed_observes_the_same_and_another_seed_something_else(body, scenes):
    one, same, other = (observe(scenes[1], body, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.observation.keypoints, same.observation.keypoints)
    np.testing.assert_array_equal(one.observation.estimate.joints, same.observation.estimate.joints)
    assert one.answer == same.answer
    assert (one.observation.keypoints != other.observation.keypoints).any()


@pytest.mark.parametrize("kind", ["detector", "estimator", "answer"])
def test_one_kind_of_noise_leaves_the_others_as_they_are(body, scenes, kind):
    loud = replace(NOISE, answer=replace(NOISE.answer, mirrored=2.0))
    quiet = replace(loud, **{kind: getattr(EXACT, kind)})
    one, other = (observe(scenes[1], body, 5, noise=noise) for noise in (loud, quiet))
    same = {
        "detector": np.array_equal(one.observation.keypoints, other.observation.keypoints),
        "estimator": np.array_equal(one.observation.estimate.joints, other.observation.estimate.joints),
        "answer": one.answer.contacts == other.answer.contacts,
    }
    assert same == {name: name != kind for name in same}


@pytest.mark.parametrize("numbers", [DetectorNoise, EstimatorNoise, AnswerNoise])
def test_every_number_is_documented(numbers):
    for field in fields(numbers):
        assert f"{field.name}" in numbers.__doc__, field.name
    assert without(numbers(), fields(numbers)[0].name) != numbers()
