"""The library: finding pairs by an address, small pictures, and one action on many pairs that can be taken back."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

from app.filters import address_of, filter_of, order_of
from app.queueing import parse
from apu.files import asset
from apu.types import Decision, Verdict
from review_db import Flip, Order, PairFilter, PairState, Workspace, bulk

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


def test_pairs_of_others_and_pairs_to_be_judged_apart_are_left_out(make_workspace: Callable[..., Path]) -> None:
    with Workspace.open(make_workspace(5, meshes=False)) as workspace:
        workspace.decide(2, Decision(verdict=Verdict.FLAG, curator="ben"), revision=1)
        workspace.reviews.assign(2, "ada")
        workspace.decide(3, Decision(verdict=Verdict.FLAG, curator="ben"), revision=1)
        workspace.reviews.judge(workspace.reviews.assign(3, "eve"), Decision(verdict=Verdict.REJECT, curator="eve"))
        workspace.claims.take(4, "ben")
        workspace.claims.take(5, "ada")
        workspace.drafts.save(5, "ada", revision=1, note="half a note")
        revisions = {line.id: line.revision for line in workspace.pairs()}
        outcome = bulk.decide(workspace, revisions, Decision(verdict=Verdict.REJECT, curator="ada"))
        assert set(outcome.done) == {1, 5}
        assert "second review" in outcome.refused[2]
        assert "disagree" in outcome.refused[3]
        assert "worked on by ben" in outcome.refused[4]
        assert workspace.drafts.get(5, "ada") is None
        assert [claim.pair for claim in workspace.claims.held()] == [4]


def test_bulk_decisions_are_judged_a_second_time_like_others(make_workspace: Callable[..., Path]) -> None:
    with Workspace.open(make_workspace(3, meshes=False)) as workspace:
        workspace.settings.set_review_share(1.0)
        bulk.decide(workspace, {1: 1, 2: 1}, Decision(verdict=Verdict.FLAG, curator="ada"))
        assert workspace.reviews.open_for("ben") == 2


def test_all_that_match_are_decided_batch_after_batch_as_they_were_when_seen(
    make_workspace: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pages.library.BATCH", 2)
    path = make_workspace(7, silent=1, meshes=False)
    with Workspace.open(path) as workspace, TestClient(make_app(path, worker=False), headers=HOST) as client:
        workspace.reviews.assign(6, "ada")
        page = client.get("/library/pairs?state=asked&order=worst_fit&as=ada").json()
        assert (page["total"], page["open"]) == (5, 5)
        workspace.edit_contacts(3, Flip(contact=1), curator="ben", revision=1)
        sent = {"curator": "ada", "address": "state=asked", "at": page["at"], "verdict": "reject", "reason": "other"}
        answers, after = [], 0
        while after is not None:
            answers.append(client.post("/library/decide-matching", json=sent | {"after": after}).json())
            after = answers[-1]["last"]
        assert [list(answer["done"]) for answer in answers] == [["1", "2"], ["4"], ["5"]]
        assert "changed in the meantime" in answers[1]["refused"]["3"]
        assert {line.id: str(line.state) for line in workspace.pairs()} == {
            1: "rejected", 2: "rejected", 3: "asked", 4: "rejected", 5: "rejected", 6: "asked", 7: "proposed",
        }  # fmt: skip
        assert workspace.pair(1).history[-1].curator == "ada"
        done = {pair: revision for answer in answers for pair, revision in answer["done"].items()}
        undone = client.post("/library/undo", json={"curator": "ada", "pairs": done}).json()
        assert set(undone["done"]) == {"1", "2", "4", "5"}
        for wrong in ({"at": 5}, {"address": "state=gone"}, {"after": -1}):
            assert client.post("/library/decide-matching", json=sent | wrong).status_code in (404, 422)


def test_the_librarys_list_goes_to_the_queue_with_filter_and_order(client: TestClient) -> None:
    for address in ("", "q=hug&gap=..3", "state=accepted&order=worst_fit", "state=asked&order=random&seed=7"):
        asked, line = QueryParams(address), parse(client.get(f"/library/pairs?{address}").json()["queue"])
        assert (line.where, (line.order, line.seed)) == (filter_of(asked), order_of(asked))


def test_states_and_orders_have_the_same_words_on_every_page(client: TestClient) -> None:
    context = json.loads(re.search(r'id="context">(.*?)</script>', client.get("/library").text)[1])  # type: ignore[index]
    counts = client.get("/queue/counts").json()
    assert list(context["words"]["orders"].items()) == [tuple(each) for each in counts["orders"]]
    assert context["words"]["states"] == {state: words for state, words, _ in counts["states"]}
    scripts = "".join(path.read_text() for path in asset("app").rglob("*.js"))
    assert not [words for words in context["words"]["orders"].values() if f'"{words}"' in scripts]


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
def test_all_that_match_are_chosen_after_the_page_and_confirmed_with_their_number(
    make_workspace: Callable[..., Path],
    serve: Callable[..., str],
    visit: Callable[..., Page],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.pages.library.PAGE", 2)
    monkeypatch.setattr("app.pages.library.BATCH", 2)
    path = make_workspace(6, silent=1, meshes=False)
    page = visit(f"{serve(path, worker=False)}/library?state=asked", width=1440, height=900)
    bar = page.get_by_role("toolbar", name="Actions on the chosen pairs")
    page.get_by_label("Choose pair 1", exact=True).check()
    expect(bar.get_by_role("button", name="Choose all")).to_have_count(0)
    bar.get_by_role("button", name="Choose this page").click()
    bar.get_by_role("button", name="Choose all 5 that match this filter").click()
    expect(bar.locator("strong")).to_have_text("All 5 that match this filter")
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_label("Choose pair 3", exact=True)).to_be_checked()
    with Workspace.open(path) as workspace:
        workspace.claims.take(5, "ben")
        workspace.decide(4, Decision(verdict=Verdict.FLAG, curator="ben"), revision=1)
    bar.get_by_role("button", name="Reject").click()
    bar.get_by_role("button", name="no contact").click()
    expect(bar.locator("strong")).to_have_text("Reject all 5 pairs that match this filter as “no contact”?")
    with Workspace.open(path) as workspace:
        assert workspace.count(PairFilter(states=frozenset({PairState.REJECTED}))) == 0
    bar.get_by_role("button", name="Reject 5 pairs").click()
    expect(page.locator(".notice")).to_contain_text(
        "3 pairs rejected; 2 left out: 1 is being worked on by ben, 1 no longer matches the filter."
    )
    with Workspace.open(path) as workspace:
        assert workspace.count(PairFilter(states=frozenset({PairState.REJECTED}))) == 3
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".notice")).to_contain_text("3 pairs taken back.")
        assert workspace.count(PairFilter(states=frozenset({PairState.REJECTED}))) == 0
    expect(page.locator(".tile-pair")).to_have_count(2)
    page.keyboard.press("Shift+A")
    page.keyboard.press("Shift+A")
    expect(bar.locator("strong")).to_have_text("All 4 that match this filter")
    page.get_by_role("link", name="Review these").click()
    page.wait_for_selector(".decide")
    assert "state=asked" in page.url
    assert "order=id" in page.url
    expect(page.locator(".place")).to_contain_text("asked · by number")


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
