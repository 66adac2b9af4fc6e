import numpy as np
import pytest

from apu.camera import project
from apu.synth.observe import NOISE, NOT_IN_VITPOSE, Noise, answer, estimate, keypoints, visible
from apu.types import BODY_25, KEYPOINTS

EXACT = Noise(**dict.fromkeys(vars(NOISE), 0.0))


@pytest.fixture(scope="session")
def seen(body, scenes):
    return {scene.recipe.name: visible(scene, body) for scene in scenes}


def of(scenes, name):
    return next(scene for scene in scenes if scene.recipe.name == name)


def pa_mpjpe(found, true):
    """Mean joint distance after one similarity for both people, metres."""
    found, true = found.reshape(-1, 3).astype(float), true.reshape(-1, 3).astype(float)
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    signs = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    return np.linalg.norm((s * signs).sum() / (a**2).sum() * a @ (u * signs) @ vt - b, axis=1).mean()


def test_hands_behind_a_back_are_hidden_and_noses_in_front_are_seen(scenes, seen):
    hug = seen["side_hug"]
    assert hug[:, KEYPOINTS.index("nose")].all()
    assert not hug[0, KEYPOINTS.index("left_middle1")]
    assert hug[0, KEYPOINTS.index("right_middle1")]


def test_a_perfect_detector_marks_the_bodys_own_points(body, scenes, seen):
    scene = of(scenes, "handshake")
    found = keypoints(scene, body, seen["handshake"], np.random.default_rng(0), noise=EXACT)
    marked = found[..., 2] > 0
    assert np.abs(found[..., :2] - project(body.keypoints(scene.params), scene.recipe.camera))[marked].max() < 1e-2
    assert not marked[:, [KEYPOINTS.index(name) for name in NOT_IN_VITPOSE]].any()


def test_hidden_keypoints_are_less_sure_less_right_and_sometimes_missing(body, scenes, seen):
    errors, sure = {True: [], False: []}, {True: [], False: []}
    for scene in scenes:
        visible_here = seen[scene.recipe.name]
        found = keypoints(scene, body, visible_here, np.random.default_rng(0))
        error = np.linalg.norm(found[..., :2] - project(body.keypoints(scene.params), scene.recipe.camera), axis=-1)
        for flag in (True, False):
            of_kind = visible_here == flag
            errors[flag].extend(error[of_kind & (found[..., 2] > 0)])
            sure[flag].extend(found[..., 2][of_kind])
    assert np.mean(errors[False]) > 3 * np.mean(errors[True])
    assert max(sure[False]) < 0.6
    assert 0.3 < np.mean(np.array(sure[False]) == 0) < 0.8


def test_a_perfect_estimator_gives_the_truth(body, scenes, seen):
    scene = of(scenes, "hug")
    found = estimate(scene, body, seen["hug"], np.random.default_rng(0), noise=EXACT)
    assert np.abs(body.forward(found).joints[:, :22] - body.forward(scene.params).joints[:, :22]).max() < 1e-4


def test_the_estimate_is_as_wrong_as_bev(body, scenes, seen):
    distances, units = [], []
    for scene in scenes:
        for seed in range(3):
            rng = np.random.default_rng([seed, *scene.recipe.name.encode()])
            detected = keypoints(scene, body, seen[scene.recipe.name], rng)[:, : len(BODY_25)]
            found = estimate(scene, body, seen[scene.recipe.name], rng)
            distances.append(pa_mpjpe(body.forward(found).joints[:, :22], body.forward(scene.params).joints[:, :22]))
            places = project(body.keypoints(found), scene.recipe.camera)[:, : len(BODY_25)]
            for person, used in enumerate(detected[..., 2] > 0.3):
                points = detected[person, used, :2]
                error = np.linalg.norm(places[person, used] - points, axis=1).mean()
                units.append(512 * error / np.ptp(points, axis=0).max())
    assert np.mean(distances) == pytest.approx(0.110, abs=0.010)
    assert np.mean(units) == pytest.approx(30, abs=5)


def test_answers_err_at_the_stated_rates(scenes):
    rng, counts = np.random.default_rng(0), dict.fromkeys(("true", "flipped", "other", "all"), 0)
    recipe = of(scenes, "side_hug").recipe
    true = {contact.parts for contact in recipe.true_contacts}
    flipped = {contact.flipped.parts for contact in recipe.true_contacts}
    for _ in range(400):
        counts["all"] += len(true)
        for stated in answer(recipe, rng)["contacts"]:
            parts = [stated[f"body_part_person_{who}"] for who in ("left", "right")]
            named = [(p["part_name"], p["body_side"]) for p in parts]
            kind = [
                k
                for k, pairs in (("true", true), ("flipped", flipped))
                if named in [[(p.name, p.side) for p in q] for q in pairs]
            ]
            counts[kind[0] if kind else "other"] += 1
    assert counts["flipped"] / counts["all"] == pytest.approx(NOISE.flip * (1 - NOISE.miss), abs=0.04)
    assert counts["true"] / counts["all"] == pytest.approx((1 - NOISE.flip) * (1 - NOISE.miss), abs=0.04)
    assert counts["other"] / 400 == pytest.approx(NOISE.invent, abs=0.06)


def test_the_same_seed_gives_the_same_answer(scenes):
    recipe = scenes[0].recipe
    assert answer(recipe, np.random.default_rng(4)) == answer(recipe, np.random.default_rng(4))
