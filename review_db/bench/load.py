"""A workspace of many simulated pairs, written row by row through the released schema, without the fits' arrays.

All pairs share one file of an observation and all fits one of arrays; every pair has a photograph's row of its own.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apu.types import (
    BodyParams,
    BodyPart,
    Camera,
    Contact,
    ContactAnswer,
    FitResult,
    MeshEstimate,
    PairObservation,
    Side,
    Verdict,
)
from review_db.codec import pack_fit, pack_observation
from review_db.database import now, sqlite3
from review_db.edits import Decide, StatedContact, Suggestion, TakeAnswer, to_json
from review_db.sheets import CONTACT, CONTACTS, STATED
from review_db.workspace import Workspace

CONTACTS_PER_PAIR = 5
CURATORS = 20

SOURCES = ("simulated studio", "simulated street", "simulated sport")
INTERACTIONS = (
    "hugging", "side hug", "holding hands", "kissing", "dancing", "wrestling", "carrying on the back", "high five",
    "arm around the shoulder", "lifting", "shaking hands", "leaning on each other", "fighting", "helping up",
    "sitting on the lap", "whispering", "giving a massage", "acrobatics", "arm in arm", "tackling",
)  # fmt: skip
_PARTS = ("hand", "arm", "back", "shoulder", "waist", "chest", "head", "thigh")
_ANSWERS = 64
"""So many different answers are given out in turn."""

_CHUNK = 10_000
_TIME = "2026-01-01T00:00:00.000000+00:00"


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """An answer as the rows that come of it."""

    stated: str
    uncertainty: float
    contacts: tuple[tuple[Any, ...], ...]
    used: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What every pair of a workspace shows where it is to be looked at: one photograph (a JPEG's bytes) and one fit."""

    photograph: bytes
    observation: PairObservation
    fit: FitResult


def make(path: Path, pairs: int, *, seed: int = 0, seen: Seen | None = None) -> Workspace:
    """A new workspace: of the pairs, numbered from 1, six in ten are fitted and three of those decided.

    Without `seen` there are no photographs, and observation and fit are numbers drawn by chance.
    """
    workspace = Workspace.create(path)
    chance = np.random.default_rng(seed)
    observed, fitted = (seen.observation, seen.fit) if seen else (_observation(chance), _fit(chance))
    observation = workspace.files.put("artefacts", pack_observation(observed), ".npz")
    fit = workspace.files.put("artefacts", pack_fit(fitted), ".npz")
    size = (observed.camera.width, observed.camera.height)
    if seen:
        _link_photographs(workspace, seen.photograph, pairs)
    answers = [_answer(chance) for _ in range(_ANSWERS)]
    with workspace.database.write() as connection:
        connection.executemany(
            "INSERT INTO curators (id, name, created_at) VALUES (?, ?, ?)",
            [(number + 1, f"curator {number}", now()) for number in range(CURATORS)],
        )
    for first in range(1, pairs + 1, _CHUNK):
        numbers = range(first, min(first + _CHUNK, pairs + 1))
        with workspace.database.write() as connection:
            _insert(connection, numbers, answers, observation, fit, size, chance)
    return workspace


def make_few(folder: Path, pairs: int, *, seed: int = 0) -> Workspace:
    """A new workspace of fitted pairs, each step by the program itself, with a file for everything it names."""
    folder.mkdir()
    workspace, chance = Workspace.create(folder / "workspace"), np.random.default_rng(seed)
    for number in range(pairs):
        image = folder / f"{number}.png"
        image.write_bytes(f"picture {number}".encode())
        pair = workspace.add_pair(workspace.add_image(image, size=(640, 480)), _observation(chance))
        fit = _fit(chance)
        answer = ContactAnswer(
            interaction="hugging", people=("", ""), orientation="", contacts=fit.contacts, raw="{}", model="simulated",
            prompt_id="contacts-1", simulated=True,
        )  # fmt: skip
        workspace.add_answer(pair, answer, asker="replay")
        workspace.add_fit(pair, fit, revision=1)
    return workspace


def _link_photographs(workspace: Workspace, photograph: bytes, pairs: int) -> None:
    """The same file under the name of every pair's photograph."""
    name = workspace.files.put("images", photograph, ".jpg")
    for number in range(1, pairs + 1):
        workspace.files.path("images", f"{number:064x}.jpg").symlink_to(name)


def _insert(
    connection: sqlite3.Connection,
    numbers: range,
    answers: list[_Answer],
    observation: str,
    fit: str,
    size: tuple[int, int],
    chance: np.random.Generator,
) -> None:
    """One chunk of pairs with everything that belongs to them, each pair with the ids of its own number."""
    count = len(numbers)
    errors, gaps = chance.gamma(4.0, 4.0, count), chance.gamma(2.0, 0.02, count)
    kinds = chance.choice(3, count, p=(0.4, 0.42, 0.18))  # asked, fitted, decided
    verdicts = chance.choice(list(Verdict), count, p=(0.6, 0.3, 0.1))
    deciders, said = chance.integers(1, CURATORS + 1, count), chance.integers(len(answers), size=count)
    sources, labels = chance.integers(len(SOURCES), size=count), chance.integers(len(INTERACTIONS), size=count)
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _COLUMNS}
    stands: list[tuple[int | None, ...]] = []
    for at, number in enumerate(numbers):
        answer, interaction, source = answers[said[at]], INTERACTIONS[labels[at]], SOURCES[sources[at]]
        decided, fitted = bool(kinds[at] == 2), bool(kinds[at] >= 1)
        verdict = Verdict(verdicts[at])
        state = {"accept": "accepted", "reject": "rejected", "flag": "flagged"}[verdict] if decided else "fitted"
        error, gap, decider = float(errors[at]), float(gaps[at]), int(deciders[at])
        name = f"{source.split()[1]}_{number:09d}.jpg"
        rows["images"].append((number, f"{number:064x}", ".jpg", name, *size, source, "", _TIME))
        rows["answers"].append(
            (number, number, "replay", "simulated", "contacts-1", "ok", "{}", interaction, answer.stated,
             answer.uncertainty, 1, 0.5, _TIME)
        )  # fmt: skip
        if fitted:
            rows["fits"].append(
                (number, number, 1, fit, answer.used, json.dumps([gap] * CONTACTS_PER_PAIR), 0, error, error / 2,
                 error, error / 2, gap, 0.01, 0.005, 1, "converged", 1.0, 60, "cpu", "anny-free", 0, "{}", _TIME)
            )  # fmt: skip
        if decided:
            rows["decisions"].append((number, number, 2, verdict.value, decider, number, "", "", _TIME))
        rows["pairs"].append(
            (number, number, observation, source, "", 1, _TIME, 2 if decided else 1, state if fitted else "asked",
             CONTACTS_PER_PAIR + 1, CONTACTS_PER_PAIR, answer.uncertainty, error if fitted else 0.0, _TIME, interaction,
             gap if fitted else None, decider if decided else None)
        )  # fmt: skip
        stands.append((number, number if decided else None, number if fitted else None, number))
        rows["contacts"] += [(number, *contact) for contact in answer.contacts]
        rows["edits"].append((number, 1, "take_answer", json.dumps(to_json(TakeAnswer(answer=number))), None, _TIME))
        if decided:
            edit = json.dumps(to_json(Decide(decision=number)))
            rows["edits"].append((number, 2, "decide", edit, decider, _TIME))
    for table, columns in _COLUMNS.items():
        marks = ", ".join("?" * len(columns.split(",")))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows[table])  # noqa: S608
    # A pair names its answer and the answer its pair, so one of them has to come first.
    connection.executemany("UPDATE pairs SET answer_id = ?, decision_id = ?, fit_id = ? WHERE id = ?", stands)


_COLUMNS = {
    "images": "id, sha256, suffix, name, width, height, source, action, added_at",
    "pairs": "id, image_id, observation, source, action, simulated, created_at, revision, state, next_contact, "
    "active_contacts, uncertainty, fit_error, updated_at, interaction, gap_m, "
    "decider_id",
    "answers": "id, pair_id, asker, model, prompt_id, status, raw, interaction, stated, uncertainty, simulated, "
    "seconds, asked_at",
    "fits": "id, pair_id, revision, file, contacts, gaps_m, swapped, reprojection_512_a, reprojection_512_b, "
    "reprojection_px_a, reprojection_px_b, max_gap_m, max_penetration_m, mean_penetration_m, kept, stop, seconds, "
    "iterations, device, body, seed, options, made_at",
    "decisions": "id, pair_id, revision, verdict, curator_id, fit_id, reason, note, made_at",
    "contacts": "pair_id, id, position, part_a, side_a, part_b, side_b, confidence, weight, source, dropped, original, "
    "suggestion",
    "edits": "pair_id, revision, kind, edit, curator_id, made_at",
}


def _answer(chance: np.random.Generator) -> _Answer:
    suggestion = Suggestion(
        flipped=bool(chance.integers(2)), probability=float(chance.uniform()), distances=(0.2, 0.9), evidence="nearer"
    )
    stated = tuple(
        StatedContact(contact=contact, suggestion=suggestion if number % 2 else None)
        for number, contact in enumerate(_contacts(chance))
    )
    return _Answer(
        stated=STATED.dump_json(stated).decode(),
        uncertainty=math.fsum(each.doubt for each in stated) / len(stated),
        contacts=tuple(_contact_rows(stated)),
        used=CONTACTS.dump_json(tuple(each.contact for each in stated)).decode(),
    )


def _contacts(chance: np.random.Generator) -> Iterator[Contact]:
    for _ in range(CONTACTS_PER_PAIR):
        names, sides = chance.choice(_PARTS, 2), chance.choice([Side.LEFT, Side.RIGHT], 2)
        a, b = (BodyPart(name=str(name), side=Side(side)) for name, side in zip(names, sides, strict=True))
        yield Contact(parts=(a, b), confidence=round(float(chance.uniform()), 2))


def _contact_rows(stated: tuple[StatedContact, ...]) -> Iterator[tuple[Any, ...]]:
    for position, (each, values) in enumerate(zip(stated, STATED.dump_python(stated, mode="json"), strict=True)):
        (a, b), verdict = each.contact.parts, values["suggestion"]
        yield (
            position + 1, position, a.name, a.side.value, b.name, b.side.value, each.contact.confidence, 1.0, "model",
            0, CONTACT.dump_json(each.contact).decode(), json.dumps(verdict) if verdict else None,
        )  # fmt: skip


def _observation(chance: np.random.Generator) -> PairObservation:
    estimate = MeshEstimate(
        global_orient=chance.normal(size=(2, 3)).astype(np.float32),
        body_pose=chance.normal(size=(2, 21, 3)).astype(np.float32),
        betas=chance.normal(size=(2, 11)).astype(np.float32),
        joints=chance.normal(size=(2, 22, 3)).astype(np.float32),
        valid=np.ones(2, np.bool_),
    )
    return PairObservation(
        image="simulated.jpg",
        camera=Camera.of_image(640, 480),
        boxes=chance.uniform(0, 480, size=(2, 4)),
        keypoints=chance.uniform(0, 1, size=(2, 67, 3)).astype(np.float32),
        estimate=estimate,
        source=SOURCES[0],
        simulated=True,
    )


def _fit(chance: np.random.Generator) -> FitResult:
    shapes = {"global_orient": (2, 3), "body_pose": (2, 21, 3), "betas": (2, 11), "transl": (2, 3)}
    shapes |= {"hand_pose": (2, 30, 3)}
    params = BodyParams(**{name: chance.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})
    contacts = tuple(_contacts(chance))
    return FitResult(
        params=params, start=params, contacts=contacts, swapped=False, gaps_m=np.full(len(contacts), 0.01),
        reprojection_512=np.ones(2), reprojection_px=np.ones(2), max_penetration_m=0.01, mean_penetration_m=0.005,
        kept=True, terms={"keypoints": [2.0, 1.0]}, stop="converged", seconds=1.0, iterations=60, device="cpu",
        body="anny-free", seed=0, options={},
    )  # fmt: skip
