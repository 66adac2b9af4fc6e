"""A fit as the page, the worker and the command line ask for it: read the pair, weigh its contacts, fit, store."""

from collections.abc import Callable
from dataclasses import replace
from math import isfinite

from apu.body.model import BodyModel
from apu.errors import FitError
from apu.fit import FitOptions, FitProgress, lies_closer_exchanged
from apu.pipeline import unite
from review_db import Swap, Workspace
from review_db.edits import PROGRAM


def run_fit(
    workspace: Workspace,
    pair: int,
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    exchange: bool = False,
    curator: str = "",
    job: int | None = None,
    worker: str = "",
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """Fit a pair to the contacts as they stand now and store the result; returns the fit's id.

    Args:
        workspace: where the pair is.
        pair: its id.
        body: to fit; the fit runs on its device.
        options: None for the defaults.
        exchange: first exchange the two people, as an edit that shows in the history, where the contacts lie closer
            that way (see `apu.fit.lies_closer_exchanged`).
        curator: who asked for it; empty for the program.
        job: to be finished together with storing the fit.
        worker: who works on that job.
        progress: called after every step.
        cancelled: asked after every step.

    Raises:
        FitError: the pair cannot be fitted, or `cancelled` said so (`apu.fit.FitCancelled`).
        StoreError: the result cannot be stored. ValueError: there is no such pair.
    """
    record = workspace.pair(pair)
    exchanged = exchange and lies_closer_exchanged(record.observation, record.sheet.active, body)
    if exchanged:
        workspace.edit_contacts(pair, Swap(), curator=PROGRAM, revision=record.sheet.revision)
        record = workspace.pair(pair)
    result = unite(
        record.observation, record.sheet.active, body, options=options, progress=progress, cancelled=cancelled
    )
    for person, error in zip("AB", result.reprojection_512, strict=True):
        if not isfinite(error):
            raise FitError(
                f"{record.image.name}: person {person} has no keypoint that is sure enough and inside the picture, so "
                "nobody can tell how good a fit is; check the detector's file"
            )
    return workspace.add_fit(
        pair,
        replace(result, swapped=exchanged),
        revision=record.sheet.revision,
        curator=curator,
        job=job,
        worker=worker,
    )
