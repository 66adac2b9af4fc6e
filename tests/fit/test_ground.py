"""The floor that both people stand on: it tells depth that the keypoints of each alone do not."""

from dataclasses import replace

import numpy as np
import pytest

from apu.body.model import BodyModel
from apu.fit import FitOptions, fit_pair
from apu.fit.ground import joint_masses
from apu.fit.options import Stance
from apu.types import SMPL_JOINTS, BodyParams, PairObservation

from .conftest import observe, standing

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
