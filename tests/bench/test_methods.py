"""Which contacts each method is given."""

from dataclasses import replace

import numpy as np
import pytest

from apu.bench.case import Case
from apu.bench.methods import FITTED, METHODS, contacts_for, nearest_contact, readings_for
from apu.body.model import BodyModel
from apu.body.parts import PARTS
from apu.body.regions import regions_of
from apu.types import BodyPart, Side


@pytest.fixture
def true_parts(case: Case) -> list[tuple[BodyPart, BodyPart]]:
    assert case.contacts
    return [contact.parts for contact in case.contacts]


def test_methods_are_the_nine_of_the_comparison() -> None:
    automatic = ("no_contacts", "heuristic", "raw", "sides", "denoised", "filtered")
    assert tuple(METHODS) == ("start", *automatic, "curated", "edited")
    assert set(FITTED) == set(METHODS) - {"start", "filtered"}


def test_sides_are_wrong_as_stated_and_right_when_corrected_or_curated(
    case: Case, body: BodyModel, true_parts: list[tuple[BodyPart, BodyPart]]
) -> None:
    surfaces = case.truth.vertices
    given = {method: contacts_for(method, case, surfaces, body) for method in FITTED if method != "denoised"}
    assert given["no_contacts"] == ()
    assert [c.flipped.parts for c in given["raw"]] == true_parts
    assert [c.parts for c in given["sides"]] == [c.parts for c in given["curated"]] == true_parts
    assert given["edited"] == given["curated"]


def test_every_method_has_one_reading_but_the_denoised_which_has_all_likely_ones(
    case: Case, body: BodyModel, true_parts: list[tuple[BodyPart, BodyPart]]
) -> None:
    given = {method: readings_for(method, case, case.truth.vertices, body) for method in FITTED}
    assert {method: len(several) for method, several in given.items() if method != "denoised"} == dict.fromkeys(
        set(FITTED) - {"denoised"}, 1
    )
    stated, *others = given["denoised"]
    assert [c.flipped.parts for c in stated.active] == true_parts
    assert others[0].probability > stated.probability
    assert [c.parts for c in others[0].active] == true_parts
    weights = [contact.weight for reading in (stated, others[0]) for contact in reading.active]
    assert 0 < weights[0] < weights[1] <= 0.8, "wrong hands are further apart in the image"


def test_a_curators_contacts_weigh_fully_and_a_models_by_what_is_seen(case: Case, body: BodyModel) -> None:
    surfaces = case.truth.vertices
    curated, raw, corrected = (contacts_for(m, case, surfaces, body) for m in ("curated", "raw", "sides"))
    assert {(c.weight, c.confidence, c.source) for c in curated} == {(1.0, 1.0, "curator")}
    assert 0 < raw[0].weight < corrected[0].weight <= 0.8, "wrong hands are further apart in the image"


def test_a_method_without_its_contacts_does_not_apply(case: Case, body: BodyModel) -> None:
    alone = replace(case, stated=None, contacts=None)
    surfaces = case.truth.vertices
    assert [readings_for(m, alone, surfaces, body) for m in ("raw", "sides", "denoised", "curated", "edited")] == [
        None
    ] * 5
    silent = replace(case, stated=())
    for method in ("raw", "sides", "denoised"):
        assert [reading.active for reading in readings_for(method, silent, surfaces, body)] == [()]


def side_by_side(body: BodyModel, gap: float = 0.05) -> np.ndarray:
    """Two people in the T-pose, the left finger tips of person 0 before the right ones of person 1."""
    rest = body.tensor("v_template").numpy()
    return np.stack([rest, rest + np.float32([np.ptp(rest[:, 0]) + gap, 0, 0])])


def test_the_heuristic_names_the_parts_that_are_nearest(case: Case, body: BodyModel) -> None:
    surfaces = side_by_side(body)
    left, right = (BodyPart(name="hand", side=side) for side in (Side.LEFT, Side.RIGHT))
    contact = nearest_contact(surfaces, body)
    assert contact.parts == (left, right)
    assert nearest_contact(surfaces[::-1].copy(), body).parts == (right, left)
    assert [c.parts for c in contacts_for("heuristic", case, surfaces, body)] == [contact.parts]


def test_the_heuristic_takes_the_smaller_of_parts_that_share_skin(body: BodyModel) -> None:
    """Back to back at a chest's width: a back is a back, and not half of a waist or a whole arm."""
    rest = body.tensor("v_template").numpy()
    turned = rest * np.float32([-1, 1, -1])
    upper = rest[:, 1] > np.quantile(rest[:, 1], 0.5)
    depth = 2 * -rest[upper & (np.abs(rest[:, 0]) < 0.1), 2].min()
    contact = nearest_contact(np.stack([rest, turned - np.float32([0, 0, depth + 0.02])]), body)
    assert {part.name for part in contact.parts} <= {"back", "waist", "head"}


def test_every_vertex_lies_on_a_part(body: BodyModel) -> None:
    regions = regions_of(body)
    held = np.zeros(body.num_vertices, bool)
    for name in PARTS:
        held[regions.part_vertices(BodyPart(name=name))] = True
    assert held[np.unique(body.skin_faces)].all()
