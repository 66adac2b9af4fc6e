"""Data out, in again, and out for good, as a user types it; and the paper's data file."""

import csv
import io
import json
import pickle
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from app.cli import main
from app.paper import take_paper
from apu.ask.schema import answer_text
from apu.errors import ApuError, FormatError, InputError, UnsafeFileError
from apu.formats import read_paper
from apu.formats.training import TrainingPairs
from apu.types import (
    BodyParams,
    BodyPart,
    Camera,
    Contact,
    ContactAnswer,
    Decision,
    MeshEstimate,
    PairObservation,
    Side,
    Verdict,
)
from review_db import Workspace, read_export

HANDS = Contact(parts=(BodyPart(name="hand", side=Side.LEFT), BodyPart(name="hand", side=Side.RIGHT)), confidence=0.9)
ANSWER = ContactAnswer(
    interaction="handshake", people=("a man", "a woman"), orientation="front to front", contacts=(HANDS,), raw="",
    model="toy", prompt_id="contacts-1",
)  # fmt: skip


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    """What `apu ARGUMENTS` prints: (stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["apu", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code or 0) == code, err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def people(body) -> tuple[PairObservation, BodyParams]:
    """Two standing bodies half a metre apart, three metres away, seen without an error."""
    orient = np.tile(np.array([np.pi, 0, 0], np.float32), (2, 1))
    place = np.array([[-0.35, 0, 3], [0.35, 0, 3]], np.float32)
    params = BodyParams(
        global_orient=orient,
        body_pose=np.zeros((2, 21, 3), np.float32),
        betas=np.zeros((2, 11), np.float32),
        transl=place,
    )
    camera = Camera.of_image(640, 480)
    points = body.keypoints(params)
    pixels = points[..., :2] / points[..., 2:] * camera.K[0, 0] + camera.K[:2, 2]
    keypoints = np.concatenate([pixels, np.full((2, 67, 1), 0.9)], axis=2).astype(np.float32)
    boxes = np.concatenate([pixels.min(1), pixels.max(1)], axis=1).astype(float)
    estimate = MeshEstimate(
        global_orient=orient, body_pose=params.body_pose, betas=params.betas, joints=np.zeros((2, 22, 3), np.float32),
        valid=np.zeros(2, bool),
    )  # fmt: skip
    observation = PairObservation(
        image="",
        camera=camera,
        boxes=boxes,
        keypoints=keypoints,
        estimate=estimate,
        source="simulated toy",
        simulated=True,
    )
    return observation, params


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """A workspace with three photographs and no pair; to be copied."""
    folder = tmp_path_factory.mktemp("photographs")
    with Workspace.create(folder / "empty") as workspace:
        for number in range(3):
            path = folder / f"photo_{number}.png"
            PIL.Image.new("RGB", (640, 480), (60 * number, 0, 0)).save(path)
            workspace.add_image(path, size=(640, 480), source="simulated toy")
    return folder / "empty"


@pytest.fixture
def photographs(empty, tmp_path) -> Path:
    """A workspace with three photographs and no pair."""
    return shutil.copytree(empty, tmp_path / "empty")


def dictionary(people, number: int = 0, **changes) -> dict:
    """A pair as the paper describes its entries."""
    observation, params = people
    return {
        "image": f"photo_{number}.png",
        "boxes": observation.boxes.tolist(),
        "interaction": "shaking hands",
        "keypoints": observation.keypoints.tolist(),
        "smplxa": {
            "global_orient": params.global_orient.tolist(), "body_pose": params.body_pose.reshape(2, 63).tolist(),
            "betas": params.betas.tolist(), "transl": params.transl.tolist(),
        },
        "answer": json.loads(answer_text(ANSWER)),
        "body": "anny-free",
        "simulated": True,
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def decided(empty, people, tmp_path_factory) -> Path:
    """The workspace with three pairs out of a data file, the first two accepted; to be copied."""
    folder = tmp_path_factory.mktemp("decided")
    (folder / "data.json").write_text(json.dumps([dictionary(people, number) for number in range(3)]))
    shutil.copytree(empty, folder / "workspace")
    assert run("import-decisions", folder / "workspace", folder / "data.json") == ("3 pairs taken over\n", "")
    with Workspace.open(folder / "workspace") as workspace:
        for pair, curator in ((1, "ada"), (2, "bob")):
            workspace.decide(pair, Decision(verdict=Verdict.ACCEPT, curator=curator), revision=1)
    return folder / "workspace"


@pytest.fixture
def reviewed(decided, tmp_path) -> Path:
    """A copy of `decided`."""
    return shutil.copytree(decided, tmp_path / "reviewed")


# The paper's data file ------------------------------------------------------------------------------------------------


def test_the_papers_pairs_come_with_answers_and_measured_bodies(reviewed, people) -> None:
    with Workspace.open(reviewed) as workspace:
        record = workspace.pair(1)
        assert record.sheet.active[0].parts == HANDS.parts
        assert (record.answer.asker, record.summary.interaction) == ("paper", "shaking hands")
        (fit,) = record.fits
        assert max(fit.reprojection_512) < 0.01, "its keypoints are its own projection"
        assert fit.gaps_m[0] > 0.1
        assert (fit.stop, fit.kept, fit.body) == ("imported", True, "anny-free")
        np.testing.assert_allclose(workspace.fit(fit.id).params.transl, people[1].transl)


def test_the_left_person_comes_first(people, tmp_path) -> None:
    observation, params = people
    swapped = dictionary(people, boxes=observation.boxes[::-1].tolist(), keypoints=observation.keypoints[::-1].tolist())
    swapped["smplxa"] = {name: values[::-1] for name, values in swapped["smplxa"].items()}
    (tmp_path / "swapped.json").write_text(json.dumps({"photo_0.png": swapped}))
    (pair,) = read_paper(tmp_path / "swapped.json")
    np.testing.assert_array_equal(pair.keypoints, observation.keypoints)
    np.testing.assert_allclose(pair.params.transl, params.transl)


def arrays_of(values):
    """The same dictionary with arrays, as pickles hold them."""
    if isinstance(values, dict):
        return {name: arrays_of(value) for name, value in values.items()}
    return np.array(values, np.float32) if isinstance(values, list) and name_is_numeric(values) else values


def name_is_numeric(values) -> bool:
    return bool(np.asarray(values, object).size) and np.asarray(values, object).ravel()[0].__class__ in (int, float)


@pytest.mark.parametrize("suffix", [".json", ".npz", ".pkl"])
def test_json_npz_and_pickle_say_the_same(people, tmp_path, suffix) -> None:
    path = tmp_path / f"data{suffix}"
    rows = [arrays_of(dictionary(people, number)) for number in range(2)]
    if suffix == ".json":
        path.write_text(json.dumps([dictionary(people, number) for number in range(2)]))
    elif suffix == ".npz":
        np.savez(path, pairs=np.array(rows, object))
    else:
        path.write_bytes(pickle.dumps(rows))
    first, second = read_paper(path)
    assert (first.image, second.image, first.body, first.simulated) == ("photo_0.png", "photo_1.png", "anny-free", True)
    np.testing.assert_allclose(first.boxes, people[0].boxes, rtol=1e-6)
    assert json.loads(first.answer)["interaction"] == "handshake"


@pytest.mark.parametrize("count", [17, 25, 133])
def test_other_keypoint_layouts_find_their_places(people, tmp_path, count) -> None:
    keypoints = np.random.default_rng(0).uniform(1, 400, size=(2, count, 3))
    keypoints[..., 2] = 0.5
    path = tmp_path / "data.json"
    path.write_text(json.dumps([dictionary(people, keypoints=keypoints.tolist())]))
    (pair,) = read_paper(path)
    np.testing.assert_allclose(pair.keypoints[:, 0], keypoints[:, 0], rtol=1e-6)
    right_wrist = {17: 10, 25: 4, 133: 10}[count]
    np.testing.assert_allclose(pair.keypoints[:, 4], keypoints[:, right_wrist], rtol=1e-6)
    assert (pair.keypoints[..., 2] > 0).sum() == 2 * {17: 17, 25: 25, 133: 17 + 6 + 42}[count]


class Evil:
    def __reduce__(self):
        return (print, ("pwned",))


def test_a_pickle_that_wants_to_run_something_is_refused(photographs, tmp_path, capsys) -> None:
    for name, write in (("evil.pkl", lambda p: p.write_bytes(pickle.dumps([Evil()]))),
                        ("evil.npz", lambda p: np.savez(p, pairs=np.array([Evil()], object)))):  # fmt: skip
        path = tmp_path / name
        write(path)
        with pytest.raises(UnsafeFileError):
            read_paper(path)
        assert "apu: " in run("import-decisions", photographs, path, code=2)[1]
    assert "pwned" not in capsys.readouterr().out


def test_one_bad_row_of_ten_thousand_adds_nothing(photographs, people, tmp_path) -> None:
    path, few = tmp_path / "data.json", np.zeros((2, 17, 3))
    few[:, 0] = [[100, 100, 1], [300, 100, 1]]
    plain = dictionary(people, keypoints=few.tolist(), smplxa=None)
    rows = [json.dumps(plain)] * 10_000
    rows[7_776] = json.dumps(plain | {"image": "nobody.png"})
    path.write_text(f"[{','.join(rows)}]")
    _, error = run("import-decisions", photographs, path, code=2)
    assert "row 7777 (nobody.png) cannot be used: no photograph of this name in the workspace" in " ".join(
        error.split()
    )
    with Workspace.open(photographs) as workspace:
        assert workspace.count() == 0
        assert not list((workspace.path / "artefacts").glob("*"))


BAD = {
    "no image": {"image": None},
    "a number for the image": {"image": 7},
    "one person": {"keypoints": [[[0, 0, 1]] * 17]},
    "texts for numbers": {"keypoints": "many"},
    "infinite places": {"keypoints": [[[1e300, 0, 1]] * 17] * 2},
    "ragged boxes": {"boxes": [[1, 2], [3]]},
    "an answer of another kind": {"answer": 7},
    "an answer that is none": {"answer": "they hug"},
    "missing parameters": {"smplxa": {"body_pose": [0] * 126}},
    "too many betas": {"smplxa": {"body_pose": [0] * 126, "betas": [[0] * 300] * 2}},
    "an unknown body": {"body": "smplx"},
    "half a letter": {"interaction": "\ud800"},
    "a folder for the image": {"image": "../../etc/passwd"},
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_is_no_pair_is_named(photographs, people, tmp_path, name) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([dictionary(people), dictionary(people, 1, **BAD[name])]))
    _, error = run("import-decisions", photographs, path, code=2)
    assert "row 2" in error or "body 'smplx'" in error
    with Workspace.open(photographs) as workspace:
        assert workspace.count() == 0


def test_bodies_can_be_left_out(photographs, people, tmp_path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([dictionary(people, body="smplx")]))
    assert "give its file with --body" in run("import-decisions", photographs, path, code=2)[1]
    run("import-decisions", photographs, path, "--without-fits")
    with Workspace.open(photographs) as workspace:
        assert workspace.pair(1).fits == ()
        assert workspace.pair(1).sheet.active[0].parts == HANDS.parts


@pytest.mark.parametrize("suffix", [".json", ".npz", ".pkl"])
def test_mutated_data_files_give_typed_errors(people, tmp_path, suffix) -> None:
    """500 in all."""
    path, rng, refused = tmp_path / f"data{suffix}", np.random.default_rng(3), 0
    rows = [arrays_of(dictionary(people, number)) for number in range(2)]
    if suffix == ".json":
        path.write_text(json.dumps([dictionary(people, number) for number in range(2)]))
    elif suffix == ".npz":
        np.savez(path, pairs=np.array(rows, object))
    else:
        path.write_bytes(pickle.dumps(rows))
    good = path.read_bytes()
    for _ in range(170):
        data = bytearray(good)
        for place in rng.integers(0, len(data), size=rng.integers(1, 12)):
            data[place] = rng.integers(256)
        start = rng.integers(len(data))
        if rng.random() < 0.3:
            del data[start : start + rng.integers(1, 500)]
        path.write_bytes(bytes(data))
        try:
            assert len(read_paper(path)) >= 0
        except (FormatError, UnsafeFileError, InputError) as error:
            refused += len(str(error)) < 1500
    assert refused > 100


# Export, import, forget -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["apu", "smplx", "amass", "parquet", "webdataset", "coco", "flickrci3d", "glb", "csv"])
def test_every_layout_is_written_by_its_name(reviewed, tmp_path, form) -> None:
    out = tmp_path / "out"
    assert run("export", reviewed, out, "--format", form)[0] == f"2 pairs exported to {out}\n"
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["pairs"], manifest["settings"]["form"]) == (2, form)
    assert "2 of the pairs simulated" in (out / "README.md").read_text()


def test_filters_and_splits_are_options(reviewed, tmp_path) -> None:
    def pairs(*options: object) -> list[str]:
        out = tmp_path / f"out_{len(list(tmp_path.iterdir()))}"
        run("export", reviewed, out, "--format", "csv", *options)
        with (out / "pairs.csv").open(newline="") as file:
            return [row["pair"] + row["split"] for row in csv.DictReader(file)]

    assert pairs() == ["1", "2"]
    assert pairs("--all") == ["1", "2", "3"]
    assert pairs("--state", "fitted", "--state", "accepted") == ["1", "2", "3"]
    assert pairs("--curator", "bob") == ["2"]
    assert pairs("--simulated", "--text", "photo_0") == ["1"]
    assert pairs("--interaction", "shaking hands", "--source", "simulated toy", "--max-error", 20) == ["1", "2"]
    assert {name.lstrip("123") for name in pairs("--all", "--split", "a=0.5,b=0.5")} <= {"a", "b"}
    for options in (("--real",), ("--source", "none"), ("--curator", "'; DROP TABLE pairs; --"), ("--max-gap", -1)):
        _, error = run("export", reviewed, tmp_path / "none", *options, code=2)
        assert "nothing to export" in error
        assert not (tmp_path / "none").exists()
    assert "is not like train=0.8" in run("export", reviewed, tmp_path / "none", "--split", "a=2", code=2)[1]


def test_exports_come_back_to_the_same_hashes(reviewed, tmp_path) -> None:
    run("export", reviewed, tmp_path / "one", "--all", "--images")
    assert run("import-decisions", tmp_path / "fresh", tmp_path / "one")[0] == "3 pairs taken over\n"
    run("export", tmp_path / "fresh", tmp_path / "two", "--all", "--images")
    one, two = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two"))
    assert one == two
    assert run("import-decisions", reviewed, tmp_path / "one")[0] == "0 pairs taken over, 3 were there already\n"


def test_training_data_is_one_option_away(reviewed, tmp_path) -> None:
    run("export", reviewed, tmp_path / "out", "--for-training")
    pairs = TrainingPairs(tmp_path / "out")
    assert pairs.weights.tolist() == [1.0, 1.0, 0.25]
    _, error = run("export", reviewed, tmp_path / "no", "--for-training", "--format", "glb", code=2)
    assert "leave out --format glb" in error


def test_answers_to_the_datasheet_come_from_a_file(reviewed, tmp_path) -> None:
    about = tmp_path / "about.json"
    about.write_text(json.dumps({"funding": "A grant."}))
    run("export", reviewed, tmp_path / "out", "--about", about)
    assert "**Who funded the creation of the dataset?** A grant." in (tmp_path / "out" / "README.md").read_text()
    about.write_text(json.dumps({"colour": "red"}))
    assert "about must answer" in run("export", reviewed, tmp_path / "no", "--about", about, code=2)[1]


def test_forgetting_asks_first(reviewed, tmp_path) -> None:
    assert "confirm on a terminal or with --yes" in run("forget", reviewed, "--image", "photo_0.png", code=2)[1]
    assert "there is no image 'x.png'" in run("forget", reviewed, "--image", "x.png", "--yes", code=2)[1]
    out, error = run("forget", reviewed, "--image", "photo_0.png", "--yes")
    assert out == "photo_0.png and 1 pairs are removed\n"
    assert "Exports and backups made before" in error
    run("export", reviewed, tmp_path / "out", "--all")
    assert [pair.image for pair in read_export(tmp_path / "out").pairs] == ["photo_1.png", "photo_2.png"]


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_on_a_terminal_the_answer_counts(reviewed, monkeypatch, typed, code) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    out, _ = run("forget", reviewed, "--image", "photo_0.png", code=code)
    assert "Remove photo_0.png and 1 pairs with all that is known of them for good?" in out
    with Workspace.open(reviewed) as workspace:
        assert workspace.count() == (2 if code == 0 else 3)


def test_a_data_file_names_its_photographs_once(photographs, people, tmp_path, body) -> None:
    twin = tmp_path / "other" / "photo_0.png"
    twin.parent.mkdir()
    PIL.Image.new("RGB", (640, 480), (1, 2, 3)).save(twin)
    path = tmp_path / "data.json"
    path.write_text(json.dumps([dictionary(people)]))
    with Workspace.open(photographs) as workspace:
        workspace.add_image(twin, size=(640, 480))
        with pytest.raises(ApuError, match=r"row 1 \(photo_0.png\) cannot be used: 2 photographs of this name"):
            take_paper(workspace, path, lambda name: body)
