"""The main job on the two real photographs (not part of the project; see the `real` fixture)."""

from dataclasses import dataclass

import numpy as np
import pytest

from apu.ask import Replay
from apu.body.model import BodyModel
from apu.body.regions import regions_of
from apu.formats.images import read_image
from apu.formats.people import read_people
from apu.metrics import contact_gaps, penetration_depth, reprojection_error
from apu.pipeline import Reconstruction, reconstruct
from apu.types import SMPL_JOINTS

pytestmark = pytest.mark.real

JOINT = {name: i for i, name in enumerate(SMPL_JOINTS)}


@dataclass(frozen=True)
class Case:
    """A reconstruction with its meshes before and after."""

    found: list[Reconstruction]
    joints: np.ndarray
    vertices: np.ndarray


@pytest.fixture(scope="module", params=["image_1", "image_5"])
def case(request: pytest.FixtureRequest, real, body: BodyModel) -> Case:
    stem = request.param
    photograph = read_image(real / f"{stem}.jpg")
    files = {"keypoints": real / f"{stem}_keypoints.json", "meshes": real / f"{stem}_0.08.npz"}
    people = read_people(f"{stem}.jpg", (photograph.width, photograph.height), files)
    found = list(reconstruct(photograph.rgb, people, Replay(real), body, image=f"{stem}.jpg"))
    posed = body.forward(found[0].fit.params)
    return Case(found, posed.joints, posed.vertices)


def test_the_one_pair_is_found_with_the_left_person_first(case: Case) -> None:
    (pair,) = case.found
    centre = pair.observation.boxes[:, [0, 2]].mean(1)
    assert centre[0] < centre[1]
    assert pair.observation.estimate.valid.all()


def test_sides_that_a_person_annotated_stay(case: Case) -> None:
    assert not any(check.flip for check in case.found[0].checks)


def test_the_meshes_lie_on_the_keypoints(case: Case, body: BodyModel) -> None:
    pair = case.found[0]
    before = reprojection_error(body.keypoints(pair.fit.start), pair.observation)[0]
    assert (pair.fit.reprojection_512 < 20).all()
    assert (pair.fit.reprojection_512 < before).all()
    assert pair.fit.kept


def test_confident_contacts_are_closed(case: Case, body: BodyModel) -> None:
    pair = case.found[0]
    gaps = contact_gaps(case.vertices, pair.answer.contacts, regions_of(body))
    sure = np.array([contact.confidence >= 0.6 for contact in pair.answer.contacts])
    assert sure.any()
    assert gaps[sure].max() <= 0.03


def test_nobody_is_inside_the_other(case: Case, body: BodyModel) -> None:
    assert penetration_depth(case.vertices, body.skin_faces)[0] <= 0.03


def test_both_people_stand_upright(case: Case) -> None:
    """Pelvis to neck, and ankles to head, within 20 degrees of the image's vertical (the camera is level)."""
    ankles = case.joints[:, [JOINT["left_ankle"], JOINT["right_ankle"]]].mean(1)
    for low, high in (
        (case.joints[:, JOINT["pelvis"]], case.joints[:, JOINT["neck"]]),
        (ankles, case.joints[:, JOINT["head"]]),
    ):
        up = high - low
        lean = np.degrees(np.arccos(-up[:, 1] / np.linalg.norm(up, axis=1)))
        assert (lean < 20).all(), lean


def test_the_hidden_hand_of_the_side_hug_is_behind_the_other_back(case: Case, body: BodyModel) -> None:
    if case.found[0].observation.image != "image_5.jpg":
        assert case.found[0].observation.image == "image_1.jpg"  # nobody's back is touched there
        return
    hand = case.joints[0, JOINT["left_wrist"]]
    torso = case.vertices[1][body.smplx.lbs_weights[:, :16].sum(1).numpy() > 0.9]
    level = torso[np.abs(torso[:, 1] - hand[1]) < 0.1]
    assert hand[2] > np.median(level[:, 2]), "the wrist must be further from the camera than the torso's middle"
    across = level[:, 0].min() - 0.1 < hand[0] < level[:, 0].max()
    assert across, "the wrist must be behind the torso, not beside it"
