"""Figures against cases computed by hand, and what must not change them."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from apu.body.model import BodyModel
from apu.body.regions import regions_of
from apu.metrics import (
    contact_gaps,
    correct_contacts,
    inside_depths,
    penetration_depth,
    reprojection_error,
    units_512,
    used_confidence,
)
from apu.types import KEYPOINTS, BodyPart, Camera, Contact, MeshEstimate, PairObservation, Side


@pytest.fixture
def observation() -> PairObservation:
    """Two people of 100 x 200 and 64 x 32 px whose keypoints lie on the corners of their boxes, in turn."""
    keypoints = np.zeros((2, 67, 3), np.float32)
    boxes = np.array([[100.0, 100.0, 200.0, 300.0], [400.0, 200.0, 464.0, 232.0]], np.float32)
    for person, (x0, y0, x1, y1) in enumerate(boxes):
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        keypoints[person, :25] = [(*corners[i % 4], 0.9) for i in range(25)]
    none = MeshEstimate(
        global_orient=np.zeros((2, 3)),
        body_pose=np.zeros((2, 21, 3)),
        betas=np.zeros((2, 11)),
        joints=np.zeros((2, 22, 3)),
        valid=np.zeros(2, bool),
    )
    return PairObservation(
        image="a.png", camera=Camera.of_image(640, 480), boxes=boxes, keypoints=keypoints, estimate=none
    )


def at_depth(observation: PairObservation, depth: float, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Points in the camera's frame whose projection is the keypoints, moved by `shift` pixels."""
    K = observation.camera.K
    rays = (observation.keypoints[..., :2] + shift - K[:2, 2]) / K[0, 0]
    return np.concatenate([rays * depth, np.full((2, 67, 1), depth)], -1)


@pytest.mark.parametrize("depth", [0.5, 2.0, 30.0])
def test_three_and_four_pixels_off_is_five_at_any_depth(observation: PairObservation, depth: float) -> None:
    error_512, error_px = reprojection_error(at_depth(observation, depth, (3, -4)), observation)
    assert error_px.tolist() == pytest.approx([5, 5], abs=1e-4)
    assert error_512.tolist() == pytest.approx([5 * 512 / 200, 5 * 512 / 64], abs=1e-3)


def test_the_scale_of_the_image_does_not_change_the_512_error(observation: PairObservation) -> None:
    doubled = observation.keypoints.copy()
    doubled[..., :2] *= 2
    large = replace(observation, keypoints=doubled, camera=Camera.of_image(1280, 960), boxes=observation.boxes * 2)
    small = reprojection_error(at_depth(observation, 2.0, (3, -4)), observation)[0]
    np.testing.assert_allclose(reprojection_error(at_depth(large, 2.0, (6, -8)), large)[0], small, rtol=1e-5)


def test_unsure_cut_off_and_missing_keypoints_do_not_count(observation: PairObservation) -> None:
    points = at_depth(observation, 2.0)
    points[:, 3:6] += 10.0
    keypoints = observation.keypoints.copy()
    keypoints[:, 3, 2] = 0.29
    keypoints[:, 4, :2] = (300, 479)  # on the border, where detectors clamp
    keypoints[:, 5] = np.nan
    seen = replace(observation, keypoints=keypoints)
    assert (used_confidence(seen)[:, 3:6] == 0).all()
    assert reprojection_error(points, seen)[0].tolist() == pytest.approx([0, 0], abs=1e-3)


def test_a_person_nobody_saw_has_no_error_and_one_behind_the_camera_an_infinite_one(
    observation: PairObservation,
) -> None:
    keypoints = observation.keypoints.copy()
    keypoints[1, :, 2] = 0
    error = reprojection_error(at_depth(observation, -1.0), replace(observation, keypoints=keypoints))[0]
    assert np.isinf(error[0])
    assert np.isnan(error[1])


def test_units_fall_back_to_the_detection_box(observation: PairObservation) -> None:
    alone = np.zeros((2, 25))
    alone[:, KEYPOINTS.index("nose")] = 0.9
    assert units_512(observation, alone).tolist() == pytest.approx([512 / 200, 512 / 64])


def test_a_gap_is_the_smallest_distance_of_the_two_parts(body: BodyModel) -> None:
    """Two copies of one body, mirrored hands towards each other at a known distance."""
    rest = body.smplx.v_template.numpy()
    regions = regions_of(body)
    left, right = (BodyPart(name="hand", side=side) for side in (Side.LEFT, Side.RIGHT))
    reach = rest[regions.part_vertices(left)][:, 0].max() - rest[regions.part_vertices(right)][:, 0].min()
    people = np.stack([rest, rest + np.array([reach + 0.07, 0, 0], np.float32)]).astype(np.float32)
    contact = Contact(parts=(left, right))
    gap = contact_gaps(people, [contact], regions)[0]
    assert 0.07 - 1e-4 <= gap < 0.08
    turned = people @ np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32) + np.float32(5)
    assert contact_gaps(turned, [contact], regions)[0] == pytest.approx(gap, abs=1e-5)
    assert contact_gaps(people[::-1], [contact.swapped], regions)[0] == pytest.approx(gap, abs=1e-6)


def test_the_share_of_correct_contacts_counts_gaps_up_to_the_radius() -> None:
    gaps = np.array([0.0, 0.005, 0.012, 0.3])
    assert correct_contacts(gaps, [0.005, 0.011, 0.012, 1.0]).tolist() == [0.5, 0.5, 0.75, 1.0]
    assert correct_contacts(gaps[::-1]).tolist() == correct_contacts(gaps).tolist() == [0.5, 0.5, 0.75, 0.75, 0.75]
    assert np.isnan(correct_contacts(np.zeros(0))).all()


def test_penetration_of_two_boxes() -> None:
    box = trimesh.creation.box((1, 1, 1)).subdivide().subdivide().subdivide()
    vertices = np.stack([box.vertices, box.vertices + np.array([0.9, 0, 0])]).astype(np.float32)
    deepest, mean = penetration_depth(vertices, np.asarray(box.faces))
    assert deepest == pytest.approx(0.1, abs=1e-3)
    assert 0 < mean <= deepest
    apart = vertices + np.array([[[0, 0, 0]], [[0.2, 0, 0]]], np.float32)
    assert penetration_depth(apart, np.asarray(box.faces)) == (0.0, 0.0)
    depths = inside_depths(vertices, np.asarray(box.faces))
    assert (depths.max(), depths.mean()) == pytest.approx((deepest, mean))
    # A face of each box, 9 x 9 vertices, lies inside the other one; those on its rim are on the other's surface.
    assert np.isclose(depths, 0.1, atol=1e-3).sum() >= 2 * 5 * 5
    assert inside_depths(vertices[::-1].copy(), np.asarray(box.faces)).sum() == pytest.approx(depths.sum(), rel=1e-4)
    assert not len(inside_depths(apart, np.asarray(box.faces)))
