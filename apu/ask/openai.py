"""Ask any server that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, LM Studio, ..."""

import asyncio
import base64
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from apu.ask.batch import Budget
from apu.ask.prompt import EXAMPLE, PHOTOGRAPH
from apu.ask.question import Question, data_url
from apu.ask.schema import answer_schema, parse_answer
from apu.errors import AnswerError, InputError
from apu.types import ContactAnswer

OPENAI_URL = "https://api.openai.com/v1"

_NO_KEY = "none"
_MAX_RESPONSE_BYTES = 2**20
_MAX_REPEATED = 20_000  # characters of a bad answer that are sent back with it
_FIRST_PAUSE = 0.5  # seconds, doubled with every attempt
_ENDLESS_SPACE = 200  # trailing white space that no honest answer has
_REPAIRED = frozenset({"invalid", "wrong_schema"})
_RETRIED = frozenset({"rate_limited", "server_error", "unreachable"})

Message = dict[str, Any]


class _Reply(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Reply
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class OpenAIAsker:
    """Asker of a vision-language model behind an OpenAI-compatible server.

    The key is read from the environment at each question; it is kept nowhere and shown nowhere. Pictures travel
    as ``data:`` URLs. The server is asked to keep to `answer_schema`, and its answer is checked regardless.

    Attributes:
        model: the server's name of the model.
        base_url: of the server, up to and without ``/chat/completions``.
        key_variable: environment variable that holds the key; servers other than OpenAI's may need none.
        timeout: seconds for one question, with all its retries and the repair.
        max_retries: further attempts after a rate limit, a server's fault or a lost connection.
        max_tokens: upper limit of an answer; reasoning models count their thoughts.
        temperature: None leaves it to the server; some models take no other.
        budget: counts every request before it is sent; None: no limit.
    """

    model: str
    base_url: str = OPENAI_URL
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    max_retries: int = 2
    max_tokens: int = 4096
    temperature: float | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            raise ValueError("base_url must be an http or https address")  # not shown: it may hold a password
        if url.username or url.password or url.query:
            raise ValueError("base_url must not carry a name, password or query; the key belongs into the environment")
        if self.timeout <= 0 or self.max_retries < 0 or self.max_tokens < 1:
            raise ValueError("timeout and max_tokens must be positive and max_retries at least 0")

    @property
    def identity(self) -> Mapping[str, Any]:
        """What an answer depends on besides the question; for the cache."""
        return {
            "endpoint": self.base_url,
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    async def _within_time(self, question: Question) -> ContactAnswer:
        return await asyncio.wait_for(self._ask(question, self._key()), self.timeout)

    def __call__(self, question: Question) -> ContactAnswer:
        """Ask, repair once if the answer is not in the format, and read the answer.

        Raises:
            AnswerError: with one of `apu.ask.FAILURES` but ``"missing"``.
            InputError: OpenAI itself is to be asked, but the environment holds no key.
        """
        try:
            with ThreadPoolExecutor(1) as aside:  # the caller's own thread may run a loop, as in a notebook
                return aside.submit(asyncio.run, self._within_time(question)).result()
        except TimeoutError:
            host = urlsplit(self.base_url).hostname
            message = f"{self.model} at {host} gave no answer within {self.timeout:g} s; ask again or allow more time"
            raise AnswerError("timeout", message) from None

    async def _ask(self, question: Question, key: str) -> ContactAnswer:
        # A redirect would carry the photograph to an address that nobody chose.
        async with openai.AsyncOpenAI(
            api_key=key or _NO_KEY,
            base_url=self.base_url,
            max_retries=0,
            timeout=self.timeout,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        ) as client:
            return await _Exchange(self, client).answer(question)

    def _key(self) -> str:
        key = os.environ.get(self.key_variable, "").strip()
        if not key and self.base_url == OPENAI_URL:
            raise InputError(f"OpenAI needs a key; set the environment variable {self.key_variable}")
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"the environment variable {self.key_variable} holds signs that no key has; set it anew")
        return key


class _Failure(AnswerError):
    """An answer error with the pause in seconds that the server asked for before the next attempt."""

    pause: float | None = None


class _Exchange:
    """The requests of one question: they share a connection, a clock and the token count."""

    def __init__(self, asker: OpenAIAsker, client: openai.AsyncOpenAI) -> None:
        self.asker = asker
        self.client = client
        self.started = time.monotonic()
        self.asked_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.usage: Counter[str] = Counter()
        self.who = f"{asker.model} at {urlsplit(asker.base_url).hostname}"

    async def answer(self, question: Question) -> ContactAnswer:
        """The answer to the first request, or to the one that asks for a repair."""
        messages = [_first_message(question)]
        text = await self._text(messages)
        try:
            return self._read(text, question)
        except AnswerError as error:
            if error.status not in _REPAIRED:
                raise
            messages += _repair_messages(text, str(error))
        return self._read(await self._text(messages), question)

    def _read(self, text: str, question: Question) -> ContactAnswer:
        return parse_answer(
            text,
            model=self.asker.model,
            prompt_id=question.prompt.id,
            usage=dict(self.usage),
            seconds=time.monotonic() - self.started,
            asked_at=self.asked_at,
        )

    async def _text(self, messages: Sequence[Message]) -> str:
        """What the model wrote; where the server was at fault it is asked again, a bounded number of times."""
        attempt = 0
        while True:
            if self.asker.budget is not None:
                self.asker.budget.reserve()
            try:
                return self._content(await self._send(messages))
            except _Failure as failure:
                pause = failure.pause or _FIRST_PAUSE * 2**attempt
                too_late = time.monotonic() + pause >= self.started + self.asker.timeout
                if failure.status not in _RETRIED or attempt == self.asker.max_retries or too_late:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _send(self, messages: Sequence[Message]) -> str:
        """The body of a successful response, however it is formed."""
        body = bytearray()
        try:
            async with self.client.chat.completions.with_streaming_response.create(
                **_parameters(self.asker, messages)
            ) as response:
                async for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _MAX_RESPONSE_BYTES:
                        raise self._failure("server_error", "sent far more than an answer; check the server")
        except openai.APIStatusError as error:
            raise self._of_status(error) from None
        except (openai.APITimeoutError, httpx2.TimeoutException):
            raise TimeoutError from None
        except (openai.APIConnectionError, httpx2.HTTPError):
            message = "cannot be reached, or the connection broke; check the address and that the server runs"
            raise self._failure("unreachable", message, raw=self._text_of(body)) from None
        return self._text_of(body)

    def _content(self, body: str) -> str:
        """The model's text in a chat completion; everything that is no whole answer is a failure of its own kind."""
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError:
            message = "did not answer with a chat completion; check that base_url is the API's"
            raise self._failure("server_error", message, raw=body) from None
        self.usage.update({name: n for name, n in (completion.usage or {}).items() if isinstance(n, int)})
        choice = completion.choices[0]
        text = choice.message.content or ""
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise self._failure("refused", "refused to answer", raw=choice.message.refusal or text)
        if choice.finish_reason == "length":
            if len(text) - len(text.rstrip()) >= _ENDLESS_SPACE:
                raise self._failure("looped", "wrote white space without end; ask again", raw=text)
            message = f"did not finish within {self.asker.max_tokens} tokens; ask again or allow more"
            raise self._failure("truncated", message, raw=text)
        return text

    def _of_status(self, error: openai.APIStatusError) -> "_Failure":
        code, said = error.status_code, self._redacted(error.response.text)
        if code == 429:
            failure = self._failure("rate_limited", "has had too many requests; ask again later", raw=said)
        elif code >= 500 or code == 408:
            failure = self._failure("server_error", f"failed with status {code}; ask again", raw=said)
        elif error.code == "content_filter":
            failure = self._failure("refused", "refused the question by its content filter", raw=said)
        elif code in (401, 403):
            message = f"does not accept the key in {self.asker.key_variable}; set a valid one"
            failure = self._failure("rejected", message, raw=said)
        else:
            reason = _excerpt(self._redacted(error.message))
            failure = self._failure("rejected", f"does not take the question (status {code}): {reason}", raw=said)
        failure.pause = _seconds(error.response.headers.get("retry-after", ""))
        return failure

    def _failure(self, status: str, message: str, *, raw: str = "") -> "_Failure":
        return _Failure(status, f"{self.who} {message}", raw=raw)

    def _text_of(self, body: bytes | bytearray) -> str:
        return self._redacted(body.decode("utf-8", "replace"))

    def _redacted(self, text: str) -> str:
        """Some servers repeat the key that they refuse."""
        return text.replace(self.client.api_key, "[key]") if self.client.api_key != _NO_KEY else text


def _parameters(asker: OpenAIAsker, messages: Sequence[Message]) -> dict[str, Any]:
    # OpenAI's newer models refuse the old name of the limit, other servers do not know the new one.
    limit = "max_completion_tokens" if asker.base_url == OPENAI_URL else "max_tokens"
    form = {"name": "contacts", "strict": True, "schema": answer_schema()}
    parameters: dict[str, Any] = {
        "model": asker.model,
        "messages": messages,
        limit: asker.max_tokens,
        "response_format": {"type": "json_schema", "json_schema": form},
    }
    return parameters if asker.temperature is None else {**parameters, "temperature": asker.temperature}


def _first_message(question: Question) -> Message:
    example = base64.b64encode(question.prompt.example_image).decode("ascii")
    pictures = {EXAMPLE: f"data:image/png;base64,{example}", PHOTOGRAPH: data_url(question.crop)}
    content = [
        {"type": "image_url", "image_url": {"url": pictures[piece]}}
        if piece in pictures
        else {"type": "text", "text": piece}
        for piece in question.prompt.pieces(question.action)
    ]
    return {"role": "user", "content": content}


def _repair_messages(text: str, reason: str) -> list[Message]:
    request = f"That cannot be used: {reason}. Give the whole answer once more, as the JSON object alone."
    return [{"role": "assistant", "content": text[:_MAX_REPEATED]}, {"role": "user", "content": request}]


def _excerpt(text: str) -> str:
    return " ".join(text.split())[:200]


def _seconds(header: str) -> float | None:
    """Retry-After in seconds; its other form, a date, counts as not given."""
    return float(header) if header.isdecimal() else None
