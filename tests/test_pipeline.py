"""The whole method on a simulated photograph, without a workspace."""

from pathlib import Path

import numpy as np
import pytest

from apu.ask import Question, Replay
from apu.body.model import BodyModel
from apu.errors import AnswerError
from apu.formats.images import read_image
from apu.formats.people import People, read_people
from apu.pipeline import reconstruct
from apu.synth.demo import write_demo
from apu.types import BodyPart, Contact, ContactAnswer, Side


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, body: BodyModel) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_demo(folder, scenes=["handshake"], body=body)
    return folder


@pytest.fixture(scope="module")
def photograph(files: Path) -> np.ndarray:
    return read_image(files / "images" / "handshake.jpg").rgb


@pytest.fixture(scope="module")
def people(files: Path, photograph: np.ndarray) -> People:
    inputs = {
        "keypoints": files / "keypoints" / "handshake_keypoints.json",
        "meshes": files / "meshes" / "handshake_bev.npz",
    }
    return read_people("handshake.jpg", photograph.shape[1::-1], inputs)


def test_from_photograph_to_meshes(photograph: np.ndarray, people: People, files: Path, body: BodyModel) -> None:
    (found,) = reconstruct(photograph, people, Replay(files / "answers"), body, image="handshake.jpg")
    assert found.answer.simulated
    assert len(found.checks) == len(found.answer.contacts)
    assert found.fit.kept
    hands = [c for c in found.fit.contacts if c.parts[0].name == c.parts[1].name == "hand"]
    assert [str(part) for part in hands[0].parts] == ["right hand", "right hand"], "the denoiser corrects the sides"
    gap = found.fit.gaps_m[found.fit.contacts.index(hands[0])]
    assert gap < 0.02


def test_any_function_is_an_asker_and_hears_of_the_action(
    photograph: np.ndarray, people: People, body: BodyModel
) -> None:
    heard: list[Question] = []
    hand = BodyPart(name="hand", side=Side.RIGHT)

    def ask(question: Question) -> ContactAnswer:
        heard.append(question)
        return ContactAnswer(
            interaction="handshake", people=("a", "b"), orientation="front to front",
            contacts=(Contact(parts=(hand, hand), confidence=0.8),), raw="{}", model="test", prompt_id="none",
        )  # fmt: skip

    (found,) = reconstruct(photograph, people, ask, body, image="handshake.jpg", action="shaking hands")
    assert [question.action for question in heard] == ["shaking hands"]
    assert found.fit.max_gap_m < 0.02


def test_a_failed_answer_is_an_error_and_no_fit(photograph: np.ndarray, people: People, body: BodyModel) -> None:
    def refuse(_: Question) -> ContactAnswer:
        raise AnswerError("refused", "the model refused")

    with pytest.raises(AnswerError, match="refused"):
        list(reconstruct(photograph, people, refuse, body, image="handshake.jpg"))
