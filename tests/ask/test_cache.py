import json
from dataclasses import replace

import pytest

from apu.ask import ask_keypoints, cached, parse_answer
from apu.errors import AnswerError

from .conftest import answer_with

IDENTITY = {"endpoint": "http://here", "model": "m", "temperature": None}


class Counting:
    """An asker that counts its calls and answers, or fails, as told."""

    def __init__(self, text):
        self.text, self.calls = text, 0

    def __call__(self, question):
        self.calls += 1
        return parse_answer(
            self.text, model="m", prompt_id=question.prompt.id, usage={"total_tokens": 3}, seconds=1.5, asked_at="now"
        )


def test_the_same_question_is_asked_once_and_the_answer_is_the_same(tmp_path, ask_about):
    asker = Counting(answer_with())
    ask = cached(asker, tmp_path / "new", identity=IDENTITY)
    first, second = ask(ask_about()), ask(ask_about())
    assert asker.calls == 1
    assert first == second
    assert cached(asker, tmp_path / "new", identity=IDENTITY)(ask_about()) == first
    assert asker.calls == 1


def test_whatever_could_change_the_answer_is_asked_anew(tmp_path, ask_about):
    asker = Counting(answer_with())
    question = ask_about()
    other_prompt = replace(question.prompt, template=question.prompt.template + "!")
    questions = [question, ask_about(shade=7), ask_about(action="hug"), replace(question, prompt=other_prompt)]
    for asked in (*questions, replace(question, crop=question.crop.reshape(60, 40, 3))):
        cached(asker, tmp_path, identity=IDENTITY)(asked)
    for change in ({"model": "n"}, {"endpoint": "http://there"}, {"temperature": 1.0}):
        cached(asker, tmp_path, identity={**IDENTITY, **change})(question)
    cached(asker, tmp_path, identity=IDENTITY, sample=1)(question)
    assert asker.calls == 9
    assert len(list(tmp_path.iterdir())) == 9


def test_a_failure_is_not_kept(tmp_path, ask_about):
    asker = Counting("no")
    ask = cached(asker, tmp_path, identity=IDENTITY)
    for _ in range(2):
        with pytest.raises(AnswerError):
            ask(ask_about())
    asker.text = answer_with()
    assert ask(ask_about()).contacts
    assert asker.calls == 3


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"raw": "no"}', b'{"raw": 3}', b"\xff"])
def test_a_damaged_file_is_asked_anew_and_mended(tmp_path, ask_about, damage):
    asker = Counting(answer_with())
    ask = cached(asker, tmp_path, identity=IDENTITY)
    ask(ask_about())
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    assert ask(ask_about()).contacts
    assert ask(ask_about()).contacts
    assert asker.calls == 2
    assert json.loads(path.read_bytes())["model"] == "m"


def test_any_function_can_be_kept(tmp_path, ask_about):
    ask = cached(lambda q: replace(ask_keypoints(q), raw=""), tmp_path, identity={})
    assert ask(ask_about()).contacts == ()
    assert ask(ask_about()).interaction.startswith("unknown")
