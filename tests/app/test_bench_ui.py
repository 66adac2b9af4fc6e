"""The benchmark of the page: its workspace can be looked at, and its figures say what they should."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

from app.bench.place import make_place
from app.bench.run import CLOCK, FILTERS, LISTS, Times, UiFigures
from app.cli import app
from app.desk import Desk
from app.pictures import Pictures
from app.queueing import parse
from review_db import Workspace

from .conftest import CHROMIUM


def test_every_pair_of_its_workspace_can_be_looked_at(tmp_path: Path) -> None:
    make_place(tmp_path / "place", 120, seed=1)
    with Workspace.open(tmp_path / "place") as workspace:
        pictures = Pictures(workspace, tmp_path / "pictures")
        desk = Desk(workspace, pictures, curator="tester", trouble=lambda: "", restart=lambda: None)
        shown = desk.act({"name": "open", "pair": 120})
        assert shown["notice"] is None
        assert shown["pair"]["noMesh"] == ""
        assert shown["pair"]["simulated"]
        assert pictures.photograph(120)[:2] == b"\xff\xd8"
        assert {workspace.count(parse(query).where) > 0 for query in FILTERS} >= {True}


def test_every_filter_it_times_is_written_as_the_page_writes_it() -> None:
    assert [parse(parse(query).query) for query in FILTERS] == [parse(query) for query in FILTERS]


def test_its_figures_are_one_curators_and_the_ratio_with_others() -> None:
    alone = Times(
        next_p95_ms=100.0, jump_p95_ms=200.0, edit_p95_ms=20.0, filter_p95_ms=40.0, library_p95_ms=60.0,
        first_load_ms=1000.0,
    )  # fmt: skip
    both = replace(alone, next_p95_ms=150.0, jump_p95_ms=300.0, edit_p95_ms=50.0, first_load_ms=1500.0)
    plain = UiFigures(pairs=100, curators=10, alone=alone, together=both, trouble=()).plain()
    assert (plain["next_p95_ms"], plain["together"]["next_p95_ms"], plain["ratios"]["edit_p95_ms"]) == (100, 150, 2.5)


@pytest.mark.parametrize("word", ["--pairs", "--curators", "--rounds", "--json"])
def test_its_command_says_what_it_takes(word: str) -> None:
    assert word in CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["bench", "ui", "--help"]).output


@pytest.mark.browser
def test_every_list_of_the_library_that_it_times_comes(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(make_workspace(3, meshes=False), worker=False)}/library", script=CLOCK)
    assert page.evaluate("bench.listed()") > 0
    page.set_default_timeout(20_000)
    for act in [each for each in LISTS if each not in (("page", ""), ("q", "wrestling"), ("q", "street_0000"))]:
        if act[0] != "state":  # of these pairs none is fitted, and an empty list has no lines
            assert page.evaluate("act => bench.list(...act)", list(act)) > 0


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `.ci/run` installs it")
def test_the_wait_for_a_fit_is_timed_from_the_key_to_meshes_to_the_end() -> None:
    command = [sys.executable, "-m", "app.bench.live", "--fits", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    figures = json.loads(done.stdout)
    assert 0 < figures["first_mesh_s"]["median"] < figures["fit_s"]["median"]
    assert figures["stop_s"]["median"] > 0
