"""A question about two toy people, and answers to it."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from apu.ask import Prompt, Question
from apu.types import KEYPOINTS

ANSWER = {
    "interaction": "hugging",
    "people": {"person_left": "woman in red", "person_right": "child in blue"},
    "orientation": "front to front",
    "contacts": [
        {
            "body_part_person_left": {"part_name": "hand", "body_side": "left"},
            "body_part_person_right": {"part_name": "back", "body_side": "both"},
            "confidence": 0.8,
        }
    ],
}


def answer_with(**changes):
    """The good answer as text, with some of its top-level keys changed."""
    return json.dumps({**ANSWER, **changes})


def contact(left, right, confidence=0.5):
    (a, s), (b, t) = left, right
    return {
        "body_part_person_left": {"part_name": a, "body_side": s},
        "body_part_person_right": {"part_name": b, "body_side": t},
        "confidence": confidence,
    }


STANDING = {
    "nose": (0, -70), "neck": (0, -52), "mid_hip": (0, 0), "eye": (3, -73), "ear": (8, -70), "shoulder": (20, -50),
    "elbow": (26, -24), "wrist": (27, 2), "hip": (10, 0), "knee": (11, 44), "ankle": (11, 86), "big_toe": (13, 94),
    "small_toe": (17, 93), "heel": (10, 91),
}  # fmt: skip
"""A person who faces the viewer, in pixels round the mid-hip; the person's left is at +x."""


def standing(centre, confidence=0.9):
    """(67, 3) keypoints; the fingers hang below the wrist."""
    points = np.zeros((67, 3))
    for index, name in enumerate(KEYPOINTS):
        stem = name.removeprefix("left_").removeprefix("right_")
        x, y = STANDING.get(stem, (27, 2 + (index - 25) % 21))
        points[index] = (centre[0] + (-x if name.startswith("right_") else x), centre[1] + y, confidence)
    return points


def png(rgb):
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def prompt():
    return Prompt(
        name="test-1",
        template="Look: [[example]] is $answer. Now [[photograph]] $scene Parts: $parts. Form: $format",
        example_image=png(np.full((8, 6, 3), 90, np.uint8)),
        example_answer=answer_with(),
    )


@pytest.fixture
def ask_about(prompt):
    """Makes questions; `shade` makes the pictures differ."""

    def make(shade=128, *, image="photo.jpg", action="", keypoints=None):
        people = np.stack([standing((100, 100)), standing((200, 100))]) if keypoints is None else keypoints
        return Question(
            image=image,
            crop=np.full((40, 60, 3), shade, np.uint8),
            crop_box=(0, 0, 60, 40),
            boxes=np.array([[70.0, 20, 130, 200], [170, 20, 230, 200]]),
            keypoints=people,
            prompt=prompt,
            action=action,
        )

    return make
