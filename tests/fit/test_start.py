"""Starts: an estimate's joints carry over to this body; people without a mesh stand up from their keypoints."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.skinning import Pose, skinned_surface
from apu.errors import FitError
from apu.fit import FitCancelled, fit_pair, initial_params, unite
from apu.fit.proxy import fit_body
from apu.fit.start import facings, initial_pose, shape_to_joints
from apu.metrics import reprojection_error
from apu.types import KEYPOINTS, mirror_name


def test_shape_and_place_come_back_from_joints_alone(scene, body: BodyModel) -> None:
    skeleton = skinned_surface(body).skeleton
    for child in (0.0, 0.6):
        truth = replace(scene.truth, betas=np.concatenate([scene.truth.betas[:, :10], np.full((2, 1), child)], 1))
        joints = torch.as_tensor(body.forward(truth).joints[:, :22])
        pose = shape_to_joints(Pose.of(truth).rotations, joints, skeleton)
        found = skeleton.frames(pose).place
        assert (found - joints).norm(dim=-1).mean() < 0.01
        assert pose.betas[:, 10].tolist() == pytest.approx([child, child], abs=0.1)
        assert ((pose.betas[:, 10] >= 0) & (pose.betas[:, 10] <= 1)).all()


def test_the_start_keeps_the_estimates_pose(scene, body: BodyModel) -> None:
    start = initial_params(scene.observation, body)
    given, found = (Rotation.from_rotvec(p.body_pose.reshape(-1, 3)) for p in (scene.observation.estimate, start))
    assert (given.inv() * found).magnitude().max() < 1e-4


def without_mesh(observation, person: int):
    valid = observation.estimate.valid.copy()
    valid[person] = False
    return replace(observation, estimate=replace(observation.estimate, valid=valid))


@pytest.mark.parametrize("person", [0, 1])
def test_a_person_without_a_mesh_is_fitted_to_the_keypoints(scene, body: BodyModel, person: int) -> None:
    observation = without_mesh(scene.observation, person)
    start = initial_params(observation, body)
    assert reprojection_error(body.keypoints(start), observation)[0][person] < 12
    known = initial_params(scene.observation, body)
    np.testing.assert_array_equal(start.transl[1 - person], known.transl[1 - person])


def test_a_fit_is_cancelled_while_a_person_without_a_mesh_is_being_placed(
    scene, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unite, "build_problem", None)  # what follows the start
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(FitCancelled):
        fit_pair(without_mesh(scene.observation, 0), (), body, cancelled=cancelled)
    assert len(asked) == 3


@pytest.mark.parametrize("angle", [0.0, np.pi])
def test_facing_and_turned_away_are_told_apart(scene, observed, body: BodyModel, angle: float) -> None:
    """The truth faces the camera or turns its back; the better of the two starts has the face on the right side."""
    orient = Rotation.from_rotvec([0, angle, 0]) * Rotation.from_rotvec([np.pi, 0, 0])
    apart = np.array([[-0.6, 0.3, 3.5], [0.6, 0.3, 3.5]])
    truth = replace(scene.truth, global_orient=np.stack([orient.as_rotvec()] * 2), transl=apart)
    observation = without_mesh(without_mesh(observed(body, truth), 0), 1)
    start = initial_params(observation, body)
    forward = Rotation.from_rotvec(start.global_orient).apply([0, 0, 1])
    expected = orient.apply([0, 0, 1])
    assert (forward @ expected > 0.5).all()


def test_a_mesh_that_faces_the_wrong_way_is_doubted_only_where_keypoints_and_face_agree(
    scene, observed, body: BodyModel
) -> None:
    """Person 0 faces the viewer; its mesh shows its back. Exchanged keypoints alone leave a mesh as it is."""
    orient = Rotation.from_rotvec([np.pi, 0, 0])
    apart = np.array([[-0.6, 0.3, 3.5], [0.6, 0.3, 3.5]])
    truth = replace(scene.truth, global_orient=np.stack([orient.as_rotvec()] * 2), transl=apart)
    observation = observed(body, truth, noise=0.05)
    estimate, skeleton = observation.estimate, skinned_surface(body).skeleton
    back = estimate.global_orient.copy()
    back[0] = (Rotation.from_rotvec(back[0]) * Rotation.from_rotvec([0, np.pi, 0])).as_rotvec()
    joints = body.forward(replace(truth, global_orient=back)).joints[:, :22]
    wrong = replace(observation, estimate=replace(estimate, global_orient=back, joints=joints))

    def starts(of) -> list[Pose]:
        return facings(of, initial_pose(of, fit_body(body)), skeleton)

    assert len(starts(observation)) == 1
    assert len(starts(wrong)) == 2
    fitted = fit_pair(wrong, (), body)
    assert (Rotation.from_rotvec(fitted.params.global_orient).apply([0, 0, 1])[:, 2] < -0.5).all()
    assert (fitted.reprojection_512 < 10).all()
    again = fit_pair(wrong, (), body, start=fitted.params)  # goes on from who was turned around
    assert again.objective < 1.05 * fitted.objective
    order = [KEYPOINTS.index(mirror_name(name)) for name in KEYPOINTS]
    exchanged = np.stack([observation.keypoints[0, order], observation.keypoints[1]])
    assert len(starts(replace(observation, keypoints=exchanged))) == 1


def test_too_few_keypoints_for_a_person_without_a_mesh_is_refused(scene, body: BodyModel) -> None:
    observation = without_mesh(scene.observation, 1)
    keypoints = observation.keypoints.copy()
    keypoints[1, 2:, 2] = 0
    with pytest.raises(FitError, match="person B has no initial mesh and only 2 usable keypoints"):
        initial_params(replace(observation, keypoints=keypoints), body)
