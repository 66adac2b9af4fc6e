"""The types every part of the program speaks; frames, units and orders are in docs/conventions.md.

All are immutable, keyword-only and hold numpy arrays. Two people are an axis P = 2, never two copies:
person 0 is the left one in the image, person 1 the right one. Lengths are metres, image places pixels,
angles radians; three-dimensional places are in the camera's frame (OpenCV: x right, y down, z forward).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

NUM_BETAS = 11
"""Shape coefficients: 10 of SMPL-X and the adult (0) to child (1) interpolation of SMPL-XA."""

BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip
"""OpenPose's 25 body keypoints in its order: the first 25 of `KEYPOINTS`."""

HAND_21 = (
    "wrist_root", "thumb1", "thumb2", "thumb3", "thumb_tip", "index1", "index2", "index3", "index_tip",
    "middle1", "middle2", "middle3", "middle_tip", "ring1", "ring2", "ring3", "ring_tip",
    "pinky1", "pinky2", "pinky3", "pinky_tip",
)  # fmt: skip

KEYPOINTS = BODY_25 + tuple(f"{side}_{name}" for side in ("left", "right") for name in HAND_21)
"""The keypoint axis of every observation: BODY_25, then 21 of the left and 21 of the right hand (67)."""

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
"""The 22 body joints that SMPL and SMPL-X share, in their common order."""


def mirror_name(name: str) -> str:
    """The other side's name: ``left_wrist`` <-> ``right_wrist``; names without a side stay."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


class Side(StrEnum):
    """A person's own side, never the viewer's."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"

    @property
    def flipped(self) -> "Side":
        """Left <-> right; both stays."""
        return {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(self, self)


@dataclass(frozen=True, kw_only=True)
class BodyPart:
    """One of the paper's 17 parts (`apu.body.parts.PARTS`) with the person's own side."""

    name: str
    side: Side = Side.BOTH

    @property
    def flipped(self) -> "BodyPart":
        """The same part on the other side."""
        return replace(self, side=self.side.flipped)

    def __str__(self) -> str:
        return self.name if self.side is Side.BOTH else f"{self.side} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A part of person 0 touching a part of person 1.

    Attributes:
        parts: (of person 0, of person 1).
        confidence: what the source claims, 0 to 1.
        weight: W_ij of the soft contact loss (APU eq. 1); set by `apu.denoise.weigh`.
        source: who says so: ``"model"``, ``"denoiser"``, ``"curator"``, ``"keypoints"``.
    """

    parts: tuple[BodyPart, BodyPart]
    confidence: float = 1.0
    weight: float = 1.0
    source: str = "model"

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must lie in [0, 1], got {self.confidence}")
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight must be finite and >= 0, got {self.weight}")

    @property
    def flipped(self) -> "Contact":
        """Both sides exchanged: (L, R) <-> (R, L), (L, L) <-> (R, R)."""
        return replace(self, parts=(self.parts[0].flipped, self.parts[1].flipped))

    @property
    def swapped(self) -> "Contact":
        """The two people exchanged."""
        return replace(self, parts=self.parts[::-1])


@dataclass(frozen=True, kw_only=True)
class ContactAnswer:
    """What a model said of one pair; a failure is an `AnswerError`, never an empty answer.

    Attributes:
        interaction, orientation: the model's words.
        people: its description of (person 0, person 1).
        contacts: as the model stated them, before any correction.
        raw: its text, unchanged. model, prompt_id: who was asked, and with which prompt.
        usage: token counts as the server gave them. seconds: duration of the request.
        asked_at: UTC, ISO 8601. simulated: made by this program, not by a model that saw a photograph.
    """

    interaction: str
    people: tuple[str, str]
    orientation: str
    contacts: tuple[Contact, ...]
    raw: str
    model: str
    prompt_id: str
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    asked_at: str = ""
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pinhole camera without distortion, OpenCV axes.

    Attributes:
        K: intrinsics in pixels. width, height: of the image, pixels.
    """

    K: Float[np.ndarray, "3 3"]
    width: int
    height: int

    @classmethod
    def of_image(cls, width: int, height: int, *, focal: float | None = None) -> "Camera":
        """BEV's camera: 60 degrees over the longer side, f = max(w, h) / (2 tan 30°), centred."""
        if width <= 0 or height <= 0:
            raise ValueError(f"image size must be positive, got {width} x {height}")
        f = max(width, height) / 2 / np.tan(np.radians(30)) if focal is None else focal
        if not (np.isfinite(f) and f > 0):
            raise ValueError(f"focal length must be positive and finite, got {f}")
        return cls(K=np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]]), width=width, height=height)


@dataclass(frozen=True, kw_only=True)
class BodyParams:
    """SMPL-X parameters of P people in the camera's frame.

    Attributes:
        global_orient: rotation of the root, axis-angle. body_pose: the 21 body joints after the root, axis-angle.
        betas: shape; the last is adult (0) to child (1). transl: added after posing, metres.
        hand_pose: 15 + 15 finger joints as axis-angle offsets from the model's mean hand; zeros: relaxed hands.
    """

    global_orient: Float[np.ndarray, "people 3"]
    body_pose: Float[np.ndarray, "people 21 3"]
    betas: Float[np.ndarray, "people 11"]
    transl: Float[np.ndarray, "people 3"]
    hand_pose: Float[np.ndarray, "people 30 3"] = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.hand_pose is None:
            object.__setattr__(self, "hand_pose", np.zeros((len(self.transl), 30, 3), np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields by name, for files."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def take(self, order: Sequence[int]) -> "BodyParams":
        """The people of `order`, in that order."""
        return replace(self, **{name: array[list(order)] for name, array in self.arrays().items()})

    @property
    def finite(self) -> bool:
        """No NaN and no infinity anywhere."""
        return all(bool(np.isfinite(a).all()) for a in self.arrays().values())


@dataclass(frozen=True, kw_only=True)
class MeshEstimate:
    """An estimator's first guess of P people (BEV, ROMP, ...), in its own body's shape space.

    Shape spaces differ, so shape is carried over through `joints` (SMPL's first 22, camera frame, metres);
    `betas` apply only where `body` is the body of the fit.

    Attributes:
        valid: people for whom there is an estimate; the rows of the others are zero.
        body: the estimator's body model, e.g. ``"smpl"``. source: e.g. ``"bev"``.
    """

    global_orient: Float[np.ndarray, "people 3"]
    body_pose: Float[np.ndarray, "people 21 3"]
    betas: Float[np.ndarray, "people 11"]
    joints: Float[np.ndarray, "people 22 3"]
    valid: Bool[np.ndarray, "people"]
    body: str = "smpl"
    source: str = "bev"

    def take(self, order: Sequence[int]) -> "MeshEstimate":
        """The people of `order`; -1 gives a person without an estimate."""
        index = np.asarray(order, int)
        found = index >= 0
        arrays = {}
        for name in ("global_orient", "body_pose", "betas", "joints", "valid"):
            source = getattr(self, name)
            arrays[name] = np.zeros((len(index), *source.shape[1:]), source.dtype)
            arrays[name][found] = source[index[found]]
        return replace(self, **arrays)


@dataclass(frozen=True, kw_only=True)
class PairObservation:
    """Everything known of one pair of people before a fit.

    Attributes:
        image: the photograph's file name. boxes: xyxy, pixels.
        keypoints: `KEYPOINTS` as (x px, y px, confidence 0..1); confidence 0: not detected.
        estimate: first guess of the meshes, same people. action: the data's own label, if any.
        source: data set. simulated: the picture was rendered and its detections drawn by this program.
    """

    image: str
    camera: Camera
    boxes: Float[np.ndarray, "people 4"]
    keypoints: Float[np.ndarray, "people 67 3"]
    estimate: MeshEstimate
    action: str = ""
    source: str = ""
    simulated: bool = False

    def swapped(self) -> "PairObservation":
        """The same pair with the people exchanged (the inverse of the left-to-right rule; for tests and symmetry)."""
        return replace(
            self, boxes=self.boxes[::-1], keypoints=self.keypoints[::-1], estimate=self.estimate.take([1, 0])
        )


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Two fitted bodies and what is known about how good they are.

    Attributes:
        params: the fitted parameters. start: those the fit began with.
        contacts: the ones used, people as in the observation. swapped: the answer's people were exchanged for this fit
            (smaller L_C).
        gaps_m: smallest distance between the two parts' regions, per contact, metres.
        reprojection_512, reprojection_px: mean distance of confident keypoints per person, left and right as the fit
            took them; 512: as if the larger side of the person's box were 512 pixels.
        max_penetration_m, mean_penetration_m: deepest and mean depth of the vertices inside the other body.
        kept: the automatic filter's verdict (reprojection_512 below the limit for both).
        terms: objective terms by name, one value per step and last that of the result. stop: why the optimiser stopped,
            whose keypoints it took with left and right exchanged, and where only one person has a floor.
        seconds, iterations, device, body, seed: how it was made. options: `FitOptions` as plain values.
    """

    params: BodyParams
    start: BodyParams
    contacts: tuple[Contact, ...]
    swapped: bool
    gaps_m: Float[np.ndarray, "contacts"]
    reprojection_512: Float[np.ndarray, "people"]
    reprojection_px: Float[np.ndarray, "people"]
    max_penetration_m: float
    mean_penetration_m: float
    kept: bool
    terms: Mapping[str, Sequence[float]]
    stop: str
    seconds: float
    iterations: int
    device: str
    body: str
    seed: int
    options: Mapping[str, Any]

    @property
    def max_gap_m(self) -> float:
        """The largest contact gap in metres; 0 without contacts."""
        return float(self.gaps_m.max(initial=0.0))

    @property
    def objective(self) -> float:
        """Where the fit's objective ended, the sum of its terms."""
        return sum(values[-1] for values in self.terms.values())


class Verdict(StrEnum):
    """A curator's decision on a pair."""

    ACCEPT = "accept"
    REJECT = "reject"
    FLAG = "flag"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict, by whom, on which fit, and why."""

    verdict: Verdict
    curator: str
    fit_id: int | None = None
    reason: str = ""
    note: str = ""
