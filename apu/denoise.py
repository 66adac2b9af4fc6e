"""Correct left and right of a model's contacts by 2D keypoints, and weigh them (APU, "Contact map denoising").

Models that read photographs confuse a person's own left and right; keypoint detectors are trained not to. Parts that
touch lie on one spot of the image, so the sides whose keypoints are nearer are more plausible. Only combinations of the
same kind compete: (left, right) with (right, left), (left, left) with (right, right); where one part has a side, its
two sides. Nothing here changes a contact by itself: `denoise` suggests, `apply` carries out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from apu.body.lines import Gap, pair_unit, part_gap, part_lines
from apu.body.parts import PAIRED
from apu.types import BodyPart, Contact, Side

NAMES = ("A", "B")
"""What people 0 and 1 are called on screen."""

Flips = tuple[bool, bool]
"""Whose side is exchanged: (of person 0, of person 1)."""
Keypoints = Float[np.ndarray, "2 67 3"]

_STATED: Flips = (False, False)
_STATES: tuple[Flips, ...] = ((False, False), (False, True), (True, False), (True, True))
_UNSEEN = Gap(distance=float("nan"), confidence=0.0)


@dataclass(frozen=True, kw_only=True)
class SideModel:
    """What is assumed of touching parts, of detectors and of the models that are corrected.

    The defaults are round numbers; tests/stick_people.py holds the simulation they were checked on.

    Attributes:
        reach: spread of the 2D distance between the lines of parts that touch, torso lengths; parts are thick.
        elsewhere: mean of that distance for parts that do not touch, torso lengths.
        trust: the most that a detector is believed; the rest is the chance that a confident keypoint is an outlier.
        mirrored: how often a model exchanges left and right of one person throughout its answer.
        loose: how often the sides of a single contact are stated without regard to that, any way being as likely.
        same_kind: as in the paper, (left, right) never becomes (left, left); False lets one person's side change alone.
    """

    reach: float = 0.15
    elsewhere: float = 0.7
    trust: float = 0.9
    mirrored: float = 0.3
    loose: float = 0.4
    same_kind: bool = True

    def __post_init__(self) -> None:
        for name in ("reach", "elsewhere"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("trust", "mirrored", "loose"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class SideCheck:
    """What the keypoints say of one contact's sides.

    Attributes:
        contact: as the model stated it.
        suggestion: with the sides that the evidence favours (source ``"denoiser"`` if they differ); else `contact`.
        confidence: in the suggested sides against the competing ones, 0 to 1; 0 where not judged.
        distances: (as stated, best alternative) in torso lengths; NaN where not judged.
        judged: there was a side to correct and both candidates are visible.
        evidence: one sentence for the curator.
    """

    contact: Contact
    suggestion: Contact
    confidence: float
    distances: tuple[float, float]
    judged: bool
    evidence: str

    @property
    def flip(self) -> bool:
        """Other sides than the stated ones are suggested."""
        return self.suggestion.parts != self.contact.parts


def denoise(
    contacts: Sequence[Contact],
    keypoints: Keypoints,
    *,
    rule: Literal["evidence", "nearest"] = "evidence",
    model: SideModel | None = None,
) -> tuple[SideCheck, ...]:
    """Check the sides of a pair's contacts against its 2D keypoints, one `SideCheck` per contact.

    ``"nearest"`` is the paper's rule: each contact takes the combination of smaller distance, and ties stay.
    ``"evidence"`` is robust to outliers and to detectors that are wrong about a whole limb. A distance d counts by the
    likelihood ratio of "these parts touch" to "they do not",

        1 - t + t HalfNormal(d; reach) / Exponential(d; elsewhere),   t = trust x keypoint confidence,

    so that no keypoint, however far off, has more than a bounded say; and the contacts of a pair are judged together,
    because a model that mirrors a person does so throughout its answer: each person has a hidden state (mirrored
    or not) that the sides of most contacts follow. The posterior is exact, by summing over the four states.

    Args:
        contacts: of one pair, as the model stated them.
        keypoints: (2, 67, 3) as (x px, y px, confidence).
        rule: which rule suggests.
        model: numbers of ``"evidence"``; None: the defaults.
    """
    model = model or SideModel()
    unit = pair_unit(keypoints)
    gaps = [{flips: _gap(contact, flips, keypoints, unit) for flips in _combinations(contact)} for contact in contacts]
    chances = _posterior(contacts, gaps, model) if rule == "evidence" else [_nearest(gap) for gap in gaps]
    return tuple(
        _check(*items, keypoints=keypoints, model=model) for items in zip(contacts, gaps, chances, strict=True)
    )


def apply(checks: Sequence[SideCheck]) -> tuple[Contact, ...]:
    """The contacts with every suggestion carried out."""
    return tuple(check.suggestion for check in checks)


def weigh(
    contacts: Sequence[Contact],
    keypoints: Keypoints,
    *,
    form: Literal["falling", "literal"] = "falling",
    reach: float = 0.3,
    trust: float = 0.9,
) -> tuple[Contact, ...]:
    """Set the weights W_ij of the soft contact loss from 2D distance d (torso lengths) and confidence c.

    ``"literal"`` is the paper's sentence, W = c d: parts that are far apart in the image pull hardest, and parts on one
    spot do not pull at all; unseen parts count as d = 1. ``"falling"`` is the default,

        W = c (1 - t + t exp(-d^2 / 2 reach^2)),   t = trust x keypoint confidence:

    touching parts share a spot of the image, so a large distance between confident keypoints speaks against the
    contact, while hidden parts keep their full weight, for there the contact is all that is known.
    A curator's contacts weigh their confidence in either form: people overrule detectors.

    Args:
        contacts: of one pair.
        keypoints: (2, 67, 3) as (x px, y px, confidence).
        form: which of the two.
        reach: where the falling form has dropped to 0.6 of a fully trusted contact, torso lengths.
        trust: the most that a detector is believed.
    """
    unit = pair_unit(keypoints)
    return tuple(replace(c, weight=_weight(c, _gap(c, _STATED, keypoints, unit), form, reach, trust)) for c in contacts)


def _weight(contact: Contact, gap: Gap, form: str, reach: float, trust: float) -> float:
    if contact.source == "curator":
        return contact.confidence
    if form == "literal":
        return contact.confidence * (gap.distance if gap.seen else 1.0)
    if not gap.seen:
        return contact.confidence
    t = trust * gap.confidence
    return contact.confidence * (1 - t + t * float(np.exp(-(gap.distance**2) / (2 * reach**2))))


def _sided(contact: Contact) -> Flips:
    a, b = contact.parts
    return a.side is not Side.BOTH, b.side is not Side.BOTH


def _flipped(contact: Contact, flips: Flips) -> Contact:
    a, b = (part.flipped if flip else part for part, flip in zip(contact.parts, flips, strict=True))
    return replace(contact, parts=(a, b))


def _combinations(contact: Contact) -> list[Flips]:
    """Every assignment of sides, the stated one first."""
    a, b = _sided(contact)
    return [(i, j) for i in (False, True)[: 1 + a] for j in (False, True)[: 1 + b]]


def _candidates(contact: Contact, same_kind: bool) -> list[Flips]:
    """The assignments that may be suggested, the stated one first."""
    combinations = _combinations(contact)
    return [combinations[0], combinations[-1]] if same_kind and len(combinations) > 1 else combinations


def _gap(contact: Contact, flips: Flips, keypoints: Keypoints, unit: float) -> Gap:
    gap = part_gap(_flipped(contact, flips).parts, keypoints)
    return replace(gap, distance=gap.distance / unit) if np.isfinite(unit) else _UNSEEN


def _likelihood_ratio(gap: Gap, model: SideModel) -> float:
    """p(distance | the parts touch) / p(distance | they do not), bounded by the chance of an outlier."""
    if not gap.seen:
        return 1.0
    t, d = model.trust * gap.confidence, gap.distance
    touching = np.sqrt(2 / np.pi) / model.reach * np.exp(-(d**2) / (2 * model.reach**2))
    apart = np.exp(-d / model.elsewhere) / model.elsewhere
    return float(1 - t + t * touching / apart)


def _posterior(
    contacts: Sequence[Contact], gaps: Sequence[dict[Flips, Gap]], model: SideModel
) -> list[dict[Flips, float]]:
    """Chance of every side assignment of every contact, given all of the pair's distances."""
    totals = [dict.fromkeys(options, 0.0) for options in gaps]
    for mirrored in _STATES:
        prior = np.prod([model.mirrored if m else 1 - model.mirrored for m in mirrored])
        joint = [
            {
                flips: _likelihood_ratio(gap, model)
                * ((1 - model.loose) * _follows(flips, mirrored, contact) + model.loose / len(options))
                for flips, gap in options.items()
            }
            for contact, options in zip(contacts, gaps, strict=True)
        ]
        sums = [sum(options.values()) for options in joint]
        state = prior * np.exp(np.sum(np.log(sums)))
        for total, options, norm in zip(totals, joint, sums, strict=True):
            for flips, value in options.items():
                total[flips] += float(state * value / norm)
    return totals


def _follows(flips: Flips, mirrored: Flips, contact: Contact) -> bool:
    """The exchanges are those of mirrored people; a part without a side follows anything."""
    return all(f == m for f, m, has_side in zip(flips, mirrored, _sided(contact), strict=True) if has_side)


def _nearest(gaps: dict[Flips, Gap]) -> dict[Flips, float]:
    """The paper's rule as chances: nearer is more likely, equally near is equally likely."""
    distances = {flips: gap.distance if gap.seen else np.inf for flips, gap in gaps.items()}
    return {flips: float(np.exp(-distance)) for flips, distance in distances.items()}


def _check(
    contact: Contact, gaps: dict[Flips, Gap], chances: dict[Flips, float], *, keypoints: Keypoints, model: SideModel
) -> SideCheck:
    candidates = _candidates(contact, model.same_kind)
    if len(candidates) == 1 or not all(gaps[flips].seen for flips in candidates):
        why = _not_judged(contact, candidates, keypoints)
        nan = float("nan")
        return SideCheck(
            contact=contact, suggestion=contact, confidence=0.0, distances=(nan, nan), judged=False, evidence=why
        )
    best = max(candidates, key=lambda flips: chances[flips])
    rival = best if best != _STATED else max(candidates[1:], key=lambda flips: chances[flips])
    distances = gaps[_STATED].distance, gaps[rival].distance
    flipped = replace(_flipped(contact, best), source="denoiser") if best != _STATED else contact
    return SideCheck(
        contact=contact,
        suggestion=flipped,
        confidence=chances[best] / sum(chances[flips] for flips in candidates),
        distances=distances,
        judged=True,
        evidence=_measured(contact, _flipped(contact, rival), distances) + _decided(best != _STATED, distances),
    )


def _measured(stated: Contact, rival: Contact, distances: tuple[float, float]) -> str:
    digits = 1 if abs(distances[0] - distances[1]) >= 0.1 else 2
    first, second = (f"{distance:.{digits}f}" for distance in distances)
    changed = [p for p in (0, 1) if stated.parts[p] != rival.parts[p]]
    p, other = changed[0], 1 - changed[0]
    text = f"{_called(p, stated.parts[p])} is {first} torso lengths from {_called(other, stated.parts[other])}"
    if len(changed) == 1:
        text += f", the {rival.parts[p].side} {second}"
    else:
        text += f"; {_called(p, rival.parts[p])} is {second} from {_called(other, rival.parts[other])}"
    return _sentence(text)


def _decided(flip: bool, distances: tuple[float, float]) -> str:
    stated, rival = distances
    if flip and rival >= stated:
        return "; the pair's other contacts speak for the exchange."
    if not flip and rival < stated:
        return "; too little to overrule the stated sides."
    return "."


def _not_judged(contact: Contact, candidates: Sequence[Flips], keypoints: Keypoints) -> str:
    if len(candidates) == 1:
        return "Neither part is stated with a left or right side, so there is nothing to correct."
    hidden = [
        _called(p, part)
        for p in (0, 1)
        for part in dict.fromkeys(_flipped(contact, flips).parts[p] for flips in candidates)
        if not len(part_lines(part, keypoints[p]))
    ]
    if not hidden:
        return "No shoulders and hips are visible to measure by, so the sides stay as stated."
    verb = "is" if len(hidden) == 1 else "are"
    return _sentence(f"{' and '.join(hidden)} {verb} not visible, so the sides stay as stated.")


def _called(person: int, part: BodyPart) -> str:
    if part.side is Side.BOTH or part.name in PAIRED:
        return f"{NAMES[person]}'s {part}"
    return f"the {part.side} of {NAMES[person]}'s {part.name}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
