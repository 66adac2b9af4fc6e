"""How wrong the simulated detectors, estimators and models are: every number, its unit, and where it comes from.

The mixture is frozen; docs/noise.md says what each number rests on and how `apu.synth.calibrate` measures the whole.
Lengths in the image are units of a person whose larger side is 512 ("units"), as in the 512-scaled error.
"""

from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

_Numbers = TypeVar("_Numbers", "DetectorNoise", "EstimatorNoise", "AnswerNoise")


@dataclass(frozen=True, kw_only=True)
class DetectorNoise:
    """A 2D keypoint detector. Probabilities are per keypoint of the body; a hand goes where its wrist goes.

    Attributes:
        seen, hidden: standard deviation per image axis of visible and of hidden keypoints, units.
        bias: standard deviation of an offset per person and body keypoint that no confidence tells of, as a share of
            how far COCO's annotators lie apart on that keypoint.
        lost_seen, lost_hidden: share of them that is not detected at all.
        outlier_seen, outlier_hidden: share that lies elsewhere: on the person's other side, on the other person, or,
            as often as those together, anywhere.
        reach: scale of the heavy-tailed (Student, 2 degrees of freedom) distance of the last kind, units.
        swapped_limb: chance that an arm or a leg with a hidden keypoint exchanges left and right; a third of it where
            all is seen. swapped_person: that a person does as a whole.
        clamped: share of the keypoints outside of the picture that come back on its border; the others are lost.
    """

    seen: float = 3.0
    hidden: float = 12.0
    bias: float = 0.55
    lost_seen: float = 0.01
    lost_hidden: float = 0.4
    outlier_seen: float = 0.01
    outlier_hidden: float = 0.06
    reach: float = 40.0
    swapped_limb: float = 0.04
    swapped_person: float = 0.01
    clamped: float = 0.5


@dataclass(frozen=True, kw_only=True)
class EstimatorNoise:
    """A regressor of meshes like BEV. First what visible keypoints hardly tell, then what they do.

    Attributes:
        depth: standard deviation of a person's distance, as a share of it; size goes with it, so that the image
            hardly changes.
        lean: of the trunk along the viewing direction, degrees.
        foreshortening: standard deviation of the error at which a limb's bone is seen to be shortened by perspective,
            as a share of its length. A bone across the view can so point 10 to 30 degrees towards the viewer or away.
        reversed: chance that such a bone points towards the viewer instead of away, or the other way round.
        hanging: how far (0 to 1) hidden joints go to those of a standing person.
        shape: of the first three betas, standard deviations of the shape space.
        offset: of both people together in the image, units per axis. place: of each by itself.
        turn: about the body's own vertical, degrees. joint: of every joint, any direction, degrees.
    """

    depth: float = 0.038
    lean: float = 7.0
    foreshortening: float = 0.09
    reversed: float = 0.35
    hanging: float = 0.8
    shape: float = 0.3
    offset: float = 6.0
    place: float = 7.0
    turn: float = 6.0
    joint: float = 1.5


@dataclass(frozen=True, kw_only=True)
class AnswerNoise:
    """A vision-language model that is asked for contacts.

    Attributes:
        mirrored: chance that one person's left and right are exchanged throughout the answer; half as much again for
            people who face the viewer, half of it for those who show their back.
        exchanged: chance that both sides of one contact are wrong; twice that where a part is hidden.
        one_side: chance that one of the two is.
        missed: share of the contacts left out; twice that where a part is hidden.
        invented: chance of a contact too many, between parts that are close in the image.
    """

    mirrored: float = 0.16
    exchanged: float = 0.08
    one_side: float = 0.04
    missed: float = 0.1
    invented: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Noise:
    """All that is wrong with an observation."""

    detector: DetectorNoise = field(default_factory=DetectorNoise)
    estimator: EstimatorNoise = field(default_factory=EstimatorNoise)
    answer: AnswerNoise = field(default_factory=AnswerNoise)


def without(numbers: _Numbers, *names: str) -> _Numbers:
    """The same with these numbers at zero; without names: all."""
    return replace(numbers, **dict.fromkeys(names or [f.name for f in fields(numbers)], 0.0))


NOISE = Noise()
"""The frozen mixture of the benchmark and the demo."""

EXACT = Noise(detector=without(NOISE.detector), estimator=without(NOISE.estimator), answer=without(NOISE.answer))
"""Nothing is wrong: detectors see through people, estimators and models tell the truth."""
