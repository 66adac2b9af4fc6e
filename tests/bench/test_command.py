"""``apu bench fit`` as people and programs meet it; nothing is fitted here."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import apu.bench.fit
from app.cli import app
from apu.bench.data import ANSWER, KEYPOINTS, MESHES, PAIR
from apu.bench.measure import FIGURES, Figure
from apu.bench.methods import METHODS
from apu.bench.summary import COSTS, RATIOS, Outcome
from apu.errors import InputError
from apu.formats.skeletons import SKELETONS


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list:
    """The sources that the command runs; every second pair fails."""
    seen: list = []

    def run(sources: Sequence, *, progress, **_: object) -> list[Outcome]:
        seen.extend(sources)
        figures = {method: {"joint_pa_mpjpe_mm": Figure(50.0)} for method in METHODS}
        outcomes = [
            Outcome(
                name=s.name, interaction=s.interaction, failures={"raw": "it failed"} if i % 2 else {}, figures=figures
            )
            for i, s in enumerate(sources)
        ]
        for outcome in outcomes:
            progress(outcome)
        return outcomes

    monkeypatch.setattr(apu.bench.fit, "run", run)
    return seen


def test_json_is_all_that_goes_to_stdout(asked: list) -> None:
    result = CliRunner().invoke(app, ["bench", "fit", "--scenes", "3", "--classes", "hug,handshake", "--json"])
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert [source.name for source in asked] == ["hug 1", "handshake 1", "hug 2"]
    assert (values["overall"]["raw"]["n"], values["overall"]["raw"]["n_failed"]) == (2, 1)
    assert values["overall"]["denoised"]["joint_pa_mpjpe_mm"] == 50.0
    assert values["settings"]["classes"] == ["hug", "handshake"]
    assert values["settings"]["noise"]["detector"]["bias"] > 0
    assert "handshake 1, raw: it failed" in result.stderr


def test_people_get_tables(asked: list) -> None:
    result = CliRunner().invoke(app, ["bench", "fit", "--scenes", "2", "--classes", "hug,handshake"])
    assert result.exit_code == 0, result.output
    for word in ("joint PA-MPJPE", "no_contacts", "curated", "handshake", "1 (1 failed)"):
        assert word in result.stdout


def test_all_classes_are_drawn_by_default(asked: list) -> None:
    CliRunner().invoke(app, ["bench", "fit", "--scenes", "40"])
    assert len({source.interaction for source in asked}) >= 18


def test_an_unknown_class_is_one_sentence(asked: list) -> None:
    result = CliRunner().invoke(app, ["bench", "fit", "--classes", "hug,tango"])
    assert isinstance(result.exception, InputError)
    assert "no class 'tango'; take some of" in str(result.exception)
    assert not asked


@pytest.mark.parametrize("option", [["--scenes", "3"], ["--seed", "9"], ["--classes", "hug"]])
def test_what_draws_simulated_pairs_does_not_go_with_a_folder(option: list[str], asked: list, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "fit", "--data", str(tmp_path), *option])
    assert isinstance(result.exception, InputError)
    assert f"leave out {option[0]}" in str(result.exception)
    assert not asked


def test_the_help_names_every_method_and_option() -> None:
    text = CliRunner().invoke(app, ["bench", "fit", "--help"], env={"COLUMNS": "200"}).stdout
    for word in ("--scenes", "--seed", "--device", "--classes", "--jobs", "--json", "--data", "without contacts"):
        assert word in text


def test_speed_shows_what_its_benchmark_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict = {}
    speed = ModuleType("apu.bench.speed")
    speed.run = lambda **arguments: asked.update(arguments) or {"single_s": 0.5}  # type: ignore[attr-defined]
    speed.tables = lambda values: [f"a fit takes {values['single_s']} s"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apu.bench.speed", speed)
    command = ["bench", "speed", "--pairs", "2", "--seed", "4", "--device", "cpu"]
    assert json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout) == {"single_s": 0.5}
    assert (asked["pairs"], asked["seed"], asked["device"]) == (2, 4, "cpu")
    assert "a fit takes 0.5 s" in CliRunner().invoke(app, command).stdout


def test_every_figure_method_and_skeleton_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "bench.md").read_text()
    radii = {f"pcc_{radius}mm" for radius in (10, 15, 20)}  # those between the first and the last
    named = [
        *(f for f in FIGURES if f not in radii),
        *COSTS,
        *RATIOS,
        *METHODS,
        *SKELETONS,
        PAIR,
        KEYPOINTS,
        MESHES,
        ANSWER,
    ]
    assert [name for name in named if f"`{name}`" not in text and f"STEM{name}`" not in text] == []
