"""What the pages have in common: their shells, who asks, and how a request that goes wrong is answered.

A shell is the same static document for every page; its script draws the top bar and the page (`assets/app/pages`).
Nothing is changed by a GET, so that roles which may not write, and read-only servers, are refused at one place.
"""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from app.actions import Sent
from app.filters import ORDER_WORDS, STATE_WORDS
from app.page import ASSETS
from app.pictures import Pictures
from app.sight import Sight
from app.who import name_given
from apu.errors import InputError
from review_db import Workspace
from review_db.accounts import Account, Role

Json = dict[str, Any]

PAGES: Mapping[str, str] = {
    "library": "Library", "pair": "Pair", "insights": "Insights", "study": "Study", "runs": "Runs",
}  # fmt: skip
"""Address and title of each page that has a shell."""

_SHARED = ("library", "pair", "insights")
"""Pages of a read-only site."""

_SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} – {workspace}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{assets}/theme.css"><link rel="stylesheet" href="{assets}/page.css">
<link rel="stylesheet" href="{assets}/scene.css"><link rel="stylesheet" href="{assets}/pages/pages.css">
<script type="application/json" id="context">{context}</script>
<script type="module" src="{assets}/pages/start.js"></script></head>
<body class="pages apu"><noscript>This page needs JavaScript.</noscript></body></html>"""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who looks at a page.

    Attributes:
        name: the curator's name; empty where the page tells it. role: of the account; empty on this machine alone.
        may_write: may change pairs. may_set_up: may set up studies and see who rated how.
        sees_names: may read the names of curators.
    """

    name: str
    role: str
    may_write: bool
    may_set_up: bool
    sees_names: bool


@dataclass(frozen=True, kw_only=True)
class Site:
    """The workspace behind the pages, and what the server lets them do.

    Attributes:
        scratch: folder of pictures that can be made again. curator: name shown until the curator gives another.
        login: everybody has an account. read_only: nobody changes anything. names: a read-only site shows the
            curators' names.
    """

    workspace: Workspace
    pictures: Pictures
    scratch: Path
    curator: str
    login: bool = False
    read_only: bool = False
    names: bool = False

    def visitor(self, request: Request) -> Visitor:
        """Who asks.

        Raises:
            InputError: there are accounts and nobody is logged in.
        """
        if self.read_only:
            return Visitor(name="", role="read-only", may_write=False, may_set_up=False, sees_names=self.names)
        account: Account | None = getattr(request.state, "account", None)
        if account is None and self.login:
            raise InputError("log in first")
        if account is None:
            return Visitor(name="", role="", may_write=True, may_set_up=True, sees_names=True)
        return Visitor(
            name=account.name, role=account.role, may_write=account.role.may_write,
            may_set_up=account.role is Role.ADMIN, sees_names=True,
        )  # fmt: skip

    def who(self, request: Request) -> str | None:
        """The name of who asks: the account's, else what the page gives; empty on a read-only site.

        None: they do not say, so that they may be anybody.
        """
        return "" if self.read_only else self.visitor(request).name or name_given(request) or None

    def sight(self, request: Request) -> Sight:
        """The pairs as who asks may see them."""
        return Sight.of(self.workspace, self.who(request))

    def writer(self, request: Request, sent: Sent) -> str:
        """The name under which a change is stored.

        Raises:
            InputError: the visitor may not change anything.
        """
        visitor = self.visitor(request)
        if not visitor.may_write:
            raise InputError("viewers may look, but not change anything; ask an admin for the role of a curator")
        return visitor.name or sent.curator.strip() or self.curator


def add_shells(app: FastAPI, site: Site) -> None:
    """The document of each page."""

    def shell(name: str, title: str) -> None:
        @app.get(f"/{name}", name=name)
        def page(request: Request) -> Response:
            return HTMLResponse(
                _document(site, site.visitor(request), name, title), headers={"cache-control": "no-store"}
            )

    for name, title in PAGES.items():
        if not (site.read_only and name not in _SHARED):
            shell(name, title)


def _document(site: Site, visitor: Visitor, name: str, title: str) -> str:
    context = {
        "page": name, "workspace": site.workspace.path.name, "curator": visitor.name or site.curator,
        "role": visitor.role, "mayWrite": visitor.may_write, "maySetUp": visitor.may_set_up,
        "readOnly": site.read_only, "seesNames": visitor.sees_names,
        "words": {"states": dict(STATE_WORDS), "orders": dict(ORDER_WORDS)},
    }  # fmt: skip
    if site.read_only:
        context["curator"] = ""
    # In a script element only `<` could end the text.
    data = json.dumps(context, ensure_ascii=True).replace("<", "\\u003c")
    return _SHELL.format(title=title, workspace=html.escape(site.workspace.path.name), assets=ASSETS, context=data)
