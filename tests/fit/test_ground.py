"""The floor that both people stand on: it tells depth that the keypoints of each alone do not."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import roma
import torch

from apu.body.model import BodyModel
from apu.fit import FitOptions, fit_pair
from apu.fit.ground import GroundTerm, ground, joint_masses
from apu.fit.options import Stance
from apu.fit.problem import build_problem
from apu.fit.proxy import fit_body
from apu.fit.start import initial_pose
from apu.metrics import joint_pa_mpjpe
from apu.synth.draw import draw_scene
from apu.types import SMPL_JOINTS, BodyParams, Contact, PairObservation

from .conftest import observe, standing


class Ride(NamedTuple):
    truth: BodyParams
    seen: PairObservation
    contacts: tuple[Contact, ...]


NO_FLOOR = FitOptions(stance=Stance(floor_sigma=1e3, balance_sigma=1e3))


@pytest.fixture(scope="module")
def truth(body: BodyModel) -> BodyParams:
    """Two people of different height, whose feet are on one floor."""
    people = standing()
    soles = body.forward(people).vertices[..., 1].max(1)  # y is down
    transl = people.transl.copy()
    transl[:, 1] -= soles - soles.mean()
    return replace(people, transl=transl)


@pytest.fixture(scope="module")
def seen(truth: BodyParams, body: BodyModel) -> PairObservation:
    """As an estimator sees people whose height it does not know: person 1 a tenth too small and too near."""
    observation = observe(body, truth)
    joints = observation.estimate.joints.copy()
    joints[1] *= 0.9
    return replace(observation, estimate=replace(observation.estimate, joints=joints))


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def depth_error(params, truth) -> float:
    """Of the two people to each other, metres."""
    return abs(float(np.diff(params.transl[:, 2])[0] - np.diff(truth.transl[:, 2])[0]))


def test_two_who_stand_on_one_floor_are_put_right_in_depth(truth, seen, body: BodyModel) -> None:
    with_floor = fit_pair(seen, (), body)
    without = fit_pair(seen, (), body, options=NO_FLOOR)
    assert depth_error(without.params, truth) > 0.12
    assert depth_error(with_floor.params, truth) < 0.4 * depth_error(without.params, truth)


def test_feet_outside_of_the_picture_say_nothing(seen, body: BodyModel) -> None:
    keypoints = seen.keypoints.copy()
    keypoints[:, [11, 14, *range(19, 25)], 2] = 0
    cut = replace(seen, keypoints=keypoints)
    with_floor, without = fit_pair(cut, (), body), fit_pair(cut, (), body, options=NO_FLOOR)
    np.testing.assert_allclose(with_floor.params.transl, without.params.transl, atol=1e-5)
    assert "floor" not in with_floor.terms


def test_the_masses_are_those_of_a_body() -> None:
    mass = dict(zip(SMPL_JOINTS, joint_masses(), strict=True))
    assert sum(mass.values()) == pytest.approx(1)
    legs = sum(value for name, value in mass.items() if any(part in name for part in ("hip", "knee", "ankle", "foot")))
    assert legs == pytest.approx(2 * 0.1986, abs=0.002)
    assert all(mass[name] == mass[name.replace("left", "right")] for name in mass)


class TestGround:
    """Soles and centres of mass of two people who stand 0.3 m apart in depth, y down."""

    @staticmethod
    def standing() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        foot = torch.tensor([[x, 1.0, z] for x in (-0.1, 0.1) for z in (-0.05, 0.0, 0.2)], dtype=torch.float64)
        away = torch.tensor([[0.0, 0.0, 3.0], [0.4, 0.0, 3.3]], dtype=torch.float64)
        soles = (foot + away[:, None])[None]
        mass = soles.mean(2) - torch.tensor([0.0, 0.95, 0.0])
        return soles, mass, torch.ones(1, 2, 6, dtype=torch.float64)

    @staticmethod
    def total(term: GroundTerm) -> torch.Tensor:
        return (term.floor + term.balance).sum()

    @staticmethod
    def pull(term: GroundTerm) -> torch.Tensor:
        """The gradient by every mark."""
        return torch.einsum("nr,nrpkc->npkc", term.residual, term.slope)

    def test_who_stands_on_one_floor_under_their_weight_costs_nothing(self) -> None:
        assert float(self.total(ground(*self.standing(), Stance()))) < 1e-6

    def test_half_of_the_points_too_high_share_the_misfit_with_the_floor(self) -> None:
        soles, mass, weight = self.standing()
        stance = Stance(tilt_sigma=(1e-6, 1e-6))
        raised = torch.zeros(2, dtype=torch.float64)
        raised[1] = -0.01
        soles[..., 1] += raised[:, None]
        expected = 12 * 0.5 * 0.005**2 / stance.floor_sigma**2 * stance.floor_scale**2
        expected /= stance.floor_scale**2 + 0.005**2
        assert float(ground(soles, mass, weight, stance).floor) == pytest.approx(expected, rel=1e-3)

    def test_a_raised_foot_is_let_go(self) -> None:
        soles, mass, weight = self.standing()
        pulls = []
        for height in (0.05, 0.5):
            up = soles.clone()
            up[0, 0, :3, 1] -= height
            pulls.append(float(self.pull(ground(up, mass, weight, Stance()))[0, 0, :3, 1].abs().max()))
        assert pulls[1] < 0.1 * pulls[0]

    def test_a_foot_nobody_saw_is_free(self) -> None:
        soles, mass, weight = self.standing()
        weight[0, 0, :3] = 0
        soles[0, 0, :3, 1] -= 0.01
        assert float(ground(soles, mass, weight, Stance()).floor) < 1e-6

    def test_where_no_foot_was_seen_there_is_no_floor(self) -> None:
        soles, mass, weight = self.standing()
        term = ground(soles + doubles(1, 2, 6, 3), mass, 0 * weight, Stance())
        assert float(self.total(term)) == 0
        assert not term.residual.any()

    def test_a_camera_that_looks_down_costs_only_its_tilt(self) -> None:
        soles, mass, weight = self.standing()
        angle = 0.1
        look = roma.rotvec_to_rotmat(torch.tensor([angle, 0.0, 0.0], dtype=torch.float64))
        term = ground(soles @ look.T, mass @ look.T, weight, Stance())
        assert float(self.total(term)) == pytest.approx(0.5 * (math.tan(angle) / 0.15) ** 2, rel=0.05)

    def test_leaning_costs_what_the_formula_says(self) -> None:
        soles, mass, weight = self.standing()
        stance = Stance(tilt_sigma=(1e-6, 1e-6))
        mass[0, 0, 2] += 0.1
        robust = stance.balance_scale**2 / (stance.balance_scale**2 + 0.1**2)
        expected = 0.5 * robust * 0.1**2 / stance.balance_sigma**2
        assert float(ground(soles, mass, weight, stance).balance) == pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize("stance", [Stance(balance_sigma=1e6), Stance(floor_scale=1e4)])
    def test_the_rows_give_the_gradient_with_the_floor_at_its_best(
        self, stance: Stance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """But for which soles carry: that is held, so balance is asked where they all do."""
        monkeypatch.setattr("apu.fit.ground._ROUNDS", 300)
        soles, mass, weight = self.standing()
        marks = torch.cat([soles + 0.03 * doubles(1, 2, 6, 3), (mass + 0.1 * doubles(1, 2, 3, seed=1))[:, :, None]], 2)
        tiny = 1e-6 * torch.eye(marks.numel(), dtype=torch.float64).view(-1, *marks.shape[1:])
        of = lambda marks: ground(marks[:, :, :-1], marks[:, :, -1], weight.expand(len(marks), -1, -1), stance)  # noqa: E731
        ahead, behind = (of(marks + way * tiny) for way in (1, -1))
        expected = (ahead.floor + ahead.balance - behind.floor - behind.balance) / 2e-6
        torch.testing.assert_close(self.pull(of(marks)).flatten(), expected, atol=1e-5, rtol=1e-6)

    def test_a_floor_that_follows_leaves_nothing_for_it_to_gain(self) -> None:
        term = ground(*self.standing(), Stance())
        left = torch.einsum("nri,nrpkc->nipkc", term.columns, term.slope)
        assert term.slope.abs().max() > 10
        assert left.abs().max() < 1e-6


@pytest.fixture(scope="module")
def ride(body: BodyModel) -> Ride:
    """Somebody on another's back, and who touches whom."""
    scene = draw_scene("piggyback", 5, fit_body(body))
    contacts = tuple(replace(c, weight=1.0, source="curator") for c in scene.recipe.true_contacts)
    return Ride(scene.params, observe(body, scene.params, seed=5), contacts)


class TestCarried:
    def test_who_is_held_by_the_other_need_not_stand(self, ride: Ride, body: BodyModel) -> None:
        fit = fit_pair(ride.seen, ride.contacts, body)
        standing = fit_pair(ride.seen, ride.contacts, body, options=FitOptions(carried=1e9))
        assert fit.stop.endswith("; without the floor under one of them")
        assert "floor" not in standing.stop
        assert fit.terms["given_up"][-1] >= FitOptions().carried
        assert fit.objective < 0.7 * standing.objective
        assert fit.gaps_m.max() < 0.01
        joints, truth = (body.forward(params).joints for params in (fit.params, ride.truth))
        assert joint_pa_mpjpe(joints, truth) < 60

    def test_who_touches_nobody_is_not_carried(self, ride: Ride, body: BodyModel) -> None:
        assert "floor" not in fit_pair(ride.seen, (), body).stop

    def test_two_who_stand_are_not(self, seen: PairObservation, touch: Sequence[Contact], body: BodyModel) -> None:
        assert "floor" not in fit_pair(seen, touch, body).stop

    def test_one_of_two_is_lifted_who_touch_and_whose_feet_are_seen(
        self, seen: PairObservation, touch: Sequence[Contact], body: BodyModel
    ) -> None:
        prepared, start = fit_body(body), initial_pose(seen, fit_body(body))
        hidden = seen.keypoints.copy()
        hidden[1, [11, 14], 2] = 0  # ankles
        of_nobody = [replace(c, weight=0.0) for c in touch]
        problem, *_ = build_problem(
            [seen, replace(seen, keypoints=hidden), seen, seen], [touch, touch, of_nobody, ()], [start] * 4, prepared,
            FitOptions(),
        )  # fmt: skip
        lifted, of = problem.each_carried(5.0)
        assert of.tolist() == [0, 0]
        assert lifted.stands.tolist() == [[0, 1], [1, 0]]
        assert lifted.given_up.tolist() == [5.0, 5.0]
        assert len(lifted.each_carried(5.0)[1]) == 0  # nobody carries somebody who is carried
        down, of = problem.joined(lifted).each_put_down(5.0)
        assert of.tolist() == [4, 5]
        assert down.stands.tolist() == [[1, 1], [1, 1]]
        assert down.given_up.tolist() == [0.0, 0.0]
