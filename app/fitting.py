"""Fits and fans as the page asks for them and shows them: what is queued, who waits for what, what can be taken."""

from collections.abc import Sequence

from app.meshes import Meshes, Source
from app.screen import Json, figures, pictures_of, waits
from apu.errors import StoreError
from review_db import AlternativeRecord, FanRecord, JobRecord, PairSummary, Workspace

AHEAD = 3
"""Fans are prepared for so many pairs that come next."""

KINDS = ("fit", "fan")
_ALL = ("queued", "running", "done", "failed", "cancelled")


def start(workspace: Workspace, pair: int, *, curator: str, revision: int, afresh: bool = False) -> None:
    """Queue a fit, warm where there is something to go on from, instead of the curator's outdated ones of this pair."""
    options: Json = {"afresh": True} if afresh else {}
    same = (curator, revision, options, False)
    for job in workspace.jobs.list(pair=pair):
        if job.kind == "fit" and (job.curator, job.revision, dict(job.options), job.cancelling) == same:
            return
    workspace.jobs.queue("fit", pair, revision=revision, curator=curator, options=options, instead=True)


def start_fan(workspace: Workspace, pair: int, *, curator: str, revision: int) -> None:
    """Queue a fan, unless the pair has a good one."""
    if workspace.fans.get(pair) is None:
        workspace.jobs.queue("fan", pair, revision=revision, curator=curator)


def prepare(workspace: Workspace, pairs: Sequence[PairSummary], *, curator: str) -> None:
    """Queue fans for pairs that come next, behind everything that anybody asks for, and no longer for others."""
    wanted = {pair.id: pair.revision for pair in pairs if pair.contacts}
    for job in workspace.jobs.list(states=("queued",)):
        if job.prepared and job.curator == curator and job.pair not in wanted:
            workspace.jobs.cancel(job.id)
    for pair, revision in wanted.items():
        if workspace.fans.get(pair) is None and not _has_failed(workspace, pair, revision):
            workspace.jobs.queue("fan", pair, revision=revision, curator=curator, prepared=True)


def _has_failed(workspace: Workspace, pair: int, revision: int) -> bool:
    return any(
        job.kind == "fan" and job.revision == revision for job in workspace.jobs.list(pair=pair, states=("failed",))
    )


def cancel(workspace: Workspace, pair: int, *, asked_by: str | None = None) -> None:
    """Stop what was asked for on a pair, by one curator or (None) by anybody; what is prepared goes on.

    Raises:
        StoreError: only others have asked for something.
    """
    waited_for = [job for job in workspace.jobs.list(pair=pair) if job.kind in KINDS and not job.prepared]
    own = [job for job in waited_for if asked_by in (None, job.curator)]
    if waited_for and not own:
        raise StoreError(f"only {waited_for[0].curator}, who asked for this fit, or an admin stops it")
    for job in own:
        workspace.jobs.cancel(job.id)


def latest(workspace: Workspace, pair: int, kind: str) -> JobRecord | None:
    """The latest fit or fan that somebody asked for on a pair, in whatever state."""
    jobs = workspace.jobs.list(pair=pair, states=_ALL)
    return next((job for job in reversed(jobs) if job.kind == kind and not job.prepared), None)


def fan_screen(fan: FanRecord | None, job: JobRecord | None, ahead: Sequence[str], idle: str) -> Json:
    """The fan of a pair: its alternatives, the best first, or how far it is."""
    open_job = job if job and job.state in ("queued", "running") else None
    return {
        "id": fan.id if fan else None,
        "alternatives": [_alternative(fan, each, digit) for digit, each in enumerate(fan.alternatives, 1)]
        if fan
        else [],
        "running": open_job is not None,
        "fraction": open_job.progress.get("fraction", 0.0) if open_job else 0.0,
        "sentence": _fan_sentence(job, ahead, idle) if fan is None else "",
        "ahead": list(ahead),
    }


def _alternative(fan: FanRecord, each: AlternativeRecord, digit: int) -> Json:
    meshes = Meshes(pair=fan.pair, source=Source.FAN, number=each.id)
    return {
        "id": each.id,
        "digit": digit,
        "words": each.words,
        "stands": each.edit is None,
        "taken": each.id == fan.taken,
        "chance": round(100 * each.probability),
        "figures": figures(each.fit),
        **pictures_of(meshes),
    }


def _fan_sentence(job: JobRecord | None, ahead: Sequence[str], idle: str) -> str:
    if job is None:
        return ""
    return {
        "queued": waits(ahead, idle),
        "running": "Fitting the likeliest alternatives.",
        "failed": f"No alternatives: {job.error.rstrip('.')}.",
    }.get(job.state, "")
