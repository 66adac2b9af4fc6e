"""Simulated answers of a vision-language model: contacts missed, invented, and with wrong sides."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from apu.body.lines import part_gap, part_lines
from apu.body.model import BodyModel
from apu.camera import project
from apu.synth.noise import AnswerNoise
from apu.synth.scene import Scene
from apu.types import BodyPart, Contact, Side

_NEAR = 0.4
"""Torso lengths: parts further from each other in the image are hardly ever taken to touch."""
_LIKED = ("hand", "forearm", "upper arm", "shoulder", "chest", "back", "waist", "thigh", "knee", "foot")
"""Parts that models like to name."""
_UNSIDED = ("chest", "back")


def answer(
    scene: Scene, body: BodyModel, seen: Bool[np.ndarray, "2 67"], rng: np.random.Generator, *, noise: AnswerNoise
) -> dict[str, Any]:
    """A model's answer in the paper's format, marked as simulated."""
    recipe = scene.recipe
    places = project(body.keypoints(scene.params), recipe.camera)
    marked = np.concatenate([places, seen[..., None]], -1)
    mirrored = rng.random(2) < noise.mirrored * _facing_factor(scene)
    contacts, missed = [], []
    for contact in recipe.true_contacts:
        # Every draw is taken, so that one rate does not shift the others.
        miss, exchange, slip, which, sure = rng.random(5)
        hidden = not all(len(part_lines(p, m)) for p, m in zip(contact.parts, marked, strict=True))
        exchanged = exchange < noise.exchanged * (1 + hidden)
        wrong = mirrored ^ exchanged ^ ((slip < noise.one_side) & (np.arange(2) == (which < 0.5)))
        stated = replace(_mirrored(contact, wrong), confidence=float(0.6 + 0.35 * sure - 0.15 * hidden))
        (missed if miss < noise.missed * (1 + hidden) else contacts).append(stated)
    # Whoever is asked about two people in contact names one.
    contacts = contacts or [max(missed, key=lambda contact: contact.confidence)]
    if rng.random() < noise.invented:
        contacts.append(_invented(scene, np.concatenate([places, np.ones((2, places.shape[1], 1))], -1), rng))
    return {
        "interaction": recipe.interaction,
        "people": dict(zip(("person_left", "person_right"), (p.words for p in recipe.people), strict=True)),
        "orientation": recipe.orientation,
        "contacts": [_stated(contact) for contact in contacts],
        "simulated": True,
        "model": "simulated answers (no model)",
    }


def _facing_factor(scene: Scene) -> Float[np.ndarray, "2"]:
    """1.5 for a person who faces the viewer, 0.5 for one who shows their back, in between 1."""
    chest = Rotation.from_rotvec(scene.params.global_orient).apply([0, 0, 1])
    return 1 + 0.5 * np.clip(-1.5 * chest[:, 2], -1, 1)


def _mirrored(contact: Contact, wrong: Bool[np.ndarray, "2"]) -> Contact:
    a, b = (part.flipped if flip else part for part, flip in zip(contact.parts, wrong, strict=True))
    return replace(contact, parts=(a, b))


def _invented(scene: Scene, places: Float[np.ndarray, "2 67 3"], rng: np.random.Generator) -> Contact:
    """A contact that is not in the scene, of parts that lie on one spot of the image."""
    sides = {name: (Side.BOTH,) if name in _UNSIDED else (Side.LEFT, Side.RIGHT) for name in _LIKED}
    parts = [BodyPart(name=name, side=side) for name in _LIKED for side in sides[name]]
    true = {tuple(part.name for part in contact.parts) for contact in scene.recipe.true_contacts}
    pairs = [(a, b) for a in parts for b in parts if (a.name, b.name) not in true]
    torso = np.mean([np.linalg.norm(p[5, :2] - p[12, :2]) for p in places])
    gaps = np.array([part_gap(pair, places).distance for pair in pairs]) / max(float(torso), 1.0)
    chances = np.exp(-((gaps / _NEAR) ** 2)) + 1e-6
    chosen = pairs[rng.choice(len(pairs), p=chances / chances.sum())]
    return Contact(parts=chosen, confidence=float(rng.uniform(0.3, 0.75)))


def _stated(contact: Contact) -> Mapping[str, Any]:
    stated = {
        f"body_part_person_{who}": {"part_name": part.name, "body_side": str(part.side)}
        for who, part in zip(("left", "right"), contact.parts, strict=True)
    }
    return {**stated, "confidence": round(contact.confidence, 2)}
