"""Means, ratios and intervals of figures, against numbers worked out by hand."""

import json

import numpy as np
import pytest

from apu.bench.measure import Figure
from apu.bench.methods import METHODS
from apu.bench.summary import Outcome, summarise

PA, INSIDE = "joint_pa_mpjpe_mm", "mean_penetration_mm"


def outcome(name: str = "a", *, failures: dict[str, str] | None = None, **errors: float) -> Outcome:
    """A pair with one joint PA-MPJPE per method."""
    return Outcome(
        name=name,
        interaction="hug",
        figures={method: {PA: Figure(error)} for method, error in errors.items()},
        failures=failures or {},
    )


def test_ratios_divide_the_means_of_the_pairs_that_both_have() -> None:
    pairs = [outcome(start=100, no_contacts=80, filtered=40), outcome(start=100, no_contacts=120)]
    summary = summarise(pairs, tuple(METHODS))
    assert summary["start"][PA] == summary["no_contacts"][PA] == 100
    assert summary["start"]["ratio_to_no_contacts"] == 1.0
    assert summary["filtered"]["n"] == 1
    assert summary["filtered"]["ratio_to_no_contacts"] == 0.5, "not 40 / 100: the other pair was filtered out"
    assert summary["filtered"]["ratio_to_start"] == 0.4
    assert summary["no_contacts"]["ratio_to_no_contacts_ci95"] is None, "a method's ratio to itself is certain"


def test_a_pair_that_one_method_failed_on_counts_for_none() -> None:
    pairs = [
        outcome(start=100, no_contacts=50),
        outcome(start=900, failures={"no_contacts": "it did not stay finite"}),
        outcome(failures={"pair": "the file is missing"}),
    ]
    summary = summarise(pairs, ("start", "no_contacts"))
    assert (summary["start"]["n"], summary["start"][PA]) == (1, 100)
    assert (summary["start"]["n_failed"], summary["no_contacts"]["n_failed"]) == (1, 2)


def test_a_mean_weighs_every_vertex_and_not_every_pair() -> None:
    pairs = [Outcome(name=str(i), interaction="hug", figures={"raw": {INSIDE: Figure(depth, count)}})
             for i, (depth, count) in enumerate([(4.0, 300), (1.0, 100), (0.0, 0)])]  # fmt: skip
    assert summarise(pairs, ("raw",))["raw"][INSIDE] == pytest.approx(3.25)
    assert summarise(pairs[2:], ("raw",))["raw"][INSIDE] == 0.0, "nothing is inside: no depth, and not unknown"


def test_an_interval_holds_the_mean_and_narrows_with_the_number_of_pairs() -> None:
    def interval(count: int) -> tuple[float, float]:
        errors = np.random.default_rng(3).normal(100, 10, count)
        return summarise([outcome(raw=error) for error in errors.tolist()], ("raw",))["raw"][f"{PA}_ci95"]

    (low, high), (few_low, few_high) = interval(400), interval(25)
    assert low < 100.5 < high
    assert high - low == pytest.approx(2 * 1.96 * 10 / 20, rel=0.15), "as the normal distribution says"
    assert few_high - few_low > 3 * (high - low)
    assert interval(25) == [few_low, few_high], "the same resamples every time"


def test_a_paired_ratio_is_surer_than_its_parts() -> None:
    """Pairs of very different difficulty, on all of which one method is 0.8 of the other."""
    summary = summarise(
        [outcome(no_contacts=e, raw=0.8 * e) for e in np.random.default_rng(4).uniform(20, 200, 50).tolist()],
        ("no_contacts", "raw"),
    )["raw"]
    assert summary["ratio_to_no_contacts"] == pytest.approx(0.8)
    assert summary["ratio_to_no_contacts_ci95"] == pytest.approx([0.8, 0.8])
    low, high = summary[f"{PA}_ci95"]
    assert high - low > 20


def test_what_nobody_measured_is_none_and_one_pair_has_no_interval() -> None:
    summary = summarise([outcome(start=100.0)], ("start", "curated"))
    assert summary["curated"] == {name: 0 if name in ("n", "n_failed") else None for name in summary["curated"]}
    assert summary["start"][PA] == 100
    assert summary["start"][f"{PA}_ci95"] is None


def test_infinite_errors_are_no_json_numbers() -> None:
    """A person behind the camera has no finite error in the image."""
    figures = [{"start": {"reprojection_512": Figure(error)}} for error in (float("inf"), 1.0)]
    pairs = [Outcome(name="a", interaction="hug", figures=f) for f in figures]
    summary = summarise(pairs, ("start",))
    assert summary["start"]["reprojection_512"] is summary["start"]["reprojection_512_ci95"] is None
    json.dumps(summary, allow_nan=False)
