"""What the benchmark of the fan counts."""

from dataclasses import replace

import numpy as np

from apu.bench.case import Case, Truth
from apu.bench.fan import Found, find, rates, table
from apu.types import Camera, MeshEstimate, PairObservation

from ..test_denoise import LEFT, RIGHT, TRUE, contact, face_to_face

ESTIMATE = MeshEstimate(
    global_orient=np.zeros((2, 3), np.float32), body_pose=np.zeros((2, 21, 3), np.float32),
    betas=np.zeros((2, 11), np.float32), joints=np.zeros((2, 22, 3), np.float32), valid=np.array([False, False]),
)  # fmt: skip
SEEN = PairObservation(
    image="", camera=Camera.of_image(640, 480), boxes=np.zeros((2, 4)), estimate=ESTIMATE,
    keypoints=face_to_face() + np.array([200.0, 200.0, 0.0]) * (face_to_face()[..., 2:] > 0),
)  # fmt: skip
CASE = Case(
    name="", interaction="", observation=SEEN, truth=Truth(skeleton="smplx_55", joints=np.zeros((2, 22, 3))),
    contacts=(TRUE,), stated=None,
)  # fmt: skip


def test_the_truth_is_found_where_an_answer_can_be_made_true() -> None:
    flipped = replace(TRUE.flipped, confidence=0.9)
    found = find(CASE, [flipped], None)
    assert found is not None
    assert (found.stands, found.likeliest, found.place) == (False, True, 0)
    right = find(CASE, [replace(TRUE, confidence=0.9)], None)
    assert right is not None
    assert right.stands


def test_an_answer_without_a_true_contact_does_not_count() -> None:
    assert find(CASE, [contact(("knee", LEFT), ("knee", RIGHT))], None) is None


def test_the_rates_are_shares_of_what_counts() -> None:
    found = [Found(size=4, stands=True, likeliest=True, place=0), Found(size=6, stands=False, likeliest=False, place=1)]
    rated = rates([*found, Found(size=5, stands=False, likeliest=False, place=None)])
    assert (rated["n"], rated["readings"]) == (3, 5)
    assert [round(3 * rated[name]) for name in ("stands", "likeliest", "first", "first_two", "in_fan")] == [
        1,
        1,
        1,
        2,
        2,
    ]
    assert "in the fan" in table(rated)
