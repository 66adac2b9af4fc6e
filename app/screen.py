"""What the page shows of one pair, as plain values for its scripts: pure functions of the store's records.

Every text in here may come from a model, a file or another curator; the scripts put it on the page as text only.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.bands import GAP_CM, INSIDE_CM, REPROJECTION
from app.meshes import Meshes, Picture, Source, crop_box
from apu.body.lines import part_lines
from apu.camera import project
from apu.types import BODY_25, KEYPOINTS, SMPL_JOINTS, BodyPart, Contact, Decision, PairObservation, Side, Verdict
from review_db.edits import Decide, Edit, SetNote, SheetContact, TakeVersion, Undo, undone
from review_db.records import DecisionRecord, FitRecord, JobRecord, PairRecord, PairState

Json = dict[str, Any]

_BONES = tuple(
    (BODY_25.index(a), BODY_25.index(b))
    for chain in (
        ("nose", "neck", "mid_hip"), ("nose", "right_eye", "right_ear"), ("nose", "left_eye", "left_ear"),
        ("neck", "right_shoulder", "right_elbow", "right_wrist"), ("neck", "left_shoulder", "left_elbow", "left_wrist"),
        ("right_shoulder", "left_shoulder"), ("right_hip", "left_hip"), ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"), ("right_hip", "right_knee", "right_ankle", "right_big_toe"),
        ("left_hip", "left_knee", "left_ankle", "left_big_toe"), ("right_ankle", "right_heel"),
        ("left_ankle", "left_heel"), ("right_big_toe", "right_small_toe"), ("left_big_toe", "left_small_toe"),
    )
    for a, b in itertools.pairwise(chain)
)  # fmt: skip

_NEAREST_JOINT = {
    "hand": "wrist", "arm": "elbow", "leg": "knee", "thigh": "hip", "chest": "shoulder", "stomach": "hip",
    "back": "shoulder", "neck": "neck", "face": "head", "head": "head", "foot": "foot", "shoulder": "shoulder",
    "elbow": "elbow", "knee": "knee", "forearm": "elbow", "upper arm": "elbow", "waist": "hip",
}  # fmt: skip
"""Where the first guess of the mesh has a part that no keypoint shows."""


NO_FAN: Json = {"id": None, "alternatives": [], "running": False, "fraction": 0.0, "sentence": "", "ahead": []}


def pair_screen(
    record: PairRecord,
    *,
    job: JobRecord | None,
    worker: str,
    no_mesh: str,
    terms: Mapping[str, Sequence[float]],
    ahead: Sequence[str] = (),
    wrong: Mapping[int, str] | None = None,
    fan: Json | None = None,
    idle: str = "",
) -> Json:
    """One pair with all that its panels need.

    Args:
        record: the pair.
        job: its latest fit job, if any.
        worker: sentence about the fit worker where it is down, else empty.
        no_mesh: sentence about why there are no meshes to show, else empty.
        terms: the latest fit's loss curves, step by step.
        ahead: whose fits come before a waiting `job`.
        wrong: why contacts are probably wrong, by their number (`app.doubts`).
        idle: what to do where this server has no fit worker at all, else empty.
        fan: the pair's alternatives (`app.fitting.fan_screen`); None where none are offered.
    """
    observation, fit = record.observation, record.fits[-1] if record.fits else None
    x0, y0, x1, y1 = crop_box(observation)
    box = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    last = record.history[-1] if record.history else None
    return {
        "id": record.summary.id,
        "revision": record.sheet.revision,
        "image": record.image.name,
        "about": " · ".join(filter(None, (record.image.source, record.image.action))),
        "simulated": record.summary.simulated,
        "crop": {"url": f"image/{record.summary.id}", **box},
        "people": [_person(observation, person) for person in (0, 1)],
        "answer": _answer(record),
        "swapped": record.sheet.swapped,
        "contacts": [_line(line, record, fit, (wrong or {}).get(line.id)) for line in record.sheet.contacts],
        "canUndo": any(not entry.undone and entry.curator for entry in record.history),
        "note": record.sheet.note,
        "saved": f"{last.made_at[11:16]} UTC" if last and last.curator else "",
        "conflicts": [{"id": entry.id, "text": _conflict(entry.edit)} for entry in record.conflicts],
        "decision": _decision(record.decision),
        "fits": len(record.fits),
        "fitted": fit is not None,
        "stale": bool(fit and fit.stale),
        "figures": figures(fit),
        "fitList": [] if no_mesh else fit_list(record),
        "fitSentence": _fit_sentence(fit, job, worker, record, ahead, idle),
        "worker": worker,
        "job": job_screen(job, ahead, outdated=outdates(record, job), idle=idle),
        "action": _next_action(fit, job, worker),
        "terms": terms,
        "start": pictures_of(None if no_mesh else start_meshes(record)),
        "fit": pictures_of(fit_meshes(record) if not no_mesh else None),
        "noMesh": no_mesh,
        "fan": fan or NO_FAN,
    }


def start_meshes(record: PairRecord) -> Meshes:
    """What the latest fit began with; before the first fit, the first guess."""
    if record.fits:
        return Meshes(pair=record.summary.id, source=Source.START, number=record.fits[-1].id)
    return Meshes(pair=record.summary.id, source=Source.GUESS, number=record.sheet.revision)


def fit_meshes(record: PairRecord) -> Meshes | None:
    """The latest fit's result."""
    return Meshes(pair=record.summary.id, source=Source.FIT, number=record.fits[-1].id) if record.fits else None


def fit_list(record: PairRecord) -> list[Json]:
    """What can be compared, oldest first: the start (id 0), then every fit with its number, the last one the current.

    `words` say what a fit was made of, `figures` how good it is; `stale`: the contacts have changed since.
    """
    begin = {"id": 0, "number": 0, "words": "the first guess, before any contact", "figures": figures(None)}
    rows = [begin | {"stale": False, **pictures_of(start_meshes(record))}]
    for number, fit in enumerate(record.fits, 1):
        by = f", for {fit.curator}" if fit.curator else ""
        meshes = Meshes(pair=record.summary.id, source=Source.FIT, number=fit.id)
        rows.append({
            "id": fit.id,
            "number": number,
            "words": f"{_count(_used(fit))}{by}, {fit.made_at[:10]} {fit.made_at[11:16]} UTC",
            "figures": figures(fit),
            "stale": fit.stale,
            **pictures_of(meshes),
        })  # fmt: skip
    return rows


def outdates(record: PairRecord, job: JobRecord | None) -> bool:
    """Whether the contacts have changed since a fit was asked for; notes, decisions and what was undone change none."""
    return job is not None and _standing(record, job.revision) != _standing(record, record.sheet.revision)


def _standing(record: PairRecord, revision: int) -> list[int]:
    """The edits of contacts that stood at a revision."""
    entries = [entry for entry in record.history if entry.revision <= revision]
    taken_back = undone([(entry.curator, entry.edit) for entry in entries])
    edits = (entry for entry in entries if not isinstance(entry.edit, SetNote | Decide | Undo))
    return [entry.revision for entry in edits if entry.revision not in taken_back]


def _next_action(fit: FitRecord | None, job: JobRecord | None, worker: str) -> Json | None:
    """The one thing to do where another fit of the same kind would not help; None: fit."""
    if worker:
        return {"act": "restart-worker", "label": "Start it again", "key": ""}
    if fit and job and job.state == "failed" and fit.made_at < job.finished_at:
        return {"act": "afresh", "label": "Fit from the start", "key": "⇧⏎"}
    return None


def job_screen(
    job: JobRecord | None, ahead: Sequence[str] = (), *, outdated: bool = False, idle: str = ""
) -> Json | None:
    """Where a fit stands, in numbers and in one sentence; `outdated`: the contacts are not those it began with."""
    if job is None:
        return None
    progress = job.progress
    live = Meshes(pair=job.pair, source=Source.JOB, number=job.id) if job.preview else None
    return {
        "id": job.id,
        "revision": job.revision,
        "state": job.state,
        "cancelling": job.cancelling,
        "outdated": outdated,
        "sentence": _job_sentence(job, ahead, idle),
        "fraction": progress.get("fraction", 0.0),
        "terms": progress.get("terms", {}),
        **pictures_of(live, f"?step={progress.get('step', 0)}"),
    }


def pictures_of(meshes: Meshes | None, query: str = "") -> Json:
    """Addresses of the pictures and the vertices of some meshes; None where there are none."""
    if meshes is None:
        return {"overlay": None, "stills": None, "solid": None}
    urls = {str(picture): f"{meshes.url}/{picture}{query}" for picture in Picture}
    return {"overlay": urls.pop("overlay"), "stills": urls, "solid": f"{meshes.solid}{query}"}


def figures(fit: FitRecord | None) -> list[Json]:
    """The four figures of a fit with their bands; without a fit, dashes."""
    rows = [
        ("reprojection", 0, "", REPROJECTION, fit and fit.reprojection_512[0], 1.0),
        ("reprojection", 1, "", REPROJECTION, fit and fit.reprojection_512[1], 1.0),
        ("largest gap", None, "cm", GAP_CM, fit and fit.max_gap_m, 100.0),
        ("deepest inside", None, "cm", INSIDE_CM, fit and fit.max_penetration_m, 100.0),
    ]
    return [
        {
            "label": label,
            "person": person,
            "unit": unit if value is not None else "",
            "text": "–" if value is None else f"{value * scale:.1f}",
            "band": None if value is None else limit.band(value * scale),
            "help": limit.words,
        }
        for label, person, unit, limit, value, scale in rows
    ]


def _person(observation: PairObservation, person: int) -> Json:
    keypoints = observation.keypoints[person]
    return {
        "box": [float(edge) for edge in observation.boxes[person]],
        "bones": _BONES,
        "points": [
            {
                "x": round(float(x), 1), "y": round(float(y), 1), "c": round(float(c), 3), "side": _side(name),
                "small": index >= len(BODY_25), "name": name.replace("_", " "),
            }
            for index, (name, (x, y, c)) in enumerate(zip(KEYPOINTS, keypoints, strict=True))
        ],
    }  # fmt: skip


def _side(name: str) -> str:
    return name.split("_")[0] if name.startswith(("left_", "right_")) else "both"


def _answer(record: PairRecord) -> Json:
    standing = record.answer
    if standing is None or standing.answer is None:
        return {"interaction": "", "sentence": _no_answer(record)}
    answer = standing.answer
    people = answer.people[::-1] if record.sheet.swapped else answer.people
    origin = "simulated answer" if answer.simulated else f"{standing.asker}: {answer.model}"
    return {
        "interaction": answer.interaction or "interaction not named",
        "orientation": answer.orientation,
        "people": list(people),
        "origin": origin,
        "sentence": _later_failure(record),
    }


def _no_answer(record: PairRecord) -> str:
    if record.summary.state is PairState.ASK_FAILED and record.answers:
        failed = record.answers[-1]
        return f"No usable answer: {failed.message} Run `apu ask` to ask again, or add contacts by hand."
    return "No model has been asked about this pair yet. Run `apu ask`, or add contacts by hand."


def _later_failure(record: PairRecord) -> str:
    last = record.answers[-1]
    return "" if last.status == "ok" else f"A later question failed: {last.message} Run `apu ask` to ask again."


def _line(line: SheetContact, record: PairRecord, fit: FitRecord | None, wrong: str | None) -> Json:
    contact, stated = line.contact, line.original
    suggested = None if line.dropped else line.suggested
    places = [_place(part, record.observation, person) for person, part in enumerate(contact.parts)]
    return {
        "id": line.id,
        "parts": [_part(part) for part in contact.parts],
        "words": _words(contact),
        "confidence": contact.confidence,
        "weightHelp": f"Confidence {contact.confidence:.2f}, as {_by(contact)} says.",
        "dropped": line.dropped,
        "was": "" if contact.parts == stated.parts else f"{stated.parts[0]} – {stated.parts[1]}",
        "by": line.edited_by,
        "suggestion": f"{_words(suggested)}? {line.suggestion.evidence}" if suggested and line.suggestion else None,
        "verdict": line.suggestion.evidence if line.suggestion and not suggested else "",
        "gap": _gap(contact, fit),
        "wrong": None if line.dropped else wrong,
        "places": [polylines for polylines, _, _ in places],
        "ends": [end for _, end, _ in places],
        "seen": [seen for _, _, seen in places],
    }


def _part(part: BodyPart) -> Json:
    return {"name": part.name, "side": str(part.side)}


def _words(contact: Contact) -> str:
    return f"A's {contact.parts[0]} – B's {contact.parts[1]}"


def _by(contact: Contact) -> str:
    return {"model": "the model", "keypoints": "the keypoint rule", "denoiser": "the model"}.get(
        contact.source, "a curator"
    )


def _gap(contact: Contact, fit: FitRecord | None) -> Json | None:
    """The gap of these parts in the latest fit, if that fit used them."""
    for used, gap in zip(fit.contacts, fit.gaps_m, strict=True) if fit else ():
        if used.parts == contact.parts:
            band = GAP_CM.band(100 * gap)
            return {"text": f"{100 * gap:.1f} cm", "band": band.split()[0], "help": f"{band}. {GAP_CM.words}"}
    return None


def _place(part: BodyPart, observation: PairObservation, person: int) -> tuple[list, list[float], bool]:
    """Where a part is in the photograph: its polylines, the point that stands for it, and whether it is seen."""
    pieces = part_lines(part, observation.keypoints[person])
    if len(pieces):
        middle = pieces[:, :, :2].reshape(-1, 2).mean(0)
        return pieces[:, :, :2].round(1).tolist(), middle.round(1).tolist(), True
    return [], _guess(part, observation, person).round(1).tolist(), False


def _guess(part: BodyPart, observation: PairObservation, person: int) -> np.ndarray:
    """The first guess of the mesh where keypoints do not show a part; without one, the middle of the person's box."""
    x0, y0, x1, y1 = observation.boxes[person]
    estimate = observation.estimate
    if estimate.valid[person]:
        joint = _NEAREST_JOINT[part.name]
        sides = (Side.LEFT, Side.RIGHT) if part.side is Side.BOTH else (part.side,)
        names = [joint] if joint in SMPL_JOINTS else [f"{side}_{joint}" for side in sides]
        points = estimate.joints[person, [SMPL_JOINTS.index(name) for name in names]]
        pixel = project(points.astype(np.float64), observation.camera).mean(0)
        if all(math.isfinite(value) for value in pixel):
            return np.clip(pixel, (x0, y0), (x1, y1))
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])


def _decision(record: DecisionRecord | None) -> Json | None:
    if record is None:
        return None
    decision = record.decision
    return {
        "verdict": str(decision.verdict),
        "words": decision_words(decision),
        "who": f"by {decision.curator}, {record.made_at[:10]} {record.made_at[11:16]} UTC",
    }


def decision_words(decision: Decision) -> str:
    """A decision in one line."""
    past = {Verdict.ACCEPT: "Accepted", Verdict.REJECT: "Rejected", Verdict.FLAG: "Flagged"}[decision.verdict]
    return f"{past}: {decision.reason}" if decision.reason else past


def _conflict(edit: Edit | Decision) -> str:
    if isinstance(edit, TakeVersion):
        return "A version of this pair came from another machine and was kept aside."
    mine = f"decision ({edit.verdict})" if isinstance(edit, Decision) else f"change ({edit.kind.replace('_', ' ')})"
    return f"Someone saved this pair while you worked on it; your {mine} was kept aside."


def _fit_sentence(
    fit: FitRecord | None, job: JobRecord | None, worker: str, record: PairRecord, ahead: Sequence[str], idle: str
) -> str:
    if worker:
        return worker
    if job and job.state != "done" and not (fit and job.finished_at and fit.made_at > job.finished_at):
        return _job_sentence(job, ahead, idle)
    if fit is None:
        return "Not fitted yet: the meshes are the first guess."
    if fit.stale:
        return "The contacts have changed since this fit."
    swapped = " The fit exchanged the two people, which fits the contacts better." if fit.swapped else ""
    _, *notes = fit.stop.split("; ")
    otherwise = f" ({'; '.join(notes)})" if notes else ""
    kept = "" if fit.kept else " The automatic filter would drop this pair."
    used = _used(fit)
    others = len(fit.contacts) - len(used)
    if others and not used:
        to = f"none of {_count(fit.contacts)}"
    else:
        to = _count(used) + (f", without {others} other{'s' * (others > 1)}," if others else "")
    return f"Fitted to {to} in {fit.seconds:.1f} s{otherwise}.{swapped}{kept}"


def waits(ahead: Sequence[str], idle: str) -> str:
    """Who comes first, or what to do where there is nobody who fits (`idle`), in one sentence."""
    if not ahead:
        return idle or "Waiting for the fit worker."
    names = ", ".join(name or "the program" for name in dict.fromkeys(ahead))
    return f"{len(ahead)} {'fit' if len(ahead) == 1 else 'fits'} before yours: {names}."


def _job_sentence(job: JobRecord, ahead: Sequence[str], idle: str) -> str:
    if job.state == "running" and job.progress:
        return f"Stage {job.progress['stage']}, step {job.progress['step']}."
    return {
        "queued": waits(ahead, idle),
        "running": "Starting.",
        "done": "Fitted.",
        "failed": f"The fit failed: {job.error.rstrip('.')}.",
        "cancelled": "Stopped.",
    }[job.state]


def _used(fit: FitRecord) -> list[Contact]:
    """The contacts that it did not give up."""
    return [contact for contact in fit.contacts if contact.weight > 0]


def _count(contacts: Sequence[Contact]) -> str:
    return {0: "no contact", 1: "1 contact"}.get(len(contacts), f"{len(contacts)} contacts")
