"""Decisions brought back: an import gives the same export again, or changes nothing and names the row."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from apu.errors import AnswerError, ApuError, StoreError
from apu.types import BodyPart, Decision, Side, Verdict
from review_db import (
    Add,
    Drop,
    ExportOptions,
    Flip,
    PairFilter,
    SetConfidence,
    SetNote,
    Swap,
    TakeAnswer,
    TakeSuggestion,
    Workspace,
    export,
)
from review_db.imports import import_decisions

EVERYTHING = ExportOptions(where=PairFilter(), unfitted=True)
WITH_IMAGES = ExportOptions(where=PairFilter(), unfitted=True, images=True)


@pytest.fixture
def worked(workspace, toys, tmp_path) -> list[int]:
    """The pairs of `work` in a workspace of the test's own."""
    return work(workspace, toys, tmp_path)


@pytest.fixture(scope="module")
def exported(toys, tmp_path_factory) -> Path:
    """An export of `work` with the photographs; to be copied, not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    with Workspace.create(folder / "workspace") as workspace:
        work(workspace, toys, folder)
        export(workspace, folder / "out", WITH_IMAGES)
    return folder / "out"


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A workspace that stays empty, whatever is imported."""
    with Workspace.create(tmp_path_factory.mktemp("untouched") / "workspace") as opened:
        yield opened


def work(workspace, toys, tmp_path) -> list[int]:
    """Four pairs of three photographs with every kind of work: edits, undo, answers, failures, fits, decisions."""
    pairs = []
    for number in range(3):
        path = tmp_path / f"photo_{number}.png"
        PIL.Image.new("RGB", (640, 480), (60 * number, 60, 90)).save(path)
        image = workspace.add_image(path, size=(640, 480), source="demo", action="hugging")
        pairs.append(workspace.add_pair(image, toys.observation(number, path.name)))
    pairs.append(workspace.add_pair(image, toys.observation(9, path.name)))
    first, second, third, _ = pairs
    workspace.add_answer_failure(first, AnswerError("timeout", "no answer in 60 s"), asker="openai", model="toy")
    for pair in pairs[:3]:
        workspace.add_answer(pair, toys.answer(), asker="replay", suggestions=[toys.flip, None])
    edits = (
        TakeSuggestion(), Flip(contact=2), SetConfidence(contact=1, confidence=0.3), Swap(), SetNote(text="arms, =1+1"),
        Add(parts=(BodyPart(name="head"), BodyPart(name="shoulder", side=Side.LEFT)), confidence=0.7), Drop(contact=2),
    )  # fmt: skip
    for revision, edit in enumerate(edits, 1):
        workspace.edit_contacts(first, edit, curator="ada", revision=revision)
    workspace.undo(first, curator="ada", revision=8)
    workspace.add_fit(first, toys.fit(seed=1), revision=3, curator="ada")
    workspace.add_fit(first, toys.fit(seed=2), revision=9)
    workspace.add_fit(first, toys.fit(seed=4), revision=9)
    fit = workspace.pair(first).fits[1].id
    workspace.decide(first, Decision(verdict=Verdict.ACCEPT, curator="bob", fit_id=fit, reason="fits"), revision=9)
    later = workspace.add_answer(first, toys.answer(), asker="again")
    workspace.edit_contacts(first, TakeAnswer(answer=later), curator="bob", revision=10)
    workspace.decide(first, Decision(verdict=Verdict.FLAG, curator="ada", note="again"), revision=11)
    workspace.add_fit(second, toys.fit(seed=3), revision=1)
    workspace.decide(second, Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=1)
    workspace.decide(third, Decision(verdict=Verdict.REJECT, curator="ada"), revision=1)
    workspace.undo(third, curator="ada", revision=2)
    workspace.reviews.assign(second, "cleo")
    review = workspace.reviews.next("cleo")
    workspace.reviews.judge(review.id, Decision(verdict=Verdict.FLAG, curator="cleo"), edits=[TakeAnswer(answer=3)])
    return pairs


@pytest.fixture
def fresh(tmp_path):
    with Workspace.create(tmp_path / "fresh") as opened:
        yield opened


def hashes(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def everything(workspace: Workspace) -> list:
    """All rows and all files."""
    with workspace.database.read() as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'secrets'")
        rows = [
            (name, [tuple(row) for row in connection.execute(f"SELECT * FROM {name}")])  # noqa: S608
            for (name,) in tables.fetchall()
            if not name.startswith(("sqlite", "_"))
        ]
    return [*rows, hashes(workspace.path / "images"), hashes(workspace.path / "artefacts")]


def test_export_import_export_gives_identical_files(workspace, worked, fresh, tmp_path) -> None:
    export(workspace, tmp_path / "one", WITH_IMAGES)
    done = import_decisions(fresh, tmp_path / "one")
    assert (done.pairs, done.known, done.images) == (4, 0, 3)
    export(fresh, tmp_path / "two", WITH_IMAGES)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    for pair in worked:
        ours, theirs = workspace.pair(pair), fresh.pair(pair)
        assert ours.summary == theirs.summary
        assert [step.edit.kind for step in ours.history] == [step.edit.kind for step in theirs.history]
        for a, b in zip(ours.fits, theirs.fits, strict=True):
            assert workspace.fit(a.id).terms == fresh.fit(b.id).terms


def test_photographs_that_are_there_already_need_not_be_in_the_export(workspace, worked, fresh, tmp_path) -> None:
    export(workspace, tmp_path / "one", EVERYTHING)
    with pytest.raises(
        StoreError, match=r"row 1 \(pair 1, 'photo_0.png'\).*neither in the workspace nor in the export"
    ):
        import_decisions(fresh, tmp_path / "one")
    assert everything(fresh)[-2:] == [{}, {}]
    for image in workspace.images():
        path = tmp_path / image.name
        fresh.add_image(path, size=image.size, source=image.source, action=image.action)
    import_decisions(fresh, tmp_path / "one")
    export(fresh, tmp_path / "two", EVERYTHING)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_work_goes_on_with_what_was_imported(workspace, worked, fresh, toys, tmp_path) -> None:
    export(workspace, tmp_path / "one", WITH_IMAGES)
    import_decisions(fresh, tmp_path / "one")
    first = worked[0]
    sheet = fresh.undo(first, curator="ada", revision=fresh.pair(first).summary.revision)
    fresh.add_fit(first, toys.fit(seed=7), revision=sheet.revision, curator="cleo")
    fresh.decide(first, Decision(verdict=Verdict.ACCEPT, curator="cleo"), revision=sheet.revision)
    assert fresh.pair(first).decision.decision.curator == "cleo"


def test_pseudonyms_come_back_as_names(workspace, worked, fresh, tmp_path) -> None:
    export(workspace, tmp_path / "one", ExportOptions(where=PairFilter(), unfitted=True, images=True, pseudonyms=True))
    import_decisions(fresh, tmp_path / "one")
    export(fresh, tmp_path / "two", WITH_IMAGES)
    one, two = hashes(tmp_path / "one"), hashes(tmp_path / "two")
    assert {name for name in one if one[name] != two[name]} == {"manifest.json", "README.md"}
    text = (tmp_path / "two" / "pairs.json").read_text()
    assert text.count("curator-") > 10
    assert '"ada"' not in text


def test_importing_twice_adds_nothing(workspace, worked, fresh, tmp_path) -> None:
    export(workspace, tmp_path / "one", WITH_IMAGES)
    import_decisions(fresh, tmp_path / "one")
    before = everything(fresh)
    done = import_decisions(fresh, tmp_path / "one")
    assert (done.pairs, done.known, done.images) == (0, 4, 0)
    assert everything(fresh) == before
    assert import_decisions(workspace, tmp_path / "one").known == 4


def test_other_work_on_the_same_pair_is_refused_and_nothing_is_imported(workspace, worked, fresh, tmp_path) -> None:
    export(workspace, tmp_path / "one", WITH_IMAGES)
    import_decisions(fresh, tmp_path / "one")
    fresh.edit_contacts(worked[2], SetNote(text="mine"), curator="cleo", revision=3)
    before = everything(fresh)
    with pytest.raises(StoreError, match=r"row 3 \(pair 3, .*nothing was: the workspace's pair 3 differs in"):
        import_decisions(fresh, tmp_path / "one")
    assert everything(fresh) == before


def test_numbers_that_are_taken_are_given_anew(workspace, worked, fresh, toys, tmp_path) -> None:
    other = tmp_path / "other.png"
    PIL.Image.new("RGB", (640, 480), (1, 2, 3)).save(other)
    taken = fresh.add_pair(fresh.add_image(other, size=(640, 480)), toys.observation(40, other.name))
    export(workspace, tmp_path / "one", WITH_IMAGES)
    import_decisions(fresh, tmp_path / "one")
    assert fresh.pair(taken).image.name == "other.png"
    assert sorted(line.image for line in fresh.pairs()) == [
        "other.png", "photo_0.png", "photo_1.png", "photo_2.png", "photo_2.png",
    ]  # fmt: skip


def rewrite(folder: Path, change) -> None:
    """Change the pairs of an export and let its manifest agree, as someone does who knows how."""
    path, manifest = folder / "pairs.json", json.loads((folder / "manifest.json").read_text())
    head, *rows, end = path.read_bytes().split(b"\n")[:-1]
    values = [json.loads(row.removesuffix(b",")) for row in rows]
    values = change(values) or values
    text = b",\n".join(json.dumps(value).encode() for value in values)
    path.write_bytes(head + b"\n" + text + b"\n" + end + b"\n")
    manifest["pairs"] = len(values)
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def set_in(*keys, value):
    """A change of one place of the second row."""

    def change(rows) -> None:
        place = rows[1]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


BAD = {
    "a state without its decision": (("state",), "rejected"),
    "contacts that the history does not give": (("contacts", 0, "dropped"), True),
    "a decision on another's fit": (("decisions", 0, "fit"), 7),
    "an unknown verdict": (("decisions", 0, "verdict"), "maybe"),
    "a text for a number": (("fit", "max_gap_m"), "near"),
    "a number that is too large": (("fit", "seed"), 2**70),
    "an unknown edit": (("history", 0, "edit"), {"kind": "explode"}),
    "an edit of a contact that is not there": (("history", 0, "edit"), {"kind": "drop", "contact": 9}),
    "a time in words": (("updated_at",), "yesterday"),
    "a curator without a name": (("decisions", 0, "curator"), " "),
    "an unknown part": (("answer", "contacts", 0, "parts", 0, "side"), "up"),
    "a path for a file": (("observation",), "../../../etc/passwd"),
    "another's file": (("fit", "arrays"), "0" * 64 + ".npz"),
    "an image's path": (("image", "name"), "../photo.png"),
    "half a letter": (("note",), "\ud800"),
    "boxes of others": (("boxes",), [[0, 0, 1, 1], [0, 0, 1, 1]]),
    "too many people": (("boxes",), [[0, 0, 1, 1]] * 3),
    "what is not known": (("surprise",), 1),
    "another simulated": (("simulated",), False),
    "suggestions that do not fit": (("answer", "suggestions"), []),
    "a part that nobody has": (("answer", "contacts", 0, "parts", 0, "name"), "tail"),
    "a confidence beyond 1": (("answer", "contacts", 0, "confidence"), 1.5),
    "history that jumps": (("history", 0, "revision"), 3),
    "a null where there is none": (("history",), None),
    "SQL for a curator": (("fit", "curator"), 7),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_and_nothing_is_imported(exported, untouched, tmp_path, name) -> None:
    keys, value = BAD[name]
    shutil.copytree(exported, tmp_path / "one")
    rewrite(tmp_path / "one", set_in(*keys, value=value))
    before = everything(untouched)
    with pytest.raises(StoreError, match=r"one: row 2 \(pair 2, .* cannot be taken over, and nothing was: "):
        import_decisions(untouched, tmp_path / "one")
    assert everything(untouched) == before


def test_texts_that_look_like_sql_are_texts(exported, fresh, tmp_path) -> None:
    hostile = "'); DROP TABLE pairs; --"
    shutil.copytree(exported, tmp_path / "one")

    def change(rows) -> None:
        for row in rows:
            text = json.dumps(row).replace('"ada"', json.dumps(hostile))
            row.update(json.loads(text))

    rewrite(tmp_path / "one", change)
    import_decisions(fresh, tmp_path / "one")
    assert fresh.pair(2).decision.decision.curator == hostile
    assert fresh.count() == 4


def test_one_bad_row_of_ten_thousand_is_named(workspace, toys, tmp_path, fresh) -> None:
    path = tmp_path / "photo.png"
    PIL.Image.new("RGB", (640, 480), (1, 2, 3)).save(path)
    image = workspace.add_image(path, size=(640, 480))
    workspace.add_pair(image, toys.observation(0, path.name))
    export(workspace, tmp_path / "one", EVERYTHING)
    count, bad = 10_000, 1_234
    with fresh.database.write() as connection:
        for number in range(count):
            connection.execute(
                "INSERT INTO images (sha256, suffix, name, width, height, source, action, added_at) "
                "VALUES (?, '.png', 'photo.png', 640, 480, '', '', '')",
                (hashlib.sha256(str(number).encode()).hexdigest(),),
            )

    folder, known = tmp_path / "one", workspace.images()[0].sha256.encode()
    head, row, end = (folder / "pairs.json").read_bytes().split(b"\n")[:-1]
    rows = []
    for number in range(count):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest().encode()
        rows.append(row.replace(b'"id": 1,', f'"id": {number + 1},'.encode()).replace(known, sha256))
    rows[bad - 1] = rows[bad - 1].replace(b'"note": ""', b'"note": "not in the history"')
    (folder / "pairs.json").write_bytes(head + b"\n" + b",\n".join(rows) + b"\n" + end + b"\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["pairs"] = count
    manifest["files"]["pairs.json"] = hashlib.sha256((folder / "pairs.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=rf"row {bad} \(pair {bad}, 'photo.png'\) .* nothing was: .* its note"):
        import_decisions(fresh, tmp_path / "one")
    assert fresh.count() == 0
    assert not list((fresh.path / "artefacts").glob("*"))


def test_a_carried_photograph_must_be_one(exported, untouched, tmp_path) -> None:
    shutil.copytree(exported, tmp_path / "one")
    image = next((tmp_path / "one" / "images").iterdir())
    image.write_bytes(b"no photograph")
    before = everything(untouched)
    with pytest.raises(StoreError, match="is not what the export's manifest promises"):
        import_decisions(untouched, tmp_path / "one")
    rewrite(tmp_path / "one", lambda rows: None)
    with pytest.raises(StoreError, match="neither in the workspace nor in the export"):
        import_decisions(untouched, tmp_path / "one")
    assert everything(untouched) == before


def test_a_forgotten_photograph_does_not_come_back_by_an_import(workspace, worked, fresh, tmp_path) -> None:
    from review_db.forget import forget

    export(workspace, tmp_path / "one", WITH_IMAGES)
    forget(workspace, workspace.pair(worked[1]).image.sha256)
    with pytest.raises(StoreError, match=r"row 2 .*taken out of this workspace for good"):
        import_decisions(workspace, tmp_path / "one")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, cut, doubled or filled in."""
    kind, changed = rng.integers(4), bytearray(data)
    if kind == 0:
        for place in rng.integers(len(changed), size=rng.integers(1, 9)):
            changed[place] = rng.integers(256)
    elif kind == 1:
        del changed[rng.integers(len(changed)) :]
    else:
        start = rng.integers(len(changed))
        piece = changed[start : start + rng.integers(1, 200)]
        place = rng.integers(len(changed))
        changed[place : place + (kind == 2) * len(piece)] = piece
    return bytes(changed)


@pytest.mark.parametrize("target", ["manifest.json", "pairs.json", "artefacts", "images"])
def test_mutated_exports_give_typed_errors_and_change_nothing(exported, tmp_path, target) -> None:
    """500 in all; what changes no meaning, such as a letter of a model's text, is taken over."""
    good, copy, rng, refused, taken = exported, tmp_path / "copy", np.random.default_rng(5), 0, 0
    shutil.copytree(good, copy)
    fresh = Workspace.create(tmp_path / "fresh_0")
    for number in range(125):
        _mutate(good, copy, target, rng)
        try:
            import_decisions(fresh, copy)
        except ApuError as error:
            refused += 10 < len(str(error)) < 1500 and fresh.count() == 0
        else:
            taken += 1
            fresh.close()
            fresh = Workspace.create(tmp_path / f"fresh_{number + 1}")
        shutil.rmtree(copy)
        shutil.copytree(good, copy)
    fresh.close()
    assert refused + taken == 125
    assert refused > 90


def _mutate(good: Path, copy: Path, target: str, rng: np.random.Generator) -> None:
    """Mutate one file; hashes and names agree with it, as by someone who knows how."""
    manifest, text = json.loads((good / "manifest.json").read_text()), (good / "pairs.json").read_bytes()
    names = [name for name in sorted(manifest["files"]) if name.startswith(target)] or [target]
    name = names[rng.integers(len(names))]
    data = mutated((good / name).read_bytes(), rng)
    (copy / name).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    if target in ("artefacts", "images"):
        new = f"{target}/{sha256}{Path(name).suffix}"
        (copy / name).rename(copy / new)
        text = text.replace(Path(name).stem.encode(), sha256.encode())
        (copy / "pairs.json").write_bytes(text)
        del manifest["files"][name]
        manifest["files"] |= {new: sha256, "pairs.json": hashlib.sha256(text).hexdigest()}
    elif target == "pairs.json":
        manifest["files"][name] = sha256
    if target != "manifest.json":
        (copy / "manifest.json").write_text(json.dumps(manifest))
