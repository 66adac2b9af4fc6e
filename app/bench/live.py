"""How long a curator waits for a fit, in a real browser: ``python -m app.bench.live [--fits N]``.

On the demo's simulated pairs, with a fit worker. Of every pair the page is opened, a fit is asked for by its key, and a
clock inside the page notes each mesh that is drawn until the fit stands; then one more fit is stopped by its key.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.bench.place import serving
from app.bench.run import FLAGS, SIZE
from app.demo import make_demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

_PATIENCE_MS = 60_000
_WATCH = """() => {
    const fit = document.getElementById("fit");
    const seen = window.watched = {began: performance.now(), meshes: [], ended: null};
    let last = "";
    const look = () => {
        const mesh = document.querySelector("canvas[data-solid*='/job/']")?.dataset.solid ?? "";
        if (mesh && mesh !== last) seen.meshes.push(performance.now() - seen.began);
        last = mesh;
        const running = fit.querySelector(".progress, [data-act=cancel]") !== null;
        if (seen.meshes.length && !running && !mesh) seen.ended = performance.now() - seen.began;
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
"""Notes in the page when the first mesh of a running fit is drawn, when each further one, and when the fit is over."""


def run(fits: int, chromium: str) -> dict[str, Any]:
    """Seconds from the key to the first mesh, meshes a second from then on, to the end of the fit, and to a stop.

    Args:
        fits: so many of the demo's pairs. chromium: the browser.
    """
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp(prefix="apu-bench-live-"))
    try:
        for _ in make_demo(folder / "demo"):
            pass
        with serving(folder / "demo", worker=True) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            page = browser.new_context(viewport=SIZE).new_page()  # type: ignore[arg-type]
            page.set_default_timeout(_PATIENCE_MS)
            _fit(page, url, 1)  # the worker loads what it needs once
            watched = [_fit(page, url, pair) for pair in range(2, 2 + fits)]
            stop = [_stop(page, url, pair) for pair in range(2, 2 + fits)]
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    first = [w["meshes"][0] / 1000 for w in watched]
    ended = [w["ended"] / 1000 for w in watched]
    rate = [(len(w["meshes"]) - 1) / (w["meshes"][-1] - w["meshes"][0]) * 1000 for w in watched if len(w["meshes"]) > 2]
    return {
        "fits": fits,
        "first_mesh_s": _spread(first),
        "meshes_per_s": _spread(rate),
        "fit_s": _spread(ended),
        "stop_s": _spread(stop),
    }


def _open(page: "Page", url: str, pair: int) -> None:
    page.goto(f"{url}/?state=all&pair={pair}")
    page.wait_for_selector("#contacts .line")
    page.wait_for_selector("canvas[data-solid]")


def _fit(page: "Page", url: str, pair: int) -> dict[str, Any]:
    """What the page's clock noted of one fit."""
    _open(page, url, pair)
    page.evaluate(_WATCH)
    page.keyboard.press("Enter")
    page.wait_for_function("watched.ended !== null")
    return page.evaluate("watched")


def _stop(page: "Page", url: str, pair: int) -> float:
    """Seconds from the key that stops a fit to the sentence that says so; the fit has shown its first mesh."""
    _open(page, url, pair)
    page.evaluate(_WATCH)
    page.keyboard.press("Enter")
    page.wait_for_function("watched.meshes.length > 0")
    asked = page.evaluate("performance.now() - watched.began")
    page.keyboard.press("Escape")
    page.wait_for_function("watched.ended !== null")
    return (page.evaluate("watched.ended") - asked) / 1000


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 3), "most": round(float(max(values)), 3),
            "least": round(float(min(values)), 3)} if len(values) else {}  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="How long a curator waits for a fit.")
    parser.add_argument("--fits", type=int, default=10)
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("the page is timed in Chromium, which is missing; install it: sudo apt-get install chromium")
    print(json.dumps(run(args.fits, chromium), indent=1))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
