import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from apu.ask import question_of
from apu.ask.question import crop_box, data_url
from apu.types import Camera, MeshEstimate, PairObservation

from .conftest import standing


def observation(boxes):
    people = len(boxes)
    empty = {
        "global_orient": (people, 3),
        "body_pose": (people, 21, 3),
        "betas": (people, 11),
        "joints": (people, 22, 3),
    }
    return PairObservation(
        image="folder/two.people.jpg",
        camera=Camera.of_image(300, 200),
        boxes=np.array(boxes, float),
        keypoints=np.stack([standing((100, 100))] * people),
        estimate=MeshEstimate(**{n: np.zeros(s) for n, s in empty.items()}, valid=np.zeros(people, bool)),
        action="hug",
    )


box = st.tuples(*[st.floats(-50, 350)] * 2, *[st.floats(1, 200)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.tuples(box, box), st.floats(0, 0.2))
def test_the_cut_out_holds_what_the_image_shows_of_both_people_and_no_more_than_the_margin(boxes, margin):
    boxes = np.array(boxes)
    x0, y0 = boxes[:, :2].min(0)
    x1, y1 = boxes[:, 2:].max(0)
    if min(x1, 300) - max(x0, 0) < 1 or min(y1, 200) - max(y0, 0) < 1:
        return
    left, top, right, bottom = crop_box(boxes, 300, 200, margin=margin)
    assert 0 <= left <= max(x0, 0)
    assert 0 <= top <= max(y0, 0)
    assert 300 >= right >= min(x1, 300)
    assert 200 >= bottom >= min(y1, 200)
    widest = margin * max(x1 - x0, y1 - y0) + 1
    assert left >= min(x0, 300) - widest
    assert bottom <= max(y1, 0) + widest
    assert (left, top, right, bottom) == crop_box(boxes[::-1], 300, 200, margin=margin)


def test_people_outside_the_image_are_the_callers_mistake():
    with pytest.raises(ValueError, match="overlap the image"):
        crop_box(np.array([[400.0, 0, 500, 100]]), 300, 200)


def test_a_question_shows_the_pixels_of_its_box(prompt):
    photograph = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    question = question_of(observation([(20, 30, 80, 150), (60, 40, 120, 160)]), photograph, prompt, margin=0.1)
    assert question.crop_box == (7, 17, 133, 173)
    np.testing.assert_array_equal(question.crop, photograph[17:173, 7:133])
    assert (question.stem, question.action) == ("two.people", "hug")


def test_a_large_cut_out_is_reduced_and_keeps_its_proportions(prompt):
    photograph = np.zeros((200, 300, 3), np.uint8)
    question = question_of(observation([(0, 0, 300, 200), (20, 30, 80, 150)]), photograph, prompt, max_side=120)
    assert question.crop.shape == (80, 120, 3)


def test_a_picture_becomes_a_data_url_that_opens_as_the_picture():
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:, 24:] = (200, 40, 10)
    head, _, body = data_url(rgb).partition(",")
    assert head == "data:image/jpeg;base64"
    opened = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
    assert opened.shape == rgb.shape
    assert np.abs(opened.astype(int) - rgb).mean() < 8


def test_questions_are_values(ask_about):
    assert replace(ask_about(), action="hug").action == "hug"
