"""What an export takes, and in which form."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from apu.errors import InputError
from review_db.exports.weights import TrainingWeights
from review_db.records import PairFilter, PairState


class Form(StrEnum):
    """The layouts that can be written; `docs/export.md` says what is in each."""

    APU = "apu"
    SMPLX = "smplx"
    AMASS = "amass"
    PARQUET = "parquet"
    WEBDATASET = "webdataset"
    COCO = "coco"
    FLICKRCI3D = "flickrci3d"
    GLB = "glb"
    CSV = "csv"
    TRAINING = "training"


NEED_FIT = frozenset({Form.SMPLX, Form.AMASS, Form.FLICKRCI3D, Form.GLB, Form.TRAINING})
"""Forms that consist of the fit: pairs without one cannot be in them."""

WITH_IMAGES = frozenset({Form.APU, Form.PARQUET, Form.WEBDATASET, Form.COCO, Form.FLICKRCI3D})
"""Forms that have a place for the photographs."""

ACCEPTED = PairFilter(states=frozenset({PairState.ACCEPTED}))

QUESTIONS = MappingProxyType(
    {
        "purpose": "For what purpose was the dataset created?",
        "creators": "Who created this dataset?",
        "funding": "Who funded the creation of the dataset?",
        "compensation": "Who was involved in the data collection, and how were they compensated?",
        "ethics": "Were any ethical review processes conducted?",
        "consent": "Were the people in the images notified, and did they consent to the collection and use?",
        "offensive": "Does the dataset contain data that might be offensive, insulting or threatening?",
        "sensitive": "Does the dataset contain data that might be considered sensitive in any way?",
        "impact": "Has an analysis of the potential impact on data subjects been conducted?",
        "channel": "To whom, how and when will the dataset be distributed?",
        "licence": "Under which licence or terms of use will the dataset be distributed?",
        "restrictions": "Have third parties imposed restrictions on the data, e.g. on the photographs?",
        "regulation": "Do any export controls or other regulatory restrictions apply?",
        "used": "Has the dataset been used for any tasks already?",
        "papers": "Is there a repository that links to papers or systems that use the dataset?",
        "contact": "Who maintains the dataset, and how can they be contacted?",
        "erratum": "Is there an erratum?",
        "updates": "Will the dataset be updated, and how are updates communicated?",
        "older": "Will older versions continue to be maintained?",
    }
)
"""Questions of the datasheet that no database can answer, by the name under which `about` answers them."""

_SPLIT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Which pairs, in which form.

    Attributes:
        form: the layout. where: which pairs.
        splits: shares by name, together 1; every photograph (by its content) falls into one of them, always the same
            for the same shares. Empty: no splits.
        images: with the photographs, in the forms of `WITH_IMAGES`.
        pseudonyms: curators under pseudonyms that are the same in every export of this workspace.
        unfitted: pairs without a fit too, in forms that do not consist of it.
        weights: of the pairs, in the form for training.
        about: answers to `QUESTIONS`, for the dataset card.
    """

    form: Form = Form.APU
    where: PairFilter = ACCEPTED
    splits: Mapping[str, float] = field(default_factory=dict)
    images: bool = False
    pseudonyms: bool = False
    unfitted: bool = False
    weights: TrainingWeights = field(default_factory=TrainingWeights)
    about: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_splits(self.splits)
        if unknown := self.about.keys() - QUESTIONS.keys():
            raise ValueError(f"about must answer {', '.join(QUESTIONS)}; got {', '.join(sorted(unknown))}")
        if self.images and self.form not in WITH_IMAGES:
            raise ValueError(f"the form {self.form} has no place for photographs; {_names(WITH_IMAGES)} have")
        if self.unfitted and self.form in NEED_FIT:
            raise ValueError(f"the form {self.form} consists of fits; pairs without one cannot be in it")

    def settings(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        where = {each.name: getattr(self.where, each.name) for each in fields(self.where)}
        where = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in where.items()}
        weights = {"weights": asdict(self.weights)} if self.form is Form.TRAINING else {}
        return weights | {
            "form": self.form.value,
            "where": {name: value for name, value in where.items() if value not in (None, "")},
            "splits": dict(self.splits),
            "images": self.images,
            "pseudonyms": self.pseudonyms,
            "unfitted": self.unfitted,
        }


def check_splits(splits: Mapping[str, float]) -> None:
    """Refuse shares that are no partition.

    Raises:
        ValueError: a name that is no file name, a share that is not positive, or a sum that is not 1.
    """
    for name, share in splits.items():
        if not _SPLIT_NAME.fullmatch(name):
            raise ValueError(f"a split's name must be lower-case letters and digits, got {name!r}")
        if not share > 0:
            raise ValueError(f"the share of the split {name} must be above 0, got {share}")
    if splits and not abs(sum(splits.values()) - 1) < 1e-6:
        raise ValueError(f"the shares of the splits must add up to 1, got {sum(splits.values()):g}")


def parse_splits(text: str) -> Mapping[str, float]:
    """The shares of a text such as ``train=0.8,val=0.1,test=0.1``; an empty text gives none.

    Raises:
        InputError: it says something else.
    """
    try:
        named = [part.split("=") for part in text.split(",")] if text.strip() else []
        splits = {name.strip(): float(share) for name, share in named}
        if len(splits) < len(named):
            raise ValueError("a name occurs twice")
        check_splits(splits)
    except ValueError as error:
        raise InputError(f"--split {text!r} is not like train=0.8,val=0.1,test=0.1: {error}") from error
    return splits


def split_of(sha256: str, splits: Mapping[str, float]) -> str:
    """The split of a photograph, decided by its content alone; "" without splits.

    The first 52 bits of the hash are a number in [0, 1), which lies in one of the shares laid end to end: images that
    come later change nothing for the others.
    """
    place, end = int(sha256[:13], 16) / 16**13, 0.0
    for name, share in splits.items():
        end += share
        if place < end:
            return name
    return list(splits)[-1] if splits else ""


def _names(forms: frozenset[Form]) -> str:
    return ", ".join(form for form in Form if form in forms)
