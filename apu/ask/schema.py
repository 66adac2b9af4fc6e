"""The answer format of the paper (supplement C): what is asked for, and what is accepted.

Strict where a guess could put a wrong contact into the data, tolerant where it could not:

- upper and lower case, ``_`` or ``-`` for a space, and a code fence around the JSON do not matter;
- a side of null, ``""``, ``"none"``, ``"n/a"``, ``"center"`` or ``"middle"`` is ``"both"``;
- the names in `SYNONYMS` stand for the part that contains them; any other unknown name spoils the whole answer;
- a confidence may be a numeric string; keys that were not asked for are ignored;
- of contacts stated twice the more confident stays.

An empty list of contacts is an answer only if everything else is there.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from apu.body.parts import PARTS
from apu.errors import AnswerError
from apu.types import BodyPart, Contact, ContactAnswer, Side

SYNONYMS: Mapping[str, str] = {
    "finger": "hand", "fingers": "hand", "palm": "hand", "wrist": "hand", "lower arm": "forearm",
    "upperarm": "upper arm", "upper back": "back", "lower back": "back", "belly": "stomach", "abdomen": "stomach",
    "hip": "waist", "hips": "waist", "cheek": "face", "chin": "face", "forehead": "face", "mouth": "face",
    "nose": "face", "ear": "head", "hair": "head", "lower leg": "leg", "calf": "leg", "shin": "leg",
    "ankle": "foot", "heel": "foot", "toes": "foot", "feet": "foot",
    **{f"{name}s": name for name in PARTS if name != "foot"},
}  # fmt: skip
"""Names outside the 17 that are understood, each lying within the part it stands for."""

_UNSIDED = frozenset({"", "none", "n/a", "null", "center", "centre", "middle"})
_FENCE = re.compile(r"\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_MAX_CONTACTS = 100
_VALUES = {"json_invalid", "unknown_part", "unknown_side", "greater_than_equal", "less_than_equal"}  # pydantic's names


def _part_name(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = " ".join(re.split(r"[\s_-]+", value.strip().lower()))
    name = SYNONYMS.get(name, name)
    if name not in PARTS:
        raise PydanticCustomError("unknown_part", "{name} is not one of the body parts", {"name": repr(value[:40])})
    return name


def _body_side(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        return value
    side = (value or "").strip().lower()
    side = "both" if side in _UNSIDED else side
    if side not in tuple(Side):
        raise PydanticCustomError("unknown_side", "{side} is not a body side", {"side": repr(side[:40])})
    return side


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class _Part(BaseModel):
    part_name: Annotated[str, BeforeValidator(_part_name)]
    body_side: Annotated[str, BeforeValidator(_body_side)]


class _Contact(BaseModel):
    body_part_person_left: _Part
    body_part_person_right: _Part
    confidence: float = Field(ge=0, le=1)


class _People(BaseModel):
    person_left: _Text
    person_right: _Text


class _Answer(BaseModel):
    interaction: _Text
    people: _People
    orientation: _Text
    contacts: list[_Contact] = Field(max_length=_MAX_CONTACTS)


def parse_answer(
    text: str,
    *,
    model: str,
    prompt_id: str = "",
    usage: Mapping[str, int] | None = None,
    seconds: float = 0.0,
    asked_at: str = "",
    simulated: bool = False,
) -> ContactAnswer:
    """Read a model's text; person 0 is its person on the left.

    Args:
        text: as it came; kept unchanged in `ContactAnswer.raw`.
        model: who wrote it.
        prompt_id: `Prompt.id` of the question.
        usage: token counts.
        seconds: duration of the request.
        asked_at: UTC, ISO 8601.
        simulated: made by this program, not by a model that saw a photograph.

    Raises:
        AnswerError: ``"empty"`` text; ``"invalid"``: no JSON, or values outside what was asked for; ``"wrong_schema"``:
            JSON of another shape.
    """
    if not text.strip():
        raise AnswerError("empty", f"{model} gave an empty answer; ask again", raw=text)
    fenced = _FENCE.fullmatch(text)
    try:
        answer = _Answer.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        raise _unusable(error, model, text) from None
    return ContactAnswer(
        interaction=answer.interaction,
        people=(answer.people.person_left, answer.people.person_right),
        orientation=answer.orientation,
        contacts=_contacts(answer),
        raw=text,
        model=model,
        prompt_id=prompt_id,
        usage=dict(usage or {}),
        seconds=seconds,
        asked_at=asked_at,
        simulated=simulated,
    )


def answer_text(answer: ContactAnswer) -> str:
    """An answer in the format that `parse_answer` reads."""
    contacts = [
        {
            **{
                f"body_part_person_{place}": {"part_name": part.name, "body_side": str(part.side)}
                for place, part in zip(("left", "right"), contact.parts, strict=True)
            },
            "confidence": round(contact.confidence, 3),
        }
        for contact in answer.contacts
    ]
    value = {
        "interaction": answer.interaction,
        "people": {"person_left": answer.people[0], "person_right": answer.people[1]},
        "orientation": answer.orientation,
        "contacts": contacts,
    }
    return json.dumps(value, indent=1, ensure_ascii=False)


def answer_schema() -> dict[str, Any]:
    """JSON schema of the answer for servers that constrain their output to one.

    Only what every such server understands: types, enumerations, required keys. Ranges are checked by `parse_answer`.
    """
    part = _object(
        part_name={"type": "string", "enum": list(PARTS)}, body_side={"type": "string", "enum": [str(s) for s in Side]}
    )
    contact = _object(body_part_person_left=part, body_part_person_right=part, confidence={"type": "number"})
    text = {"type": "string"}
    return _object(
        interaction=text,
        people=_object(person_left=text, person_right=text),
        orientation=text,
        contacts={"type": "array", "items": contact},
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _contacts(answer: _Answer) -> tuple[Contact, ...]:
    found: dict[tuple[BodyPart, ...], Contact] = {}
    for item in answer.contacts:
        a, b = (
            BodyPart(name=part.part_name, side=Side(part.body_side))
            for part in (item.body_part_person_left, item.body_part_person_right)
        )
        if (a, b) not in found or found[a, b].confidence < item.confidence:
            found[a, b] = Contact(parts=(a, b), confidence=item.confidence)
    return tuple(found.values())


def _unusable(error: ValidationError, model: str, text: str) -> AnswerError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    status = "invalid" if first["type"] in _VALUES else "wrong_schema"
    place = f" at {where}" if where else ""
    return AnswerError(
        status, f"{model} gave an answer that cannot be used{place}: {first['msg']}; ask again", raw=text
    )
