"""Draw the picture sheet of the free body (docs/body.png): poses from three sides, ages, builds, regions.

python docs/body_sheet.py OUT.png
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from apu.body.model import BodyModel, load_body
from apu.body.regions import regions_of
from apu.render import render
from apu.types import SMPL_JOINTS, BodyParams, Camera

ARMS_DOWN = {"left_shoulder": (0, 0, -70), "right_shoulder": (0, 0, 70)}
SITTING = {"left_hip": (-90, 0, 0), "right_hip": (-90, 0, 0), "left_knee": (90, 0, 0), "right_knee": (90, 0, 0)}
POSES: Sequence[Mapping[str, tuple[float, float, float]]] = (
    {},
    ARMS_DOWN,
    {"left_elbow": (0, -90, 0), "right_elbow": (0, 90, 0)},
    {"left_shoulder": (0, 0, 60), "right_shoulder": (0, 0, -60)},
    {"left_knee": (90, 0, 0), "right_knee": (90, 0, 0), **ARMS_DOWN},
    {**SITTING, **ARMS_DOWN},
    {
        "left_shoulder": (0, -60, -35),
        "right_shoulder": (0, 60, 35),
        "left_elbow": (0, -85, 0),
        "right_elbow": (0, 85, 0),
    },
    {"neck": (0, 30, 0), "head": (0, 30, 0), "spine2": (0, 20, 0), **ARMS_DOWN},
)
AGES = (0.0, 0.25, 0.5, 0.75, 1.0)
BUILDS = ((0, 2.0), (0, -2.0), (1, 2.0), (1, -2.0), (2, 2.0), (2, -2.0))
VIEWS = {"front": np.diag([1.0, -1, -1]), "side": np.array([[0.0, 0, -1], [0, -1, 0], [-1, 0, 0]]),
         "back": np.diag([-1.0, -1, 1]), "top": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])}  # fmt: skip
"""From the body's own axes (Y up, facing +Z) to a camera's."""
WIDTH = 1200


def posed(body: BodyModel, pose: Mapping[str, Sequence[float]], betas: Mapping[int, float] | None = None) -> np.ndarray:
    """Vertices in the body's own axes; angles in degrees."""
    params = BodyParams(
        global_orient=np.zeros((1, 3), np.float32), body_pose=np.zeros((1, 21, 3), np.float32),
        betas=np.zeros((1, 11), np.float32), transl=np.zeros((1, 3), np.float32),
    )  # fmt: skip
    for joint, degrees in pose.items():
        params.body_pose[0, SMPL_JOINTS.index(joint) - 1] = np.radians(degrees)
    for index, value in (betas or {}).items():
        params.betas[0, index] = value
    return body.forward(params).vertices[0]


def row(
    body: BodyModel,
    people: Sequence[np.ndarray],
    views: Sequence[str],
    cell: float,
    height: float,
    *,
    colours: np.ndarray | None = None,
) -> np.ndarray:
    """People side by side on one floor, each from its view, in cells of so many metres; nearly without perspective."""
    distance = 90.0
    placed = []
    for i, (vertices, view) in enumerate(zip(people, views, strict=True)):
        seen = vertices @ VIEWS[view].T
        middle = (seen.min(0) + seen.max(0)) / 2
        floor = middle[1] if view == "top" else seen[:, 1].max() - height / 2 + 0.05
        shift = cell * (i + 0.5 - len(people) / 2) - middle[0], -floor, distance - middle[2]
        placed.append(seen + np.array(shift))
    scale = WIDTH / (cell * len(people))
    camera = Camera.of_image(WIDTH, round(height * scale), focal=scale * distance)
    tint = None if colours is None else np.tile(colours, (len(people), 1, 1))
    return render(np.stack(placed).astype(np.float32), body.faces, camera, colours=tint)


def region_colours(body: BodyModel) -> np.ndarray:
    """A colour per region, the same on both sides."""
    regions = regions_of(body)
    rng = np.random.default_rng(3)
    colours = np.zeros((body.num_vertices, 3), np.float32)
    tints = rng.uniform(0.2, 1.0, (len(regions.names), 3))
    for region, vertices in enumerate(regions.vertices):
        colours[vertices] = tints[min(region, regions.mirror[region])]
    return colours


def main(out: Path) -> None:
    """Draw and write the sheet."""
    body = load_body()
    poses = [posed(body, pose) for pose in POSES]
    ages = [posed(body, ARMS_DOWN, {10: kid}) for kid in AGES]
    builds = [posed(body, ARMS_DOWN, {index: value}) for index, value in BUILDS]
    tpose = posed(body, {})
    rows = [
        row(body, poses, [view] * len(poses), 1.8, height)
        for view, height in (("front", 2.2), ("side", 2.2), ("top", 1.2))
    ]
    rows += [row(body, [*ages, *builds], [view] * 11, 0.95, 2.05) for view in ("front", "side")]
    rows.append(row(body, [tpose] * 4, ("front", "back", "side", "top"), 1.8, 1.85, colours=region_colours(body)))
    cv2.imwrite(str(out), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
