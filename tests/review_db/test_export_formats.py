"""Every layout opens in the library it is made for, with the numbers of the workspace."""

import csv
import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import smplx
import torch
import trimesh

from apu.body.regions import regions_of
from apu.errors import FormatError, InputError, StoreError
from apu.files import asset
from apu.formats import read_coco, read_flickrci3d
from apu.formats.training import ARRAYS, TrainingPairs
from apu.types import Decision, Verdict
from review_db import Drop, ExportOptions, Form, PairFilter, PairState, SetNote, export, read_export
from review_db.exports import parse_splits
from review_db.exports.options import split_of
from review_db.exports.snapshot import secret
from review_db.exports.tables import safe_cell

EVERY = PairFilter()


@pytest.fixture
def photographs(workspace, toys, tmp_path) -> list[int]:
    """Eight fitted pairs in seven photographs: the last two share one; the first four are accepted, one is flagged."""
    pairs = []
    for number in range(8):
        path = tmp_path / f"photo_{number}.png"
        PIL.Image.new("RGB", (640, 480), (30 * min(number, 6), 60, 90)).save(path)
        image = workspace.add_image(path, size=(640, 480), source="demo", action="hugging")
        pairs.append(workspace.add_pair(image, toys.observation(number, path.name)))
        workspace.add_answer(pairs[-1], toys.answer(), asker="replay", suggestions=[toys.flip, None])
        workspace.add_fit(pairs[-1], toys.fit(seed=number), revision=1)
    for pair in pairs[:4]:
        workspace.decide(pair, Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=1)
    workspace.decide(pairs[4], Decision(verdict=Verdict.FLAG, curator="bob"), revision=1)
    return pairs


@pytest.fixture
def bodies(body):
    """As the command line finds bodies."""

    def find(name: str):
        if name != body.name:
            raise InputError(f"some fits are of the body {name!r}; give its file with --body")
        return body

    return find


def own_model() -> smplx.SMPLX:
    """The free body as anyone loads it with `smplx`."""
    return smplx.SMPLX(
        str(asset("body/smplx/SMPLX_NEUTRAL.npz")), kid_template_path=str(asset("body/smplx_kid_template.npy")),
        age="kid", num_betas=10, use_pca=False, flat_hand_mean=False, batch_size=2,
    )  # fmt: skip


def tensors(arrays, names):
    return {name: torch.as_tensor(np.asarray(arrays[name], np.float32)) for name in names}


SMPLX_NAMES = ("global_orient", "body_pose", "betas", "transl", "left_hand_pose", "right_hand_pose", "jaw_pose",
               "leye_pose", "reye_pose", "expression")  # fmt: skip


def test_smplx_poses_the_exported_parameters_to_the_same_vertices(workspace, photographs, bodies, tmp_path) -> None:
    export(workspace, tmp_path / "out", ExportOptions(form=Form.SMPLX, where=EVERY))
    model = own_model()
    for pair in photographs[:2]:
        arrays = np.load(tmp_path / "out" / "pairs" / f"{pair}.npz", allow_pickle=False)
        with torch.no_grad():
            found = model(**tensors(arrays, SMPLX_NAMES)).vertices.numpy()
        fit = workspace.fit(workspace.pair(pair).fits[-1].id)
        np.testing.assert_allclose(found, bodies("anny-free").forward(fit.params).vertices, atol=1e-6)


AMASS = {
    "gender": (), "surface_model_type": (), "mocap_frame_rate": (), "mocap_time_length": (), "trans": (1, 3),
    "poses": (1, 165), "betas": (16,), "num_betas": (), "root_orient": (1, 3), "pose_body": (1, 63),
    "pose_hand": (1, 90), "pose_jaw": (1, 3), "pose_eye": (1, 6), "kid_beta": (),
}  # fmt: skip
"""AMASS's keys of a motion with SMPL-X, and the child's coefficient."""


def test_amass_files_hold_whole_poses_that_give_the_same_vertices(workspace, photographs, bodies, tmp_path) -> None:
    export(workspace, tmp_path / "out", ExportOptions(form=Form.AMASS), bodies=bodies)
    fit = workspace.fit(workspace.pair(photographs[0]).fits[-1].id)
    expected = bodies("anny-free").forward(fit.params).vertices
    flat = smplx.SMPLX(
        str(asset("body/smplx/SMPLX_NEUTRAL.npz")), kid_template_path=str(asset("body/smplx_kid_template.npy")),
        age="kid", num_betas=10, use_pca=False, flat_hand_mean=True,
    )  # fmt: skip
    for person in (0, 1):
        path = tmp_path / "out" / "pairs" / f"{photographs[0]}_{person}_stageii.npz"
        with np.load(path, allow_pickle=False) as arrays:
            assert {name: arrays[name].shape for name in arrays.files} == AMASS
            assert (str(arrays["gender"]), str(arrays["surface_model_type"])) == ("neutral", "smplx")
            whole = np.concatenate([arrays[name] for name in ("root_orient", "pose_body", "pose_jaw", "pose_eye")], 1)
            np.testing.assert_array_equal(arrays["poses"], np.concatenate([whole, arrays["pose_hand"]], 1))
            poses = torch.as_tensor(arrays["poses"])
            parts = torch.split(poses, [3, 63, 3, 3, 3, 45, 45], dim=1)
            names = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose",
                     "right_hand_pose")  # fmt: skip
            betas = torch.as_tensor(np.append(arrays["betas"][:10], arrays["kid_beta"])[None])
            with torch.no_grad():
                found = flat(**dict(zip(names, parts, strict=True)), betas=betas,
                             transl=torch.as_tensor(arrays["trans"])).vertices.numpy()  # fmt: skip
        np.testing.assert_allclose(found[0], expected[person], atol=1e-5)


def test_parquet_opens_in_datasets_with_its_splits_and_photographs(workspace, photographs, tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets
    splits = parse_splits("train=0.5,test=0.5")
    options = ExportOptions(form=Form.PARQUET, where=EVERY, splits=splits, images=True)
    manifest = export(workspace, tmp_path / "out", options)
    datasets.disable_progress_bars()
    files = {name: str(tmp_path / "out" / "data" / f"{name}-*.parquet") for name in splits}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == manifest.splits
    rows = {row["pair"]: row for split in loaded.values() for row in split}
    assert sorted(rows) == photographs
    card = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in card.items()} == manifest.splits, "the card's front matter"
    record, row = workspace.pair(photographs[0]), rows[photographs[0]]
    fit = workspace.fit(record.fits[-1].id)
    np.testing.assert_array_equal(np.asarray(row["keypoints"], np.float32), record.observation.keypoints)
    np.testing.assert_array_equal(np.asarray(row["K"]), record.observation.camera.K)
    np.testing.assert_array_equal(np.asarray(row["body_pose"], np.float32), fit.params.body_pose.reshape(2, 63))
    assert (row["verdict"], row["curator"], row["simulated"]) == ("accept", "ada", True)
    assert [(c["part_0"], c["side_0"]) for c in row["contacts"]] == [("hand", "left"), ("hand", "right")]
    assert (row["image"].size, row["image_name"]) == ((640, 480), "photo_0.png")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves closing its file to the collector
def test_webdataset_gives_one_sample_per_pair(workspace, photographs, tmp_path) -> None:
    import webdataset

    export(workspace, tmp_path / "out", ExportOptions(form=Form.WEBDATASET, where=EVERY, images=True))
    data = webdataset.WebDataset(str(tmp_path / "out" / "pairs-000000.tar"), shardshuffle=False).decode("pilrgb")
    samples = list(data)
    assert [sample["__key__"] for sample in samples] == [f"{pair:08d}" for pair in photographs]
    first, record = samples[0], workspace.pair(photographs[0])
    assert first["json"]["image"]["sha256"] == record.image.sha256
    fit = workspace.fit(record.fits[-1].id)
    np.testing.assert_array_equal(first["npz"]["transl"], fit.params.transl)
    assert first["png"].size == (640, 480)


def test_coco_opens_in_pycocotools_and_in_our_own_reader(workspace, photographs, tmp_path, capsys) -> None:
    from pycocotools.coco import COCO

    export(workspace, tmp_path / "out", ExportOptions(form=Form.COCO, where=EVERY, images=True))
    path = tmp_path / "out" / "annotations" / "pairs.json"
    coco = COCO(str(path))
    capsys.readouterr()
    assert len(coco.getImgIds()) == 7
    assert len(coco.getAnnIds(catIds=[1])) == 16
    (image,) = [each for each in coco.loadImgs(coco.getImgIds()) if each["file_name"] == "photo_0.png"]
    with PIL.Image.open(tmp_path / "out" / "images" / image["file_name"]) as picture:
        assert picture.size == (image["width"], image["height"])
    left, right = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
    assert len(left["keypoints"]) == 51
    assert left["num_keypoints"] == 17
    assert left["pairs"] == right["pairs"] == [photographs[0]]
    observation = workspace.pair(photographs[0]).observation
    read = read_coco(path)["photo_0.png"]
    nose = observation.keypoints[:, 0]
    np.testing.assert_allclose(read[:, 0, :2], nose[:, :2], rtol=1e-6)
    box = observation.boxes[0]
    np.testing.assert_allclose(left["bbox"][:2], box[:2])


def test_a_person_of_two_pairs_is_one_annotation(workspace, photographs, toys, tmp_path) -> None:
    first = workspace.pair(photographs[0])
    other = toys.observation(50, first.image.name)
    shared = type(other)(**{**vars(other), "keypoints": np.stack([first.observation.keypoints[1], other.keypoints[1]]),
                            "boxes": np.stack([first.observation.boxes[1], other.boxes[1]])})  # fmt: skip
    third = workspace.add_pair(first.image.id, shared)
    export(workspace, tmp_path / "out", ExportOptions(form=Form.COCO, where=EVERY, unfitted=True))
    people = json.loads((tmp_path / "out" / "annotations" / "pairs.json").read_text())["annotations"]
    of_image = [person["pairs"] for person in people if person["image_id"] == first.image.id]
    assert sorted(of_image) == [[photographs[0]], [photographs[0], third], [third]]


def test_signatures_open_in_our_reader_and_name_the_regions_that_touch(
    workspace, photographs, bodies, tmp_path
) -> None:
    export(workspace, tmp_path / "out", ExportOptions(form=Form.FLICKRCI3D, where=EVERY), bodies=bodies)
    signatures = read_flickrci3d(tmp_path / "out" / "pairs" / "interaction_contact_signature.json")
    assert sum(len(pairs) for pairs in signatures.values()) == 8
    assert len(signatures["photo_6.png"]) == 2
    (signature,) = signatures["photo_0.png"]
    body, record = bodies("anny-free"), workspace.pair(photographs[0])
    regions = regions_of(body)
    vertices = body.forward(workspace.fit(record.fits[-1].id).params).vertices
    left_first = record.observation.boxes[0, [0, 2]].sum() <= record.observation.boxes[1, [0, 2]].sum()
    order = [0, 1] if left_first else [1, 0]
    for contact, (a, b), (u, v) in zip(record.sheet.active, signature.regions[:, order], signature.vertices[:, order],
                                       strict=True):  # fmt: skip
        assert a in regions.of_part(contact.parts[0])
        assert b in regions.of_part(contact.parts[1])
        own, other = (regions.part_vertices(part) for part in contact.parts)
        nearest = np.linalg.norm(vertices[0][own][:, None] - vertices[1][other][None], axis=2).min()
        assert np.linalg.norm(vertices[0][u] - vertices[1][v]) == pytest.approx(nearest, abs=1e-6)
    definition = json.loads((tmp_path / "out" / "contact_regions_anny-free.json").read_text())
    assert len(definition["rid_to_smplx_fids"]) == 75


def test_glb_holds_both_bodies_where_the_camera_saw_them(workspace, photographs, bodies, tmp_path) -> None:
    options = ExportOptions(form=Form.GLB, where=PairFilter(text="photo_1"))
    export(workspace, tmp_path / "out", options, bodies=bodies)
    scene = trimesh.load(tmp_path / "out" / "pairs" / f"{photographs[1]}.glb")
    body = bodies("anny-free")
    expected = body.forward(workspace.fit(workspace.pair(photographs[1]).fits[-1].id).params).vertices
    assert sorted(scene.geometry) == ["A", "B"]
    for name, vertices in zip("AB", expected, strict=True):
        np.testing.assert_allclose(scene.geometry[name].vertices, vertices * (1, -1, -1), atol=1e-5)
        assert len(scene.geometry[name].faces) == len(body.faces)


def test_a_body_that_is_not_at_hand_is_asked_for(workspace, pair, toys, bodies, tmp_path) -> None:
    workspace.add_fit(pair, type(toys.fit())(**{**vars(toys.fit()), "body": "smplx"}), revision=1)
    with pytest.raises(StoreError, match="body 'smplx'"):
        export(workspace, tmp_path / "out", ExportOptions(form=Form.GLB, where=EVERY), bodies=bodies)
    assert not (tmp_path / "out").exists()


HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x";"y")')


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_table_starts_a_formula(workspace, pair, text, tmp_path) -> None:
    workspace.edit_contacts(pair, SetNote(text=text), curator=text.strip() or "x", revision=1)
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=2)
    export(workspace, tmp_path / "out", ExportOptions(form=Form.CSV, where=EVERY, unfitted=True))
    seen = set()
    for path in (tmp_path / "out").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                assert not cell.startswith(("=", "+", "@", "\t", "\r"))
                assert not cell.startswith("-") or float(cell) < 0
                seen.add(cell)
    assert f"'{text}" in seen
    assert safe_cell(-0.5) == -0.5


def test_tables_hold_the_history_with_who_and_when(workspace, photographs, tmp_path) -> None:
    workspace.edit_contacts(photographs[0], Drop(contact=2), curator="ada", revision=2)
    export(workspace, tmp_path / "out", ExportOptions(form=Form.CSV, where=EVERY))
    rows = {}
    for path in (tmp_path / "out").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows[path.stem] = [row for row in csv.DictReader(file) if row["pair"] == str(photographs[0])]
    assert [(row["kind"], row["curator"]) for row in rows["history"]] == [
        ("take_answer", ""), ("decide", "ada"), ("drop", "ada"),
    ]  # fmt: skip
    assert [(row["verdict"], row["stands"]) for row in rows["decisions"]] == [("accept", "False")]
    assert [row["dropped"] for row in rows["contacts"]] == ["False", "True"]
    assert rows["answers"][0]["raw"] == workspace.pair(photographs[0]).answers[0].raw
    assert float(rows["fits"][0]["reprojection_512_0"]) == 9.0


# Splits ---------------------------------------------------------------------------------------------------------------


def test_a_photograph_is_on_one_side_of_a_split_only(workspace, photographs, toys, tmp_path) -> None:
    splits = parse_splits("train=0.5,val=0.25,test=0.25")
    for image in workspace.images():
        pair = workspace.add_pair(image.id, toys.observation(90 + image.id, image.name))
        workspace.add_fit(pair, toys.fit(seed=pair), revision=0)
    export(workspace, tmp_path / "out", ExportOptions(form=Form.CSV, where=EVERY, splits=splits))
    with (tmp_path / "out" / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sides = {}
    for row in rows:
        sides.setdefault(row["image_sha256"], set()).add(row["split"])
    assert len(rows) == 15
    assert all(len(names) == 1 for names in sides.values())
    assert {sha: {split_of(sha, splits)} for sha in sides} == sides


def test_splits_have_about_their_shares_and_do_not_move() -> None:
    splits = parse_splits("train=0.8,val=0.1,test=0.1")
    names = [split_of(hashlib.sha256(str(i).encode()).hexdigest(), splits) for i in range(20_000)]
    shares = {name: names.count(name) / len(names) for name in splits}
    assert shares == pytest.approx(dict(splits), abs=0.01)
    assert split_of("f" * 64, splits) == "test"
    assert split_of("0" * 64, splits) == "train"
    assert split_of("f" * 64, {}) == ""


@pytest.mark.parametrize("text", ["train", "train=x", "train=0.5", "a=0.5,b=0.6", "a=1,a=0", "A=1", "../x=1", "a=nan",
                                  "a=-1,b=2", "a=0,b=1", "=1"])  # fmt: skip
def test_a_split_that_is_none_is_refused(text) -> None:
    with pytest.raises(InputError, match=r"is not like train=0\.8"):
        parse_splits(text)


# For training ---------------------------------------------------------------------------------------------------------


def test_training_gives_tensors_weighted_by_decision_and_agreement(workspace, photographs, toys, tmp_path) -> None:
    workspace.decide(photographs[1], Decision(verdict=Verdict.REJECT, curator="bob"), revision=2)
    workspace.decide(photographs[1], Decision(verdict=Verdict.ACCEPT, curator="cleo"), revision=3)
    workspace.decide(photographs[2], Decision(verdict=Verdict.REJECT, curator="bob"), revision=2)
    workspace.add_fit(photographs[5], toys.fit(error=90.0), revision=1)
    options = ExportOptions(form=Form.TRAINING, where=EVERY)
    manifest = export(workspace, tmp_path / "out", options)
    assert manifest.skipped == (photographs[2], photographs[5]), "rejected, and undecided beyond the filter"
    pairs = TrainingPairs(tmp_path / "out")
    assert len(pairs) == manifest.pairs == 6
    found = dict(zip(pairs.tensors["pair"].tolist(), pairs.weights.tolist(), strict=True))
    weight = dict.fromkeys(photographs, 0.25) | dict.fromkeys((photographs[0], photographs[3]), 1.0)
    weight |= {photographs[1]: 2 / 3}
    assert found == pytest.approx({pair: weight[pair] for pair in found})
    one = pairs[0]
    assert {
        name: (str(value.dtype).removeprefix("torch."), tuple(value.shape)) for name, value in one.items()
    } == ARRAYS
    record = workspace.pair(photographs[0])
    fit = workspace.fit(record.fits[-1].id)
    for name, array in fit.params.arrays().items():
        np.testing.assert_array_equal(one[name].numpy(), array)
        np.testing.assert_array_equal(one[f"initial_{name}"].numpy(), fit.start.arrays()[name])
    assert one["initial_valid"].tolist() == [True, False]
    batch = next(iter(torch.utils.data.DataLoader(pairs, batch_size=4)))
    assert batch["body_pose"].shape == (4, 2, 21, 3)


def test_a_second_review_that_judges_otherwise_halves_the_weight(workspace, photographs, tmp_path) -> None:
    workspace.reviews.assign(photographs[0], "bob")
    review = workspace.reviews.next("bob")
    workspace.reviews.judge(review.id, Decision(verdict=Verdict.REJECT, curator="bob"))
    export(workspace, tmp_path / "out", ExportOptions(form=Form.TRAINING))
    assert TrainingPairs(tmp_path / "out").weights.tolist() == [0.5, 1.0, 1.0, 1.0]


def test_training_data_has_its_splits_in_files_of_their_own(workspace, photographs, tmp_path) -> None:
    splits = parse_splits("train=0.5,test=0.5")
    manifest = export(workspace, tmp_path / "out", ExportOptions(form=Form.TRAINING, where=EVERY, splits=splits))
    read = {name: TrainingPairs(tmp_path / "out", name).tensors["pair"].tolist() for name in splits}
    assert {name: len(pairs) for name, pairs in read.items()} == manifest.splits
    assert sorted(read["train"] + read["test"]) == photographs
    with pytest.raises(InputError, match="no training data of the split 'val'"):
        TrainingPairs(tmp_path / "out", "val")


def test_mutated_training_data_gives_typed_errors(workspace, photographs, tmp_path) -> None:
    export(workspace, tmp_path / "out", ExportOptions(form=Form.TRAINING, where=EVERY))
    path = tmp_path / "out" / "pairs-00000.safetensors"
    good, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    length = int.from_bytes(good[:8], "little")
    for _ in range(500):
        data = bytearray(good)
        for place in rng.integers(0, min(len(data), 8 + length if rng.random() < 0.8 else len(data)), size=3):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data))
        try:
            assert len(TrainingPairs(tmp_path / "out")) >= 0
        except (FormatError, InputError):
            refused += 1
    assert refused > 300


# Names, cards, filters ------------------------------------------------------------------------------------------------


def test_pseudonyms_are_stable_and_hide_every_name(workspace, photographs, tmp_path) -> None:
    options = {form: ExportOptions(form=form, where=EVERY, pseudonyms=True) for form in (Form.APU, Form.CSV)}
    curators = [set(export(workspace, tmp_path / form, each).curators) for form, each in options.items()]
    assert curators[0] == curators[1]
    assert len(curators[0]) == 2
    for path in tmp_path.glob("apu/*.*"):
        assert b'"ada"' not in path.read_bytes()
    for path in tmp_path.glob("csv/*"):
        assert b",ada," not in path.read_bytes()
    with workspace.database.read() as connection:
        key = secret(connection)
    assert len(key) == 32
    for path in (path for form in options for path in (tmp_path / form).rglob("*") if path.is_file()):
        assert key not in path.read_bytes()
        assert key.hex().encode() not in path.read_bytes().lower()


def test_the_card_answers_the_papers_questions_from_the_data(workspace, photographs, tmp_path) -> None:
    about = {"licence": "CC BY-NC 4.0", "contact": "pairs@example.org"}
    export(workspace, tmp_path / "out", ExportOptions(where=EVERY, about=about))
    card = (tmp_path / "out" / "README.md").read_text()
    for title in ("Motivation", "Composition", "Collection process", "Preprocessing, cleaning, labelling", "Uses",
                  "Distribution", "Maintenance"):  # fmt: skip
        assert f"\n## {title}\n" in card
    assert "8 pairs in 7 images: 8 simulated, 0 of photographs" in card
    assert "accepted 4, fitted 3, flagged 1" in card
    assert "CC BY-NC 4.0" in card
    assert "pairs@example.org" in card
    assert "ada 4, bob 1" in card
    assert "Not recorded in the workspace" in card, "what no database knows is left open, not invented"
    with pytest.raises(ValueError, match="about must answer"):
        ExportOptions(about={"colour": "red"})


def test_hostile_text_stays_text_in_the_card(workspace, pair, toys, tmp_path) -> None:
    workspace.add_fit(pair, toys.fit(), revision=1)
    workspace.decide(pair, Decision(verdict=Verdict.ACCEPT, curator="<script>alert(1)</script>\n# ada"), revision=1)
    export(workspace, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "<script" not in card
    assert "\n# ada" not in card


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (PairFilter(states=frozenset({PairState.FLAGGED})), [4]),
        (PairFilter(curator="bob"), [4]),
        (PairFilter(text="photo_3"), [3]),
        (PairFilter(simulated=True), list(range(8))),
        (PairFilter(source="demo", curator="ada"), [0, 1, 2, 3]),
    ],
)
def test_filters_choose_the_pairs(workspace, photographs, where, expected, tmp_path) -> None:
    export(workspace, tmp_path / "out", ExportOptions(form=Form.CSV, where=where))
    with (tmp_path / "out" / "pairs.csv").open(newline="") as file:
        assert [int(row["pair"]) for row in csv.DictReader(file)] == [photographs[i] for i in expected]


def test_a_lost_fit_takes_only_its_bodies_along(workspace, photographs, tmp_path) -> None:
    with workspace.database.write() as connection:
        (file,) = connection.execute("SELECT file FROM fits WHERE pair_id = ?", photographs[:1]).fetchone()
        connection.execute("INSERT INTO lost_files VALUES (?, '')", (file,))
    (workspace.path / "artefacts" / file).unlink()
    manifest = export(workspace, tmp_path / "out", ExportOptions(unfitted=True))
    entry = read_export(tmp_path / "out").pairs[0].entry
    assert (manifest.pairs, entry["fit"], entry["decision"]["fit"], entry["state"]) == (4, None, None, "accepted")
    assert export(workspace, tmp_path / "fitted").skipped == (photographs[0],)


def test_an_export_stays_out_of_the_workspace(workspace, photographs) -> None:
    with pytest.raises(StoreError, match="lies in the workspace; choose a folder outside"):
        export(workspace, workspace.path / "out")


def test_options_that_contradict_the_layout_are_refused() -> None:
    with pytest.raises(ValueError, match="no place for photographs"):
        ExportOptions(form=Form.SMPLX, images=True)
    with pytest.raises(ValueError, match="consists of fits"):
        ExportOptions(form=Form.GLB, unfitted=True)


@pytest.mark.parametrize("form", [form for form in Form])
def test_equal_data_give_equal_bytes_in_every_layout(workspace, photographs, bodies, form, tmp_path) -> None:
    options = ExportOptions(form=form, where=PairFilter(text="photo_0"), splits={"train": 0.5, "test": 0.5})
    manifests = [export(workspace, tmp_path / name, options, bodies=bodies) for name in ("one", "two")]
    assert manifests[0].files == manifests[1].files
    assert {"README.md", "pairs.csv"} < set(manifests[0].files)


def test_an_export_of_another_layout_is_not_read_back(workspace, photographs, tmp_path) -> None:
    export(workspace, tmp_path / "out", ExportOptions(form=Form.CSV))
    with pytest.raises(StoreError, match="only the form apu can be read back"):
        read_export(tmp_path / "out")


def test_paths_of_photographs_with_one_name_do_not_meet(workspace, photographs, toys, tmp_path) -> None:
    twin = Path(tmp_path / "other" / "photo_0.png")
    twin.parent.mkdir()
    PIL.Image.new("RGB", (640, 480), (1, 2, 3)).save(twin)
    image = workspace.add_image(twin, size=(640, 480), source="demo")
    pair = workspace.add_pair(image, toys.observation(70, twin.name))
    export(workspace, tmp_path / "out", ExportOptions(form=Form.COCO, where=EVERY, unfitted=True, images=True))
    names = sorted(path.name for path in (tmp_path / "out" / "images").glob("photo_0*"))
    assert len(names) == 2
    assert pair not in photographs
