"""The paper's data file into a workspace: every pair measured as this program's own fits are, all of them or none."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from apu.ask.schema import parse_answer
from apu.body.model import BodyModel
from apu.body.regions import regions_of
from apu.errors import AnswerError, FormatError
from apu.fit import FitOptions
from apu.formats import PaperPair, read_paper
from apu.metrics import contact_gaps, penetration_depth, reprojection_error
from apu.types import (
    NUM_BETAS,
    SMPL_JOINTS,
    BodyParams,
    Camera,
    Contact,
    ContactAnswer,
    FitResult,
    MeshEstimate,
    PairObservation,
)
from review_db import ImageRecord, Workspace
from review_db.imports import Imported, NewPair, add_pairs

ASKER = "paper"
"""Who gave the answers of a data file."""


def take_paper(workspace: Workspace, path: Path, bodies: Callable[[str], BodyModel], *, fits: bool = True) -> Imported:
    """Add the pairs of the paper's data file to the workspace that holds their photographs.

    Args:
        workspace: the photographs are found in it by their names.
        path: as `apu.formats.read_paper` reads it.
        bodies: gives the body model that parameters are of; it measures them.
        fits: with the parameters; otherwise only observations and answers.

    Raises:
        InputError: the file cannot be read, or a row cannot be used: its photograph is not there, its answer is none,
            or its body model is not at hand. Nothing is added then, and the row is named.
        StoreError: the disk refuses.
    """
    images = defaultdict(list)
    for image in workspace.images():
        images[image.name].append(image)
    measure = _Measure(bodies) if fits else None
    pairs = []
    for row in read_paper(path):
        try:
            pairs.append(_pair(row, images[row.image], measure))
        except (AnswerError, ValueError) as error:
            raise FormatError(f"{path}: row {row.row} ({row.image[:80]}) cannot be used: {str(error)[:300]}") from error
    return add_pairs(workspace, pairs)


def _pair(row: PaperPair, images: Sequence[ImageRecord], measure: "_Measure | None") -> NewPair:
    if len(images) != 1:
        found = "no photograph" if not images else f"{len(images)} photographs"
        raise ValueError(f"{found} of this name in the workspace; import one first: apu import")
    (image,) = images
    camera = Camera.of_image(*image.size)
    observation = PairObservation(
        image=image.name,
        camera=camera if row.K is None else replace(camera, K=row.K),
        boxes=row.boxes,
        keypoints=row.keypoints,
        estimate=_NO_ESTIMATE,
        action=row.action or image.action,
        source=row.source or image.source,
        simulated=row.simulated,
    )
    answer = parse_answer(row.answer, model=ASKER, simulated=row.simulated) if row.answer.strip() else None
    contacts = answer.contacts if answer else ()
    fit = measure(row.params, row.body, observation, contacts) if row.params and measure else None
    return NewPair(image=image.id, observation=observation, answer=_named(answer, row), asker=ASKER, fit=fit)


def _named(answer: ContactAnswer | None, row: PaperPair) -> ContactAnswer | None:
    """The answer with the file's own word for the interaction, where it has one."""
    return replace(answer, interaction=row.interaction) if answer and row.interaction else answer


class _Measure:
    """Gives parameters the figures of a fit; no step is made."""

    def __init__(self, bodies: Callable[[str], BodyModel]) -> None:
        self._body, self._regions = cache(bodies), cache(regions_of)

    def __call__(
        self, params: BodyParams, name: str, observation: PairObservation, contacts: Sequence[Contact]
    ) -> FitResult:
        body, options = self._body(name), FitOptions()
        vertices = body.forward(params).vertices
        error_512, error_px = reprojection_error(
            body.keypoints(params), observation, min_confidence=options.min_confidence, border=options.border
        )
        if not (np.isfinite(error_512).all() and np.isfinite(vertices).all()):
            raise ValueError("its parameters cannot be measured: too few keypoints are sure, or a body is not finite")
        deepest, mean = penetration_depth(vertices, body.skin_faces)
        return FitResult(
            params=params,
            start=params,
            contacts=tuple(contacts),
            swapped=False,
            gaps_m=contact_gaps(vertices, tuple(contacts), self._regions(body)),
            reprojection_512=error_512,
            reprojection_px=error_px,
            max_penetration_m=deepest,
            mean_penetration_m=mean,
            kept=bool(np.all(error_512 < options.reprojection_limit)),
            terms={},
            stop="imported",
            seconds=0.0,
            iterations=0,
            device=str(body.device),
            body=body.name,
            seed=0,
            options={},
        )


_NO_ESTIMATE = MeshEstimate(
    global_orient=np.zeros((2, 3), np.float32),
    body_pose=np.zeros((2, 21, 3), np.float32),
    betas=np.zeros((2, NUM_BETAS), np.float32),
    joints=np.zeros((2, len(SMPL_JOINTS), 3), np.float32),
    valid=np.zeros(2, bool),
    source="",
)
