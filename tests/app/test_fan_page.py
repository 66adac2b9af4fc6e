"""Alternatives, refits and waiting on the page: the test plays the worker, so that nothing has to be fitted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from review_db import Alternative, JobRecord, PairState, TakeReading, Workspace

from .conftest import TRUE, result, standing, until
from .test_live_fit import beat

pytestmark = pytest.mark.browser

FLIPPED = TakeReading(flips=((1, True, True),))
SLOW = 30_000
"""Milliseconds for what is drawn or fetched on a machine that does other things too."""
WORDS = "A's left upper arm instead of right, B's right upper arm instead of left"


def alternatives() -> list[Alternative]:
    """The flipped reading is the best, then the contacts as they stand."""
    good = replace(result((0.002, 0.004)), reprojection_512=np.array([4.0, 5.0]), max_penetration_m=0.005, kept=True)
    poor = replace(result((0.06, 0.01)), params=standing(depth=0.1))
    return [
        Alternative(edit=FLIPPED, words=WORDS, probability=0.7, score=-1.0, fit=good),
        Alternative(edit=None, words="as it stands", probability=0.2, score=-4.0, fit=poor),
    ]


def keep(workspace: Workspace, pair: int, job: JobRecord | None = None) -> None:
    workspace.fans.keep(
        pair, alternatives(), sheet=workspace.pair(pair).sheet, job=job.id if job else None, worker="test"
    )


def claim(workspace: Workspace) -> JobRecord:
    until(lambda: workspace.jobs.is_wanted(("fit", "fan")), "the page asks for it", seconds=60)
    job = workspace.jobs.claim("test")
    assert job is not None
    return job


def test_a_digit_takes_an_alternative_with_its_contacts_and_fit_and_undo_takes_it_back(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(2)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        page.locator(".line.chosen").wait_for()
        page.keyboard.press("e")
        expect(page.locator(".fan .sentence")).to_contain_text("start one with: python -m app.worker", timeout=SLOW)
        keep(workspace, 1, claim(workspace))
        cards = page.locator(".alternative")
        expect(cards).to_have_count(2, timeout=SLOW)
        expect(cards.first).to_contain_text(WORDS, timeout=SLOW)
        expect(cards.first).to_contain_text("good fit", timeout=SLOW)
        expect(cards.last).to_contain_text("bad fit", timeout=SLOW)
        expect(cards.first.locator("img[src*='/fan/'][src$='side']")).to_have_count(1, timeout=SLOW)

        cards.last.hover()
        expect(page.locator("image.mesh[href*='/fan/']")).to_have_count(1, timeout=SLOW)
        page.keyboard.press("1")
        expect(page.locator(".line.changed")).to_have_count(1, timeout=SLOW)
        expect(page.locator("image.mesh[href*='/fit/']")).to_have_count(1, timeout=SLOW)
        expect(page.locator(".tile .band").first).to_contain_text("good", timeout=SLOW)
        record = workspace.pair(1)
        assert [contact.parts for contact in record.sheet.active] == [contact.parts for contact in TRUE]
        assert not record.fits[-1].stale

        page.keyboard.press("u")
        expect(page.locator(".line.changed")).to_have_count(0, timeout=SLOW)
        page.keyboard.press("e")
        page.keyboard.press("1")
        expect(page.locator(".line.changed")).to_have_count(1, timeout=SLOW)
        page.keyboard.press("a")
        expect(page.locator(".notice.done")).to_contain_text("Pair 1 accepted", timeout=SLOW)
        assert workspace.pair(1).summary.state is PairState.ACCEPTED


def test_with_a_prepared_fan_two_keys_accept_and_the_next_are_prepared(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(2)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        keep(workspace, 1)
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        page.locator(".line.chosen").wait_for()
        page.get_by_label("Prepare alternatives").check()
        until(lambda: workspace.jobs.list(pair=2), "a fan is prepared for the next pair", seconds=60)
        (job,) = workspace.jobs.list(pair=2)
        assert (job.kind, job.prepared) == ("fan", True)
        assert workspace.jobs.list(pair=1) == ()

        page.reload()
        expect(page.locator(".alternative")).to_have_count(2, timeout=SLOW)
        page.keyboard.press("1")
        page.keyboard.press("a")
        expect(page.locator(".notice.done")).to_contain_text("Pair 1 accepted", timeout=SLOW)
        assert workspace.pair(1).summary.state is PairState.ACCEPTED


def test_every_edit_is_refitted_where_that_is_switched_on_and_supersedes_the_last(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1, meshes=False)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        page.locator(".line.chosen").wait_for()
        page.get_by_label("Refit after every edit").check()
        page.get_by_label("Refit after every edit").blur()
        page.keyboard.press("f")
        until(lambda: workspace.jobs.list(pair=1), "a fit is queued", seconds=60)
        page.keyboard.press("x")
        until(
            lambda: [job.revision for job in workspace.jobs.list(pair=1)] == [3],
            "the newer one alone waits",
            seconds=60,
        )
        page.reload()
        expect(page.get_by_label("Refit after every edit")).to_be_checked()
        expect(page.locator(".fit .words [role=status]")).to_contain_text(
            "start one with: python -m app.worker", timeout=SLOW
        )


def test_an_edit_during_a_fit_offers_a_refit_which_keeps_in_view_where_that_one_was(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        page.locator(".line.chosen").wait_for()
        page.keyboard.press("Enter")
        job = claim(workspace)
        assert beat(workspace, job, 2, stage=2)
        page.keyboard.press("f")
        said = page.locator(".fit .words [role=status]")
        expect(said).to_have_text("The contacts have changed since this fit began.", timeout=SLOW)
        refit = page.get_by_role("button", name="Refit ⏎")
        assert refit.evaluate("button => button.scrollWidth <= button.clientWidth")
        refit.click()
        until(lambda: not beat(workspace, job, 3, stage=2), "the outdated fit is told to stop", seconds=60)
        workspace.jobs.stopped(job.id, "test")
        newer = claim(workspace)
        assert newer.preview is not None
        assert newer.revision == job.revision + 1


def test_who_waits_sees_whose_fits_come_first(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(3, meshes=False)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        workspace.jobs.queue("fit", 2, revision=1, curator="ana")
        workspace.jobs.claim("test")
        workspace.jobs.queue("fit", 3, revision=1, curator="ben")
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        page.locator(".line.chosen").wait_for()
        page.keyboard.press("Enter")
        expect(page.locator(".fit .words [role=status]")).to_have_text("2 fits before yours: ana, ben.", timeout=SLOW)
