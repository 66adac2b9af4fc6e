"""axe-core finds nothing serious or critical on any page, in any of its states, in light or dark."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from apu.types import Decision, Verdict
from review_db import Drop, SetNote, Workspace
from review_db.studies import Studies

from .conftest import make_app, result, serving, standing
from .test_fan_page import alternatives

pytestmark = pytest.mark.browser

GRAVE = ("serious", "critical")
DRAWN = "() => document.fonts.status === 'loaded' && document.getAnimations().every(a => a.playState !== 'running')"


CONTRAST = {"runOnly": ["color-contrast"]}


def issues(page: Page, where: str, part: str = "body") -> list[str]:
    """What is serious or critical in a part of a page as it stands: all rules in dark, what colours change in light."""
    found = []
    for scheme, options in (("dark", {"resultTypes": ["violations"]}), ("light", CONTRAST)):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
        page.wait_for_function(DRAWN)
        for each in Axe().run(page, context=part, options=options).response["violations"]:
            if each["impact"] in GRAVE:
                nodes = [f"{node['failureSummary']} {node['html']}" for node in each["nodes"]]
                found += [f"{where}, {scheme}: {each['id']}: {node}" for node in nodes]
    return found


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    """Pairs in every state: two fits and a fan, a wrong contact, two judgements, a decision, one without an answer."""
    path = make_workspace(5, silent=1)
    with Workspace.open(path) as workspace:
        workspace.add_fit(1, result((0.001, 0.002)), revision=1)
        workspace.add_fit(1, result((0.001, 0.062)), revision=1)
        workspace.fans.keep(1, alternatives(), sheet=workspace.pair(1).sheet, job=None, worker="test")
        workspace.edit_contacts(2, Drop(contact=2), curator="ana", revision=1)
        workspace.edit_contacts(2, SetNote(text="look at the hands"), curator="ana", revision=2)
        workspace.decide(3, Decision(verdict=Verdict.FLAG, curator="ana", reason="other"), revision=1)
        workspace.reviews.draw(1.0)
        taken = workspace.reviews.next("ben")
        assert taken is not None
        workspace.reviews.judge(taken.id, Decision(verdict=Verdict.REJECT, curator="ben", reason="no contact"))
        studies = Studies(workspace.database)
        study = studies.create("Which is nearer?", "ana", [1, 2], ["start", "automatic"], shared=2, own=0, checks=0)
        for pair in studies.pairs(study):
            for method in studies.wanted(study, pair):
                studies.add_mesh(study, pair, method, standing(), "anny-free")
    return path


def test_the_review_page_in_all_its_states(path: Path, serve: Callable[..., str], visit: Callable[..., Page]) -> None:
    url = serve(path, worker=False)
    page = visit(f"{url}/?pair=1&state=all", width=1440, height=900)
    page.locator(".line.chosen").wait_for()
    found = issues(page, "review")
    for key, part, shown in (
        ("e", ".fan", ".alternative"),
        ("v", ".meshes", ".side-of"),
        ("n", ".contacts", ".adder"),
        ("q", ".queue", ".entry:not(.head)"),
        ("z", ".decisions", "h2"),
        ("r", ".decide", ".reasons"),
        ("?", ".keys", "ul"),
    ):
        page.keyboard.press(key)
        page.locator(f"{part} {shown}").first.wait_for()
        found += issues(page, part, part)
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
    for place, shown in (("?pair=2", ".line.dropped"), ("?disagrees=1", "table"), ("?pair=5", ".sentence")):
        page.goto(f"{url}/{place}")
        page.locator(f".contacts {shown}").first.wait_for()
        found += issues(page, place, ".contacts")
    page.set_viewport_size({"width": 1024, "height": 768})
    page.get_by_role("button", name="Review ▾").click()
    found += issues(page, "small screen", ".bar")
    assert not found, "\n".join(found)


def test_the_other_pages(path: Path, serve: Callable[..., str], visit: Callable[..., Page]) -> None:
    url = serve(path, worker=False)
    page = visit(f"{url}/library", width=1440, height=900)
    page.get_by_label("Choose pair 1").check()
    page.get_by_role("button", name="✕ Reject").click()
    found = issues(page, "library")
    for place, shown in (
        ("pair?id=1", ".pair-grid"),
        ("insights", "main h1"),
        ("study", "main h1"),
        ("runs", "main h1"),
    ):
        page.goto(f"{url}/{place}")
        page.locator(shown).first.wait_for()
        page.wait_for_load_state("networkidle")
        found += issues(page, place)
    assert not found, "\n".join(found)


def test_a_study_while_it_is_rated_and_its_results(
    path: Path, serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(path, worker=False)}/study", width=1440, height=900)
    page.get_by_role("button", name="Rate").click()
    page.wait_for_function("document.querySelectorAll('.rating-side img[src]').length === 6")
    found = issues(page, "rating")
    page.keyboard.press("1")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("s")
    expect(page.get_by_text("You have rated all 2.")).to_be_visible()
    found += issues(page, "rated")
    page.get_by_role("button", name="To the studies").click()
    page.get_by_role("button", name="Results").click()
    page.locator(".figures-grid table").first.wait_for()
    found += issues(page, "results")
    assert not found, "\n".join(found)


def test_the_login(make_workspace: Callable[..., Path], chromium: Browser) -> None:
    with serving(make_app(make_workspace(1, meshes=False), worker=False, login=True)) as url:
        page = chromium.new_page()
        page.goto(url)
        expect(page.get_by_label("Password")).to_be_visible()
        found = issues(page, "login")
        page.close()
    assert not found, "\n".join(found)
