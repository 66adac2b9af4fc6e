"""A user's folders: what belongs together is found, what is wrong is one sentence, and the rest goes on."""

import json
import os
import shutil
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from apu.errors import InputError
from apu.formats import Gathered, Skipped, gather
from apu.types import KEYPOINTS


@pytest.fixture
def add(tmp_path, person, joints, write_image, write_openpose, write_bev):
    """Add a photograph of people at these places, with keypoints and with meshes in the other order."""

    def make(stem, places=(250, 380), *, suffix=".png", keypoints="{}_keypoints.json", meshes="{}_bev.npz"):
        write_image(tmp_path / (stem + suffix))
        if keypoints:
            write_openpose(tmp_path / keypoints.format(stem), [person(x) for x in places])
        if meshes:
            write_bev(tmp_path / meshes.format(stem), [joints(x) for x in reversed(places)])
        return tmp_path

    return make


def only(results):
    (result,) = results
    return result


def reason(results):
    result = only(results)
    assert isinstance(result, Skipped)
    assert result.reason.count("\n") == 0
    return result.reason


def test_files_of_one_stem_become_one_list_of_people(add, joints):
    result = only(gather(add("a")))
    assert result.files.keys() == {"keypoints", "meshes"}
    assert result.people.estimate.valid.all()
    np.testing.assert_allclose(result.people.estimate.joints, [joints(250), joints(380)], atol=1e-4)
    assert result.people.notes == ()
    assert (result.people.camera.width, result.image.width) == (800, 800)


def test_a_stem_never_takes_the_files_of_a_longer_one(add):
    for stem in ("image_1", "image_10", "image_1_b"):
        folder = add(stem)
    found = {g.path.stem: g.files["meshes"].name for g in gather(folder)}
    assert found == {stem: f"{stem}_bev.npz" for stem in ("image_1", "image_10", "image_1_b")}
    assert [g.path.stem for g in gather(folder)] == ["image_1", "image_1_b", "image_10"]
    os.remove(folder / "image_10.png")
    assert {g.path.stem: g.files["meshes"].name for g in gather(folder)}.get("image_1") == "image_1_bev.npz"


def test_keypoints_of_either_name_and_meshes_of_the_very_stem(add):
    folder = add("a", keypoints="{}.json", meshes="{}.npz")
    result = only(gather(folder))
    assert {kind: path.name for kind, path in result.files.items()} == {"keypoints": "a.json", "meshes": "a.npz"}
    # An answer of a model may lie beside them under the plain name.
    (folder / "a.json").rename(folder / "a_keypoints.json")
    (folder / "a.json").write_text('{"contacts": []}')
    assert only(gather(folder)).files["keypoints"].name == "a_keypoints.json"


def test_folders_may_be_separate(add, tmp_path):
    folder = add("a")
    for kind, name in (("k", "a_keypoints.json"), ("m", "a_bev.npz")):
        (tmp_path / kind).mkdir()
        shutil.move(folder / name, tmp_path / kind / name)
    result = only(gather(folder, keypoints=tmp_path / "k", meshes=tmp_path / "m"))
    assert result.people.estimate.valid.all()


def test_a_second_estimator_adds_what_the_first_did_not_see(add, tmp_path, person, write_openpose):
    folder = add("a")
    blind = np.stack([person(250), person(380)])
    heel = KEYPOINTS.index("left_heel")
    blind[:, heel] = 0
    write_openpose(folder / "a_keypoints.json", blind)
    (tmp_path / "o").mkdir()
    write_openpose(tmp_path / "o" / "a_keypoints.json", [person(380), person(250)])
    keypoints = only(gather(folder, openpose=tmp_path / "o")).people.keypoints
    np.testing.assert_allclose(keypoints[:, heel], [person(250)[heel], person(380)[heel]], rtol=1e-6)
    (tmp_path / "o" / "a_keypoints.json").write_text("oops")
    result = only(gather(folder, openpose=tmp_path / "o"))
    assert "is not valid JSON" in only(result.people.notes)
    os.remove(folder / "a_keypoints.json")
    write_openpose(tmp_path / "o" / "a_keypoints.json", [person(380), person(250)])
    assert only(gather(folder, openpose=tmp_path / "o")).files.keys() == {"openpose", "meshes"}


def test_one_coco_file_serves_all_images(add, tmp_path, person):
    for stem in ("a", "b"):
        folder = add(stem, keypoints=None)
    index = [KEYPOINTS.index("nose")] + [KEYPOINTS.index(n) for n in ("left_eye", "right_eye", "left_ear", "right_ear")]
    index += [
        KEYPOINTS.index(f"{s}_{n}")
        for n in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for s in ("left", "right")
    ]
    values = [{"image_id": 1, "keypoints": np.float64(person(x)[index]).ravel().tolist()} for x in (250, 380)]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": values}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    a, b = gather(folder, keypoints=tmp_path / "coco.json")
    assert a.people.estimate.valid.all()
    assert "has no entry for b.png" in b.reason


def bomb(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def no_keypoints(folder):
    os.remove(folder / "bad_keypoints.json")


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_keypoints, "bad.png has no keypoints: bad_keypoints.json is not in"),
        (text("bad_keypoints.json", "{}"), "bad.png has no people in its keypoints; a pair needs two"),
        (text("bad_keypoints.json", "{'people'"), "bad_keypoints.json is not valid JSON"),
        (text("bad_keypoints.json", '{"people": [{"pose_keypoints_2d": [1, 2]}]}'), "person 1 has 2 numbers"),
        (text("bad.png", "text"), "bad.png is not a JPEG, PNG or WebP image"),
        (lambda folder: bomb(folder / "bad.png"), "bad.png has more than 50 million pixels"),
        (text("bad.jpg", "text"), "bad.jpg is not a JPEG, PNG or WebP image"),
        (text("bad.jpg", "text"), "bad.jpg and bad.png share one stem"),
        (text("bad_2.npz", "text"), "bad.png has 2 mesh files"),
    ],
)
def test_each_fault_is_one_sentence_and_the_rest_goes_on(add, spoil, says):
    add("good")
    folder = add("bad")
    spoil(folder)
    results = list(gather(folder))
    good = [r for r in results if isinstance(r, Gathered)]
    assert [r.path.name for r in good] == ["good.png"]
    assert any(says in r.reason for r in results if isinstance(r, Skipped))
    assert all("\n" not in r.reason for r in results if isinstance(r, Skipped))


def test_one_person_is_no_pair(add):
    assert "a.png has one person only in its keypoints" in reason(gather(add("a", places=(250,))))


def test_keypoints_of_another_size_are_refused(add, tmp_path):
    folder = add("a", places=(2500, 2700))
    assert "belong to another size" in reason(gather(folder))


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("fault", ["evil", "text", "empty", "other size", "other keys"])
def test_unusable_meshes_never_lose_the_image(add, tmp_path, joints, write_bev, write_image, fault):
    folder = add("a")
    path = folder / "a_bev.npz"
    if fault == "evil":
        write_bev(path, [joints(250)], center_confs=Evil(tmp_path / "ran"))
    elif fault in ("text", "empty"):
        path.write_text("no zip" if fault == "text" else "")
    elif fault == "other keys":
        np.savez(path, a=np.zeros(3))
    else:
        write_image(folder / "a.png", size=(1600, 900))
    result = only(gather(folder))
    assert isinstance(result, Gathered)
    assert not result.people.estimate.valid.any()
    assert "a.png goes on without meshes" in only(result.people.notes)
    assert not (tmp_path / "ran").exists()


def test_people_whom_the_meshes_lack_are_named(add, joints, write_bev):
    folder = add("a")
    write_bev(folder / "a_bev.npz", [joints(380)])
    result = only(gather(folder))
    assert result.people.estimate.valid.tolist() == [False, True]
    assert "has no mesh on 1 of the 2 people of a.png" in only(result.people.notes)


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no JPEG, PNG or WebP image"):
        gather(tmp_path)
    with pytest.raises(InputError, match="missing cannot be read as a folder"):
        gather(tmp_path / "missing")


def test_rotated_photographs_are_measured_upright(add):
    folder = add("a", meshes=None)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (600, 800)).save(folder / "a.png", exif=exif)
    result = only(gather(folder))
    assert (result.people.camera.width, result.people.camera.height) == (800, 600)


@pytest.mark.real
def test_the_photographs(real):
    results = list(gather(real))
    assert [r.path.name for r in results] == ["image_1.jpg", "image_5.jpg"]
    assert all(r.people.estimate.valid.all() and r.people.notes == () for r in results)
