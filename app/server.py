"""The review server: the page, its pictures by id, and the fit worker beside it."""

import contextlib
import ipaddress
import os
import shlex
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from app.desk import Desk, Visitor, default_curator
from app.desk_routes import add_desk
from app.guard import Guard
from app.login import Login, account_of, add_login, cookie_name
from app.meshes import Meshes, Picture, Source
from app.page import ASSETS, VENDOR, build_page, page_head, page_theme
from app.pages import Site, add_pages
from app.pictures import Pictures
from app.responses import Id, error, pictured
from app.runner import Runner
from app.screen import Json
from app.second import check_sight
from app.supervisor import Supervisor
from app.who import name_given
from apu.errors import ApuError, InputError
from apu.files import asset
from review_db import Workspace
from review_db.accounts import Accounts

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
NO_WORKER = "Waiting for a fit worker, which this server has not; start one with: python -m app.worker {name}"
_SWEEP_S = 5.0
_BINARY = "application/octet-stream"


def create_app(
    workspace_path: Path,
    *,
    hosts: tuple[str, ...] = LOCAL_HOSTS,
    login: bool = False,
    curator: str = "",
    device: str = "auto",
    body: Path | None = None,
    worker: bool = True,
) -> FastAPI:
    """The application for one workspace.

    Args:
        workspace_path: an existing workspace.
        hosts: names under which the server may be asked.
        login: let in only who has an account of the workspace; then addresses in numbers are names of the server too.
        curator: name shown until the curator gives another; empty: the user of the operating system.
        device: where the worker fits, ``"auto"``, ``"cpu"`` or ``"cuda"``.
        body: the body model's file; None: the shipped one.
        worker: run the fit worker; without it fits only wait.

    Raises:
        StoreError: there is no workspace, or it cannot be read.
    """
    workspace = Workspace.open(Path(workspace_path))
    scratch = tempfile.TemporaryDirectory(prefix="apu-review-", ignore_cleanup_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = scratch.name
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    pictures = Pictures(workspace, Path(scratch.name) / "pictures", body=body)
    supervisor, runner = Supervisor(workspace, device=device, body=body), Runner(workspace, body=body)
    name = curator or default_curator()
    trouble = (lambda: supervisor.trouble) if worker else (lambda: "")
    idle = "" if worker else NO_WORKER.format(name=shlex.quote(workspace.path.name))
    desk = Desk(workspace, pictures, curator=name, trouble=trouble, restart=supervisor.restart, idle=idle)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if worker:
            supervisor.start()
            runner.start()
        threading.Thread(target=lambda: pictures.body, name="body model", daemon=True).start()  # not on a first visit
        end = threading.Event()
        sweeper = threading.Thread(target=sweep_pictures, args=(pictures, end), name="sweeper", daemon=True)
        sweeper.start()
        try:
            yield
        finally:
            end.set()
            if worker:
                runner.stop()
                supervisor.stop()
            sweeper.join()
            workspace.close()
            scratch.cleanup()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.supervisor = supervisor
    if login:
        accounts, cookie = Accounts(workspace.database), cookie_name(workspace.path)
        add_login(app, accounts, cookie)
        app.add_middleware(Login, accounts=accounts, cookie=cookie)
    app.add_middleware(Guard, hosts=hosts, public=login)
    app.mount(f"/{ASSETS}", StaticFiles(directory=asset("app")))
    app.mount(f"/{VENDOR}", StaticFiles(directory=asset("vendor")))

    site = Site(workspace=workspace, pictures=pictures, scratch=Path(scratch.name), curator=name, login=login)

    def who(request: Request) -> Visitor:
        return desk.visitor(name_given(request), account_of(request))

    add_pictures(app, pictures, lambda request, meshes: check_sight(workspace, meshes, site.who(request)))
    _add_progress(app, desk, who)
    add_desk(app, desk, workspace)
    add_pages(app, site)
    add_errors(app)
    page = build_page(f"{workspace.path.name} – review")
    return gr.mount_gradio_app(
        app, page, "/", footer_links=[], run_history=False, show_error=False, ssr_mode=False, mcp_server=False,
        max_file_size=1, theme=page_theme(), head=page_head(),
    )  # fmt: skip


def serve(
    workspace: Path,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    names: tuple[str, ...] = (),
    device: str = "auto",
    body: Path | None = None,
    listening: Callable[[], None] | None = None,
) -> None:
    """Serve a workspace until interrupted; `listening` is called once nothing can be refused any more.

    On this machine alone nobody needs an account. On an address that others reach, or under public `names` (behind a
    proxy), everybody does.

    Raises:
        InputError: the server would be public and the workspace has no accounts, or the port is taken.
        StoreError: the workspace cannot be used.
    """
    public = bool(names) or not is_local(host)
    if public:
        _need_accounts(workspace, names[0] if names else host)

    def make(hosts: tuple[str, ...]) -> FastAPI:
        return create_app(workspace, hosts=hosts, login=public, device=device, body=body)

    run(make, host, port, names=names, public=public, listening=listening)


def run(
    make: Callable[[tuple[str, ...]], FastAPI],
    host: str,
    port: int,
    *,
    names: tuple[str, ...],
    public: bool,
    listening: Callable[[], None] | None,
) -> None:
    """Run an application, made for the names it answers to, until interrupted.

    Raises:
        InputError: the port is taken or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"port {port} of {host} cannot be used ({reason}); choose another") from error
    with listener:
        own = (socket.gethostname().lower(), socket.getfqdn().lower()) if public else ()
        app = make((*LOCAL_HOSTS, host, *own, *(name.lower() for name in names)))
        if listening is not None:
            listening()
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])


def _need_accounts(path: Path, host: str) -> None:
    with Workspace.open(path) as workspace:
        if not Accounts(workspace.database).list():
            make = f"apu account add {path} NAME"
            raise InputError(f"{host} is open to other machines and {path} has no accounts; make one with: {make}")


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def sweep_pictures(pictures: Pictures, end: threading.Event) -> None:
    """Let pictures of forgotten photographs go soon after them."""
    while not end.wait(_SWEEP_S):
        with contextlib.suppress(ApuError, OSError):  # the next round tries again
            pictures.sweep()


def add_pictures(
    app: FastAPI, pictures: Pictures, check: Callable[[Request, Meshes], None] = lambda request, meshes: None
) -> None:
    """Photographs and meshes by id; `check` refuses, by a ValueError, meshes that who asks is not to see."""

    @app.get("/image/{pair}")
    def image(request: Request, pair: Id) -> Response:
        return pictured(request, pictures.photograph(pair), "image/jpeg")

    @app.get("/mesh/{pair}/{source}/{number}/{picture}")
    def mesh(request: Request, pair: Id, source: Source, number: Id, picture: Picture, step: int = 0) -> Response:
        meshes = Meshes(pair=pair, source=source, number=number, step=step)
        check(request, meshes)
        return _of_meshes(request, meshes, lambda: pictures.picture(meshes, picture), "image/webp")

    @app.get("/solid/body")
    def body(request: Request) -> Response:
        return pictured(request, pictures.body_solid, _BINARY)

    @app.get("/solid/{pair}/{source}/{number}")
    def solid(request: Request, pair: Id, source: Source, number: Id, step: int = 0) -> Response:
        meshes = Meshes(pair=pair, source=source, number=number, step=step)
        check(request, meshes)
        return _of_meshes(request, meshes, lambda: pictures.solid(meshes), _BINARY)

    @app.get("/solid/{pair}/{source}/{number}/heat")
    def heat(request: Request, pair: Id, source: Source, number: Id, step: int = 0) -> Response:
        meshes = Meshes(pair=pair, source=source, number=number, step=step)
        check(request, meshes)
        return _of_meshes(request, meshes, lambda: pictures.heat(meshes), _BINARY)


def _of_meshes(request: Request, meshes: Meshes, make: Callable[[], bytes], media_type: str) -> Response:
    try:
        made = make()
    except InputError:
        if meshes.source is not Source.JOB:
            raise
        return Response(status_code=204)  # the job has ended and its preview is gone
    return pictured(request, made, media_type)


def _add_progress(app: FastAPI, desk: Desk, who: Callable[[Request], Visitor]) -> None:
    @app.get("/live/{pair}")
    def live(request: Request, pair: Id) -> Json:
        return desk.live(pair, who(request))


def add_errors(app: FastAPI) -> None:
    """Whatever goes wrong is answered with one sentence."""

    @app.exception_handler(ValueError)
    def unknown(request: Request, reason: ValueError) -> Response:
        return error(request, 404, f"Not here: {reason}.")

    @app.exception_handler(ApuError)
    def refused(request: Request, reason: ApuError) -> Response:
        return error(request, 503, f"{reason}.")

    @app.exception_handler(500)
    def failed(request: Request, _: Exception) -> Response:
        return error(request, 500, "The program failed at this; the server's log says more.")
