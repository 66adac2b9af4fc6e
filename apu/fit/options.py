"""Every number of the fit: meaning, unit, default and where it comes from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from typing import Any

from apu.metrics import BORDER, MIN_CONFIDENCE

PART_SAMPLES = 160
"""Surface points that stand for a body part in the soft minimum of a contact."""


def _check_positive(options: object, names: Sequence[str], *, zero: bool = False) -> None:
    for name in names:
        values = getattr(options, name)
        for value in values if isinstance(values, tuple) else (values,):
            if not (0 < value < inf or (zero and value == 0)):
                raise ValueError(f"{name} must be {'zero or ' * zero}positive and finite, got {values}")


def check_whole(least: int, **values: object) -> None:
    """See that values are whole numbers, none below `least`.

    Raises:
        ValueError: one is not, by its name.
    """
    for name, value in values.items():
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number from {least} on, got {value}")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of the annealed objective.

    Attributes:
        keypoint_scale: Geman-McClure scale in 512-units: errors far beyond it lose their pull.
        contact_temperature: of the soft minimum over a contact's pairs of points, metres.
        contact_samples: points that stand for each part of a contact. Contacts cost a little more where they are few.
        penetration: weight of the interpenetration term, 0 to 1.
        contact: factor of W; at the end contacts close, when nothing far off can be pulled into a wrong place any more.
        shape: betas are free (the paper's stage 1) or held (stage 2).
        steps: most Levenberg-Marquardt steps.
        enough: a pair has converged when an accepted step lowers its objective by less than this share, twice in a row.
    """

    keypoint_scale: float
    contact_temperature: float
    penetration: float
    shape: bool
    steps: int
    contact: float = 1.0
    contact_samples: int = PART_SAMPLES
    enough: float = 1e-3

    def __post_init__(self) -> None:
        if self.contact_samples not in range(1, PART_SAMPLES + 1):
            raise ValueError(
                f"contact_samples must be a whole number from 1 to {PART_SAMPLES}, got {self.contact_samples}"
            )
        check_whole(1, steps=self.steps)
        _check_positive(self, ["keypoint_scale", "contact_temperature", "enough"])
        _check_positive(self, ["penetration", "contact"], zero=True)


_AT_FIRST = Phase(
    keypoint_scale=250.0, contact_temperature=0.06, contact_samples=64, penetration=0.0, shape=True, steps=25,
    enough=1e-2,  # on the way to the last phase there is no need to arrive
)  # fmt: skip
_CLOSER = replace(_AT_FIRST, keypoint_scale=80.0, contact_temperature=0.03, shape=False, steps=12)

SCHEDULE = (
    _AT_FIRST,
    replace(_CLOSER, penetration=0.02),
    replace(_CLOSER, penetration=0.3),
    Phase(keypoint_scale=40.0, contact_temperature=0.02, penetration=1.0, shape=False, steps=60, contact=2.0),
)
"""Coarse to fine: the paper's stage 1 (shape free), then its stage 2 (shape held, interpenetration rising)."""

REFIT = (replace(_CLOSER, shape=True, steps=15), *SCHEDULE[2:])
"""From an earlier fit on: shape free once more, people through each other, then as in the first fit."""


@dataclass(frozen=True, kw_only=True)
class Stance:
    """How firmly people stand on one floor; see `apu.fit.ground.ground`.

    Attributes:
        floor_sigma: of a foot above or below the floor, metres. floor_scale: metres above it a foot counts as raised.
        tilt_sigma: radians that a camera is turned about its viewing direction, and that it looks up or down.
        balance_sigma, balance_scale: of the centre of mass beside the feet that carry it, metres.
    """

    floor_sigma: float = 0.015
    floor_scale: float = 0.12
    tilt_sigma: tuple[float, float] = (0.05, 0.15)
    balance_sigma: float = 0.12
    balance_scale: float = 0.3

    def __post_init__(self) -> None:
        _check_positive(self, [field.name for field in fields(self)])


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What the objective weighs and when it stops.

    The sigmas say how large a deviation counts as one; the objective is half the sum of squares over them, so a
    sigma is the square root of an inverse weight of the paper's losses. Those without another source were set on
    synthetic scenes.

    Attributes:
        schedule: phases, coarse to fine. refit: those of a warm refit.
        keypoint_sigma: L_J, in 512-units (the person's box scaled to 512, as BUDDI does). Weight: confidence squared.
        min_confidence: keypoints below it are not used.
        border: keypoints nearer to the image border than this share of the image's side are not used: detectors
            clamp cut-off joints there and are sure of them.
        contact_sigma: L_C, metres, for W = 1.
        contact_pairs: pairs of points that stand for the soft minimum of one contact.
        normal_bonus: metres; a pair of points whose normals do not oppose counts as up to sqrt(2) x this further.
        penetration_sigma, penetration_margin: L_P per proxy vertex, metres; the margin begins to push before skin
            meets skin.
        orient_sigma, spine_sigma, arm_sigma, leg_sigma, other_sigma: L_init, radians from the start pose.
        hidden_arm_sigma: of an arm's joint where the keypoint that tells of it is not seen.
        hidden_leg_sigma: legs whose knee is not seen are pulled straight, radians.
        limit_sigma: joint limits, radians beyond them.
        beta_sigma: L_beta, standard deviations of the shape space. child_sigma: of the 11th beta from the start.
        transl_sigma: metres from the start along x, y, z.
        stance: how people stand on the floor, where their feet are seen.
        gmm_weight: L_GMM; used only where a mixture is given (see `apu.fit.mixture`).
        doubt: what it costs the objective to fit without a contact of W = 1 that a program stated; a curator's contacts
            stay.
        exchange: what it costs the objective to take a limb's keypoints with left and right exchanged, or a person's.
        carried: what it costs the objective that the other person carries somebody, not the floor.
        mirror: what it costs the objective to take a limb that no contact names for its mirror image in depth.
        leading: of a pair's starts (sides of keypoints, facings, limbs' readings in depth), so many go on after the
            first phase. refit_leading: of a warm refit's.
        strain: a first fit whose contact and interpenetration cost the objective more than this is annealed once more.
        kick_depth: metres; parts locked deeper than this start again pushed apart. kicks: most such restarts.
        max_seconds: of the fit's own thread, per pair; the best state stands after this time.
        reprojection_limit: the automatic filter keeps a pair below it, 512-units (APU, section 3.3).
    """

    schedule: tuple[Phase, ...] = SCHEDULE
    refit: tuple[Phase, ...] = REFIT
    keypoint_sigma: float = 8.0
    min_confidence: float = MIN_CONFIDENCE
    border: float = BORDER
    contact_sigma: float = 0.015
    contact_pairs: int = 12
    normal_bonus: float = 0.03
    penetration_sigma: float = 0.003
    penetration_margin: float = 0.004
    orient_sigma: float = 0.2
    spine_sigma: float = 0.15
    arm_sigma: float = 0.7
    leg_sigma: float = 0.45
    other_sigma: float = 0.25
    hidden_arm_sigma: float = 1.2
    hidden_leg_sigma: float = 0.25
    limit_sigma: float = 0.1
    beta_sigma: float = 1.0
    child_sigma: float = 0.1
    transl_sigma: tuple[float, float, float] = (0.15, 0.15, 0.15)
    stance: Stance = Stance()
    gmm_weight: float = 1.0
    doubt: float = 12.0
    exchange: float = 4.0
    carried: float = 12.0
    mirror: float = 2.0
    leading: int = 3
    refit_leading: int = 2
    strain: float = 3.0
    kick_depth: float = 0.005
    kicks: int = 4
    max_seconds: float = 6.0
    reprojection_limit: float = 20.0

    def __post_init__(self) -> None:
        if not (self.schedule and self.refit):
            raise ValueError("schedule and refit must have at least one phase each")
        sigmas = [field.name for field in fields(self) if field.name.endswith("_sigma")]
        if len(self.transl_sigma) != 3:
            raise ValueError(f"transl_sigma must have one number for each of x, y and z, got {self.transl_sigma}")
        _check_positive(self, [*sigmas, "max_seconds", "reprojection_limit"])
        check_whole(1, contact_pairs=self.contact_pairs, leading=self.leading, refit_leading=self.refit_leading)
        check_whole(0, kicks=self.kicks)
        zero = (
            "min_confidence",
            "border",
            "normal_bonus",
            "penetration_margin",
            "gmm_weight",
            "doubt",
            "exchange",
            "carried",
            "mirror",
            "strain",
        )
        _check_positive(self, [*zero, "kick_depth"], zero=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the record kept with a fit."""
        return asdict(self)
