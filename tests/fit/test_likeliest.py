"""Where nobody looks, the likeliest readings of an answer are fitted and the best one stands."""

from dataclasses import replace

import numpy as np
import pytest

from apu.body.model import BodyModel
from apu.errors import FitError
from apu.fan import fit_likeliest
from apu.types import Contact

Contacts = tuple[Contact, ...]


def test_stated_sides_that_bend_the_bodies_are_corrected(scene, touch: Contacts, body: BodyModel) -> None:
    reading, fit = fit_likeliest(scene.observation, [touch[0].flipped], body)
    assert [contact.parts for contact in reading.active] == [touch[0].parts]
    assert [(contact.parts, contact.source) for contact in fit.contacts] == [(touch[0].parts, "denoiser")]
    assert fit.max_gap_m < 0.01


def test_a_contact_that_is_none_is_left_out(scene, touch: Contacts, body: BodyModel) -> None:
    invented = replace(touch[0], parts=(touch[0].parts[0], replace(touch[0].parts[1], name="foot")), confidence=0.3)
    reading, _ = fit_likeliest(scene.observation, [touch[0], invented], body)
    assert reading.contacts[1] is None
    assert reading.active[0].parts == touch[0].parts


def test_a_pair_that_cannot_be_fitted_says_why(scene, touch: Contacts, body: BodyModel) -> None:
    unseen = replace(scene.observation, keypoints=np.zeros_like(scene.observation.keypoints))
    with pytest.raises(FitError, match="no keypoint of either person is sure enough"):
        fit_likeliest(unseen, touch, body)


def test_without_contacts_there_is_one_reading(scene, body: BodyModel) -> None:
    reading, fit = fit_likeliest(scene.observation, (), body)
    assert reading.active == fit.contacts == ()
