"""Correct left and right of a model's contacts by 2D keypoints, and weigh them (APU, "Contact map denoising").

Models that read photographs confuse a person's own left and right; keypoint detectors are trained not to. Parts that
touch lie on one spot of the image, so the sides whose keypoints are nearer are more plausible. The paper lets only
combinations of the same kind compete, (left, right) with (right, left) and (left, left) with (right, right); where one
part has a side, its two sides. Nothing here changes a contact by itself: `denoise` suggests, `apply` carries out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Float

from apu.body.lines import Gap, pair_unit, part_gap, part_lines
from apu.body.parts import PAIRED
from apu.evidence import Sight, sight, touch
from apu.formats.match import trusted_keypoints
from apu.types import BodyPart, Contact, PairObservation, Side

NAMES = ("A", "B")
"""What people 0 and 1 are called on screen."""

Flips = tuple[bool, bool]
"""Whose side is exchanged: (of person 0, of person 1)."""
Keypoints = Float[np.ndarray, "2 67 3"]
Depths = Float[np.ndarray, "depths"]

_STATED: Flips = (False, False)
STATES: tuple[Flips, ...] = ((False, False), (False, True), (True, False), (True, True))
"""Of which people a model may have exchanged left and right throughout."""
_HAND_REACH = 0.11
"""Torso lengths between the lines of two touching hands, where the likelihood ratio has its `peak`."""
_TOGETHER = 4
"""At most so many contacts of one kind are judged as one: 256 combinations."""
_UNSEEN = Gap(distance=float("nan"), confidence=0.0)


@dataclass(frozen=True, kw_only=True)
class SideModel:
    """What is assumed of touching parts, of detectors and of the models that are corrected.

    The defaults were set on simulated scenes (seeds 1000 to 1999, noise 2000 to 2999; `apu.bench.denoise` measures
    others), lengths in torso lengths.

    Attributes:
        reach: how far apart the lines of touching parts lie in the image, as a multiple of their thickness.
        peak: how many times likelier two thin lines meet where their parts touch than where they do not.
        guess: spread of the places that a first mesh gives to what no keypoint sees.
        depth: spread of the depth between touching parts. between: of the depth between the people, about which a
            first mesh says little: one for all contacts of a pair.
        trust: the most that a detector is believed; the rest is the chance that a confident keypoint is an outlier.
        mirrored: how often a model exchanges left and right of one person throughout its answer.
        loose: how often the sides of a single contact are stated without regard to that, any way being as likely.
        same_kind: as in the paper, (left, right) never becomes (left, left); False lets one person's side change alone.
    """

    reach: float = 0.9
    peak: float = 40.0
    guess: float = 0.15
    depth: float = 0.8
    between: float = 0.7
    trust: float = 0.9
    mirrored: float = 0.2
    loose: float = 0.2
    same_kind: bool = False

    def __post_init__(self) -> None:
        for name in ("reach", "peak", "guess", "depth", "between"):
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

    @property
    def flips(self) -> Flips:
        """Whose side the suggestion changes; of none, both would be."""
        changed = [a != b for a, b in zip(self.contact.parts, self.suggestion.parts, strict=True)]
        return (changed[0], changed[1]) if self.flip else (True, True)


def denoise(
    contacts: Sequence[Contact],
    seen: Keypoints | PairObservation,
    *,
    rule: Literal["evidence", "nearest"] = "evidence",
    model: SideModel | None = None,
) -> tuple[SideCheck, ...]:
    """Check the sides of a pair's contacts against what is seen of it, one `SideCheck` per contact.

    ``"nearest"`` is the paper's rule: by the keypoints alone each contact takes the combination of the same kind with
    the smaller distance, and ties stay.

    ``"evidence"`` is robust to outliers and to detectors that are wrong about a whole limb. It takes first meshes into
    account (`apu.evidence`) where there are any, which know left from right, guess what is hidden, and tell how deep a
    limb lies. A pair of points at a distance d in the image and z in depth counts by the likelihood ratio of "these
    parts touch" to "they do not",

        1 - t + t (peak / r) exp(-d^2 / 2 r^2 - (z - Z)^2 / 2 depth^2),   t = trust x keypoint confidence,

    with r the reach of the two parts, so that no keypoint, however far off, has more than a bounded say. The contacts
    of a pair are judged together: the depth Z between the people is one for all; a model that mirrors a person does so
    throughout its answer, so each person has a hidden state (mirrored or not) that the sides of most contacts follow;
    and no answer names a contact twice. The posterior is exact, by summing over states, depths and combinations.

    Args:
        contacts: of one pair, as the model stated them.
        seen: all of the observation; or only keypoints (2, 67, 3) as (x px, y px, confidence).
        rule: which rule suggests.
        model: numbers of ``"evidence"``; None: the defaults.
    """
    model = model or SideModel()
    if rule == "nearest":
        model = replace(model, same_kind=True)
    view = sight(trusted_keypoints(seen) if rule == "nearest" and isinstance(seen, PairObservation) else seen)
    gaps = [{flips: _gap(contact, flips, view) for flips in combinations(contact)} for contact in contacts]
    chances = _posterior(contacts, view, model) if rule == "evidence" and view else [_nearest(gap) for gap in gaps]
    groups = _of_one_kind(contacts) if rule == "evidence" else [[i] for i in range(len(contacts))]
    chosen = _chosen(contacts, groups, gaps, chances, model)
    return tuple(_check(*items, view=view, model=model) for items in zip(contacts, gaps, chances, chosen, strict=True))


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

    def gap(contact: Contact) -> Gap:
        found = part_gap(contact.parts, keypoints)
        return replace(found, distance=found.distance / unit) if np.isfinite(unit) else _UNSEEN

    return tuple(replace(c, weight=_weight(c, gap(c), form, reach, trust)) for c in contacts)


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


def flipped_by(contact: Contact, flips: Flips) -> Contact:
    """With the sides of these people exchanged."""
    a, b = (part.flipped if flip else part for part, flip in zip(contact.parts, flips, strict=True))
    return replace(contact, parts=(a, b))


def combinations(contact: Contact) -> list[Flips]:
    """Every assignment of sides, the stated one first."""
    a, b = _sided(contact)
    return [(i, j) for i in (False, True)[: 1 + a] for j in (False, True)[: 1 + b]]


def _candidates(contact: Contact, same_kind: bool) -> list[Flips]:
    """The assignments that may be suggested, the stated one first."""
    every = combinations(contact)
    return [every[0], every[-1]] if same_kind and len(every) > 1 else every


def _gap(contact: Contact, flips: Flips, view: Sight | None) -> Gap:
    """In torso lengths."""
    return part_gap(flipped_by(contact, flips).parts, view.keypoints) if view else _UNSEEN


def _posterior(contacts: Sequence[Contact], view: Sight, model: SideModel) -> list[dict[Flips, float]]:
    """Chance of every side assignment of every contact, given all that is seen of the pair."""
    depths = depths_between(view, model)
    ratios = [{f: likelihood_ratio(flipped_by(c, f), view, model, depths) for f in combinations(c)} for c in contacts]
    totals = [dict.fromkeys(options, 0.0) for options in ratios]
    for mirrored in STATES:
        prior = np.prod([model.mirrored if m else 1 - model.mirrored for m in mirrored])
        joint = [
            {
                flips: ratio * ((1 - model.loose) * follows(flips, mirrored, contact) + model.loose / len(options))
                for flips, ratio in options.items()
            }
            for contact, options in zip(contacts, ratios, strict=True)
        ]
        shares: list[dict[Flips, Depths]] = [{} for _ in contacts]
        state = np.log(prior) - np.square(depths / model.between) / 2
        for group in _of_one_kind(contacts):
            total = np.zeros(len(depths))
            for i in group:
                shares[i] = dict.fromkeys(joint[i], np.zeros(len(depths)))
            for flips in _distinct(contacts, group):
                value = np.prod([joint[i][f] for i, f in zip(group, flips, strict=True)], axis=0)
                total = total + value
                for i, f in zip(group, flips, strict=True):
                    shares[i][f] = shares[i][f] + value
            for i in group:
                shares[i] = {f: share / total for f, share in shares[i].items()}
            state = state + np.log(total)
        weight = np.exp(state)
        for total, share in zip(totals, shares, strict=True):
            for flips, value in share.items():
                total[flips] += float(weight @ value)
    return totals


def depths_between(view: Sight, model: SideModel) -> Depths:
    """The depths of one person behind the other that are considered, torso lengths; 0 alone where none is known."""
    return model.between * np.linspace(-3, 3, 31) if view.depth else np.zeros(1)


def likelihood_ratio(contact: Contact, view: Sight, model: SideModel, depths: Depths) -> Depths:
    """p(places | the parts touch) / p(places | they do not) at every depth between the people."""
    pairs = touch(contact.parts, view, guess_spread=model.guess)
    if pairs is None:
        return np.ones(len(depths))
    beside = np.square((pairs.deep[:, None] - depths) / model.depth)
    near = np.exp(-(np.square(pairs.across / model.reach)[:, None] + beside) / 2)
    t = model.trust * pairs.trust[:, None]
    return (1 - t + t * model.peak * (_HAND_REACH / pairs.spread[:, None]) * near).max(0)


def _of_one_kind(contacts: Sequence[Contact]) -> list[list[int]]:
    """Contacts between the same parts but for the sides, together; too many of them one by one."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, contact in enumerate(contacts):
        groups.setdefault(tuple(part.name for part in contact.parts), []).append(i)
    return [
        part for group in groups.values() for part in ([group] if len(group) <= _TOGETHER else [[i] for i in group])
    ]


def _distinct(contacts: Sequence[Contact], group: Sequence[int]) -> Iterator[tuple[Flips, ...]]:
    """Side assignments of a group that make no two contacts the same, if there are any; the stated ones first."""
    every = list(product(*(combinations(contacts[i]) for i in group)))
    different = [
        flips for flips in every
        if len({flipped_by(contacts[i], f).parts for i, f in zip(group, flips, strict=True)}) == len(group)
    ]  # fmt: skip
    return iter(different or every)


def _chosen(
    contacts: Sequence[Contact],
    groups: Sequence[Sequence[int]],
    gaps: Sequence[dict[Flips, Gap]],
    chances: Sequence[dict[Flips, float]],
    model: SideModel,
) -> list[Flips]:
    """The likeliest sides of every contact, in a group no two the same; as stated in doubt or where unseen."""
    chosen = [_STATED] * len(contacts)
    allowed = [_allowed(contact, gap, model) for contact, gap in zip(contacts, gaps, strict=True)]
    for group in groups:
        values = {
            flips: sum(np.log(max(chances[i][f], 1e-300)) for i, f in zip(group, flips, strict=True))
            for flips in _distinct(contacts, group)
            if all(f in allowed[i] for i, f in zip(group, flips, strict=True))
        }
        best = _first_of_best(values)
        if best is not None:
            for i, f in zip(group, best, strict=True):
                chosen[i] = f
    return chosen


def _first_of_best(values: Mapping[tuple[Flips, ...], float]) -> tuple[Flips, ...] | None:
    """The likeliest assignment; of equals the one that leaves the earlier contacts as stated.

    None where that does not decide either: the order of the people must not.
    """
    top = max(values.values(), default=0.0)
    equal = {flips: tuple(map(sum, flips)) for flips, value in values.items() if value > top - 1e-9}
    fewest = min(equal.values(), default=())
    best = [flips for flips, changes in equal.items() if changes == fewest]
    return best[0] if len(best) == 1 else None


def _allowed(contact: Contact, gaps: dict[Flips, Gap], model: SideModel) -> list[Flips]:
    candidates = _candidates(contact, model.same_kind)
    return candidates if all(gaps[flips].seen for flips in candidates) else [_STATED]


def follows(flips: Flips, mirrored: Flips, contact: Contact) -> bool:
    """The exchanges are those of mirrored people; a part without a side follows anything."""
    return all(f == m for f, m, has_side in zip(flips, mirrored, _sided(contact), strict=True) if has_side)


def _nearest(gaps: dict[Flips, Gap]) -> dict[Flips, float]:
    """The paper's rule as chances: nearer is more likely, equally near is equally likely."""
    distances = {flips: gap.distance if gap.seen else np.inf for flips, gap in gaps.items()}
    return {flips: float(np.exp(-distance)) for flips, distance in distances.items()}


def _check(
    contact: Contact,
    gaps: dict[Flips, Gap],
    chances: dict[Flips, float],
    best: Flips,
    *,
    view: Sight | None,
    model: SideModel,
) -> SideCheck:
    candidates = _candidates(contact, model.same_kind)
    if len(candidates) == 1 or not all(gaps[flips].seen for flips in candidates):
        why = _not_judged(contact, candidates, view)
        nan = float("nan")
        return SideCheck(
            contact=contact, suggestion=contact, confidence=0.0, distances=(nan, nan), judged=False, evidence=why
        )
    rival = best if best != _STATED else max(candidates[1:], key=lambda flips: chances[flips])
    distances = gaps[_STATED].distance, gaps[rival].distance
    flipped = replace(flipped_by(contact, best), source="denoiser") if best != _STATED else contact
    return SideCheck(
        contact=contact,
        suggestion=flipped,
        confidence=chances[best] / sum(chances[flips] for flips in candidates),
        distances=distances,
        judged=True,
        evidence=_measured(contact, flipped_by(contact, rival), distances)
        + _decided(best != _STATED, distances, depth=view is not None and view.depth),
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


def _decided(flip: bool, distances: tuple[float, float], *, depth: bool) -> str:
    stated, rival = distances
    if flip and rival >= stated:
        others = "the first meshes and the pair's other contacts" if depth else "the pair's other contacts"
        return f"; {others} speak for the exchange."
    if not flip and rival < stated:
        return "; too little to overrule the stated sides."
    return "."


def _not_judged(contact: Contact, candidates: Sequence[Flips], view: Sight | None) -> str:
    if len(candidates) == 1:
        return "Neither part is stated with a left or right side, so there is nothing to correct."
    hidden = [
        _called(p, part)
        for p in (0, 1)
        for part in dict.fromkeys(flipped_by(contact, flips).parts[p] for flips in candidates)
        if view and not len(part_lines(part, view.keypoints[p]))
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
