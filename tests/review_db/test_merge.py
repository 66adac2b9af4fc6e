"""Work of two machines joins: each entry once, by its author and time; what collides waits, and nothing is dropped."""

import contextlib
import json
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from apu.errors import StoreError
from apu.types import BodyPart, Decision, Side, Verdict
from review_db import (
    Add,
    Drop,
    ExportOptions,
    Flip,
    FlipSide,
    Form,
    Mirror,
    PairState,
    Restore,
    SetConfidence,
    SetNote,
    Swap,
    TakeAnswer,
    TakeSuggestion,
    Workspace,
    export,
)
from review_db.check import check
from review_db.edits import Undo
from review_db.forget import forget
from review_db.merge import Merged, merge
from review_db.records import EVERY_PAIR

NECK = (BodyPart(name="hand", side=Side.LEFT), BodyPart(name="neck"))


@pytest.fixture
def copies(workspace, add_pairs, tmp_path) -> Callable[[], Workspace]:
    """Copies the workspace of three asked pairs for another machine."""
    add_pairs(3)
    opened: list[Workspace] = []

    def copy() -> Workspace:
        workspace.close()
        shutil.copytree(workspace.path, tmp_path / f"copy-{len(opened)}")
        opened.append(Workspace.open(tmp_path / f"copy-{len(opened)}"))
        return opened[-1]

    yield copy
    for each in opened:
        each.close()


def work(workspace: Workspace, pair: int, *edits: object, curator: str) -> None:
    for edit in edits:
        revision = workspace.pair(pair).sheet.revision
        if isinstance(edit, Decision):
            workspace.decide(pair, edit, revision=revision)
        elif edit == "undo":
            workspace.undo(pair, curator=curator, revision=revision)
        else:
            workspace.edit_contacts(pair, edit, curator=curator, revision=revision)


def content(workspace: Workspace) -> dict[str, list[tuple]]:
    with workspace.database.read() as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [tuple(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in tables}  # noqa: S608


def merged_twice(ours: Workspace, theirs: Workspace) -> Merged:
    """Merge, and make sure that merging again changes nothing, that the other is as it was, and that all is whole."""
    before = content(theirs)
    report = merge(ours, theirs.path)
    after = content(ours)
    again = merge(ours, theirs.path)
    assert not again.changed
    assert content(ours) == after
    assert content(theirs) == before
    assert check(ours).findings == ()
    return report


def history(workspace: Workspace, pair: int) -> list[tuple[str, str]]:
    return [(entry.curator, entry.edit.kind) for entry in workspace.pair(pair).history]


def test_work_on_different_pairs_joins_without_conflicts(workspace, copies, toys) -> None:
    theirs = copies()
    work(workspace, 1, Flip(contact=1), SetNote(text="ours"), curator="ada")
    workspace.add_fit(1, toys.fit(), revision=3)
    work(theirs, 2, Drop(contact=2), SetNote(text="theirs"), curator="ben")
    fit = theirs.add_fit(2, toys.fit(seed=5), revision=3, curator="ben")
    work(theirs, 2, Decision(verdict=Verdict.ACCEPT, curator="ben", fit_id=fit, note="good"), curator="ben")
    report = merged_twice(workspace, theirs)
    assert (report.conflicts, report.entries, report.fits, report.pairs) == ((), 3, 1, 0)
    record, other = workspace.pair(2), theirs.pair(2)
    assert record.sheet.contacts == other.sheet.contacts
    assert [(e.revision, e.curator, e.made_at) for e in record.history] == [
        (e.revision, e.curator, e.made_at) for e in other.history
    ]
    assert (record.summary.state, record.decision.decision.note) == (PairState.ACCEPTED, "good")
    assert record.fits[0].made_at == other.fits[0].made_at
    assert workspace.fit(record.decision.decision.fit_id).terms == theirs.fit(fit).terms
    assert merge(theirs, workspace.path).entries == 2
    assert theirs.pair(1).sheet == workspace.pair(1).sheet


def test_workspaces_without_a_common_past_join(workspace, copies, toys, tmp_path) -> None:
    copies()
    with Workspace.create(tmp_path / "other") as theirs:
        image = tmp_path / "new.png"
        image.write_bytes(b"new picture")
        theirs.add_image(image, size=(640, 480), source="elsewhere")
        theirs.add_input(1, "keypoints", image)
        pair = theirs.add_pair(1, toys.observation(9, "new.png"))
        theirs.add_answer(pair, toys.answer(), asker="replay")
        work(theirs, pair, Flip(contact=2), curator="ben")
        report = merged_twice(workspace, theirs)
        assert (report.images, report.pairs, report.answers, report.entries) == (1, 1, 1, 2)
        (line,) = [line for line in workspace.pairs() if line.image == "new.png"]
        record = workspace.pair(line.id)
        assert record.sheet.contacts == theirs.pair(pair).sheet.contacts
        np.testing.assert_array_equal(record.observation.keypoints, theirs.pair(pair).observation.keypoints)
        assert len(record.image.inputs) == 1


def test_edits_of_different_contacts_follow_each_other(workspace, copies) -> None:
    theirs = copies()
    work(workspace, 1, Flip(contact=1), Add(parts=NECK), curator="ada")
    work(theirs, 1, SetConfidence(contact=2, confidence=0.2), Add(parts=NECK[::-1]), Flip(contact=3), curator="ben")
    report = merged_twice(workspace, theirs)
    assert (report.conflicts, report.entries) == ((), 3)
    sheet = workspace.pair(1).sheet
    assert [(line.id, line.edited_by) for line in sheet.contacts] == [(1, "ada"), (2, "ben"), (3, "ada"), (4, "ben")]
    assert sheet.contacts[1].contact.confidence == 0.2
    assert sheet.contacts[3].contact.parts[1].side is Side.RIGHT  # ben's own new contact, whatever its number was there
    assert sheet.contacts[2].contact.parts == NECK
    merged_twice(theirs, workspace)
    ours, other = (
        {(str(line.contact), line.dropped) for line in each.pair(1).sheet.contacts} for each in (workspace, theirs)
    )
    assert ours == other


def test_a_note_is_beside_everything_else(workspace, copies) -> None:
    theirs = copies()
    work(workspace, 1, Mirror(person=0), Swap(), curator="ada")
    work(theirs, 1, SetNote(text="look at the feet"), curator="ben")
    assert merged_twice(workspace, theirs).conflicts == ()
    assert workspace.pair(1).sheet.note == "look at the feet"
    assert history(workspace, 1)[-1] == ("ben", "note")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([Flip(contact=2)], [FlipSide(contact=2, person=0)]),
        ([Flip(contact=1)], [Drop(contact=1), Restore(contact=1), Drop(contact=1)]),
        ([Swap()], [Flip(contact=2)]),
        ([Drop(contact=2)], [Mirror(person=1)]),
        ([SetNote(text="a")], [SetNote(text="b")]),
        ([Flip(contact=1)], [TakeSuggestion()]),
        ([Flip(contact=1), Decision(verdict=Verdict.REJECT, curator="ada")], [Flip(contact=2)]),
        ([Add(parts=NECK)], [Add(parts=NECK), Drop(contact=3)]),
        ([Flip(contact=1), "undo"], [Drop(contact=1)]),
    ],
)
def test_of_two_that_touch_the_same_one_stands_and_the_other_can_be_taken(workspace, copies, ours, theirs) -> None:
    other = copies()
    work(workspace, 1, *ours, curator="ada")
    work(other, 1, *theirs, curator="ben")
    before = workspace.pair(1)
    report = merged_twice(workspace, other)
    (conflict,) = report.conflicts
    assert (conflict.pair, conflict.image, conflict.curator) == (1, "image_0.png", "ben")
    assert "pair 1 (image_0.png): both sides changed its sheet; the version of ben is kept aside" in conflict.text
    assert workspace.pair(1).sheet == before.sheet
    (kept,) = workspace.pair(1).conflicts
    assert [entry["kind"] for _, _, entry in kept.edit.entries] == [edit.kind for edit in theirs]
    workspace.settle(kept.id, apply=True, curator="ben")
    taken, wanted = workspace.pair(1).sheet, other.pair(1).sheet
    assert [(l.contact, l.dropped) for l in taken.contacts] == [(l.contact, l.dropped) for l in wanted.contacts]  # noqa: E741
    assert (taken.note, taken.swapped) == (wanted.note, wanted.swapped)
    assert not merge(workspace, other.path).changed
    assert check(workspace).findings == ()
    workspace.undo(1, curator="ben", revision=taken.revision)
    assert workspace.pair(1).sheet.contacts == before.sheet.contacts


def test_where_both_came_to_the_same_there_is_nothing_to_settle(workspace, copies) -> None:
    other = copies()
    work(workspace, 1, Flip(contact=1), SetNote(text="same"), curator="ada")
    work(other, 1, SetNote(text="same"), Flip(contact=1), curator="ben")
    assert merged_twice(workspace, other).conflicts == ()
    assert workspace.pair(1).conflicts == ()
    assert {key[0] for key in known(workspace, 1)} == {"ada", "ben"}


def test_a_decision_on_a_sheet_that_changed_here_waits(workspace, copies, toys) -> None:
    other = copies()
    work(workspace, 1, Flip(contact=1), curator="ada")
    fit = other.add_fit(1, toys.fit(), revision=1)
    work(other, 1, Decision(verdict=Verdict.ACCEPT, curator="ben", fit_id=fit, reason="touch"), curator="ben")
    report = merged_twice(workspace, other)
    assert [("decision" in each.text, each.curator) for each in report.conflicts][-1] == (True, "ben")
    record = workspace.pair(1)
    assert record.summary.state is PairState.FITTED
    assert record.fits[-1].stale  # it was made of other contacts than those that stand
    kept = record.conflicts[-1].edit
    assert (kept.verdict, kept.reason, kept.fit_id) == (Verdict.ACCEPT, "touch", record.fits[-1].id)


def test_two_verdicts_are_both_kept(workspace, copies) -> None:
    other = copies()
    work(workspace, 1, Decision(verdict=Verdict.REJECT, curator="ada"), curator="ada")
    work(other, 1, Decision(verdict=Verdict.FLAG, curator="ben", note="unsure"), curator="ben")
    (conflict,) = merged_twice(workspace, other).conflicts
    assert conflict.text.endswith("ben's decision (flag) is kept aside: this side worked on it too")
    record = workspace.pair(1)
    assert (record.summary.state, record.conflicts[0].edit.note) == (PairState.REJECTED, "unsure")
    workspace.settle(record.conflicts[0].id, apply=True, curator="ben")
    assert workspace.pair(1).summary.state is PairState.FLAGGED


def test_people_stand_before_the_program_on_either_side(workspace, copies, toys) -> None:
    other, third = copies(), copies()
    for each in (workspace, other, third):
        each.add_answer(1, toys.answer(), asker=f"asked in {each.path.name}")
    work(other, 1, Flip(contact=4), curator="ben")
    report = merged_twice(workspace, other)
    assert report.conflicts == ()
    record = workspace.pair(1)
    assert record.answer.asker == "asked in copy-0"
    assert [line.contact for line in record.sheet.contacts] == [l.contact for l in other.pair(1).sheet.contacts]  # noqa: E741
    before = record.sheet
    report = merged_twice(workspace, third)  # its program's answer comes over and does not stand
    assert (report.conflicts, report.answers, report.entries) == ((), 1, 0)
    assert workspace.pair(1).sheet == before
    assert len(workspace.pair(1).answers) == 4
    number = workspace.pair(1).answers[-1].id
    work(workspace, 1, TakeAnswer(answer=number), curator="ada")
    assert workspace.pair(1).answer.asker == "asked in copy-1"


def test_an_undo_comes_over_with_what_it_takes_back(workspace, copies) -> None:
    work(workspace, 1, Flip(contact=1), curator="ada")
    other = copies()
    work(workspace, 1, SetNote(text="ours"), curator="ada")
    work(other, 1, Drop(contact=2), "undo", Flip(contact=2), curator="ben")
    assert merged_twice(workspace, other).conflicts == ()
    record = workspace.pair(1)
    assert [entry.undone for entry in record.history] == [False, False, False, True, False, False]
    assert isinstance(record.history[4].edit, Undo)
    assert record.history[4].edit.revision == 4


def test_more_work_on_a_version_that_was_kept_aside_replaces_it(workspace, copies) -> None:
    other = copies()
    work(workspace, 1, Flip(contact=1), curator="ada")
    work(other, 1, Drop(contact=1), curator="ben")
    merged_twice(workspace, other)
    work(other, 1, Flip(contact=2), curator="ben")
    assert len(merged_twice(workspace, other).conflicts) == 1
    (kept,) = workspace.pair(1).conflicts
    assert [entry["kind"] for _, _, entry in kept.edit.entries] == ["drop", "flip"]
    with workspace.database.read() as connection:
        rows = connection.execute("SELECT edit, settled_at IS NULL FROM conflicts ORDER BY id").fetchall()
    assert [open_ for _, open_ in rows] == [0, 1]
    assert [entry[2]["kind"] for entry in json.loads(rows[0][0])["entries"]] == ["drop"]
    report = merge(other, workspace.path)
    assert [each.curator for each in report.conflicts] == ["ada"]
    assert len(other.pair(1).conflicts) == 1  # not its own version, which stands there


def test_open_conflicts_drafts_views_and_reviews_come_over(workspace, copies) -> None:
    other = copies()
    work(other, 2, Flip(contact=1), curator="ada")
    with pytest.raises(StoreError):
        other.edit_contacts(2, Drop(contact=2), curator="ben", revision=1)
    with other.database.write() as connection:
        person = connection.execute("SELECT id FROM curators WHERE name = 'ben'").fetchone()[0]
        connection.execute(
            "INSERT INTO drafts (curator_id, pair_id, revision, note, edits, saved_at) "
            "VALUES (?, 3, 1, 'half a thought', ?, '2026-02-02')",
            (person, json.dumps([{"kind": "flip", "contact": 2}])),
        )
        connection.execute("INSERT INTO views VALUES (1, ?, 'doubtful', '{}', 'id', 0, '2026-02-02')", (person,))
        connection.execute(
            "INSERT INTO reviews (pair_id, curator_id, asked_at, judged_at, verdict) VALUES (3, ?, 'x', 'y', 'accept')",
            (person,),
        )
        connection.execute("INSERT INTO reviews (pair_id, asked_at) VALUES (1, 'nobody yet')")
    report = merged_twice(workspace, other)
    assert (report.drafts, report.views, report.reviews, len(report.conflicts)) == (1, 1, 1, 1)
    (kept,) = workspace.pair(2).conflicts
    assert (kept.edit, kept.curator) == (Drop(contact=2), "ben")
    rows = content(workspace)
    assert [row[3] for row in rows["drafts"]] == ["half a thought"]
    assert len(rows["reviews"]) == 1
    with other.database.write() as connection:
        connection.execute("UPDATE views SET sort = 'uncertain'")
    assert merged_twice(workspace, other).views == 1
    assert sorted(row[2] for row in content(workspace)["views"]) == ["doubtful", "doubtful (other machine)"]


def test_a_takedown_holds_on_both_sides(workspace, copies) -> None:
    from review_db.forget import forget

    other = copies()
    gone, kept = (image.sha256 for image in workspace.images()[:2])
    forget(other, gone)
    assert merge(workspace, other.path).forgotten == 1
    assert gone not in {image.sha256 for image in workspace.images()}
    forget(workspace, kept)
    report = merged_twice(workspace, other)
    assert (report.images, report.pairs) == (0, 0)
    assert len(workspace.images()) == 1


def test_a_merge_brings_back_nothing_of_a_forgotten_photograph(workspace, tmp_path) -> None:
    names = ("forgotten.png", "kept.png")
    coco = {"images": [{"id": i, "file_name": name} for i, name in enumerate(names)]}
    coco["annotations"] = [{"image_id": i, "keypoints": [i] * 51} for i in (0, 0, 1)]
    (tmp_path / "people.json").write_text(json.dumps(coco))
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
        image = workspace.add_image(tmp_path / name, size=(640, 480))
        workspace.add_input(image, "coco", tmp_path / "people.json")
    workspace.close()
    shutil.copytree(workspace.path, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as other:
        forget(workspace, workspace.images()[0].sha256)
        merged_twice(workspace, other)
    files = [path for path in workspace.path.rglob("*") if path.is_file()]
    assert [path for path in files if b"forgotten.png" in path.read_bytes()] == []


def test_a_fit_that_one_side_has_lost_comes_from_the_other(workspace, copies, toys) -> None:
    workspace.add_fit(1, toys.fit(), revision=1)
    other = copies()
    for path in (workspace.path / "artefacts").iterdir():
        if workspace.pair(1).fits and path.stat().st_size and path.name == fit_file(workspace):
            path.unlink()
    assert check(workspace, repair=True).ok
    assert workspace.pair(1).fits == ()
    assert merged_twice(workspace, other).fits == 1
    assert workspace.pair(1).summary.state is PairState.FITTED


def fit_file(workspace: Workspace) -> str:
    with workspace.database.read() as connection:
        return connection.execute("SELECT file FROM fits").fetchone()[0]


def point_outside(workspace: Workspace, table: str, column: str, name: str) -> None:
    with workspace.database.write() as connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = 1", (name,))  # noqa: S608


@pytest.mark.parametrize(
    ("table", "column", "name"),
    [
        ("inputs", "file", "../../precious.txt"), ("pairs", "observation", "../../precious.txt"),
        ("images", "name", "../../../precious.txt"), ("images", "suffix", "/../../../precious.txt"),
    ],
)  # fmt: skip
def test_a_hostile_workspace_reaches_no_file_outside(workspace, copies, tmp_path, table, column, name) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    workspace.add_input(1, "openpose", precious)
    other = copies()
    point_outside(other, table, column, name)
    with Workspace.create(tmp_path / "ours") as ours:
        with pytest.raises(StoreError, match=r"precious\.txt'"):
            merge(ours, other.path)
        assert content(ours)["pairs"] == []
    if column != "name":
        assert not check(other, repair=True).ok
    with pytest.raises(StoreError, match=r"outside of the export|no file of a workspace"):
        export(other, tmp_path / "out", ExportOptions(form=Form.COCO, where=EVERY_PAIR, images=True, unfitted=True))
    for image in content(other)["images"]:
        forget(other, image[1])
    assert precious.read_text() == "precious"
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_merged_is_one_sentence(workspace, copies, tmp_path) -> None:
    other = copies()
    with pytest.raises(StoreError, match="is this workspace itself"):
        merge(workspace, workspace.path / ".." / workspace.path.name)
    with pytest.raises(StoreError, match="is not a workspace"):
        merge(workspace, tmp_path / "nothing")
    image = tmp_path / "broken.png"
    image.write_bytes(b"broken picture")
    other.add_image(image, size=(640, 480))
    before = content(workspace)
    next(path for path in (other.path / "images").iterdir() if path.read_bytes() == b"broken picture").write_bytes(b"x")
    with pytest.raises(StoreError, match="is damaged"):
        merge(workspace, other.path)
    assert content(workspace) == before


@pytest.mark.parametrize("seed", range(3))
def test_random_work_on_three_machines_loses_nothing(workspace, copies, seed) -> None:
    chance = np.random.default_rng(seed)
    others = [copies(), copies()]
    machines = [workspace, *others]
    for _ in range(4):
        for name, machine in zip(("ada", "ben", "cem"), machines, strict=True):
            for _ in range(3):
                random_step(machine, int(chance.integers(1, 4)), name, chance)
        for other in others:
            merged_twice(workspace, other)
        merged_twice(others[0], workspace)
    every = {key for machine in machines for pair in (1, 2, 3) for key in known(machine, pair)}
    for machine in (others[1], workspace):
        for other in machines:
            if other is not machine:
                merged_twice(machine, other)
        assert every <= {key for pair in (1, 2, 3) for key in known(machine, pair)}
        assert check(machine).findings == ()


def random_step(workspace: Workspace, pair: int, curator: str, chance: np.random.Generator) -> None:
    line = int(chance.choice([line.id for line in workspace.pair(pair).sheet.contacts]))
    steps = [
        Flip(contact=line), FlipSide(contact=line, person=0), Drop(contact=line), Restore(contact=line), Swap(),
        SetNote(text=str(chance.integers(10**9))), Add(parts=NECK), "undo",
        Decision(verdict=Verdict.FLAG, curator=curator),
        SetConfidence(contact=line, confidence=float(chance.uniform())),
    ]  # fmt: skip
    with contextlib.suppress(StoreError, ValueError):  # nothing to undo, or nothing changed
        if (conflicts := workspace.pair(pair).conflicts) and chance.random() < 0.3:
            workspace.settle(conflicts[0].id, apply=chance.random() < 0.5, curator=curator)
        work(workspace, pair, steps[chance.integers(len(steps))], curator=curator)


def known(workspace: Workspace, pair: int) -> set[tuple[str, str, str]]:
    """Every person's entry that a workspace has, in its history or kept in a conflict."""
    record = workspace.pair(pair)
    found = {(entry.curator, entry.made_at, entry.edit.kind) for entry in record.history}
    with workspace.database.read() as connection:
        rows = connection.execute(
            "SELECT c.kind, c.edit, c.made_at, u.name FROM conflicts c JOIN curators u ON u.id = c.curator_id "
            "WHERE pair_id = ?", (pair,),
        ).fetchall()  # fmt: skip
    texts = [edit for kind, edit, *_ in rows if kind == "take_version"]
    texts += [json.dumps(entry.edit.entries and {"entries": entry.edit.entries}) for entry in record.history
              if entry.edit.kind == "take_version"]  # fmt: skip
    for text in texts:
        found |= {(curator, time, edit["kind"]) for curator, time, edit in json.loads(text)["entries"]}
    found |= {(name, time, "decide") for kind, _, time, name in rows if kind == "decision"}
    return {key for key in found if key[0] not in ("", "program") and key[2] != "take_version"}
