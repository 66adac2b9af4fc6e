"""A contact that a program stated may be given up for the rest of what is seen; a curator's never."""

from dataclasses import replace

import pytest

from apu.body.model import BodyModel
from apu.fit import FitOptions, fit_pair
from apu.types import Contact

from .conftest import contact, part

Contacts = tuple[Contact, ...]


@pytest.fixture
def invented() -> Contact:
    """Nothing of the kind is so: the feet stand a metre apart."""
    return replace(contact(part("foot", "left"), part("foot", "left"), 0.6), source="model")


def test_a_contact_that_contradicts_the_picture_is_given_up(
    scene, touch: Contacts, invented: Contact, body: BodyModel
) -> None:
    stated = tuple(replace(c, source="model") for c in touch)
    fit = fit_pair(scene.observation, (*stated, invented), body)
    assert [c.weight > 0 for c in fit.contacts] == [True, False]
    assert fit.gaps_m[0] < 0.02
    assert fit.gaps_m[1] > 0.3
    assert fit.terms["given_up"][-1] > 0


def test_what_a_curator_says_stays(scene, touch: Contacts, invented: Contact, body: BodyModel) -> None:
    said = tuple(replace(c, source="curator") for c in (*touch, invented))
    fit = fit_pair(scene.observation, said, body, options=FitOptions(mirror=1e9, carried=1e9))
    assert [c.weight for c in fit.contacts] == pytest.approx([c.weight for c in said])
    assert fit.terms["given_up"][-1] == 0


def test_the_last_contact_stays(scene, invented: Contact, body: BodyModel) -> None:
    (only,) = fit_pair(scene.observation, (invented,), body).contacts
    assert only.weight == pytest.approx(invented.weight)
