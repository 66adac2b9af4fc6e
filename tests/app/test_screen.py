"""What the page is told of a pair."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bands import BAD, GAP_CM, GOOD, LOOK
from app.meshes import crop_box
from app.screen import figures, outdates, pair_screen
from apu.body.model import BodyModel
from apu.types import FitResult, PairObservation
from review_db import Flip, PairRecord, SetNote, Workspace
from review_db.edits import Edit

from .conftest import STATED, observe, result


@pytest.fixture(scope="module")
def observation(body: BodyModel) -> PairObservation:
    return observe(body, "pair.png")


def fitted(path: Path, fit: FitResult) -> PairRecord:
    with Workspace.open(path) as workspace:
        workspace.add_fit(1, fit, revision=workspace.pair(1).sheet.revision)
        return workspace.pair(1)


@given(
    corners=st.lists(st.tuples(*[st.floats(-50, 550)] * 4), min_size=2, max_size=2),
)
def test_the_crop_lies_in_the_image_and_holds_what_of_both_people_is_there(
    observation: PairObservation, corners: list[tuple[float, float, float, float]]
) -> None:
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners], np.float32)
    x0, y0, x1, y1 = crop_box(replace(observation, boxes=boxes))
    assert 0 <= x0 < x1 <= 480
    assert 0 <= y0 < y1 <= 400
    inside = np.clip(boxes, 0, [479, 399, 479, 399])
    assert np.all(inside[:, :2] >= [x0 - 1, y0 - 1])
    assert np.all(inside[:, 2:] <= [x1 + 1, y1 + 1])


@pytest.mark.parametrize(("figure", "word"), [(0.0, GOOD), (1.5, GOOD), (1.6, LOOK), (2.9, LOOK), (3.0, BAD)])
def test_figures_are_good_up_to_half_the_limit_and_bad_from_the_limit(figure: float, word: str) -> None:
    assert GAP_CM.band(figure) == word


def test_the_figures_of_a_fit_come_with_words(make_workspace: Callable[..., Path]) -> None:
    record = fitted(make_workspace(1), result((0.001, 0.02)))
    shown = figures(record.fits[0])
    assert [(tile["text"], tile["band"]) for tile in shown] == [
        ("4.0", GOOD), ("30.0", BAD), ("2.0", LOOK), ("2.0", LOOK),
    ]  # fmt: skip
    assert [tile["text"] for tile in figures(None)] == ["–"] * 4


def test_each_contact_shows_its_own_gap(make_workspace: Callable[..., Path]) -> None:
    record = fitted(make_workspace(1), result((0.001, 0.05)))
    screen = pair_screen(record, job=None, worker="", no_mesh="", terms={})
    assert [line["gap"] and line["gap"]["text"] for line in screen["contacts"]] == [None, "5.0 cm"]
    assert record.sheet.contacts[0].contact.parts == STATED[0].parts  # not what the fit used, so without a gap


def test_every_fit_can_be_compared_with_the_start_and_the_others(make_workspace: Callable[..., Path]) -> None:
    path = make_workspace(1)
    fitted(path, result((0.001, 0.02)))
    record = fitted(path, result((0.001, 0.05)))
    start, first, last = pair_screen(record, job=None, worker="", no_mesh="", terms={})["fitList"]
    assert [entry["number"] for entry in (start, first, last)] == [0, 1, 2]
    assert [entry["id"] for entry in (first, last)] == [fit.id for fit in record.fits]
    assert start["solid"] == f"solid/1/start/{record.fits[-1].id}"
    assert last["overlay"] == f"mesh/1/fit/{record.fits[-1].id}/overlay"
    assert [entry["figures"][2]["text"] for entry in (start, first, last)] == ["–", "2.0", "5.0"]
    assert first["words"].startswith("2 contacts")


def test_a_part_without_keypoints_is_shown_where_the_first_guess_has_it(
    make_workspace: Callable[..., Path], observation: PairObservation
) -> None:
    with Workspace.open(make_workspace(1)) as workspace:
        record = workspace.pair(1)
    blind = observation.keypoints.copy()
    blind[1, :, 2] = 0
    record = replace(record, observation=replace(observation, keypoints=blind))
    line = pair_screen(record, job=None, worker="", no_mesh="", terms={})["contacts"][0]
    assert line["seen"] == [True, False]
    x0, y0, x1, y1 = observation.boxes[1]
    assert x0 <= line["ends"][1][0] <= x1
    assert y0 <= line["ends"][1][1] <= y1


def test_trouble_with_the_worker_comes_before_everything_else(make_workspace: Callable[..., Path]) -> None:
    with Workspace.open(make_workspace(1)) as workspace:
        record = workspace.pair(1)
    screen = pair_screen(record, job=None, worker="The worker is down.", no_mesh="", terms={})
    assert screen["fitSentence"] == "The worker is down."


def test_without_meshes_no_picture_is_asked_for(make_workspace: Callable[..., Path]) -> None:
    with Workspace.open(make_workspace(1)) as workspace:
        record = workspace.pair(1)
    screen = pair_screen(record, job=None, worker="", no_mesh="Nothing to show.", terms={})
    assert screen["start"] == screen["fit"] == {"overlay": None, "stills": None, "solid": None}
    assert screen["noMesh"] == "Nothing to show."


def test_a_fit_says_what_it_did_otherwise_than_usual(make_workspace: Callable[..., Path]) -> None:
    sides, floor = "with the keypoints' left and right exchanged of B's legs", "without the floor under one of them"
    fit = replace(result((0.001, 0.02)), stop=f"converged; {sides}; {floor}")
    words = f" s ({sides}; {floor})."
    said, unsaid = (
        pair_screen(fitted(make_workspace(1), each), job=None, worker="", no_mesh="", terms={})["fitSentence"]
        for each in (fit, result((0.001, 0.02)))
    )
    assert words in said
    assert "keypoints" not in unsaid
    assert "floor" not in unsaid


def test_contacts_that_the_fit_did_without_are_not_counted_as_fitted(make_workspace: Callable[..., Path]) -> None:
    fit = result((0.001, 0.02))
    one, other = fit.contacts

    def said(*weights: float) -> str:
        contacts = tuple(replace(c, weight=w) for c, w in zip((one, other), weights, strict=True))
        record = fitted(make_workspace(1), replace(fit, contacts=contacts))
        return pair_screen(record, job=None, worker="", no_mesh="", terms={})["fitSentence"]

    assert said(1.0, 0.5).startswith("Fitted to 2 contacts in ")
    assert said(1.0, 0.0).startswith("Fitted to 1 contact, without 1 other, in ")
    assert said(0.0, 0.0).startswith("Fitted to none of 2 contacts in ")


def test_a_fit_is_outdated_by_edits_that_stand(make_workspace: Callable[..., Path]) -> None:
    """Not by a note, nor by what was taken back, before it began or since."""
    with Workspace.open(make_workspace(1)) as workspace:

        def edited(edit: Edit) -> None:
            workspace.edit_contacts(1, edit, curator="ana", revision=workspace.pair(1).sheet.revision)

        def undone() -> None:
            workspace.undo(1, curator="ana", revision=workspace.pair(1).sheet.revision)

        edited(Flip(contact=1))
        workspace.jobs.queue("fit", 1, revision=workspace.pair(1).sheet.revision, curator="ana")
        job = workspace.jobs.claim("w")
        assert not outdates(workspace.pair(1), None)
        assert not outdates(workspace.pair(1), job)
        edited(SetNote(text="look again"))
        assert not outdates(workspace.pair(1), job)
        edited(Flip(contact=2))
        assert outdates(workspace.pair(1), job)
        undone()
        assert not outdates(workspace.pair(1), job)
        undone()  # the note
        undone()  # what stood when the fit began
        assert outdates(workspace.pair(1), job)
