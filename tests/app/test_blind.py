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


def test_pictures_of_others_work_are_refused_and_a_first_guess_shows_its_own_contacts(client: TestClient) -> None:
    for address in (
        "mesh/1/fit/1/front", "mesh/1/start/1/overlay", "solid/1/fit/1", "solid/1/fit/1/heat", "turn/1/fit/1/0",
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
    page.get_by_label("Your name").fill("eve")
    page.get_by_label("Your name").press("Tab")
    page.reload()
    expect(page.locator(".page-head .state")).to_have_text("accepted")
