"""Takedowns: nothing of a forgotten photograph is left in the folder, and everything else is as it was."""

import json
import shutil

import PIL.Image
import pytest

from apu.errors import ConflictError, InputError, StoreError
from apu.types import Decision, Verdict
from review_db import SetNote, Workspace, export, read_export
from review_db.forget import find_image, forget

MARK = "Zaphod Beeblebrox"
"""Stands in everything that is known of the photograph to be forgotten."""


@pytest.fixture
def known(workspace, toys, tmp_path):
    """Two photographs with all that can be known of one; the texts of the first hold `MARK`."""
    pairs = []
    for number, mark in enumerate((MARK, "nobody")):
        path = tmp_path / f"{mark}.png"
        PIL.Image.new("RGB", (640, 480), (90 * number, 60, 90)).save(path)
        image = workspace.add_image(path, size=(640, 480), source=f"of {mark}", action=f"{mark} hugs")
        people = tmp_path / f"{mark}_keypoints.json"
        people.write_text(json.dumps({"people": [], "note": mark}))
        workspace.add_input(image, "keypoints", people)
        observation = toys.observation(number, path.name)
        pairs.append(workspace.add_pair(image, observation))
        pair = pairs[-1]
        answer = toys.answer()
        values = {**vars(answer), "raw": f'{{"of": "{mark}"}}', "people": (mark, "another"), "interaction": mark}
        workspace.add_answer(pair, type(answer)(**values), asker="replay")
        folder = workspace.path / "answers"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.json").write_text(json.dumps({"raw": values["raw"], "model": "toy"}))
        workspace.edit_contacts(pair, SetNote(text=f"{mark} waves"), curator="ada", revision=1)
        workspace.edit_contacts(pair, SetNote(text=f"{mark} smiles"), curator="ada", revision=2)
        workspace.undo(pair, curator="ada", revision=3)
        with pytest.raises(ConflictError):
            workspace.edit_contacts(pair, SetNote(text=f"{mark} late"), curator="bob", revision=1)
        workspace.drafts.save(pair, "bob", revision=4, note=f"{mark} draft")
        job = workspace.jobs.queue("fit", pair, revision=4, curator="ada", options={"why": mark})
        claimed = workspace.jobs.claim("worker", kinds=("fit",))
        workspace.jobs.heartbeat(claimed.id, "worker", preview=(".npz", mark.encode()))
        workspace.add_fit(pair, toys.fit(seed=number), revision=4, curator="ada", job=job, worker="worker")
        workspace.decide(pair, Decision(verdict=Verdict.ACCEPT, curator="ada", note=f"{mark} is fine"), revision=4)
        workspace.reviews.assign(pair, "cleo")
        review = workspace.reviews.next("cleo")
        workspace.reviews.judge(review.id, Decision(verdict=Verdict.FLAG, curator="cleo", note=f"{mark}?"))
        workspace.jobs.queue("ask", pair, revision=5, options={"why": mark})
    return pairs


def traces(workspace: Workspace) -> list[str]:
    """Files whose name or bytes hold the secret."""
    paths = [path for path in workspace.path.rglob("*") if path.is_file()]
    return [path.name for path in paths if MARK in path.name or MARK.encode() in path.read_bytes()]


def test_nothing_of_it_is_left_in_any_file(workspace, known, tmp_path) -> None:
    assert traces(workspace)
    sha256, pairs = find_image(workspace, f"{MARK}.png")
    assert pairs == (known[0],)
    kept = _told(workspace.pair(known[1]))
    files = {path.name for path in workspace.path.rglob("*") if path.is_file()}
    done = forget(workspace, sha256)
    assert (done.sha256, done.pairs, done.clean) == (sha256, (known[0],), True)
    assert traces(workspace) == []
    gone = files - {path.name for path in workspace.path.rglob("*") if path.is_file()}
    assert {f"{sha256}.png", "0.json"} < gone
    assert len(gone) == done.files == 5, "photograph, detector's file, observation, fit, kept answer"
    assert _told(workspace.pair(known[1])) == kept
    assert workspace.count() == 1
    assert [image.name for image in workspace.images()] == ["nobody.png"]
    with pytest.raises(ValueError, match="there is no pair"):
        workspace.pair(known[0])
    with workspace.database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        (stone,) = connection.execute("SELECT * FROM forgotten").fetchall()
        assert set(stone.keys()) == {"sha256", "forgotten_at", "last_pair"}, "no name, no content"
    export(workspace, tmp_path / "out")
    assert [pair.image for pair in read_export(tmp_path / "out").pairs] == ["nobody.png"]


def test_the_same_photograph_is_not_taken_in_again_under_any_name(workspace, known, tmp_path) -> None:
    sha256, _ = find_image(workspace, f"{MARK}.png")
    forget(workspace, sha256)
    other = tmp_path / "holiday.png"
    shutil.copy(tmp_path / f"{MARK}.png", other)
    with pytest.raises(StoreError, match=r"holiday\.png was taken out of this workspace for good on 20"):
        workspace.add_image(other, size=(640, 480))
    assert not list((workspace.path / "images").glob(f"{sha256}*"))


def test_forgetting_again_completes_what_was_interrupted(workspace, known) -> None:
    sha256, _ = find_image(workspace, f"{MARK}.png")
    forget(workspace, sha256)
    (workspace.path / "images" / f".{sha256}.png.left").write_bytes(MARK.encode())
    done = forget(workspace, find_image(workspace, sha256)[0])
    assert (done.pairs, done.files, done.clean) == ((), 1, True)
    assert traces(workspace) == []


def test_a_file_that_another_image_needs_stays(workspace, toys, tmp_path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    images = []
    for number in range(2):
        path = tmp_path / f"photo_{number}.png"
        PIL.Image.new("RGB", (640, 480), (number, 0, 0)).save(path)
        images.append(workspace.add_image(path, size=(640, 480)))
        workspace.add_input(images[-1], "keypoints", empty)
    forget(workspace, find_image(workspace, "photo_0.png")[0])
    assert workspace.image(images[1]).inputs[0].path.read_text() == "{}"


def test_a_detectors_file_for_many_images_loses_only_this_one(workspace, tmp_path) -> None:
    names = [f"{MARK}.png", "other.png"]
    coco = {
        "images": [{"id": i, "file_name": f"folder/{name}"} for i, name in enumerate(names)],
        "annotations": [{"image_id": i, "keypoints": [i] * 51} for i in (0, 0, 1)],
    }
    people = tmp_path / "people.json"
    people.write_text(json.dumps(coco))
    images = []
    for number, name in enumerate(names):
        PIL.Image.new("RGB", (640, 480), (number, 0, 0)).save(tmp_path / name)
        images.append(workspace.add_image(tmp_path / name, size=(640, 480)))
        workspace.add_input(images[-1], "coco", people)
    forget(workspace, find_image(workspace, names[0])[0])
    assert traces(workspace) == []
    (left,) = workspace.image(images[1]).inputs
    content = json.loads(left.path.read_text())
    assert [image["file_name"] for image in content["images"]] == ["folder/other.png"]
    assert content["annotations"] == coco["annotations"][2:]


def test_a_running_job_is_waited_for(workspace, known) -> None:
    sha256, _ = find_image(workspace, f"{MARK}.png")
    job = workspace.jobs.claim("other")
    assert job.pair == known[0]
    with pytest.raises(StoreError, match="a job of pair 1 is running; cancel it or wait"):
        forget(workspace, sha256)
    assert workspace.count() == 2
    workspace.jobs.fail(job.id, "other", "enough")
    assert forget(workspace, sha256).pairs == (known[0],)


def test_a_forgotten_pairs_number_is_not_given_again(workspace, known, toys, tmp_path) -> None:
    sha256, _ = find_image(workspace, "nobody.png")
    assert forget(workspace, sha256).pairs == (known[1],)
    path = tmp_path / "new.png"
    PIL.Image.new("RGB", (640, 480), (7, 7, 7)).save(path)
    image = workspace.add_image(path, size=(640, 480))
    assert workspace.add_pair(image, toys.observation(7, path.name)) == known[1] + 1


def test_history_of_others_stays_append_only(workspace, known) -> None:
    forget(workspace, find_image(workspace, f"{MARK}.png")[0])
    for table in ("answers", "edits", "fits", "decisions"):
        with pytest.raises(Exception, match="append-only"), workspace.database.write() as connection:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
    with pytest.raises(Exception, match="append-only"), workspace.database.write() as connection:
        connection.execute("DELETE FROM forgotten")


def test_a_name_that_several_have_needs_the_content(workspace, known, tmp_path) -> None:
    twin = tmp_path / "other" / "nobody.png"
    twin.parent.mkdir()
    PIL.Image.new("RGB", (640, 480), (9, 9, 9)).save(twin)
    workspace.add_image(twin, size=(640, 480))
    with pytest.raises(InputError, match=r"2 images are called nobody\.png; give the SHA-256"):
        find_image(workspace, "nobody.png")
    with pytest.raises(InputError, match="there is no image 'x'"):
        find_image(workspace, "x")
    with pytest.raises(InputError, match="there is no image"):
        find_image(workspace, "' OR 1=1 --")


def test_a_reader_that_holds_the_log_is_reported(workspace, known, monkeypatch) -> None:
    from review_db import database

    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    sha256, _ = find_image(workspace, f"{MARK}.png")
    path = workspace.path
    workspace.close()
    with Workspace.open(path) as reader, Workspace.open(path) as writer:
        with reader.database.read() as connection:
            connection.execute("SELECT count(*) FROM pairs").fetchone()
            assert not forget(writer, sha256).clean
        assert forget(writer, sha256).clean
        assert traces(writer) == []


def test_every_statement_that_fails_leaves_all_or_nothing(workspace, known, monkeypatch) -> None:
    """A file of rows that are still there may be gone; forgetting again completes it."""
    import review_db.forget as module

    sha256, _ = find_image(workspace, f"{MARK}.png")
    rows = workspace.status()
    statements = list(module._deletions(_reading(workspace)))
    for place in range(len(statements)):
        broken = [*statements[:place], "INSERT INTO nowhere VALUES (1)"]
        monkeypatch.setattr(module, "_deletions", lambda _, broken=broken: iter(broken))
        with pytest.raises(StoreError):
            forget(workspace, sha256)
        assert workspace.status() == rows
        assert workspace.pair(known[0]).image.path.is_file()
    monkeypatch.undo()
    assert forget(workspace, sha256).clean
    assert traces(workspace) == []
    assert workspace.count() == 1


def _reading(workspace):
    with workspace.database.read() as connection:
        return connection


def _told(record):
    return record.summary, record.sheet, record.history, record.decisions, record.fits, record.conflicts, record.answers
