"""Limbs that nobody sees: legs are straight, who is cut off above the knees is upright, arms go where contacts ask."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.fit import FitOptions, fit_pair
from apu.fit.problem import Problem, build_problem
from apu.fit.proxy import fit_body
from apu.fit.start import initial_pose
from apu.synth.observe import mesh_estimate
from apu.types import BODY_25, SMPL_JOINTS, BodyParams, PairObservation

from .conftest import Scene, contact, part

LEGS = tuple(name for name in BODY_25 if any(word in name for word in ("knee", "ankle", "toe", "heel")))
OF_LEGS = [SMPL_JOINTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("hip", "knee", "ankle")]
LEFT, RIGHT = OF_LEGS[:3], OF_LEGS[3:]

Observed = Callable[..., PairObservation]


def without(observation: PairObservation, names: Sequence[str]) -> PairObservation:
    """As if nobody had seen these keypoints of either person."""
    keypoints = observation.keypoints.copy()
    keypoints[:, [BODY_25.index(name) for name in names], 2] = 0
    return replace(observation, keypoints=keypoints)


def started(observation: PairObservation, start: BodyParams, body: BodyModel) -> PairObservation:
    return replace(observation, estimate=mesh_estimate(start, body))


def problem_of(observation: PairObservation, body: BodyModel) -> Problem:
    prepared = fit_body(body)
    return build_problem([observation], [()], [initial_pose(observation, prepared)], prepared, FitOptions())[0]


def turns(params: BodyParams, joints: Sequence[int]) -> Float[np.ndarray, "2 joints"]:
    """How far joints are bent, radians."""
    return np.linalg.norm(params.body_pose[:, np.array(joints) - 1], axis=-1)


def lean(orient: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2"]:
    """Away from the camera or towards it, radians."""
    up = Rotation.from_rotvec(orient).as_matrix()[:, :, 1]
    return np.arctan2(up[:, 2], -up[:, 1])


@pytest.fixture
def bent(scene: Scene) -> BodyParams:
    """The people of the scene with bent legs, as if they sat."""
    pose = scene.truth.body_pose.copy()
    for hip, knee, ankle in (LEFT, RIGHT):
        pose[:, np.array([hip, knee, ankle]) - 1, 0] = (-0.6, 1.2, -0.3)
    return replace(scene.truth, body_pose=pose)


class TestLegs:
    def test_legs_that_nobody_sees_are_straight(self, scene: Scene, bent: BodyParams, body: BodyModel) -> None:
        fit = fit_pair(started(without(scene.observation, LEGS), bent, body), (), body)
        assert (turns(fit.start, OF_LEGS)[:, 1] > 1).all()
        assert (turns(fit.params, OF_LEGS) < 0.1).all()

    def test_the_leg_that_is_seen_stays_bent(self, bent: BodyParams, observed: Observed, body: BodyModel) -> None:
        left = [name for name in LEGS if name.startswith("left")]
        fit = fit_pair(without(observed(body, bent, noise=0.0), left), (), body)
        assert (turns(fit.params, LEFT) < 0.1).all()
        assert (turns(fit.params, RIGHT)[:, 1] > 1).all()

    def test_the_knee_tells_whether_a_leg_is_seen(self, scene: Scene, body: BodyModel) -> None:
        """Held as firmly as the options say; feet and legs whose knee is seen are held to the start."""
        problem = problem_of(without(scene.observation, ["left_knee", "right_ankle"]), body)
        straight = torch.eye(3).expand(1, 2, 3, 3, 3)
        torch.testing.assert_close(problem.target[:, :, LEFT], straight)
        torch.testing.assert_close(problem.target[:, :, RIGHT], problem.start.rotations[:, :, RIGHT])
        assert torch.unique(problem.pose_sigma[0, :, LEFT]).tolist() == [FitOptions().hidden_leg_sigma]
        options = FitOptions()
        expected = [options.leg_sigma, options.leg_sigma, options.other_sigma]
        torch.testing.assert_close(problem.pose_sigma[0, :, RIGHT], torch.tensor([expected] * 2))


class TestUpright:
    @staticmethod
    def leaning(params: BodyParams, turn: Sequence[float]) -> BodyParams:
        orient = Rotation.from_rotvec(turn) * Rotation.from_rotvec(params.global_orient)
        return replace(params, global_orient=orient.as_rotvec())

    def test_who_is_cut_off_above_the_knees_is_fitted_upright(self, scene: Scene, body: BodyModel) -> None:
        """The mesh leans back by 20 degrees; what is seen of a person is too unsure to tell."""
        leaning = self.leaning(scene.truth, (0.35, 0, 0))
        fit = fit_pair(
            started(without(scene.observation, LEGS), leaning, body), (), body, options=FitOptions(keypoint_sigma=40.0)
        )
        assert (np.abs(lean(fit.start.global_orient)) > 0.3).all()
        assert (np.abs(lean(fit.params.global_orient)) < 0.05).all()

    @pytest.mark.parametrize(
        ("turn", "unseen", "upright"),
        [
            ((0.35, 0, 0), LEGS, True),
            ((-0.55, 0, 0), LEGS, True),
            ((0.35, 0, 0), ["left_knee", "right_knee"], True),
            ((0.35, 0, 0), ["left_ankle", "right_ankle", "right_knee"], False),
            ((0.65, 0, 0), LEGS, False),
            ((-2.5, 0, 0), LEGS, False),
        ],
        ids=["back", "forwards", "feet seen", "one knee seen", "bending", "upside down"],
    )
    def test_only_a_small_lean_of_people_whose_knees_are_both_unseen_is_taken_for_a_mistake(
        self, scene: Scene, body: BodyModel, turn: Sequence[float], unseen: Sequence[str], upright: bool
    ) -> None:
        start = self.leaning(replace(scene.truth, global_orient=np.array([[np.pi, 0, 0]] * 2)), turn)
        root = problem_of(started(without(scene.observation, unseen), start, body), body).target[0, :, 0]
        expected = np.zeros(2) if upright else lean(start.global_orient)
        found = lean(Rotation.from_matrix(root.numpy()).as_rotvec())
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_a_lean_to_the_side_is_seen_and_stays(self, scene: Scene, body: BodyModel) -> None:
        start = self.leaning(scene.truth, (0, 0, 0.4))
        problem = problem_of(started(without(scene.observation, LEGS), start, body), body)
        torch.testing.assert_close(problem.target[:, :, 0], problem.start.rotations[:, :, 0], atol=1e-5, rtol=0)


class TestArms:
    def test_an_arm_nobody_sees_goes_further_to_its_contact_than_one_held_like_a_seen_one(
        self, scene: Scene, observed: Observed, body: BodyModel
    ) -> None:
        """The left arm of person 1 hangs; a contact that weighs little asks its hand to the other's shoulder."""
        touch = replace(contact(part("shoulder", "right"), part("hand", "left")), weight=3e-3)
        unseen = without(observed(body, scene.truth, noise=0.0), ["left_elbow", "left_wrist"])
        held = (FitOptions(), FitOptions(hidden_arm_sigma=FitOptions().arm_sigma))
        loose, firm = (fit_pair(unseen, (touch,), body, options=options) for options in held)
        assert loose.gaps_m[0] < 0.7 * firm.gaps_m[0]
        raised = [
            (Rotation.from_rotvec(fit.start.body_pose[1]).inv() * Rotation.from_rotvec(fit.params.body_pose[1]))[
                SMPL_JOINTS.index("left_shoulder") - 1
            ].magnitude()
            for fit in (loose, firm)
        ]
        assert raised[0] > raised[1] + 0.1

    @pytest.mark.parametrize(
        ("unseen", "loose"),
        [
            ([], []),
            (["left_wrist"], ["left_elbow"]),
            (["left_elbow"], ["left_shoulder"]),
            (["right_elbow", "right_wrist"], ["right_shoulder", "right_elbow"]),
        ],
        ids=["all seen", "no wrist", "no elbow", "no arm"],
    )
    def test_a_joint_is_held_loosely_where_the_next_one_is_not_seen(
        self, scene: Scene, body: BodyModel, unseen: Sequence[str], loose: Sequence[str]
    ) -> None:
        sigma, options = problem_of(without(scene.observation, unseen), body).pose_sigma[0], FitOptions()
        for name in (f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow")):
            expected = options.hidden_arm_sigma if name in loose else options.arm_sigma
            assert sigma[:, SMPL_JOINTS.index(name)].tolist() == pytest.approx([expected] * 2), name
