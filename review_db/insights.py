"""What the curators' corrections say about the models: accepted pairs are the truth, every answer is held against it.

Of two people's contacts, a stated one is

- right, where an accepted contact has the same two parts on the same sides;
- flipped, where one has the same two parts and another side;
- invented, where none is left that has these parts.

An accepted contact of whose parts too few were stated is missed. Hence precision = right / stated, recall = right /
accepted, hallucination rate = invented / stated, and side-flip rate = flipped / (right + flipped), the share of wrong
sides where the parts are right. "After" is the same with the sides that the denoiser suggests.

An answer may mean the other person by A: it is read in the order of people in which more of it is right (its parts
first, then its sides; as it was given where both are the same), and answers read the other way round are counted.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from review_db.database import Database, sqlite3
from review_db.rates import Share

Place = tuple[str, str, str, str]
"""A contact: part and side of person A, part and side of person B."""

Column = Int[np.ndarray, "contacts"]


class Fate(IntEnum):
    """What the accepted contacts say of a stated one, or that one of theirs was missed."""

    RIGHT = 0
    FLIPPED = 1
    INVENTED = 2
    MISSED = 3


def compare(stated: Sequence[Place], accepted: Sequence[Place]) -> tuple[list[Fate], list[Place]]:
    """The fate of every stated contact, in order, and the accepted ones that were missed.

    Each accepted contact answers for one stated contact: first those that are equal, then those with equal parts.
    """
    left = list(accepted)
    fates: list[Fate | None] = []
    for place in stated:
        fates.append(Fate.RIGHT if place in left else None)
        if place in left:
            left.remove(place)
    for index, place in enumerate(stated):
        if fates[index] is None:
            same = next((other for other in left if _parts(other) == _parts(place)), None)
            fates[index] = Fate.INVENTED if same is None else Fate.FLIPPED
            if same is not None:
                left.remove(same)
    return [fate for fate in fates if fate is not None], left


def lies_better_exchanged(stated: Sequence[Place], accepted: Sequence[Place]) -> bool:
    """Whether an answer agrees with the accepted contacts better with its two people exchanged."""

    def score(places: Sequence[Place]) -> tuple[int, int]:
        fates = Counter(compare(places, accepted)[0])
        return fates[Fate.RIGHT] + fates[Fate.FLIPPED], fates[Fate.RIGHT]

    return score([_exchanged(place) for place in stated]) > score(stated)


def _parts(place: Place) -> tuple[str, str]:
    return place[0], place[2]


def _exchanged(place: Place) -> Place:
    return place[2], place[3], place[0], place[1]


_OTHER = {"left": "right", "right": "left", "both": "both"}


def _stated(entry: Mapping[str, Any]) -> tuple[Place, Place]:
    """A contact of a stored answer, as stated and as the denoiser would have it."""
    (a, b), verdict = entry["contact"]["parts"], entry.get("suggestion")
    place = (a["name"], a["side"], b["name"], b["side"])
    if not verdict or not verdict["flipped"]:
        return place, place
    flips = verdict.get("flips", (True, True))
    sides = [_OTHER[part["side"]] if flip else part["side"] for part, flip in zip((a, b), flips, strict=True)]
    return place, (a["name"], sides[0], b["name"], sides[1])


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The fates of contacts, counted: `stated` = right + flipped + invented, `accepted` = right + flipped + missed."""

    right: int
    flipped: int
    invented: int
    missed: int

    @property
    def precision(self) -> Share:
        """Of the stated contacts, those that are right."""
        return Share(count=self.right, of=self.right + self.flipped + self.invented)

    @property
    def recall(self) -> Share:
        """Of the accepted contacts, those that were stated right."""
        return Share(count=self.right, of=self.right + self.flipped + self.missed)

    @property
    def hallucination(self) -> Share:
        """Of the stated contacts, those whose parts do not touch."""
        return Share(count=self.invented, of=self.right + self.flipped + self.invented)

    @property
    def side_flip(self) -> Share:
        """Of the stated contacts whose parts touch, those with a wrong side."""
        return Share(count=self.flipped, of=self.right + self.flipped)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rates of some answers, before and after the denoiser.

    Attributes:
        name: of the model, prompt, part or interaction. pairs, answers: how many these are from.
        exchanged: answers that were read with their people exchanged. simulated: all of the answers were.
    """

    name: str
    pairs: int
    answers: int
    exchanged: int
    simulated: bool
    before: Rates
    after: Rates


_BY = ("model", "prompt", "interaction")
_CODED = (*_BY, "source", "part_a", "part_b")
_COLUMNS: dict[str, Any] = {
    "pair": np.int64, "answer": np.int64, **dict.fromkeys(_CODED, np.int32), "before": np.int8, "after": np.int8,
    "exchanged": np.bool_, "simulated": np.bool_, "made_up": np.bool_,
}  # fmt: skip
"""One row for each contact that was stated or missed; ``simulated`` of the pair, ``made_up`` of the answer."""

_NONE = -1
"""Part and fate of the row that stands for an answer without any contact, on either side."""

_SOME = 500
_MOST_GROUPS = 200


class Insights:
    """The comparison of all accepted pairs of one workspace, kept in step with it: only what changed is read again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._seen: int | None = None
        self._names: dict[str, dict[str, int]] = {name: {} for name in _CODED}
        self._columns = {name: np.empty(0, kind) for name, kind in _COLUMNS.items()}

    def groups(self, by: str, *, source: str | None = None, simulated: bool | None = None) -> tuple[Group, ...]:
        """The rates by ``"all"``, ``"model"``, ``"prompt"``, ``"part"`` or ``"interaction"``, the most answers first.

        A contact counts for each of its two parts. `source` and `simulated` choose among the pairs.
        """
        with self._lock:
            self._follow()
            mask = np.ones(len(self._columns["pair"]), np.bool_)
            if source is not None:
                mask &= self._columns["source"] == self._names["source"].get(source, _NONE)
            if simulated is not None:
                mask &= self._columns["simulated"] == simulated
            return tuple(self._groups(by, np.flatnonzero(mask)))

    def _groups(self, by: str, rows: Int[np.ndarray, "rows"]) -> Iterator[Group]:
        columns = {name: column[rows] for name, column in self._columns.items()}
        if by == "all":
            yield _group("all answers", columns, np.ones(len(rows), np.bool_))
            return
        if by == "part":
            names = sorted(self._names["part_a"].keys() | self._names["part_b"].keys())
            codes = [[self._names[column].get(name, -2) for column in ("part_a", "part_b")] for name in names]
            masks = [(columns["part_a"] == a) | (columns["part_b"] == b) for a, b in codes]
        elif by in _BY:
            names = list(self._names[by])
            counts = np.bincount(columns[by], minlength=len(names))
            frequent = np.argsort(-counts, kind="stable")[:_MOST_GROUPS]
            names, masks = [names[code] for code in frequent], [columns[by] == code for code in frequent]
        else:
            raise ValueError(f"by must be all, model, prompt, part or interaction; got {by!r}")
        found = [_group(name, columns, mask) for name, mask in zip(names, masks, strict=True) if mask.any()]
        yield from sorted(found, key=lambda group: (-group.answers, group.name))

    # Keeping in step ------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        with self._database.read() as connection:
            oldest, latest = connection.execute(
                "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM queue_changes"
            ).fetchone()
            if self._seen is None or oldest > self._seen + 1:
                accepted = connection.execute("SELECT id FROM pairs WHERE state = 'accepted' ORDER BY id")
                self._columns = {name: np.empty(0, kind) for name, kind in _COLUMNS.items()}
                self._take(connection, [pair for (pair,) in accepted])
            elif latest > self._seen:
                changed = connection.execute("SELECT DISTINCT pair_id FROM queue_changes WHERE id > ?", (self._seen,))
                pairs = [pair for (pair,) in changed]
                keep = ~np.isin(self._columns["pair"], pairs)
                self._columns = {name: column[keep] for name, column in self._columns.items()}
                self._take(connection, pairs)
            self._seen = latest

    def _take(self, connection: sqlite3.Connection, pairs: Sequence[int]) -> None:
        parts: list[dict[str, np.ndarray]] = [self._columns]
        for first in range(0, len(pairs), _SOME):
            rows = list(self._rows(connection, pairs[first : first + _SOME]))
            if rows:
                named = zip(_COLUMNS, zip(*rows, strict=True), strict=True)
                parts.append({name: np.array(values, _COLUMNS[name]) for name, values in named})
        self._columns = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}

    def _rows(self, connection: sqlite3.Connection, pairs: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The rows of those of the pairs that are accepted, of each model and prompt the latest answer."""
        listed = (json.dumps(pairs),)
        accepted = connection.execute(
            "SELECT id, interaction, source, simulated FROM pairs "
            "WHERE state = 'accepted' AND id IN (SELECT value FROM json_each(?))",
            listed,
        )
        facts = {row["id"]: row for row in accepted}
        truths: dict[int, list[Place]] = {pair: [] for pair in facts}
        for pair, *place in connection.execute(
            "SELECT pair_id, part_a, side_a, part_b, side_b FROM contacts "
            "WHERE NOT dropped AND pair_id IN (SELECT value FROM json_each(?)) ORDER BY pair_id, position",
            listed,
        ):
            if pair in truths:
                truths[pair].append((place[0], place[1], place[2], place[3]))
        latest: dict[tuple[int, str, str, str], sqlite3.Row] = {}
        for row in connection.execute(
            "SELECT id, pair_id, asker, model, prompt_id, stated, simulated FROM answers "
            "WHERE status = 'ok' AND pair_id IN (SELECT value FROM json_each(?)) ORDER BY id",
            listed,
        ):
            if row["pair_id"] in facts:
                latest[row["pair_id"], row["asker"], row["model"], row["prompt_id"]] = row
        for (pair, asker, model, prompt), row in latest.items():
            fact = facts[pair]
            named = (("model", model or asker), ("prompt", prompt), ("interaction", fact["interaction"]))
            codes = [self._code(name, text) for name, text in (*named, ("source", fact["source"]))]
            contacts = [_stated(entry) for entry in json.loads(row["stated"])]
            for a, b, before, after, exchanged in _outcomes(contacts, truths[pair]):
                coded = [self._code(name, part) if part else _NONE for name, part in (("part_a", a), ("part_b", b))]
                flags = (exchanged, fact["simulated"], row["simulated"])
                yield pair, row["id"], *codes, *coded, before, after, *flags

    def _code(self, name: str, text: str) -> int:
        codes = self._names[name]
        return codes.setdefault(text, len(codes))


def _outcomes(
    contacts: Sequence[tuple[Place, Place]], accepted: Sequence[Place]
) -> Iterator[tuple[str, str, int, int, bool]]:
    """(part of A, part of B, fate before, fate after, read exchanged) of each contact; one empty row without any."""
    before, after = [list(places) for places in zip(*contacts, strict=True)] if contacts else ([], [])
    exchanged = lies_better_exchanged(before, accepted)
    if exchanged:
        before, after = [_exchanged(place) for place in before], [_exchanged(place) for place in after]
    fates, missed = compare(before, accepted)
    for place, first, second in zip(before, fates, compare(after, accepted)[0], strict=True):
        yield place[0], place[2], first, second, exchanged
    for place in missed:  # the denoiser changes no parts, so that the same are missed after it
        yield place[0], place[2], Fate.MISSED, Fate.MISSED, exchanged
    if not before and not missed:
        yield "", "", _NONE, _NONE, exchanged


def _group(name: str, columns: Mapping[str, np.ndarray], mask: Bool[np.ndarray, "rows"]) -> Group:
    answers = columns["answer"][mask]
    _, first = np.unique(answers, return_index=True)
    return Group(
        name=name,
        pairs=len(np.unique(columns["pair"][mask])),
        answers=len(first),
        exchanged=int(columns["exchanged"][mask][first].sum()),
        simulated=bool(columns["made_up"][mask].all()) and bool(mask.any()),
        before=_rates(columns["before"][mask]),
        after=_rates(columns["after"][mask]),
    )


def _rates(fates: Column) -> Rates:
    counts = np.bincount(fates[fates >= 0], minlength=len(Fate))
    return Rates(**{fate.name.lower(): int(counts[fate]) for fate in Fate})
