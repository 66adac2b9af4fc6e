"""How closely the built file follows Anny itself: shape, joints, and the surface in motion.

Anny posed means: Anny's own 163-bone skinning from its own rest pose, each bone moved with the joint it was merged
into. What differs in the file is the linear shape space, 55 joints, regressed joints and skinning from the T-pose.
"""

from pathlib import Path
from typing import Any

import numpy as np
import smplx
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from apu.body import rig
from apu.body.source import Anny
from apu.files import load_npz
from apu.types import KEYPOINTS

NUM_POSED, NUM_POSES = 8, 20
POSE_SIGMA = 0.4
"""Standard deviation of each body joint's rotation vector in the random poses, radians (23 degrees per axis)."""


def measure(anny: Anny, model_file: Path, kid_template: Path, order: np.ndarray, *, seed: int) -> dict[str, float]:
    """Errors in millimetres on people the shape space has not seen; heights in metres.

    Args:
        anny: the source. model_file, kid_template: as built from it. order: Anny's vertex at each place of the file.
        seed: of the unseen adults and of the poses.
    """
    model: Any = smplx.SMPLX(
        str(model_file), kid_template_path=str(kid_template), age="kid", use_pca=False, create_expression=True
    ).requires_grad_(False)
    adults = anny.sample_adults(60, seed=seed + 1)
    children = adults[:40].clone()
    children[:, anny.model.phenotype_labels.index("age")] = torch.linspace(0.0, 0.6, 40, dtype=children.dtype)
    report: dict[str, float] = {}
    for name, people in (("adults", adults), ("children", children)):
        bodies = anny.t_posed(people)
        betas = fit_betas(model, bodies.vertices[:, order], kid=name == "children")
        vertices, joints = _rest(model, betas)
        report |= _summary(f"shape_{name}", vertices - bodies.vertices[:, order])
        report |= _summary(f"rest_joints_{name}", joints - bodies.joints)
    file = load_npz(model_file)
    sparse = np.zeros((len(KEYPOINTS), len(order)))
    np.add.at(sparse, (np.arange(len(KEYPOINTS))[:, None], file["keypoint_index"]), file["keypoint_weight"])
    report |= _posed_errors(anny, model, adults[:NUM_POSED], order, sparse, seed)
    heights = [float(np.ptp(_rest(model, _only(10, kid))[0][0, :, 1])) for kid in (0.0, 0.25, 0.5, 0.75, 1.0)]
    report |= {f"height_m_kid_{kid}": round(h, 3) for kid, h in zip((0, 25, 50, 75, 100), heights, strict=True)}
    tall = float(np.ptp(_rest(model, _only(0, 1.0))[0][0, :, 1]))
    return report | {"height_m_per_first_beta": round(tall - heights[0], 3)}


def _posed_errors(
    anny: Anny, model: Any, people: torch.Tensor, order: np.ndarray, sparse: np.ndarray, seed: int
) -> dict[str, float]:
    """In random poses: surface and joints against Anny's, sparse keypoints against dense ones on the same surface."""
    rng = np.random.default_rng(seed)
    betas = fit_betas(model, anny.t_posed(people).vertices[:, order], kid=False)
    hands = torch.cat([model.left_hand_mean, model.right_hand_mean]).numpy().reshape(30, 3)
    thinned = np.stack([dense[order] - sparse[KEYPOINTS.index(name)] for name, dense in anny.keypoints.items()])
    surface, joints, keypoints = [], [], []
    for points, heads, beta in zip(*anny.rest(people), betas, strict=True):
        for _ in range(NUM_POSES):
            body = rng.normal(0, POSE_SIGMA, (21, 3))
            full = np.concatenate([np.zeros((1, 3)), body, np.zeros((3, 3)), hands])
            want = anny_posed(anny, points, heads, Rotation.from_rotvec(full).as_matrix())
            out = model(betas=beta[None], body_pose=torch.tensor(body, dtype=torch.float32).reshape(1, -1))
            vertices = out.vertices[0].numpy()
            surface.append(vertices - want[0][order])
            joints.append(out.joints[0, :55].numpy() - want[1])
            keypoints.append(thinned @ vertices)
    named = {"posed_surface": surface, "posed_joints": joints, "posed_sparse_keypoints": keypoints}
    return {key: value for name, errors in named.items() for key, value in _summary(name, np.stack(errors)).items()}


def anny_posed(
    anny: Anny,
    points: Float[np.ndarray, "vertices 3"],
    heads: Float[np.ndarray, "bones 3"],
    rotations: Float[np.ndarray, "55 3 3"],
) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "55 3"]]:
    """Vertices and joints of one Anny body in a SMPL-X pose (local rotations), where its T-pose is centred."""
    pose = rig.t_pose(heads, anny.bones, anny.parents)
    centre = rig.skin(points, heads, pose, anny.weights).mean(0)
    rest = rig.joint_places(pose, anny.bones) - centre
    turn, place = rotations.copy(), rest.copy()
    for joint, parent in enumerate(rig.PARENTS[1:], start=1):
        turn[joint] = turn[parent] @ rotations[joint]
        place[joint] = place[parent] + turn[parent] @ (rest[joint] - rest[parent])
    joint = anny.joint_of_bone
    moved = np.einsum("bij,bj->bi", turn[joint], pose.heads - centre - rest[joint]) + place[joint]
    return rig.skin(points, heads, rig.TPose(turn[joint] @ pose.rotations, moved), anny.weights), place


def fit_betas(model: Any, vertices: Float[np.ndarray, "bodies vertices 3"], *, kid: bool) -> torch.Tensor:
    """The betas nearest to the surfaces; adults have no share of the child."""
    columns = 11 if kid else 10
    basis = model.shapedirs[..., :columns].reshape(-1, columns).double().numpy()
    offsets = (vertices - model.v_template.double().numpy()).reshape(len(vertices), -1)
    betas = np.zeros((len(vertices), 11), np.float32)
    betas[:, :columns] = np.linalg.lstsq(basis, offsets.T, rcond=None)[0].T
    return torch.from_numpy(betas)


def _rest(model: Any, betas: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    vertices = model.v_template + torch.einsum("bk,vck->bvc", betas, model.shapedirs)
    return vertices.numpy(), torch.einsum("jv,bvc->bjc", model.J_regressor, vertices).numpy()


def _only(index: int, value: float) -> torch.Tensor:
    betas = torch.zeros(1, 11)
    betas[0, index] = value
    return betas


def _summary(name: str, offsets: np.ndarray) -> dict[str, float]:
    error = 1000 * np.linalg.norm(offsets, axis=-1)
    return {
        f"{name}_mm_mean": round(float(error.mean()), 2),
        f"{name}_mm_p95": round(float(np.percentile(error, 95)), 2),
        f"{name}_mm_max": round(float(error.max()), 2),
    }
