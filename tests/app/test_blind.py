"""Who is to give a blind second review learns nothing of the first one, on no page and from no address."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from httpx import Response
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from apu.types import Decision, Verdict
from review_db import Drop, Flip, SetNote, Workspace

from .conftest import make_app, result

HOST = {"host": "127.0.0.1:7860", "accept": "application/json"}
UNTOLD = "what ana thought"


def judged_once(make_workspace: Callable[..., Path]) -> Path:
    """Pair 1 was edited, fitted and accepted by ana; its second review is the tester's, and open."""
    path = make_workspace(2)
    with Workspace.open(path) as workspace:
        workspace.edit_contacts(1, Drop(contact=2), curator="ana", revision=1)
        workspace.edit_contacts(1, SetNote(text=UNTOLD), curator="ana", revision=2)
        fit = workspace.add_fit(1, result((0.001, 0.002)), revision=3, curator="ana")
        accept = Decision(verdict=Verdict.ACCEPT, curator="ana", fit_id=fit, note=UNTOLD)
        workspace.decide(1, accept, revision=3)
        workspace.jobs.queue("fit", 1, revision=4, curator="ana")
        workspace.reviews.assign(1, "tester")
    return path


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    return judged_once(make_workspace)


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        yield client


def get(client: TestClient, address: str, who: str = "tester") -> Response:
    """What is answered to somebody, whose name the pages send along."""
    return client.get(f"{address}{'&' if '?' in address else '?'}as={who}")


@pytest.mark.parametrize(
    "address", ["/library/pairs", "/pair/data?id=1", "/live/1", "/screen?pair=1", "/queue/lines?state=all"]
)
def test_no_page_tells_of_the_first_judgement(client: TestClient, address: str) -> None:
    open_to_others = get(client, address, "eve").text
    told = get(client, address).text
    assert told != open_to_others
    for word in (UNTOLD, "ana", '"accepted"'):
        assert word not in told


def test_what_is_told_is_the_pair_as_nobody_touched_it(client: TestClient) -> None:
    pair = get(client, "/pair/data?id=1").json()
    assert [line["dropped"] for line in pair["contacts"]] == [False, False]
    assert (pair["blind"], pair["decisions"], pair["reviews"], len(pair["fits"])) == (True, [], [], 1)
    live = get(client, "/live/1").json()
    assert (live["job"], live["fits"], live["revision"]) == (None, 0, 1)
    tile = get(client, "/library/pairs").json()["pairs"][0]
    assert (tile["id"], tile["blind"], tile["state"], tile["contacts"], tile["error"]) == (1, True, "asked", 2, None)


@pytest.mark.parametrize("where", ["state=accepted", "curator=ana", "state=asked&state=accepted"])
def test_no_filter_finds_out_how_it_was_judged(client: TestClient, where: str) -> None:
    assert 1 not in [pair["id"] for pair in get(client, f"/library/pairs?{where}").json()["pairs"]]
    assert 1 in [pair["id"] for pair in get(client, "/library/pairs").json()["pairs"]]


TELLING = ["state=accepted", "state=asked", "state=fitted", "curator=ana", "gap=..3", "error=..99", "disagrees=0",
           "disagrees=1", "state=accepted&q=pair+0", "state=asked&state=accepted", "state=all&curator=ana"]  # fmt: skip


@pytest.mark.parametrize("where", TELLING)
@pytest.mark.parametrize("page", ["/library/pairs", "/queue/counts"])
def test_no_count_has_the_pair_where_that_would_tell(client: TestClient, page: str, where: str) -> None:
    if page == "/library/pairs" and "state=all" in where:
        where = "curator=ana"  # the library's own way of saying the same
    told, others = get(client, f"{page}?{where}").json(), get(client, f"{page}?{where}", "eve").json()
    listed = get(client, f"/queue/lines?{where}").json()["lines"]
    assert 1 not in [line["id"] for line in listed]
    if page == "/queue/counts":
        assert told["total"] == len(listed)
        assert dict(told["curators"]) == {}
        assert {state: count for state, _, count in told["states"] if count} in ({"asked": 1}, {})
        assert (told["disagrees"], told["unsettled"]) == (0, 0)
    assert told["total"] <= others["total"]
    assert told["all"] == 2


def test_the_same_counts_tell_others_everything(client: TestClient) -> None:
    counts = get(client, "/queue/counts?state=all", "eve").json()
    assert {state: count for state, _, count in counts["states"] if count} == {"asked": 1, "accepted": 1}
    assert dict(counts["curators"]) == {"ana": 1}


def test_no_facet_place_or_progress_tells(client: TestClient) -> None:
    for where in ("", "q=pair+0", "state=accepted"):
        facets = get(client, f"/library/facets?{where}").json()
        assert facets["state"].get("accepted", 0) == 0
    assert get(client, "/library/facets").json()["interaction"] == {"standing side by side": 2}
    assert get(client, "/screen?pair=2&state=all&q=pair+0").json()["queue"]["decided"] == 0
    assert get(client, "/screen?pair=2&state=all&q=pair+0", "eve").json()["queue"]["decided"] == 1


def test_the_order_of_the_worst_fit_leaves_the_pair_out(client: TestClient) -> None:
    for place, name in (("/library/pairs?", "pairs"), ("/queue/lines?state=all&", "lines")):
        assert [line["id"] for line in get(client, f"{place}order=worst_fit").json()[name]] == [2]
        assert [line["id"] for line in get(client, f"{place}order=id").json()[name]] == [1, 2]


def test_a_queue_of_decided_pairs_does_not_lead_to_it(client: TestClient) -> None:
    act = {"name": "next", "pair": 2, "revision": 1, "queue": "state=accepted&order=id"}
    for name in ("next", "ahead", "previous"):
        shown = client.post("/act", json=act | {"name": name}).json()["pair"]
        assert shown is None or shown["id"] != 1


def test_who_does_not_say_who_they_are_sees_no_more_than_a_reviewer(path: Path) -> None:
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        for address in ("mesh/1/fit/1/front", "mesh/1/start/1/overlay", "solid/1/fit/1", "solid/1/fit/1/heat"):
            assert client.get(f"/{address}").status_code == 404, address
        assert UNTOLD not in client.get("/pair/data?id=1").text
        for name, status in (("tester", 404), ("eve", 200), ("%C3%A9ve", 200)):
            client.cookies.set("apu_curator_7860", name)
            assert client.get("/mesh/1/fit/1/front").status_code == status, name
            assert (UNTOLD in client.get("/pair/data?id=1").text) == (status == 200)


def test_pictures_of_others_work_are_refused_and_a_first_guess_shows_its_own_contacts(client: TestClient) -> None:
    for address in (
        "mesh/1/fit/1/front", "mesh/1/start/1/overlay", "solid/1/fit/1", "solid/1/fit/1/heat",
        "mesh/1/guess/4/front", "mesh/1/job/1/front", "mesh/1/fan/1/front",
    ):  # fmt: skip
        assert get(client, f"/{address}").status_code == 404, address
    untouched = get(client, "/mesh/1/guess/1/front")
    assert untouched.status_code == 200
    edited = get(client, "/mesh/1/guess/2/front", "eve")
    assert edited.status_code == 200
    assert edited.content != untouched.content
    assert get(client, "/mesh/1/fit/1/front", "eve").status_code == 200
    hidden, shown = (get(client, "/thumb/1?alone=1", who).content for who in ("tester", "eve"))
    assert hidden != shown


def test_the_pair_is_a_review_wherever_it_is_come_upon_and_shown_once_that_is_given(
    make_workspace: Callable[..., Path],
) -> None:
    path = judged_once(make_workspace)
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        _come_upon(client, path)


def _come_upon(client: TestClient, path: Path) -> None:
    act = {"name": "next", "pair": 2, "revision": 1, "queue": "state=all&order=id"}
    for screen in (
        get(client, "/screen?pair=2&go=previous&state=all&order=id").json(),
        client.post("/act", json=act | {"name": "previous"}).json(),
        client.post("/act", json=act | {"name": "open", "pair": 1}).json(),
    ):
        assert screen["pair"]["id"] == 1
        assert screen["review"] is not None
        assert screen["pair"]["decision"] is None
    with Workspace.open(path) as workspace:
        (review,) = workspace.reviews.list()
        judged = Decision(verdict=Verdict.ACCEPT, curator="tester")
        workspace.reviews.judge(review.id, judged, edits=[Flip(contact=1)])
    screen = get(client, "/screen?pair=1").json()
    assert (screen["review"], screen["pair"]["decision"]["verdict"]) == (None, "accept")
    assert [side["verdict"] for side in screen["judgements"]["people"]] == ["accept", "accept"]


@pytest.mark.browser
def test_library_and_pair_page_say_that_the_review_comes_first(
    path: Path, serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    url = serve(path, worker=False)
    page = visit(f"{url}/library", width=1440, height=900)
    expect(page.locator("[data-id='1'] .badge", has_text="your review")).to_be_visible()
    expect(page.get_by_label("Choose pair 1")).to_have_count(0)
    page.locator("[data-id='1'] .picture").click()
    expect(page.locator(".sentence.apart")).to_contain_text("shown once your review is given")
    assert UNTOLD not in page.content()
    hidden = page.request.get(f"{url}/mesh/1/fit/1/front")
    assert hidden.status == 404
    page.get_by_label("Your name").fill("eve")
    page.get_by_label("Your name").press("Tab")
    page.reload()
    expect(page.locator(".page-head .state")).to_have_text("accepted")
    assert page.request.get(f"{url}/mesh/1/fit/1/front").status == 200
