"""A workspace of many pairs to look at, and a server for it in a process of its own."""

import asyncio
import io
import multiprocessing
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import PIL.Image

from apu.body.model import BodyModel, load_body
from apu.errors import InputError
from apu.synth.observe import observe
from apu.synth.paint import photograph
from apu.synth.scene import load_scenes
from apu.types import FitResult
from review_db.bench.load import Seen, make

_START_S = 300.0


def make_place(path: Path, pairs: int, seed: int) -> None:
    """A workspace whose pairs all show one simulated scene, with figures of their own."""
    make(path, pairs, seed=seed, seen=_seen(load_body(), seed)).close()


def _seen(body: BodyModel, seed: int) -> Seen:
    scene = load_scenes()[0]
    observed, buffer = observe(scene, body, seed), io.BytesIO()
    PIL.Image.fromarray(photograph(body.forward(scene.params).vertices, scene.recipe, body)).save(buffer, "JPEG")
    contacts = observed.answer.contacts
    fit = FitResult(
        params=scene.params, start=scene.params, contacts=contacts, swapped=False, gaps_m=np.full(len(contacts), 0.01),
        reprojection_512=np.ones(2), reprojection_px=np.ones(2), max_penetration_m=0.01, mean_penetration_m=0.005,
        kept=True, terms={"keypoints": [2.0, 1.0]}, stop="converged", seconds=1.0, iterations=60, device="cpu",
        body=body.name, seed=seed, options={},
    )  # fmt: skip
    return Seen(photograph=buffer.getvalue(), observation=observed.observation, fit=fit)


@contextmanager
def serving(path: Path, *, worker: bool = False) -> Iterator[str]:
    """The address of a server for a workspace; without a fit worker what is measured is the page.

    Raises:
        InputError: the server did not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(path, port, worker), daemon=True)
    process.start()
    try:
        _wait(f"http://127.0.0.1:{port}/screen", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def _serve(path: Path, port: int, worker: bool) -> None:
    import uvicorn

    from app.server import create_app

    async def run() -> None:
        config = uvicorn.Config(
            create_app(path, worker=worker), port=port, log_level="error", timeout_graceful_shutdown=1
        )
        await uvicorn.Server(config).serve()

    asyncio.run(run())


def _wait(url: str, process: BaseProcess) -> None:
    end = time.monotonic() + _START_S
    while process.is_alive() and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - an address of this program's own server
                return
        except OSError:
            time.sleep(0.1)
    raise InputError("the server of the benchmark did not start")
