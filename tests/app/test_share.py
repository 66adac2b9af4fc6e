"""The read-only server: everything can be seen, nothing can be changed, and on a public address only by its link."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from app.share import create_share, share_key
from apu.errors import StoreError
from apu.types import Decision, Verdict
from review_db import Flip, Workspace

from .conftest import result, serving

HOST = {"host": "127.0.0.1:7860", "accept": "application/json"}


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    path = make_workspace(3)
    with Workspace.open(path) as workspace:
        workspace.edit_contacts(1, Flip(contact=1), curator="zoe marchetti", revision=1)
        fit = workspace.add_fit(1, result((0.001, 0.002)), revision=2, curator="zoe marchetti")
        accept = Decision(verdict=Verdict.ACCEPT, curator="zoe marchetti", fit_id=fit)
        workspace.decide(1, accept, revision=2)
        workspace.views.save("zoe's", "zoe marchetti")
    return path


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(create_share(path), headers=HOST, follow_redirects=False) as client:
        yield client


PLACES = ["/library", "/pair", "/insights", "/library/pairs", "/library/facets", "/pair/data?id=1", "/insights/data",
          "/image/1", "/thumb/1", "/solid/body", "/solid/1/fit/1", "/mesh/1/fit/1/front"]  # fmt: skip


@pytest.mark.parametrize("address", PLACES)
def test_everything_to_look_at_is_there_and_names_no_curator(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert "zoe" not in answer.text


def test_curators_are_named_where_that_was_asked_for(path: Path) -> None:
    with TestClient(create_share(path, curators=True), headers=HOST) as client:
        assert "zoe marchetti" in client.get("/pair/data?id=1").text
        assert "zoe marchetti" in client.get("/insights/data").text


def test_filtering_by_a_guessed_curator_tells_nothing(client: TestClient) -> None:
    assert client.get("/library/pairs?curator=zoe marchetti").json()["total"] == 3
    assert client.get("/library/pairs?curator=nobody").json()["total"] == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "address", ["/library/decide", "/library/undo", "/library/view", "/runs/start", "/study/start",
                "/gradio_api/run/predict", "/", "/library", "/logout"]
)  # fmt: skip
def test_no_request_changes_anything(client: TestClient, path: Path, method: str, address: str) -> None:
    before = (path / "review.db").read_bytes()
    sent = {"curator": "eve", "pairs": {"1": 3}, "verdict": "reject"}
    assert client.request(method, address, json=sent).status_code == 405
    assert (path / "review.db").read_bytes() == before


def test_there_is_no_route_for_anything_but_looking(path: Path) -> None:
    app = create_share(path)
    with TestClient(app):  # its life ends with its folder of pictures
        pass
    methods = {method for route in app.routes for method in getattr(route, "methods", None) or ()}
    assert methods <= {"GET", "HEAD"}
    paths = {getattr(route, "path", "") for route in app.routes}
    assert not [each for each in paths if re.search("gradio|run|study|login|live", each)]


def test_the_store_itself_refuses_to_write(path: Path) -> None:
    with Workspace.open(path, read_only=True) as workspace:
        with pytest.raises(StoreError, match="read-only"):
            workspace.edit_contacts(1, Flip(contact=1), curator="eve", revision=3)
        assert workspace.pair(1).sheet.revision == 3


def test_what_others_write_meanwhile_is_seen(path: Path) -> None:
    with Workspace.open(path) as writing, Workspace.open(path, read_only=True) as reading:
        before = reading.pair(2).sheet.revision
        writing.edit_contacts(2, Flip(contact=1), curator="ada", revision=before)
        assert reading.pair(2).sheet.revision == before + 1


def test_the_first_page_is_the_library(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "library")


def test_a_public_address_opens_only_by_its_link(path: Path) -> None:
    with Workspace.open(path) as workspace:
        key = share_key(workspace)
        assert share_key(workspace) == key
        assert len(key) >= 43
    app = create_share(path, key=key, hosts=("share.example.org",))
    host = {"host": "share.example.org"}
    with TestClient(app, base_url="https://share.example.org", headers=host, follow_redirects=False) as client:
        for address in ("/", "/library", "/library/pairs", "/image/1", "/?key=", f"/?key={key[:-1]}", "/?key=%ff",
                        "/apu-page/theme.css"):  # fmt: skip
            assert client.get(address).status_code == 401, address
        entered = client.get(f"/?key={key}")
        assert entered.headers["location"] == "library"
        flags = {flag.strip().split("=")[0].lower() for flag in entered.headers["set-cookie"].split(";")[1:]}
        assert {"httponly", "samesite", "secure"} <= flags
        assert client.get("/library/pairs").status_code == 200
        assert client.post("/library/decide", json={}).status_code == 405
    with Workspace.open(path) as workspace:
        other = share_key(workspace, new=True)
    assert other != key
    with TestClient(create_share(path, key=other, hosts=("share.example.org",)), headers=host) as client:
        assert client.get(f"/library?key={key}").status_code == 401


@pytest.mark.browser
def test_collaborators_see_no_controls(path: Path, visit: Callable[..., Page]) -> None:
    with serving(create_share(path)) as address:
        page = visit(f"{address}/")
        expect(page.locator(".tile-pair")).to_have_count(3)
        expect(page.locator(".tile-pair input, .actions:visible, .curator")).to_have_count(0)
        assert page.locator("nav[aria-label=Pages] a").all_inner_texts() in (["Library", "Insights"], ["", ""])
        page.locator(".picture").first.click()
        expect(page.get_by_role("heading", name="Pair 1")).to_be_visible()
        expect(page.get_by_text("a curator flipped both sides")).to_be_visible()
        expect(page.get_by_role("link", name="Open in review")).to_have_count(0)
        expect(page.locator("canvas.scene")).to_have_attribute("data-solid", re.compile(r"solid/1/fit/\d+"))
        page.goto(f"{address}/insights")
        expect(page.get_by_role("heading", name="Models against accepted pairs")).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Models against accepted pairs as CSV").click()
        assert "toy" in saved.value.path().read_text()
        page.context.close()
