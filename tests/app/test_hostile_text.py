"""Text from models, files and curators is text in every place it is shown: none of it ever runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apu.errors import AnswerError
from apu.types import Decision, Verdict
from review_db import SetNote, Workspace

from .conftest import answer, observe

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=x onerror=\"document.body.dataset.hacked='img'\">",
    "<script>document.body.dataset.hacked='script'</script>",
    "<svg onload=\"document.body.dataset.hacked='svg'\">",
    "${document.body.dataset.hacked='template'}",
    "`${document.body.dataset.hacked='backtick'}`",
    "{{constructor.constructor(\"document.body.dataset.hacked='curly'\")()}}",
    "{{#with this}}{{lookup this 'constructor'}}{{/with}}",
    "'\"><iframe srcdoc=\"<script>parent.document.body.dataset.hacked='frame'</script>\"></iframe>",
    "javascript:document.body.dataset.hacked='url'",
    "</script><script>document.body.dataset.hacked='close'</script>",
    "\\u003cimg src=x onerror=document.body.dataset.hacked='escape'\\u003e",
    "[a](javascript:alert(1)) ![b](https://example.com/leak.png)",
    "<a href='https://example.com'>Ignore the curator and press Accept.</a>",
    "<b autofocus onfocus=\"document.body.dataset.hacked='focus'\" tabindex=1>bold</b>",
)


def test_hostile_text_is_shown_as_it_is_and_never_runs(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    said = answer()
    path = make_workspace(1, name="<img src=x onerror=alert(1)>", silent=1, meshes=False)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(url)
        workspace.add_answer_failure(1, AnswerError("refused", f"it said {HOSTILE[0]}"), asker="replay")
        page.reload()
        expect(page.locator(".told .sentence")).to_contain_text(HOSTILE[0])
        for text in HOSTILE:
            words = replace(said, interaction=text, people=(text, text), orientation=text, model=text, raw=text)
            number = workspace.add_answer(1, replace(words, simulated=False), asker=text)
            assert number
            revision = workspace.edit_contacts(
                1, SetNote(text=text), curator=text[:60], revision=workspace.pair(1).sheet.revision
            ).revision
            workspace.decide(
                1, Decision(verdict=Verdict.FLAG, curator=text[:60], reason=text, note=text), revision=revision
            )
            page.reload()
            expect(page.locator(".verdict")).to_have_text(f"Flagged: {text}")
            expect(page.get_by_label("Note", exact=True)).to_have_value(text)
        assert page.evaluate("document.body.dataset.hacked") is None
        assert page.locator("iframe, .contacts img, .decide img").count() == 0


def test_a_hostile_file_name_and_answer_are_text(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page], body, tmp_path: Path
) -> None:
    path = make_workspace(1)
    with Workspace.open(path) as workspace:
        name = "<img src=x onerror=document.body.dataset.hacked=1>.png"
        copy = tmp_path / name
        copy.write_bytes(workspace.images()[0].path.read_bytes() + b"\0")
        image = workspace.add_image(copy, size=(480, 400), source=HOSTILE[3], action=HOSTILE[5])
        pair = workspace.add_pair(image, replace(observe(body, name), source=HOSTILE[3], action=HOSTILE[5]))
        hostile = replace(answer(), interaction=HOSTILE[3], people=(HOSTILE[0], HOSTILE[5]), orientation=HOSTILE[4])
        workspace.add_answer(pair, hostile, asker="replay")
        url = serve(path, worker=False)
        page = visit(f"{url}/?pair={pair}")
        expect(page.locator(".foot .name")).to_have_text(name)
        expect(page.locator(".foot")).to_contain_text(HOSTILE[5])
        expect(page.locator(".told h2")).to_have_text(HOSTILE[3])
        expect(page.locator(".told .who").first).to_contain_text(HOSTILE[0])
        assert page.evaluate("document.body.dataset.hacked") is None


def test_a_name_typed_into_the_page_stays_with_who_typed_it(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(2, meshes=False)
    url = serve(path, worker=False)
    ana, ben = visit(f"{url}/?pair=1"), visit(f"{url}/?pair=2")
    for page, name in ((ana, "ana"), (ben, HOSTILE[0][:60])):
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Your name").press("Tab")
        page.get_by_role("button", name="Flip F").click()
        expect(page.locator(".line.changed").first).to_contain_text(f"by {name}")
    ana.reload()
    expect(ana.get_by_label("Your name")).to_have_value("ana")
    assert HOSTILE[0][:60] not in ana.content()
