"""Watching a fit: the test plays the worker, so that every state can be looked at."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.worker import preview_bytes
from review_db import Flip, JobRecord, Workspace

from .conftest import standing

pytestmark = pytest.mark.browser


def beat(workspace: Workspace, job: JobRecord, step: int, *, stage: int = 1) -> bool:
    """What a worker says after a step."""
    terms = {"contact": [3.0, 2.0, 1.0][:step], "keypoints": [1.0, 0.5, 0.2][:step]}
    progress = {"stage": stage, "step": step, "fraction": step / 4, "terms": terms}
    preview = (".npz", preview_bytes(standing(depth=0.2 - step / 20)))
    return workspace.jobs.heartbeat(job.id, "test", progress=progress, preview=preview)


def test_a_running_fit_is_seen_survives_a_reload_and_can_be_cancelled(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        said = page.locator(".fit .words [role=status]")
        page.get_by_role("button", name="Fit ⏎").click()
        expect(said).to_contain_text("start one with: python -m app.worker")

        job = workspace.jobs.claim("test")
        assert job is not None
        assert beat(workspace, job, 1)
        expect(page.locator("image.mesh[href*='job/1/overlay?step=1']")).to_have_count(1)
        expect(said).to_have_text("Stage 1, step 1.")
        assert beat(workspace, job, 3)
        expect(page.locator("image.mesh[href*='job/1/overlay?step=3']")).to_have_count(1)
        expect(page.locator("canvas[data-solid='solid/1/job/1?step=3']")).to_have_count(1)
        expect(page.locator(".curve")).to_have_count(2)

        page.reload()
        expect(page.locator("image.mesh[href*='job/1/overlay?step=3']")).to_have_count(1)

        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Stopping …")).to_be_disabled()
        assert not beat(workspace, job, 4)
        workspace.jobs.stopped(job.id, "test")
        expect(said).to_have_text("Stopped.")
        expect(page.locator("image.mesh[href*='guess']")).to_have_count(1)
        assert workspace.pair(1).fits == ()


def test_a_fit_is_followed_at_once_and_can_be_stopped_before_it_is_stored(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1, meshes=False)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1")
        page.locator(".line.chosen").wait_for()
        said = page.locator(".fit .words [role=status]")
        page.locator(".opacity input, input[type=range]").first.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        expect(said).to_have_text("Stopped.")
        assert [job.state for job in workspace.jobs.list(pair=1, states=("queued", "cancelled"))] == ["cancelled"]

        page.keyboard.press("Enter")
        expect(said).to_contain_text("start one with: python -m app.worker")
        job = workspace.jobs.claim("test")
        assert job is not None
        assert beat(workspace, job, 2)
        expect(said).to_have_text("Stage 1, step 2.", timeout=1500)


def test_a_saved_change_is_never_called_unsaved(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    url = serve(make_workspace(1, meshes=False), worker=False)
    page = visit(url)
    page.locator(".line.chosen").wait_for()
    page.clock.install()
    page.keyboard.press("f")
    expect(page.locator(".line.changed")).to_have_count(1)
    page.clock.run_for(20_000)
    expect(page.locator(".notice.error")).to_have_count(0)


def test_a_failed_fit_says_why_and_can_be_asked_for_again(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1, meshes=False)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1")
        page.get_by_role("button", name="Fit ⏎").click()
        expect(page.get_by_role("button", name="Cancel Esc")).to_be_visible()
        job = workspace.jobs.claim("test")
        assert job is not None
        workspace.jobs.fail(job.id, "test", "no confident keypoint of A")
        expect(page.locator(".fit .words [role=status]")).to_have_text("The fit failed: no confident keypoint of A.")
        expect(page.get_by_role("button", name="Fit ⏎")).to_be_enabled()


def test_what_another_curator_changes_comes_up_and_a_stale_edit_asks(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1, meshes=False)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1")
        page.locator(".line.chosen").wait_for()
        sheet = workspace.edit_contacts(1, Flip(contact=2), curator="ben", revision=workspace.pair(1).sheet.revision)
        page.keyboard.press("x")  # made before the page has heard of ben's edit
        expect(page.locator(".notice.error")).to_contain_text("Someone saved this pair while you worked on it")
        expect(page.locator(".line.changed")).to_contain_text("by ben")
        assert workspace.pair(1).sheet.revision == sheet.revision

        page.get_by_role("button", name="Apply mine").click()
        expect(page.locator(".line.dropped")).to_have_count(1)
        assert [line.dropped for line in workspace.pair(1).sheet.contacts] == [True, False]


CUT = """() => [...document.querySelectorAll("#fit *")].filter((node) => {
  const box = node.getBoundingClientRect(), panel = document.querySelector("#fit").getBoundingClientRect();
  return box.height && (box.bottom > panel.bottom || box.right > panel.right);
}).map((node) => node.outerHTML).concat([...document.querySelectorAll("#fit :is(.run, .words, .curves, .figures)")]
  .filter((node) => node.scrollHeight > node.clientHeight + 1).map((node) => node.className))"""


def test_no_state_of_the_fit_panel_is_cut_off(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1")
        said = page.locator(".fit .words [role=status]")

        def cut() -> list[str]:
            found = []
            for width, height in ((1440, 900), (1024, 768)):
                page.set_viewport_size({"width": width, "height": height})
                found += page.evaluate(CUT)
            return found

        expect(said).to_have_text("Not fitted yet: the meshes are the first guess.")
        assert cut() == []
        page.keyboard.press("Enter")
        expect(said).to_contain_text("start one with: python -m app.worker")
        assert cut() == []
        job = workspace.jobs.claim("test")
        assert job is not None
        assert beat(workspace, job, 3)
        expect(page.locator(".curve")).to_have_count(2)
        page.keyboard.press("f")
        expect(said).to_have_text("The contacts have changed since this fit began.")
        assert cut() == []
        workspace.jobs.fail(job.id, "test", "The fit ran out of memory; close other programs and fit again.")
        expect(said).to_contain_text("ran out of memory")
        assert cut() == []


def test_terms_are_named_in_words_and_what_was_never_given_up_is_not_drawn(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        page.get_by_role("button", name="Fit ⏎").click()
        expect(page.locator(".fit .words [role=status]")).to_contain_text("start one with")
        job = workspace.jobs.claim("test")
        assert job is not None
        terms = {name: [2.0, 1.0] for name in ("floor", "contact", "balance", "keypoints", "initial_pose")}
        progress = {"stage": 1, "step": 2, "fraction": 0.5, "terms": terms | {"given_up": [0.0, 0.0]}}
        assert workspace.jobs.heartbeat(
            job.id, "test", progress=progress, preview=(".npz", preview_bytes(standing(depth=0.1)))
        )
        captions = page.locator(".curve figcaption")
        expect(captions).to_have_text(["keypoints", "contacts", "floor", "balance", "pose"])
        expect(page.locator(".curve").nth(2)).to_have_attribute(
            "title", re.compile("above or below one floor: 2 steps")
        )
