"""What a model file in SMPL-X's layout stores beside the surface: regressors, pose correctives, hands, landmarks.

Plain numpy and scipy on arrays in SMPL-X's axes and metres; `apu.body.build` feeds them. A `basis` is the linear
shape space of the file: (12, V, 3) = template, ten directions per unit beta, adult-to-child direction.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from apu.body.rig import JOINTS, PARENTS
from apu.types import HAND_21, KEYPOINTS

Support = tuple[Int[np.ndarray, "_"], Float[np.ndarray, "_"]]
"""Vertex ids and their weights, which sum to 1."""

JOINT_SUPPORT = 600
"""Vertices that carry a joint: MakeHuman's joints are inner points that the nearest ring alone cannot place."""
JOINT_RIDGE = 3e-4
"""Ridge of the joint regression, metres: keeps the signed weights small at a cost of a tenth of a millimetre."""
KEYPOINT_SUPPORT = 600
"""Vertices of a dense keypoint regressor that may enter the sparse one."""
MAJOR_SHARE, MINOR_SHARE = 0.2, 0.02
"""Bones that carry less than the first of a keypoint are matched together, less than the second not at all."""
MATCHED = (0, 1, 2, 3, 11)
"""Rows of the basis that a sparse keypoint must follow; the minor directions move it by fractions of a millimetre."""


def joint_regressor(
    joints: Float[np.ndarray, "12 55 3"], basis: Float[np.ndarray, "12 vertices 3"]
) -> Float[np.ndarray, "55 vertices"]:
    """Signed weights with sum 1 that give the joints of every body of the shape space at rest.

    A non-negative regression misses MakeHuman's inner joints by up to 50 mm, so the weights are the ridge solution
    over the nearest vertices. They hold for rest shapes only: never apply them to a posed surface.
    """
    regressor = np.zeros((len(JOINTS), basis.shape[1]))
    for j, place in enumerate(joints[0]):
        near = np.argsort(np.linalg.norm(basis[0] - place, axis=1), kind="stable")[:JOINT_SUPPORT]
        # Relative to the joint the template's row asks for zero; the centroid absorbs the constraint on the sum.
        points = basis[:, near].copy()
        points[0] -= place
        target = joints[:, j].copy()
        target[0] = 0
        rows = np.moveaxis(points, 1, 2).reshape(-1, len(near))
        mean = np.full(len(near), 1 / len(near))
        centred = rows - rows.mean(1, keepdims=True)
        gram = centred @ centred.T + JOINT_RIDGE**2 * np.eye(len(rows))
        regressor[j, near] = mean + centred.T @ np.linalg.solve(gram, target.ravel() - rows @ mean)
    return regressor


def sparse_keypoint(
    dense: Float[np.ndarray, "vertices"],
    basis: Float[np.ndarray, "12 vertices 3"],
    weights: Float[np.ndarray, "vertices 55"],
) -> Support:
    """A few non-negative weights that move like a dense regressor in every shape and pose.

    A posed keypoint is a sum over bones of each bone's share of the regressor: its mass and its first moments. Those
    are matched by non-negative least squares, whose solutions are sparse by themselves; minor bones count as one.
    """
    basis = basis[list(MATCHED)]
    chosen = np.sort(np.argsort(-dense, kind="stable")[:KEYPOINT_SUPPORT])
    share = dense @ weights
    major = share > MAJOR_SHARE
    groups = np.concatenate([weights[:, major], weights[:, ~major].sum(1, keepdims=True)], axis=1)
    groups = groups[:, dense @ groups > MINOR_SHARE]
    centred = basis - np.einsum("v,svc->sc", dense, basis)[:, None]
    moments = np.concatenate(
        [groups[None, :, :], np.einsum("vg,svc->scvg", groups, centred).reshape(-1, *groups.shape)]
    )
    rows = moments.transpose(0, 2, 1).reshape(-1, len(dense))
    return _sparse(chosen, rows[:, chosen], rows @ dense)


def ring_keypoint(
    joint: int,
    joints: Float[np.ndarray, "12 55 3"],
    basis: Float[np.ndarray, "12 vertices 3"],
    weights: Float[np.ndarray, "vertices 55"],
) -> Support:
    """Non-negative weights on the ring of skin around a joint that give its place in every shape at rest."""
    own = weights[:, [joint, PARENTS[joint]]].sum(1) > 0.9
    distance = np.where(own, np.linalg.norm(basis[0] - joints[0, joint], axis=1), np.inf)
    chosen = np.sort(np.argsort(distance, kind="stable")[:60])
    rows = (basis[:, chosen] - joints[:, joint, None]).transpose(0, 2, 1).reshape(-1, len(chosen))
    rows = np.concatenate([np.ones((1, len(chosen))), rows])
    return _sparse(chosen, rows, np.eye(len(rows))[0])


def _sparse(chosen: np.ndarray, rows: np.ndarray, goal: np.ndarray) -> Support:
    solution, _ = nnls(rows, goal, maxiter=100 * len(chosen))
    kept = solution > 1e-9
    return chosen[kept], solution[kept] / solution[kept].sum()


def pose_correctives(
    shift: Float[np.ndarray, "vertices 55 3"],
) -> Float[np.ndarray, "vertices 3 486"]:
    """Pose blend shapes that make skinning from the T-pose imitate skinning from Anny's own rest pose.

    Args:
        shift: sum over the bones b of each joint of w_b (B_b v_rest - v_T), where B_b moves bone b from rest to T-pose.

    Returns:
        For joint j and the entries of R_j - I: the shift summed over the subtree of j. The sum over all bones is
        zero by the definition of v_T, so only vertices that straddle a joint are corrected.
    """
    subtree = shift.copy()
    for j in range(len(JOINTS) - 1, 0, -1):
        subtree[:, PARENTS[j]] += subtree[:, j]
    correctives = np.zeros((len(shift), 3, len(JOINTS) - 1, 3, 3))
    for row in range(3):
        correctives[:, row, :, row, :] = subtree[:, 1:]
    return correctives.reshape(len(shift), 3, -1)


def relaxed_hands(rotations: Float[np.ndarray, "55 3 3"]) -> Float[np.ndarray, "2 45"]:
    """Axis-angle of Anny's relaxed fingers, left and right, given each joint's world rotation from rest to T-pose."""
    hands = []
    for first in (25, 40):
        wrist = rotations[PARENTS[first]]
        world = {PARENTS[first]: np.eye(3)} | {j: wrist @ rotations[j].T for j in range(first, first + 15)}
        local = [world[PARENTS[j]].T @ world[j] for j in range(first, first + 15)]
        hands.append(Rotation.from_matrix(np.stack(local)).as_rotvec().ravel())
    return np.stack(hands)


def hand_components() -> Float[np.ndarray, "2 45 45"]:
    """An orthonormal basis of finger poses, left and right: curl, spread, each finger, then whatever is left.

    Synthetic; not MANO's. On the left hand a finger curls about -Z and spreads about Y.
    """
    curl, spread = np.zeros((5, 3, 3)), np.zeros((5, 3, 3))
    curl[:4, :, 2] = -1
    curl[4] = (0.0, 0.7, -0.7)
    spread[[0, 1, 2, 3, 4], 0, 1] = (1.0, 0.3, -1.0, -0.4, 0.0)
    fingers = [np.where(np.arange(5)[:, None, None] == finger, curl, 0) for finger in range(5)]
    wanted = np.stack([curl, spread, *fingers[:4], fingers[4]]).reshape(-1, 45)
    basis, triangle = np.linalg.qr(np.concatenate([wanted, np.eye(45)]).T)
    left = basis.T * np.where(np.diag(triangle) < 0, -1.0, 1.0)[:, None]
    mirror = np.tile([1.0, -1.0, -1.0], 15)
    return np.stack([left, left * mirror])


def keypoint_table(
    supports: Mapping[str, Support],
) -> tuple[Int[np.ndarray, "67 support"], Float[np.ndarray, "67 support"]]:
    """The supports of all `KEYPOINTS` as two arrays, padded with weight 0; neck and mid hip are midpoints of two."""
    supports = dict(supports)
    for name, pair in (("neck", "shoulder"), ("mid_hip", "hip")):
        left, right = supports[f"left_{pair}"], supports[f"right_{pair}"]
        supports[name] = (np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]]) / 2)
    width = max(len(ids) for ids, _ in supports.values())
    index, weight = np.zeros((len(KEYPOINTS), width), np.int32), np.zeros((len(KEYPOINTS), width))
    for row, name in enumerate(KEYPOINTS):
        ids, values = supports[name]
        index[row, : len(ids)], weight[row, : len(ids)] = ids, values
    return index, weight


def hand_joint(side: str, keypoint: str) -> int:
    """The SMPL-X joint that a keypoint of `HAND_21` marks (not for tips)."""
    if keypoint not in HAND_21 or keypoint.endswith("_tip"):
        raise ValueError(f"keypoint must be a joint of HAND_21, got {keypoint!r}")
    return JOINTS.index(f"{side}_wrist" if keypoint == "wrist_root" else f"{side}_{keypoint}")


def face_landmarks(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"], eyes: Float[np.ndarray, "2 3"]
) -> tuple[Int[np.ndarray, "51"], Int[np.ndarray, "17"]]:
    """Approximate faces of the 51 inner and 17 contour landmarks of the 68-point scheme.

    Placed by the proportions of a face on the foremost skin, in units of half the distance between the eyes; the
    contour does not move with the head's yaw.
    """
    unit, middle = abs(eyes[0, 0]), eyes.mean(0)

    def ellipse(centre: tuple[float, float], width: float, height: float, hours: Sequence[int]) -> np.ndarray:
        turn = np.array(hours) * np.pi / 6
        return np.stack([centre[0] - width * np.cos(turn), centre[1] + height * np.sin(turn)], 1)

    flip = [-1.0, 1.0]
    eye = ellipse((-1.0, -0.05), 0.45, 0.15, range(0, 12, 2))
    brow = ellipse((-1.0, 0.6), 0.65, 0.2, range(1, 6))
    bridge = np.stack([np.zeros(4), np.linspace(0, -0.95, 4)], 1)
    nostrils = np.stack([np.linspace(-0.45, 0.45, 5), np.full(5, -1.45)], 1)
    mouth = ellipse((0.0, -2.4), 0.8, 0.3, range(12))
    lips = ellipse((0.0, -2.4), 0.6, 0.08, (0, 2, 3, 4, 6, 8, 9, 10))
    inner = np.concatenate(
        [brow, (brow * flip)[::-1], bridge, nostrils, eye, eye[[3, 2, 1, 0, 5, 4]] * flip, mouth, lips]
    )
    turn = np.linspace(-np.pi / 2, np.pi / 2, 17)
    contour = np.stack([2.2 * np.sin(turn), 0.2 - 3.7 * np.cos(turn) ** 0.8], 1)
    front = np.flatnonzero(vertices[:, 2] > middle[2] - 4 * unit)
    first_face = np.zeros(len(vertices), np.int64)
    first_face[faces[::-1].ravel()] = np.repeat(np.arange(len(faces))[::-1], 3)

    def place(table: np.ndarray) -> np.ndarray:
        goal = middle[:2] + unit * table
        gap = np.linalg.norm(vertices[front, None, :2] - goal, axis=2)
        # Among the skin within a few millimetres of the line of sight take the foremost.
        near = np.where(gap < gap.min(0) + 0.1 * unit, vertices[front, 2][:, None], -np.inf)
        return first_face[front[near.argmax(0)]]

    return place(inner), place(contour)
