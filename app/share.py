"""A workspace to look at and nothing else: library, pairs and insights for collaborators (`apu serve --read-only`).

It has no route that changes anything and no Gradio, answers GET alone, and opens the database so that SQLite itself
refuses to write. On an address that others reach, an unguessable link takes the place of accounts: its key (256 random
bits) lives in the workspace, so that a link outlives the server, and `--new-link` ends it.
"""

import contextlib
import hmac
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard import Guard
from app.login import cookie_name
from app.page import ASSETS, VENDOR
from app.pages import Site, add_pages
from app.pictures import Pictures
from app.server import LOCAL_HOSTS, add_errors, add_pictures, is_local, run, sweep_pictures
from apu.files import asset
from review_db import Workspace

_KEY_S = 30 * 24 * 3600
"""How long a browser remembers the link's key."""


def create_share(
    workspace_path: Path,
    *,
    hosts: tuple[str, ...] = LOCAL_HOSTS,
    key: str = "",
    curators: bool = False,
    body: Path | None = None,
) -> FastAPI:
    """The read-only application for one workspace.

    Args:
        workspace_path: an existing workspace. hosts: names under which the server may be asked.
        key: of the link that lets people in; empty: everybody who reaches the server.
        curators: show the curators' names. body: the body model's file; None: the shipped one.

    Raises:
        StoreError: there is no workspace, or it cannot be read.
    """
    workspace = Workspace.open(Path(workspace_path), read_only=True)
    scratch = tempfile.TemporaryDirectory(prefix="apu-share-", ignore_cleanup_errors=True)
    pictures = Pictures(workspace, Path(scratch.name) / "pictures", body=body)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        end = threading.Event()
        sweeper = threading.Thread(target=sweep_pictures, args=(pictures, end), name="sweeper", daemon=True)
        sweeper.start()
        try:
            yield
        finally:
            end.set()
            sweeper.join()
            workspace.close()
            scratch.cleanup()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Look, key=key, cookie=f"{cookie_name(workspace.path)}_share")
    app.add_middleware(Guard, hosts=hosts, public=bool(key))
    app.mount(f"/{ASSETS}", StaticFiles(directory=asset("app")))
    app.mount(f"/{VENDOR}", StaticFiles(directory=asset("vendor")))
    add_pictures(app, pictures)
    site = Site(
        workspace=workspace, pictures=pictures, scratch=Path(scratch.name), curator="", read_only=True, names=curators
    )
    add_pages(app, site)
    add_errors(app)
    return app


class Look:
    """ASGI middleware: only GET, the first page is the library, and with a key only who has come by the link.

    Args:
        app: the application behind it. key: of the link, empty for none. cookie: name of the cookie that keeps it.
    """

    def __init__(self, app: ASGIApp, key: str, cookie: str) -> None:
        self._app, self._key, self._cookie = app, key, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with one sentence."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        return await (self._answer(scope) or self._app)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Here one can look, but not change anything.", status_code=405)
        if self._key and not self._same(HTTPConnection(scope).cookies.get(self._cookie, "")):
            return self._enter(scope)
        return RedirectResponse("library", status_code=303) if scope["path"] == "/" else None

    def _enter(self, scope: Scope) -> Response:
        """Take the key from the link into a cookie, so that it stands in no address that is passed on."""
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("key", [""])[-1]
        if not self._same(given):
            return PlainTextResponse("Open the link that you were given: without its key this page stays closed.", 401)
        answer = RedirectResponse("library", status_code=303)
        answer.set_cookie(
            self._cookie, given, max_age=_KEY_S, httponly=True, samesite="lax", secure=scope["scheme"] == "https"
        )
        return answer

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self._key.encode())


def share_key(workspace: Workspace, *, new: bool = False) -> str:
    """The key of a workspace's link, made at its first use; of a workspace on a read-only disk, for this once.

    Raises:
        StoreError: the workspace cannot be read.
    """
    with workspace.database.read() as connection:
        row = connection.execute("SELECT value FROM secrets WHERE name = 'share'").fetchone()
    if row is not None and not new:
        return bytes(row["value"]).decode()
    key = secrets.token_urlsafe(32)
    if not workspace.database.read_only:
        with workspace.database.write() as connection:
            connection.execute("REPLACE INTO secrets (name, value) VALUES ('share', ?)", (key.encode(),))
    return key


def serve(
    workspace: Path,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    names: tuple[str, ...] = (),
    curators: bool = False,
    new_link: bool = False,
    body: Path | None = None,
    listening: Callable[[str], None] | None = None,
) -> None:
    """Serve a workspace to look at until interrupted; `listening` gets what follows the server's address in the link.

    Raises:
        InputError: the port is taken. StoreError: the workspace cannot be used.
    """
    public = bool(names) or not is_local(host)
    with Workspace.open(Path(workspace)) as opened:
        key = share_key(opened, new=new_link) if public or new_link else ""

    def make(hosts: tuple[str, ...]) -> FastAPI:
        return create_share(workspace, hosts=hosts, key=key if public else "", curators=curators, body=body)

    def told() -> None:
        if listening is not None:
            listening(f"/?key={key}" if public else "/")

    run(make, host, port, names=names, public=public, listening=told)
