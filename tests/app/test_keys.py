"""Keys: each can be changed, switched off and set back in the list behind `?`; what is printed on buttons follows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser


def key_of(page: Page, words: str) -> Locator:
    return page.locator(".keys").get_by_role("button", name=f"{words}:")


@pytest.fixture
def opened(make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]):
    def open_page(place: str = "?pair=1") -> Page:
        url = serve(make_workspace(2, meshes=False), worker=False)
        return visit(f"{url}/{place}", width=1440, height=900)

    return open_page


def test_a_key_is_changed_by_keys_alone_and_kept(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator(".line.chosen").wait_for()
    page.keyboard.press("?")
    expect(page.locator(".keys")).to_be_visible()
    expect(page.get_by_label("single keys act")).to_be_focused()
    key_of(page, "flip the contact").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".keys .sentence")).to_contain_text("Press the new key for “flip the contact: both sides”")
    page.keyboard.press("j")
    expect(key_of(page, "flip the contact")).to_have_text("J")
    expect(key_of(page, "flip the contact")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".keys")).to_be_hidden()
    expect(page.get_by_role("button", name="Flip J", exact=True)).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("f")
    page.keyboard.press("j")
    expect(page.locator(".line.changed")).to_have_count(1)

    page.reload()
    expect(page.get_by_role("button", name="Flip J", exact=True)).to_be_visible()
    page.keyboard.press("?")
    page.get_by_role("button", name="Back to the defaults").click()
    expect(key_of(page, "flip the contact")).to_have_text("F")
    expect(page.get_by_role("button", name="Flip F", exact=True)).to_be_visible()
    assert page.evaluate("localStorage.getItem('apu.keymap')") is None


def test_a_taken_key_names_whose_it_is_and_goes_over_when_told(opened: Callable[..., Page]) -> None:
    page = opened()
    page.get_by_role("button", name="Keys ?").click()
    key_of(page, "swap the two people").click()
    page.keyboard.press("m")
    expect(page.locator(".keys .sentence")).to_have_text(
        "M is the key of “mirror A: left and right in every contact” and “mirror B”."
    )
    page.get_by_role("button", name="Leave").click()
    expect(key_of(page, "swap the two people")).to_have_text("S")
    key_of(page, "swap the two people").click()
    page.keyboard.press("x")
    expect(page.locator(".keys .sentence")).to_have_text("X is the key of “drop or restore the contact”.")
    page.keyboard.press("Enter")  # the focus is on "Take it over"
    expect(key_of(page, "swap the two people")).to_have_text("X")
    expect(key_of(page, "drop or restore the contact")).to_have_text("–")
    expect(page.get_by_role("button", name="Drop", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Swap people X")).to_be_visible()


def test_keys_are_switched_off_one_by_one_and_as_a_whole(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator(".line.chosen").wait_for()
    page.keyboard.press("?")
    key_of(page, "flip the contact").click()
    page.get_by_role("button", name="No key").click()
    key_of(page, "mirror A").click()
    page.keyboard.press("g")
    page.keyboard.press("i")  # two strokes: but G alone is taken
    expect(page.locator(".keys .sentence")).to_contain_text("G I is the key of “flag")
    page.keyboard.press("Escape")
    key_of(page, "mirror A").click()
    page.keyboard.press("j")
    page.keyboard.press("Shift+i")
    expect(key_of(page, "mirror A")).to_have_text("J ⇧I")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("f")
    page.keyboard.press("j")
    page.keyboard.press("Shift+i")
    expect(page.locator(".line.changed")).to_have_count(2)

    page.keyboard.press("?")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    expect(page.locator(".contacts kbd").first).to_be_hidden()
    for key in ("u", "x", " ", "p", "l"):
        page.keyboard.press(key)
    expect(page.locator(".line.dropped")).to_have_count(0)
    expect(page.locator(".line.changed")).to_have_count(2)
    page.keyboard.press("?")
    expect(page.get_by_label("single keys act")).not_to_be_checked()


def test_other_pages_follow_the_same_list(opened: Callable[..., Page]) -> None:
    page = opened("library")
    expect(page.get_by_role("heading", name="pair")).to_be_visible()  # the page's scripts have run
    page.keyboard.press("?")
    key_of(page, "search").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")  # no second one
    expect(key_of(page, "search")).to_have_text("J")
    key_of(page, "insights").click()
    page.keyboard.press("8")
    expect(key_of(page, "insights")).to_have_text("8")
    page.get_by_role("button", name="Close Esc").click()
    page.keyboard.press("j")
    expect(page.get_by_placeholder("file, action or interaction")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("8")
    page.wait_for_url("**/insights")
