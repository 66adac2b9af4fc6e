"""Contacts that are probably wrong, by what stored fits say: a fit did without them, failed at them, or paid."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from app.bands import GAP_CM, GOOD, LIMB
from app.meshes import Meshes, Source
from apu.metrics import MIN_CONFIDENCE, units_512, used_confidence
from apu.types import BODY_25, BodyPart, Contact, PairObservation, Side
from review_db import FanRecord, FitRecord, PairRecord

Joints = Callable[[Meshes], Float[np.ndarray, "2 67 2"]]
"""Where meshes have the keypoints in the image, pixels."""
_Fits = Sequence[tuple[Meshes, FitRecord]]

_ARM, _LEG = ("elbow", "wrist"), ("knee", "ankle")
_LIMBS = {
    "hand": _ARM, "forearm": _ARM, "arm": _ARM, "elbow": _ARM, "upper arm": _ARM,
    "foot": _LEG, "leg": _LEG, "knee": _LEG, "thigh": _LEG,
}  # fmt: skip


def probably_wrong(record: PairRecord, fan: FanRecord | None, joints: Joints) -> dict[int, str]:
    """Why contacts cannot be satisfied against the keypoints, by their number; from the latest fit of them.

    The fit did without one (`FitOptions.doubt`); or one stays open by more than `GAP_CM.value`; or it pulls a limb from
    its keypoints: by more than `LIMB.value` 512-units further than in a stored fit without it, an earlier one or
    a reading of the fan.
    """
    pair, found = record.summary.id, {}
    if not record.fits or record.fits[-1].stale:
        return found
    fits = [(Meshes(pair=pair, source=Source.FIT, number=fit.id), fit) for fit in record.fits]
    read = fan.alternatives if fan else ()
    others = fits[:-1] + [(Meshes(pair=pair, source=Source.FAN, number=each.id), each.fit) for each in read]
    for line in record.sheet.contacts:
        if line.dropped:
            continue
        reason = _given_up(line.contact, record.fits[-1]) or _open(line.contact, record.fits[-1])
        reason = reason or _pulled(line.contact, fits[-1], others, record.observation, joints)
        if reason:
            found[line.id] = f"Probably wrong: {reason}"
    return found


def _given_up(contact: Contact, fit: FitRecord) -> str:
    """Weight 0 in a fit says that the rest agrees better without the contact; one stated so was never tried.

    Parts that meet all the same contradict nobody.
    """
    for used, gap in zip(fit.contacts, fit.gaps_m, strict=True):
        meet = GAP_CM.band(100 * gap) == GOOD
        if used.parts == contact.parts and used.weight == 0 < contact.weight and not meet:
            return f"the fit did without it, for the rest agrees better so; the parts are {100 * gap:.1f} cm apart."
    return ""


def _open(contact: Contact, fit: FitRecord) -> str:
    for used, gap in zip(fit.contacts, fit.gaps_m, strict=True):
        if used.parts == contact.parts and 100 * gap > GAP_CM.value:
            return f"{100 * gap:.1f} cm stay open, for the keypoints hold the parts apart."
    return ""


def _pulled(
    contact: Contact, fit: tuple[Meshes, FitRecord], others: _Fits, observation: PairObservation, joints: Joints
) -> str:
    rest = _parts(fit[1]) - {contact.parts}
    alike = [meshes for meshes, other in others if other.body == fit[1].body and _parts(other) == rest]
    if not alike:
        return ""
    for person, part in enumerate(contact.parts):
        points = _limb(part)
        now, then = (_error(joints(each), observation, person, points) for each in (fit[0], alike[-1]))
        if now - then > LIMB.value:
            limb = f"{'AB'[person]}'s {_called(part)}"
            return f"it pulls {limb} from its keypoints, {now:.0f} away against {then:.0f} without it."
    return ""


def _parts(fit: FitRecord) -> set[tuple[BodyPart, BodyPart]]:
    return {used.parts for used in fit.contacts}


def _limb(part: BodyPart) -> list[int]:
    sides = (Side.LEFT, Side.RIGHT) if part.side is Side.BOTH else (part.side,)
    return [BODY_25.index(f"{side}_{name}") for side in sides for name in _LIMBS.get(part.name, ())]


def _called(part: BodyPart) -> str:
    limb = "arm" if _LIMBS[part.name] is _ARM else "leg"
    return f"{limb}s" if part.side is Side.BOTH else f"{part.side} {limb}"


def _error(at: Float[np.ndarray, "2 67 2"], seen: PairObservation, person: int, points: list[int]) -> float:
    """Mean distance of a limb's joints from their keypoints, 512-units; 0 where none is seen."""
    confidence = used_confidence(seen)[person]
    used = [point for point in points if confidence[point] >= MIN_CONFIDENCE]
    if not used:
        return 0.0
    unit = units_512(seen, used_confidence(seen))[person]
    off = np.linalg.norm(at[person, used] - seen.keypoints[person, used, :2], axis=-1)
    return float(off.mean() * unit)
