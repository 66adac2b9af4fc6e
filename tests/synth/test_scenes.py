import numpy as np
import pytest
import torch
from pydantic import ValidationError

from apu.body.collide import penetration
from apu.body.regions import regions_of
from apu.camera import project
from apu.fit.proxy import fit_body
from apu.metrics import contact_gaps
from apu.synth import Recipe, load_recipes, load_scenes
from apu.synth.recipe import part, start
from apu.synth.sheet import sheet
from apu.synth.solve import solve


@pytest.fixture(scope="session")
def posed(body, scenes):
    return {scene.recipe.name: body.forward(scene.params) for scene in scenes}


def test_there_are_many_different_interactions_between_old_and_young(scenes, posed):
    assert len({scene.recipe.interaction for scene in scenes}) == len(scenes) >= 10
    heights = np.array([np.ptp(vertices[:, 1]) for pose in posed.values() for vertices in pose.vertices])
    assert heights.min() < 1.2
    assert heights.max() > 1.75


def test_every_listed_contact_touches(body, scenes, posed):
    regions = regions_of(body)
    for scene in scenes:
        gaps = contact_gaps(posed[scene.recipe.name].vertices, scene.recipe.true_contacts, regions)
        assert gaps.max() <= 0.005, scene.recipe.name


def test_no_body_is_deep_in_the_other(body, scenes, posed):
    for scene in scenes:
        depth, _ = penetration(torch.as_tensor(posed[scene.recipe.name].vertices), body.faces)
        assert depth.max() <= 0.010, scene.recipe.name


def test_people_stand_on_the_floor_and_in_the_picture(scenes, posed):
    for scene in scenes:
        camera, vertices = scene.recipe.camera, posed[scene.recipe.name].vertices
        assert np.abs(vertices[..., 1].max(axis=1) - scene.recipe.eye).max() < 0.003, scene.recipe.name
        pixels = project(vertices, camera)
        assert (pixels > 0).all(), scene.recipe.name
        assert (pixels < (camera.width, camera.height)).all(), scene.recipe.name


def test_person_0_is_the_left_one_by_the_centre_of_the_box(body, scenes):
    for scene in scenes:
        pixels = project(body.keypoints(scene.params), scene.recipe.camera)[..., 0]
        left, right = (pixels.min(axis=1) + pixels.max(axis=1)) / 2
        assert left + 10 < right, scene.recipe.name


def test_scenes_keep_their_order_and_unknown_names_are_refused(scenes):
    assert [scene.recipe.name for scene in scenes] == list(load_recipes())
    assert [scene.recipe.name for scene in load_scenes(["hug"])] == ["hug"]
    with pytest.raises(ValueError, match="wrestling"):
        load_scenes(["wrestling"])


def test_recipes_refuse_unknown_keys_and_parts():
    recipe = load_recipes()["hug"].model_dump()
    with pytest.raises(ValidationError, match="mood"):
        Recipe.model_validate(recipe | {"mood": "happy"})
    with pytest.raises(ValueError, match="left tail"):
        part("left tail")


def test_solving_closes_the_gaps_of_a_recipe(body):
    recipe, regions = load_recipes()["handshake"], regions_of(body)
    before = contact_gaps(body.forward(start(recipe, body)).vertices, recipe.true_contacts, regions)
    after = contact_gaps(body.forward(solve(recipe, fit_body(body))).vertices, recipe.true_contacts, regions)
    assert after.max() < 0.02 < before.max()


def test_the_sheet_shows_scenes_side_by_side(body, scenes):
    assert sheet(scenes[:1], body, columns=2).shape == (240, 2 * (320 + 3 * 240), 3)
