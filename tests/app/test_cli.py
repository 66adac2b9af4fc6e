"""The command line as its users type it: every command, what it prints, and what it says to bad input."""

import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.cli import main
from apu.synth.demo import write_demo
from review_db import Workspace, read_export

STEMS = ("handshake", "hug")


@dataclass(frozen=True)
class Result:
    """What a command printed."""

    stdout: str
    stderr: str


def run(*arguments: object, code: int = 0) -> Result:
    """`apu ARGUMENTS` in this process, which spares PyTorch's seconds of import."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["apu", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code or 0) == code, err.getvalue()
    return Result(out.getvalue(), err.getvalue())


def sentence(result: Result) -> str:
    """The one line of complaint."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("apu: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated photographs with everything that belongs to them."""
    folder = tmp_path_factory.mktemp("files")
    write_demo(folder, scenes=STEMS)
    answer = folder / "answers" / "handshake_contacts.json"
    answer.write_text(answer.read_text().replace('"right"', '"left"'))  # the model takes both right hands for left
    return folder


@pytest.fixture(scope="module")
def fitted(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace taken from import to fit by the command line alone."""
    workspace = answered(files, tmp_path_factory.mktemp("work") / "workspace")
    assert run("fit", workspace, "--device", "cpu").stdout == "2 pairs fitted\n"
    return workspace


def answered(files: Path, workspace: Path) -> Path:
    """A workspace taken from import to a model's answers."""
    folders = ("--images", files / "images", "--keypoints", files / "keypoints", "--meshes", files / "meshes")
    assert run("import", workspace, *folders, "--source", "simulated test").stdout == "2 photographs imported\n"
    assert run("propose", workspace).stdout == "2 pairs proposed\n"
    asked = run("ask", workspace, "--asker", "replay", "--answers", files / "answers")
    assert asked.stdout == "2 pairs answered\n"
    return workspace


def status(workspace: Path) -> dict:
    return json.loads(run("status", workspace, "--json").stdout)


def test_status_tells_all_that_a_program_needs(fitted: Path) -> None:
    pairs = status(fitted)["pairs"]
    assert [pair["image"] for pair in pairs] == ["handshake.jpg", "hug.jpg"]
    for pair in pairs:
        assert pair["state"] == "fitted"
        assert pair["asker"] == "replay"
        assert pair["simulated"] is True
        assert pair["contacts"]
        (fit,) = pair["fits"]
        assert len(fit["reprojection_512"]) == 2
        assert all(0 < error < 20 for error in fit["reprojection_512"])
        assert 0 <= fit["max_contact_gap_m"] < 1
        assert 0 <= fit["max_penetration_m"] < 0.03
        assert 0 < fit["seconds"] < 60
        assert fit["body"] == "anny-free"
        assert fit["device"] == "cpu"


def test_running_the_steps_again_adds_nothing(fitted: Path, files: Path) -> None:
    before = status(fitted)
    run(
        "import", fitted, "--images", files / "images", "--keypoints", files / "keypoints", "--meshes", files / "meshes"
    )
    assert run("propose", fitted).stdout == "2 pairs proposed\n"
    assert run("ask", fitted, "--asker", "replay", "--answers", files / "answers").stdout == "0 pairs answered\n"
    assert run("fit", fitted).stdout == "0 pairs fitted\n"
    assert status(fitted)["pairs"] == before["pairs"]


def test_status_for_people_is_a_table(fitted: Path) -> None:
    shown = run("status", fitted).stdout
    assert re.search(r"handshake\.jpg +fitted +replay", shown)


def test_one_pair_is_fitted_again_by_its_number(fitted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    assert run("fit", copy, "--pair", "1").stdout == "1 pairs fitted\n"
    assert [len(pair["fits"]) for pair in status(copy)["pairs"]] == [2, 1]
    assert "there is no pair 99" in sentence(run("fit", copy, "--pair", "99", code=2))


def test_all_pairs_are_exported_and_the_meshes_are_rebuilt(fitted: Path, tmp_path: Path, body) -> None:
    out = tmp_path / "out"
    assert "nothing to export" in sentence(run("export", fitted, out, code=2))
    assert not out.exists()
    assert run("export", fitted, out, "--all").stdout.startswith("2 pairs exported")
    exported = read_export(out)
    with Workspace.open(fitted) as workspace:
        for pair in exported.pairs:
            fit = workspace.fit(workspace.pair(pair.id).fits[-1].id)
            expected = body.forward(fit.params).vertices
            np.testing.assert_array_equal(body.forward(pair.params).vertices, expected)
    assert "is not empty" in sentence(run("export", fitted, out, "--all", code=2))


def test_the_best_reading_of_untouched_contacts_stands_where_that_is_asked_for(fitted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    run("fit", copy, "--pair", "1", "--denoised")
    pair = status(copy)["pairs"][0]
    hands = [contact["parts"] for contact in pair["contacts"] if "hand" in contact["parts"][0]]
    assert hands == [["right hand", "right hand"]], "the handshake's answer says left"
    raw, denoised = pair["fits"]
    assert max(c["gap_m"] for c in denoised["contacts"] if "hand" in c["parts"][0]) < 0.01
    assert ["left hand", "left hand"] in [c["parts"] for c in raw["contacts"]], "the fit before was to what was stated"


def test_pairs_fitted_side_by_side_are_fitted_alike(files: Path, fitted: Path, tmp_path: Path) -> None:
    workspace = answered(files, tmp_path / "workspace")
    assert run("fit", workspace, "--device", "cpu", "--jobs", "2").stdout == "2 pairs fitted\n"
    figures = [
        [(fit["reprojection_512"], fit["contacts"]) for pair in status(each)["pairs"] for fit in pair["fits"]]
        for each in (workspace, fitted)
    ]
    assert len(figures[0]) == 2
    assert figures[0] == figures[1]


def test_the_main_job_on_the_real_photographs(real: Path, tmp_path: Path) -> None:
    """Import to export on data of real estimators, from the command line."""
    workspace = tmp_path / "workspace"
    assert run("import", workspace, "--images", real).stdout == "2 photographs imported\n"
    assert run("propose", workspace).stdout == "2 pairs proposed\n"
    assert run("ask", workspace, "--asker", "replay", "--answers", real).stdout == "2 pairs answered\n"
    assert run("fit", workspace).stdout == "2 pairs fitted\n"
    for pair in status(workspace)["pairs"]:
        (fit,) = pair["fits"]
        assert max(fit["reprojection_512"]) < 20
        assert fit["max_penetration_m"] <= 0.03
        assert all(contact["gap_m"] <= 0.03 for contact in fit["contacts"] if contact["confidence"] >= 0.6)
        assert fit["seconds"] < 60  # 20 s on two idle cores, see docs/results.md
    run("export", workspace, tmp_path / "out", "--all")
    assert len(read_export(tmp_path / "out").pairs) == 2


def test_better_detections_do_not_double_a_pair(files: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    folders = ("--images", files / "images", "--keypoints", files / "keypoints")
    run("import", workspace, *folders, "--meshes", files / "keypoints")
    run("propose", workspace)
    run("import", workspace, *folders, "--meshes", files / "meshes")
    run("propose", workspace)
    assert len(status(workspace)["pairs"]) == 2


def test_several_pairs_of_one_photograph_have_answers_of_their_own(files: Path, tmp_path: Path) -> None:
    """Three people side by side: their detections are those of a pair and, once more, of its right person."""
    images, keypoints, answers = (tmp_path / name for name in ("images", "keypoints", "answers"))
    for folder in (images, keypoints, answers):
        folder.mkdir()
    shutil.copy(files / "images" / "hug.jpg", images)
    people = json.loads((files / "keypoints" / "hug_keypoints.json").read_text())
    third = json.loads(json.dumps(people["people"][1]))
    third["pose_keypoints_2d"][::3] = [x + 120 if x else 0 for x in third["pose_keypoints_2d"][::3]]
    people["people"].append(third)
    (keypoints / "hug_keypoints.json").write_text(json.dumps(people))
    workspace = tmp_path / "workspace"
    run("import", workspace, "--images", images, "--keypoints", keypoints)
    count = int(run("propose", workspace).stdout.split()[0])
    assert count > 1
    shutil.copy(files / "answers" / "hug_contacts.json", answers / "hug_contacts.json")
    shutil.copy(files / "answers" / "hug_contacts.json", answers / "hug_2_contacts.json")
    result = run("ask", workspace, "--asker", "replay", "--answers", answers)
    assert result.stdout.startswith(f"1 pairs answered, {count - 1} not")
    assert "hug_1_contacts.json" in result.stderr


def test_the_keypoints_asker_needs_no_model(files: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    run(
        "import",
        workspace,
        "--images",
        files / "images",
        "--keypoints",
        files / "keypoints",
        "--meshes",
        files / "meshes",
    )
    run("propose", workspace)
    assert run("ask", workspace, "--asker", "keypoints").stdout == "2 pairs answered\n"
    assert {pair["model"] for pair in status(workspace)["pairs"]} == {"keypoints (no vision model)"}


def test_a_forgotten_photograph_stops_no_import_and_comes_back_in_no_detectors_file(tmp_path: Path) -> None:
    names = ("a_forgotten.png", "b_kept.png")
    points = [value for joint in range(17) for value in (100 + 5 * joint, 60 + 10 * joint, 2)]
    people = [{"id": i, "image_id": i // 2, "category_id": 1, "keypoints": points, "bbox": [90, 50, 90, 170]}
              for i in range(4)]  # fmt: skip
    images = [{"id": i, "file_name": name, "width": 480, "height": 400} for i, name in enumerate(names)]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": people, "categories": []}))
    (tmp_path / "images").mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / "images" / name), np.full((400, 480, 3), number, np.uint8))
    again = ("import", tmp_path / "w", "--images", tmp_path / "images", "--keypoints", tmp_path / "coco.json")
    assert run(*again).stdout == "2 photographs imported\n"
    run("forget", tmp_path / "w", "--image", names[0], "--yes")
    result = run(*again)
    assert result.stdout == "1 photographs imported, 1 not (reasons above)\n"
    assert "was taken out of this workspace for good" in " ".join(result.stderr.split())
    left = [path for path in (tmp_path / "w").rglob("*") if path.is_file()]
    assert [path for path in left if names[0].encode() in path.read_bytes()] == []


@pytest.mark.parametrize("address", ["http://me:hunter2@host/v1", "ftp://me:hunter2@host", "http://host/v1?k=hunter2"])
def test_a_password_in_a_servers_address_is_refused_and_not_repeated(files: Path, tmp_path: Path, address: str) -> None:
    run("import", tmp_path / "w", "--images", files / "images", "--keypoints", files / "keypoints")
    result = run("ask", tmp_path / "w", "--asker", "openai", "--model", "m", "--base-url", address, code=2)
    assert "--base-url" in sentence(result)
    assert "hunter2" not in result.stdout + result.stderr


def test_what_cannot_be_imported_is_named_and_the_rest_goes_on(files: Path, tmp_path: Path) -> None:
    images, keypoints = tmp_path / "images", tmp_path / "keypoints"
    shutil.copytree(files / "images", images)
    shutil.copytree(files / "keypoints", keypoints)
    (images / "text.jpg").write_text("no picture")
    shutil.copy(images / "hug.jpg", images / "alone.jpg")
    shutil.copy(images / "hug.jpg", images / "empty.jpg")
    (keypoints / "empty_keypoints.json").write_text("{}")
    result = run("import", tmp_path / "workspace", "--images", images, "--keypoints", keypoints)
    assert result.stdout.startswith("2 photographs imported, 3 not")
    for name in ("text.jpg", "alone.jpg", "empty.jpg"):
        assert sum(name in line for line in result.stderr.splitlines()) == 1, result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("status", "nowhere"), "nowhere"),
        (("fit", "nowhere"), "nowhere"),
        (("import", "w", "--images", "nowhere"), "nowhere"),
        (("ask", "W", "--asker", "oracle"), "oracle"),
        (("ask", "W", "--asker", "replay"), "--answers"),
        (("ask", "W", "--asker", "openai"), "--model"),
        (("fit", "W", "--device", "abacus"), "abacus"),
        (("fit", "W", "--body", "nowhere.npz"), "nowhere.npz"),
        (("serve", "W", "--host", "192.0.2.1"), "192.0.2.1"),
    ],
)
def test_bad_input_gets_one_sentence_and_code_2(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    actual = [str(fitted) if a == "W" else a for a in arguments]
    assert expected in sentence(run(*actual, code=2))


def test_the_installed_command_exits_2_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("apu"), "status", tmp_path / "nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("apu: ")
    assert len(result.stderr.splitlines()) == 1


def test_every_command_explains_itself() -> None:
    listed = run("--help").stdout
    for command in ("demo", "import", "propose", "ask", "fit", "serve", "export", "status", "body"):
        assert command in listed
        assert "Usage" in run(command, "--help").stdout


def test_the_demo_is_made_once(tmp_path: Path) -> None:
    workspace = tmp_path / "demo"
    first = run("demo", "--workspace", workspace, "--no-serve")
    count = int(re.match(r"(\d+) simulated pairs", first.stdout)[1])
    assert count >= 8
    assert run("demo", "--workspace", workspace, "--no-serve").stdout == ""
    pairs = status(workspace)["pairs"]
    assert len(pairs) == count
    assert all(pair["simulated"] and pair["contacts"] for pair in pairs)
