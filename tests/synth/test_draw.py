"""Drawn scenes; `python -m apu.synth.draw` tries all classes."""

from dataclasses import replace

import numpy as np
import pytest

from apu.camera import project
from apu.fit.proxy import fit_body
from apu.synth.check import LIMITS, flaws
from apu.synth.draw import VARIATION, SceneError, draw_scene, draw_scenes, photographed, varied
from apu.synth.recipe import load_classes, start

CLASSES = load_classes()
SOME = ("handshake", "kick", "sitting_together")


@pytest.fixture(scope="session")
def fitted(body):
    return fit_body(body)


@pytest.fixture(scope="session")
def drawn(fitted):
    return {scene.recipe.name: scene for scene in draw_scenes(SOME, [0], fitted)}


def test_there_are_all_the_classes_of_the_paper_and_many_more():
    assert len(CLASSES) >= 20
    assert {"pat_on_back", "handshake", "knock_over", "grab_stuff", "step_on_foot", "high_five", "whisper",
            "support_somebody"} < set(CLASSES)  # fmt: skip
    numbers = [len(recipe.contacts) for recipe in CLASSES.values()]
    assert min(numbers) == 1
    assert max(numbers) >= 5


@pytest.mark.parametrize("name", SOME)
def test_drawn_scenes_have_no_flaws(name, drawn, body, fitted):
    assert not flaws(drawn[name].recipe, drawn[name].params, body, fitted.regions)


@pytest.mark.parametrize("name", SOME)
def test_person_0_is_the_left_one_in_the_picture(name, drawn, body):
    scene = drawn[name]
    across = project(body.keypoints(scene.params), scene.recipe.camera)[..., 0]
    left, right = (across.min(1) + across.max(1)) / 2
    assert left + LIMITS.apart <= right


def test_the_same_seed_gives_the_same_scene_and_another_seed_another(drawn, fitted):
    again, other = (draw_scene("handshake", seed, fitted) for seed in (0, 1))
    first = drawn["handshake"]
    assert again.recipe == first.recipe
    for name, array in first.params.arrays().items():
        np.testing.assert_array_equal(array, again.params.arrays()[name])
    assert other.recipe != first.recipe
    assert np.abs(other.params.body_pose - first.params.body_pose).max() > 0.05


def test_each_flaw_is_named(drawn, body, fitted):
    scene = drawn["handshake"]
    shifted = replace(scene.params, transl=scene.params.transl + np.float32([[-0.5, 0.05, 0], [0, 0, 0]]))
    found = flaws(scene.recipe, shifted, body, fitted.regions)
    assert any("off what it rests on" in flaw for flaw in found)
    assert any("below the floor" in flaw for flaw in found)
    assert any("mm apart" in flaw for flaw in found)
    pose = scene.params.body_pose.copy()
    pose[1, 3, 0] = -1.0  # the left knee bent forwards
    found = flaws(scene.recipe, replace(scene.params, body_pose=pose), body, fitted.regions)
    assert any("the left_knee of person 1" in flaw for flaw in found)
    swapped = flaws(scene.recipe.swapped, scene.params.take([1, 0]), body, fitted.regions)
    assert [flaw for flaw in swapped if "right of person 0" in flaw]


def test_mirrored_scenes_mirror_contacts_and_bodies(body):
    recipe = CLASSES["side_hug"]
    mirrored = recipe.mirrored
    assert [c.flipped.parts for c in recipe.true_contacts] == [c.parts for c in mirrored.true_contacts]
    assert mirrored.mirrored == recipe
    here, there = (body.forward(start(r, body)).joints[:, :22] for r in (recipe, mirrored))
    image = there * np.array([-1, 1, 1])
    # Every joint of the one lies on one of the other, whose side it changed.
    apart = np.linalg.norm(here[:, :, None] - image[:, None], axis=-1).min(-1)
    assert apart.max() < 0.005


def test_chance_decides_sides_ages_and_places():
    many = [varied(CLASSES["holding_hands"], np.random.default_rng(seed)) for seed in range(40)]
    assert {recipe.contacts for recipe in many} == {(("left hand", "right hand"),), (("right hand", "left hand"),)}
    ages = np.array([[person.child for person in recipe.people] for recipe in many])
    low, high = CLASSES["holding_hands"].people[1].children
    assert ages[:, 0].max() == 0
    assert low <= ages[:, 1].min() < ages[:, 1].max() <= high
    assert len({recipe.people[0].facing for recipe in many}) == 40


def test_photographers_stand_on_all_sides_and_nothing_but_the_view_changes(body):
    recipe = CLASSES["handshake"]
    params = start(recipe, body)
    before = body.forward(params).joints
    turns = []
    for seed in range(12):
        seen, moved = photographed(recipe, params, body, np.random.default_rng(seed))
        turns.append(seen.turn)
        after = body.forward(moved).joints
        if seen.people[0] != recipe.people[0]:
            after = after[::-1]
        between = [np.linalg.norm(j[0][:, None] - j[1][None], axis=-1) for j in (before, after)]
        np.testing.assert_allclose(*between, atol=1e-4)
        floor = [recipe.eye - before[..., 1], seen.eye - after[..., 1]]
        np.testing.assert_allclose(*floor, atol=1e-4)
    assert np.ptp(turns) > 180


def test_what_cannot_be_drawn_says_so(fitted, monkeypatch):
    with pytest.raises(ValueError, match="wrestling"):
        draw_scene("wrestling", 0, fitted)
    monkeypatch.setattr("apu.synth.draw.flaws", lambda *_: ("it rains",))
    with pytest.raises(SceneError, match="handshake, seed 0: 2 attempts all had flaws, the last one: it rains"):
        draw_scene("handshake", 0, fitted, variation=replace(VARIATION, attempts=2))
