"""Who can be asked from the page: what the server's environment allows, and never an address or key from a browser.

A page that could name the server to ask could send the key anywhere; so the address comes from ``OPENAI_BASE_URL`` and
the key from ``OPENAI_API_KEY``, both of the process that serves.
"""

import os
from collections.abc import Mapping
from typing import Any

from apu.ask import Asker, OpenAIAsker, ask_keypoints, cached
from apu.ask.openai import OPENAI_URL
from apu.errors import InputError
from review_db import Workspace

KEYPOINTS = "keypoints"
OPENAI = "openai"


def base_url() -> str:
    """The server of models."""
    return os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL


def available() -> tuple[str, ...]:
    """The askers that can be used here: the rule of keypoints always, models where there is a key or another server."""
    has_models = bool(os.environ.get("OPENAI_API_KEY", "").strip()) or base_url() != OPENAI_URL
    return (KEYPOINTS, OPENAI) if has_models else (KEYPOINTS,)


def asker_of(workspace: Workspace, options: Mapping[str, Any]) -> Asker:
    """The asker that a run names.

    Raises:
        InputError: it cannot be used here.
    """
    if options["asker"] == KEYPOINTS:
        return ask_keypoints
    if options["asker"] not in available():
        raise InputError("no model can be asked here; set OPENAI_API_KEY or OPENAI_BASE_URL and start the server again")
    try:
        asker = OpenAIAsker(model=options["model"], base_url=base_url())
    except ValueError as error:
        raise InputError(str(error).replace("base_url", "OPENAI_BASE_URL")) from None
    return cached(asker, workspace.path / "answers", identity=asker.identity, fresh=bool(options.get("again")))
