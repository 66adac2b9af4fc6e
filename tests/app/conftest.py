"""A small simulated workspace, a running server and a real Chromium for the tests of the page."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.server import create_app
from apu.body.model import BodyModel
from apu.camera import project
from apu.denoise import denoise
from apu.render import render
from apu.types import (
    SMPL_JOINTS,
    BodyParams,
    BodyPart,
    Camera,
    Contact,
    ContactAnswer,
    FitResult,
    MeshEstimate,
    PairObservation,
    Side,
)
from review_db import Suggestion, Workspace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip
CAMERA = Camera.of_image(480, 400)
expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong


def arm(part: str, a: Side, b: Side) -> Contact:
    """A contact of the same part of both people."""
    return Contact(parts=(BodyPart(name=part, side=a), BodyPart(name=part, side=b)), confidence=0.8)


TRUE = (arm("upper arm", Side.LEFT, Side.RIGHT), arm("forearm", Side.LEFT, Side.RIGHT))
STATED = (TRUE[0].flipped, TRUE[1])


def standing(*, depth: float = 0.0, gap: float = 0.0) -> BodyParams:
    """Two people side by side, facing the camera with hanging arms: A's left arm beside B's right arm."""
    pose = np.zeros((2, 21, 3), np.float32)
    pose[:, SMPL_JOINTS.index("left_shoulder") - 1, 2] = -1.25
    pose[:, SMPL_JOINTS.index("right_shoulder") - 1, 2] = 1.25
    return BodyParams(
        global_orient=np.array([[np.pi, 0, 0]] * 2, np.float32),
        body_pose=pose,
        betas=np.zeros((2, 11), np.float32),
        transl=np.array([[-0.29 - gap / 2, -0.1, 2.4], [0.29 + gap / 2, -0.1, 2.4 + depth]], np.float32),
    )


def observe(body: BodyModel, image: str) -> PairObservation:
    """What detectors would say of the standing pair; the first guess has B 20 cm too far back."""
    pixels = project(body.keypoints(standing()), CAMERA)
    keypoints = np.concatenate([pixels, np.full((2, 67, 1), 0.9)], axis=-1).astype(np.float32)
    boxes = np.concatenate([pixels.min(1), pixels.max(1)], axis=1).clip(0, [480, 400, 480, 400]).astype(np.float32)
    guess = standing(depth=0.2)
    estimate = MeshEstimate(
        global_orient=guess.global_orient, body_pose=guess.body_pose, betas=guess.betas,
        joints=body.forward(guess).joints[:, :22].astype(np.float32), valid=np.array([True, True]), body=body.name,
        source="simulated",
    )  # fmt: skip
    return PairObservation(
        image=image, camera=CAMERA, boxes=boxes, keypoints=keypoints, estimate=estimate, source="simulated",
        simulated=True,
    )  # fmt: skip


def answer(*contacts: Contact) -> ContactAnswer:
    """A simulated answer with these contacts."""
    return ContactAnswer(
        interaction="standing side by side", people=("a person in sand", "a person in slate"),
        orientation="side to side", contacts=contacts or STATED, raw="{}", model="toy", prompt_id="none",
        simulated=True,
    )  # fmt: skip


def tell(workspace: Workspace, pair: int, observation: PairObservation, said: ContactAnswer) -> None:
    """Store an answer with the denoiser's verdicts."""
    checks = denoise(said.contacts, observation)
    workspace.add_answer(
        pair, said, asker="replay",
        suggestions=[
            Suggestion(
                flipped=check.flip, probability=check.confidence if check.flip else 1 - check.confidence,
                distances=check.distances, evidence=check.evidence,
            )
            for check in checks
        ],
    )  # fmt: skip


def result(gaps: tuple[float, float]) -> FitResult:
    """A fit of the true contacts with given gaps."""
    return FitResult(
        params=standing(), start=standing(depth=0.2), contacts=TRUE, swapped=False, gaps_m=np.array(gaps),
        reprojection_512=np.array([4.0, 30.0]), reprojection_px=np.array([3.0, 20.0]), max_penetration_m=0.02,
        mean_penetration_m=0.01, kept=False, terms={"contact": [2.0, 1.0]}, stop="converged", seconds=1.0,
        iterations=2, device="cpu", body="anny-free", seed=0, options={},
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_workspace(body: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a workspace of as many simulated pairs as asked for; all but the last `silent` ones have an answer.

    Pairs without `meshes` have neither a first guess nor keypoints to make one.
    """
    folder = tmp_path_factory.mktemp("pictures")
    picture = render(body.forward(standing()).vertices, body.faces, CAMERA)
    observation = observe(body, "pair.png")
    bare = replace(
        observation, keypoints=np.zeros_like(observation.keypoints),
        estimate=replace(observation.estimate, valid=np.array([False, False])),
    )  # fmt: skip

    def make(pairs: int = 2, *, silent: int = 0, name: str = "toys", meshes: bool = True) -> Path:
        path = tmp_path_factory.mktemp("workspace") / name
        with Workspace.create(path) as workspace:
            for number in range(pairs):
                shot = folder / f"pair {number}.png"
                tinted = np.clip(picture.astype(int) - number, 0, 255).astype(np.uint8)
                cv2.imwrite(str(shot), cv2.cvtColor(tinted, cv2.COLOR_RGB2BGR))
                image = workspace.add_image(shot, size=(480, 400), source="simulated", action="standing")
                seen = replace(observation if meshes else bare, image=shot.name)
                pair = workspace.add_pair(image, seen)
                if number < pairs - silent:
                    tell(workspace, pair, seen, answer())
        return path

    return make


def make_app(path: Path, **options: Any) -> FastAPI:
    """The application, made inside an event loop: elsewhere Gradio opens loops of its own and never closes them."""

    async def make() -> FastAPI:
        return create_app(path, curator="tester", device="cpu", **options)

    with ThreadPoolExecutor(1) as aside:  # Playwright keeps a loop running in the tests' own thread
        return aside.submit(lambda: asyncio.run(make())).result()


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server starts")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts servers for workspaces and gives their addresses."""
    with ExitStack() as servers:
        yield lambda path, **options: servers.enter_context(serving(make_app(path, **options)))


def until(ready: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"it never happened that {what}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; `.ci/run` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, serve: Callable[..., str]) -> Iterator[Callable[..., Page]]:
    """Opens pages; at the end none may have said an error on its console or asked anyone but its server.

    They close before their servers stop.
    """
    pages: list[Page] = []
    trouble: list[str] = []

    def open_page(
        url: str, *, width: int = 1024, height: int = 768, scheme: str = "dark", touch: bool = False, script: str = ""
    ) -> Page:
        viewport: Any = {"width": width, "height": height}
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, has_touch=touch)  # type: ignore[arg-type]
        page = context.new_page()
        page.add_init_script(script)
        server = "/".join(url.split("/")[:3])
        page.on("console", lambda message: message.type == "error" and trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: _outside(request.url, server) and trouble.append(request.url))
        page.goto(url)
        page.wait_for_selector(".bar .workspace")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert trouble == []


def _outside(url: str, server: str) -> bool:
    return not url.startswith((server, "data:", f"blob:{server}"))
