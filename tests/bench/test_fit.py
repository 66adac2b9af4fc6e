"""The harness, mostly with fits that cost nothing."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from apu.bench.case import Case, Draw, draws
from apu.bench.fit import Bench, report, settings
from apu.bench.methods import METHODS
from apu.bench.summary import Outcome
from apu.bench.table import tables
from apu.body.model import BodyModel
from apu.errors import FitError, InputError
from apu.fit import FitOptions
from apu.synth import Scene
from apu.synth.draw import SceneError
from apu.types import BodyParams, FitResult


@dataclass(frozen=True)
class Given:
    """A source that has its case already."""

    case: Case

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def interaction(self) -> str:
        return self.case.interaction

    def __call__(self, body: BodyModel) -> Case:
        return self.case


@dataclass(frozen=True)
class Missing:
    name: str = "lost"
    interaction: str = ""

    def __call__(self, body: BodyModel) -> Case:
        raise InputError("lost_pair.json cannot be read: No such file")


def result(params: BodyParams, *, kept: bool = True) -> FitResult:
    none = np.zeros(2)
    return FitResult(
        params=params, start=params, contacts=(), swapped=False, gaps_m=np.zeros(0), reprojection_512=none,
        reprojection_px=none, max_penetration_m=0.0, mean_penetration_m=0.0, kept=kept, terms={}, stop="converged",
        seconds=0.0, iterations=1, device="cpu", body="", seed=0, options=FitOptions().as_dict(),
    )  # fmt: skip


def apart(params: BodyParams, metres: float) -> BodyParams:
    return replace(params, transl=params.transl + np.float32([[0, 0, metres], [0, 0, 0]]))


@pytest.fixture
def truthful(scene: Scene) -> Callable[..., list[FitResult | FitError]]:
    """A fit that is right with a curator's contacts, fails on a model's wrong hands, and else is 10 cm off."""

    def fit(pairs, body, starts):
        results = []
        for _, contacts in pairs:
            sources = {contact.source for contact in contacts}
            if "model" in sources:
                results.append(FitError("it did not stay finite"))
            else:
                results.append(result(scene.params if "curator" in sources else apart(scene.params, 0.1)))
        return results

    return fit


def figures(outcome: Outcome, method: str) -> dict[str, float]:
    return {name: figure.value for name, figure in outcome.figures[method].items()}


def test_every_method_is_measured_against_the_truth(case: Case, body: BodyModel, truthful) -> None:
    (outcome,) = Bench(body, fit=truthful).run([Given(case)])
    right = figures(outcome, "curated")
    for name in ("joint_pa_mpjpe_mm", "pa_mpjpe_mm", "mpjpe_mm", "mpvpe_mm", "interaction_error_mm"):
        assert right[name] == pytest.approx(0, abs=1e-3)
    assert right["contact_gap_mm"] < 10
    assert right["reprojection_512"] < 0.1
    # One of two people 10 or 30 cm further away: nobody's own error, but where they are to each other.
    for method, metres in (("no_contacts", 0.1), ("heuristic", 0.1), ("start", 0.3)):
        off = figures(outcome, method)
        assert off["mpjpe_mm"] == pytest.approx(0, abs=5)
        assert 0.1 * metres < off["joint_pa_mpjpe_mm"] / 1000 < 0.5 * metres
        assert off["contact_gap_mm"] > right["contact_gap_mm"]
    assert outcome.failures == {"raw": "it did not stay finite"}


def test_an_edit_goes_on_from_the_sides_that_were_suggested(case: Case, body: BodyModel, scene: Scene) -> None:
    begun: list[tuple[set[str], object]] = []

    def fit(pairs, body, starts):
        begun.extend(({c.source for c in contacts}, s) for (_, contacts), s in zip(pairs, starts, strict=True))
        return [replace(result(apart(scene.params, 0.05 * len(begun))), contacts=tuple(c)) for _, c in pairs]

    Bench(body, fit=fit).run([Given(case)])
    *others, (edited, start) = begun
    assert edited == {"curator"}
    sides = next(i for i, (sources, _) in enumerate(others, 1) if sources == {"denoiser"})
    np.testing.assert_array_equal(start.params.transl, apart(scene.params, 0.05 * sides).transl)
    assert all(before is None for _, before in others)
    begun.clear()
    Bench(body, fit=fit).run([Given(replace(case, stated=()))])
    assert [before for _, before in begun if before is not None] == [], (
        "without contacts there is nothing to go on from"
    )
    begun.clear()
    (outcome,) = Bench(body, fit=fit).run([Given(replace(case, stated=None))])
    assert "edited" not in outcome.figures


def test_costs_are_there_and_positive(case: Case, body: BodyModel, truthful) -> None:
    (outcome,) = Bench(body, fit=truthful).run([Given(case)])
    for method in ("start", "no_contacts"):
        assert figures(outcome, method)["seconds_per_pair"] > 0
        assert figures(outcome, method)["memory_mb"] >= 0


def test_the_filter_keeps_what_the_denoised_fit_says(case: Case, body: BodyModel, scene: Scene) -> None:
    for kept in (True, False):
        bench = Bench(body, fit=lambda pairs, body, starts, kept=kept: [result(scene.params, kept=kept)] * len(pairs))
        (outcome,) = bench.run([Given(case)])
        assert ("filtered" in outcome.figures) is kept
        assert outcome.figures.get("filtered", outcome.figures["denoised"]) == outcome.figures["denoised"]


def test_a_pair_that_fails_is_named_and_counted_and_the_rest_goes_on(case: Case, body: BodyModel, scene: Scene) -> None:
    bench = Bench(body, fit=lambda pairs, body, starts: [result(scene.params)] * len(pairs))
    outcomes = bench.run([Missing(), Given(case), Given(replace(case, name="silent", stated=None))])
    values = report(outcomes, {})
    assert [outcome.name for outcome in outcomes] == ["lost", "handshake", "silent"]
    assert values["failures"] == {"lost": {"pair": "lost_pair.json cannot be read: No such file"}}
    assert (values["overall"]["curated"]["n"], values["overall"]["curated"]["n_failed"]) == (2, 1)
    assert (values["overall"]["raw"]["n"], values["classes"].keys()) == (1, {"handshake"})


def test_a_pair_without_a_start_is_named(case: Case, body: BodyModel) -> None:
    blind = replace(
        case.observation,
        keypoints=np.zeros((2, 67, 3), np.float32),
        estimate=case.observation.estimate.take([-1, -1]),
    )
    (outcome,) = Bench(body).run([Given(replace(case, observation=blind))])
    assert not outcome.figures
    assert "no initial mesh" in outcome.failures["pair"]


def test_the_report_has_what_programs_are_promised(case: Case, body: BodyModel, scene: Scene) -> None:
    bench = Bench(body, fit=lambda pairs, body, starts: [result(scene.params)] * len(pairs))
    outcomes = bench.run([Given(case), Given(replace(case, name="again"))])
    values = json.loads(json.dumps(report(outcomes, settings(device="cpu", seed=3, scenes=2)), allow_nan=False))
    assert set(values) == {"overall", "classes", "pairs", "failures", "settings"}
    promised = {
        "joint_pa_mpjpe_mm", "contact_gap_mm", "mean_penetration_mm", "max_penetration_mm", "n", "n_failed",
        "seconds_per_pair", "memory_mb", "ratio_to_no_contacts", "joint_pa_mpjpe_mm_ci95", "ratio_to_no_contacts_ci95",
        "pcc_5mm", "pcc_25mm", "pa_mpjpe_mm", "mpjpe_mm", "mpvpe_mm", "interaction_error_mm", "reprojection_512",
    }  # fmt: skip
    for summary in (values["overall"], *values["classes"].values()):
        assert set(summary) == set(METHODS)
        assert all(promised <= set(of) for of in summary.values())
        assert all(of["n"] == 2 and of["joint_pa_mpjpe_mm"] is not None for of in summary.values())
    assert values["settings"]["seed"] == 3
    assert values["settings"]["versions"].keys() >= {"python", "torch", "apu-review"}
    shown = [table for table in tables(values)]
    assert [len(table.rows) for table in shown] == [9, 9, 9, 1]


def test_truth_that_allows_less_is_measured_by_less(case: Case, body: BodyModel, scene: Scene) -> None:
    truth = replace(case.truth, in_camera=False, vertices=None)
    bench = Bench(body, fit=lambda pairs, body, starts: [result(scene.params)] * len(pairs))
    (outcome,) = bench.run([Given(replace(case, truth=truth, contacts=None))])
    missing = {"mpjpe_mm", "mpvpe_mm", "contact_gap_mm"}
    assert not missing & outcome.figures["raw"].keys()
    assert not [name for name in outcome.figures["raw"] if re.match("pcc", name)]
    assert "curated" not in outcome.figures
    assert outcome.figures["raw"]["joint_pa_mpjpe_mm"].value == pytest.approx(0, abs=1e-3)


def test_draws_go_round_the_classes_and_differ() -> None:
    drawn = draws(["hug", "kick"], 5, seed=7)
    assert [d.name for d in drawn] == ["hug 1", "kick 1", "hug 2", "kick 2", "hug 3"]
    seeds = [(d.scene_seed, d.noise_seed) for d in drawn if d.interaction == "hug"]
    assert len({seed for pair in seeds for seed in pair}) == 6
    assert seeds == [(d.scene_seed, d.noise_seed) for d in draws(["hug"], 3, seed=7)], "whatever the other classes"
    assert draws(["hug"], 3, seed=8) != draws(["hug"], 3, seed=7)


def test_a_draw_without_a_good_scene_takes_the_next_seed(
    monkeypatch: pytest.MonkeyPatch, case: Case, scene: Scene, body: BodyModel
) -> None:
    tried: list[int] = []

    def draw_scene(name: str, seed: int, _: object) -> Scene:
        tried.append(seed)
        if seed % 10 < 5 or name == "kick":
            raise SceneError("all attempts had flaws")
        return scene

    seen = SimpleNamespace(observation=case.observation, answer=SimpleNamespace(contacts=()))
    monkeypatch.setattr("apu.bench.case.draw_scene", draw_scene)
    monkeypatch.setattr("apu.bench.case.observe", lambda *_: seen)
    found = Draw(name="hug 1", interaction="hug", scene_seed=4, noise_seed=1)(body)
    assert tried == [4, 5]
    assert [contact.parts for contact in found.contacts or ()] == [c.parts for c in scene.recipe.true_contacts]
    (outcome,) = Bench(body).run([Draw(name="kick 1", interaction="kick", scene_seed=5, noise_seed=1)])
    assert tried == [4, 5, 5, 6, 7]
    assert outcome.failures == {"pair": "all attempts had flaws"}
