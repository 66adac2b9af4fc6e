"""Answers that several routes give: pictures with their entity tags, errors as a sentence."""

import hashlib
import html
from typing import Annotated

from fastapi import Path as InPath
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

_ASK_AGAIN = "private, no-cache"
"""Workspaces share ids and ports, so a browser must ask whether the picture that it keeps is still this one."""

_ERROR_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="dark light">
<title>Not possible</title>
<body style="font: 15px/1.5 system-ui, sans-serif; max-width: 40em; margin: 15vh auto; padding: 0 2em">
<p>{sentence}</p><p><a href="/">To the pairs</a></p>"""

Id = Annotated[int, InPath(ge=0, lt=2**53)]


def pictured(request: Request, data: bytes, media_type: str) -> Response:
    """The picture, or word that the browser's own copy is still good."""
    headers = {"cache-control": _ASK_AGAIN, "etag": f'"{hashlib.sha256(data).hexdigest()}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


def error(request: Request, status: int, sentence: str) -> Response:
    """A sentence as a page, or as JSON for a script that asks for that."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": sentence}, status_code=status)
    return HTMLResponse(_ERROR_PAGE.format(sentence=html.escape(sentence)), status_code=status)
