"""Stage 1, propose: the pairs of people who are close enough to touch, and why the others are not (APU, section 3)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from apu.camera import project
from apu.formats.match import border_mask, drop_duplicates, mesh_distance, person_size
from apu.types import KEYPOINTS, Camera, MeshEstimate, PairObservation

_SHOULDERS = [KEYPOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
_HIPS = [KEYPOINTS.index(f"{side}_hip") for side in ("left", "right")]
_SHORTEST_TORSO = 0.25


@dataclass(frozen=True, kw_only=True)
class ProposeOptions:
    """When two people are a candidate. The paper names the rules but no numbers; these are this program's.

    Attributes:
        min_confidence: a keypoint is valid from here on, if it is not at the image border.
        min_keypoints: valid keypoints that a person needs; fewer cannot hold a fit.
        min_close: k, valid keypoints of the two, counted together, that have one of the other person within reach;
            2 is a single touching place.
        reach: d, in torso lengths (mean of the two; about half a metre on an adult): a hand that touches a back lies
            that far from the nearest keypoint.
        mesh_error: a mesh whose joints lie further from the keypoints on average, in units of the person's size, is
            not used and the fit starts from the keypoints. Right ones reach 0.1 on photographs, wrong ones 0.3.
    """

    min_confidence: float = 0.3
    min_keypoints: int = 6
    min_close: int = 2
    reach: float = 0.6
    mesh_error: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.min_confidence <= 1:
            raise ValueError(f"min_confidence must lie in (0, 1], got {self.min_confidence}")
        if self.min_keypoints < 1 or self.min_close < 1:
            raise ValueError(f"min_keypoints and min_close must be >= 1, got {self.min_keypoints}, {self.min_close}")
        if not (np.isfinite(self.reach) and self.reach > 0 and np.isfinite(self.mesh_error) and self.mesh_error > 0):
            raise ValueError(f"reach and mesh_error must be positive, got {self.reach}, {self.mesh_error}")


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What a rule took out.

    Attributes:
        people: indices in the input, one person or two. rule: ``"keypoints"``, ``"duplicate"``, ``"mesh"`` (only the
            person's mesh is dropped) or ``"distance"``. reason: one sentence.
    """

    people: tuple[int, ...]
    rule: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The candidates of one image, from left to right."""

    pairs: tuple[PairObservation, ...]
    dropped: tuple[Dropped, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many pairs were kept, and how many people, meshes and pairs each rule dropped."""
        return {"kept": len(self.pairs), **Counter(d.rule for d in self.dropped)}


def propose(
    keypoints: Float[np.ndarray, "people 67 3"],
    estimate: MeshEstimate,
    camera: Camera,
    *,
    image: str,
    action: str = "",
    source: str = "",
    options: ProposeOptions | None = None,
) -> Proposals:
    """All pairs of people of one image with enough valid keypoints within reach of each other.

    Args:
        keypoints: `KEYPOINTS` as (x px, y px, confidence).
        estimate: the same people's meshes, where valid.
        camera: of the image.
        image: file name.
        action: the data's own label, if any.
        source: data set.
        options: the rules' numbers.

    Returns:
        Pairs with the left person first (centre of the box of confident keypoints), and what was dropped. The order
        of the people in the input changes nothing but the indices in `dropped`.
    """
    options = options or ProposeOptions()
    if len(keypoints) != len(estimate.valid):
        raise ValueError(f"estimate must have the keypoints' {len(keypoints)} people, got {len(estimate.valid)}")
    confident = keypoints[..., 2] >= options.min_confidence
    valid = confident & ~border_mask(keypoints, camera.width, camera.height)
    dropped: list[Dropped] = []
    people = _usable(keypoints, valid, options, dropped)
    estimate = _agreeing(people, keypoints, valid, estimate, camera, options, dropped)

    boxes = np.zeros((len(keypoints), 4), np.float32)
    for i in people:
        boxes[i] = _box(keypoints[i, confident[i], :2], camera)
    # Ties of the centre are broken by the rest of the box, never by the order of the file.
    people.sort(key=lambda i: (boxes[i, 0] + boxes[i, 2], *boxes[i].tolist()))
    pairs = []
    for pair in combinations(people, 2):
        close, reach = _closeness(keypoints[list(pair)], valid[list(pair)], options)
        if close < options.min_close:
            sentence = (
                f"{_names(pair)} of {image} have {close} keypoints within {reach:.0f} px ({options.reach:g} torso "
                f"lengths) of each other, fewer than {options.min_close}"
            )
            dropped.append(Dropped(people=pair, rule="distance", reason=sentence))
            continue
        pairs.append(
            PairObservation(
                image=image,
                camera=camera,
                boxes=boxes[list(pair)],
                keypoints=keypoints[list(pair)],
                estimate=estimate.take(pair),
                action=action,
                source=source,
            )
        )
    return Proposals(pairs=tuple(pairs), dropped=tuple(dropped))


def torso_length(person: Float[np.ndarray, "67 3"], valid: Bool[np.ndarray, "67"]) -> float:
    """Pixels from the middle of the shoulders to the middle of the hips.

    One of each is enough. A torso that is not seen, or seen from its end, counts as a quarter of the person's size
    (an upright adult's is 0.29 of the height).
    """
    fallback = _SHORTEST_TORSO * person_size(np.where(valid[:, None], person, 0.0))
    shoulders, hips = (person[[j for j in side if valid[j]], :2] for side in (_SHOULDERS, _HIPS))
    if len(shoulders) == 0 or len(hips) == 0:
        return fallback
    return max(float(np.linalg.norm(shoulders.mean(axis=0) - hips.mean(axis=0))), fallback)


def _usable(
    keypoints: Float[np.ndarray, "people 67 3"],
    valid: Bool[np.ndarray, "people 67"],
    options: ProposeOptions,
    dropped: list[Dropped],
) -> list[int]:
    """People with enough valid keypoints, each once."""
    counts = valid.sum(axis=1)
    for i in np.flatnonzero(counts < options.min_keypoints):
        sentence = f"person {i + 1} has {counts[i]} valid keypoints, fewer than {options.min_keypoints}"
        dropped.append(Dropped(people=(int(i),), rule="keypoints", reason=sentence))
    enough = np.flatnonzero(counts >= options.min_keypoints)
    kept = enough[drop_duplicates(keypoints[enough])]
    for i in np.setdiff1d(enough, kept):
        sentence = f"person {i + 1} is a second detection of another person"
        dropped.append(Dropped(people=(int(i),), rule="duplicate", reason=sentence))
    return kept.tolist()


def _agreeing(
    people: list[int],
    keypoints: Float[np.ndarray, "people 67 3"],
    valid: Bool[np.ndarray, "people 67"],
    estimate: MeshEstimate,
    camera: Camera,
    options: ProposeOptions,
    dropped: list[Dropped],
) -> MeshEstimate:
    """The estimate without the meshes that contradict the keypoints."""
    trusted = np.where(valid[..., None], keypoints, 0.0)
    points = project(estimate.joints, camera)
    agrees = estimate.valid.copy()
    for i in (i for i in people if estimate.valid[i]):
        error = mesh_distance(trusted[i], points[i])
        if error > options.mesh_error:
            agrees[i] = False
            sentence = (
                f"the mesh of person {i + 1} lies {error:.2f} of the person's size from the keypoints, more than "
                f"{options.mesh_error:g}; the fit starts from the keypoints"
            )
            dropped.append(Dropped(people=(i,), rule="mesh", reason=sentence))
    return replace(estimate, valid=agrees).take(np.where(agrees, np.arange(len(agrees)), -1).tolist())


def _closeness(
    keypoints: Float[np.ndarray, "2 67 3"], valid: Bool[np.ndarray, "2 67"], options: ProposeOptions
) -> tuple[int, float]:
    """How many valid keypoints of the two have one of the other within reach, and the reach in pixels."""
    reach = options.reach * (torso_length(keypoints[0], valid[0]) + torso_length(keypoints[1], valid[1])) / 2
    a, b = (keypoints[p, valid[p], :2] for p in (0, 1))
    near = np.linalg.norm(a[:, None] - b[None], axis=-1) <= reach
    return int(near.any(axis=1).sum() + near.any(axis=0).sum()), reach


def _box(places: Float[np.ndarray, "seen 2"], camera: Camera) -> Float[np.ndarray, "4"]:
    """The smallest box of these places, inside the image: xyxy, pixels."""
    size = np.array([camera.width, camera.height], np.float32)
    return np.concatenate([places.min(axis=0).clip(0, size), places.max(axis=0).clip(0, size)])


def _names(pair: tuple[int, ...]) -> str:
    return f"persons {pair[0] + 1} and {pair[1] + 1}"
