"""Photograph every page for the README, light and dark: ``python docs/screenshots/make.py WORKSPACE [NAME ...]``.

WORKSPACE is one that `apu demo --no-serve` has made; a copy is worked on for a while, so that the pages have something
to show, and kept beside it as ``WORKSPACE-filled``. NAMEs are pages to be taken alone. Needs chromium.
"""

import io
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from app.jobs import run_fan, run_fit
from app.server import create_app
from app.study import make_meshes
from apu.body.model import load_body
from apu.types import Decision, Verdict
from review_db import Drop, Edit, Flip, PairRecord, TakeSuggestion, Workspace
from review_db.accounts import Accounts
from review_db.runs import Runs
from review_db.studies import Studies

HERE = Path(__file__).parent
LARGEST = 200_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip
SLOW_MS = 120_000
"""Without a GPU the 3D view draws with the processor."""

ACCEPTED, FITTED, FANNED = (1, 3, 5, 6, 8), 2, 4
"""Pairs of the demo: those that are accepted, the one on the review page, the one with alternatives."""


# The work --------------------------------------------------------------------------------------------------------


def fill(path: Path) -> None:
    """Do on a demo what two curators do in an hour: corrections, fits, decisions, second reviews, a study, a run."""
    with Workspace.open(path) as workspace:
        body = load_body()

        def fit(pair: int, curator: str) -> int:
            for edit in doubts(workspace.pair(pair)):
                workspace.edit_contacts(pair, edit, curator=curator, revision=_revision(workspace, pair))
            return run_fit(workspace, pair, body, curator=curator)

        run = Runs(workspace.database)
        started = run.start("fit", curator="ana", pairs=[*ACCEPTED, FITTED])
        run.take()
        for pair, item in zip(sorted((*ACCEPTED, FITTED)), run.items(started, state="waiting", limit=20), strict=True):
            by = "ben" if pair % 2 else "ana"
            fit(pair, by)
            run.tell(item.id)
            if pair in ACCEPTED:
                decide(workspace, pair, Verdict.ACCEPT, by)
        run.finish(started)
        decide(workspace, 7, Verdict.REJECT, "ana", "no contact")
        decide(workspace, 9, Verdict.FLAG, "ben", "other")
        judge(workspace)
        run_fan(workspace, FANNED, body, curator="ana", threads=2)
        rate(workspace)


def decide(workspace: Workspace, pair: int, verdict: Verdict, curator: str, reason: str = "") -> None:
    """A decision on the pair as it stands."""
    decision = Decision(verdict=verdict, curator=curator, reason=reason)
    workspace.decide(pair, decision, revision=_revision(workspace, pair))


def doubts(record: PairRecord) -> list[Edit]:
    """What takes the denoiser's verdict on every contact, where it has one."""
    return [TakeSuggestion()] if any(line.suggested for line in record.sheet.contacts) else []


def judge(workspace: Workspace) -> None:
    """Second reviews: one that agrees, one with another side, one with another verdict."""
    for pair, verdict, edits in (
        (1, Verdict.ACCEPT, []),
        (3, Verdict.ACCEPT, [Flip(contact=1)]),
        (7, Verdict.FLAG, [Drop(contact=1)]),
    ):
        by = "ben" if pair == 7 else "ana"
        review = workspace.reviews.assign(pair, by)
        edits = [*doubts(workspace.reviews.look(review)), *edits]
        workspace.reviews.judge(review, Decision(verdict=verdict, curator=by), edits=edits)


def rate(workspace: Workspace) -> None:
    """A study of which every rater has seen all but the last item, most of the time for the curated mesh."""
    studies = Studies(workspace.database)
    study = studies.create("Does a curator help?", "ana", ACCEPTED, ("start", "curated"), shared=5, own=0, checks=1)
    make = make_meshes(workspace, study)
    for pair in studies.pairs(study):
        make(pair)
    for rater in ("ana", "ben", "eve"):
        for number in range(5):
            item = studies.next(study, rater)
            if item is None:
                break
            better = "left" if "curated" in item.left else "right"
            studies.rate(item.id, rater, "same" if number == 3 and rater == "eve" else better, seconds=4.0 + number)


def _revision(workspace: Workspace, pair: int) -> int:
    return workspace.pair(pair).sheet.revision


# The pictures ----------------------------------------------------------------------------------------------------


def drawn(page: Page) -> None:
    """The pair's contacts and meshes are there."""
    page.locator(".line.chosen").wait_for(timeout=SLOW_MS)
    solid(page)


def solid(page: Page) -> None:
    """The meshes are drawn in 3D, in all views."""
    page.locator("canvas[data-solid*='solid/']").wait_for(timeout=SLOW_MS)


def shown(page: Page, images: str) -> None:
    """All these images that were asked for are there."""
    page.locator(images).first.wait_for(timeout=SLOW_MS)
    there = "images => [...document.querySelectorAll(images)].every(({naturalWidth}) => naturalWidth)"
    page.wait_for_function(there, arg=images, timeout=SLOW_MS)


def library(page: Page) -> None:
    """Pairs with their pictures."""
    page.locator(".tile-pair").nth(11).wait_for(timeout=SLOW_MS)
    shown(page, ".tile-pair:nth-child(-n + 12) img")


def pair(page: Page) -> None:
    """A pair's history and meshes."""
    page.locator(".history").wait_for(timeout=SLOW_MS)
    solid(page)
    shown(page, ".photo-stack img")


def fan(page: Page) -> None:
    """The alternatives are open, with their pictures."""
    drawn(page)
    page.keyboard.press("e")
    shown(page, ".alternative img")
    solid(page)


def compare(page: Page) -> None:
    """The start and the fit beside each other."""
    drawn(page)
    page.keyboard.press("v")
    page.locator(".compared:not([hidden])").wait_for(timeout=SLOW_MS)


def queue(page: Page) -> None:
    """The queue's drawer is open."""
    drawn(page)
    page.keyboard.press("q")
    page.locator(".entry").first.wait_for(timeout=SLOW_MS)


def results(page: Page) -> None:
    """A study with its results."""
    page.get_by_role("button", name="Results").first.click(timeout=SLOW_MS)


PAGES: dict[str, tuple[str, Callable[[Page], object]]] = {
    "review": (f"?pair={FITTED}", drawn),
    "fan": (f"?pair={FANNED}", fan),
    "compare": (f"?pair={FITTED}", compare),
    "queue": (f"?pair={FITTED}", queue),
    "library": ("library", library),
    "pair": ("pair?id=3", pair),
    "insights": ("insights", lambda page: page.locator("svg").first.wait_for(timeout=SLOW_MS)),
    "study": ("study", results),
    "runs": ("runs", lambda page: page.locator("main").wait_for()),
    "login": ("", lambda page: page.get_by_label("Password").wait_for()),
}
"""Name -> address, and what to do and wait for there."""


def photograph(workspace: Path, folder: Path, names: tuple[str, ...] = tuple(PAGES)) -> list[Path]:
    """Save a picture of each page, light and dark; gives the files."""
    made = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with serving(workspace, login=False) as open_to_all, serving(workspace, login=True) as closed:
            for name in names:
                for scheme in ("light", "dark"):
                    path = folder / f"{name}-{scheme}.webp"
                    path.write_bytes(taken(browser, closed if name == "login" else open_to_all, name, scheme))
                    made.append(path)
        browser.close()
    return made


def taken(browser: Browser, server: str, name: str, scheme: str) -> bytes:
    """One picture as WebP, as good as its size allows."""
    address, ready = PAGES[name]
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{server}/{address}")
    ready(page)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    picture = PIL.Image.open(io.BytesIO(page.screenshot(timeout=SLOW_MS))).convert("RGB")
    context.close()
    for quality in (90, 80, 70, 55):
        data = io.BytesIO()
        picture.save(data, "WEBP", quality=quality, method=6)
        if data.tell() < LARGEST:
            break
    return data.getvalue()


@contextmanager
def serving(workspace: Path, *, login: bool) -> Iterator[str]:
    """The address of a server for a while."""
    app = create_app(workspace, curator="ana", login=login, worker=False)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.1)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def main(workspace: Path, *names: str) -> None:
    """Fill a copy where there is none yet, and take the pictures."""
    filled = workspace.with_name(f"{workspace.name}-filled")
    if not filled.exists():
        part = workspace.with_name(f"{workspace.name}-part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(workspace, part)
        fill(part)
        with Workspace.open(part) as opened:
            Accounts(opened.database).add("ana", "a password of the demo")
        part.rename(filled)
    for path in photograph(filled, HERE, names or tuple(PAGES)):
        print(f"{path.name}  {path.stat().st_size // 1000} kB")  # noqa: T201 - a script


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
