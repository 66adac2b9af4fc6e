import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apu.ask import FAILURES, answer_schema, answer_text, parse_answer
from apu.ask.schema import SYNONYMS
from apu.body.parts import PARTS
from apu.errors import AnswerError
from apu.types import BodyPart, Contact, ContactAnswer, Side

from .conftest import ANSWER, answer_with, contact


def parts_of(text):
    return [c.parts for c in parse_answer(text, model="m").contacts]


def contacts_or_none(text):
    try:
        return parse_answer(text, model="m").contacts
    except AnswerError:
        return None


def status_of(text):
    with pytest.raises(AnswerError) as caught:
        parse_answer(text, model="m")
    assert caught.value.raw == text
    assert caught.value.status in FAILURES
    return caught.value.status


def test_a_good_answer_is_read_as_stated_and_its_text_is_kept():
    text = answer_with()
    answer = parse_answer(text, model="m", prompt_id="p-1", usage={"total_tokens": 7}, seconds=1.5, asked_at="now")
    assert answer.contacts == (
        Contact(parts=(BodyPart(name="hand", side=Side.LEFT), BodyPart(name="back")), confidence=0.8),
    )
    assert (answer.interaction, answer.orientation) == ("hugging", "front to front")
    assert answer.people == ("woman in red", "child in blue")
    assert (answer.raw, answer.model, answer.prompt_id, answer.usage) == (text, "m", "p-1", {"total_tokens": 7})


@given(
    st.lists(
        st.builds(
            Contact,
            parts=st.tuples(*[st.builds(BodyPart, name=st.sampled_from(PARTS), side=st.sampled_from(Side))] * 2),
            confidence=st.integers(0, 1000).map(lambda n: n / 1000),
        ),
        max_size=8,
        unique_by=lambda c: c.parts,
    )
)
def test_every_answer_survives_writing_and_reading(contacts):
    stated = ContactAnswer(
        interaction="a", people=("b", "ü"), orientation="c", contacts=tuple(contacts), raw="", model="m", prompt_id=""
    )
    assert parse_answer(answer_text(stated), model="m").contacts == stated.contacts


@pytest.mark.parametrize("spelling", ["Upper Arm", "upper_arm", " upper-arm ", "UPPER  ARM", "upperarm", "upper arms"])
def test_spelling_of_a_part_does_not_matter(spelling):
    text = answer_with(contacts=[contact((spelling, "Left"), ("Lower Back", "RIGHT"))])
    assert parts_of(text) == [(BodyPart(name="upper arm", side=Side.LEFT), BodyPart(name="back", side=Side.RIGHT))]


@pytest.mark.parametrize("side", [None, "", "none", "N/A", "null", "center", "middle", "Both"])
def test_a_part_without_a_side_means_both(side):
    assert parts_of(answer_with(contacts=[contact(("chest", side), ("hand", "left"))]))[0][0].side is Side.BOTH


def test_code_fence_numeric_strings_and_further_keys_are_harmless():
    value = {**ANSWER, "note": "hello", "contacts": [{**contact(("hand", "left"), ("neck", None), "0.25"), "why": 1}]}
    assert parse_answer(f"```json\n{json.dumps(value)}\n```\n", model="m").contacts[0].confidence == 0.25


def test_a_contact_stated_twice_is_one_and_the_surer():
    twice = [contact(("hand", "left"), ("hand", "right"), c) for c in (0.3, 0.9, 0.5)]
    (only,) = parse_answer(answer_with(contacts=twice), model="m").contacts
    assert only.confidence == 0.9


def test_synonyms_lead_into_the_seventeen():
    assert set(SYNONYMS.values()) <= set(PARTS)
    assert not set(SYNONYMS) & set(PARTS)


def test_no_contacts_are_an_answer_if_the_rest_is_there():
    assert parse_answer(answer_with(contacts=[]), model="m").contacts == ()
    assert status_of('{"contacts": []}') == "wrong_schema"
    assert status_of(answer_with(contacts=[], interaction=" ")) == "wrong_schema"


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_no_text_is_empty(text):
    assert status_of(text) == "empty"


@pytest.mark.parametrize(
    "text",
    [
        "They are hugging; her left hand is on his back.",
        answer_with()[:-20],
        answer_with() + answer_with(),
        answer_with(contacts=[contact(("tail", "left"), ("back", "both"))]),
        answer_with(contacts=[contact(("hand", "upper"), ("back", "both"))]),
        answer_with(contacts=[contact(("hand", "left"), ("back", "both"), 1.2)]),
        answer_with(contacts=[contact(("hand", "left"), ("back", "both"), -0.1)]),
        answer_with(contacts=[contact(("hand", "left"), ("back", "both"), float("nan"))]),
        "[" * 100_000,
    ],
)
def test_prose_and_values_that_do_not_exist_are_invalid(text):
    assert status_of(text) == "invalid"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '"hugging"',
        "{}",
        answer_with(contacts=None),
        answer_with(contacts={"left": "hand"}),
        answer_with(people=["a", "b"]),
        answer_with(contacts=[contact(("hand", "left"), ("back", "both"), "sure")]),
        answer_with(contacts=[contact((7, "left"), ("back", "both"))]),
        answer_with(contacts=[{"confidence": 1}]),
        answer_with(contacts=[contact(("hand", "left"), ("back", "both"))] * 101),
    ],
)
def test_json_of_another_shape_is_wrong_schema(text):
    assert status_of(text) == "wrong_schema"


def test_one_unknown_part_spoils_the_answer_and_is_named():
    bad = [contact(("hand", "left"), ("back", "both")), contact(("hand", "left"), ("tentacle", "both"))]
    with pytest.raises(AnswerError, match=r"contacts\.1\.body_part_person_right\.part_name: 'tentacle'"):
        parse_answer(answer_with(contacts=bad), model="m")


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists))
def test_whatever_a_model_writes_it_is_an_answer_or_an_answer_error(value):
    text = value if isinstance(value, str) else json.dumps({**ANSWER, "contacts": value})
    assert contacts_or_none(text) in ((), None)


def test_the_schema_allows_what_the_prompt_lists_and_demands_every_key():
    def walk(node):
        if node.get("type") == "object":
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False
        for child in [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]:
            walk(child)

    schema = answer_schema()
    walk(schema)
    part = schema["properties"]["contacts"]["items"]["properties"]["body_part_person_left"]["properties"]
    assert tuple(part["part_name"]["enum"]) == PARTS
    assert set(part["body_side"]["enum"]) == {"left", "right", "both"}
