"""The library: finding pairs by an address, small pictures, and one action on many pairs that can be taken back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

from app.filters import address_of, filter_of, order_of
from apu.types import Decision, Verdict
from review_db import Order, PairFilter, PairState, Workspace, bulk

from .conftest import make_app, result

HOST = {"host": "127.0.0.1:7860", "accept": "application/json"}


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    return make_workspace(5, silent=1)


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        yield client


_ENDS = st.one_of(st.none(), st.integers(0, 400).map(lambda n: n / 8))
_RANGES = st.one_of(st.none(), st.tuples(_ENDS, _ENDS).filter(lambda r: r != (None, None) and None in r))
_FILTERS = st.builds(
    PairFilter,
    states=st.one_of(st.none(), st.frozensets(st.sampled_from(PairState), min_size=1)),
    source=st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)),
    interactions=st.one_of(st.none(), st.frozensets(st.sampled_from(["hug", "a, b", "x=1&y"]), min_size=1)),
    simulated=st.sampled_from([None, True, False]),
    disagrees=st.sampled_from([None, True, False]),
    image=st.one_of(st.none(), st.integers(0, 1000)),
    text=st.sampled_from(["", "hug", "${x}", "ä&=?"]),
    reprojection=_RANGES,
    confidence=_RANGES,
)


@given(where=_FILTERS, order=st.sampled_from(Order), seed=st.integers(0, 1000))
def test_an_address_keeps_every_filter(where: PairFilter, order: Order, seed: int) -> None:
    query = QueryParams(address_of(where, order, seed))
    again = QueryParams(str(query))  # through a real address, quoted and read back
    assert filter_of(again) == where
    assert order_of(again) == (order, seed)


def test_a_gap_is_in_centimetres_in_the_address_and_in_metres_in_the_filter() -> None:
    assert filter_of(QueryParams("gap=1.5..3")).gap_m == pytest.approx((0.015, 0.03))
    assert address_of(PairFilter(gap_m=(None, 0.03))) == [("gap", "..3")]


@pytest.mark.parametrize(
    "address",
    ["state=gone", "simulated=yes", "gap=a..b", "gap=1", "gap=3..1", "error=nan..1", "image=-1", "image=1e9",
     "image=99999999999", "order=best", "seed=x", "q=%00"],
)  # fmt: skip
def test_an_address_that_no_page_writes_is_one_sentence(client: TestClient, address: str) -> None:
    answer = client.get(f"/library/pairs?{address}")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("Not here: ")


def test_pairs_come_page_by_page_in_the_order_asked_for(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setattr("app.pages.library.PAGE", 2)
    seen = []
    for page in (1, 2, 3):
        answer = client.get(f"/library/pairs?order=uncertain&page={page}").json()
        assert (answer["total"], answer["pages"], answer["page"]) == (5, 3, page)
        seen += [pair["id"] for pair in answer["pairs"]]
    with Workspace.open(path) as workspace:
        assert seen == [line.id for line in workspace.pairs(order=Order.UNCERTAIN)]
    assert client.get("/library/pairs?page=99").json()["page"] == 3
    assert client.get("/library/pairs?page=-7").json()["page"] == 1


def test_a_filter_finds_and_counts(client: TestClient) -> None:
    assert [pair["id"] for pair in client.get("/library/pairs?q=pair 2").json()["pairs"]] == [3]
    assert client.get("/library/pairs?state=proposed").json()["total"] == 1
    facets = client.get("/library/facets").json()
    assert facets["state"] == {"proposed": 1, "asked": 4}
    assert facets["interaction"] == {"standing side by side": 4, "": 1}


@pytest.mark.parametrize("alone", [0, 1])
def test_small_pictures_are_made_once_and_follow_the_meshes(client: TestClient, path: Path, alone: int) -> None:
    pair = 2 + alone
    address = f"/thumb/{pair}?alone={alone}"
    first = client.get(address)
    assert (first.status_code, first.headers["content-type"]) == (200, "image/webp")
    assert client.get(address, headers={"if-none-match": first.headers["etag"]}).status_code == 304
    with Workspace.open(path) as workspace:
        workspace.add_fit(pair, result((0.001, 0.05)), revision=workspace.pair(pair).sheet.revision)
    assert client.get(address).content != first.content
    assert client.get("/thumb/99").status_code == 404


def test_a_pair_without_meshes_shows_its_photograph(make_workspace: Callable[..., Path]) -> None:
    with TestClient(make_app(make_workspace(1, meshes=False), worker=False), headers=HOST) as client:
        over, alone = (client.get(f"/thumb/1?alone={flag}").content for flag in (0, 1))
        assert over == alone


def test_many_pairs_are_decided_at_once_and_taken_back(make_workspace: Callable[..., Path]) -> None:
    with Workspace.open(make_workspace(3, meshes=False)) as workspace:
        workspace.add_fit(1, result((0.0, 0.0)), revision=1)
        revisions = {line.id: line.revision for line in workspace.pairs()}
        flagged = bulk.decide(workspace, revisions, Decision(verdict=Verdict.FLAG, curator="ada", reason="other"))
        assert flagged.refused == {}
        assert {line.state for line in workspace.pairs()} == {PairState.FLAGGED}
        undone = bulk.undo(workspace, flagged.done, "ada")
        assert undone.refused == {}
        assert [line.state for line in workspace.pairs()] == [PairState.FITTED, PairState.ASKED, PairState.ASKED]
        assert [entry.undone for entry in workspace.pair(2).history if entry.curator] == [True, False]


def test_what_cannot_be_decided_is_left_out_with_its_reason(make_workspace: Callable[..., Path]) -> None:
    with Workspace.open(make_workspace(3, meshes=False)) as workspace:
        workspace.add_fit(1, result((0.0, 0.0)), revision=1)
        before = {number: workspace.pair(number).sheet for number in (2, 3)}
        accept = Decision(verdict=Verdict.ACCEPT, curator="ada")
        outcome = bulk.decide(workspace, {1: 1, 2: 1, 3: 0, 99: 1}, accept)
        assert set(outcome.done) == {1}
        assert "no fit to accept" in outcome.refused[2]
        assert "someone else" in outcome.refused[3]
        assert "no pair 99" in outcome.refused[99]
        assert {number: workspace.pair(number).sheet for number in (2, 3)} == before
        assert "ada" in bulk.undo(workspace, outcome.done, "ben").refused[1]  # only its author takes it back


def test_a_view_is_kept_under_a_name_and_opens_the_same_list(client: TestClient) -> None:
    sent = {"curator": "ada", "name": "${sad} <b>hugs</b>", "address": "q=hug&state=fitted&gap=..3&order=worst_fit"}
    (view,) = client.post("/library/view", json=sent).json()["views"]
    assert (view["name"], view["owner"]) == (sent["name"], "ada")
    assert filter_of(QueryParams(view["address"])) == filter_of(QueryParams(sent["address"]))
    assert client.post("/library/view", json=sent | {"address": "gap=x"}).status_code == 404


@pytest.mark.parametrize(
    "sent", [{}, {"pairs": {"1": 0}}, {"pairs": {"x": 0}, "verdict": "flag"}, {"pairs": {"1": 0}, "verdict": "${x}"},
             {"pairs": {"1": 0}, "verdict": "flag", "more": 1}, {"pairs": [1], "verdict": "flag"}]
)  # fmt: skip
def test_what_no_page_sends_changes_nothing(client: TestClient, path: Path, sent: dict) -> None:
    with Workspace.open(path) as workspace:
        before = workspace.pairs()
        assert client.post("/library/decide", json=sent).status_code in (404, 422)
        assert workspace.pairs() == before


@pytest.mark.browser
def test_the_library_in_a_browser(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(4, silent=1, meshes=False)
    address = serve(path, worker=False)
    page = visit(f"{address}/library")
    tiles = page.locator(".tile-pair")
    expect(tiles).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.type("pair 1")
    expect(tiles).to_have_count(1)
    assert "q=pair+1" in page.url
    page.reload()
    expect(tiles).to_have_count(1)
    page.get_by_role("button", name="Clear all").click()
    expect(tiles).to_have_count(4)
    page.get_by_label("Choose pair 1", exact=True).check()
    page.get_by_label("Choose pair 3", exact=True).click(modifiers=["Shift"])
    expect(page.locator(".actions strong")).to_have_text("3 chosen")
    page.get_by_role("button", name="✕ Reject").click()
    page.get_by_role("button", name="no contact").click()
    expect(page.locator(".state.rejected")).to_have_count(3)
    expect(page.locator(".notice")).to_contain_text("3 pairs rejected.")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".state.rejected")).to_have_count(0)
    with Workspace.open(path) as workspace:
        assert [record.decision.reason for record in workspace.decisions()] == ["no contact"] * 3


@pytest.mark.browser
def test_pages_are_reached_by_links_and_keys(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    address = serve(make_workspace(1, meshes=False), worker=False)
    page = visit(f"{address}/", width=1440, height=900)
    page.keyboard.press("p")
    page.keyboard.press("l")
    page.wait_for_url("**/library")
    expect(page.get_by_role("link", name="Library")).to_have_attribute("aria-current", "page")
    page.wait_for_selector(".tile-pair")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".picture").first).to_be_focused()
    page.get_by_role("link", name="Review", exact=True).click()
    page.wait_for_selector(".decide")
    page.keyboard.press("p")
    page.keyboard.press("r")  # of the pages, not of "reject"
    page.wait_for_selector(".decide")
    expect(page.locator(".reasons")).to_be_hidden()
