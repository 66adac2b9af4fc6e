"""What a keypoint detector, a mesh estimator and a vision-language model might say of a scene: wrong in their ways.

`observe` gives all of it, ready for a fit; `apu.synth.detector`, `apu.synth.estimator` and `apu.synth.teller` make one
kind each. How wrong they are is `apu.synth.noise`, why so docs/noise.md.
"""

import json
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from apu.ask.schema import parse_answer
from apu.body.model import BodyModel
from apu.formats.match import MIN_CONFIDENCE
from apu.synth.detector import keypoints, visible
from apu.synth.estimator import estimate
from apu.synth.noise import NOISE, Noise
from apu.synth.scene import Scene
from apu.synth.teller import answer
from apu.types import SMPL_JOINTS, BodyParams, Camera, ContactAnswer, MeshEstimate, PairObservation

SOURCE = "simulated"


class Observed(NamedTuple):
    """What is known of a scene without its truth."""

    observation: PairObservation
    answer: ContactAnswer


class Streams(NamedTuple):
    """Random numbers of each kind of noise: another way to draw keypoints leaves the answers as they are."""

    detector: np.random.Generator
    estimator: np.random.Generator
    model: np.random.Generator

    @classmethod
    def of(cls, name: str, seed: int) -> "Streams":
        """Those of one scene, whatever other scenes draw."""
        return cls(*(np.random.default_rng([seed, kind, *name.encode()]) for kind in range(3)))


def observe(scene: Scene, body: BodyModel, seed: int, *, noise: Noise = NOISE) -> Observed:
    """Detections, first meshes and a model's answer of a scene; the same scene and seed give the same.

    Args:
        scene: whose people are in their recipe's order. body: that the scene was solved on. seed: of the noise.
        noise: how wrong everything is; the default is the benchmark's mixture.

    Returns:
        The observation, whose estimate is in another shape space than `body`'s like any estimator's, and the answer;
        both say that they are simulated.
    """
    name, camera = scene.recipe.name, scene.recipe.camera
    streams = Streams.of(name, seed)
    seen = visible(scene, body)
    detected = keypoints(scene, body, seen, streams.detector, noise=noise.detector)
    observation = PairObservation(
        image=f"{name}_{seed}.jpg",
        camera=camera,
        boxes=_boxes(detected, camera),
        keypoints=detected,
        estimate=mesh_estimate(estimate(scene, body, seen, streams.estimator, noise=noise.estimator), body),
        action=scene.recipe.interaction,
        source=SOURCE,
        simulated=True,
    )
    stated = answer(scene, body, seen, streams.model, noise=noise.answer)
    return Observed(observation, parse_answer(json.dumps(stated), model=stated["model"], simulated=True))


def mesh_estimate(params: BodyParams, body: BodyModel) -> MeshEstimate:
    """Parameters as an estimator of another shape space gives them: the shape shows in its joints alone."""
    return MeshEstimate(
        global_orient=params.global_orient,
        body_pose=params.body_pose,
        betas=np.zeros_like(params.betas),
        joints=body.forward(params).joints[:, : len(SMPL_JOINTS)],
        valid=np.ones(len(params.transl), bool),
        source=SOURCE,
    )


def _boxes(detected: Float[np.ndarray, "2 67 3"], camera: Camera) -> Float[np.ndarray, "2 4"]:
    """Of the confident keypoints, or of the whole picture where there are none."""
    boxes = np.tile(np.array([0, 0, camera.width, camera.height], np.float32), (2, 1))
    for box, person in zip(boxes, detected, strict=True):
        sure = person[person[:, 2] >= MIN_CONFIDENCE, :2]
        if len(sure):
            box[:] = [*sure.min(axis=0), *sure.max(axis=0)]
    return boxes
