"""The tour: from card to card by doing what they say, and not a second time."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import until

pytestmark = pytest.mark.browser

PERSON = "Object.defineProperty(navigator, 'webdriver', {get: () => false})"
"""The tour begins by itself for people, not for browsers that are driven."""


def covers(page: Page) -> bool:
    """Whether the card lies over what the ring is around."""
    card, ring = (page.locator(name).bounding_box() for name in (".tour", ".tour-ring"))
    return card is None or ring is None or (
        card["x"] < ring["x"] + ring["width"] and ring["x"] < card["x"] + card["width"]
        and card["y"] < ring["y"] + ring["height"] and ring["y"] < card["y"] + card["height"]
    )  # fmt: skip


def test_it_leads_through_the_loop_by_keys_and_does_not_come_again(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    url = serve(make_workspace(3), worker=False)
    page = visit(f"{url}/?tour&pair=1", width=1440, height=900, script=PERSON)
    card = page.get_by_role("region", name="Tour")
    steps = [
        (".", "do these bodies touch as in the photograph?"), ("f", "Choose a contact"), ("Enter", "until they touch"),
        (".", "The figures say"), ("e", "the other likely readings"), ("r", "reject R what is not"),
    ]  # fmt: skip
    for number, (key, words) in enumerate(steps, 1):
        expect(card).to_contain_text(words)
        expect(card).to_contain_text(f"{number} of {len(steps)}")
        assert page.evaluate("document.activeElement === document.body")
        until(lambda: not covers(page), "the card stands beside its control")
        page.keyboard.press(key)
    page.keyboard.press("1")  # a reason
    expect(card).to_be_hidden()
    expect(page).to_have_url(f"{url}/?pair=2")

    page.reload()
    page.locator(".line.chosen").wait_for()
    expect(card).to_be_hidden()
    page.keyboard.press("?")
    page.get_by_role("button", name="Show the tour").press("Enter")
    expect(card).to_contain_text("1 of 6")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()

    page.set_viewport_size({"width": 1024, "height": 768})
    page.keyboard.press("d")  # the meshes hide the photograph, which is what the first card stands beside
    page.keyboard.press("?")
    page.get_by_role("button", name="Show the tour").press("Enter")
    until(lambda: not covers(page), "the photograph is back and the card stands beside it")


def test_it_begins_by_itself_on_a_first_visit_of_a_person_only(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    url = serve(make_workspace(1, meshes=False), worker=False)
    person, driven = visit(url, script=PERSON), visit(url)
    expect(person.get_by_role("region", name="Tour")).to_be_visible()
    person.get_by_role("button", name="Skip").click()
    person.reload()
    for page in (person, driven):
        page.locator(".line.chosen").wait_for()
        expect(page.get_by_role("region", name="Tour")).to_be_hidden()
