"""Who must log in, what each role may do, and what a login never gives away."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser
from starlette.testclient import TestClient

from app.actions import EDITS
from app.server import serve
from apu.errors import InputError
from review_db import Flip, Workspace
from review_db.accounts import Accounts, Role

from .conftest import make_app
from .conftest import serving as running

HOST = {"host": "review.example.org"}
WORDS = {"ada": "correct horse battery", "ben": "staple of the horse", "eve": "only here to look"}
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    path = make_workspace(2, meshes=False)
    with Workspace.open(path) as workspace:
        accounts = Accounts(workspace.database, hasher=QUICK)
        for (name, password), role in zip(WORDS.items(), Role, strict=True):
            accounts.add(name, password, role=role)
    return path


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[TestClient]:
    app = make_app(path, worker=False, login=True, hosts=("review.example.org",))
    with TestClient(app, base_url="https://review.example.org", headers=HOST, follow_redirects=False) as client:
        yield client


@pytest.fixture
def stranger(server: TestClient) -> TestClient:
    server.cookies.clear()
    return server


@pytest.fixture
def log_in(stranger: TestClient) -> Callable[[str], dict[str, str]]:
    """Logs somebody in and gives the headers of their requests."""

    def go(name: str) -> dict[str, str]:
        answer = stranger.post("/login", data={"name": name, "password": WORDS[name], "next": "/"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].split(";")[0]
        stranger.cookies.clear()
        return {"cookie": cookie}

    return go


def act(client: TestClient, headers: dict[str, str], **action: Any) -> dict[str, Any]:
    answer = client.post("/act", json=action, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def workspace(path: Path) -> Iterator[Workspace]:
    with Workspace.open(path) as opened:
        yield opened


EVERYTHING = ["/", "/config", "/screen", "/queue/lines", "/queue/counts", "/decisions",
              "/agreement", "/image/1", "/live/1", "/mesh/1/guess/1/front", "/gradio_api/startup-events",
              "/gradio_api/file=/etc/passwd", "/login/../image/1", "/nothing"]  # fmt: skip


@pytest.mark.parametrize("address", EVERYTHING)
def test_a_stranger_gets_nothing_but_the_form(stranger: TestClient, address: str) -> None:
    for headers in ({}, {"cookie": "apu_000000000000=x"}):
        answer = stranger.get(address, headers=headers)
        assert answer.status_code == (303 if address == "/" else 401)
    assert stranger.get("/login").status_code == 200
    assert stranger.get("/apu-page/login.css").status_code == 200


def test_a_stranger_changes_nothing(stranger: TestClient, workspace: Workspace) -> None:
    before = workspace.pair(1).sheet
    edit = {"name": "flip", "contact": 1, "pair": 1, "revision": before.revision}
    for way, status in (("act", 401), ("claim", 401), ("draft", 401), ("view", 401), ("arrangement", 401),
                        ("gradio_api/run/predict", 401), ("gradio_api/queue/join", 403)):  # fmt: skip
        assert stranger.post(f"/{way}", json=edit).status_code == status
    assert stranger.post("/logout").status_code == 401
    assert workspace.pair(1).sheet == before


def test_the_form_leads_back_to_the_pair_that_was_asked_for_and_to_no_other_site(stranger: TestClient) -> None:
    assert stranger.get("/?pair=2").headers["location"] == "/login?next=/%3Fpair%3D2"
    assert 'value="/?pair=2"' in stranger.get("/login?next=/%3Fpair%3D2").text
    sites = ("https://evil.example", "//evil.example", "/\\evil.example", "/?pair=1&x=//e", "javascript:alert(1)")
    for elsewhere in (*sites, '/"><script>alert(1)</script>'):
        assert 'name="next" value="/"' in stranger.get("/login", params={"next": elsewhere}).text
        fields = {"name": "ada", "password": WORDS["ada"], "next": elsewhere}
        assert stranger.post("/login", data=fields).headers["location"] == "/"
        stranger.cookies.clear()


def test_the_cookie_is_for_the_server_alone_and_ends_with_the_logout(stranger: TestClient, log_in: Callable) -> None:
    answer = stranger.post("/login", data={"name": "ada", "password": WORDS["ada"]})
    flags = {flag.strip().split("=")[0].lower() for flag in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite", "secure", "path", "max-age"} <= flags
    ada = log_in("ada")
    assert stranger.get("/live/1", headers=ada).status_code == 200
    assert stranger.post("/logout", headers=ada).status_code == 303
    assert stranger.get("/live/1", headers=ada).status_code == 401


def test_a_wrong_login_says_the_same_for_every_name_and_is_no_markup(stranger: TestClient) -> None:
    for name in ("ada", "nobody", '"><script>alert(1)</script>', "${alert(1)}{{1}}"):
        answer = stranger.post("/login", data={"name": name, "password": "not the password"})
        assert answer.status_code == 401
        assert "Name or password is wrong." in answer.text
        assert "<script>alert" not in answer.text
        assert "not the password" not in answer.text
    assert "set-cookie" not in answer.headers
    for strange in (b"\xff\xfe", b"name=ada&password=x" * 10_000, b"&" * 100, b"{}"):
        assert stranger.post("/login", content=strange).status_code == 401


def test_a_page_of_another_site_can_log_nobody_in_or_out(stranger: TestClient, log_in: Callable) -> None:
    ada, fields = log_in("ada"), {"name": "ada", "password": WORDS["ada"]}
    for foreign in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}):
        assert stranger.post("/login", data=fields, headers=foreign).status_code == 403
        assert stranger.post("/logout", headers=ada | foreign).status_code == 403
        assert stranger.get("/live/1", headers=ada | foreign).status_code == 403


ACTIONS = [
    {"name": "flip", "contact": 1}, {"name": "flip-side", "contact": 1}, {"name": "drop", "contact": 1},
    {"name": "restore", "contact": 1}, {"name": "take"}, {"name": "mirror"}, {"name": "swap"}, {"name": "add"},
    {"name": "note", "note": "x"}, {"name": "undo"}, {"name": "settle", "conflict": 1, "apply": True}, {"name": "fit"},
    {"name": "cancel"}, {"name": "decide", "verdict": "reject"}, {"name": "ahead"}, {"name": "skip"},
    {"name": "come-back"}, {"name": "undo-decisions"}, {"name": "review"}, {"name": "take-contacts", "take": 1},
    {"name": "restart-worker"},
]  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action["name"])
def test_a_viewer_changes_nothing(server: TestClient, log_in: Callable, workspace: Workspace, action: dict) -> None:
    before = (workspace.pair(1), workspace.jobs.list())
    shown = act(server, log_in("eve"), pair=1, revision=before[0].sheet.revision, curator="ada", **action)
    assert "iewers may look" in shown["notice"]["text"]
    assert shown["pair"]["id"] == 1
    after = (workspace.pair(1), workspace.jobs.list())
    assert (after[0].sheet, after[0].history, after[1]) == (before[0].sheet, before[0].history, before[1])


def test_a_viewer_may_look_and_post_nowhere_else(server: TestClient, log_in: Callable) -> None:
    eve = log_in("eve")
    assert act(server, eve, name="open", pair=2)["pair"]["id"] == 2
    assert act(server, eve, name="next", pair=1)["notice"] is None
    assert server.get("/image/1", headers=eve).status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert server.request(method, "/anything", headers=eve).status_code == 403


def test_every_action_of_the_desk_is_tried_as_a_viewer() -> None:
    source = (Path(__file__).parents[2] / "app" / "desk.py").read_text()
    compared = re.findall(r"action\.name (?:==|in) (\([^)]*\)|\"[a-z-]+\")", source)
    known = set(re.findall(r'"([a-z-]+)"', " ".join(compared))) | EDITS.keys()
    assert {"decide", "skip", "flip"} <= known
    assert known - {"open", "refresh", "next", "previous"} <= {action["name"] for action in ACTIONS}


def test_work_is_stored_under_the_accounts_name_whatever_the_page_says(
    server: TestClient, log_in: Callable, workspace: Workspace
) -> None:
    revision = workspace.pair(2).sheet.revision
    shown = act(server, log_in("ben"), name="flip", contact=1, pair=2, revision=revision, curator="ada")
    assert workspace.pair(2).history[-1].curator == "ben"
    assert (shown["curator"], shown["role"]) == ("ben", "curator")


def test_a_change_kept_aside_is_settled_by_its_author_or_an_admin(
    server: TestClient, log_in: Callable, workspace: Workspace
) -> None:
    for name in ("ada", "ben"):
        revision = workspace.pair(1).sheet.revision
        workspace.edit_contacts(1, Flip(contact=2), curator="zoe", revision=revision)
        shown = act(server, log_in(name), name="flip", contact=1, pair=1, revision=revision)
        assert shown["notice"] is None
    theirs, others = workspace.pair(1).conflicts
    assert (theirs.curator, others.curator) == ("ada", "ben")
    refused = act(server, log_in("ben"), name="settle", pair=1, conflict=theirs.id)
    assert "Only its author or an admin" in refused["notice"]["text"]
    act(server, log_in("ben"), name="settle", pair=2, conflict=theirs.id)
    assert len(workspace.pair(1).conflicts) == 2
    for conflict in (theirs, others):
        act(server, log_in("ada"), name="settle", pair=1, conflict=conflict.id)
    assert workspace.pair(1).conflicts == ()


def test_a_fit_is_stopped_by_who_asked_for_it_or_an_admin(
    server: TestClient, log_in: Callable, workspace: Workspace
) -> None:
    job = workspace.jobs.queue("fit", 1, revision=workspace.pair(1).sheet.revision, curator="ada")
    refused = act(server, log_in("ben"), name="cancel", pair=1, curator="ada")
    assert refused["notice"]["text"] == "Only ada, who asked for this fit, or an admin stops it."
    assert workspace.jobs.get(job).state == "queued"
    workspace.jobs.queue("fit", 2, revision=workspace.pair(2).sheet.revision, curator="ben")
    assert act(server, log_in("ben"), name="cancel", pair=2)["notice"] is None
    act(server, log_in("ada"), name="cancel", pair=1)
    assert workspace.jobs.get(job).state == "cancelled"


def test_nobody_sees_the_state_of_another(server: TestClient, log_in: Callable) -> None:
    ada, ben = log_in("ada"), log_in("ben")
    act(server, ada, name="note", note="ada's own thought", pair=2, revision=0)  # stale: kept as ada's conflict
    for _ in range(2):
        assert act(server, ada, name="open", pair=1)["curator"] == "ada"
        assert act(server, ben, name="open", pair=2)["curator"] == "ben"
        page = server.get("/?pair=1", headers=ben).text + server.get("/config", headers=ben).text
        assert "ada" not in re.findall(r'"(?:curator|role)": ?"(\w+)"', page)
        assert "own thought" not in page
    assert server.get("/image/1", headers=ada).headers["cache-control"].startswith("private")


def test_passwords_and_tokens_are_in_no_log_and_no_answer(
    stranger: TestClient, log_in: Callable, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = log_in("ada")["cookie"].split("=")[1]
    shown = [stranger.post("/login", data={"name": "ada", "password": WORDS["ada"] + "!"}).text]
    shown += [stranger.get(address, headers=log_in("ada")).text for address in ("/", "/config", "/live/1", "/nothing")]
    for text in (*shown, caplog.text, *capsys.readouterr()):
        assert WORDS["ada"] not in text
        assert token not in text
        assert "$argon2" not in text


def test_a_public_name_without_accounts_is_refused(make_workspace: Callable[..., Path]) -> None:
    bare = make_workspace(1, meshes=False)
    with pytest.raises(InputError, match=r"^review\.example\.org is open to other machines and .* has no accounts"):
        serve(bare, names=("review.example.org",))


def test_this_machine_needs_no_account_even_where_there_are_some(path: Path) -> None:
    with TestClient(make_app(path, worker=False), headers={"host": "127.0.0.1:7860"}) as client:
        assert client.get("/live/1").status_code == 200
        assert client.get("/live/1", headers={"x-forwarded-for": "192.0.2.1"}).status_code == 403
        assert client.get("/live/1", headers={"host": "192.0.2.1:7860"}).status_code == 403


def test_a_public_server_answers_under_its_address(path: Path) -> None:
    with TestClient(make_app(path, worker=False, login=True), follow_redirects=False) as client:
        for name, status in (("192.0.2.1:7860", 303), ("[2001:db8::1]:7860", 303), ("evil.example", 403)):
            assert client.get("/", headers={"host": name}).status_code == status


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_in_a_browser(path: Path, chromium: Browser, tmp_path: Path, scheme: Any) -> None:
    trouble: list[str] = []
    with running(make_app(path, worker=False, login=True)) as address:
        context = chromium.new_context(viewport={"width": 1024, "height": 768}, color_scheme=scheme)
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: trouble.append(request.url))
        page.goto(f"{address}/?pair=2")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("a wrong password")
        page.keyboard.press("Enter")
        page.get_by_text("Name or password is wrong.").wait_for()
        assert page.get_by_label("Name").input_value() == "ada"
        page.screenshot(path=tmp_path / "login.png")
        page.get_by_label("Password").fill(WORDS["ada"])
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector(".bar .workspace")
        assert page.url == f"{address}/?pair=2"
        assert page.locator(".bar .curator").input_value() == "ada"
        page.screenshot(path=tmp_path / "page.png")
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Log in").wait_for()
        context.close()
    assert [text for text in trouble if not text.startswith((address, "data:", "blob:"))] == []
