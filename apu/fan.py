"""The fan: the likeliest readings of a pair's contacts, each fitted, so that a person judges pictures and not lists.

A reading says of every contact which sides it has or that it is none, and of all whether the answer's two people stand
exchanged. `readings` names the likeliest ones by what is seen in the image; `score` orders them once they are
fitted, for a wrong reading bends the bodies: joints leave their keypoints, limbs their usual poses, or gaps stay open.
`fit_likeliest` is both, where nobody looks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from apu.body.model import BodyModel
from apu.denoise import (
    NAMES,
    STATES,
    Depths,
    Flips,
    Keypoints,
    SideModel,
    combinations,
    depths_between,
    flipped_by,
    follows,
    likelihood_ratio,
    weigh,
)
from apu.errors import FitError
from apu.evidence import Sight, sight
from apu.fit import FitOptions, fit_pairs, lies_closer_exchanged
from apu.formats.match import trusted_keypoints
from apu.types import Contact, FitResult, PairObservation

FEWEST, MOST = 3, 6
"""So many readings are fitted, the contacts as they stand among them."""

_BEAM = 400
"""So many beginnings of a reading are followed: all of them up to four contacts."""
_STATED: Flips = (False, False)
_Weights = Float[np.ndarray, "states depths"]


@dataclass(frozen=True, kw_only=True)
class FanModel:
    """How often answers are wrong, and how much a fit tells.

    Attributes:
        sides: of the sides. invented: chance that a contact stated with confidence 0 is none; in proportion to
            1 - confidence. exchanged: that the answer's two people stand exchanged.
        enough: readings are fitted until they hold this share of the probability.
        objective_scale: what of a fit's objective costs one unit of log probability. Were its residuals independent it
            would be 1; set on simulated scenes (seeds 1000 and 2000), where 1 to 3 do about as well.
    """

    sides: SideModel = field(default_factory=SideModel)
    invented: float = 0.6
    exchanged: float = 0.04
    enough: float = 0.97
    objective_scale: float = 2.0

    def __post_init__(self) -> None:
        for name in ("invented", "exchanged", "enough"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")
        if not self.objective_scale > 0:
            raise ValueError(f"objective_scale must be positive, got {self.objective_scale}")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A contact as it stands.

    Attributes:
        settled: a person has judged it; no reading doubts it.
    """

    contact: Contact
    settled: bool = False


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What may be true of a pair's contacts.

    Attributes:
        contacts: one per claim, in the claims' order and after the exchange; None: it is no contact. Changed ones have
            the source ``"denoiser"``.
        exchanged: the two people stand exchanged.
        probability: by what is seen in the image, of all readings.
    """

    contacts: tuple[Contact | None, ...]
    exchanged: bool
    probability: float

    @property
    def active(self) -> tuple[Contact, ...]:
        """The contacts that a fit uses."""
        return tuple(contact for contact in self.contacts if contact is not None)

    def changes(self, claims: Sequence[Claim]) -> str:
        """What differs from the contacts as they stand, in words; empty where nothing does."""
        told = ["A and B exchanged"] if self.exchanged else []
        for claim, contact in zip(claims, self.contacts, strict=True):
            stated = claim.contact.swapped if self.exchanged else claim.contact
            if contact is None:
                told.append(f"without {_called(stated)}")
            else:
                told += [
                    f"{NAMES[p]}'s {contact.parts[p]} instead of {stated.parts[p].side}"
                    for p in (0, 1)
                    if contact.parts[p] != stated.parts[p]
                ]
        return ", ".join(told)


def readings(
    claims: Sequence[Claim], seen: Keypoints | PairObservation, *, most: int = MOST, model: FanModel | None = None
) -> tuple[Reading, ...]:
    """The contacts as they stand, then the likeliest other readings of them.

    The posterior is that of `apu.denoise.denoise`, of all contacts together: each person's answer may be mirrored
    throughout, one depth between the people goes for all, and no two contacts are the same. To it come two doubts: a
    contact may be none (then its places tell nothing), and the people may stand exchanged. Readings without any
    contact are left out.

    Args:
        claims: of one pair. seen: its keypoints and first meshes.
        most: readings at most; there are fewer where `FanModel.enough` is reached, at least `FEWEST` if there are
            others at all.
    """
    model, view = model or FanModel(), sight(seen)
    stand = Reading(contacts=tuple(claim.contact for claim in claims), exchanged=False, probability=0.0)
    found: dict[frozenset, Reading] = {}
    exchanges = (False,) if any(claim.settled for claim in claims) else (False, True)
    for exchanged in exchanges:
        prior = model.exchanged if exchanged else 1 - model.exchanged
        for contacts, weight in _weighed([_turned(c, exchanged) for c in claims], view, model):
            reading = Reading(contacts=contacts, exchanged=exchanged, probability=prior * weight)
            key = frozenset(contact.parts for contact in reading.active)
            if key and (key not in found or found[key].probability < reading.probability):
                found[key] = reading
    total = sum(reading.probability for reading in found.values()) or 1.0
    own = found.pop(frozenset(contact.parts for contact in stand.active), stand)
    chosen = [replace(stand, probability=own.probability / total)]
    for reading in sorted(found.values(), key=lambda reading: -reading.probability):
        sure = sum(each.probability for each in chosen) >= model.enough
        if len(chosen) == most or (sure and len(chosen) >= FEWEST):
            break
        chosen.append(replace(reading, probability=reading.probability / total))
    return tuple(chosen)


def score(reading: Reading, fit: FitResult, *, model: FanModel | None = None) -> float:
    """How well a reading stands once it is fitted: log P - objective / objective_scale; the higher the better.

    The objective is a negative log likelihood, were its errors independent. Differences of scores are log odds.
    """
    model = model or FanModel()
    return float(np.log(max(reading.probability, 1e-9))) - fit.objective / model.objective_scale


def best(
    found: Sequence[Reading], fits: Sequence[FitResult | FitError], *, model: FanModel | None = None
) -> tuple[Reading, FitResult] | None:
    """The reading of the highest score and its fit; None where none could be fitted."""
    fitted = [(reading, fit) for reading, fit in zip(found, fits, strict=True) if isinstance(fit, FitResult)]
    return max(fitted, key=lambda each: score(*each, model=model), default=None)


def fit_likeliest(
    pair: PairObservation,
    contacts: Sequence[Contact],
    body: BodyModel,
    *,
    exchange: bool = False,
    model: FanModel | None = None,
    options: FitOptions | None = None,
) -> tuple[Reading, FitResult]:
    """Fit a pair to every likely reading of what a model stated; the reading of the highest score, and its fit.

    Each fit has its own start, so that none is favoured by the fit of another reading.

    Args:
        exchange: begin with the two people exchanged where the contacts lie closer that way (APU's rule, see
            `apu.fit.lies_closer_exchanged`).

    Raises:
        FitError: the pair cannot be fitted.
    """
    exchanged = exchange and lies_closer_exchanged(pair, contacts, body, options=options)
    found = weighed_readings(pair, [contact.swapped for contact in contacts] if exchanged else contacts, model=model)
    fits = fit_pairs([pair] * len(found), [reading.active for reading in found], body, options=options)
    chosen = best(found, fits, model=model)
    if chosen is None:
        raise next(fit for fit in fits if isinstance(fit, FitError))
    reading, fit = chosen
    exchanged = exchanged != reading.exchanged
    return replace(reading, exchanged=exchanged), replace(fit, swapped=exchanged)


def weighed_readings(
    pair: PairObservation, contacts: Sequence[Contact], *, model: FanModel | None = None
) -> tuple[Reading, ...]:
    """The likeliest readings of what a model stated, their contacts weighed for a fit (`apu.denoise.weigh`)."""
    seen = trusted_keypoints(pair)

    def weighed(contact: Contact | None) -> Contact | None:
        return None if contact is None else weigh([contact], seen)[0]

    found = readings([Claim(contact=contact) for contact in contacts], pair, model=model)
    return tuple(replace(reading, contacts=tuple(map(weighed, reading.contacts))) for reading in found)


def _turned(claim: Claim, exchanged: bool) -> Claim:
    return replace(claim, contact=replace(claim.contact.swapped, source="denoiser")) if exchanged else claim


def _weighed(
    claims: Sequence[Claim], view: Sight | None, model: FanModel
) -> Iterator[tuple[tuple[Contact | None, ...], float]]:
    """Readings without exchange and their unnormalised probabilities, the likeliest at every length."""
    sides = model.sides
    depths = depths_between(view, sides) if view else np.zeros(1)
    start = np.array([np.prod([sides.mirrored if m else 1 - sides.mirrored for m in state]) for state in STATES])
    prior = np.exp(-np.square(depths / sides.between) / 2)
    beam: list[tuple[tuple[Contact | None, ...], _Weights]] = [((), start[:, None] * prior / prior.sum())]
    for claim in claims:
        choices = list(_choices(claim, view, depths, model))
        grown = [
            ((*contacts, contact), weights * factor)
            for contacts, weights in beam
            for contact, factor in choices
            if contact is None or all(other is None or other.parts != contact.parts for other in contacts)
        ]
        beam = sorted(grown, key=lambda each: -each[1].sum())[:_BEAM]
    for contacts, weights in beam:
        yield contacts, float(weights.sum())


def _choices(
    claim: Claim, view: Sight | None, depths: Depths, model: FanModel
) -> Iterator[tuple[Contact | None, _Weights]]:
    """What may be true of one contact, and how likely that and its places are in every state and at every depth."""
    contact, sides = claim.contact, model.sides
    ratio = lambda c: likelihood_ratio(c, view, sides, depths) if view else np.ones(len(depths))  # noqa: E731
    if claim.settled:
        yield contact, np.tile(ratio(contact), (len(STATES), 1))
        return
    none = model.invented * (1 - contact.confidence)
    several = combinations(contact)
    for flips in several:
        stated = flips == _STATED
        changed = contact if stated else replace(flipped_by(contact, flips), source="denoiser")
        follow = np.array([follows(flips, state, contact) for state in STATES], float)
        chance = (1 - sides.loose) * follow + sides.loose / len(several)
        yield changed, (1 - none) * chance[:, None] * ratio(changed)
    yield None, np.full((len(STATES), len(depths)), none)


def _called(contact: Contact) -> str:
    return f"A's {contact.parts[0]} – B's {contact.parts[1]}"
