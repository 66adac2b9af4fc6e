"""Writes a pair as docs/bench.md describes it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from apu.ask.schema import answer_text
from apu.bench.case import Case
from apu.body.model import BodyModel
from apu.formats.skeletons import SKELETONS, landmarks
from apu.synth import Scene
from apu.types import ContactAnswer


def write_pair(
    folder: Path, case: Case, scene: Scene, body: BodyModel, *, skeleton: str = "smplx_55", unit: str = "m",
    frame: str = "camera", turn: np.ndarray | None = None, order: tuple[int, int] = (0, 1), **changes: Any,
) -> Path:  # fmt: skip
    """All four files of a pair, its people in any order; `turn` is a matrix from the camera's frame to the joints'."""
    stem, kind, observation, estimate = case.name, SKELETONS[skeleton], case.observation, case.observation.estimate
    people = list(order)
    known = kind.of_landmarks(landmarks(body, body.forward(scene.params)))[people] @ (
        np.eye(3) if turn is None else turn.T
    )
    scale = {"m": 1.0, "mm": 1000.0}[unit]
    by_name = [dict(zip(kind.compared, (scale * one).tolist(), strict=True)) for one in known]
    contacts = [[str(part) for part in np.array(contact.parts)[people]] for contact in case.contacts or ()]
    content = {
        "interaction": case.interaction,
        "image": {"width": observation.camera.width, "height": observation.camera.height},
        "joints": {
            "skeleton": skeleton, "frame": frame, "unit": unit,
            "places": [[person.get(name) for name in kind.joints] for person in by_name],
        },
        "contacts": contacts,
        "simulated": True,
    }  # fmt: skip
    path = folder / f"{stem}_pair.json"
    path.write_text(json.dumps({k: v for k, v in (content | changes).items() if v is not None}))
    blocks = {"pose": slice(25), "hand_left": slice(25, 46), "hand_right": slice(46, 67)}
    keypoints = [
        {f"{name}_keypoints_2d": person[block].ravel().tolist() for name, block in blocks.items()}
        for person in observation.keypoints[people]
    ]
    (folder / f"{stem}_keypoints.json").write_text(json.dumps({"people": keypoints}))
    np.savez(
        folder / f"{stem}_meshes.npz", allow_pickle=False, global_orient=estimate.global_orient, joints=estimate.joints,
        body_pose=estimate.body_pose.reshape(2, 63), betas=estimate.betas, transl=estimate.joints[:, 0],
    )  # fmt: skip
    stated = ContactAnswer(
        interaction="handshake", people=("one", "another"), orientation="facing", contacts=case.stated or (), raw="",
        model="", prompt_id="",
    )  # fmt: skip
    (folder / f"{stem}_contacts.json").write_text(answer_text(stated))
    return path
