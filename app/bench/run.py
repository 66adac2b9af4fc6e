"""The figures of `apu bench ui`: a real browser does a curator's work and a clock inside its page times it."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.bench.crowd import at_work
from app.bench.place import make_place, serving
from apu.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLOCK = (Path(__file__).parent / "clock.js").read_text(encoding="utf-8")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip
SIZE = {"width": 1440, "height": 900}
LOADS = 3
"""Of the first page: they take longest."""

_READY_MS = 30_000

FILTERS = (
    "state=all", "state=fitted", "state=all&source=simulated+street", "interaction=hugging&interaction=kissing",
    "confidence=0.3..0.6", "state=fitted&gap=..5", "state=fitted&error=10..20", "q=wrestling", "q=street_0000",
    "order=worst_fit", "order=stratified", "order=random&seed=7", "order=id", "state=all&order=worst_fit&q=sport",
)  # fmt: skip
"""Every kind of filter and order, as in an address."""

LISTS = (
    ("page", ""), ("state", "fitted"), ("page", ""), ("order", "worst_fit"), ("q", "wrestling"), ("q", ""),
    ("order", "stratified"), ("page", ""), ("simulated", "1"), ("q", "street_0000"), ("state", "fitted"), ("q", ""),
    ("order", "uncertain"), ("page", ""), ("order", "id"),
)  # fmt: skip
"""What is done in the library, each from the list before: its next page, a filter, an order, a search."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Milliseconds until the browser has drawn what was asked for; of ``p95`` 95 in 100 took less.

    Attributes:
        next_p95_ms: the next pair, preloaded while its forerunner is looked at, can be worked on: its contacts and its
            photograph are there. jump_p95_ms: the same of a pair chosen from a filtered list, which nothing preloads.
        edit_p95_ms: a contact's sides turned. filter_p95_ms: another filter or order: list and counts.
        library_p95_ms: a list in the library, in a second page: its first page, the next one, another filter, order or
            search, the pause after typing included; its pictures come after.
        first_load_ms: the page with its first pair, in a browser that has nothing of it; the median.
    """

    next_p95_ms: float
    jump_p95_ms: float
    edit_p95_ms: float
    filter_p95_ms: float
    library_p95_ms: float
    first_load_ms: float


@dataclass(frozen=True, kw_only=True)
class UiFigures:
    """One curator alone, and the same with others at work.

    Attributes:
        pairs: of the workspace. curators: at once, the measured one among them.
        trouble: what went wrong for the others, one sentence each; there should be none.
    """

    pairs: int
    curators: int
    alone: Times
    together: Times
    trouble: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As plain values, times to the tenth of a millisecond; `ratios` are of `together` over `alone`."""
        alone, together = ({name: round(ms, 1) for name, ms in asdict(t).items()} for t in (self.alone, self.together))
        ratios = {name: round(together[name] / alone[name], 2) for name in alone}
        return {
            "pairs": self.pairs, "curators": self.curators, **alone, "together": together, "ratios": ratios,
            "trouble": list(self.trouble),
        }  # fmt: skip


def run(
    pairs: int, *, curators: int, rounds: int = 30, seed: int = 0, progress: Callable[[str], None] = lambda _: None
) -> UiFigures:
    """Measure the page over a simulated workspace, which is removed at the end.

    Args:
        pairs: how many. curators: at once in the second half. rounds: how often each thing is timed.
        seed: of the pairs. progress: told what is next.

    Raises:
        InputError: Playwright or Chromium is missing, or the page does not answer.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise InputError("the page is timed with Playwright; install it: pip install 'apu-review[dev]'") from None
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise InputError("the page is timed in Chromium, which is missing; install it: sudo apt-get install chromium")
    folder = Path(tempfile.mkdtemp(prefix="apu-bench-ui-"))
    try:
        progress(f"making {pairs} pairs")
        make_place(folder / "workspace", pairs, seed)
        with serving(folder / "workspace") as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            progress("one curator alone")
            _measure(browser, url, 1)  # what a server does once, at its first visitor
            alone = _measure(browser, url, rounds)
            progress(f"{curators} curators at once")
            with at_work(url, curators - 1, seed) as trouble:
                together = _measure(browser, url, rounds)
            browser.close()
    except Error as error:
        raise InputError(
            f"the page did not do what the benchmark asked of it: {error.message.splitlines()[0]}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return UiFigures(pairs=pairs, curators=curators, alone=alone, together=together, trouble=tuple(trouble))


def _measure(browser: "Browser", url: str, rounds: int) -> Times:
    loads = [_first_load(browser, url) for _ in range(min(rounds, LOADS))]
    page = _open(browser, url)

    def timed(what: str, *values: Any) -> float:
        return page.evaluate(f"values => bench.{what}(...values)", list(values))

    try:
        moves = [timed("next") for _ in range(rounds)]
        edits = [timed("edit") for _ in range(rounds)]
        filters = [timed("filter", FILTERS[number % len(FILTERS)]) for number in range(rounds)]
        jumps = [timed("jump", FILTERS[number % len(FILTERS)], number % 20) for number in range(rounds)]
    finally:
        page.context.close()
    lists = _library(browser, url, rounds)
    p95 = {name: float(np.percentile(times, 95)) for name, times in
           (("next", moves), ("jump", jumps), ("edit", edits), ("filter", filters),
            ("library", lists))}  # fmt: skip
    return Times(**{f"{name}_p95_ms": value for name, value in p95.items()}, first_load_ms=float(np.median(loads)))


def _library(browser: "Browser", url: str, rounds: int) -> list[float]:
    page = _open(browser, f"{url}/library")
    try:
        page.wait_for_function("window.bench !== undefined")
        times = [page.evaluate("bench.listed()")]
        acts = [list(LISTS[number % len(LISTS)]) for number in range(rounds)]
        return times + [page.evaluate("act => bench.list(...act)", act) for act in acts]
    finally:
        page.context.close()


def _open(browser: "Browser", url: str) -> "Page":
    page = browser.new_context(viewport=SIZE).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(_READY_MS)
    page.add_init_script(CLOCK)
    page.goto(url, wait_until="commit")
    return page


def _first_load(browser: "Browser", url: str) -> float:
    page = _open(browser, url)
    try:
        page.wait_for_function("window.bench !== undefined")
        return page.evaluate("bench.ready()")
    finally:
        page.context.close()
