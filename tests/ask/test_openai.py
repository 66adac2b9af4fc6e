"""The asker against a real server on 127.0.0.1 that misbehaves in every way that servers do."""

import base64
import contextlib
import io
import json
import socket
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from apu.ask import FAILURES, Budget, OpenAIAsker, answer_schema, ask_all, cached
from apu.ask import openai as module
from apu.errors import AnswerError, InputError

from .conftest import answer_with, contact

KEY = "sk-secret-0123456789"


def completion(content, *, finish="stop", refusal=None):
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content, "refusal": refusal},
    }
    usage = {"prompt_tokens": 900, "completion_tokens": 80, "total_tokens": 980, "details": {"cached": 1}}
    return 200, {"id": "1", "object": "chat.completion", "model": "served", "choices": [choice], "usage": usage}


def says(content, **options):
    return lambda handler: handler.reply(*completion(content, **options))


def fails(status, body=None, **headers):
    return lambda handler: handler.reply(status, body or {"error": {"message": "busy"}}, headers)


def resets(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def breaks_off(handler):
    handler.start(200, length=10_000)
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def hangs(handler):
    handler.server.stopped.wait(20)


def drips(handler):
    handler.start(200, length=10_000)
    while not handler.server.stopped.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def drips_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.stopped.wait(0.05):
        handler.wfile.write(b"X-More: 1\r\n")
        handler.wfile.flush()


def floods(handler):
    handler.start(200, length=10**12)
    while not handler.server.stopped.is_set():
        handler.wfile.write(b" " * 65536)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
            )
        script = self.server.script
        with contextlib.suppress(OSError):
            script[min(number, len(script) - 1)](self)
        self.close_connection = True

    def start(self, status, length, headers=None):
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(length))
        self.end_headers()

    def reply(self, status, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.start(status, len(data), headers)
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server that follows `script`, one entry per request, the last one for ever."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.script, server.lock = [], [says(answer_with())], threading.Lock()
        server.stopped = threading.Event()
        server.handle_error = lambda *_: None
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def asker(server):
    def make(**options):
        url = f"http://127.0.0.1:{server.server_port}/v1"
        return OpenAIAsker(
            **{"model": "eye-1", "base_url": url, "key_variable": "TEST_KEY", "timeout": 10.0, **options}
        )

    return make


def failure(asker, question):
    started = time.monotonic()
    with pytest.raises(AnswerError) as caught:
        asker(question)
    assert caught.value.status in FAILURES
    assert time.monotonic() - started < asker.timeout + 2
    return caught.value


def pictures(request):
    content = request[2]["messages"][0]["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


def test_a_good_answer_arrives_with_everything_that_is_known_of_it(asker, ask_about):
    answer = asker()(ask_about())
    assert [str(part) for part in answer.contacts[0].parts] == ["left hand", "back"]
    assert answer.raw == answer_with()
    assert answer.model == "eye-1"
    assert answer.prompt_id == ask_about().prompt.id
    assert answer.usage == {"prompt_tokens": 900, "completion_tokens": 80, "total_tokens": 980}
    assert answer.seconds > 0
    assert answer.asked_at.endswith("+00:00")
    assert not answer.simulated


def test_the_request_holds_both_pictures_as_data_urls_the_action_the_limit_and_the_schema(server, asker, ask_about):
    question = ask_about(shade=200, action="pat on back")
    asker(max_tokens=321, temperature=0.5)(question)
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    example, photograph = pictures(server.requests[0])
    assert base64.b64decode(example.removeprefix("data:image/png;base64,")) == question.prompt.example_image
    shown = Image.open(io.BytesIO(base64.b64decode(photograph.removeprefix("data:image/jpeg;base64,"))))
    assert np.abs(np.asarray(shown).astype(int) - question.crop).max() < 5
    texts = [part["text"] for part in body["messages"][0]["content"] if part["type"] == "text"]
    assert "pat on back" in texts[-1]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("eye-1", 321, 0.5)
    assert body["response_format"]["json_schema"]["schema"] == answer_schema()
    assert not body.get("stream")


def test_nothing_but_data_urls_leaves_even_from_a_hostile_action(server, asker, ask_about):
    asker()(ask_about(action="http://evil.example/x.png"))
    assert all(url.startswith("data:image/") for url in pictures(server.requests[0]))


def test_a_server_without_a_key_is_asked_without_one(server, asker, ask_about, monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    assert asker()(ask_about()).contacts
    assert KEY not in json.dumps(server.requests)


LOOP = answer_with()[:40] + " \n" * 500


@pytest.mark.parametrize(
    ("script", "status", "requests", "raw"),
    [
        ([says(None, refusal="I will not")], "refused", 1, "I will not"),
        ([says("", finish="content_filter")], "refused", 1, ""),
        ([fails(400, {"error": {"message": "filtered", "code": "content_filter"}})], "refused", 1, "filtered"),
        ([says(answer_with()[:60], finish="length")], "truncated", 1, answer_with()[:60]),
        ([says(LOOP, finish="length")], "looped", 1, LOOP),
        ([says("")], "empty", 1, ""),
        ([says(None)], "empty", 1, ""),
        ([says("They hug.")], "invalid", 2, "They hug."),
        ([says('{"contacts": []}')], "wrong_schema", 2, '{"contacts": []}'),
        ([fails(429)], "rate_limited", 3, "busy"),
        ([fails(429, retry_after="3600")], "rate_limited", 1, "busy"),
        ([fails(500)], "server_error", 3, "busy"),
        ([fails(503, b"<html>down</html>")], "server_error", 3, "down"),
        ([lambda handler: handler.reply(200, b"<html>hello</html>")], "server_error", 3, "<html>hello</html>"),
        ([lambda handler: handler.reply(200, {"choices": []})], "server_error", 3, '{"choices": []}'),
        ([floods], "server_error", 3, ""),
        ([fails(401, {"error": {"message": f"bad key {KEY}"}})], "rejected", 1, "bad key [key]"),
        ([fails(404, {"error": {"message": "no such model"}})], "rejected", 1, "no such model"),
        ([fails(307, location="http://127.0.0.1:9/elsewhere")], "rejected", 1, ""),
        ([resets], "unreachable", 3, ""),
        ([breaks_off], "unreachable", 3, '{"choices": ['),
    ],
)
def test_every_fault_has_its_status_bounded_attempts_and_its_raw_text(
    server, asker, ask_about, script, status, requests, raw
):
    server.script = script
    error = failure(asker(), ask_about())
    assert error.status == status
    assert len(server.requests) == requests
    assert raw in error.raw


@pytest.mark.parametrize("fault", [hangs, drips, drips_headers])
def test_a_server_that_takes_for_ever_is_left_after_the_time_limit(server, asker, ask_about, fault):
    server.script = [fault]
    started = time.monotonic()
    error = failure(asker(timeout=0.6), ask_about())
    assert error.status == "timeout"
    assert time.monotonic() - started < 1.5
    assert len(server.requests) == 1


def test_the_time_limit_covers_all_attempts_together(server, asker, ask_about):
    server.script = [fails(500, retry_after="1")]
    started = time.monotonic()
    assert failure(asker(timeout=1.5, max_retries=9), ask_about()).status == "server_error"
    assert time.monotonic() - started < 2
    assert len(server.requests) == 2


def test_no_server_is_unreachable(ask_about):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asker = OpenAIAsker(model="m", base_url=f"http://127.0.0.1:{port}/v1", key_variable="NOT_SET", max_retries=0)
    assert failure(asker, ask_about()).status == "unreachable"


def test_a_fault_that_passes_is_no_failure(server, asker, ask_about):
    server.script = [fails(429, retry_after="0"), resets, says(answer_with())]
    assert asker()(ask_about()).contacts
    assert len(server.requests) == 3


def test_one_repair_is_asked_for_with_the_bad_answer_and_the_reason(server, asker, ask_about):
    bad = answer_with(contacts=[contact(("tail", "left"), ("back", "both"))])
    server.script = [says(bad), says(answer_with())]
    answer = asker()(ask_about())
    assert answer.contacts
    assert answer.usage["total_tokens"] == 2 * 980
    first, second = (request[2]["messages"] for request in server.requests)
    assert second[:1] == first
    assert second[1] == {"role": "assistant", "content": bad}
    assert "'tail' is not one of the body parts" in second[2]["content"]


def test_the_key_is_in_no_error_representation_or_answer(server, asker, ask_about):
    faults = [fails(401, {"error": {"message": f"bad key {KEY}"}}), fails(400, {"error": {"message": KEY}}), resets]
    for script in (*faults, says(f"your key is {KEY}"), says(None, refusal=KEY), says(KEY, finish="length")):
        server.script = [script]
        error = failure(asker(), ask_about())
        shown = [str(error), repr(error), error.raw, *traceback.format_exception(error)]
        assert KEY not in "".join(shown)
    server.script = [says(answer_with(interaction=KEY))]
    assert KEY not in repr(asker()(ask_about()))
    assert KEY not in repr(asker())
    assert KEY not in repr(asker().identity)


def test_openai_itself_needs_a_key_and_a_broken_one_is_not_shown(ask_about, monkeypatch):
    asker = OpenAIAsker(model="m", key_variable="TEST_KEY")
    monkeypatch.delenv("TEST_KEY", raising=False)
    with pytest.raises(InputError, match="TEST_KEY"):
        asker(ask_about())
    monkeypatch.setenv("TEST_KEY", "sk-ü\nsecret")
    with pytest.raises(InputError) as caught:
        asker(ask_about())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "ftp://host/v1"},
        {"base_url": "localhost:8000"},
        {"base_url": "http://name:word@host/v1"},
        {"base_url": "http://host/v1?key=1"},
        {"base_url": "http://host:0/v1"},
        {"timeout": 0.0},
        {"max_retries": -1},
        {"max_tokens": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        OpenAIAsker(**{"model": "m", **options})


def test_workers_at_the_limit_send_exactly_as_many_requests_as_allowed(server, asker, ask_about):
    server.script = [fails(500, retry_after="0"), says("no"), says(answer_with())]
    asked = [ask_about(shade=n) for n in range(30)]
    results = ask_all(asked, asker(budget=Budget(20)), workers=10)
    assert len(server.requests) == 20
    assert sum(isinstance(r, AnswerError) for r in results) >= 10


def test_a_batch_that_is_run_again_asks_only_what_has_no_answer(server, asker, ask_about, tmp_path):
    server.script = [says(answer_with()), says(None, refusal="no"), says(answer_with())]
    ask = cached(asker(), tmp_path, identity=asker().identity)
    asked = [ask_about(shade=n) for n in range(6)]
    first = ask_all(asked, ask, workers=2)
    assert [isinstance(r, AnswerError) for r in first].count(True) == 1
    second = ask_all(asked, ask, workers=2)
    assert not any(isinstance(r, AnswerError) for r in second)
    assert len(server.requests) == 7
