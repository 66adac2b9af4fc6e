"""Write the demo's photographs and simulated detections as the files a user would bring, plus the truth."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from apu.body.model import BodyModel, load_body
from apu.camera import project
from apu.synth.detector import keypoints, visible
from apu.synth.estimator import estimate
from apu.synth.noise import NOISE
from apu.synth.observe import Streams
from apu.synth.paint import photograph
from apu.synth.scene import Scene, load_scenes
from apu.synth.teller import answer
from apu.types import BODY_25, BodyParams

SOURCE = "simulated demo"
"""The data set's name wherever these files go."""

_SMPL_JOINTS, _MIDDLE_FINGERS = 22, (28, 43)  # SMPL's two hand joints are knuckles
_HAND = 21


def write_demo(
    folder: Path, *, seed: int = 0, scenes: Sequence[str] | None = None, body: BodyModel | None = None
) -> list[str]:
    """Render the shipped scenes and simulate what detectors and a model say of them.

    Writes ``images/STEM.jpg``, ``keypoints/STEM_keypoints.json`` (OpenPose's layout), ``meshes/STEM_bev.npz`` (BEV's),
    ``answers/STEM_contacts.json`` (the paper's) and ``truth/STEM.npz`` (SMPL-X parameters, camera's frame) with
    ``truth/STEM.json`` (true contacts), as the readers of `apu.formats` and `apu.ask` take them. Every file but the
    truth is noisy; all say that they are simulated. The same seed gives the same files.

    Args:
        folder: made if missing. seed: of all noise; each scene draws its own, whatever the others.
        scenes: names of `load_scenes`; None: all.
        body: the free body, if it is loaded already.

    Returns:
        The stems written.
    """
    body = body or load_body()
    for name in ("images", "keypoints", "meshes", "answers", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    stems = []
    for scene in load_scenes(scenes):
        stem = scene.recipe.name
        streams = Streams.of(stem, seed)
        seen = visible(scene, body)
        _save_picture(
            folder / "images" / f"{stem}.jpg", photograph(body.forward(scene.params).vertices, scene.recipe, body)
        )
        detected = keypoints(scene, body, seen, streams.detector, noise=NOISE.detector)
        _save_json(folder / "keypoints" / f"{stem}_keypoints.json", _openpose(detected))
        estimated = estimate(scene, body, seen, streams.estimator, noise=NOISE.estimator)
        bev = _bev(estimated, scene, body, streams.estimator.permutation(2))
        np.savez_compressed(folder / "meshes" / f"{stem}_bev.npz", results=np.array(bev, dtype=object))
        stated = answer(scene, body, seen, streams.model, noise=NOISE.answer)
        _save_json(folder / "answers" / f"{stem}_contacts.json", stated)
        truth = scene.params.arrays()
        np.savez_compressed(folder / "truth" / f"{stem}.npz", allow_pickle=False, **truth)
        _save_json(folder / "truth" / f"{stem}.json", _truth(scene, body))
        stems.append(stem)
    return stems


def _save_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _save_picture(path: Path, rgb: np.ndarray) -> None:
    buffer = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x010E] = "Simulated: rendered by a program, shows no real person."  # ImageDescription
    PIL.Image.fromarray(rgb).save(buffer, "JPEG", quality=92, exif=exif)
    path.write_bytes(buffer.getvalue())


def _openpose(people: np.ndarray) -> dict:
    """BODY_25 and both hands; no faces."""

    def flat(points: np.ndarray) -> list[float]:
        return [round(float(number), 3) for number in points.ravel()]

    body, left = len(BODY_25), len(BODY_25) + _HAND
    return {
        "version": SOURCE,
        "simulated": True,
        "people": [
            {
                "person_id": [-1],
                "pose_keypoints_2d": flat(points[:body]),
                "hand_left_keypoints_2d": flat(points[body:left]),
                "hand_right_keypoints_2d": flat(points[left:]),
                "face_keypoints_2d": [],
            }
            for points in people
        ],
    }


def _bev(params: BodyParams, scene: Scene, body: BodyModel, order: np.ndarray) -> dict:
    """BEV's dictionary, its people in any order: SMPL's 24 joints relative to `cam_trans`, no surface."""
    joints = body.forward(params).joints
    joints = np.concatenate([joints[:, :_SMPL_JOINTS], joints[:, _MIDDLE_FINGERS]], axis=1)[order]
    params = params.take(order.tolist())
    hands = np.zeros((2, 2, 3), np.float32)
    thetas = np.concatenate([params.global_orient[:, None], params.body_pose, hands], axis=1)
    return {
        "smpl_thetas": thetas.reshape(2, -1).astype(np.float32),
        "smpl_betas": params.betas,
        "cam_trans": params.transl,
        "joints": (joints - params.transl[:, None]).astype(np.float32),
        "pj2d_org": project(joints, scene.recipe.camera).astype(np.float32),
        "center_confs": np.array([0.25, 0.2], np.float32),
        "simulated": True,
    }


def _truth(scene: Scene, body: BodyModel) -> dict:
    recipe = scene.recipe
    return {
        "simulated": True,
        "body": body.name,
        "interaction": recipe.interaction,
        "contacts": [[str(a), str(b)] for a, b in (contact.parts for contact in recipe.true_contacts)],
    }
