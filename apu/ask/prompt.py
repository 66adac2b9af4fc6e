"""The prompt: versioned text and one in-context example, shipped as files in assets/prompts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from string import Template

from apu.body.parts import PARTS
from apu.files import asset

EXAMPLE, PHOTOGRAPH = "[[example]]", "[[photograph]]"
"""Where the text of a prompt shows the example's picture and the picture in question."""

_FORMAT = """{"interaction": "...",
 "people": {"person_left": "...", "person_right": "..."},
 "orientation": "...",
 "contacts": [
  {"body_part_person_left": {"part_name": "...", "body_side": "left, right or both"},
   "body_part_person_right": {"part_name": "...", "body_side": "left, right or both"},
   "confidence": 0.0 to 1.0}]}"""
_MAX_ACTION = 100


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a model is told, apart from the picture in question.

    Attributes:
        name: of the text's version, e.g. ``"contacts-1"``.
        template: the text; `EXAMPLE` and `PHOTOGRAPH` mark its pictures; ``$parts``, ``$format``, ``$answer`` and
            ``$scene`` are filled in.
        example_image: a PNG file's bytes. example_answer: the right answer to it, JSON.
    """

    name: str
    template: str
    example_image: bytes
    example_answer: str

    @cached_property
    def id(self) -> str:
        """Name and hash of everything that could change an answer: text, parts, format, example."""
        content = json.dumps(
            [self.template, PARTS, _FORMAT, self.example_answer, sha256(self.example_image).hexdigest()]
        )
        return f"{self.name}-{sha256(content.encode()).hexdigest()[:8]}"

    def pieces(self, action: str = "") -> Sequence[str]:
        """The text for one question, cut at its pictures: `EXAMPLE` and `PHOTOGRAPH` stand alone among the pieces.

        Args:
            action: the data's own label of what the two people do, if any.
        """
        label = " ".join(action.split())[:_MAX_ACTION]
        scene = f'The data\'s label for what these two people do is "{label}".' if label else ""
        values = {"parts": ", ".join(PARTS), "format": _FORMAT, "answer": self.example_answer, "scene": scene}
        before, rest = self.template.split(EXAMPLE)
        between, after = rest.split(PHOTOGRAPH)
        first, second, third = (Template(text.strip()).substitute(values).strip() for text in (before, between, after))
        return first, EXAMPLE, second, PHOTOGRAPH, third


def load_prompt(name: str = "contacts-1", folder: Path | None = None) -> Prompt:
    """A prompt by its version.

    Args:
        name: file name without ``.md``.
        folder: holds the text, example.png and example.json; None: the shipped ones.
    """
    folder = folder or asset("prompts")
    return Prompt(
        name=name,
        template=(folder / f"{name}.md").read_text("utf-8"),
        example_image=(folder / "example.png").read_bytes(),
        example_answer=(folder / "example.json").read_text("utf-8").strip(),
    )
