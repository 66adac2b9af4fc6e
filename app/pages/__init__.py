"""The pages beside the review page: library, pair, insights, study, runs.

Each is a static shell (`app.pages.shell`) with a script of its own that asks the server for JSON; see
docs/decisions/0005-app.md for why they are no Gradio pages.
"""

from fastapi import FastAPI

from app.pages.insights import add_insights
from app.pages.library import add_library
from app.pages.pair import add_pair
from app.pages.runs import add_runs
from app.pages.shell import Site, add_shells
from app.pages.study import add_study

__all__ = ["Site", "add_pages"]


def add_pages(app: FastAPI, site: Site) -> None:
    """Let an application answer for the pages of a site; must come before Gradio is mounted on everything else."""
    add_shells(app, site)
    add_library(app, site)
    add_pair(app, site)
    add_insights(app, site)
    if not site.read_only:
        add_runs(app, site)
        add_study(app, site)
