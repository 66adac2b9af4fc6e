"""The shares of right sides."""

import numpy as np
import pytest

from apu.bench import denoise
from apu.bench.case import Case
from apu.bench.denoise import Told, rate, rate_fitted, table
from apu.body.model import BodyModel
from apu.fan import Reading
from apu.types import Contact, PairObservation


def told(case: Case, *, visible: bool) -> Told:
    """Of one contact with its sides exchanged."""
    stated, true = tuple(case.stated or ()), tuple(case.contacts or ())
    assert [c.flipped.parts for c in stated] == [c.parts for c in true]
    flags = (visible,) * len(stated)
    return Told(
        scene=int(visible), observation=case.observation, stated=stated, true=true, counted=(True,) * len(stated),
        clear=flags, visible=flags,
    )  # fmt: skip


def test_only_answers_with_a_visible_contact_are_fitted_and_what_is_left_out_is_wrong(
    case: Case, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PairObservation] = []
    said: list[Contact | None] = []

    def likeliest(observation: PairObservation, contacts: tuple[Contact, ...], body: BodyModel):
        seen.append(observation)
        return Reading(contacts=tuple(said), exchanged=False, probability=1.0), None

    monkeypatch.setattr(denoise, "fit_likeliest", likeliest)
    shown, hidden = told(case, visible=True), told(case, visible=False)
    for contacts, share in (([c.flipped for c in shown.stated], 1.0), ([None] * len(shown.stated), 0.0)):
        said[:] = contacts
        rated = rate_fitted([shown, hidden], body)
        assert rated.keys() == {"clear", "visible"}
        assert (rated["visible"]["right"], rated["visible"]["n"]) == (share, len(shown.stated))
    assert len(seen) == 2


def test_the_table_has_a_line_for_every_rule(case: Case) -> None:
    one = told(case, visible=True)
    right, wrong = (rate([one], lambda contacts, _, w=w: [c if w else c.flipped for c in contacts]) for w in (0, 1))
    assert (right["all"]["right"], wrong["all"]["right"]) == (1.0, 0.0)
    np.testing.assert_allclose(right["all"]["ci95"], [1.0, 1.0])
    lines = table({"plain": {"raw": wrong, "fitted": {"clear": right["clear"], "visible": right["visible"]}}})
    assert lines.count("100.0 [100.0, 100.0]") == 2
    assert len(lines.splitlines()) == 4
