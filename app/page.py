"""The review page as Gradio Blocks: empty panels that the page's scripts draw.

Gradio's templates are never given a value to expand (its `{{...}}` form ends in JavaScript's Function
constructor): each panel's template is a fixed element, values travel as JSON and become text nodes.
"""

import gradio as gr
from gradio.themes import Base

ASSETS = "apu-page"
"""Below this path the server gives the page's own scripts and styles."""

VENDOR = "apu-vendor"
"""Below this path it gives the libraries of others that they use."""

PANELS = ("photo", "meshes", "fan", "contacts", "fit", "decide")

_FONT = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"]
_STYLES = ("theme.css", "page.css", "panels.css", "scene.css", "queue.css", "fan.css", "tour.css")

_BAR = ("tour", "header", "queue", "decisions", "keys")
"""The bar and what opens below it; before it the card of the tour, the first thing Tab comes to."""

_ASK_EARLY = 'window.apuFirst = fetch("screen" + location.search, {cache: "no-store"});'
"""The first pair is on its way while Gradio still starts."""


def build_page(title: str) -> gr.Blocks:
    """The page; its scripts talk to the desk by requests of their own (`app.desk_routes`)."""
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        gr.HTML(
            "",
            html_template="".join(f'<div class="apu-{name}"></div>' for name in _BAR),
            js_on_load=_script("desk(element)", "desk"),
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
    return page


def page_head() -> str:
    """Elements of the page's head: its styles, its scripts, and the first question."""
    links = "".join(f'<link rel="stylesheet" href="{ASSETS}/{name}">' for name in _STYLES)
    return f'<script>{_ASK_EARLY}</script>{links}<link rel="modulepreload" href="{ASSETS}/main.js">'


def page_theme() -> Base:
    """Gradio's plainest theme with the system's fonts, so that nothing is loaded from elsewhere."""
    return Base(font=_FONT, font_mono=["ui-monospace", "monospace"])


def _script(call: str, name: str) -> str:
    return f'import(new URL("{ASSETS}/main.js", document.baseURI)).then(({{{name}}}) => {call});'
