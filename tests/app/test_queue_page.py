"""The queue on the page: what is worked off, by whom, in which order, and what becomes of what was begun."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Page, Route, expect

from apu.types import Decision, Verdict
from review_db import Drop, PairState, Workspace
from review_db.accounts import Accounts, Role

from .conftest import make_app, result, serving, until
from .test_hostile_text import HOSTILE

pytestmark = pytest.mark.browser

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SLOW_MS = 20_000
expect.set_options(timeout=SLOW_MS)


def entries(page: Page) -> list[int]:
    ids = "nodes => nodes.map(node => Number(node.dataset.id))"
    return page.locator(".entry:not(.head)").evaluate_all(ids)


def as_somebody(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Your name").press("Tab")
    page.evaluate("document.activeElement.blur()")


@pytest.fixture
def opened(make_workspace: Callable[..., Path], serve: Callable[..., str]):
    """A served workspace of pairs without meshes, with its address."""
    with ExitStack() as stack:

        def start(pairs: int) -> tuple[Workspace, str]:
            path = make_workspace(pairs, meshes=False)
            url = serve(path, worker=False)
            return stack.enter_context(Workspace.open(path)), url

        yield start


def test_filters_orders_and_views_are_in_the_address_and_back_works(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(5)
    workspace.decide(2, Decision(verdict=Verdict.REJECT, curator=HOSTILE[3], reason="x"), revision=1)
    workspace.add_fit(4, result((0.01, 0.02)), revision=1)
    page = visit(f"{url}/?pair=1")
    page.keyboard.press("q")
    expect(page.locator(".entry:not(.head)")).to_have_count(4)
    expect(page.locator(".bar .count")).to_have_text("1 of 4")
    chips = page.locator(".queue .chip")
    expect(chips.filter(has_text="rejected")).to_have_text(re.compile("rejected *1"))
    chips.filter(has_text="rejected").click()
    expect(page.locator(".entry:not(.head)")).to_have_count(5)
    expect(page.locator(".bar .count")).to_have_text("1 of 5")
    page.get_by_label("Order", exact=True).select_option("id")
    expect(page).to_have_url(re.compile("state=rejected.*order=id"))
    until(lambda: entries(page) == [1, 2, 3, 4, 5], "the list is by number")
    shared = page.url

    page.get_by_label("Search the queue").fill("pair 3")
    until(lambda: entries(page) == [4], "the search finds one photograph")
    expect(page.locator(".bar .count")).to_have_text("pair 1, not in this queue of 1")
    page.get_by_label("Name of the view").fill(HOSTILE[0][:60])
    page.get_by_role("button", name="Save view").click()
    view = page.locator(".queue .chip", has_text=HOSTILE[0][:20]).first
    expect(view).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page).to_have_url(shared)
    until(lambda: entries(page) == [1, 2, 3, 4, 5], "back shows the queue before")
    page.go_forward()
    until(lambda: entries(page) == [4], "forward shows the search again")
    page.get_by_label("Search the queue").press("Enter")
    expect(page).to_have_url(re.compile("pair=4"))
    expect(page.locator(".queue")).to_be_hidden()

    other = visit(shared)
    other.keyboard.press("/")
    expect(other.get_by_label("Search the queue")).to_be_focused()
    until(lambda: entries(other) == [1, 2, 3, 4, 5], "the address shows the same queue to everybody")
    other.locator(".queue .chip", has_text=HOSTILE[0][:20]).first.click()
    until(lambda: entries(other) == [4], "a view is for everybody")
    assert other.evaluate("document.body.dataset.hacked") is None


def test_two_curators_get_different_pairs_and_a_held_one_says_so(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(6)
    held = lambda who: {claim.pair for claim in workspace.claims.held(who)}  # noqa: E731
    ana = visit(url)
    as_somebody(ana, "ana")
    until(lambda: len(held("ana")) == 2, "the claims are in the new name")
    hers = max(held("ana"))
    ana.keyboard.press(" ")
    expect(ana).to_have_url(re.compile(f"pair={hers}"))
    until(lambda: len(held("ana") - {1}) == 2, "ana holds her pair and the next")
    ben = visit(url)
    as_somebody(ben, HOSTILE[0][:60])
    ben.goto(f"{url}/?pair={hers}")
    expect(ben.locator(".notice.held")).to_contain_text("ana is working on this pair.")
    ben.get_by_role("button", name="Next free pair").click()
    expect(ben.locator(".notice.held")).to_have_count(0)
    until(lambda: held(HOSTILE[0][:60]), "ben holds pairs")
    assert not held("ana") & held(HOSTILE[0][:60])
    ana.goto("about:blank")
    until(lambda: not held("ana"), "a closed page leaves its pairs")


def test_a_pair_claimed_by_an_answer_that_came_too_late_is_left(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(6)
    page = visit(f"{url}/?pair=6")
    late: list[Callable[[], None]] = []

    def hold_back(route: Route) -> None:
        asked = route.request.post_data_json
        if (asked["name"], asked["pair"]) == ("ahead", 1) and not late:
            answer = route.fetch()
            late.append(lambda: route.fulfill(response=answer))
        else:
            route.continue_()

    page.route("**/act", hold_back)
    page.goto(f"{url}/?pair=1")
    for _ in range(200):
        page.wait_for_timeout(50)  # the handler runs while Playwright waits
        if late:
            break
    held = lambda: {claim.pair for claim in workspace.claims.held("tester")}  # noqa: E731
    until(lambda: held() == {1, 2}, "the pair and the one ahead are claimed")
    page.keyboard.press("/")
    page.get_by_label("Search the queue").fill("pair 4")
    until(lambda: entries(page) == [5], "the search finds one photograph")
    page.get_by_label("Search the queue").press("Enter")
    expect(page).to_have_url(re.compile("pair=5"))
    late[0]()
    until(lambda: held() <= {5}, "the pairs before and the late one are left")


def test_later_puts_a_pair_aside_and_the_list_brings_it_back(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(3)
    page = visit(f"{url}/?pair=1")
    page.locator(".line.chosen").wait_for()
    page.keyboard.press("l")
    expect(page.locator(".notice.done")).to_contain_text("Pair 1 is put aside")
    for width in (1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        cut = "said => said.scrollHeight > said.clientHeight || said.scrollWidth > said.clientWidth"
        assert not page.locator(".bar .said").evaluate(cut)
    expect(page).not_to_have_url(re.compile("pair=1"))
    until(lambda: workspace.claims.skipped("tester") == (1,), "it is put aside")
    page.keyboard.press("q")
    page.get_by_role("button", name="pair 1", exact=True).click()
    expect(page).to_have_url(re.compile("pair=1"))
    until(lambda: workspace.claims.skipped("tester") == (), "it is taken up again")


def test_the_next_pair_is_there_at_once_and_decisions_can_be_taken_back(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(4)
    page = visit(f"{url}/?pair=1")
    page.wait_for_function("document.body.dataset.ready === '1'")
    page.keyboard.press("r")
    page.keyboard.press("2")
    expect(page.locator(".notice.done")).to_have_text("Pair 1 rejected and saved.")
    page.wait_for_function("document.body.dataset.ready === new URL(location.href).searchParams.get('pair')")
    page.keyboard.press("g")
    page.keyboard.press("g")
    expect(page.locator(".notice.done")).to_contain_text("flagged and saved.")
    expect(page.locator(".bar .pace")).to_contain_text("2 today", use_inner_text=False)
    page.keyboard.press("z")
    rows = page.locator(".decisions li")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("pair 1: Rejected: wrong people")
    page.keyboard.press("2")
    expect(page.locator(".notice.done")).to_have_text("2 decisions are taken back.")
    expect(page).to_have_url(re.compile("pair=1$"))
    assert workspace.count() == 4
    assert all(pair.state is PairState.ASKED for pair in workspace.pairs())


def test_a_draft_survives_a_reload_and_is_nobody_elses(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(2)
    page = visit(f"{url}/?pair=1")
    page.locator(".line.chosen").wait_for()
    page.keyboard.press("r")
    page.get_by_label("Note", exact=True).press_sequentially(HOSTILE[0])
    until(lambda: (d := workspace.drafts.get(1, "tester")) and d.note == HOSTILE[0], "the note is kept as it is typed")
    page.evaluate("document.querySelector('.note-field').onchange = null")
    page.goto(f"{url}/?pair=1")
    expect(page.get_by_label("Note", exact=True)).to_have_value(HOSTILE[0])
    expect(page.locator(".reasons")).to_be_visible()
    other = visit(f"{url}/?pair=1")
    as_somebody(other, "ana")
    other.reload()
    expect(other.get_by_label("Note", exact=True)).not_to_have_value(HOSTILE[0])
    expect(other.locator(".reasons")).to_be_hidden()
    assert page.evaluate("document.body.dataset.hacked") is None


def test_reasons_are_the_teams_own_and_digits_choose_them(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(2)
    page = visit(f"{url}/?pair=1")
    page.keyboard.press("q")
    page.get_by_text("Reasons and second reviews").click()
    page.get_by_label("Reasons, one a line").fill(f"too dark\n{HOSTILE[3]}")
    page.get_by_label("judged twice").fill("100")
    page.get_by_role("button", name="Save for everybody").click()
    until(lambda: workspace.settings.reasons == ("too dark", HOSTILE[3]), "the reasons are stored")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".queue")).to_be_hidden()
    page.keyboard.press("r")
    expect(page.locator(".reasons button")).to_have_count(2)
    page.keyboard.press("2")
    expect(page.locator(".notice.done")).to_contain_text("rejected and saved.")
    decided = workspace.pair(1).decision
    assert decided is not None
    assert decided.decision.reason == HOSTILE[3]
    assert [review.pair for review in workspace.reviews.list()] == [1]
    assert page.evaluate("document.body.dataset.hacked") is None


def test_a_second_review_is_blind_and_a_disagreement_is_settled(opened, visit: Callable[..., Page]) -> None:
    workspace, url = opened(1)
    workspace.edit_contacts(1, Drop(contact=2), curator="ana", revision=1)
    workspace.decide(1, Decision(verdict=Verdict.FLAG, curator="ana", reason="secret", note="secret"), revision=2)
    workspace.reviews.draw(1.0)
    page = visit(f"{url}/?pair=1&state=all")
    page.keyboard.press("q")
    page.get_by_role("button", name="Review", exact=True).click()
    expect(page.locator(".badge", has_text="second review")).to_be_visible()
    expect(page).to_have_url(re.compile("review=1"))
    expect(page.locator(".line.dropped")).to_have_count(0)
    assert "secret" not in page.content()
    page.keyboard.press("f")
    expect(page.locator(".line.changed")).to_have_count(1)
    until(lambda: (d := workspace.drafts.get(1, "tester")) and len(d.edits) == 1, "the edit is the reviewer's own")
    page.reload()
    expect(page.locator(".line.changed")).to_have_count(1)
    assert "secret" not in page.content()
    assert len(workspace.pair(1).history) == 3
    page.keyboard.press("r")
    page.keyboard.press("1")
    expect(page.locator(".notice.done")).to_contain_text("Your review is saved")
    (given,) = workspace.reviews.list()
    assert (given.verdict, given.curator, len(given.contacts)) == (Verdict.REJECT, "tester", 2)

    page.goto(f"{url}/?disagrees=1")
    sides = page.locator(".judgements")
    expect(sides).to_contain_text("ana decided")
    expect(sides).to_contain_text("tester reviewed")
    expect(sides.locator("tr.differs")).to_have_count(2 + 1)
    top, bottom = ("node => node.getBoundingClientRect().top", "node => node.getBoundingClientRect().bottom")
    assert page.locator(".contacts .line.chosen").evaluate(top) >= page.locator(".line.head").evaluate(bottom)
    page.get_by_role("button", name="Take tester's contacts").click()
    until(lambda: {c.parts for c in workspace.pair(1).sheet.active} == {c.parts for c in given.contacts}, "contacts")


def test_two_accounts_share_nothing_and_a_viewer_only_looks(
    make_workspace: Callable[..., Path], chromium: Browser
) -> None:
    path = make_workspace(3, meshes=False)
    words = {"ada": Role.ADMIN, "ben": Role.CURATOR, "eve": Role.VIEWER}
    with Workspace.open(path) as workspace, serving(make_app(path, worker=False, login=True)) as url:
        for name, role in words.items():
            Accounts(workspace.database, hasher=QUICK).add(name, f"{name} has a long password", role=role)
        pages: dict[str, Page] = {}
        for name in words:
            page = pages[name] = chromium.new_context().new_page()
            page.goto(f"{url}/?pair=1&order=id")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(f"{name} has a long password")
            page.keyboard.press("Enter")
            page.locator(".line.chosen").wait_for(timeout=SLOW_MS)
            assert page.url.endswith("/?pair=1&order=id")
        ada, ben, eve = pages["ada"], pages["ben"], pages["eve"]
        ada.get_by_label("Note", exact=True).press_sequentially("ada's own thought")
        ada.evaluate("localStorage.setItem('apu.keys', 'off')")
        until(lambda: workspace.drafts.get(1, "ada"), "the draft is kept")
        for page in (ben, eve):
            page.reload()
            page.locator(".line.chosen").wait_for(timeout=SLOW_MS)
            assert "own thought" not in page.content() + page.get_by_label("Note", exact=True).input_value()
            assert page.evaluate("localStorage.getItem('apu.keys')") is None
        expect(ben.locator(".notice.held")).to_contain_text("ada is working on this pair.")
        ben.keyboard.press("q")
        expect(ben.locator(".queue .filters")).to_contain_text("Views")
        expect(ben.get_by_text("Reasons and second reviews")).to_have_count(0)

        for name in ("✓ Accept A", "✕ Reject R", "Flip F", "Fit ⏎", "Add N", "Swap people S"):
            expect(eve.get_by_role("button", name=name)).to_have_count(0)
        before = workspace.pair(1).history
        for key in ("f", "a", "x", "s", "l", "z"):
            eve.keyboard.press(key)
        eve.keyboard.press(" ")
        expect(eve).to_have_url(re.compile("pair=2"))
        assert workspace.pair(1).history == before
        assert workspace.claims.held("eve") == ()
        eve.keyboard.press("?")
        listed = eve.locator(".keys ul")
        expect(listed.filter(has_text="next pair without deciding")).to_have_count(1)
        for words in ("accept", "flip", "fit or refit", "mirror", "latest decisions", "put the pair aside"):
            expect(listed.filter(has_text=words)).to_have_count(0)
        eve.goto(f"{url}/library")
        eve.locator(".tile-pair").first.wait_for()
        eve.keyboard.press("?")
        expect(listed.filter(has_text="search")).to_have_count(1)
        expect(listed.filter(has_text="choose")).to_have_count(0)
        for page in pages.values():
            page.context.close()
