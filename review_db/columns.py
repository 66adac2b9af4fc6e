"""The queue in memory: one numpy column for each thing that it filters and sorts by, in step with the database.

A page or a count of a million pairs takes milliseconds this way, whatever the filter, where SQLite takes a tenth of a
second or more. `queue_changes`, which triggers write, tells which pairs changed, in this process or in another.
"""

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from review_db.database import sqlite3
from review_db.records import Order, PairFilter, PairState, PairSummary, Range

Mask = Bool[np.ndarray, "pairs"]

_STATES = tuple(PairState)
_ROWS = """
SELECT id, image_id, state, source, interaction, action, simulated, uncertainty, fit_error, fit_id IS NOT NULL, gap_m,
    coalesce(decider_id, 0), disagrees FROM pairs
"""
_TYPES: dict[str, Any] = {
    "id": np.int64, "image": np.int64, "state": np.uint8, "source": np.int32, "interaction": np.int32,
    "action": np.int32, "simulated": np.bool_, "uncertainty": np.float64, "fit_error": np.float64, "fitted": np.bool_,
    "gap_m": np.float64, "curator": np.int32, "disagrees": np.bool_,
}  # fmt: skip
_GIVEN = ("image", "source", "interaction", "action", "simulated", "uncertainty")
"""Columns that reviewing does not change."""

_NAMES_AT_ONCE = 1 << 16
_KEPT = 8


class Queue:
    """The columns of one database and what is asked of them; every method brings them up to date first.

    Methods take a connection inside a read transaction, never one that writes: what it has not committed may vanish.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: int | None = None
        self._columns: dict[str, np.ndarray] = {name: np.empty(0, kind) for name, kind in _TYPES.items()}
        self._texts = {name: _Texts() for name in ("source", "interaction", "action")}
        self._names = _Names()
        self._cache: dict[Any, np.ndarray] = {}

    def ids(
        self,
        connection: sqlite3.Connection,
        where: PairFilter,
        order: Order,
        *,
        seed: int = 0,
        after: PairSummary | None = None,
        backwards: bool = False,
        limit: int | None = None,
        without: Collection[int] = (),
    ) -> list[int]:
        """The pairs after (backwards: before) a place in the queue, or from its end; `without` leaves some out."""
        with self._lock:
            self._follow(connection)
            mask = self._matching(connection, where)
            mask[self._places(without)] = False
            index = np.flatnonzero(mask)
            keys, here = self._keys(connection, where, order, seed, after)
            keys = keys[index]
            if after is not None:
                before = self._before(index, keys, here, after)
                beyond = before if backwards else ~before & (self._columns["id"][index] != after.id)
                index, keys = index[beyond], keys[beyond]
            if backwards:
                index, keys = index[::-1], -keys[::-1]
            return self._columns["id"][index[_smallest(keys, limit)]].tolist()

    def count(self, connection: sqlite3.Connection, where: PairFilter) -> int:
        """How many pairs the queue has."""
        with self._lock:
            self._follow(connection)
            return int(np.count_nonzero(self._matching(connection, where)))

    def position(
        self, connection: sqlite3.Connection, place: PairSummary, where: PairFilter, order: Order, *, seed: int = 0
    ) -> int:
        """How many pairs of the queue stand before a place."""
        with self._lock:
            self._follow(connection)
            index = np.flatnonzero(self._matching(connection, where))
            keys, here = self._keys(connection, where, order, seed, place)
            return int(np.count_nonzero(self._before(index, keys[index], here, place)))

    def facets(self, connection: sqlite3.Connection, where: PairFilter) -> dict[str, dict[str, int]]:
        """How many pairs of the queue are in each state, of each source and of each interaction; none: left out."""
        with self._lock:
            self._follow(connection)
            index = np.flatnonzero(self._matching(connection, where))
            names: dict[str, Sequence[str]] = {"state": _STATES, "source": [], "interaction": []}
            names |= {name: texts.texts for name, texts in self._texts.items() if name in names}
            counts = {name: np.bincount(self._columns[name][index], minlength=len(names[name])) for name in names}
        return {
            facet: {str(name): int(count) for name, count in zip(names[facet], counts[facet], strict=True) if count}
            for facet in names
        }

    # Keeping in step ------------------------------------------------------------------------------------------------

    def _follow(self, connection: sqlite3.Connection) -> None:
        """Take over what has changed since the last time, all of it where too much has."""
        oldest, latest = (
            connection.execute(f"SELECT coalesce({end}(id), 0) FROM queue_changes").fetchone()[0]  # noqa: S608
            for end in ("min", "max")
        )
        if self._seen is None or (latest > self._seen and oldest > self._seen + 1):
            self._columns = self._read(connection, _ROWS + "ORDER BY id", ())
            self._names = _Names()
            self._cache.clear()
        elif latest > self._seen:
            changed = connection.execute("SELECT DISTINCT pair_id FROM queue_changes WHERE id > ?", (self._seen,))
            pairs = sorted(pair for (pair,) in changed)
            listed = _ROWS + "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"  # noqa: S608
            self._take(pairs, self._read(connection, listed, (json.dumps(pairs),)))
        self._seen = max(latest, self._seen or 0)  # another thread may have seen more than this transaction does

    def _read(self, connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> dict[str, np.ndarray]:
        cursor = connection.cursor()
        cursor.row_factory = None
        parts: list[dict[str, np.ndarray]] = []
        code: dict[str, Callable[[str], int]] = {name: texts.code for name, texts in self._texts.items()}
        code["state"] = {state.value: number for number, state in enumerate(_STATES)}.__getitem__
        cursor.execute(sql, values)
        while rows := cursor.fetchmany(_NAMES_AT_ONCE):
            named = zip(_TYPES, zip(*rows, strict=True), strict=True)
            coded = {name: list(map(code[name], column)) if name in code else column for name, column in named}
            parts.append({name: np.array(column, _TYPES[name]) for name, column in coded.items()})
        return {name: np.concatenate([np.empty(0, kind), *(p[name] for p in parts)]) for name, kind in _TYPES.items()}

    def _take(self, changed: list[int], rows: Mapping[str, np.ndarray]) -> None:
        columns, ids = self._columns, rows["id"]
        places, known = _find(columns["id"], ids)
        places = places[known]
        if not known.all() or any((columns[name][places] != rows[name][known]).any() for name in _GIVEN):
            self._cache.clear()
        for name, column in columns.items():
            column[places] = rows[name][known]
        if not known.all():
            columns = {name: np.concatenate([column, rows[name][~known]]) for name, column in columns.items()}
            by_id = np.argsort(columns["id"], kind="stable")
            self._columns = {name: column[by_id] for name, column in columns.items()}
        if len(ids) < len(changed):
            gone = self._places(set(changed) - set(ids.tolist()))
            self._columns = {name: np.delete(column, gone) for name, column in self._columns.items()}
            self._names = _Names()
            self._cache.clear()

    def _places(self, pairs: Collection[int]) -> Int[np.ndarray, "some"]:
        """Where those of the pairs stand that are there."""
        places, known = _find(self._columns["id"], np.array(sorted(pairs), np.int64))
        return places[known]

    # Filters --------------------------------------------------------------------------------------------------------

    def _matching(self, connection: sqlite3.Connection, where: PairFilter) -> Mask:
        """The pairs of a filter, a mask of the caller's own."""
        columns = self._columns
        mask = self._given(connection, where).copy()
        if where.states is not None:
            mask &= np.array([state in where.states for state in _STATES])[columns["state"]]
        if where.disagrees is not None:
            mask &= columns["disagrees"] == where.disagrees
        if where.curator is not None:
            row = connection.execute("SELECT id FROM curators WHERE name = ?", (where.curator,)).fetchone()
            mask &= columns["curator"] == (row[0] if row else -1)
        if where.gap_m is not None:
            mask &= _within(columns["gap_m"], where.gap_m)
        if where.reprojection is not None:
            mask &= _within(columns["fit_error"], where.reprojection) & columns["fitted"]
        return mask

    def _given(self, connection: sqlite3.Connection, where: PairFilter) -> Mask:
        """The part of a filter that reviewing does not change, kept for the next page."""
        kept = replace(where, states=None, disagrees=None, curator=None, gap_m=None, reprojection=None)
        return self._kept(("given", kept), lambda: self._find_given(connection, kept))

    def _find_given(self, connection: sqlite3.Connection, where: PairFilter) -> Mask:
        columns, texts = self._columns, self._texts
        mask = np.ones(len(columns["id"]), np.bool_)
        if where.source is not None:
            mask &= texts["source"].among((where.source,))[columns["source"]]
        if where.interactions is not None:
            mask &= texts["interaction"].among(where.interactions)[columns["interaction"]]
        if where.simulated is not None:
            mask &= columns["simulated"] == where.simulated
        if where.image is not None:
            mask &= columns["image"] == where.image
        if where.confidence is not None:
            mask &= _within(1 - columns["uncertainty"], where.confidence)
        if where.text:
            part = where.text.encode().lower()
            self._names.follow(connection)
            found = self._names.containing(part, columns["image"])
            for name in ("action", "interaction"):
                found |= texts[name].containing(part)[columns[name]]
            mask &= found
        return mask

    def _kept(self, key: Any, find: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._cache:
            while len(self._cache) >= _KEPT:
                self._cache.pop(next(iter(self._cache)))
            self._cache[key] = find()
        return self._cache[key]

    # Orders ---------------------------------------------------------------------------------------------------------

    def _keys(
        self, connection: sqlite3.Connection, where: PairFilter, order: Order, seed: int, place: PairSummary | None
    ) -> tuple[Float[np.ndarray, "pairs"], float]:
        """What an order sorts by, smallest first, then by id; and that of a place as it was when it was read."""
        columns = self._columns
        if order in (Order.UNCERTAIN, Order.WORST_FIT):
            name = "uncertainty" if order is Order.UNCERTAIN else "fit_error"
            return -columns[name], -getattr(place, name) if place else 0.0
        if order is Order.RANDOM:
            keys = self._kept(("random", seed), lambda: _chances(columns["id"], seed))
            return keys, float(_chances(np.array([place.id]), seed)[0]) if place else 0.0
        if order is Order.STRATIFIED:
            given = self._given(connection, where)
            kept = replace(where, states=None, disagrees=None, curator=None, gap_m=None, reprojection=None)
            keys = self._kept(("stratified", kept), lambda: self._turns(given))
            here = keys[self._places((place.id,) if place else ())]
            return keys, float(here[0]) if len(here) else -1.0
        return np.zeros(len(columns["id"])), 0.0

    def _turns(self, mask: Mask) -> Float[np.ndarray, "pairs"]:
        """Sort keys that take one pair of each interaction in turn, counting those of the mask.

        The mask does not depend on the work that is done, so that work on a pair moves no place.
        """
        columns = self._columns
        by_interaction = self._kept("strata", lambda: np.lexsort((-columns["uncertainty"], columns["interaction"])))
        code, member = columns["interaction"][by_interaction], mask[by_interaction]
        before = np.cumsum(member) - member
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        rank = before - np.repeat(before[starts], np.diff(starts, append=len(code)))
        alphabetical = np.argsort(np.argsort(np.array(self._texts["interaction"].texts, dtype=object)))
        keys = np.empty(len(code))
        keys[by_interaction] = rank * len(alphabetical) + alphabetical[code]
        return keys

    def _before(self, index: np.ndarray, keys: np.ndarray, here: float, place: PairSummary) -> Mask:
        return (keys < here) | ((keys == here) & (self._columns["id"][index] < place.id))


class _Texts:
    """Texts that many pairs share, as small numbers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The number of a text, which is added when new."""
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code

    def among(self, wanted: Collection[str]) -> Bool[np.ndarray, "texts"]:
        """Which texts are among those wanted."""
        return np.array([text in wanted for text in self.texts], np.bool_)

    def containing(self, part: bytes) -> Bool[np.ndarray, "texts"]:
        """Which texts contain a part, which is in lower case."""
        return np.array([part in text.encode().lower() for text in self.texts], np.bool_)


class _Names:
    """The names of all images, in blocks of arrays of bytes."""

    def __init__(self) -> None:
        self._blocks: list[tuple[Int[np.ndarray, "names"], np.ndarray]] = []
        self._last: tuple[int, str] = (0, "")

    def follow(self, connection: sqlite3.Connection) -> None:
        """Take over new images."""
        number, name = self._last
        row = connection.execute("SELECT name FROM images WHERE id = ?", (number,)).fetchone()
        if number and (row is None or row[0] != name):  # it was removed, and its number may have been given again
            self.__init__()
        rows = connection.execute("SELECT id, name FROM images WHERE id > ? ORDER BY id", (self._last[0],))
        while some := rows.fetchmany(_NAMES_AT_ONCE):
            ids, names = zip(*some, strict=True)
            self._blocks.append((np.array(ids), np.array([name.encode().lower() for name in names])))
            self._last = (ids[-1], names[-1])

    def containing(self, part: bytes, images: Int[np.ndarray, "pairs"]) -> Mask:
        """The pairs of images whose name contains a part, which is in lower case."""
        found = np.zeros(max(self._last[0], int(images.max(initial=0))) + 1, np.bool_)
        for ids, names in self._blocks:
            found[ids[np.strings.find(names, part) >= 0]] = True
        return found[images]


def _find(
    ids: Int[np.ndarray, "pairs"], wanted: Int[np.ndarray, "some"]
) -> tuple[Int[np.ndarray, "some"], Bool[np.ndarray, "some"]]:
    """Where in ascending ids those wanted are or would be, and which of them are there."""
    places = np.searchsorted(ids, wanted)
    if not len(ids):
        return places, np.zeros(len(wanted), np.bool_)
    return places, ids[np.minimum(places, len(ids) - 1)] == wanted


def _within(values: Float[np.ndarray, "pairs"], limits: Range) -> Mask:
    low, high = limits
    return (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high))


def _smallest(keys: Float[np.ndarray, "some"], limit: int | None) -> Int[np.ndarray, "few"]:
    """Where the smallest keys are, in order; ties in the order that they have."""
    if limit is None or limit >= len(keys):
        return np.argsort(keys, kind="stable")
    if limit <= 0:
        return np.empty(0, np.int64)
    last = np.partition(keys, limit - 1)[limit - 1]
    below = np.flatnonzero(keys < last)
    chosen = np.concatenate([below, np.flatnonzero(keys == last)[: limit - len(below)]])
    return chosen[np.argsort(keys[chosen], kind="stable")]


def _chances(ids: Int[np.ndarray, "pairs"], seed: int) -> Float[np.ndarray, "pairs"]:
    """A number in [0, 1) of each id, the same for the same seed (the finaliser of SplitMix64; Steele et al. 2014)."""
    mixed = ids.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
