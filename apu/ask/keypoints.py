"""Contacts proposed without any model: parts of two people that lie close to each other in the image."""

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
from jaxtyping import Float

from apu.ask.question import Question
from apu.ask.schema import answer_text
from apu.body.lines import pair_unit, part_gap
from apu.types import KEYPOINTS, BodyPart, Contact, ContactAnswer, Side

_ARM = ("hand", "shoulder", "forearm", "upper arm")
_LEG = ("knee", "thigh", "leg")
_FRONT, _BACK = ("chest", "stomach", "waist"), ("back", "waist")
_PER_LIMB = 2
_HALF = 0.5
_LEFT_SHOULDER, _RIGHT_SHOULDER = KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")

Limb = tuple[BodyPart, ...]
"""Parts of which at most one takes part in a contact; where several are equally near, the first."""


def ask_keypoints(question: Question, *, reach: float = 0.15, limit: int = 6) -> ContactAnswer:
    """An asker that looks at 2D keypoints only and says so: the nearest parts, one contact for two limbs.

    A contact's confidence is exp(-d^2 / 2 reach^2) times the keypoints' own, halved, since nearness in the image is
    not yet contact; d is the distance in mean torso lengths. Parts more than two `reach` apart are left out.

    Args:
        question: only its keypoints are used.
        reach: in torso lengths.
        limit: of the number of contacts.
    """
    answer = ContactAnswer(
        interaction="unknown (proposed from 2D proximity)",
        people=("person on the left", "person on the right"),
        orientation="unknown",
        contacts=_proposals(question.keypoints, reach, limit),
        raw="",
        model="keypoints (no vision model)",
        prompt_id="",
    )
    return replace(answer, raw=answer_text(answer))


def _proposals(keypoints: Float[np.ndarray, "2 67 3"], reach: float, limit: int) -> tuple[Contact, ...]:
    """The most confident contacts, no limb in more than `_PER_LIMB` of them."""
    pairs = product(*map(_limbs, keypoints))
    unit = pair_unit(keypoints)
    found = [(contact, limbs) for limbs in pairs if (contact := _nearest(limbs, keypoints, unit, reach))]
    used: Counter[tuple[int, Limb]] = Counter()
    chosen = []
    for contact, limbs in sorted(found, key=lambda item: -item[0].confidence):
        if len(chosen) < limit and all(used[limb] < _PER_LIMB for limb in enumerate(limbs)):
            used.update(enumerate(limbs))
            chosen.append(contact)
    return tuple(chosen)


def _limbs(keypoints: Float[np.ndarray, "67 3"]) -> list[Limb]:
    """Head, trunk, arms and legs; the trunk is the side of it that the camera sees."""
    seen_from_behind = keypoints[_LEFT_SHOULDER, 0] < keypoints[_RIGHT_SHOULDER, 0]
    trunk = _BACK if seen_from_behind else _FRONT
    limbs = [tuple(BodyPart(name=name) for name in names) for names in (("head",), trunk)]
    for side in (Side.LEFT, Side.RIGHT):
        limbs += [tuple(BodyPart(name=name, side=side) for name in names) for names in (_ARM, _LEG)]
    return limbs


def _nearest(
    limbs: tuple[Limb, ...], keypoints: Float[np.ndarray, "2 67 3"], unit: float, reach: float
) -> Contact | None:
    """The contact of the nearest parts of two limbs, unless they are too far apart or not seen."""
    best = None
    for parts in product(*limbs):
        gap = part_gap((parts[0], parts[1]), keypoints)
        distance = gap.distance / unit
        if gap.seen and distance <= 2 * reach and (best is None or distance < best[0] - 1e-6):
            best = distance, gap.confidence, parts
    if best is None:
        return None
    distance, seen, (a, b) = best
    confidence = _HALF * seen * float(np.exp(-(distance**2) / (2 * reach**2)))
    return Contact(parts=(a, b), confidence=confidence, source="keypoints")
