import json

import pytest

from apu.ask import Replay
from apu.errors import AnswerError

from .conftest import ANSWER, answer_with


def test_an_answer_is_found_by_the_photographs_stem(tmp_path, ask_about):
    (tmp_path / "photo.json").write_text(answer_with(interaction="second choice"))
    assert Replay(tmp_path)(ask_about()).interaction == "second choice"
    (tmp_path / "photo_contacts.json").write_text(answer_with())
    answer = Replay(tmp_path)(ask_about(image="somewhere/photo.png"))
    assert answer.interaction == "hugging"
    assert (answer.model, answer.simulated) == ("photo_contacts.json", False)
    assert answer.raw == answer_with()


def test_a_file_may_say_who_answered_and_that_it_is_simulated(tmp_path, ask_about):
    (tmp_path / "photo.json").write_text(json.dumps({**ANSWER, "simulated": True, "model": "noise"}))
    answer = Replay(tmp_path)(ask_about())
    assert (answer.model, answer.simulated) == ("noise", True)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (None, "missing"),
        (b"", "empty"),
        (b"\xff\xfe\x00", "invalid"),
        (b'{"people": [{"pose_keypoints_2d": []}]}', "wrong_schema"),
        (b" " * (2 << 20), "invalid"),
    ],
)
def test_a_file_without_an_answer_is_a_failure_of_its_kind(tmp_path, ask_about, content, status):
    if content is not None:
        (tmp_path / "photo.json").write_bytes(content)
    with pytest.raises(AnswerError) as caught:
        Replay(tmp_path)(ask_about())
    assert caught.value.status == status
