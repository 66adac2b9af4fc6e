import numpy as np
import pytest

from apu.ask import ask_keypoints, parse_answer
from apu.types import KEYPOINTS, BodyPart, Side, mirror_name

from .conftest import standing

MIRROR = [KEYPOINTS.index(mirror_name(name)) for name in KEYPOINTS]


def people(*, gap=100.0, confidence=0.9):
    return np.stack([standing((100, 100)), standing((100 + gap, 100), confidence)])


def reaching(target):
    """B's right arm stretched towards a point of the image."""
    keypoints = people()
    shoulder = keypoints[1, KEYPOINTS.index("right_shoulder"), :2]
    for index, name in enumerate(KEYPOINTS):
        if name == "right_elbow":
            keypoints[1, index, :2] = (shoulder + target) / 2 + (0, 10)
        elif name.startswith("right_") and (name == "right_wrist" or index >= 25):
            keypoints[1, index, :2] = target
    return keypoints


def found(ask_about, keypoints, **options):
    return ask_keypoints(ask_about(keypoints=keypoints), **options).contacts


def test_the_touching_parts_come_first_with_their_own_sides(ask_about):
    keypoints = reaching(standing((100, 100))[KEYPOINTS.index("left_shoulder"), :2])
    first = found(ask_about, keypoints)[0]
    assert first.parts == (BodyPart(name="shoulder", side=Side.LEFT), BodyPart(name="hand", side=Side.RIGHT))
    assert first.source == "keypoints"


def test_it_says_that_no_model_looked_and_its_text_reads_as_its_answer(ask_about):
    answer = ask_keypoints(ask_about(keypoints=people(gap=45)))
    assert answer.model == "keypoints (no vision model)"
    assert "2D proximity" in answer.interaction
    assert [c.parts for c in parse_answer(answer.raw, model="m").contacts] == [c.parts for c in answer.contacts]


def test_people_far_apart_or_unseen_give_no_contacts(ask_about):
    assert found(ask_about, people(gap=400)) == ()
    assert found(ask_about, people(gap=45, confidence=0.1)) == ()
    assert found(ask_about, np.zeros((2, 67, 3))) == ()


def test_nearer_is_surer_and_never_more_than_half_sure(ask_about):
    surest = [max((c.confidence for c in found(ask_about, people(gap=gap))), default=0.0) for gap in (54, 58, 62, 80)]
    assert surest == sorted(surest, reverse=True)
    assert 0 < surest[0] <= 0.5


def test_two_limbs_give_one_contact_and_no_limb_more_than_two(ask_about):
    contacts = found(ask_about, people(gap=30), limit=20)
    arm = {"hand", "shoulder", "forearm", "upper arm"}

    def limb(part):
        kind = "arm" if part.name in arm else "leg" if part.name in {"knee", "thigh", "leg"} else part.name
        return kind, part.side

    pairs = [tuple(map(limb, c.parts)) for c in contacts]
    assert len(set(pairs)) == len(pairs) > 3
    for person in (0, 1):
        limbs = [pair[person] for pair in pairs]
        assert max(map(limbs.count, limbs)) <= 2
    assert len(found(ask_about, people(gap=30), limit=2)) == 2


def test_who_is_seen_from_behind_is_touched_on_the_back(ask_about):
    keypoints = reaching(np.array([84.0, 66.0]))
    assert BodyPart(name="chest") in {c.parts[0] for c in found(ask_about, keypoints)}
    keypoints[0] = keypoints[0, MIRROR]
    assert BodyPart(name="back") in {c.parts[0] for c in found(ask_about, keypoints)}


@pytest.mark.parametrize("scale", [0.1, 7.0])
def test_swapping_mirroring_and_scaling_change_nothing_else(ask_about, scale):
    keypoints = people(gap=37) + np.random.default_rng(3).normal(0, 2, (2, 67, 3)) * (1, 1, 0)
    contacts = found(ask_about, keypoints)
    assert contacts
    assert {c.parts for c in found(ask_about, keypoints[::-1])} == {c.swapped.parts for c in contacts}
    mirrored = keypoints[:, MIRROR] * (-1, 1, 1)
    assert {c.parts for c in found(ask_about, mirrored)} == {c.flipped.parts for c in contacts}
    moved = keypoints * (scale, scale, 1) + (30, -8, 0)
    assert [c.parts for c in found(ask_about, moved)] == [c.parts for c in contacts]
