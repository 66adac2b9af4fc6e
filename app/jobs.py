"""A fit, or a fan of them, as the page, the worker and the command line ask for it: read, weigh, fit, store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite

from apu.body.model import BodyModel
from apu.denoise import weigh
from apu.errors import FitError
from apu.fan import Claim, Reading, fit_likeliest, readings, score
from apu.fit import FitOptions, FitProgress, fit_pairs, lies_closer_exchanged
from apu.formats.match import trusted_keypoints
from apu.pipeline import unite
from apu.types import BodyParams, FitResult
from review_db import Alternative, FitRecord, PairRecord, SheetContact, Swap, TakeReading, Workspace
from review_db.edits import PROGRAM, apply


def run_fit(
    workspace: Workspace,
    pair: int,
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    start: BodyParams | None = None,
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
        start: where to go on from (a warm refit).
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
        record.observation, record.sheet.active, body, options=options, start=start,
        before=record.fits[-1].contacts if record.fits else (), progress=progress, cancelled=cancelled,
    )  # fmt: skip
    _check_measured(result, record.image.name)
    return workspace.add_fit(
        pair,
        replace(result, swapped=exchanged),
        revision=record.sheet.revision,
        curator=curator,
        job=job,
        worker=worker,
    )


def run_likeliest(workspace: Workspace, pair: int, body: BodyModel, *, exchange: bool = False) -> int:
    """Fit the likeliest readings of contacts that nobody has judged, let the best one stand, and store its fit.

    Args:
        exchange: as `apu.fan.fit_likeliest`. Others, what is returned and errors as `run_fit`.
    """
    record = workspace.pair(pair)
    lines = _lines(record)
    reading, fit = fit_likeliest(record.observation, [line.contact for line in lines], body, exchange=exchange)
    _check_measured(fit, record.image.name)
    edit, revision = reading_edit(reading, lines), record.sheet.revision
    if edit:
        revision = workspace.edit_contacts(pair, edit, curator=PROGRAM, revision=revision).revision
    return workspace.add_fit(pair, fit, revision=revision)


def last_fit(record: PairRecord, body: BodyModel) -> FitRecord | None:
    """The latest fit of a pair where a warm refit goes on from; None where it has to begin afresh.

    A fit by another body has other parameters. One without contacts says too little of where people who touch are, and
    one with contacts has limbs where no keypoint asks for them.
    """
    last = record.fits[-1] if record.fits else None
    if last is None or last.body != body.name:
        return None
    return last if any(c.weight > 0 for c in last.contacts) and record.sheet.active else None


def run_fan(
    workspace: Workspace,
    pair: int,
    body: BodyModel,
    *,
    curator: str,
    job: int | None = None,
    worker: str = "",
    threads: int = 1,
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """Fit the likeliest readings of a pair's contacts as one batch, store them ranked, and give the fan's id.

    Each is fitted to exactly the contacts that the pair has once somebody takes that reading, and from its own start,
    so that none is favoured by the fit of another.

    Args:
        curator: in whose name a reading will be taken. threads: of a CPU. Others as `run_fit`.

    Raises:
        FitError: nothing is in doubt, or nothing could be fitted. StoreError, ValueError: as `run_fit`.
    """
    record = workspace.pair(pair)
    lines = _lines(record)
    claims = [Claim(contact=line.contact, settled=line.edited_by not in ("", PROGRAM)) for line in lines]
    found = readings(claims, record.observation)
    if len(found) == 1:
        raise FitError(_nothing_doubted(lines))
    edits = [reading_edit(reading, lines) for reading in found]
    sheets = [apply(record.sheet, edit, curator=curator, answers={}) if edit else record.sheet for edit in edits]
    keypoints = trusted_keypoints(record.observation)
    contacts = [weigh(sheet.active, keypoints) for sheet in sheets]
    fits = fit_pairs(
        [record.observation] * len(found), contacts, body, threads=threads, progress=progress, cancelled=cancelled
    )
    alternatives = [
        Alternative(
            edit=edit,
            words=reading.changes(claims) or "as it stands",
            probability=reading.probability,
            score=score(reading, fit),
            fit=fit,
        )
        for reading, edit, fit in zip(found, edits, fits, strict=True)
        if isinstance(fit, FitResult)
    ]
    if not alternatives:
        raise next(fit for fit in fits if isinstance(fit, FitError))
    for alternative in alternatives:
        _check_measured(alternative.fit, record.image.name)
    alternatives.sort(key=lambda alternative: -alternative.score)
    return workspace.fans.keep(pair, alternatives, sheet=record.sheet, job=job, worker=worker)


def _lines(record: PairRecord) -> list[SheetContact]:
    return [line for line in record.sheet.contacts if not line.dropped]


def reading_edit(reading: Reading, lines: Sequence[SheetContact]) -> TakeReading | None:
    """What makes the contacts of some lines those of a reading; None: they are."""
    flips, drops = [], []
    for line, contact in zip(lines, reading.contacts, strict=True):
        stated = line.contact.swapped if reading.exchanged else line.contact
        if contact is None:
            drops.append(line.id)
        elif contact.parts != stated.parts:
            a, b = (was != now for was, now in zip(stated.parts, contact.parts, strict=True))
            flips.append((line.id, a, b))
    if not (flips or drops or reading.exchanged):
        return None
    return TakeReading(exchanged=reading.exchanged, flips=tuple(flips), drops=tuple(drops))


def _nothing_doubted(lines: Sequence[SheetContact]) -> str:
    if not lines:
        return "there is no contact that could be otherwise; add one"
    return "somebody has judged every contact already; fit instead"


def _check_measured(fit: FitResult, image: str) -> None:
    for person, error in zip("AB", fit.reprojection_512, strict=True):
        if not isfinite(error):
            raise FitError(
                f"{image}: person {person} has no keypoint that is sure enough and inside the picture, so nobody can "
                "tell how good a fit is; check the detector's file"
            )
