"""`apu bench speed`: one pair and very few steps give every figure, and the figures agree with each other."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from apu.bench import speed
from apu.fit.adam import AdamOptions
from apu.fit.reference import PublishedOptions
from apu.types import BodyPart, Contact, Side

PROMISED = (
    "ratio_to_reference", "ratio_to_reference_in_batch", "ratio_to_adam", "single_s", "single_p95_s",
    "batch16_s_per_pair", "refit_s", "first_result_s", "peak_memory_mb", "device",
)  # fmt: skip
TINY = speed.SpeedOptions(
    adam_pairs=1, reference_pairs=1, dense_steps=1, batch=2,
    published=PublishedOptions(steps=2, proxy_vertices=60), adam=AdamOptions(steps=8),
)  # fmt: skip


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(told: list[str]) -> dict[str, Any]:
    return speed.run(pairs=1, seed=3, repeats=1, options=TINY, progress=told.append)


def test_every_promised_figure_is_there(report: dict[str, Any], told: list[str]) -> None:
    for name in PROMISED:
        assert name in report
    assert report["device"] == "cpu"
    assert all(report[name] > 0 for name in PROMISED[:-2])
    again = json.loads(json.dumps(report, allow_nan=False))
    assert all(again[name] == report[name] for name in PROMISED)
    assert told, "people are told what is measured"


def test_ratios_are_those_of_the_seconds(report: dict[str, Any]) -> None:
    reference, (engine,) = report["reference"], report["engine_s"]
    (steps,) = reference["steps"]
    assert reference["seconds"][0] == pytest.approx(sum(n * s for n, s in zip(steps, reference["step_s"], strict=True)))
    assert report["ratio_to_reference"] == pytest.approx(reference["seconds"][0] / engine)
    assert report["ratio_to_adam"] == pytest.approx(report["adam"]["seconds"][0] / engine)
    assert report["ratio_to_adam_one_start"] == pytest.approx(
        report["adam"]["seconds"][0] / report["one_start"]["seconds"][0]
    )
    assert steps == [2, 2]
    assert sum(report["adam"]["steps"][0]) <= 16


def test_all_methods_are_held_against_the_same_truth(report: dict[str, Any]) -> None:
    assert report["compared"].keys() == {"start", "engine", "one_start", "adam", "reference"}
    for errors in report["compared"].values():
        assert errors.keys() >= {"joint_pa_mpjpe_mm", "mean_penetration_mm", "max_penetration_mm"}
    assert report["compared"]["engine"] == report["errors"], "one pair, so all pairs are the compared ones"
    assert report["objective"]["engine"][0] < report["objective"]["adam"][0], "16 steps of Adam are too few"
    assert report["objective"]["one_start"][0] < report["objective"]["adam"][0]
    assert report["objective"]["share_not_above_adam"] == 1


def test_the_profile_accounts_for_a_whole_fit(report: dict[str, Any]) -> None:
    profile = report["profile_s"]
    assert profile.keys() == {*speed.PARTS.values(), "rest"}
    assert 0 < report["lower_bound_s"] < sum(profile.values())
    assert profile["rest"] < 0.5 * sum(profile.values()), "most of the time has a name"


def test_the_tables_can_be_read(report: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=160)
    for table in speed.tables(report):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("one pair, median", "memory of a fit", "reference", "adam", "penetration query"):
        assert words in text


def test_an_edit_flips_one_contact_or_drops_one() -> None:
    hand = BodyPart(name="hand", side=Side.LEFT)
    sided = Contact(parts=(hand, BodyPart(name="back")))
    plain = Contact(parts=(BodyPart(name="back"), BodyPart(name="chest")))
    assert speed._edited((plain, sided)) == (plain, replace(sided, parts=(hand.flipped, plain.parts[0])))
    assert speed._edited((plain, plain)) == (plain,)
