"""Ask nothing twice: answers kept as JSON files under the hash of everything they depend on."""

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from apu.ask.question import Asker, Question
from apu.ask.schema import answer_schema, answer_text, parse_answer
from apu.errors import AnswerError, InputError
from apu.files import MIB, atomic_write, read_json
from apu.types import ContactAnswer

_KEPT = ("model", "prompt_id", "usage", "seconds", "asked_at", "simulated")


def cached(asker: Asker, folder: Path, *, identity: Mapping[str, Any], sample: int = 0, fresh: bool = False) -> Asker:
    """An asker that looks into a folder first and keeps every answer there; failures are not kept.

    Args:
        asker: is asked where the folder has no answer.
        folder: is made if missing.
        identity: what the answer depends on besides the question, e.g. `OpenAIAsker.identity`.
        sample: further answers to the same question are kept apart by this number.
        fresh: ask anew even where the folder has an answer; the new one takes its place.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def ask(question: Question) -> ContactAnswer:
        path = folder / f"{cache_key(question, identity, sample)}.json"
        kept = _read(path) if path.exists() and not fresh else None
        if kept is not None:
            return kept
        answer = asker(question)
        kept = {"raw": answer.raw or answer_text(answer), **{name: getattr(answer, name) for name in _KEPT}}
        atomic_write(path, json.dumps(kept, ensure_ascii=False, default=dict).encode())
        return answer

    return ask


def cache_key(question: Question, identity: Mapping[str, Any], sample: int) -> str:
    """Hash of the picture, prompt, action, answer format, asker and sample number."""
    parts = [
        [list(question.crop.shape), sha256(question.crop.tobytes()).hexdigest()],
        [question.prompt.id, question.prompt.pieces(question.action)],
        sha256(question.prompt.example_image).hexdigest(),
        answer_schema(),
        dict(identity),
        sample,
    ]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> ContactAnswer | None:
    """The kept answer, or nothing where the file is damaged: then it is asked anew."""
    try:
        kept = read_json(path, max_bytes=4 * MIB)
        return replace(parse_answer(kept.pop("raw"), model=""), **{name: kept[name] for name in _KEPT})
    except (InputError, AnswerError, AttributeError, KeyError, TypeError):
        return None
