"""Who may talk to the server: only pages that it gave out itself, under names it is known by."""

import ipaddress
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from elsewhere. Gradio's templates need inline scripts and the Function constructor."""

_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_GRADIO_PATHS = ("/gradio_api/run/", "/gradio_api/heartbeat/", "/gradio_api/file=",
                 "/gradio_api/startup-events")  # fmt: skip
"""What the page needs of Gradio's own interface; uploads and the rest are closed."""

_MOST_BYTES = 4 * 2**20
"""A request's body; the largest that a page sends names 100,000 pairs."""

_PROXIES = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
"""Headers of requests that a proxy passes on: from other machines, whatever address they come from."""


class Guard:
    """ASGI middleware that refuses foreign hosts, origins and unused interfaces.

    A page of another site can make a browser send requests here; browsers then name that site in ``Origin`` or
    ``Sec-Fetch-Site``. A name that merely resolves to this machine (DNS rebinding) fails at ``Host``.

    Args:
        app: the application behind it. hosts: names under which the server may be asked.
        public: it may also be asked by address and through a proxy, because everybody must log in.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], *, public: bool = False) -> None:
        self._app, self._public = app, public
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it with one sentence."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["path"], headers)
        if refusal:
            return await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
        if _is_too_much(headers):
            return await PlainTextResponse("No page sends that much at once.", status_code=413)(scope, receive, send)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        return await self._app(scope, receive, send_guarded)

    def _refusal(self, path: str, headers: Headers) -> str:
        host = headers.get("host", "")
        name = _part(f"//{host}", "hostname")
        # An address in numbers cannot be made to resolve to another machine.
        if name not in self._hosts and not (self._public and _is_address(name)):
            return "This server does not answer under that name."
        if not self._public and any(header in headers for header in _PROXIES):
            return "This server is for its own machine alone; to put it behind a proxy, start it with --name."
        origin = headers.get("origin")
        if origin is not None and _part(origin, "netloc") != host:
            return "Requests from pages of other sites are refused."
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return "Requests from pages of other sites are refused."
        if path.startswith("/gradio_api/") and not path.startswith(_GRADIO_PATHS):
            return "This part of the interface is closed."
        return ""


def _is_too_much(headers: Headers) -> bool:
    """Bodies come with their length, as browsers send them; what is told piece by piece could go on for ever."""
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length[:20]) > _MOST_BYTES


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _part(url: str, part: Literal["hostname", "netloc"]) -> str:
    """A part of an address; empty where it is none."""
    try:
        return getattr(urlsplit(url), part) or ""
    except ValueError:
        return ""
