"""What is compared: the start, and fits that differ in nothing but the contacts they are given."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from apu import denoise as denoiser
from apu.bench.case import Case
from apu.body.model import BodyModel
from apu.body.parts import PARTS
from apu.body.regions import regions_of
from apu.errors import FitError
from apu.fan import Reading, weighed_readings
from apu.fit import FitOptions, fit_pair
from apu.formats.match import trusted_keypoints
from apu.types import BodyPart, Contact, FitResult, PairObservation, Side

METHODS: Mapping[str, str] = {
    "start": "the first guess that every fit begins with",
    "no_contacts": "fit to keypoints alone",
    "heuristic": "fit with one contact, where the two start meshes are nearest",
    "raw": "fit with a model's contacts as stated",
    "sides": "fit with the sides that keypoints and first meshes suggest",
    "denoised": "fits with every likely reading of a model's contacts, the best of them",
    "filtered": "denoised, only the pairs that the automatic filter keeps",
    "curated": "fit with the true contacts, as a curator leaves them",
    "edited": "the same contacts, going on from the fit of `sides`: what a curator sees who puts it right",
}
"""By name, in the order of the table."""

FITTED = ("no_contacts", "heuristic", "raw", "sides", "denoised", "curated", "edited")
"""The methods that fit, in their order; `filtered` chooses among the results of `denoised`."""

Pair = tuple[PairObservation, tuple[Contact, ...]]
Start = FitResult | None
"""An earlier fit to go on from; None: the fit begins afresh."""
FitMethod = Callable[[Sequence[Pair], BodyModel, Sequence[Start]], list[FitResult | FitError]]
"""Fits pairs to their weighed contacts, together or one by one; a pair that cannot be fitted gives its error."""


def fit_each(
    pairs: Sequence[Pair], body: BodyModel, starts: Sequence[Start], *, options: FitOptions | None = None
) -> list[FitResult | FitError]:
    """The fit, one pair after the other."""
    results: list[FitResult | FitError] = []
    for (observation, contacts), start in zip(pairs, starts, strict=True):
        try:
            earlier, before = (None, ()) if start is None else (start.params, start.contacts)
            results.append(fit_pair(observation, contacts, body, options=options, start=earlier, before=before))
        except FitError as error:
            results.append(error)
    return results


def readings_for(
    method: str, case: Case, start: Float[np.ndarray, "2 vertices 3"], body: BodyModel
) -> tuple[Reading, ...] | None:
    """Weighed contacts that a method fits a pair to; the best stands (`apu.fan.best`). None where the pair has none.

    Args:
        method: one of `FITTED`. start: surfaces of the first guess, metres.
    """
    if method == "denoised":
        return None if case.stated is None else weighed_readings(case.observation, case.stated)
    contacts = contacts_for(method, case, start, body)
    return None if contacts is None else (Reading(contacts=contacts, exchanged=False, probability=1.0),)


def contacts_for(
    method: str, case: Case, start: Float[np.ndarray, "2 vertices 3"], body: BodyModel
) -> tuple[Contact, ...] | None:
    """The weighed contacts that a method of one reading fits a pair to; None where the pair does not have them.

    Args:
        method: one of `FITTED` but ``"denoised"``. start: surfaces of the first guess, metres.

    Raises:
        ValueError: it is none of those.
    """
    seen = trusted_keypoints(case.observation)
    given: tuple[Contact, ...] | None
    match method:
        case "no_contacts":
            given = ()
        case "heuristic":
            given = (nearest_contact(start, body),)
        case "raw":
            given = case.stated
        case "sides" if case.stated is not None:
            given = denoiser.apply(denoiser.denoise(case.stated, case.observation))
        case "sides":
            given = None
        case "curated" | "edited":
            given = as_curated(case.contacts) if case.contacts else None
        case _:
            raise ValueError(f"method must be one with a single list of contacts, got {method!r}")
    return None if given is None else denoiser.weigh(given, seen)


def as_curated(contacts: Sequence[Contact]) -> tuple[Contact, ...]:
    """Contacts that a curator stands behind: sure, and never weighed down by a detector."""
    return tuple(Contact(parts=contact.parts, source="curator") for contact in contacts)


def nearest_contact(vertices: Float[np.ndarray, "2 vertices 3"], body: BodyModel) -> Contact:
    """The contact of the nearest two points of two surfaces: of the parts that hold them, the smallest."""
    distance, other = map(np.asarray, KDTree(vertices[1]).query(vertices[0]))
    nearest = distance.argmin()
    parts, part_of = _smallest_parts(body)
    return Contact(parts=(parts[part_of[nearest]], parts[part_of[other[nearest]]]), source="heuristic")


@lru_cache(maxsize=4)
def _smallest_parts(body: BodyModel) -> tuple[tuple[BodyPart, ...], Int[np.ndarray, "vertices"]]:
    """All sided parts, and which of them is the one of least area that holds each vertex."""
    regions = regions_of(body)
    a, b, c = body.tensor("v_template").double().cpu().numpy()[body.faces].swapaxes(0, 1)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).repeat(3)
    of_vertex = np.bincount(body.faces.ravel(), area, minlength=body.num_vertices)
    parts = [BodyPart(name=name, side=side) for name in PARTS for side in (Side.LEFT, Side.RIGHT)]
    parts.sort(key=lambda part: -of_vertex[regions.part_vertices(part)].sum())
    part_of = np.zeros(body.num_vertices, int)
    for i, part in enumerate(parts):
        part_of[regions.part_vertices(part)] = i
    return tuple(parts), part_of
