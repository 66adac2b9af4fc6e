"""Ask a vision-language model where two people touch; an asker is any function from `Question` to `ContactAnswer`."""

from collections.abc import Mapping
from types import MappingProxyType

from apu.ask.batch import Budget, ask_all
from apu.ask.cache import cached
from apu.ask.keypoints import ask_keypoints
from apu.ask.openai import OpenAIAsker
from apu.ask.prompt import Prompt, load_prompt
from apu.ask.question import Asker, Question, question_of
from apu.ask.replay import Replay
from apu.ask.schema import answer_schema, answer_text, parse_answer

FAILURES: Mapping[str, str] = MappingProxyType(
    {
        "refused": "the model or its content filter would not answer",
        "truncated": "the answer was cut off at the token limit",
        "looped": "the model wrote white space until the token limit",
        "empty": "there was no text",
        "invalid": "the text is no JSON, or names parts, sides or confidences that do not exist",
        "wrong_schema": "the text is JSON of another shape",
        "timeout": "the answer did not come in time",
        "rate_limited": "the server had too many requests",
        "server_error": "the server failed, or is no chat completions server",
        "unreachable": "there was no connection, or it broke",
        "rejected": "the server does not take the key, the model or the request",
        "over_budget": "the limit of requests was used up before this question",
        "missing": "there is no recorded answer",
    }
)
"""Why there is no answer, by `AnswerError.status`. Each can be asked again; none is an empty answer."""

__all__ = [
    "FAILURES",
    "Asker",
    "Budget",
    "OpenAIAsker",
    "Prompt",
    "Question",
    "Replay",
    "answer_schema",
    "answer_text",
    "ask_all",
    "ask_keypoints",
    "cached",
    "load_prompt",
    "parse_answer",
    "question_of",
]
