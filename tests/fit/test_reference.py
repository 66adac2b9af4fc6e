"""The published fit: its terms on cases worked out by hand, its inside test, its stopping rule, and that it fits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from apu.body.model import BodyModel
from apu.fit.proxy import fit_body
from apu.fit.reference import (
    PublishedObjective,
    PublishedOptions,
    SlopeRule,
    Stage,
    Unknowns,
    coarse_skin,
    dense_inside,
    fast_inside,
    fit_published,
    run_stage,
    winding_numbers,
)
from apu.fit.start import initial_pose
from apu.metrics import reprojection_error, units_512, used_confidence
from apu.types import BODY_25, BodyParams, Contact, PairObservation

Contacts = tuple[Contact, ...]
OPTIONS = PublishedOptions()
FIRST, SECOND = OPTIONS.stages


@pytest.fixture(scope="module")
def start(scene, body: BodyModel) -> BodyParams:
    return initial_pose(scene.observation, fit_body(body)).params()


@pytest.fixture(scope="module")
def published(scene, touch: Contacts, start: BodyParams, body: BodyModel) -> PublishedObjective:
    return objective(scene.observation, touch, start, body)


def objective(
    observation: PairObservation, contacts: Contacts, start: BodyParams, body: BodyModel
) -> PublishedObjective:
    return PublishedObjective(observation, contacts, body, start, fast_inside(body, OPTIONS), robust=OPTIONS.robust)


def test_the_settings_are_the_published_ones() -> None:
    assert (OPTIONS.learning_rate, OPTIONS.steps, OPTIONS.window, OPTIONS.slope) == (0.01, 1000, 20, -1e-4)
    assert (FIRST.keypoints, SECOND.keypoints) == (0.04, 0.1)
    assert (FIRST.soft_contact, SECOND.soft_contact) == (10, 10)
    assert (FIRST.interpenetration, SECOND.interpenetration) == (0, 1000)
    assert (FIRST.initial_pose, SECOND.initial_pose) == (200, 200)
    assert (FIRST.mixture, SECOND.mixture) == (4, 4)
    assert (FIRST.shape, SECOND.shape) == (40, 0)
    assert (FIRST.shape_free, SECOND.shape_free) == (True, False)


def test_winding_numbers_tell_the_inside_of_a_box_from_its_outside() -> None:
    box = trimesh.creation.box((2, 2, 2))
    triangles = torch.tensor(box.vertices[box.faces])
    points = torch.tensor([[0, 0, 0], [0.9, -0.9, 0.9], [1.1, 0, 0], [0, 5, 0]], dtype=triangles.dtype)
    torch.testing.assert_close(winding_numbers(points, triangles), points.new_tensor([1, 1, 0, 0]), atol=1e-9, rtol=0)


def test_a_triangle_of_an_octant_spans_an_eighth_of_the_sphere() -> None:
    octant = torch.eye(3, dtype=torch.float64)[None]
    assert float(winding_numbers(torch.zeros(1, 3, dtype=torch.float64), octant)) == pytest.approx(1 / 8)


def test_chunks_do_not_change_winding_numbers() -> None:
    triangles = torch.randn(7, 3, 3, generator=torch.Generator().manual_seed(0))
    points = torch.randn(11, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(winding_numbers(points, triangles, chunk=3), winding_numbers(points, triangles))


def test_the_proxy_is_the_skin_with_about_a_thousand_vertices(body: BodyModel) -> None:
    ids, faces = coarse_skin(body, OPTIONS.proxy_vertices)
    assert 900 < len(ids) < 1100
    rest = body.tensor("v_template").numpy()
    volume = trimesh.Trimesh(rest, body.skin_faces, process=False).volume
    assert trimesh.Trimesh(rest[ids], faces, process=False).volume == pytest.approx(volume, rel=0.08)


def test_the_fast_inside_test_is_the_dense_one(scene, start: BodyParams, body: BodyModel) -> None:
    """Two people pushed into each other: the same vertices inside, the same loss."""
    middle = start.transl.mean(0)
    offset = np.array([-0.1, 0.02, 0.05], np.float32)
    unknowns = Unknowns.of(replace(start, transl=np.stack([middle, middle + offset])), body)
    fast = objective(scene.observation, (), start, body)
    vertices = fast.surface(unknowns)[0]
    found = dense_inside(body, OPTIONS)(vertices)
    assert found.sum() > 500, "they must overlap"
    differ = found != fast_inside(body, OPTIONS)(vertices)
    assert differ.sum() <= 2, "only a vertex within rounding of the proxy's surface may differ"
    dense = PublishedObjective(scene.observation, (), body, start, lambda _: found, robust=OPTIONS.robust)
    losses = [each.terms(unknowns, SECOND)["interpenetration"] for each in (dense, fast)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-3, atol=0)


def test_keypoints_count_in_units_of_the_box(published: PublishedObjective, scene, start: BodyParams, body) -> None:
    """Everything moved by 10 pixels in the image: 25 keypoints per person cost what the formula says."""
    unknowns = Unknowns.of(start, body)
    with torch.no_grad():
        projected = published.projected(published.surface(unknowns)).numpy()
    keypoints = scene.observation.keypoints.copy()
    keypoints[:, : len(BODY_25), :2] = projected + np.array([10.0, 0.0])
    observation = replace(scene.observation, keypoints=keypoints)
    square = (10 * units_512(observation, used_confidence(observation))) ** 2
    expected = 0.04 * (0.9**2 * 25 * 100**2 * square / (100**2 + square)).sum()
    terms = objective(observation, (), start, body).terms(unknowns, FIRST)
    assert float(terms["keypoints"]) == pytest.approx(expected, rel=1e-3)


def test_initial_pose_and_shape_are_plain_squares(published: PublishedObjective, start: BodyParams, body) -> None:
    pose, betas = start.body_pose.copy(), np.zeros((2, 11), np.float32)
    pose[0, 3, 1] += 0.1
    pose[1, 20, 0] -= 0.2
    betas[0, 2], betas[1, 10] = 2.0, 0.5
    turned = replace(start, body_pose=pose, betas=betas, global_orient=start.global_orient + 1)
    terms = published.terms(Unknowns.of(turned, body), FIRST)
    assert float(terms["initial_pose"]) == pytest.approx(200 * 0.05, rel=1e-4)
    assert float(terms["shape"]) == pytest.approx(40 * 4.25, rel=1e-5)
    assert "shape" not in published.terms(Unknowns.of(turned, body), SECOND)


def test_contacts_are_in_square_centimetres(scene, touch: Contacts, start: BodyParams, body: BodyModel) -> None:
    """Against plain loops over the two parts' vertices."""
    unknowns = Unknowns.of(start, body)
    both = replace(FIRST, region_contact=10.0)
    terms = objective(scene.observation, touch, start, body).terms(unknowns, both)
    vertices, regions = body.forward(start).vertices, fit_body(body).regions
    a, b = (vertices[p][regions.part_vertices(part)] * 100.0 for p, part in enumerate(touch[0].parts))
    square = np.square(a[:, None] - b[None]).sum(-1)
    assert float(terms["soft_contact"]) == pytest.approx(10 * touch[0].weight * square.min(), rel=1e-3)
    region = square.min(1).mean() + square.min(0).mean()
    assert float(terms["region_contact"]) == pytest.approx(10 * region, rel=1e-3)


def test_interpenetration_is_the_squared_distance_of_inside_vertices(scene, start: BodyParams, body: BodyModel) -> None:
    together = replace(start, transl=np.repeat(start.transl[:1], 2, 0))
    published = objective(scene.observation, (), start, body)
    unknowns = Unknowns.of(together, body)
    vertices = published.surface(unknowns)[0]
    inside = fast_inside(body, OPTIONS)(vertices)
    expected = 0.0
    for p in range(2):
        points, other = vertices[p, inside[p]].numpy(), vertices[1 - p].numpy()
        expected += sum(np.square(other - x).sum(-1).min() for x in points)
    assert float(published.terms(unknowns, SECOND)["interpenetration"]) == pytest.approx(1000 * expected, rel=1e-3)


def test_without_a_mixture_or_contacts_their_terms_are_left_out(scene, start: BodyParams, body: BodyModel) -> None:
    terms = objective(scene.observation, (), start, body).terms(Unknowns.of(start, body), SECOND)
    assert terms.keys() == {"keypoints", "initial_pose", "interpenetration"}


def test_projected_first_feet_stand_in_for_an_undetected_ankle(scene, start: BodyParams, body: BodyModel) -> None:
    """The unseen foot then costs nothing at the start, and something once the leg has moved."""
    keypoints = scene.observation.keypoints.copy()
    keypoints[:, : len(BODY_25), 2] = 0
    seen = [BODY_25.index(name) for name in ("nose", "left_shoulder", "right_ankle")]
    keypoints[0, seen, 2] = 0.8
    published = objective(replace(scene.observation, keypoints=keypoints), (), start, body)
    keypoints[0, BODY_25.index("left_ankle"), 2] = 0.8
    detected = objective(replace(scene.observation, keypoints=keypoints), (), start, body)
    still = Unknowns.of(start, body)
    bent = start.body_pose.copy()
    bent[0, 3, 0] += 0.5  # the left knee
    moved = Unknowns.of(replace(start, body_pose=bent), body)
    first, then = (float(published.terms(u, FIRST)["keypoints"]) for u in (still, moved))
    assert then > first + 1
    assert float(detected.terms(still, FIRST)["keypoints"]) != pytest.approx(first)


@pytest.mark.parametrize(("slope", "stops_after"), [(0.0, 20), (-0.9e-4, 20), (-1.1e-4, None), (1.0, 20)])
def test_a_stage_stops_once_its_loss_hardly_falls(slope: float, stops_after: int | None) -> None:
    rule = SlopeRule(20, -1e-4)
    assert next((i for i in range(1, 40) if rule(100.0 + slope * i)), None) == stops_after


def test_the_slope_is_that_of_the_line_through_the_last_20_losses() -> None:
    rng = np.random.default_rng(0)
    losses = 100 * np.exp(-np.arange(200) / 5) + rng.normal(size=200) * 1e-4
    rule = SlopeRule(20, -1e-4)
    stopped = next(i for i, loss in enumerate(losses.tolist(), 1) if rule(loss))
    slopes = [np.polyfit(range(20), losses[i - 20 : i], 1)[0] for i in range(20, 201)]
    assert stopped == 20 + next(i for i, slope in enumerate(slopes) if slope > -1e-4)


def test_a_stage_holds_what_is_not_free(published: PublishedObjective, start: BodyParams, body: BodyModel) -> None:
    unknowns = Unknowns.of(start, body)
    first, second = (run_stage(published, unknowns, stage, OPTIONS, steps=2) for stage in (FIRST, SECOND))
    assert not torch.equal(first.unknowns.betas, unknowns.betas)
    torch.testing.assert_close(second.unknowns.betas, unknowns.betas, atol=0, rtol=0)
    assert len(first.losses) == len(first.seconds) == 2
    step = (second.unknowns.transl - unknowns.transl).abs()
    assert (step > 0).all(), "places are free in both"
    assert (step <= 2 * OPTIONS.learning_rate * 1.001).all()


def test_the_published_fit_fits(scene, touch: Contacts, body: BodyModel, start: BodyParams) -> None:
    """Few steps of the true schedule: both stages run, from the engine's start, towards the keypoints."""
    fit = fit_published(scene.observation, touch, body, dense=False, options=replace(OPTIONS, steps=25))
    np.testing.assert_array_equal(fit.start.body_pose, start.body_pose)
    assert [len(stage.losses) for stage in fit.stages] == [25, 25]
    assert fit.stages[0].losses[-1] < 0.3 * fit.stages[0].losses[0]
    before, after = (reprojection_error(body.keypoints(p), scene.observation)[0] for p in (fit.start, fit.params))
    assert (after < 0.7 * before).all()


def test_a_mixture_counts_where_there_is_one(
    scene, start: BodyParams, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apu.fit import reference
    from apu.fit.mixture import Mixture

    mean = np.zeros((1, 63))
    mixture = Mixture.of(mean, np.eye(63)[None] * 0.25, np.ones(1), device=body.device, dtype=body.dtype)
    prepared = replace(fit_body(body), mixture=mixture)
    monkeypatch.setattr(reference, "fit_body", lambda _: prepared)
    terms = objective(scene.observation, (), start, body).terms(Unknowns.of(start, body), FIRST)
    expected = 4 * 0.5 * np.square(start.body_pose).sum() / 0.25
    assert float(terms["mixture"]) == pytest.approx(expected, rel=1e-4)


def test_stages_weigh_what_they_say(published: PublishedObjective, start: BodyParams, body: BodyModel) -> None:
    shifted = Unknowns.of(replace(start, transl=start.transl + np.float32(0.1)), body)
    single, double = (
        published.terms(shifted, Stage(keypoints=k, interpenetration=0.0, shape=0.0, shape_free=False))["keypoints"]
        for k in (0.1, 0.2)
    )
    assert float(double) == pytest.approx(2 * float(single), rel=1e-5)
