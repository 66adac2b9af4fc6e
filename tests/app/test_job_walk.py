"""The whole job in a real browser: open, correct, fit, look, accept, find it in the store, export, rebuild."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from apu.body.model import BodyModel
from apu.types import Verdict
from review_db import PairState, Workspace, export, read_export

from .conftest import TRUE, until

pytestmark = pytest.mark.browser


def test_a_wrong_side_is_corrected_fitted_accepted_and_exported(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page], body: BodyModel,
    tmp_path: Path,
) -> None:  # fmt: skip
    path = make_workspace(2)
    url = serve(path)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", width=1440, height=900)
        chosen = page.locator(".line.chosen")
        expect(chosen).to_contain_text("upper arm")
        expect(page.locator(".line.chosen .suggestion")).to_contain_text("A's left upper arm")
        expect(page.locator(".badge.simulated")).to_be_visible()

        page.get_by_role("button", name="Flip F").click()
        expect(page.locator(".line.changed")).to_contain_text("was right upper arm – left upper arm")
        until(lambda: workspace.pair(1).sheet.contacts[0].contact.parts == TRUE[0].parts, "the flip is saved")

        expect(page.locator("image.mesh[href*='guess']")).to_have_count(1)
        page.get_by_role("button", name="Fit ⏎").click()
        expect(page.locator("image.mesh[href*='/fit/']")).to_have_count(1, timeout=60_000)
        expect(page.locator(".tile .band").first).to_contain_text("good")

        page.get_by_role("button", name="Before / after").click()
        expect(page.locator("image.mesh[href*='start']")).to_have_count(1)

        page.get_by_label("Note", exact=True).fill("arms touch")
        page.get_by_role("button", name="✓ Accept A").click()
        expect(page.locator(".notice.done")).to_have_text("Pair 1 accepted and saved.")
        expect(page).to_have_url(f"{url}/?pair=2")

        record = workspace.pair(1)
        assert record.summary.state is PairState.ACCEPTED
        assert record.decision is not None
        assert record.decision.decision.verdict is Verdict.ACCEPT
        assert (record.decision.decision.curator, record.decision.decision.note) == ("tester", "arms touch")
        assert record.decision.decision.fit_id == record.fits[-1].id
        assert max(record.fits[-1].reprojection_512) < 20

        export(workspace, tmp_path / "out")
        read = read_export(tmp_path / "out").pairs
        assert [entry.id for entry in read] == [1]
        stored = workspace.fit(record.fits[-1].id).params
        np.testing.assert_array_equal(body.forward(read[0].params).vertices, body.forward(stored).vertices)


def test_the_whole_loop_works_without_a_mouse(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(2)
    url = serve(path)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1")
        page.locator(".line.chosen .suggestion").wait_for()
        page.keyboard.press("t")
        expect(page.locator(".line.changed")).to_have_count(1)
        page.keyboard.press("u")
        expect(page.locator(".line.changed")).to_have_count(0)
        page.keyboard.press("Shift+F")
        expect(page.locator(".line.changed")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("x")
        expect(page.locator(".line.dropped")).to_have_count(1)
        page.keyboard.press("m")
        page.keyboard.press("b")
        expect(page.locator(".line.chosen .side").last).to_have_text("L")
        page.keyboard.press("u")
        page.keyboard.press("Enter")
        page.locator("image.mesh[href*='/fit/']").wait_for(state="attached", timeout=60_000)
        page.keyboard.press("a")
        expect(page.locator(".notice.done")).to_be_visible()
        assert workspace.pair(1).summary.state is PairState.ACCEPTED

        page.keyboard.press("r")
        page.keyboard.press("2")
        expect(page.locator(".notice.done")).to_contain_text("Every pair is decided.")
        second = workspace.pair(2).decision
        assert second is not None
        assert (second.decision.verdict, second.decision.reason) == (Verdict.REJECT, "wrong people")
