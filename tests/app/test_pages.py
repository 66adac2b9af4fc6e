"""The pages to read: one pair with its history in words, and insights with their files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from app.pages.history import events
from apu.types import BodyPart, Decision, Side, Verdict
from review_db import Add, Drop, Edit, Flip, FlipSide, Mirror, SetConfidence, SetNote, Swap, TakeSuggestion, Workspace

from .conftest import make_app, result

HOST = {"host": "127.0.0.1:7860", "accept": "application/json"}
EDITS: tuple[tuple[Edit, str], ...] = (
    (Flip(contact=1), "flipped both sides of A's right upper arm – B's left upper arm"),
    (FlipSide(contact=1, person=1), "flipped B's side of A's left upper arm – B's right upper arm"),
    (Drop(contact=2), "dropped A's left forearm – B's right forearm"),
    (Mirror(person=0), "mirrored A in every contact"),
    (Swap(), "exchanged the two people"),
    (Add(parts=(BodyPart(name="hand", side=Side.LEFT), BodyPart(name="back"))), "added A's left hand – B's back"),
    (SetConfidence(contact=3, confidence=0.25), "set the confidence of A's left hand – B's back to 0.25"),
    (SetNote(text="<img onerror=alert(1)> ${x}"), "wrote the note “<img onerror=alert(1)> ${x}”"),
)


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    path = make_workspace(3)
    with Workspace.open(path) as workspace:
        for edit, _ in EDITS:
            workspace.edit_contacts(1, edit, curator="ada", revision=workspace.pair(1).sheet.revision)
        workspace.edit_contacts(2, TakeSuggestion(), curator="ada", revision=1)
        fit = workspace.add_fit(2, result((0.001, 0.002)), revision=2, curator="ada")
        workspace.decide(2, Decision(verdict=Verdict.ACCEPT, curator="ada", fit_id=fit, note="good"), revision=2)
        workspace.decide(3, Decision(verdict=Verdict.FLAG, curator="ben", reason="other"), revision=1)
        workspace.undo(3, curator="ben", revision=2)
    return path


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        yield client


def test_every_edit_is_told_in_words_with_its_author_and_time(path: Path) -> None:
    with Workspace.open(path) as workspace:
        told = events(workspace.pair(1), names=True)
    assert [event["words"] for event in told if event["kind"] == "edit"][1:] == [words for _, words in EDITS]
    assert {event["who"] for event in told[-len(EDITS) :]} == {"ada"}
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)


def test_decisions_fits_and_what_was_taken_back_are_told(path: Path) -> None:
    with Workspace.open(path) as workspace:
        accepted, undone = (events(workspace.pair(pair), names=True) for pair in (2, 3))
    assert accepted[-1]["words"] == "accepted: “good”"
    assert any(event["words"].startswith("fit 1 of 2 contacts: reprojection A 4.0") for event in accepted)
    flagged, back = undone[-2:]
    assert (flagged["words"], flagged["undone"]) == ("flagged: other", True)
    assert back["words"] == "took back: flagged: other"


def test_the_pair_page_has_everything_about_one_pair(client: TestClient) -> None:
    pair = client.get("/pair/data?id=2").json()
    assert (pair["id"], pair["previous"], pair["next"], pair["state"]) == (2, 1, 3, "accepted")
    assert [fit["number"] for fit in pair["fits"]] == [0, 1]
    assert pair["answers"][0]["stands"]
    assert pair["decisions"][0]["note"] == "good"
    assert client.get("/pair/data?id=99").status_code == 404
    assert client.get("/pair/data?id=x").status_code == 422


@pytest.mark.browser
def test_the_meshes_turn_by_themselves_by_hand_and_by_keys(
    path: Path, serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(path, worker=False)}/pair?id=2", width=1440, height=900)
    scene, turn = page.locator("canvas.scene"), page.get_by_role("button", name="Turn", exact=True)
    expect(scene).to_have_attribute("data-solid", "solid/2/fit/1")
    expect(scene).to_have_attribute("data-look", "front")
    expect(turn).to_have_attribute("aria-pressed", "false")

    turn.click()
    expect(turn).to_have_attribute("aria-pressed", "true")
    places = set()
    for _ in range(3):
        places.add(scene.get_attribute("data-eye"))
        page.wait_for_function("eye => document.querySelector('canvas.scene').dataset.eye !== eye", arg=max(places))
    page.get_by_role("button", name="Side", exact=True).click()
    expect(turn).to_have_attribute("aria-pressed", "false")
    expect(scene).to_have_attribute("data-look", "side")

    page.locator(".viewer .large").focus()
    page.keyboard.press("ArrowRight")
    expect(scene).to_have_attribute("data-look", "free")
    expect(page.get_by_role("heading", name="Pair 2")).to_be_visible()  # arrows there go to no other pair
    page.get_by_role("button", name="Start", exact=True).click()
    expect(scene).to_have_attribute("data-solid", "solid/2/start/1")


@pytest.mark.browser
def test_nothing_moves_by_itself_for_who_wants_that(
    path: Path, serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(path, worker=False)}/library", width=1440, height=900)
    page.emulate_media(reduced_motion="reduce")
    page.goto(page.url.replace("library", "pair?id=2"))
    scene, turn = page.locator("canvas.scene"), page.get_by_role("button", name="Turn", exact=True)
    expect(scene).to_have_attribute("data-solid", "solid/2/fit/1")
    before = scene.get_attribute("data-eye")
    turn.click()
    expect(scene).not_to_have_attribute("data-eye", before or "")
    expect(turn).not_to_have_attribute("aria-pressed", "true")
    here = scene.get_attribute("data-eye")
    page.wait_for_timeout(500)
    assert scene.get_attribute("data-eye") == here


def test_insights_measure_models_on_accepted_pairs(client: TestClient) -> None:
    data = client.get("/insights/data").json()
    (group,) = data["groups"]["model"]
    assert (group["name"], group["pairs"], group["simulated"]) == ("toy", 1, True)
    for when in ("before", "after"):
        assert group[when]["precision"]["of"] == 2
        assert group[when]["precision"]["low"] < group[when]["precision"]["value"] or not group[when]["right"]
    assert [source["accepted"] for source in data["sources"]] == [1]
    assert data["filter"]["keeps"]["of"] == 1
    assert client.get("/insights/data?source=nowhere").json()["groups"]["model"] == []
    assert client.get("/insights/data?simulated=0").json()["groups"]["all"][0]["pairs"] == 0


@pytest.mark.browser
def test_a_pair_is_read_in_a_browser_and_hostile_text_stays_text(
    path: Path, serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(path, worker=False)}/pair?id=1", width=1440, height=900)
    expect(page.get_by_text("wrote the note “<img onerror=alert(1)> ${x}”")).to_be_visible()
    page.get_by_role("button", name="Next pair").click()
    expect(page.get_by_role("heading", name="Pair 2")).to_be_visible()
    assert page.url.endswith("pair?id=2")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".photo-stack img").nth(1)).to_have_attribute("src", "mesh/2/start/1/overlay")
    page.go_back()
    expect(page.get_by_role("heading", name="Pair 1")).to_be_visible()


@pytest.mark.browser
def test_figures_are_saved_as_data_and_pictures(
    path: Path, serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(path, worker=False)}/insights", width=1440, height=900, scheme="light")
    saved = {}
    for kind in ("CSV", "SVG", "PNG"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Models against accepted pairs as {kind}").click()
        saved[kind] = download.value.path().read_bytes()
    assert saved["CSV"].startswith(b"model,pairs,answers")
    assert saved["SVG"].startswith(b"<svg")
    assert b"fill=" in saved["SVG"]
    assert saved["PNG"].startswith(b"\x89PNG")
    page.get_by_role("button", name="Body part").click()
    expect(page.locator(".chart-label", has_text="upper arm")).to_be_visible()
