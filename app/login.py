"""Logging in where the page is open to other machines: the gate before every request, and the form to pass it."""

import hashlib
import html
import re
from pathlib import Path
from urllib.parse import parse_qs, quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.page import ASSETS
from app.pages.shell import PAGES
from review_db.accounts import NAME_LENGTH, PASSWORD_LENGTH, Account, Accounts, Limits, LoginError

_OPEN = ("/login", f"/{ASSETS}/")
"""What a visitor without a session may ask for: the form and the page's own styles and scripts."""

_VIEWERS_MAY_POST = ("/gradio_api/", "/logout", "/act")
"""Of these the desk looks at each action."""

_MAX_FORM_BYTES = 16_384
_PAGES = ("/", *(f"/{name}" for name in PAGES))
_PLACE = re.compile(rf"({'|'.join(_PAGES)})(\?[\w.%&=+~*-]{{0,2000}})?", re.ASCII)
"""A page of this server with an address of its own; nothing in it can name another site."""

_FORM = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Log in – review</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="{assets}/theme.css"><link rel="stylesheet" href="{assets}/login.css">
<script type="module">import {{theme}} from "./{assets}/theme.js"; theme.start();</script></head>
<body class="login"><main><h1>Log in</h1>
<form method="post" action="login"><input type="hidden" name="next" value="{next}">
<label>Name<input name="name" value="{name}" maxlength="{name_length}" autocomplete="username" autocapitalize="none"
 spellcheck="false" required {focus_name}></label>
<label>Password<input name="password" type="password" maxlength="{password_length}" autocomplete="current-password"
 required {focus_password}></label>
<p class="trouble" role="alert">{trouble}</p><button>Log in</button></form>
<p class="muted">Accounts are made by whoever runs this server.</p></main></body></html>"""


def cookie_name(workspace: Path) -> str:
    """Of a workspace's sessions: browsers do not tell the ports of one machine apart."""
    return f"apu_{hashlib.sha256(str(workspace.resolve()).encode()).hexdigest()[:12]}"


class Login:
    """ASGI middleware that lets nobody pass without a session, and viewers change nothing.

    Handlers find the account of a request with `account_of`.

    Args:
        app: the application behind it. accounts: of the workspace. cookie: name of the session's cookie.
    """

    def __init__(self, app: ASGIApp, accounts: Accounts, cookie: str) -> None:
        self._app, self._accounts, self._cookie = app, accounts, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its account, or send its sender to the form."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        token = HTTPConnection(scope).cookies.get(self._cookie)
        account = await run_in_threadpool(self._accounts.session, token) if token else None
        scope["state"] = {**scope.get("state", {}), "account": account}
        refusal = self._refusal(scope, account)
        return await (refusal or self._app)(scope, receive, send)

    @staticmethod
    def _refusal(scope: Scope, account: Account | None) -> Response | None:
        path, method = scope["path"], scope.get("method", "GET")
        if account is None:
            if path in _OPEN or path.startswith(_OPEN[1:]):
                return None
            if path in _PAGES and method == "GET":
                asked = f"{path}?{scope.get('query_string', b'').decode('latin-1')}"
                return RedirectResponse(f"/login?next={quote(_place(asked))}", status_code=303)
            return PlainTextResponse("Log in first: this server is open to people with an account.", status_code=401)
        changes = scope["type"] == "http" and method not in ("GET", "HEAD")
        if changes and not account.role.may_write and not path.startswith(_VIEWERS_MAY_POST):
            return PlainTextResponse("Viewers may look, but not change anything.", status_code=403)
        return None


def account_of(request: Request) -> Account | None:
    """Whose session a request comes from; None where the server asks for none."""
    return getattr(request.state, "account", None)


def add_login(app: FastAPI, accounts: Accounts, cookie: str) -> None:
    """The form, and the way out."""

    @app.get("/login")
    def form(request: Request) -> Response:
        return _form(next_place=_place(request.query_params.get("next", "/")))

    @app.post("/login")
    async def log_in(request: Request) -> Response:
        fields = await _fields(request)
        name, place = fields.get("name", "").strip(), _place(fields.get("next", "/"))
        address = request.client.host if request.client else ""
        try:
            token = await run_in_threadpool(accounts.log_in, name, fields.get("password", ""), address=address)
        except LoginError as error:
            return _form(next_place=place, name=name, trouble=f"{error}.".capitalize(), status=401)
        answer = RedirectResponse(place, status_code=303)
        answer.set_cookie(
            cookie, token, max_age=int(Limits().session.total_seconds()), httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @app.post("/logout")
    async def log_out(request: Request) -> Response:
        await run_in_threadpool(accounts.log_out, request.cookies.get(cookie, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(cookie, httponly=True, samesite="lax")
        return answer


def _form(*, next_place: str, name: str = "", trouble: str = "", status: int = 200) -> Response:
    values = {"next": next_place, "name": name[:NAME_LENGTH], "trouble": trouble}
    focus = {"focus_name": "" if name else "autofocus", "focus_password": "autofocus" if name else ""}
    lengths = {"name_length": NAME_LENGTH, "password_length": PASSWORD_LENGTH[1]}
    shown = {key: html.escape(value) for key, value in values.items()}
    page = _FORM.format(assets=ASSETS, **shown, **focus, **lengths)
    return HTMLResponse(page, status_code=status, headers={"cache-control": "no-store"})


async def _fields(request: Request) -> dict[str, str]:
    """The form's fields; empty where it is larger than a form can be, or no text."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_FORM_BYTES:
            return {}
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=10).items()}
    except ValueError:
        return {}


def _place(text: str) -> str:
    """Where to go after logging in: a place of this page, never another site."""
    return text if _PLACE.fullmatch(text) else "/"
