"""Each action of the page does what its name says in the store, and says one sentence where it cannot."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.desk import Desk
from app.pictures import Pictures
from apu.errors import StoreError
from apu.types import BodyPart, Side
from review_db import Flip, PairState, Workspace

from .conftest import STATED, TRUE, result

Act = Callable[..., dict[str, Any]]


@pytest.fixture
def workspace(make_workspace: Callable[..., Path]) -> Iterator[Workspace]:
    with Workspace.open(make_workspace(3, silent=1)) as opened:
        yield opened


@pytest.fixture
def act(workspace: Workspace, tmp_path: Path) -> Act:
    """Acts on the first pair from its present revision, as the page does."""
    desk = Desk(
        workspace,
        Pictures(workspace, tmp_path / "pictures"),
        curator="tester",
        trouble=lambda: "",
        restart=lambda: None,
    )

    def carry_out(name: str, **values: Any) -> dict[str, Any]:
        pair = values.pop("pair", 1)
        if "revision" not in values and pair is not None:
            values["revision"] = workspace.pair(pair).sheet.revision
        return desk.act({"name": name, "pair": pair, **values})

    return carry_out


def parts(workspace: Workspace, contact: int = 0) -> tuple[BodyPart, BodyPart]:
    return workspace.pair(1).sheet.contacts[contact].contact.parts


def test_flips_concern_both_or_one_person(act: Act, workspace: Workspace) -> None:
    act("flip", contact=1)
    assert parts(workspace) == TRUE[0].parts
    act("flip-side", contact=1, person=0)
    assert [part.side for part in parts(workspace)] == [Side.RIGHT, Side.RIGHT]
    act("flip-side", contact=1, person=1)
    assert parts(workspace) == STATED[0].parts


def test_mirroring_and_swapping_concern_every_contact(act: Act, workspace: Workspace) -> None:
    act("mirror", person=1)
    assert [line.contact.parts[1].side for line in workspace.pair(1).sheet.contacts] == [Side.RIGHT, Side.LEFT]
    act("mirror", person=1)
    shown = act("swap")["pair"]
    assert parts(workspace) == STATED[0].swapped.parts
    assert shown["answer"]["people"] == ["a person in slate", "a person in sand"]


def test_dropping_restoring_adding_and_undoing(act: Act, workspace: Workspace) -> None:
    act("drop", contact=2)
    assert len(workspace.pair(1).sheet.active) == 1
    act("restore", contact=2)
    act("add", parts=[{"name": "hand", "side": "left"}, {"name": "back", "side": "both"}])
    assert parts(workspace, 2) == (BodyPart(name="hand", side=Side.LEFT), BodyPart(name="back"))
    shown = act("undo")["pair"]
    assert len(shown["contacts"]) == 2
    assert shown["canUndo"]


def test_a_suggestion_is_taken_only_when_asked(act: Act, workspace: Workspace) -> None:
    shown = act("open")["pair"]["contacts"]
    assert shown[0]["suggestion"].startswith("A's left upper arm – B's right upper arm?")
    assert shown[1]["suggestion"] is None
    assert parts(workspace) == STATED[0].parts
    act("take", contact=1)
    assert parts(workspace) == TRUE[0].parts


def test_a_changed_line_says_what_it_was_and_who_changed_it(act: Act) -> None:
    line = act("flip", contact=1, curator="ana")["pair"]["contacts"][0]
    assert line["was"] == "right upper arm – left upper arm"
    assert line["by"] == "ana"


def test_a_stale_edit_changes_nothing_and_is_kept_for_the_curator(act: Act, workspace: Workspace) -> None:
    old = workspace.pair(1).sheet.revision
    workspace.edit_contacts(1, Flip(contact=2), curator="ben", revision=old)
    shown = act("flip", contact=1, revision=old)["pair"]
    assert parts(workspace) == STATED[0].parts
    assert "kept aside" in shown["conflicts"][0]["text"]
    shown = act("settle", conflict=shown["conflicts"][0]["id"], apply=True)["pair"]
    assert parts(workspace) == TRUE[0].parts
    assert shown["conflicts"] == []


def test_accepting_needs_a_fit(act: Act, workspace: Workspace) -> None:
    notice = act("decide", verdict="accept")["notice"]
    assert notice == {"kind": "error", "text": "Fit this pair first: accepting keeps its latest fit."}
    assert workspace.pair(1).decision is None


def test_a_fit_of_other_contacts_is_not_accepted(act: Act, workspace: Workspace) -> None:
    workspace.add_fit(1, result((0.001, 0.02)), revision=workspace.pair(1).sheet.revision)
    act("flip", contact=1)
    notice = act("decide", verdict="accept")["notice"]
    assert notice == {"kind": "error", "text": "Refit first: the contacts have changed since this fit."}
    assert workspace.pair(1).decision is None
    act("undo")
    act("decide", verdict="accept")
    assert workspace.pair(1).summary.state is PairState.ACCEPTED


def test_a_decision_is_stored_and_the_next_open_pair_comes(act: Act, workspace: Workspace) -> None:
    first = act("open", pair=None)["pair"]["id"]
    shown = act("decide", pair=first, verdict="reject", reason="no contact", note="they stand apart")
    decision = workspace.pair(first).decision
    assert decision is not None
    assert (decision.decision.reason, decision.decision.note) == ("no contact", "they stand apart")
    assert shown["notice"]["text"] == f"Pair {first} rejected and saved."
    assert shown["pair"]["id"] != first
    assert workspace.pair(shown["pair"]["id"]).summary.state in (PairState.ASKED, PairState.PROPOSED)


def test_next_and_previous_walk_the_queue_and_back(act: Act) -> None:
    first = act("open", pair=None)
    seen = [first["pair"]["id"]]
    while first["queue"]["next"]:
        first = act("next", pair=seen[-1])
        seen.append(first["pair"]["id"])
    assert sorted(seen) == [1, 2, 3]
    back = [seen[-1]]
    while len(back) < 3:
        back.append(act("previous", pair=back[-1])["pair"]["id"])
    assert back == seen[::-1]


def test_an_address_that_is_no_queue_says_so_beside_the_first_pair(act: Act) -> None:
    shown = act("open", pair=None, queue="disagrees=perhaps")
    assert shown["pair"] is not None
    assert shown["empty"] == ""
    assert shown["notice"] == {"kind": "error", "text": "Disagrees must be 0 or 1, got 'perhaps'."}


def test_a_pair_without_an_answer_says_what_to_do(act: Act) -> None:
    said = act("open", pair=3)["pair"]["answer"]
    assert said["sentence"] == "No model has been asked about this pair yet. Run `apu ask`, or add contacts by hand."


def test_a_fit_is_queued_once_and_can_be_taken_back(act: Act, workspace: Workspace) -> None:
    act("fit")
    assert act("fit")["pair"]["job"]["state"] == "queued"
    assert len(workspace.jobs.list(pair=1)) == 1
    assert act("cancel")["pair"]["job"]["state"] == "cancelled"


def test_what_changes_nothing_is_said_in_words_of_the_page(act: Act) -> None:
    act("take")
    act("drop", contact=1)
    whole = act("add", parts=[{"name": "head", "side": "both"}] * 2)["pair"]["contacts"][-1]["id"]
    idle = [("take", {}), ("flip", {"contact": whole}), ("flip-side", {"contact": whole}), ("drop", {"contact": 1})]
    for name, values in idle:
        text = act(name, **values)["notice"]["text"]
        assert text.endswith("his changes nothing."), text


@pytest.mark.parametrize(
    "wrong",
    [{"name": "explode"}, {"name": "flip", "contact": 99}, {"name": "flip", "contact": "1; DROP TABLE pairs"},
     {"name": "flip", "pair": 99, "revision": 1}, {"name": "add"}, {"name": "note", "note": "x" * 2001},
     {"name": "add", "parts": [{"name": "wing", "side": "left"}, {"name": "hand", "side": "left"}]},
     {"name": "add", "parts": [{"name": "hand", "side": "up"}, {"name": "hand", "side": "left"}]},
     {"name": "decide", "verdict": "perhaps"}, {"name": "settle", "conflict": 7}, {"name": "flip", "extra": 1},
     {"name": "swap", "curator": "x" * 61}, {}],
)  # fmt: skip
def test_what_the_page_never_sends_is_one_sentence_and_changes_nothing(
    act: Act, workspace: Workspace, wrong: dict[str, Any]
) -> None:
    before = workspace.pair(1).sheet
    desk_call = {"name": "", "revision": before.revision, **wrong}
    notice = act(**desk_call)["notice"]
    assert notice["kind"] == "error"
    assert notice["text"].endswith((".", "?"))
    assert workspace.pair(1).sheet == before


def test_a_store_that_fails_is_one_sentence(workspace: Workspace, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full; free some space and try again")

    monkeypatch.setattr(workspace, "edit_contacts", full)
    desk = Desk(workspace, Pictures(workspace, tmp_path), curator="tester", trouble=lambda: "", restart=lambda: None)
    shown = desk.act({"name": "flip", "contact": 1, "pair": 1, "revision": 1})
    assert shown["notice"]["text"] == "The disk is full; free some space and try again."
    assert shown["pair"]["id"] == 1


def test_a_pair_that_nothing_can_be_drawn_of_says_so(make_workspace: Callable[..., Path], tmp_path: Path) -> None:
    with Workspace.open(make_workspace(1, meshes=False)) as workspace:
        desk = Desk(
            workspace, Pictures(workspace, tmp_path), curator="tester", trouble=lambda: "", restart=lambda: None
        )
        shown = desk.act({"name": "open", "pair": 1})["pair"]
        assert shown["noMesh"].endswith(".")
        assert shown["start"]["overlay"] is None


def test_an_empty_workspace_has_a_page(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "empty") as workspace:
        desk = Desk(
            workspace, Pictures(workspace, tmp_path / "p"), curator="tester", trouble=lambda: "", restart=lambda: None
        )
        shown = desk.act({"name": "open"})
        assert shown["pair"] is None
        assert "apu import" in shown["empty"]
