"""Names of the meshes and pictures that the page can ask the server for, and the part of the photograph it shows."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from apu.types import PairObservation

MARGIN = 0.08
"""The crop reaches this share of the people's box beyond it."""


class Source(StrEnum):
    """Which meshes: the first guess without a fit, a fit's start or result, a job's latest state, a fan's reading."""

    GUESS = "guess"
    START = "start"
    FIT = "fit"
    JOB = "job"
    FAN = "fan"


class Picture(StrEnum):
    """Over the photograph (transparent elsewhere), or from one side."""

    OVERLAY = "overlay"
    FRONT = "front"
    SIDE = "side"
    TOP = "top"


@dataclass(frozen=True, kw_only=True)
class Meshes:
    """Meshes that can be shown.

    Attributes:
        number: id of the fit, job or alternative; for the guess the revision of the contacts that light it up.
        step: tells the states of a running job apart.
    """

    pair: int
    source: Source
    number: int = 0
    step: int = 0

    @property
    def name(self) -> str:
        """For file names and for telling whether the page already shows them."""
        return f"{self.source}-{self.pair}-{self.number}"

    @property
    def url(self) -> str:
        """Where the server gives their pictures, without the picture's name."""
        return f"mesh/{self.pair}/{self.source}/{self.number}"

    @property
    def solid(self) -> str:
        """Where it gives their vertices, which do not change with what lights up."""
        return f"solid/{self.pair}/{self.source}/{0 if self.source is Source.GUESS else self.number}"


def crop_box(observation: PairObservation) -> tuple[int, int, int, int]:
    """Whole pixels, xyxy, of the smallest box that holds both people, with a margin, inside the image."""
    low, high = observation.boxes[:, :2].min(0), observation.boxes[:, 2:].max(0)
    margin = MARGIN * (high - low).max()
    size = np.array([observation.camera.width, observation.camera.height])
    low, high = np.floor(np.clip(low - margin, 0, size - 1)), np.ceil(np.clip(high + margin, 1, size))
    return int(low[0]), int(low[1]), int(max(high[0], low[0] + 1)), int(max(high[1], low[1] + 1))
