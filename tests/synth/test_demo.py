import json
from collections import Counter

import numpy as np
import PIL.Image
import pytest

from apu.ask.schema import parse_answer
from apu.formats import gather, read_bev, read_openpose
from apu.propose import propose
from apu.synth import load_recipes, write_demo
from apu.types import BodyParams

STEMS = list(load_recipes())


@pytest.fixture(scope="session")
def gathered(demo, body):
    folders = {name: demo / name for name in ("images", "keypoints", "meshes")}
    return {found.path.stem: found for found in gather(**folders, body=body)}


@pytest.fixture(scope="session")
def answers(demo):
    texts = {stem: (demo / "answers" / f"{stem}_contacts.json").read_text(encoding="utf-8") for stem in STEMS}
    return {stem: parse_answer(text, model="file", simulated=True) for stem, text in texts.items()}


def test_the_real_readers_take_every_file(gathered):
    assert set(gathered) == set(STEMS)
    for stem, found in gathered.items():
        assert found.image.rgb.shape == (960, 1280, 3)
        assert found.people.keypoints.shape[0] == 2, stem
    # A person whose detected and estimated limbs disagree starts from the keypoints.
    assert np.mean([found.people.estimate.valid for found in gathered.values()]) > 0.9


def test_every_scene_is_proposed_as_one_pair_with_the_left_person_first(gathered, demo, body):
    for stem, found in gathered.items():
        people = found.people
        (pair,) = propose(people.keypoints, people.estimate, people.camera, image=found.path.name).pairs
        true = body.forward(BodyParams(**np.load(demo / "truth" / f"{stem}.npz"))).joints[:, :22]
        known = pair.estimate.valid
        error = np.linalg.norm(pair.estimate.joints - true, axis=-1)[known]
        assert error.mean() < 0.5, stem
        assert np.linalg.norm((pair.estimate.joints - true)[known, 0, :2], axis=-1).max() < 0.25, stem


def test_keypoints_lie_in_the_picture(demo):
    for stem in STEMS:
        people = read_openpose(demo / "keypoints" / f"{stem}_keypoints.json")
        marked = people[people[..., 2] > 0]
        assert (marked[:, :2] >= 0).all()
        assert (marked[:, :2] < (1280, 960)).all()


def test_meshes_carry_the_camera_they_were_seen_with(demo):
    camera = read_bev(demo / "meshes" / "hug_bev.npz").camera
    assert (camera.width, camera.height) == (1280, 960)
    assert camera.K[0, 0] == pytest.approx(1280 / 2 / np.tan(np.pi / 6), rel=1e-4)


def test_answers_hold_wrong_sides_misses_and_inventions(answers):
    wrong = missed = invented = 0
    for stem, recipe in load_recipes().items():
        true = Counter(contact.parts for contact in recipe.true_contacts)
        named = Counter(names(parts) for parts in true.elements())
        stated = Counter(contact.parts for contact in answers[stem].contacts)
        told = Counter(names(parts) for parts in stated.elements())
        missed += (named - told).total()
        invented += (told - named).total()
        wrong += (named & told).total() - (true & stated).total()
    assert wrong >= 4
    assert missed >= 1
    assert invented >= 1


def names(parts):
    return tuple(part.name for part in parts)


def test_everything_says_that_it_is_simulated(demo, answers):
    for stem in STEMS:
        for folder, name in (("keypoints", f"{stem}_keypoints"), ("answers", f"{stem}_contacts"), ("truth", stem)):
            assert json.loads((demo / folder / f"{name}.json").read_text())["simulated"] is True
        with PIL.Image.open(demo / "images" / f"{stem}.jpg") as image:
            assert image.getexif()[0x010E].startswith("Simulated")
    assert json.loads(answers["hug"].raw)["model"] == "simulated answers (no model)"


def test_the_same_seed_gives_the_same_files_and_another_seed_others(demo, body, tmp_path):
    for seed in (0, 1):
        assert write_demo(tmp_path / str(seed), seed=seed, scenes=["hug", "whisper"], body=body) == ["hug", "whisper"]
    files = sorted(path.relative_to(tmp_path / "0") for path in (tmp_path / "0").rglob("*.*"))
    assert len(files) == 12
    for path in files:
        content = (tmp_path / "0" / path).read_bytes()
        assert content == (demo / path).read_bytes(), path
        noisy = path.parts[0] in ("keypoints", "meshes", "answers")
        assert (content != (tmp_path / "1" / path).read_bytes()) == noisy, path
