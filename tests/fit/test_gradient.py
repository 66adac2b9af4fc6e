"""The gradient of the objective against central differences in the tangent space, on two people who hug."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

from apu.body.model import BodyModel, load_body
from apu.body.skinning import EVERY, NUM_PARAMS, TRANSL, Pose, SkinnedPoints, stack
from apu.fit import FitOptions
from apu.fit.objective import Objective, _Marks
from apu.fit.options import Phase, Stance
from apu.fit.problem import build_problem
from apu.fit.proxy import FitBody, fit_body
from apu.synth import load_scenes
from apu.synth.observe import observe

from .test_losses import toy_mixture

Made = tuple[Objective, Pose]
Make = Callable[..., Made]

EXACT = 1e-5
"""Share of the gradient's largest entry; the terms that hold nothing agree to a few billionths."""
LAST = replace(FitOptions().schedule[-1], shape=True)
APART = replace(LAST, penetration=0.0)

FIRM = 1e6
SILENT: dict[str, Any] = {
    **{f"{name}_sigma": FIRM for name in ("keypoint", "contact", "penetration", "limit", "beta", "child")},
    **{f"{name}_sigma": FIRM for name in ("orient", "spine", "arm", "leg", "other", "hidden_arm", "hidden_leg")},
    "transl_sigma": (FIRM, FIRM, FIRM),
    "stance": Stance(floor_sigma=FIRM, balance_sigma=FIRM),
    "gmm_weight": 1e-12,
}
"""Options under which no term counts."""


def only(names: Iterable[str]) -> dict[str, Any]:
    """Options under which only the terms of these options count."""
    return {name: value for name, value in SILENT.items() if name not in names}


@pytest.fixture(scope="module")
def prepared() -> FitBody:
    """In double precision, with a pose prior of its own."""
    return replace(fit_body(load_body(dtype=torch.float64)), mixture=toy_mixture())


@pytest.fixture(scope="module")
def make(prepared: FitBody) -> Make:
    """The objective under some options, of people without pose correctives, and a pose at which every term counts."""
    (scene,) = load_scenes(["hug"])
    observation, bare = observe(scene, prepared.model, 5000).observation, uncorrected(prepared)
    truth = Pose.of(scene.params, dtype=torch.float64)
    start, pose = (truth.step(scale * normal(2, seed)) for seed, scale in ((0, 0.05), (1, 0.02)))

    def make(body: FitBody = bare, **options: Any) -> Made:
        chosen = FitOptions(**options)
        problem = build_problem([observation], [scene.recipe.true_contacts], [start], body, chosen)
        return Objective(*problem, body, chosen), stack([pose])

    return make


def uncorrected(body: FitBody) -> FitBody:
    def still(points: SkinnedPoints) -> SkinnedPoints:
        return replace(points, correctives=torch.zeros_like(points.correctives))

    return replace(body, surface=still(body.surface), skin=still(body.skin))


def normal(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, NUM_PARAMS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def off(made: Made, phase: Phase) -> float:
    """How far the gradient is from the differences along each unknown, as a share of the largest."""
    objective, pose = made
    along = torch.eye(2 * NUM_PARAMS, dtype=torch.float64)
    every = torch.zeros(len(along), dtype=torch.long)
    ahead, behind = (
        objective[every].evaluate(pose[every].step((way * along).unflatten(-1, (2, NUM_PARAMS))), phase).total
        for way in (1e-5, -1e-5)
    )
    return _share(objective.evaluate(pose, phase).gradient()[0], (ahead - behind) / 2e-5)


def roughly_off(made: Made, phase: Phase) -> float:
    """The same along a few random directions, by steps that single precision can tell."""
    objective, pose = made
    along = torch.nn.functional.normalize(normal(40, 5).view(20, 2 * NUM_PARAMS), dim=-1)
    values = [
        [objective.evaluate(pose.step((way * each).view(1, 2, NUM_PARAMS)), phase).total for way in (3e-4, -3e-4)]
        for each in along
    ]
    expected = torch.stack([(ahead - behind)[0] / 6e-4 for ahead, behind in values])
    return _share(along @ objective.evaluate(pose, phase).gradient()[0], expected)


def _share(given: torch.Tensor, expected: torch.Tensor) -> float:
    assert expected.abs().max() > 0.1
    return float((given - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("term", "options"),
    [
        ("keypoints", {"keypoint_sigma"}),
        ("initial_pose", {f"{name}_sigma" for name in ("orient", "spine", "other", "hidden_arm", "hidden_leg")}),
        ("initial_pose", {"arm_sigma", "leg_sigma"}),
        ("joint_limits", {"limit_sigma"}),
        ("shape", {"beta_sigma", "child_sigma"}),
        ("place", {"transl_sigma"}),
        ("pose_mixture", {"gmm_weight"}),
    ],
)
def test_the_gradient_of_one_term_alone_is_exact(make: Make, term: str, options: set[str]) -> None:
    objective, pose = made = make(**only(options))
    terms = objective.evaluate(pose, APART).terms
    assert max(terms, key=lambda name: float(terms[name])) == term
    assert off(made, APART) < EXACT


def test_the_gradient_of_a_contact_is_exact_but_for_the_turn_of_its_normals(make: Make) -> None:
    """Normals help to choose which skin touches; that they turn with it is left out, worth a thousandth."""
    assert off(make(**only({"contact_sigma"}), normal_bonus=0.0), APART) < EXACT
    assert off(make(**only({"contact_sigma"})), APART) < 1e-2


def test_the_gradient_of_a_contact_is_as_exact_where_fewer_points_stand_for_its_parts(make: Make) -> None:
    many = replace(APART, contact_temperature=0.06)
    few = replace(many, contact_samples=64)
    objective, pose = made = make(**only({"contact_sigma"}), normal_bonus=0.0)
    assert off(made, few) < EXACT
    values = [float(objective.evaluate(pose, phase).terms["contact"]) for phase in (few, many)]
    assert values[1] < values[0] < 2 * values[1], "the nearest of fewer points are further off"


def test_the_first_points_of_every_part_are_the_first_samples(prepared: FitBody) -> None:
    """So that a coarse phase poses these alone."""
    (scene,) = load_scenes(["hug"])
    observation, contacts = observe(scene, prepared.model, 5000).observation, scene.recipe.true_contacts
    start = Pose.of(scene.params, dtype=torch.float64)
    problem, samples, _ = build_problem([observation], [contacts], [start], prepared, FitOptions())
    for place, contact in enumerate(contacts):
        for person, part in enumerate(contact.parts):
            there = samples.rest[problem.part_index[0, person, place]]
            torch.testing.assert_close(there, prepared.surface.rest[prepared.samples(part)])
    for count in (1, 64, 160):
        ids = problem.part_index[..., :count].unique()
        assert ids.tolist() == list(range(len(ids)))


def test_the_objective_of_some_pairs_leaves_the_others_their_points(prepared: FitBody) -> None:
    """Objectives of some of the pairs share what they prepare, whoever is asked first."""
    (scene,) = load_scenes(["hug"])
    observation, contacts = observe(scene, prepared.model, 5000).observation, scene.recipe.true_contacts
    pose = Pose.of(scene.params, dtype=torch.float64)
    several = [contacts[:1], contacts]
    both = Objective(
        *build_problem([observation] * 2, several, [pose] * 2, prepared, FitOptions()), prepared, FitOptions()
    )
    alone = both[torch.tensor([0])].evaluate(stack([pose]), APART).terms["contact"]
    together = both.evaluate(stack([pose] * 2), APART).terms["contact"]
    torch.testing.assert_close(together[:1], alone)
    assert together[1] > together[0]


def test_the_system_of_some_pairs_is_that_of_all_of_them(make: Make) -> None:
    """A refused step's system is not computed; the others' are what they would be."""
    objective, pose = make()
    apart = torch.stack([0.01 * normal(2, seed) for seed in range(3)])
    three = torch.zeros(3, dtype=torch.long)
    evaluation = objective[three].evaluate(pose[three].step(apart), LAST)
    assert float(evaluation.terms["penetration"].min()) > 0
    some = torch.tensor([2, 0])
    whole, part = evaluation.linearise(EVERY), evaluation.linearise(some)
    for all_of_them, of_some in zip(whole, part, strict=True):
        torch.testing.assert_close(of_some, all_of_them[some])
    torch.testing.assert_close(whole.gradient, evaluation.gradient())


def test_the_gradient_of_the_floor_is_exact(make: Make) -> None:
    """With the floor eliminated; here its four rounds have brought it where it is best."""
    assert off(make(**only({"stance"}), stance=Stance(balance_sigma=FIRM)), APART) < EXACT


def test_a_floor_that_follows_lets_both_people_rise_at_no_cost_but_not_one_alone(make: Make) -> None:
    """What the system says of a small step up, the other terms silent."""
    objective, pose = make(**only({"stance"}))
    hessian = objective.evaluate(pose, APART).linearise(EVERY).hessian[0]
    up = torch.zeros(2, NUM_PARAMS, dtype=torch.float64)
    up[0, TRANSL.start + 1] = 1
    alone, together = (float(way.flatten() @ hessian @ way.flatten()) for way in (up, up + up.flip(0)))
    assert alone > 1000
    assert together < 1e-3 * alone


def test_the_gradient_of_balance_is_exact_but_for_which_soles_carry(make: Make) -> None:
    """Soles that carry less as they rise are held, worth a few hundredths; where no height counts, all carry alike."""
    level = Stance(floor_scale=1e4)
    assert off(make(**only({"stance"}), stance=level), APART) < EXACT
    assert off(make(**only({"stance"})), APART) < 0.1


def test_the_gradient_of_interpenetration_is_as_exact_as_single_precision(make: Make) -> None:
    """Depths are asked in single precision, and the nearest face jumps: worth a thousandth."""
    assert roughly_off(make(**only({"penetration_sigma"})), LAST) < 1e-2


def test_the_gradient_of_all_that_is_exact_together_is_exact(make: Make) -> None:
    assert off(make(normal_bonus=0.0, stance=Stance(floor_scale=1e4)), APART) < EXACT


def test_the_gradient_of_the_whole_objective_is_near(make: Make, prepared: FitBody) -> None:
    """With interpenetration as it begins, and pose correctives, whose derivative is left out: two thousandths."""
    objective, pose = made = make(prepared)
    begins = replace(FitOptions().schedule[1], shape=True)
    terms = objective.evaluate(pose, begins).terms
    assert min(float(value) for name, value in terms.items() if name != "given_up") > 0.1
    assert roughly_off(made, begins) < 2e-2


def test_what_is_kept_of_a_body_may_be_used_under_autograd(body: BodyModel) -> None:
    """A fit runs without autograd, and may be the first to ask."""
    _Marks.of.cache_clear()
    with torch.inference_mode():
        marks = _Marks.of(fit_body(body))
    assert _Marks.of(fit_body(body)) is marks
    assert not marks.sums.points.rest.is_inference()
    assert not marks.sole_depth.is_inference()
