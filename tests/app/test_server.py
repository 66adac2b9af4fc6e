"""What the server gives, to whom, and what it refuses."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.server import create_app, serve
from apu.errors import InputError, StoreError
from review_db import Workspace
from review_db.forget import forget

from .conftest import make_app

HOST = {"host": "127.0.0.1:7860"}


@pytest.fixture(scope="module")
def path(make_workspace: Callable[..., Path]) -> Path:
    return make_workspace(2)


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        yield client


def test_the_page_and_its_pictures_come_by_id_alone(client: TestClient) -> None:
    assert client.get("/").status_code == 200
    photo = client.get("/image/1")
    assert (photo.status_code, photo.headers["content-type"]) == (200, "image/jpeg")
    for picture in ("overlay", "front", "side", "top"):
        got = client.get(f"/mesh/1/guess/1/{picture}")
        assert (got.status_code, got.headers["content-type"]) == (200, "image/webp")
    for solid in ("body", "1/guess/0", "1/guess/0/heat"):
        got = client.get(f"/solid/{solid}")
        assert (got.status_code, got.headers["content-type"]) == (200, "application/octet-stream")
    assert client.get("/live/1").json()["job"] is None


@pytest.mark.parametrize("address", ["/image/1", "/mesh/1/guess/1/front", "/solid/body", "/solid/1/guess/0"])
def test_a_kept_picture_is_used_again_only_where_it_is_this_workspaces(client: TestClient, address: str) -> None:
    fresh = client.get(address)
    assert fresh.headers["cache-control"] == "private, no-cache"
    same = client.get(address, headers={"if-none-match": fresh.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    other = client.get(address, headers={"if-none-match": '"of another workspace"'})
    assert (other.status_code, other.content) == (200, fresh.content)


@pytest.mark.parametrize(
    "address",
    ["/image/0", "/image/99", "/image/-1", "/image/1.5", "/image/..%2f..%2freview.db", "/image/../../etc/passwd",
     "/solid/1/fit/1", "/solid/99/guess/0", "/solid/1/guess/0/cold", "/solid/1/body/0", "/mesh/1/fit/1/overlay",
     "/mesh/99/guess/0/front", "/mesh/1/guess/1/..%2fsecret", "/mesh/1/elsewhere/1/top",
     "/live/99", "/apu-page/..%2f..%2fpyproject.toml", "/apu-page/", "/review.db", "/.env"],
)  # fmt: skip
def test_nothing_else_is_given(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code in (404, 405, 422)
    assert b"SQLite" not in answer.content
    assert b"[project]" not in answer.content
    assert "Traceback" not in answer.text


def test_files_of_the_workspace_cannot_be_asked_for_by_path(client: TestClient, path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(path / "review.db")
    (tmp_path / ".env").write_text("SECRET=1")
    images = [file for file in path.rglob("*") if file.is_file()]
    assert images
    for file in (*images, link, tmp_path / ".env", Path("/etc/passwd"), path / ".." / "toys" / "review.db"):
        answer = client.get(f"/gradio_api/file={file}")
        assert answer.status_code in (403, 404)
        assert b"SECRET" not in answer.content


def test_a_forgotten_photographs_pictures_go_while_the_page_is_served(
    make_workspace: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_workspace(2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("app.server._SWEEP_S", 0.1)

    def kept(pair: int) -> list[str]:
        return [each.name for each in tmp_path.rglob("*") if re.match(rf"(photo|guess)-{pair}[-.]", each.name)]

    with TestClient(make_app(path, worker=False), headers=HOST) as client, Workspace.open(path) as workspace:
        for pair in (1, 2):
            assert client.get(f"/image/{pair}").status_code == 200
            assert client.get(f"/mesh/{pair}/guess/1/front").status_code == 200
        assert len(kept(1)) == len(kept(2)) == 2
        forget(workspace, workspace.pair(1).image.sha256)
        until = time.monotonic() + 10
        while kept(1) and time.monotonic() < until:
            time.sleep(0.05)
        assert kept(1) == []
        assert len(kept(2)) == 2


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {"host": "evil.example"},
     {"origin": "http://[evil"}, {"host": "[evil"},
     {"host": "127.0.0.1.evil.example"}, {"host": ""}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}],
)  # fmt: skip
def test_a_hostile_page_can_neither_read_nor_write(client: TestClient, path: Path, headers: dict[str, str]) -> None:
    with Workspace.open(path) as workspace:
        before = workspace.pair(1).sheet
        for address in ("/", "/config", "/image/1", "/live/1", "/mesh/1/guess/1/front"):
            assert client.get(address, headers=headers).status_code == 403
        edit = {"name": "flip", "contact": 1, "pair": 1, "revision": before.revision}
        answer = client.post("/act", json=edit, headers=headers)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert workspace.pair(1).sheet == before


def test_the_same_request_from_its_own_page_is_served(client: TestClient, path: Path) -> None:
    with Workspace.open(path) as workspace:
        before = workspace.pair(2).sheet
        edit = {"name": "flip", "contact": 1, "pair": 2, "revision": before.revision}
        answer = client.post("/act", json=edit, headers={"origin": "http://127.0.0.1:7860"})
        assert answer.status_code == 200
        assert workspace.pair(2).sheet.revision == before.revision + 1


@pytest.mark.parametrize("sent", [{"pair": "../x"}, {"name": "flip", "pair": 1e999}, {}, {"name": [1]}])
def test_what_no_page_sends_is_answered_with_a_sentence(client: TestClient, sent: dict) -> None:
    answer = client.post("/act", content=json.dumps(sent).encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["notice"]["kind"] == "error"


@pytest.mark.parametrize("sent", [None, 7, "open", [1]])
@pytest.mark.parametrize("address", ["act", "claim", "draft", "view", "arrangement"])
def test_what_is_no_request_at_all_is_refused(client: TestClient, address: str, sent: object) -> None:
    assert client.post(f"/{address}", json=sent).status_code == 422


HUGE = 2**70


@pytest.mark.parametrize(
    ("address", "sent"),
    [("claim", {"left": [HUGE]}), ("draft", {"pair": HUGE, "revision": 1, "note": "x"}),
     ("draft", {"pair": 1, "revision": HUGE, "note": "x"}), ("library/decide", {"verdict": "flag", "pairs": {HUGE: 1}}),
     ("runs/cancel", {"run": HUGE}), ("study/close", {"study": HUGE}), ("study/back", {"study": HUGE}),
     ("study/rate", {"study": 1, "item": HUGE, "side": "left", "seconds": 1}), ("act", {"name": "open", "pair": HUGE}),
     ("act", {"name": "pick", "pair": 1, "alternative": HUGE}), ("act", {"name": "open", "review": HUGE})],
)  # fmt: skip
def test_numbers_that_nothing_has_are_told_so(client: TestClient, address: str, sent: dict) -> None:
    answer = client.post(f"/{address}", json=sent)
    if address == "act":
        assert "program failed" not in answer.json()["notice"]["text"]
    else:
        assert answer.status_code == 404, answer.text


def test_more_than_a_page_sends_is_not_read(client: TestClient) -> None:
    for body in (b"x" * (5 * 2**20), iter([b"{", b"}"])):  # the second comes in pieces without a length
        assert client.post("/draft", content=body).status_code == 413


@pytest.mark.parametrize("address", ["upload", "component_server", "stream/1", "queue/join", "queue/data", "call/act"])
def test_unused_parts_of_gradio_are_closed(client: TestClient, address: str) -> None:
    assert client.post(f"/gradio_api/{address}").status_code == 403
    assert client.get(f"/gradio_api/{address}").status_code == 403


def test_every_answer_forbids_what_comes_from_elsewhere(client: TestClient) -> None:
    for address in ("/", "/image/1", "/image/99", "/apu-page/main.js"):
        headers = client.get(address).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_public_interface_and_records_nothing(client: TestClient) -> None:
    config = client.get("/config").json()
    assert {function["api_visibility"] for function in config["dependencies"]} <= {"private"}
    assert config["analytics_enabled"] is False
    assert not config.get("run_history")


def test_scripts_name_no_other_server() -> None:
    folder = Path(__file__).parents[2] / "assets" / "app"
    for file in filter(Path.is_file, folder.rglob("*")):
        found = set(re.findall(r"https?://[^\s\"']+", file.read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, file


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.com"])  # noqa: S104 - that is the test
def test_a_public_address_is_refused_with_one_sentence(path: Path, host: str) -> None:
    with pytest.raises(InputError, match=r"open to other machines and \S+ has no accounts; make one with: apu acc"):
        serve(path, host, 0)


def test_a_taken_port_is_one_sentence(path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="choose another"):
        serve(path, "127.0.0.1", taken.getsockname()[1])


def test_a_folder_that_is_no_workspace_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        create_app(tmp_path / "nothing")
