"""The steps of the command line as ordinary functions over a workspace: import, propose, ask, fit.

Each goes on past what cannot be used and says so; running a step again does only what is left to do.
"""

import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from app.jobs import run_fit, run_likeliest
from apu.ask import Asker, Question, ask_all, load_prompt, question_of
from apu.body.model import BodyModel, load_body
from apu.denoise import SideCheck, denoise
from apu.errors import AnswerError, ApuError, InputError
from apu.formats.folder import Skipped, gather
from apu.formats.images import read_image
from apu.formats.people import read_people
from apu.processes import processes
from apu.propose import ProposeOptions, propose
from apu.types import ContactAnswer, PairObservation
from review_db import ImageRecord, PairFilter, PairState, PairSummary, SetNote, Suggestion, Workspace
from review_db.edits import PROGRAM, Entry, Undo
from review_db.forget import without_image

SIMULATED = "simulated"
"""A source whose name begins with this word was made by a program; its pairs say so everywhere."""

_QUESTIONS_AT_ONCE = 64  # each holds its cut-out of the photograph in memory


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step did with one image or pair.

    Attributes:
        name: file name of the photograph. pair: id, where it is about one. done: something was added.
        notes: one sentence each of what could not be used, or why nothing was done.
    """

    name: str
    pair: int | None = None
    done: bool = True
    notes: tuple[str, ...] = ()


def import_folder(
    workspace: Workspace,
    images: Path,
    *,
    keypoints: Path | None = None,
    openpose: Path | None = None,
    meshes: Path | None = None,
    source: str = "",
    action: str = "",
    body: BodyModel | None = None,
) -> Iterator[Outcome]:
    """Copy photographs and their detectors' files into the workspace, one outcome per photograph.

    Args:
        workspace: to add to. images, keypoints, openpose, meshes, body: see `apu.formats.folder.gather`.
        source: data set. action: the data's own label for all of them.
    """
    gone = workspace.forgotten_in(images) if images.is_dir() else ()
    with _without(gone, keypoints) as kept:
        for found in gather(images, keypoints=kept, openpose=openpose, meshes=meshes, body=body):
            name = found.path.name
            if name in gone:
                note = f"{name} was taken out of this workspace for good and is not taken in again"
                yield Outcome(name=name, done=False, notes=(note,))
                continue
            if isinstance(found, Skipped):
                yield Outcome(name=name, done=False, notes=(found.reason,))
                continue
            size = (found.image.width, found.image.height)
            image = workspace.add_image(found.path, size=size, source=source, action=action)
            for kind, file in found.files.items():
                workspace.add_input(image, kind, file)
            yield Outcome(name=name, notes=found.people.notes)


@contextmanager
def _without(gone: Iterable[str], keypoints: Path | None) -> Iterator[Path | None]:
    """A COCO file without the people of photographs that were taken down; anything else as it is."""
    if not gone or keypoints is None or not keypoints.is_file():
        yield keypoints
        return
    data = keypoints.read_bytes()
    with suppress(ValueError, LookupError, TypeError, RecursionError):  # what is none is refused by its reader
        for name in gone:
            data = without_image(data, name)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / keypoints.name
        copy.write_bytes(data)
        yield copy


def propose_pairs(
    workspace: Workspace,
    *,
    images: Iterable[ImageRecord] | None = None,
    options: ProposeOptions | None = None,
    body: BodyModel | None = None,
) -> Iterator[Outcome]:
    """Find the pairs of people in images (None: in all), one outcome per pair found and per image without any."""
    for image in workspace.images() if images is None else images:
        try:
            files = {file.kind: file.path for file in image.inputs}
            people = read_people(image.name, image.size, files, body=body)
        except InputError as error:
            yield Outcome(name=image.name, done=False, notes=(str(error),))
            continue
        proposals = propose(
            people.keypoints,
            people.estimate,
            people.camera,
            image=image.name,
            action=image.action,
            source=image.source,
            options=options,
        )
        simulated = image.source.startswith(SIMULATED)
        notes = tuple(dropped.reason for dropped in proposals.dropped)
        known = _pairs_of(workspace, image)
        for pair in (replace(pair, simulated=simulated) for pair in proposals.pairs):
            same = next((number for number, other in known if _same_people(pair, other)), None)
            number = workspace.add_pair(image.id, pair) if same is None else same
            yield Outcome(name=image.name, pair=number, notes=notes)
            notes = ()
        if not proposals.pairs:
            yield Outcome(name=image.name, done=False, notes=notes)


def _pairs_of(workspace: Workspace, image: ImageRecord) -> list[tuple[int, PairObservation]]:
    """The pairs that an image has already, with their ids."""
    records = [workspace.pair(summary.id) for summary in workspace.pairs(PairFilter(text=image.name))]
    return [(record.summary.id, record.observation) for record in records if record.image.id == image.id]


def _same_people(pair: PairObservation, other: PairObservation) -> bool:
    """The boxes agree to a tenth of their size: work that was done on a pair outlives better detections of it."""
    size = (pair.boxes[:, 2:] - pair.boxes[:, :2]).max(axis=1, keepdims=True)
    return bool((np.abs(pair.boxes - other.boxes) <= 0.1 * size).all())


def ask_pairs(
    workspace: Workspace,
    asker: Asker,
    *,
    name: str,
    pairs: Sequence[PairSummary] | None = None,
    workers: int = 4,
    again: bool = False,
) -> Iterator[Outcome]:
    """Ask about every pair that has no answer yet, and let the denoiser check the sides of what comes back.

    Args:
        workspace: whose pairs. asker: see `apu.ask`. name: of the asker, stored with its answers.
        pairs: ask about these, whatever is known of them; None: about all without an answer.
        workers: questions under way at once. again: ask about pairs that have an answer too.
    """
    unanswered = None if again else frozenset({PairState.PROPOSED, PairState.ASK_FAILED})
    prompt = load_prompt()
    if pairs is None:
        pairs = workspace.pairs(PairFilter(states=unanswered))
    of_image: dict[str, list[int]] = defaultdict(list)
    for summary in workspace.pairs() if name == "replay" else ():
        of_image[summary.image].append(summary.id)
    for first in range(0, len(pairs), _QUESTIONS_AT_ONCE):
        asked: list[tuple[Question, PairSummary]] = []
        for summary in pairs[first : first + _QUESTIONS_AT_ONCE]:
            try:
                record = workspace.pair(summary.id)
                photograph = read_image(record.image.path).rgb
            except ApuError as error:
                yield Outcome(name=summary.image, pair=summary.id, done=False, notes=(str(error),))
                continue
            question = question_of(record.observation, photograph, prompt)
            several = of_image[summary.image]
            if name == "replay" and len(several) > 1:
                # Recorded answers go by the photograph's stem; the pairs of one photograph are numbered from 1.
                path = Path(question.image)
                question = replace(question, image=f"{path.stem}_{several.index(summary.id) + 1}{path.suffix}")
            asked.append((question, summary))
        results = ask_all([question for question, _ in asked], asker, workers=workers)
        for (_, summary), result in zip(asked, results, strict=True):
            if isinstance(result, AnswerError):
                workspace.add_answer_failure(summary.id, result, asker=name, prompt_id=prompt.id)
                yield Outcome(name=summary.image, pair=summary.id, done=False, notes=(str(result),))
            else:
                store_answer(workspace, summary.id, result, name=name)
                yield Outcome(name=summary.image, pair=summary.id)


def store_answer(workspace: Workspace, pair: int, answer: ContactAnswer, *, name: str) -> int:
    """Keep an answer with the denoiser's verdict on each of its contacts; returns the answer's id."""
    checks = denoise(answer.contacts, workspace.pair(pair).observation)
    return workspace.add_answer(pair, answer, asker=name, suggestions=[_suggestion(check) for check in checks])


def _suggestion(check: SideCheck) -> Suggestion:
    """The store's form of a verdict; where there was nothing to judge, its reason and no doubt of the sides."""
    doubt = check.confidence if check.flip else 1.0 - check.confidence
    stated, other = check.distances
    return Suggestion(
        flipped=check.flip,
        probability=doubt if check.judged else 0.0,
        distances=(stated, other),
        evidence=check.evidence,
        flips=check.flips,
    )


def fit_pairs(
    workspace: Workspace,
    body: BodyModel,
    pairs: Iterable[PairSummary],
    *,
    exchange: bool = False,
    denoised: bool = False,
) -> Iterator[Outcome]:
    """Fit pairs one after another to the contacts that stand.

    Args:
        workspace: whose pairs. body: to fit, on its device. pairs: which.
        exchange: of contacts that no curator has touched, exchange the two people where they lie closer that way.
        denoised: of contacts that no curator has touched fit the likeliest readings; the best one stands, as an edit
            that can be undone.
    """
    for pair in pairs:
        try:
            untouched = not _touched(workspace, pair.id)
            if denoised and untouched:
                run_likeliest(workspace, pair.id, body, exchange=exchange)
            else:
                run_fit(workspace, pair.id, body, exchange=exchange and untouched)
        except ApuError as error:
            yield Outcome(name=pair.image, pair=pair.id, done=False, notes=(str(error),))
        else:
            yield Outcome(name=pair.image, pair=pair.id)


def fit_pairs_side_by_side(
    workspace: Workspace,
    pairs: Sequence[PairSummary],
    *,
    jobs: int,
    body: Path | None = None,
    exchange: bool = False,
    denoised: bool = False,
) -> Iterator[Outcome]:
    """`fit_pairs` on a CPU in several processes of one thread each; outcomes as they come.

    An interrupt lets the fits that are under way end, and keeps them.

    Args:
        jobs: how many processes. body: of a licensed body; None: the free one. Others as for `fit_pairs`.

    Raises:
        InputError: a process ended by itself; what was fitted is kept.
    """
    with processes(jobs, _prepare, workspace.path, body) as pool:
        tasks = [pool.submit(_fit_here, pair, exchange, denoised) for pair in pairs]
        for task in as_completed(tasks):
            yield task.result()


_here: tuple[Workspace, BodyModel]
"""Of a process that fits beside others."""


def _prepare(path: Path, body: Path | None) -> None:
    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process hears it, and lets the fit end
    _here = Workspace.open(path), load_body(body)


def _fit_here(pair: PairSummary, exchange: bool, denoised: bool) -> Outcome:
    (outcome,) = fit_pairs(*_here, [pair], exchange=exchange, denoised=denoised)
    return outcome


def _touched(workspace: Workspace, pair: int) -> bool:
    """A person's edit of the contacts stands, or their word against one of the program's."""
    history = workspace.pair(pair).history
    author = {entry.revision: entry.curator for entry in history}

    def judges(edit: Entry) -> bool:
        return author.get(edit.revision) in ("", PROGRAM) if isinstance(edit, Undo) else not isinstance(edit, SetNote)

    return any(e.curator not in ("", PROGRAM) and not e.undone and judges(e.edit) for e in history)


def waiting(workspace: Workspace, *, pair: int | None = None) -> tuple[PairSummary, ...]:
    """The pairs that `apu fit` takes: the one named, else all that are asked about but not fitted.

    Raises:
        InputError: there is no pair of that number.
    """
    if pair is None:
        return workspace.pairs(PairFilter(states=frozenset({PairState.ASKED})))
    found = tuple(summary for summary in workspace.pairs() if summary.id == pair)
    if not found:
        raise InputError(f"{workspace.path}: there is no pair {pair}; `apu status` lists them")
    return found
