"""Answers from files: of an earlier run, another program, or a person who looked at the photographs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apu.ask.question import Question
from apu.ask.schema import parse_answer
from apu.errors import AnswerError, InputError
from apu.files import MIB, read_bytes
from apu.types import ContactAnswer


@dataclass(frozen=True)
class Replay:
    """Asker that reads ``STEM_contacts.json`` or ``STEM.json``, STEM being the photograph's.

    A file may say who answered (``"model": "..."``) and that nobody saw a photograph (``"simulated": true``).

    Args:
        folder: of the answers.

    Raises:
        AnswerError: on a call: ``"missing"``, or what `parse_answer` finds wrong.
    """

    folder: Path

    def __call__(self, question: Question) -> ContactAnswer:
        """The recorded answer for the question's photograph."""
        names = [f"{question.stem}_contacts.json", f"{question.stem}.json"]
        path = next((p for p in (self.folder / name for name in names) if p.is_file()), None)
        if path is None:
            raise AnswerError("missing", f"{self.folder} holds neither {names[0]} nor {names[1]}; add one of them")
        try:
            text = read_bytes(path, max_bytes=MIB).decode("utf-8-sig")
        except (InputError, UnicodeDecodeError) as error:
            raise AnswerError("invalid", f"{path} cannot be read as UTF-8 text: {error}") from None
        said = _object_of(text)
        model = str(said.get("model") or path.name)[:200]
        return parse_answer(text, model=model, simulated=said.get("simulated") is True)


def _object_of(text: str) -> dict[str, Any]:
    """The JSON object that a text is; without keys where it is none, which `parse_answer` reports better."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
