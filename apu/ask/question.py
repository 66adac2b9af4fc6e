"""What is asked of one pair: the cut-out that holds both people, and everything an asker may need."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from apu.ask.prompt import Prompt
from apu.types import ContactAnswer, PairObservation


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One pair, ready to be asked about.

    Attributes:
        image: file name of the photograph.
        crop: RGB cut-out that holds both people, at most as large as the asker was told.
        crop_box: xyxy of the cut-out in the photograph, pixels.
        boxes, keypoints: of both people, pixels of the photograph; person 0 is the left one.
        prompt: what the model is told. action: the data's own label, if any.
    """

    image: str
    crop: UInt8[np.ndarray, "height width 3"]
    crop_box: tuple[int, int, int, int]
    boxes: Float[np.ndarray, "2 4"]
    keypoints: Float[np.ndarray, "2 67 3"]
    prompt: Prompt
    action: str = ""

    @property
    def stem(self) -> str:
        """The photograph's name without folder and ending."""
        return PurePath(self.image).stem


Asker = Callable[[Question], ContactAnswer]
"""Anything that answers a question or raises `apu.errors.AnswerError`; a plain function will do."""


def question_of(
    observation: PairObservation,
    photograph: UInt8[np.ndarray, "height width 3"],
    prompt: Prompt,
    *,
    margin: float = 0.05,
    max_side: int = 1024,
) -> Question:
    """Cut the smallest box that holds both people out of the photograph.

    Args:
        observation: the pair.
        photograph: RGB, all of it.
        prompt: what a model will be told.
        margin: added on every side, as a fraction of the box's longer side; never beyond the photograph.
        max_side: larger cut-outs are reduced to this many pixels; it bounds what a question costs.
    """
    box = crop_box(observation.boxes, photograph.shape[1], photograph.shape[0], margin=margin)
    x0, y0, x1, y1 = box
    return Question(
        image=observation.image,
        crop=_reduced(photograph[y0:y1, x0:x1], max_side),
        crop_box=box,
        boxes=observation.boxes,
        keypoints=observation.keypoints,
        prompt=prompt,
        action=observation.action,
    )


def crop_box(
    boxes: Float[np.ndarray, "people 4"], width: int, height: int, *, margin: float = 0.05
) -> tuple[int, int, int, int]:
    """Smallest box (xyxy, whole pixels) around all boxes, widened by `margin` of its longer side, within the image."""
    x0, y0 = boxes[:, :2].min(axis=0)
    x1, y1 = boxes[:, 2:].max(axis=0)
    extra = margin * max(x1 - x0, y1 - y0)
    left, right = np.clip([np.floor(x0 - extra), np.ceil(x1 + extra)], 0, width).astype(int)
    top, bottom = np.clip([np.floor(y0 - extra), np.ceil(y1 + extra)], 0, height).astype(int)
    if right <= left or bottom <= top:
        raise ValueError(f"boxes must overlap the image of {width} x {height}, got {boxes.tolist()}")
    return int(left), int(top), int(right), int(bottom)


def data_url(rgb: UInt8[np.ndarray, "height width 3"], *, quality: int = 90) -> str:
    """A picture as a ``data:`` URL (JPEG), so that no server ever fetches an address of ours."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _reduced(rgb: np.ndarray, max_side: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(rgb))
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.asarray(image)
