"""How few keys a pair takes: every press is counted, and nothing but keys is used."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from review_db import PairState, Workspace

from .conftest import TRUE
from .test_fan_page import keep

pytestmark = pytest.mark.browser

MOST_KEYS = 6
MOST_KEYS_OF_A_FAN = 2
SLOW_S = 60.0
"""Seconds for what takes three on two idle cores."""


class Keys:
    """Presses keys and counts them."""

    def __init__(self, page: Page) -> None:
        self._page, self.pressed = page, 0

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)
        self.pressed += 1


def test_a_pair_with_one_wrong_side_takes_at_most_six_keys_to_its_accepted_fit(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(2)
    url = serve(path)
    page = visit(f"{url}/?pair=1", width=1440, height=900)
    expect(page.locator(".line.chosen .suggestion")).to_be_visible(
        timeout=1000 * SLOW_S
    )  # the first contact is chosen, and doubted
    keys, began = Keys(page), time.monotonic()
    keys.press("f")
    keys.press("Enter")
    page.locator("image.mesh[href*='/fit/']").wait_for(state="attached", timeout=1000 * SLOW_S)
    assert time.monotonic() - began < SLOW_S
    keys.press("a")
    expect(page.locator(".notice.done")).to_contain_text("Pair 1 accepted", timeout=1000 * SLOW_S)
    with Workspace.open(path) as workspace:
        record = workspace.pair(1)
    assert record.summary.state is PairState.ACCEPTED
    assert [contact.parts for contact in record.fits[-1].contacts] == [contact.parts for contact in TRUE]
    assert record.decision is not None
    assert record.decision.decision.fit_id == record.fits[-1].id
    assert keys.pressed <= MOST_KEYS


def test_with_a_prepared_fan_a_digit_and_a_are_enough(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(2)
    url = serve(path, worker=False)  # nothing is left to be fitted
    with Workspace.open(path) as workspace:
        keep(workspace, 1)
        page = visit(url + "/?pair=1", width=1440, height=900)
        page.evaluate("localStorage.setItem('apu.ahead', 'on')")
        page.reload()
        expect(page.locator(".alternative")).to_have_count(2, timeout=1000 * SLOW_S)
        keys = Keys(page)
        keys.press("1")
        keys.press("a")
        expect(page.locator(".notice.done")).to_contain_text("Pair 1 accepted", timeout=1000 * SLOW_S)
        record = workspace.pair(1)
    assert record.summary.state is PairState.ACCEPTED
    assert [contact.parts for contact in record.sheet.active] == [contact.parts for contact in TRUE]
    assert keys.pressed <= MOST_KEYS_OF_A_FAN
