"""A fit as the page, the worker and the command line ask for it: read the pair, weigh its contacts, fit, store."""

from collections.abc import Callable

from apu.body.model import BodyModel
from apu.denoise import weigh
from apu.fit import FitOptions, FitProgress, fit_pair
from apu.types import Contact
from review_db import PairRecord, Workspace

PROGRAMS = ("", "denoiser")
"""Names in a pair's history that are not a person's."""


def run_fit(
    workspace: Workspace,
    pair: int,
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    curator: str = "",
    job: int | None = None,
    worker: str = "",
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """Fit a pair to the contacts as they stand now and store the result; returns the fit's id.

    Once a curator has worked on the contacts, the two people stay as given; before that the fit may exchange them.

    Args:
        workspace: where the pair is.
        pair: its id.
        body: to fit; the fit runs on its device.
        options: None for the defaults.
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
    contacts = fit_contacts(record)
    options = options or FitOptions(assignment="given" if _people_confirmed(record) else "smaller")
    result = fit_pair(record.observation, contacts, body, options=options, progress=progress, cancelled=cancelled)
    return workspace.add_fit(pair, result, revision=record.sheet.revision, curator=curator, job=job, worker=worker)


def fit_contacts(record: PairRecord) -> tuple[Contact, ...]:
    """The pair's active contacts with the weights W that the fit gives them."""
    return weigh(record.sheet.active, record.observation.keypoints)


def _people_confirmed(record: PairRecord) -> bool:
    return any(entry.curator not in PROGRAMS and not entry.undone for entry in record.history)
