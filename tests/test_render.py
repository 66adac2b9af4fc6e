import io
import os
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from apu.camera import crop_camera, project
from apu.errors import ApuError
from apu.render import SIDE_COLOURS, highlight, overlay, person_colours, rasterize, render, to_glb, vertex_normals, view
from apu.types import Camera, Side

BALL = trimesh.creation.icosphere(subdivisions=4, radius=0.2)
FACES = np.asarray(BALL.faces)
CAMERA = Camera.of_image(320, 240)


def balls(*centres):
    return np.stack([BALL.vertices + np.array(centre) for centre in centres]).astype(np.float32)


def centre_of(mask):
    rows, columns = np.nonzero(mask)
    return columns.mean() + 0.5, rows.mean() + 0.5


@pytest.fixture(scope="module")
def egl():
    try:
        rasterize(balls((0, 0, 3)), FACES, CAMERA, backend="pyrender")
    except ApuError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("centre", [(0.5, 0, 3), (-0.5, 0, 3), (0, 0.4, 3), (0.4, -0.3, 2.5)])
def test_a_ball_is_drawn_where_the_camera_projects_it(centre):
    found = centre_of(rasterize(balls(centre), FACES, CAMERA).coverage > 0.5)
    assert np.abs(found - project(np.array(centre), CAMERA)).max() < 1


@pytest.mark.parametrize("shift", [(0, 0), (90, -40), (-120, 0)])
def test_both_rasterisers_draw_the_same_picture(egl, shift):
    camera = replace(CAMERA, K=CAMERA.K + np.array([[15, 0, shift[0]], [0, 0, shift[1]], [0, 0, 0]]))
    vertices = balls((-0.1, 0, 3), (0.15, 0.05, 2.8))
    a, b = (rasterize(vertices, FACES, camera, backend=backend) for backend in ("opencv", "pyrender"))
    one, other = a.coverage > 0.4, b.coverage > 0.4
    assert (one & other).sum() >= 0.99 * (one | other).sum()
    both = (a.coverage > 0.99) & (b.coverage > 0.99)
    assert np.abs(a.colour - b.colour)[both].mean() < 1 / 255
    assert np.median(np.abs(a.depth[both] - b.depth[both])) < 5e-3  # sampled a quarter of a pixel apart


def test_drawing_through_egl_leaves_the_environment_alone(egl, monkeypatch):
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    rasterize(balls((0, 0, 3)), FACES, CAMERA, backend="pyrender")
    assert "PYOPENGL_PLATFORM" not in os.environ


def test_the_nearer_person_hides_the_farther_one_whatever_the_order():
    colours = np.stack([np.full_like(BALL.vertices, 0.2), np.full_like(BALL.vertices, 0.8)])
    for order in ([0, 1], [1, 0]):
        seen = rasterize(balls((0, 0, 3), (0, 0, 2))[order], FACES, CAMERA, colours=colours[order], shaded=False)
        assert seen.colour[120, 160] == pytest.approx([0.8] * 3, abs=1e-3)
        assert seen.depth[120, 160] == pytest.approx(1.8, abs=2e-3)


def test_a_crop_is_that_part_of_the_whole_picture():
    vertices = balls((0.3, 0.1, 2.5), (-0.2, 0, 2.2))
    whole = render(vertices, FACES, CAMERA)
    box = (150, 60, 270, 180)
    part = render(vertices, FACES, crop_camera(CAMERA, np.array(box)))
    assert np.abs(whole[60:180, 150:270].astype(int) - part).mean() < 0.5


def test_the_overlay_of_a_box_lies_on_the_photograph():
    rng = np.random.default_rng(0)
    photograph = np.repeat(rng.integers(0, 255, (240, 320, 1), np.uint8), 3, axis=2)
    vertices = balls((0.1, 0, 3))
    whole = overlay(photograph, vertices, FACES, CAMERA, opacity=0.5)
    part = overlay(photograph, vertices, FACES, CAMERA, box=(100, 50, 220, 170), opacity=0.5)
    assert (part == whole[50:170, 100:220]).mean() > 0.99
    assert (whole[:40] == photograph[:40]).all()
    assert overlay(photograph, vertices, FACES, CAMERA, box=(-20, -20, 100, 100), size=(60, 60)).shape == (60, 60, 3)
    untouched = overlay(photograph, vertices, FACES, CAMERA, opacity=0.0)
    assert (untouched == photograph).all()


@pytest.mark.parametrize("centre", [(0, 0, -3), (9, 0, 3), (0, -9, 3)])
def test_what_is_behind_or_beside_the_camera_is_not_drawn(centre):
    assert not rasterize(balls(centre), FACES, CAMERA).coverage.any()


def test_a_body_that_reaches_through_the_camera_is_drawn_as_far_as_it_is_in_front():
    limb = trimesh.creation.capsule(height=3, radius=0.2).subdivide_to_size(0.05)
    vertices = np.asarray(limb.vertices)[None] + [0.3, 0, -0.5]
    seen = rasterize(vertices, np.asarray(limb.faces), CAMERA)
    assert seen.coverage[:, 170:].mean() > 0.1
    assert np.isfinite(seen.colour).all()
    assert seen.depth[np.isfinite(seen.depth)].min() > 0.05


def test_nobody_gives_the_background():
    nobody = np.zeros((0, len(BALL.vertices), 3), np.float32)
    background = np.full((240, 320, 3), 77, np.uint8)
    assert (render(nobody, FACES, CAMERA, background=background) == 77).all()


def test_normals_of_a_ball_point_outwards():
    normals = vertex_normals(balls((1, 2, 3)), FACES)[0]
    assert (normals * BALL.vertices).sum(1).min() > 0.2 * 0.999


def test_views_look_from_the_side_they_name():
    # Person A stands left, far and high; person B right, near and low.
    vertices = balls((-0.6, -0.3, 4), (0.6, 0.3, 3))
    pure = np.repeat(np.float32([[[1, 0, 0]], [[0, 0, 1]]]), len(BALL.vertices), axis=1)
    places = {}
    for direction in ("front", "side", "top"):
        picture = view(vertices, FACES, direction, (200, 200), colours=pure).astype(int)
        places[direction] = [centre_of((picture[..., i] - picture[..., 2 - i]) > 60) for i in (0, 2)]
    (ax, ay), (bx, by) = places["front"]
    assert ax < bx and ay < by  # noqa: PT018
    (ax, ay), (bx, by) = places["side"]
    assert ax > bx and ay < by  # noqa: PT018
    (ax, ay), (bx, by) = places["top"]
    assert ax < bx and ay < by  # noqa: PT018


def test_glb_is_upright_with_named_people_side_colours_and_rods():
    vertices = balls((-0.4, -1, 3), (0.4, 0, 3))
    colours = highlight(person_colours(2, len(BALL.vertices)), 1, np.array([5]), Side.RIGHT)
    data = to_glb(vertices, FACES, colours=colours, lines=[((-0.2, -1, 3), (0.2, 0, 3), Side.LEFT)])
    scene = trimesh.load(io.BytesIO(data), file_type="glb")
    assert set(scene.geometry) == {"A", "B", "gap 1"}
    a, b = scene.geometry["A"], scene.geometry["B"]
    assert a.centroid[1] > b.centroid[1]
    assert a.centroid[0] < b.centroid[0]
    assert scene.bounds[0, 1] == pytest.approx(0, abs=1e-5)
    assert a.volume > 0
    assert len(a.vertices) == len(BALL.vertices)
    assert a.visual.material.metallicFactor == 0
    linear = np.asarray(b.visual.vertex_attributes["color"])[5, :3] / 255
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert srgb == pytest.approx(SIDE_COLOURS[Side.RIGHT], abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"backend": "vulkan"}, "backend"),
        ({"colours": np.zeros((1, 3, 3))}, "colours"),
        ({"opacity": 1.5}, "opacity"),
        ({"background": np.zeros((2, 2, 3), np.uint8)}, "background"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    # Under test the shapes in the signature speak first, with a TypeError.
    with pytest.raises((ValueError, TypeError), match=word):
        render(balls((0, 0, 3)), FACES, CAMERA, **arguments)
