"""Body models in SMPL-X's file layout, loaded by the `smplx` package: the free body or a user's licensed file."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import smplx
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from smplx.vertex_ids import vertex_ids as VERTEX_IDS
from torch import Tensor

from apu.errors import FormatError, InputError
from apu.files import asset, load_npy, load_npz
from apu.types import BODY_25, KEYPOINTS, NUM_BETAS, BodyParams

FREE_BODY = "body/smplx/SMPLX_NEUTRAL.npz"
KID_TEMPLATE = "smplx_kid_template.npy"

_MAX_BYTES = 1 << 30
"""A licensed SMPL-X file unpacks to about 0.35 GB; more than 1 GB is no body model."""

_SMPLX_JOINT_OF_KEYPOINT = {
    "neck": 12, "right_shoulder": 17, "right_elbow": 19, "right_wrist": 21, "left_shoulder": 16, "left_elbow": 18,
    "left_wrist": 20, "mid_hip": 0, "right_hip": 2, "right_knee": 5, "right_ankle": 8, "left_hip": 1, "left_knee": 4,
    "left_ankle": 7,
}  # fmt: skip
_SMPLX_VERTEX_OF_KEYPOINT = {
    "nose": "nose", "right_eye": "reye", "left_eye": "leye", "right_ear": "rear", "left_ear": "lear",
    "left_big_toe": "LBigToe", "left_small_toe": "LSmallToe", "left_heel": "LHeel", "right_big_toe": "RBigToe",
    "right_small_toe": "RSmallToe", "right_heel": "RHeel",
}  # fmt: skip
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""SMPL-X's order of fingers, three joints each, from joint 25 (left) and 40 (right)."""


class Posed(NamedTuple):
    """Surface and joints of P posed people in the camera's frame, metres."""

    vertices: Float[np.ndarray, "people vertices 3"]
    joints: Float[np.ndarray, "people 55 3"]


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body whose topology comes from its file: V vertices, F faces, 55 joints, 11 betas.

    Attributes:
        name: ``"anny-free"`` for the shipped body, ``"smplx"`` for a licensed one; stored with every fit.
        smplx: the model itself. faces: vertex ids, outward counter-clockwise.
        keypoint_index, keypoint_weight: where detectors see `KEYPOINTS`: sparse sums over vertices, and, for ids
            V + j, over joints j (licensed SMPL-X takes its own joints).
        contact_regions, pose_mixture: a user's own definition of the 75 regions, and pose prior, where the body's
            folder has them.
    """

    name: str
    smplx: smplx.SMPLX
    faces: Int[np.ndarray, "faces 3"]
    keypoint_index: Int[np.ndarray, "67 support"]
    keypoint_weight: Float[np.ndarray, "67 support"]
    contact_regions: Path | None = None
    pose_mixture: Path | None = None

    @property
    def device(self) -> torch.device:
        """Where the model's tensors are."""
        return self.tensor("v_template").device

    @property
    def dtype(self) -> torch.dtype:
        """Their precision."""
        return self.tensor("v_template").dtype

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.tensor("v_template"))

    def tensor(self, name: str) -> Tensor:
        """One of the model file's arrays by its name in `smplx` (``"v_template"``, ``"lbs_weights"``, ...)."""
        return self.smplx.get_buffer(name)

    @cached_property
    def skin_faces(self) -> Int[np.ndarray, "faces 3"]:
        """Faces of the outer skin, the largest connected part: no eyeballs, no tongue."""
        edges = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]]])
        graph = coo_array((np.ones(len(edges)), edges.T), shape=(self.num_vertices,) * 2)
        label = connected_components(graph, directed=False)[1]
        return self.faces[label[self.faces[:, 0]] == np.bincount(label).argmax()]

    def forward(self, params: BodyParams) -> Posed:
        """Pose every person with the full model, expression and jaw at rest."""
        with torch.no_grad():
            output = self._smplx_output(params)
        vertices, joints = output.vertices, output.joints[:, :55]
        return Posed(vertices.float().cpu().numpy(), joints.float().cpu().numpy())

    def keypoints(self, params: BodyParams) -> Float[np.ndarray, "people 67 3"]:
        """The points that detectors mark, in the camera's frame, metres."""
        return self.keypoints_of(self.forward(params))

    def keypoints_of(self, posed: Posed) -> Float[np.ndarray, "people 67 3"]:
        """`keypoints` of people who are posed already."""
        support = np.concatenate([posed.vertices, posed.joints], axis=1)[:, self.keypoint_index]
        return np.einsum("pkic,ki->pkc", support, self.keypoint_weight).astype(np.float32)

    def _smplx_output(self, params: BodyParams):
        tensors = {
            name: torch.as_tensor(a, dtype=self.dtype, device=self.device) for name, a in params.arrays().items()
        }
        people = len(params.transl)
        zeros = torch.zeros(people, 3, dtype=self.dtype, device=self.device)
        hands = tensors["hand_pose"].reshape(people, 2, 45)
        return self.smplx(
            global_orient=tensors["global_orient"],
            body_pose=tensors["body_pose"].flatten(1),
            betas=tensors["betas"],
            transl=tensors["transl"],
            left_hand_pose=hands[:, 0],
            right_hand_pose=hands[:, 1],
            jaw_pose=zeros,
            leye_pose=zeros,
            reye_pose=zeros,
            expression=torch.zeros(people, 10, dtype=self.dtype, device=self.device),
        )


def load_body(
    path: Path | None = None,
    *,
    kid_template: Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> BodyModel:
    """Load a body in SMPL-X's layout.

    Args:
        path: a user's ``SMPLX_NEUTRAL.npz``; None: the free body shipped with the program. In its folder or the one
            above may also lie ``contact_regions.json`` (FlickrCI3D's) and ``pose_mixture.npz`` (see `apu.fit.mixture`).
        kid_template: the child template that gives the 11th beta; None: ``smplx_kid_template.npy`` beside `path`.
        device, dtype: of the model's tensors.

    Raises:
        InputError: the file or its child template is missing.
        FormatError: the file is not in SMPL-X's layout.
        UnsafeFileError: the file carries foreign pickled code.
    """
    path = path or asset(FREE_BODY)
    kid_template = kid_template or _beside(path, KID_TEMPLATE)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a SMPL-X model file (SMPLX_NEUTRAL.npz)")
    if kid_template is None or not kid_template.is_file():
        raise InputError(
            f"{path}: its child template is missing; put {KID_TEMPLATE} beside it (the 11th beta needs it)"
        )
    # smplx unpickles what it opens, so the reader that runs nothing must have accepted both files before.
    data = load_npz(path, max_bytes=_MAX_BYTES)
    child = load_npy(kid_template, max_bytes=_MAX_BYTES)
    missing = {"v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f"} - data.keys()
    if missing:
        raise FormatError(f"{path}: not a SMPL-X model file, it lacks {', '.join(sorted(missing))}")
    if child.shape != data["v_template"].shape:
        raise FormatError(
            f"{kid_template}: the child template has {child.shape} numbers and the body {data['v_template'].shape}; "
            "they must be of one model"
        )
    with _quiet():
        model = smplx.SMPLX(
            str(path), kid_template_path=str(kid_template), age="kid", num_betas=NUM_BETAS - 1,
            num_expression_coeffs=10, use_pca=False, flat_hand_mean=False, dtype=dtype,
        )  # fmt: skip
    model = model.to(device).requires_grad_(False)
    faces = np.asarray(data["f"], np.int64)
    if "keypoint_index" in data:
        index, weight = np.asarray(data["keypoint_index"], np.int64), np.asarray(data["keypoint_weight"], np.float32)
    else:
        index, weight = _smplx_keypoints(len(data["v_template"]))
    name = str(data["apu_name"]) if "apu_name" in data else "smplx"
    regions, mixture = _beside(path, "contact_regions.json"), _beside(path, "pose_mixture.npz")
    return BodyModel(name, model, faces, index, weight, regions, mixture)


def _beside(path: Path, name: str) -> Path | None:
    """A companion of the model file, in its folder or the one above."""
    return next((folder / name for folder in path.parents[:2] if (folder / name).is_file()), None)


def _smplx_keypoints(num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """The licensed SMPL-X's own joints and surface points for every keypoint, as one-hot sums."""
    vertex_ids = VERTEX_IDS["smplx"]
    index = []
    for name in BODY_25:
        vertex = _SMPLX_VERTEX_OF_KEYPOINT.get(name)
        index.append(vertex_ids[vertex] if vertex else num_vertices + _SMPLX_JOINT_OF_KEYPOINT[name])
    for letter, wrist, first in (("l", 20, 25), ("r", 21, 40)):
        index.append(num_vertices + wrist)
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            base = num_vertices + first + 3 * _FINGERS.index(finger)
            index += [base, base + 1, base + 2, vertex_ids[letter + finger]]
    if len(index) != len(KEYPOINTS):
        raise RuntimeError(f"keypoint table has {len(index)} rows, expected {len(KEYPOINTS)}")
    return np.array(index)[:, None], np.ones((len(index), 1), np.float32)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Smplx prints notes about its files to stdout; a command line that promises JSON cannot have them."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
