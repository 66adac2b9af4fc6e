"""The meshes of a study: what each method makes of a pair, made once and kept with the study."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import roma
import torch

from apu.body.model import BodyModel, load_body
from apu.errors import FitError
from apu.fit import initial_params, lies_closer_exchanged
from apu.pipeline import unite
from apu.types import BodyParams, Contact, Verdict
from review_db import PairRecord, Workspace
from review_db.studies import WRONG, Studies

_APART_M = 1.2


def make_meshes(workspace: Workspace, study: int, *, body_file: Path | None = None) -> Callable[[int], None]:
    """A function that makes the meshes a pair of a study lacks; the body is loaded when one is first needed.

    It raises FitError where a method has nothing to show, ValueError where there is no such pair.
    """
    studies = Studies(workspace.database)
    body = cache(lambda: load_body(body_file))

    def make(pair: int) -> None:
        record = workspace.pair(pair)
        for method in studies.wanted(study, pair):
            studies.add_mesh(study, pair, method, _params(method, workspace, record, body()), body().name)

    return make


def _params(method: str, workspace: Workspace, record: PairRecord, body: BodyModel) -> BodyParams:
    """What a method makes of a pair: one of this program's own, else the latest stored fit that names it."""
    if method in _METHODS:
        return _METHODS[method](workspace, record, body)
    fits = [fit for fit in record.fits if fit.options.get("method") == method]
    if not fits:
        raise FitError(f"{record.image.name} has no fit by the method {method!r}")
    return _stored(workspace, record, body, fits[-1].id, f"fit by {method!r}")


def _stored(workspace: Workspace, record: PairRecord, body: BodyModel, fit: int, what: str) -> BodyParams:
    result = workspace.fit(fit)
    if result.body != body.name:
        raise FitError(f"the {what} of {record.image.name} was made with another body ({result.body})")
    return result.params


def _start(workspace: Workspace, record: PairRecord, body: BodyModel) -> BodyParams:
    return initial_params(record.observation, body)


def _no_contacts(workspace: Workspace, record: PairRecord, body: BodyModel) -> BodyParams:
    return unite(record.observation, (), body).params


def _automatic(workspace: Workspace, record: PairRecord, body: BodyModel) -> BodyParams:
    """As nobody had looked: the standing answer with the denoiser's sides, people exchanged where that lies closer."""
    if record.answer is None:
        raise FitError(f"{record.image.name} has no answer, so there is no automatic fit of it")
    contacts = denoised(record)
    if lies_closer_exchanged(record.observation, contacts, body):
        contacts = tuple(contact.swapped for contact in contacts)
    return unite(record.observation, contacts, body).params


def denoised(record: PairRecord) -> tuple[Contact, ...]:
    """The standing answer's contacts on the sides that the denoiser suggests."""
    contacts = []
    for stated in record.answer.stated if record.answer else ():
        verdict, parts = stated.suggestion, stated.contact.parts
        if verdict and verdict.flipped:
            a, b = (part.flipped if flip else part for part, flip in zip(parts, verdict.flips, strict=True))
            parts = (a, b)
        contacts.append(replace(stated.contact, parts=parts))
    return tuple(contacts)


def _curated(workspace: Workspace, record: PairRecord, body: BodyModel) -> BodyParams:
    decision = record.decision.decision if record.decision else None
    fit = decision.fit_id if decision and decision.verdict is Verdict.ACCEPT else None
    if fit is None:
        raise FitError(f"{record.image.name} is not accepted, so there is no curated fit of it")
    return _stored(workspace, record, body, fit, "accepted fit")


def _wrong(workspace: Workspace, record: PairRecord, body: BodyModel) -> BodyParams:
    """The start with person B upside down and away from A: nobody who looks prefers it."""
    start = _start(workspace, record, body)
    turned = roma.rotvec_composition(
        (torch.tensor([0.0, 0.0, np.pi]), torch.from_numpy(start.global_orient[1].astype(np.float32)))
    )
    orient, moved = start.global_orient.copy(), start.transl.copy()
    orient[1] = turned.numpy()
    moved[1, 0] += _APART_M
    return replace(start, global_orient=orient, transl=moved)


_METHODS: dict[str, Callable[[Workspace, PairRecord, BodyModel], BodyParams]] = {
    "start": _start, "no contacts": _no_contacts, "automatic": _automatic, "curated": _curated, WRONG: _wrong,
}  # fmt: skip
