"""`apu fit --denoised`: where nobody has judged the contacts, their best reading stands as an edit of the program."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.jobs import run_likeliest
from app.steps import fit_pairs
from apu.body.model import BodyModel
from apu.fan import readings
from apu.fit import FitOptions
from review_db import SetNote, Swap, TakeReading, Workspace
from review_db.check import check
from review_db.edits import PROGRAM

from .conftest import STATED, TRUE, answer, tell


@pytest.fixture
def workspace(make_workspace: Callable[..., Path]) -> Iterator[Workspace]:
    with Workspace.open(make_workspace(2)) as opened:
        yield opened


def fitted(workspace: Workspace, body: BodyModel, *pairs: int, exchange: bool = False) -> None:
    chosen = [summary for summary in workspace.pairs() if summary.id in pairs]
    outcomes = list(fit_pairs(workspace, body, chosen, denoised=True, exchange=exchange))
    assert [outcome.notes for outcome in outcomes if not outcome.done] == []


def test_the_best_reading_stands_until_it_is_taken_back(workspace: Workspace, body: BodyModel) -> None:
    stated = workspace.pair(1).sheet
    fitted(workspace, body, 1)
    record = workspace.pair(1)
    (entry,) = [entry for entry in record.history if entry.curator == PROGRAM]
    assert isinstance(entry.edit, TakeReading)
    assert [contact.parts for contact in record.sheet.active] == [contact.parts for contact in TRUE]
    changed = [now.source for now, said in zip(record.sheet.active, STATED, strict=True) if now.parts != said.parts]
    assert set(changed) == {"denoiser"}, "a fit weighs them by the keypoints, as no curator stands behind them"
    (fit,) = record.fits
    assert (fit.stale, fit.curator, fit.swapped) == (False, "", False)
    assert [c.parts for c in workspace.fit(fit.id).contacts] == [c.parts for c in TRUE]
    assert workspace.fans.get(1) is None, "a curator's fan weighs what a curator takes"
    assert check(workspace).findings == ()
    sheet = workspace.undo(1, curator="ada", revision=record.sheet.revision)
    assert [line.contact for line in sheet.contacts] == [line.contact for line in stated.contacts]


def test_what_a_person_has_judged_is_left_alone(workspace: Workspace, body: BodyModel) -> None:
    fitted(workspace, body, 1)
    workspace.undo(1, curator="ada", revision=workspace.pair(1).sheet.revision)
    workspace.edit_contacts(2, SetNote(text="hm"), curator="ada", revision=workspace.pair(2).sheet.revision)
    before = workspace.pair(1).sheet
    fitted(workspace, body, 1, 2)
    assert workspace.pair(1).sheet == before, "who takes the program's reading back has judged"
    assert [c.parts for c in workspace.pair(2).sheet.active] == [c.parts for c in TRUE], "a note judges nothing"


def test_an_exchange_of_people_is_the_programs_too_and_told(workspace: Workspace, body: BodyModel) -> None:
    observation = workspace.pair(1).observation
    tell(workspace, 1, observation, answer(*(contact.swapped for contact in TRUE)))
    fitted(workspace, body, 1, exchange=True)
    record = workspace.pair(1)
    assert record.sheet.swapped
    assert record.fits[-1].swapped
    assert [contact.parts for contact in record.sheet.active] == [contact.parts for contact in TRUE]
    assert {contact.source for contact in record.sheet.active} == {"denoiser"}
    assert not any(isinstance(entry.edit, Swap) for entry in record.history)


def test_the_fit_decides_what_the_image_leaves_open(
    workspace: Workspace, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two readings that the image leaves open it takes the one whose bodies bend less, though it comes second."""

    chances = {tuple(c.parts for c in said): chance for said, chance in ((STATED, 0.5), (TRUE, 0.5))}

    def misled(*args, **options):
        found = readings(*args, **options)
        return tuple(
            replace(reading, probability=chances.get(tuple(c.parts for c in reading.active), 0.0)) for reading in found
        )

    monkeypatch.setattr("apu.fan.readings", misled)
    fitted(workspace, body, 1)
    assert [contact.parts for contact in workspace.pair(1).sheet.active] == [contact.parts for contact in TRUE]


def test_a_pair_that_cannot_be_fitted_does_not_stop_the_next(
    workspace: Workspace, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = FitOptions(min_confidence=2.0)

    def first_fails(workspace: Workspace, pair: int, body: BodyModel, **options):
        with monkeypatch.context() as patch:
            if pair == 1:
                patch.setattr("apu.fit.unite.FitOptions", lambda: blind)
            return run_likeliest(workspace, pair, body, **options)

    monkeypatch.setattr("app.steps.run_likeliest", first_fails)
    first, second = fit_pairs(workspace, body, workspace.pairs(), denoised=True)
    assert not first.done
    assert "no keypoint of either person is sure enough" in first.notes[0]
    assert second.done
    assert workspace.pair(1).fits == ()
    assert [entry.curator for entry in workspace.pair(1).history if isinstance(entry.edit, TakeReading)] == []
