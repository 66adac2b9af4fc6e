"""Who asks, where there are no accounts: the name that a page sends along, else the one that it keeps in a cookie.

Pictures are asked for by the browser itself, which sends nothing but the cookie. It is no proof of anything.
"""

from urllib.parse import unquote

from starlette.requests import Request

NAME_LENGTH = 60
_COOKIE = "apu_curator_{port}"
"""Browsers do not tell the ports of one machine apart; `assets/app/who.js` writes it."""


def name_given(request: Request) -> str:
    """The name; empty where none is given."""
    cookie = request.cookies.get(_COOKIE.format(port=request.url.port or ""), "")
    return (request.query_params.get("as") or unquote(cookie)).strip()[:NAME_LENGTH]
