"""A user's SMPL-X file takes the place of the shipped body; a bad one is refused in a sentence before it is opened."""

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apu.body.model import FREE_BODY, KID_TEMPLATE, BodyModel, load_body
from apu.body.regions import regions_of
from apu.errors import ApuError, FormatError, InputError, UnsafeFileError
from apu.files import asset
from apu.fit.proxy import fit_body
from apu.types import KEYPOINTS, BodyParams, BodyPart, Side


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A licensed body's folder: the published layout and nothing of ours in the file."""
    data = dict(np.load(asset(FREE_BODY)))
    published = {name: array for name, array in data.items() if not name.startswith(("apu_", "keypoint_", "anny_"))}
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **published)
    shutil.copy(asset(FREE_BODY).parents[1] / KID_TEMPLATE, tmp_path / KID_TEMPLATE)
    return tmp_path


def rest(people: int = 2) -> BodyParams:
    zeros = np.zeros((people, 3), np.float32)
    return BodyParams(
        global_orient=zeros, body_pose=np.zeros((people, 21, 3)), betas=np.zeros((people, 11)), transl=zeros
    )


def test_a_licensed_file_loads_by_its_path_with_eleven_betas(folder: Path, body: BodyModel) -> None:
    licensed = load_body(folder / "SMPLX_NEUTRAL.npz")
    assert licensed.name == "smplx"
    grown = replace(rest(), betas=np.eye(11)[[0, 10]])
    np.testing.assert_allclose(licensed.forward(grown).vertices, body.forward(grown).vertices, atol=1e-6)
    heights = np.ptp(licensed.forward(grown).vertices[:, :, 1], axis=1)
    assert heights[1] < 0.5 * heights[0], "the 11th beta must lead to a child"


def test_a_licensed_bodys_keypoints_are_its_own_joints_and_surface_points(folder: Path, body: BodyModel) -> None:
    licensed = load_body(folder / "SMPLX_NEUTRAL.npz")
    points = licensed.keypoints(rest(1))[0]
    joints = licensed.forward(rest(1)).joints[0]
    # smplx's order of fingers is index, middle, pinky, ring, thumb, three joints each.
    for name, joint in (("left_wrist", 20), ("right_knee", 5), ("neck", 12), ("left_index1", 25), ("right_pinky2", 47)):
        np.testing.assert_allclose(points[KEYPOINTS.index(name)], joints[joint], atol=1e-6, err_msg=name)
    assert np.linalg.norm(points - body.keypoints(rest(1))[0], axis=1).max() < 0.12


def test_the_fit_sees_a_licensed_body_through_the_same_eyes(folder: Path) -> None:
    prepared = fit_body(load_body(folder / "SMPLX_NEUTRAL.npz"))
    assert len(prepared.regions.names) == 75
    assert prepared.mixture is None
    assert 2000 < prepared.skin_faces.max() < 3000
    assert len(prepared.probes) == 2500 == len(prepared.skin.rest) - 1 - prepared.skin_faces.max()


def test_regions_and_a_pose_prior_beside_the_body_are_used(folder: Path, body: BodyModel) -> None:
    own = regions_of(body)
    lists = {"rid_to_smplx_fids": [faces.tolist() for faces in own.faces]}
    (folder / "contact_regions.json").write_text(json.dumps(lists))
    np.savez(
        folder / "pose_mixture.npz", means=np.zeros((2, 69)), covars=np.stack([np.eye(69)] * 2), weights=[0.5, 0.5]
    )
    licensed = load_body(folder / "SMPLX_NEUTRAL.npz")
    hand = BodyPart(name="hand", side=Side.LEFT)
    found, expected = (set(r.part_vertices(hand).tolist()) for r in (regions_of(licensed), own))
    assert len(found & expected) > 0.8 * len(expected)
    prepared = fit_body(licensed)
    assert prepared.mixture is not None
    assert prepared.mixture.means.shape == (2, 63)


def test_without_its_child_template_it_is_refused(folder: Path) -> None:
    (folder / KID_TEMPLATE).unlink()
    with pytest.raises(InputError, match=r"child template is missing; put smplx_kid_template\.npy beside it"):
        load_body(folder / "SMPLX_NEUTRAL.npz")


def test_a_file_of_something_else_is_named_with_what_it_lacks(folder: Path) -> None:
    np.savez(folder / "SMPLX_NEUTRAL.npz", v_template=np.zeros((3, 3)))
    with pytest.raises(FormatError, match=r"lacks .*J_regressor"):
        load_body(folder / "SMPLX_NEUTRAL.npz")


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("file", ["SMPLX_NEUTRAL.npz", KID_TEMPLATE])
def test_a_file_with_foreign_code_is_refused_before_it_runs(folder: Path, tmp_path: Path, file: str) -> None:
    trace = tmp_path / "it_ran"
    array = np.array([Hostile(trace)], dtype=object)
    if file.endswith(".npz"):
        data = dict(np.load(folder / file))
        np.savez(folder / file, **data, extra=array)
    else:
        (folder / file).write_bytes(_npy(array))
    with pytest.raises(ApuError) as refused:
        load_body(folder / "SMPLX_NEUTRAL.npz")
    assert isinstance(refused.value, UnsafeFileError | FormatError)
    assert not trace.exists()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def test_a_child_template_of_another_body_is_refused(folder: Path) -> None:
    np.save(folder / KID_TEMPLATE, np.zeros((10, 3)))
    with pytest.raises(FormatError, match="child template"):
        load_body(folder / "SMPLX_NEUTRAL.npz")
