"""The method on one page (APU, figure 2): propose, ask, denoise, unite, filter.

The review app runs the same steps one by one, with people in between (`app.steps`); this is the whole of them for
programs that work without a workspace.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from apu import denoise as denoiser
from apu.ask import Asker, load_prompt, question_of
from apu.body.model import BodyModel
from apu.fan import fit_likeliest
from apu.fit import FitOptions, FitProgress, fit_pair
from apu.formats.match import trusted_keypoints
from apu.formats.people import People
from apu.propose import ProposeOptions, propose
from apu.types import BodyParams, Contact, ContactAnswer, FitResult, PairObservation


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """One pair from photograph to meshes.

    Attributes:
        answer: what the asker said. checks: what the keypoints say of its sides. fit: of the reading of the answer that
            stands best once it is fitted (`apu.fan`); `.kept` is the filter's verdict.
    """

    observation: PairObservation
    answer: ContactAnswer
    checks: tuple[denoiser.SideCheck, ...]
    fit: FitResult


def reconstruct(
    photograph: UInt8[np.ndarray, "height width 3"],
    people: People,
    asker: Asker,
    body: BodyModel,
    *,
    image: str,
    action: str = "",
    propose_options: ProposeOptions | None = None,
    fit_options: FitOptions | None = None,
) -> Iterator[Reconstruction]:
    """Meshes of every pair of people in contact in one photograph.

    Args:
        photograph: RGB. people: its keypoints, first meshes and camera (`apu.formats.people.read_people`).
        asker: where do they touch? body: to fit. image: file name. action: the data's own label, if any.

    Raises:
        AnswerError: the asker gave no usable answer. FitError: a pair cannot be fitted.
    """
    prompt = load_prompt()
    proposals = propose(
        people.keypoints, people.estimate, people.camera, image=image, action=action, options=propose_options
    )
    for pair in proposals.pairs:
        answer = asker(question_of(pair, photograph, prompt))
        reading, fit = fit_likeliest(pair, answer.contacts, body, exchange=True, options=fit_options)
        contacts = tuple(c.swapped for c in answer.contacts) if reading.exchanged else answer.contacts
        checks = denoiser.denoise(contacts, pair)
        yield Reconstruction(observation=pair, answer=answer, checks=checks, fit=fit)


def unite(
    pair: PairObservation,
    contacts: tuple[Contact, ...],
    body: BodyModel,
    *,
    options: FitOptions | None = None,
    start: BodyParams | None = None,
    before: Sequence[Contact] = (),
    progress: Callable[[FitProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit a pair to contacts weighed by the keypoints (W of the soft contact loss); from `start` on, a warm refit.

    `before` are the contacts of that earlier fit (`apu.fit.fit_pair`).
    """
    weighed = denoiser.weigh(contacts, trusted_keypoints(pair))
    return fit_pair(
        pair, weighed, body, options=options, start=start, before=before, progress=progress, cancelled=cancelled
    )
