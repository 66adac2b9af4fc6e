"""Photograph the review page for the README: ``python docs/screenshots/make.py WORKSPACE [PAIR]``.

WORKSPACE is one that `apu demo --no-serve` has made; it is copied first and stays as it is. Needs chromium.
"""

import io
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import PIL.Image
import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from app.server import create_app

HERE = Path(__file__).parent
LARGEST = 500_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip
VIEWER_MS = 12_000
"""The 3D viewer's first picture takes this long without a GPU."""


def main(workspace: Path, pair: int) -> None:
    """Walk through one pair and save what is seen on the way."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        copy = Path(folder) / "demo"
        shutil.copytree(workspace, copy)
        url = f"{serve(copy)}/?pair={pair}"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = visit(browser, url, "dark")
        save(page, "before")
        page.keyboard.press("Shift+F")
        page.locator(".line.changed").first.wait_for()
        drop_doubtful(page)
        page.keyboard.press("Enter")
        page.locator("image.mesh[href*='/fit/']").wait_for(state="attached", timeout=60_000)
        page.wait_for_timeout(VIEWER_MS // 2)
        save(page, "review-dark")
        page.keyboard.press("w")
        save(page, "before-after")
        page.keyboard.press("?")
        save(page, "keys")
        save(visit(browser, url, "light"), "review-light")
        save(visit(browser, url, "dark", size=(1024, 768)), "review-1024x768")
        browser.close()


def drop_doubtful(page: Page, below: float = 0.5) -> None:
    """Strike out the contacts that the answer itself hardly believes."""
    doubtful = [line for line in page.locator(".line[data-id]").all() if _confidence(line) < below]
    for number, line in enumerate(doubtful, 1):
        line.click()
        page.keyboard.press("x")
        expect(page.locator(".line.dropped")).to_have_count(number)
    page.locator(".line[data-id]").first.click()


def _confidence(line: Locator) -> float:
    return float(line.locator(".figure").last.inner_text())


def serve(workspace: Path) -> str:
    """The address of a server that ends with this program."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(workspace, curator="curator"), log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def visit(browser: Browser, url: str, scheme: str, *, size: tuple[int, int] = (1440, 900)) -> Page:
    """The page with its photograph, contacts and meshes drawn."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    page.locator(".line.chosen").wait_for()
    page.locator("#model canvas").wait_for()
    page.wait_for_timeout(VIEWER_MS)
    return page


def save(page: Page, name: str) -> None:
    """A PNG small enough for a repository: with fewer colours where it must be."""
    page.wait_for_timeout(800)
    picture = PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for shown in (picture, picture.quantize(256, dither=PIL.Image.Dither.FLOYDSTEINBERG)):
        data = io.BytesIO()
        shown.save(data, "PNG", optimize=True)
        if data.tell() < LARGEST:
            break
    (HERE / f"{name}.png").write_bytes(data.getvalue())
    print(f"{name}.png  {data.tell() // 1000} kB")  # noqa: T201 - a script


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
