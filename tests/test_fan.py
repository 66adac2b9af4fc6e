"""Which readings of a pair's contacts the fan offers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from apu.denoise import denoise
from apu.errors import FitError
from apu.fan import FEWEST, MOST, Claim, FanModel, Reading, best, readings, score
from apu.types import BodyParams, FitResult

from .test_denoise import BOTH, CONTACTS, LEFT, TRUE, contact, face_to_face, people

PARAMS = BodyParams(
    global_orient=np.zeros((2, 3)), body_pose=np.zeros((2, 21, 3)), betas=np.zeros((2, 11)), transl=np.zeros((2, 3))
)
HEADS = contact(("head", BOTH), ("head", BOTH), confidence=0.5)


def claims(*contacts, settled=False):
    return [Claim(contact=each, settled=settled) for each in contacts]


def likeliest(fan):
    return max(fan, key=lambda reading: reading.probability)


def test_the_contacts_as_they_stand_come_first_and_the_likeliest_other_sides_next():
    fan = readings(claims(replace(TRUE.flipped, confidence=0.9)), face_to_face())
    assert fan[0].active[0].parts == TRUE.flipped.parts
    assert fan[1].active[0].parts == TRUE.parts
    assert fan[1].probability > 0.5 > fan[0].probability
    assert fan[1].active[0].source == "denoiser"
    assert (
        likeliest(fan).changes(claims(TRUE.flipped))
        == "A's left hand instead of right, B's right shoulder instead of left"
    )


def test_right_contacts_stay_the_likeliest():
    fan = readings(claims(replace(TRUE, confidence=0.9)), face_to_face())
    assert likeliest(fan) is fan[0]
    assert fan[0].changes(claims(TRUE)) == ""


def test_a_contact_of_distant_parts_is_doubted_and_dropped():
    far = contact(("knee", LEFT), ("face", BOTH), confidence=0.4)
    fan = readings(claims(replace(TRUE, confidence=0.9), far), face_to_face())
    assert likeliest(fan).contacts[1] is None
    assert likeliest(fan).changes(claims(TRUE, far)) == "without A's left knee – B's face"


def test_exchanged_people_are_found_where_only_so_the_contacts_meet():
    stated = replace(TRUE.swapped, confidence=0.95)
    fan = readings(claims(stated), face_to_face(), model=FanModel(exchanged=0.3))
    exchanged = next(reading for reading in fan if reading.exchanged)
    assert exchanged.active[0].parts == TRUE.parts
    assert exchanged.probability > fan[0].probability
    assert exchanged.changes(claims(stated)) == "A and B exchanged"


def test_what_a_person_has_judged_is_not_doubted():
    judged = Claim(contact=replace(TRUE.flipped, confidence=0.2), settled=True)
    fan = readings([judged, Claim(contact=HEADS)], face_to_face())
    assert all(reading.contacts[0] == judged.contact and not reading.exchanged for reading in fan)
    assert len(readings([judged], face_to_face())) == 1


@settings(deadline=None)  # five contacts of any parts take a while on a busy machine
@given(CONTACTS, people())
def test_a_fan_is_small_sorted_and_never_says_the_same_twice(contacts, keypoints):
    fan = readings(claims(*contacts), keypoints)
    assert 1 <= len(fan) <= MOST
    chances = [reading.probability for reading in fan]
    assert chances[1:] == sorted(chances[1:], reverse=True)
    assert sum(chances) <= 1 + 1e-9
    said = [frozenset(each.parts for each in reading.active) for reading in fan]
    assert len(set(said)) == len(said)
    assert all(said[1:])
    for reading in fan:
        kept = [each for each in reading.contacts if each is not None]
        names = [sorted(part.name for part in each.parts) for each in kept]
        stated = [c for c, each in zip(contacts, reading.contacts, strict=True) if each is not None]
        assert names == [sorted(part.name for part in each.parts) for each in stated]


def test_a_sure_fan_has_no_more_than_the_fewest():
    sure = replace(TRUE, confidence=1.0)
    assert len(readings(claims(sure), face_to_face(), model=FanModel(enough=0.5))) == FEWEST


def test_the_sides_of_the_fan_are_the_denoisers():
    stated = replace(TRUE.flipped, confidence=1.0)
    (check,) = denoise([stated], face_to_face())
    fan = readings(claims(stated), face_to_face(), model=FanModel(exchanged=1e-9, enough=1 - 1e-9))
    assert likeliest(fan).active[0].parts == check.suggestion.parts
    assert likeliest(fan).probability == pytest.approx(check.confidence, abs=1e-3)


def fit(objective: float) -> FitResult:
    """All that a score looks at."""
    none = np.zeros(2)
    return FitResult(
        params=PARAMS, start=PARAMS, contacts=(), swapped=False, gaps_m=none, reprojection_512=none,
        reprojection_px=none, max_penetration_m=0.0, mean_penetration_m=0.0, kept=True,
        terms={"keypoints": (9.0, objective)}, stop="converged", seconds=0.0, iterations=1,
        device="cpu", body="", seed=0, options={},
    )  # fmt: skip


def test_a_reading_that_bends_the_bodies_loses_against_a_less_likely_one():
    likely, other = (Reading(contacts=(TRUE,), exchanged=False, probability=p) for p in (0.8, 0.2))
    assert score(likely, fit(4.0)) - score(other, fit(4.0)) == pytest.approx(np.log(4))
    assert score(likely, fit(10.0)) - score(likely, fit(4.0)) == pytest.approx(-6.0 / FanModel().objective_scale)
    bent, straight = fit(30.0), fit(20.0)
    assert best([likely, other], [bent, straight]) == (other, straight)
    assert best([likely, other], [bent, straight], model=FanModel(objective_scale=1000.0)) == (likely, bent)
    assert best([likely, other], [FitError("it did not stay finite"), straight]) == (other, straight)
    assert best([likely], [FitError("it did not stay finite")]) is None


@pytest.mark.parametrize("change", [{"objective_scale": 0.0}, {"invented": 0.0}, {"exchanged": 1.0}, {"enough": -0.5}])
def test_a_model_of_doubts_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        FanModel(**change)
