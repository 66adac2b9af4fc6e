"""Runs and studies on the page: started, worked off by the runner, seen, cancelled; rated with keys."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from app.runner import work
from apu.types import Decision, Verdict
from review_db import PairState, Workspace
from review_db.runs import Runs
from review_db.studies import Studies

from .conftest import make_app, result, standing

HOST = {"host": "127.0.0.1:7860", "accept": "application/json"}


@pytest.fixture
def path(make_workspace: Callable[..., Path]) -> Path:
    return make_workspace(4, silent=3)


@pytest.fixture
def client(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        yield client


def run_all(path: Path) -> None:
    with Workspace.open(path) as workspace:
        work(workspace, stop=threading.Event())


def test_a_selection_is_asked_about_and_failures_are_listed(client: TestClient, path: Path) -> None:
    with Workspace.open(path) as workspace:
        workspace.image(2).path.unlink()
    assert client.get("/runs/selection?kind=ask&state=proposed").json() == {"total": 3, "estimate": None}
    run = client.post("/runs/start", json={"kind": "ask", "address": "state=proposed", "curator": "ada"}).json()
    assert (run["total"], run["state"]) == (3, "queued")
    run_all(path)
    (shown,) = client.get("/runs/data").json()["runs"]
    assert (shown["state"], shown["done"], shown["failed"], shown["curator"]) == ("done", 2, 1, "ada")
    (error,) = shown["errors"]
    assert error["pair"] == 2
    assert "No such file" in error["message"]
    with Workspace.open(path) as workspace:
        assert [line.asker for line in workspace.pairs()] == ["replay", "", "keypoints", "keypoints"]


def test_photographs_are_searched_again_without_a_second_pair(client: TestClient, path: Path) -> None:
    client.post("/runs/start", json={"kind": "propose"})
    run_all(path)
    (run,) = client.get("/runs/data").json()["runs"]
    assert (run["total"], run["done"] + run["failed"]) == (4, 4)
    with Workspace.open(path) as workspace:
        assert len(workspace.pairs()) == 4


def test_fits_of_a_run_wait_behind_those_that_people_ask_for(path: Path) -> None:
    with Workspace.open(path) as workspace:
        run = Runs(workspace.database).start("fit", curator="ada", pairs=[1])
        stop = threading.Event()
        runner = threading.Thread(target=lambda: work(workspace, stop=stop))
        runner.start()
        try:
            while not workspace.jobs.list():
                stop.wait(0.05)
            (job,) = workspace.jobs.list()
            assert (job.pair, job.prepared) == (1, True)
            Runs(workspace.database).cancel(run)
            runner.join(20)
        finally:
            stop.set()
            runner.join()
        assert workspace.jobs.get(job.id).state == "cancelled"
        assert Runs(workspace.database).get(run).state == "cancelled"


def test_a_model_is_asked_only_where_the_server_knows_one_and_no_page_names_its_address(
    client: TestClient, path: Path
) -> None:
    start = {"kind": "ask", "asker": "openai", "model": "gpt", "address": ""}
    assert client.get("/runs/data").json()["askers"] == ["keypoints"]
    assert "OPENAI_API_KEY" in client.post("/runs/start", json=start).json()["error"]
    for more in ({"base_url": "http://evil"}, {"key": "x"}, {"kind": "shell"}):
        assert client.post("/runs/start", json=start | more).status_code == 422
    with Workspace.open(path) as workspace:
        assert Runs(workspace.database).list() == ()


def test_the_cost_is_guessed_first_and_known_from_answers_later(client: TestClient, path: Path) -> None:
    guess = client.get("/runs/selection?kind=ask&model=gpt&state=proposed").json()["estimate"]
    assert guess["answers"] == 0
    assert guess["in"] > 3 * 2200


def test_a_key_is_never_in_the_store_or_the_page(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        assert client.get("/runs/data").json()["askers"] == ["keypoints", "openai"]
        sent = {"kind": "ask", "asker": "openai", "model": "gpt", "pairs": [2], "limit": 5}
        text = client.post("/runs/start", json=sent).text + client.get("/runs/data").text + client.get("/runs").text
        assert "sk-very" not in text
        assert "127.0.0.1:9" not in text
        assert all(b"sk-very" not in file.read_bytes() for file in path.glob("review.db*"))


def accepted(path: Path) -> None:
    """Let the first pair have an accepted fit."""
    with Workspace.open(path) as workspace:
        fit = workspace.add_fit(1, result((0.0, 0.0)), revision=1)
        workspace.decide(1, Decision(verdict=Verdict.ACCEPT, curator="ada", fit_id=fit), revision=1)
        assert workspace.pair(1).summary.state is PairState.ACCEPTED


def test_a_study_gives_no_method_away_and_its_results_are_for_who_set_it_up(client: TestClient, path: Path) -> None:
    accepted(path)
    made = client.post(
        "/study/create",
        json={"name": "toys", "methods": ["start", "curated"], "shared": 1, "own": 0, "checks": 1, "curator": "ada"},
    ).json()
    run_all(path)
    (run,) = client.get("/runs/data").json()["runs"]
    assert (run["kind"], run["done"], run["failed"]) == ("study", 1, 0)
    shown = client.get(f"/study/next?study={made['study']}&curator=eve").json()
    assert set(shown) == {"item", "pair", "done", "total"}
    left, right = (client.get(f"/study/picture/{shown['item']}/{side}/front?curator=eve") for side in ("left", "right"))
    assert (left.status_code, right.headers["content-type"]) == (200, "image/webp")
    assert left.content != right.content
    for side in ("left", "same"):
        item = client.get(f"/study/next?study={made['study']}&curator=eve").json()["item"]
        sent = {"study": made["study"], "item": item, "side": side, "seconds": 1.5, "curator": "eve"}
        following = client.post("/study/rate", json=sent).json()
    assert (following["item"], following["done"], following["total"]) == (None, 2, 2)
    found = client.get(f"/study/results?study={made['study']}").json()
    assert [row["rater"] for row in found["rows"]] == ["eve", "eve"]
    assert client.get("/study/picture/99/left/front").status_code == 404


@pytest.mark.browser
def test_runs_and_ratings_in_a_browser(path: Path, serve: Callable[..., str], visit: Callable[..., Page]) -> None:
    accepted(path)
    with Workspace.open(path) as workspace:
        studies = Studies(workspace.database)
        study = studies.create("<b>hugs</b> ${x}", "ada", [1], ["start", "curated"], shared=1, own=0, checks=0, seed=1)
        studies.add_mesh(study, 1, "start", standing(depth=0.2), "anny-free")
        studies.add_mesh(study, 1, "curated", standing(), "anny-free")
    address = serve(path, worker=False)
    page = visit(f"{address}/runs", width=1440, height=900)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".size")).to_contain_text("3 pairs, no cost")
    page.get_by_role("button", name="Start asking").click()
    expect(page.locator(".run-line .state")).to_have_text("waiting")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".run-line .state")).to_have_text("cancelled")
    page.keyboard.press("p")
    page.keyboard.press("s")
    page.wait_for_url("**/study")
    expect(page.get_by_text("<b>hugs</b> ${x}")).to_be_visible()
    page.get_by_role("button", name="Rate", exact=True).click()
    expect(page.get_by_role("button", name="Prefer the left meshes")).to_be_visible()
    page.keyboard.press("1")
    expect(page.get_by_text("You have rated all 1.")).to_be_visible()
    page.get_by_role("button", name="To the studies").click()
    page.get_by_role("button", name="Results").click()
    expect(page.get_by_role("heading", name="Preference")).to_be_visible()
    with Workspace.open(path) as workspace:
        assert len(Studies(workspace.database).ratings(study)) == 1
