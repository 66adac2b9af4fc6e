"""The review page as Gradio Blocks: empty panels that the page's scripts draw, one hub that talks to the server.

Gradio's templates are never given a value to expand (its `{{...}}` form ends in JavaScript's Function
constructor): each panel's template is a fixed element, values travel as JSON and become text nodes.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.themes import Base

from app.screen import Json
from review_db.accounts import Account

ASSETS = "apu-page"
"""Below this path the server gives the page's own scripts and styles."""

VENDOR = "apu-vendor"
"""Below this path it gives the libraries of others that they use."""

PANELS = ("photo", "meshes", "contacts", "fit", "decide")

_FONT = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"]
_STYLES = ("theme.css", "page.css", "panels.css")

_HUB = "desk(element, props, watch, {act: (data) => trigger('act', data)})"
"""Gradio finds a component's own events by their quoted names in its script."""

Act = Callable[[dict[str, Any], Account | None], Json]
"""An action of the page, and who asks for it where there are accounts -> what to show after it."""


def build_page(title: str, act: Act) -> gr.Blocks:
    """The page; `act` gets every action of its users, beginning with the pair of the URL."""
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        desk = gr.HTML(
            {},
            html_template='<div class="apu-header"></div><div class="apu-keys"></div>',
            js_on_load=_script(_HUB, "desk"),
            elem_id="desk",
            elem_classes="apu",
            apply_default_css=False,
        )
        for name in PANELS:
            gr.HTML(
                "",
                html_template="<div></div>",
                js_on_load=_script(f"panel({name!r}, element)", "panel"),
                elem_id=name,
                elem_classes="apu",
                apply_default_css=False,
            )

        def on_act(event: gr.EventData, request: gr.Request) -> Json:
            return act(_sent(event), _account(request))

        def on_load(request: gr.Request) -> Json:
            return act({"name": "open", "pair": _number(request.query_params.get("pair"))}, _account(request))

        private: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        desk.act(on_act, outputs=[desk], trigger_mode="multiple", **private)
        page.load(on_load, outputs=[desk], **private)
    return page


def page_head() -> str:
    """Elements of the page's head: its styles."""
    return "".join(f'<link rel="stylesheet" href="{ASSETS}/{name}">' for name in _STYLES)


def page_theme() -> Base:
    """Gradio's plainest theme with the system's fonts, so that nothing is loaded from elsewhere."""
    return Base(font=_FONT, font_mono=["ui-monospace", "monospace"])


def _script(call: str, name: str) -> str:
    return f'import(new URL("{ASSETS}/main.js", document.baseURI)).then(({{{name}}}) => {call});'


def _sent(event: gr.EventData) -> Json:
    """What the page sent; empty where it is nothing that a page of this program sends."""
    return dict(event._data) if isinstance(event._data, dict) else {}


def _account(request: gr.Request) -> Account | None:
    """Whose session it is, as `app.login` found it."""
    return getattr(request.state, "account", None)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
