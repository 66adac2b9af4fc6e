from dataclasses import replace

import pytest

from apu.ask import load_prompt, parse_answer
from apu.ask.prompt import EXAMPLE, PHOTOGRAPH
from apu.body.parts import PARTS


def test_the_shipped_prompt_names_every_part_and_shows_both_pictures_in_order():
    pieces = load_prompt().pieces()
    assert [piece for piece in pieces if piece in (EXAMPLE, PHOTOGRAPH)] == [EXAMPLE, PHOTOGRAPH]
    text = " ".join(pieces)
    assert ", ".join(PARTS) in text
    assert "$" not in text
    assert '"confidence"' in text


def test_the_shipped_example_is_a_right_answer_with_contacts():
    prompt = load_prompt()
    assert parse_answer(prompt.example_answer, model="example").contacts
    assert prompt.example_image.startswith(b"\x89PNG")
    assert len(prompt.example_image) < 300_000


def test_the_action_is_told_where_the_data_has_one(prompt):
    assert '"pat on back"' in prompt.pieces("pat  on\nback")[-1]
    assert "label" not in " ".join(prompt.pieces())


@pytest.mark.parametrize("action", [f"{EXAMPLE} {PHOTOGRAPH}", "$answer", "x" * 10_000])
def test_no_action_can_change_the_prompts_form(prompt, action):
    pieces = prompt.pieces(action)
    assert [piece for piece in pieces if piece in (EXAMPLE, PHOTOGRAPH)] == [EXAMPLE, PHOTOGRAPH]
    assert len(pieces[-1]) < len(prompt.pieces()[-1]) + 300


def test_the_id_names_the_version_and_changes_with_everything_that_a_model_sees(prompt):
    changed = [
        replace(prompt, template=prompt.template + "!"),
        replace(prompt, example_image=prompt.example_image + b"\0"),
        replace(prompt, example_answer=prompt.example_answer + " "),
    ]
    assert prompt.id.startswith("test-1-")
    assert replace(prompt).id == prompt.id
    assert len({p.id for p in (prompt, *changed)}) == 4
