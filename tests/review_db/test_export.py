"""Exports: complete or absent, equal for equal data, and readable back to the same meshes."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from apu.errors import StoreError
from apu.types import Decision, Verdict
from review_db import Drop, ExportOptions, PairFilter, SetNote, Workspace, export, read_export
from review_db.exports.folder import appearing
from review_db.exports.snapshot import Snapshot

EVERY = ExportOptions(where=PairFilter())


@pytest.fixture
def decided(workspace, add_pairs, toys):
    """Three fitted pairs: the first accepted (on the second of its three fits), the second rejected, the third open."""
    pairs = add_pairs(3)
    for pair in pairs:
        workspace.add_fit(pair, toys.fit(seed=pair), revision=1, curator="ada")
    workspace.edit_contacts(pairs[0], Drop(contact=2), curator="ada", revision=1)
    chosen = workspace.add_fit(pairs[0], toys.fit(seed=pairs[0]), revision=2)
    workspace.add_fit(pairs[0], toys.fit(seed=99), revision=2)
    accept = Decision(verdict=Verdict.ACCEPT, curator="ada", fit_id=chosen, note="arms cross")
    workspace.decide(pairs[0], accept, revision=2)
    workspace.decide(pairs[1], Decision(verdict=Verdict.REJECT, curator="bob"), revision=1)
    return pairs


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_accepted_fit_comes_back_with_everything_about_it(workspace, decided, toys, tmp_path) -> None:
    manifest = export(workspace, tmp_path / "out")
    names = {name for name in contents(tmp_path / "out") if not name.startswith("artefacts/")}
    assert names == {"1.npz", "pairs.json", "pairs.csv", "README.md", "manifest.json"}
    result = read_export(tmp_path / "out")
    assert result.manifest == manifest
    (pair,) = result.pairs
    for name, array in toys.params(decided[0]).arrays().items():
        np.testing.assert_array_equal(pair.params.arrays()[name], array, strict=True)
    record = workspace.pair(decided[0])
    np.testing.assert_array_equal(pair.K, record.observation.camera.K)
    np.testing.assert_array_equal(pair.keypoints, record.observation.keypoints)
    assert pair.contacts == record.sheet.active
    assert (pair.image, pair.body, pair.simulated) == ("image_0.png", "anny-free", True)
    assert pair.entry["answer"]["raw"] == toys.answer().raw
    assert pair.entry["decision"]["curator"] == "ada"
    assert [step["edit"]["kind"] for step in pair.entry["history"]] == ["take_answer", "drop", "decide"]
    assert (manifest.pairs, manifest.simulated, manifest.body) == (1, 1, {"anny-free": 1})
    assert "1 of the pairs simulated" in (tmp_path / "out" / "README.md").read_text()


def test_parameters_have_smplx_keys_and_shapes_without_pickle(workspace, decided, tmp_path) -> None:
    export(workspace, tmp_path / "out")
    with np.load(tmp_path / "out" / "1.npz", allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    people = {
        "global_orient": 3, "body_pose": 63, "betas": 11, "transl": 3, "left_hand_pose": 45, "right_hand_pose": 45,
        "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "expression": 10,
    }  # fmt: skip
    assert shapes == {name: (2, size) for name, size in people.items()} | {"K": (3, 3), "image_size": (2,)}


def test_equal_data_give_equal_bytes(workspace, decided, tmp_path) -> None:
    export(workspace, tmp_path / "one")
    export(workspace, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    with zipfile.ZipFile(tmp_path / "one" / "1.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_all_pairs_takes_every_fit_and_names_the_pairs_without(workspace, decided, add_pairs, tmp_path, toys) -> None:
    image = workspace.images()[0].id
    bare = workspace.add_pair(image, toys.observation(77))
    manifest = export(workspace, tmp_path / "out", EVERY)
    assert (manifest.pairs, manifest.skipped) == (3, (bare,))
    assert read_export(tmp_path / "out").manifest.skipped == ()
    assert [pair.entry["state"] for pair in read_export(tmp_path / "out").pairs] == ["accepted", "rejected", "fitted"]


def test_nothing_is_overwritten_and_nothing_half_written_stays(workspace, decided, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export(workspace, out)
    before = contents(out)
    with pytest.raises(StoreError, match="exists and is not empty"):
        export(workspace, out)
    assert contents(out) == before
    next((workspace.path / "artefacts").glob("*.npz")).unlink()
    for artefact in (workspace.path / "artefacts").glob("*.npz"):
        artefact.unlink()
    with pytest.raises(StoreError, match="missing from the workspace"):
        export(workspace, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["out", "workspace"]


def test_without_an_accepted_pair_there_is_no_export(workspace, pair, tmp_path) -> None:
    with pytest.raises(StoreError, match="no pair is accepted"):
        export(workspace, tmp_path / "out")
    with pytest.raises(StoreError, match="none of the 1 selected pairs has a fit"):
        export(workspace, tmp_path / "out", EVERY)
    assert not (tmp_path / "out").exists()


def test_a_changed_or_foreign_export_is_refused(workspace, decided, tmp_path) -> None:
    out = tmp_path / "out"
    export(workspace, out)

    def broken(change) -> str:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        change(copy)
        with pytest.raises(StoreError) as caught:
            read_export(copy)
        return str(caught.value)

    def edit_manifest(copy, **values) -> None:
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps(manifest | values))

    assert "promises" in broken(lambda copy: (copy / "1.npz").write_bytes(b"other"))
    assert "cannot be used" in broken(lambda copy: (copy / "1.npz").unlink())
    assert "not an export" in broken(lambda copy: edit_manifest(copy, format="something else"))
    assert "outside the export" in broken(lambda copy: edit_manifest(copy, files={"../out/pairs.json": "0"}))
    assert "not a complete export" in broken(lambda copy: edit_manifest(copy, files=[]))
    assert "not valid JSON" in broken(lambda copy: (copy / "manifest.json").write_text("{"))
    assert "manifest.json" in broken(lambda copy: (copy / "manifest.json").unlink())


EXPORT = """
import sys
from pathlib import Path
from review_db import ExportOptions, PairFilter, Workspace, export
workspace = Workspace.open(Path(sys.argv[1]))
print("ready", flush=True)
export(workspace, Path(sys.argv[2]), ExportOptions(where=PairFilter()))
print("done", flush=True)
"""


@pytest.mark.parametrize("delay_ms", [0, 3, 8, 20, 60])
def test_a_killed_export_leaves_a_whole_folder_or_none(workspace, decided, tmp_path, delay_ms) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(workspace.path), str(out)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(delay_ms / 1000)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    if out.exists():
        assert len(read_export(out).pairs) == 3
    else:
        export(workspace, out, EVERY)


KILLED_EVERYWHERE = """
import itertools, os, signal, shutil, sys
from pathlib import Path
from review_db import ExportOptions, PairFilter, Workspace, export, read_export
from review_db.exports import write
path, out = Path(sys.argv[1]), Path(sys.argv[2])
for place in itertools.count():
    child = os.fork()
    if not child:
        left = iter(range(place))
        def kill(event, arguments):
            if event in ("open", "os.rename", "os.mkdir", "shutil.rmtree") and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
        with Workspace.open(path) as workspace:
            sys.addaudithook(kill)
            export(workspace, out, ExportOptions(where=PairFilter()))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if out.exists():
        assert len(read_export(out).pairs) == 3
        shutil.rmtree(out)
    else:
        assert status == signal.SIGKILL, status
    if status == 0:
        break
print(place, len(list(out.parent.glob(".out.partial-*"))))
"""


def test_an_export_killed_at_any_file_is_whole_or_absent(workspace, decided, tmp_path) -> None:
    folder = tmp_path / "exports"
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", KILLED_EVERYWHERE]
    done = subprocess.run([*command, workspace.path, folder / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    places, left = map(int, done.stdout.split())
    assert places > 30
    assert left == 0, "the last one swept what the killed ones had left"


def test_what_a_killed_export_left_is_removed_by_the_next(workspace, decided, tmp_path) -> None:
    left = [tmp_path / f".out.partial-{name}" for name in ("11111111", "22222222")]
    other = tmp_path / ".others.partial-11111111"
    for folder in (*left, other):
        folder.mkdir()
        (folder / "pairs.json").write_text("half")
    export(workspace, tmp_path / "out")
    assert not any(folder.exists() for folder in left)
    assert other.exists(), "another export's"


def test_two_exports_to_one_place_do_not_meet(workspace, decided, tmp_path) -> None:
    with appearing(tmp_path / "out") as folder:
        with pytest.raises(StoreError, match="is being written by another export; wait"):
            export(workspace, tmp_path / "out")
        assert folder.is_dir()
        (folder / "file").write_text("whole")
    assert (tmp_path / "out" / "file").read_text() == "whole"


def test_a_name_with_signs_of_a_pattern_is_a_name(workspace, decided, tmp_path) -> None:
    other = tmp_path / ".out1.partial-11111111"
    other.mkdir()
    export(workspace, tmp_path / "out[1]*")
    assert other.exists()
    assert len(read_export(tmp_path / "out[1]*").pairs) == 1


def test_an_export_is_of_one_moment_while_people_work(workspace, decided, tmp_path, monkeypatch) -> None:
    """Another connection decides and edits between two pairs; the export shows none of it."""
    before = {line.id: line for line in workspace.pairs()}
    items = Snapshot.items

    def working(self):
        with Workspace.open(workspace.path) as other:
            for number, item in enumerate(items(self)):
                if not number:
                    for pair in decided[1:]:
                        note = SetNote(text="meanwhile")
                        other.edit_contacts(pair, note, curator="cleo", revision=before[pair].revision)
                yield item

    monkeypatch.setattr(Snapshot, "items", working)
    export(workspace, tmp_path / "out", EVERY)
    pairs = read_export(tmp_path / "out").pairs
    assert [pair.entry["note"] for pair in pairs] == ["", "", ""]
    assert [pair.entry["updated_at"] for pair in pairs] == [before[pair].updated_at for pair in decided]
    assert [workspace.pair(pair).sheet.note for pair in decided] == ["", "meanwhile", "meanwhile"]


AS_NOBODY = """
import functools, os, sys
import encodings.cp437  # zipfile asks for it when nobody may read Python's own folder any more
from pathlib import Path
from review_db import ExportOptions, PairFilter, Workspace, export
from review_db.exports import write
write.version = functools.cache(write.version)
write.version("apu-review")
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with Workspace.open(Path(sys.argv[1])) as workspace:
    export(workspace, Path(sys.argv[2]), ExportOptions(where=PairFilter()))
"""


def test_a_workspace_that_may_only_be_read_is_exported(workspace, decided, tmp_path) -> None:
    export(workspace, tmp_path / "one", EVERY)
    workspace.close()
    with tempfile.TemporaryDirectory() as name:  # a folder that everybody may enter, unlike pytest's own
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        shutil.copytree(workspace.path, folder / "workspace")
        for path in (folder / "workspace", *(folder / "workspace").rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [sys.executable, "-c", AS_NOBODY, folder / "workspace", folder / "out" / "two"]
        done = subprocess.run(command, capture_output=True, text=True)
        for path in (folder / "workspace", *(folder / "workspace").rglob("*")):
            path.chmod(0o755)
        assert done.returncode == 0, done.stderr
        assert contents(folder / "out" / "two") == contents(tmp_path / "one")
