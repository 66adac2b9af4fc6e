"""Files as the estimators write them, made from two toy people."""

import json

import numpy as np
import PIL.Image
import pytest

from apu.types import KEYPOINTS, SMPL_JOINTS, Camera

SIZE = (800, 600)
STANDING = {
    "nose": (0, -0.95), "neck": (0, -0.8), "eye": (0.03, -1.0), "ear": (0.08, -0.97), "shoulder": (0.2, -0.8),
    "elbow": (0.28, -0.55), "wrist": (0.3, -0.3), "hip": (0.1, -0.3), "mid_hip": (0, -0.3), "knee": (0.1, 0.1),
    "ankle": (0.1, 0.5), "big_toe": (0.12, 0.58), "small_toe": (0.16, 0.57), "heel": (0.09, 0.54),
}  # fmt: skip
"""A person facing the camera, in metres, y down; the person's left is at +x."""


def place(name):
    side = -1 if name.startswith("right_") else 1
    stem = name.removeprefix("left_").removeprefix("right_")
    x, y = STANDING.get(stem, STANDING["wrist"])
    # Fingers hang below the wrist, each at its own place.
    return side * x, y + (0 if stem in STANDING else 0.005 * KEYPOINTS.index(name) % 0.15)


@pytest.fixture(scope="session")
def camera():
    return Camera.of_image(*SIZE)


@pytest.fixture(scope="session")
def person():
    """Keypoints (67, 3) of a standing person whose pelvis is at x, in pixels, at `scale` pixels per metre."""

    def make(x, *, scale=200.0, y=330.0):
        places = np.array([place(name) for name in KEYPOINTS]) * scale + (x, y)
        return np.column_stack([places, np.full(67, 0.9)]).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def joints(camera):
    """The 22 joints of the same person in the camera's frame, metres."""

    def make(x, *, scale=200.0, y=330.0):
        depth = camera.K[0, 0] / scale
        centre = np.array([(x - camera.width / 2) / scale, (y - camera.height / 2) / scale, depth])
        body = [place(n) if n in KEYPOINTS else (0.0, -0.5) for n in SMPL_JOINTS]
        return (np.column_stack([body, np.zeros(22)]) + centre).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def write_openpose():
    def write(path, people):
        names = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
        blocks = [dict(zip(names, np.split(p, [25, 46]), strict=True)) for p in np.asarray(people, float)]
        content = [{"face_keypoints_2d": [0.0] * 210, **{n: b.ravel().tolist() for n, b in p.items()}} for p in blocks]
        path.write_text(json.dumps({"version": 1.3, "people": content}))
        return path

    return write


@pytest.fixture(scope="session")
def bev_results(camera):
    """The dictionary that BEV stores, of people with these joints (N, 22, 3)."""

    def make(joints):
        joints = np.asarray(joints, np.float32)
        people = len(joints)
        transl = joints[:, 0] + np.float32(0.1)
        all_joints = np.concatenate([joints, np.repeat(joints[:, :1], 49, axis=1)], axis=1) - transl[:, None]
        points = all_joints + transl[:, None]
        generator = np.random.default_rng(0)
        return {
            "smpl_thetas": generator.normal(0, 0.2, (people, 72)).astype(np.float32),
            "smpl_betas": generator.normal(0, 1, (people, 11)).astype(np.float32),
            "cam_trans": transl,
            "joints": all_joints,
            "pj2d_org": points[..., :2] / points[..., 2:] * camera.K[0, 0] + camera.K[:2, 2].astype(np.float32),
            "center_confs": np.full(people, 0.2, np.float32),
        }

    return make


@pytest.fixture(scope="session")
def write_bev(bev_results):
    def write(path, people, **changes):
        results = np.empty((), object)
        results[()] = bev_results(people) | changes
        np.savez(path, results=results)
        return path

    return write


@pytest.fixture(scope="session")
def write_image():
    def write(path, size=SIZE, **options):
        colours = np.linspace(0, 255, size[0] * size[1] * 3).reshape(size[1], size[0], 3).astype(np.uint8)
        PIL.Image.fromarray(colours).save(path, **options)
        return path

    return write
