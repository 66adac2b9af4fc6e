"""Real fits, in processes of their own."""

import os
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from apu.bench.case import Case
from apu.bench.data import recorded
from apu.bench.fit import Bench, run
from apu.bench.methods import fit_each
from apu.bench.summary import COSTS, Outcome
from apu.body.model import BodyModel
from apu.errors import InputError
from apu.fit import FitOptions
from apu.synth import Scene

from .folder import write_pair

QUICK = partial(fit_each, options=FitOptions(schedule=FitOptions().schedule[:1]))
"""The first phase of the fit alone."""


def figures(outcome: Outcome) -> dict[str, dict[str, float]]:
    return {
        method: {name: figure.value for name, figure in of.items() if name not in COSTS}
        for method, of in outcome.figures.items()
    }


def test_the_number_of_processes_changes_no_figure(tmp_path: Path, make_case, scene: Scene, body: BodyModel) -> None:
    named: list[Case] = [make_case(called=name) for name in ("a", "b")]
    for case in named:
        write_pair(tmp_path, case, scene, body, skeleton="kinect_v2")
    (tmp_path / "c_pair.json").write_text("{}")
    told: list[str] = []
    outcomes = run(recorded(tmp_path), jobs=2, fit=QUICK, progress=lambda outcome: told.append(outcome.name))
    assert sorted(told) == [outcome.name for outcome in outcomes] == ["a", "b", "c"]
    here = Bench(body, fit=QUICK).run(recorded(tmp_path)[:2])
    for apart, together in zip(outcomes, here, strict=False):
        assert figures(apart) == figures(together)
    assert "c_pair.json" in outcomes[2].failures["pair"]
    of = figures(outcomes[0])
    assert of["curated"]["reprojection_512"] < of["start"]["reprojection_512"]
    assert np.isfinite(of["curated"]["joint_pa_mpjpe_mm"])
    assert outcomes[0].figures["curated"]["memory_mb"].value > 1


def test_a_process_that_dies_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_pair.json").write_text("{}")

    def submit(*_: object) -> None:
        raise BrokenProcessPool("a process in the process pool was terminated abruptly")

    monkeypatch.setattr("apu.processes.ProcessPoolExecutor.submit", submit)
    before = dict(os.environ)
    with pytest.raises(InputError, match="take fewer than 1 --jobs"):
        run(recorded(tmp_path), jobs=1)
    assert dict(os.environ) == before


def test_a_body_that_cannot_be_read_is_said_before_any_process_begins(tmp_path: Path) -> None:
    (tmp_path / "a_pair.json").write_text("{}")
    with pytest.raises(InputError, match="no such file"):
        run(recorded(tmp_path), body_path=tmp_path / "SMPLX_NEUTRAL.npz")
