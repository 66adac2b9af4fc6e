"""Errors of joints and vertices: cases computed by hand, and what may and may not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from apu.metrics import align, interaction_error, joint_pa_mpjpe, mpjpe, mpvpe, pa_mpjpe

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
"""Joints of one person, metres."""


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 22, 3)) + np.array([[[0.0, 0, 3]], [[0.6, 0, 3]]])


@pytest.fixture
def fitted(truth: np.ndarray) -> np.ndarray:
    return truth + 0.1 * np.random.default_rng(2).normal(size=truth.shape)


def similarity(seed: int):
    """A rotation, a scale and a shift as one function of points."""
    rng = np.random.default_rng(seed)
    turn, scale, shift = Rotation.random(rng=rng), rng.uniform(0.2, 5), 10 * rng.normal(size=3)
    return lambda points: scale * turn.apply(points.reshape(-1, 3)).reshape(points.shape) + shift


# By hand.


def test_the_joint_figure_sees_the_distance_between_people_and_the_single_one_does_not() -> None:
    """Two people on a line, one of whom stands 2 m from the other instead of 1 m.

    Joints of the true pair at x = -1/2 and 1/2 (times a spread of 1 along y); fitted at x = -1 and 1.
    """
    column = np.array([[0.0, -0.5, 0], [0, 0.5, 0]])
    side = np.array([[[-1.0, 0, 0]], [[1, 0, 0]]])
    true, wide = column + side / 2, column + side
    # Least squares over the scale s of points (1, 0.5) to (0.5, 0.5): s = (0.5 + 0.25) / 1.25 = 0.6.
    expected = np.hypot(0.6 * 1.0 - 0.5, 0.6 * 0.5 - 0.5) * 1000
    assert joint_pa_mpjpe(wide, true) == pytest.approx(expected)
    assert pa_mpjpe(wide, true) == pytest.approx([0, 0], abs=1e-9)
    # Pelvis-aligned on joint 0, nobody has moved.
    assert mpjpe(wide, true) == pytest.approx([0, 0], abs=1e-9)


def test_one_joint_off_by_eight_millimetres_is_two_on_average_over_four() -> None:
    true = np.stack([SQUARE, SQUARE + 5])
    fitted = true.copy()
    fitted[1, 2] += (0, 0, 0.008)
    assert mpjpe(fitted, true) == pytest.approx([0, 2])
    fitted[1] += (7, 8, 9)
    assert mpjpe(fitted, true) == pytest.approx([0, 2])


def test_the_pelvis_of_a_skeleton_without_one_is_between_its_hips() -> None:
    true = np.stack([SQUARE, SQUARE])
    fitted = true.copy()
    fitted[:, 0] += (0.004, 0, 0)  # one hip: the pelvis moves by 2 mm, so 2, 2, 2 and 2 mm are left
    assert mpjpe(fitted, true, root=(0, 1)) == pytest.approx([2, 2])


def test_vertices_are_moved_with_the_pelvis() -> None:
    true = np.stack([SQUARE, SQUARE])
    fitted = true + np.array([[[1.0, 2, 3]], [[0, 0, 0]]])
    pelvis = np.array([[1.0, 2, 3], [0, 0, 0.006]])
    assert mpvpe(fitted, true, pelvis=pelvis, true_pelvis=np.zeros((2, 3))) == pytest.approx([0, 6])


def test_interaction_error_of_two_joints_each() -> None:
    """Distances 3, 5, 5, 3 m in truth; the second person 1 m further away along the line of the first pair."""
    a, b = np.array([[0.0, 0, 0], [0, 4, 0]]), np.array([[3.0, 0, 0], [3, 4, 0]])
    further = b + np.array([1, 0, 0])
    expected = (1 + 1 + 2 * (np.sqrt(32) - 5)) / 4 * 1000
    assert interaction_error(np.stack([a, further]), np.stack([a, b])) == pytest.approx(expected)


# Invariances.


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25, database=None)
def test_a_similarity_of_everybody_together_is_aligned_away(seed: int) -> None:
    truth = np.random.default_rng(seed).normal(size=(2, 22, 3))
    fitted = truth.copy()
    fitted[:, 3] += 0.3
    moved = similarity(seed)(fitted)
    assert joint_pa_mpjpe(moved, truth) == pytest.approx(joint_pa_mpjpe(fitted, truth), rel=1e-6)
    assert pa_mpjpe(moved, truth) == pytest.approx(pa_mpjpe(fitted, truth), rel=1e-6)
    assert joint_pa_mpjpe(similarity(seed)(truth), truth) == pytest.approx(0, abs=1e-6)


def test_alignment_is_the_best_of_its_kind(truth: np.ndarray, fitted: np.ndarray) -> None:
    best = np.square(align(fitted[0], truth[0]) - truth[0]).sum()
    rng = np.random.default_rng(0)
    for _ in range(200):
        turn = Rotation.from_rotvec(0.02 * rng.normal(size=3))
        other = turn.apply(align(fitted[0], truth[0])) * rng.normal(1, 0.02) + 0.02 * rng.normal(size=3)
        assert np.square(other - truth[0]).sum() >= best


def test_a_similarity_of_one_person_alone_is_not_aligned_away_together(truth: np.ndarray) -> None:
    apart = np.stack([truth[0], truth[1] + (0.5, 0, 0)])
    assert joint_pa_mpjpe(apart, truth) > 10
    assert pa_mpjpe(apart, truth) == pytest.approx([0, 0], abs=1e-9)


def test_people_who_changed_places_are_wrong(truth: np.ndarray) -> None:
    assert joint_pa_mpjpe(truth[::-1], truth) > 100


def test_a_reflection_is_wrong(truth: np.ndarray) -> None:
    mirrored = truth * (-1, 1, 1)
    assert joint_pa_mpjpe(mirrored, truth) > 100
    assert (pa_mpjpe(mirrored, truth) > 100).all()
    turned = align(truth[0] * (-1, 1, 1), truth[0])
    shape = np.linalg.lstsq(truth[0] - truth[0].mean(0), turned - turned.mean(0))[0]
    assert np.linalg.det(shape) < 0, "the mirrored points stay mirrored"


def test_naming_the_people_the_other_way_round_changes_nothing(truth: np.ndarray, fitted: np.ndarray) -> None:
    for whole in (joint_pa_mpjpe, interaction_error):
        assert whole(fitted[::-1], truth[::-1]) == pytest.approx(whole(fitted, truth))
    for each in (pa_mpjpe, mpjpe):
        assert each(fitted[::-1], truth[::-1]) == pytest.approx(each(fitted, truth)[::-1])


def test_the_order_of_joints_changes_nothing(truth: np.ndarray, fitted: np.ndarray) -> None:
    order = np.random.default_rng(3).permutation(22)
    for whole in (joint_pa_mpjpe, interaction_error):
        assert whole(fitted[:, order], truth[:, order]) == pytest.approx(whole(fitted, truth))


def test_distances_between_people_know_no_frame_but_they_know_size(truth: np.ndarray, fitted: np.ndarray) -> None:
    turn = Rotation.random(rng=0)
    moved = turn.apply(fitted.reshape(-1, 3)).reshape(fitted.shape) + np.array([1, 2, 3])
    assert interaction_error(moved, truth) == pytest.approx(interaction_error(fitted, truth))
    assert interaction_error(1.1 * truth, truth) > 10


# Degenerate input.


def test_a_person_on_one_spot_has_a_finite_error(truth: np.ndarray) -> None:
    spot = np.zeros((2, 22, 3))
    expected = np.linalg.norm(truth.reshape(-1, 3) - truth.reshape(-1, 3).mean(0), axis=1).mean() * 1000
    assert joint_pa_mpjpe(spot, truth) == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2])
def test_one_and_two_joints_align_exactly(truth: np.ndarray, fitted: np.ndarray, count: int) -> None:
    assert pa_mpjpe(fitted[:, :count], truth[:, :count]) == pytest.approx([0, 0], abs=1e-6)


def test_joints_on_a_line_and_in_a_plane_are_aligned_without_reflection() -> None:
    line = np.linspace(0, 1, 5)[:, None] * (1.0, 2, 3)
    assert pa_mpjpe(
        np.stack([line, SQUARE[[0, 1, 2, 3, 0]]]), np.stack([2 * line + 1, 3 * SQUARE[[0, 1, 2, 3, 0]]])
    ) == (pytest.approx([0, 0], abs=1e-6))


def test_joints_without_truth_do_not_count(truth: np.ndarray, fitted: np.ndarray) -> None:
    partial = truth.copy()
    partial[0, 5:], partial[1, 20:] = np.nan, np.nan
    nonsense = np.where(np.isnan(partial), 1e3, fitted)
    assert joint_pa_mpjpe(nonsense, partial) == pytest.approx(joint_pa_mpjpe(fitted, partial))
    assert mpjpe(nonsense, partial)[0] == pytest.approx(mpjpe(fitted[:, :5], truth[:, :5])[0])
    assert interaction_error(nonsense, partial) == pytest.approx(interaction_error(fitted, partial))
    nobody = np.full_like(truth, np.nan)
    assert np.isnan(joint_pa_mpjpe(fitted, nobody))
    assert np.isnan([*pa_mpjpe(fitted, nobody), *mpjpe(fitted, nobody), interaction_error(fitted, nobody)]).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_has_no_error(truth: np.ndarray, fitted: np.ndarray, wrong: float) -> None:
    fitted[0, 4, 1] = wrong
    assert np.isnan(joint_pa_mpjpe(fitted, truth))
    assert np.isnan(interaction_error(fitted, truth))
    for each in (pa_mpjpe, mpjpe):
        assert np.isnan(each(fitted, truth)).tolist() == [True, False]
