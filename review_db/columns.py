"""The queue in memory: one numpy column for each thing that it filters and sorts by, in step with the database.

A page or a count of a million pairs takes milliseconds this way, whatever the filter, where SQLite takes a tenth of a
second or more. `queue_changes`, which triggers write, tells which pairs changed, in this process or in another. The
columns of many pairs are kept in the database (`queue_columns`), because reading the rows takes seconds.
"""

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from review_db.database import sqlite3
from review_db.records import EVERY_PAIR, Order, PairFilter, PairState, PairSummary, Place, Range

Mask = Bool[np.ndarray, "pairs"]

_STATES = tuple(PairState)
_ROWS = """
SELECT id, image_id, state, source, interaction, action, simulated, -uncertainty, -fit_error, fit_id IS NOT NULL, gap_m,
    coalesce(decider_id, 0), disagrees FROM pairs
"""
_TYPES: dict[str, Any] = {
    "id": np.int64, "image": np.int64, "state": np.uint8, "source": np.int32, "interaction": np.int32,
    "action": np.int32, "simulated": np.bool_, "certainty": np.float64, "fit": np.float64, "fitted": np.bool_,
    "gap_m": np.float64, "curator": np.int32, "disagrees": np.bool_,
}  # fmt: skip
"""``certainty`` and ``fit`` are -`PairSummary.uncertainty` and -`PairSummary.fit_error`: the smallest comes first."""

_GIVEN = ("image", "source", "interaction", "action", "simulated", "certainty")
"""Columns that reviewing does not change."""

_WORKED_ON = ("state", "disagrees", "curator", "gap_m", "fit", "fitted")
"""Columns of filters that it does."""

_ALL = slice(None)
_LOOK_FIRST = 1 << 8
_LOOK_AT = 1 << 15
"""After so many pairs in vain it is quicker to look at all of them at once."""

_MOVES = 1000
"""So many pairs at most change their place in a sorting; for more it is made anew."""

_SORTED_BY = {Order.UNCERTAIN: "certainty", Order.WORST_FIT: "fit"}
_SORTINGS = 6
_ROWS_AT_ONCE = 1 << 16

KEEP_FROM = 50_000
"""So many pairs make it worth keeping their columns, and a quarter as many changes keeping them again."""


class Queue:
    """The columns of one database and what is asked of them; every method brings them up to date first.

    Methods take a connection inside a read transaction, never one that writes: what it has not committed may vanish.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: int | None = None
        self._kept: int | None = None
        self._columns: dict[str, np.ndarray] = {name: np.empty(0, kind) for name, kind in _TYPES.items()}
        self._texts = {name: _Texts() for name in ("source", "interaction", "action")}
        self._names = _Names()
        self._givens, self._turns = _Kept(8), _Kept(4)
        self._chances, self._strata = _Kept(2), _Kept(1)
        self._sortings: dict[Any, _Sorting] = {}
        self._asked_once: Any = None

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
            ids, away = self._columns["id"], self._places(without)
            keys, here = self._keys(connection, where, order, seed, after)
            sorting = self._sorting(where, order, seed, keys) if limit is not None else None
            if sorting is not None and limit is not None:
                found = self._walk(connection, where, sorting, here, after, away, limit, backwards=backwards)
                if found is not None:
                    return ids[found].tolist()
            mask = self._matching(connection, where)
            mask[away] = False
            if after is not None and backwards:
                mask &= keys <= here
                rest = slice(np.searchsorted(ids, after.id), None)
                mask[rest] &= keys[rest] != here
            elif after is not None:
                mask &= keys >= here
                rest = slice(None, np.searchsorted(ids, after.id, side="right"))
                mask[rest] &= keys[rest] != here
            return ids[_first(mask, keys, limit, backwards=backwards)].tolist()

    def count(self, connection: sqlite3.Connection, where: PairFilter, *, without: Collection[int] = ()) -> int:
        """How many pairs the queue has; `without` leaves some out, here and below."""
        with self._lock:
            self._follow(connection)
            return int(np.count_nonzero(self._matching_but(connection, where, without)))

    def place(
        self,
        connection: sqlite3.Connection,
        pair: PairSummary,
        where: PairFilter,
        order: Order,
        *,
        seed: int = 0,
        without: Collection[int] = (),
    ) -> Place:
        """Where a pair stands in the queue, and how long that is."""
        with self._lock:
            self._follow(connection)
            mask = self._matching_but(connection, where, without)
            keys, here = self._keys(connection, where, order, seed, pair)
            ties = slice(None, np.searchsorted(self._columns["id"], pair.id))
            before = np.count_nonzero(mask & (keys < here)) + np.count_nonzero(mask[ties] & (keys[ties] == here))
            inside = bool(mask[self._places((pair.id,))].any())
            return Place(before=int(before), total=int(np.count_nonzero(mask)), inside=inside)

    def facets(
        self, connection: sqlite3.Connection, where: PairFilter, *, without: Collection[int] = ()
    ) -> dict[str, dict[str, int]]:
        """How many pairs of the queue are in each state, of each source, of each interaction, decided by each curator.

        What none of them has is left out.
        """
        with self._lock:
            self._follow(connection)
            index = np.flatnonzero(self._matching_but(connection, where, without))
            names: dict[str, Sequence[str]] = {"state": _STATES, "source": [], "interaction": []}
            names |= {name: texts.texts for name, texts in self._texts.items() if name in names}
            names["curator"] = _curators(connection)
            counts = {name: np.bincount(self._columns[name][index], minlength=len(names[name])) for name in names}
        counts["curator"][0] = 0  # nobody's
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
        if self._seen is None:
            self._seen = self._kept = self._recall(connection)
        if self._seen is None or (latest > self._seen and oldest > self._seen + 1):
            self._kept = None
            self._columns = self._read(connection, _ROWS + "ORDER BY id", ())
            self._names = _Names()
            self._sortings.clear()
            self._forget()
        elif latest > self._seen:
            changed = connection.execute("SELECT DISTINCT pair_id FROM queue_changes WHERE id > ?", (self._seen,))
            pairs = sorted(pair for (pair,) in changed)
            listed = _ROWS + "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"  # noqa: S608
            self._take(pairs, self._read(connection, listed, (json.dumps(pairs),)))
        self._seen = max(latest, self._seen or 0)  # another thread may have seen more than this transaction does

    @property
    def is_worth_keeping(self) -> bool:
        """The columns took long to read, or have changed much since they were kept."""
        if self._seen is None or len(self._columns["id"]) < KEEP_FROM:
            return False
        return self._kept is None or self._seen > self._kept + KEEP_FROM // 4

    def keep(self, connection: sqlite3.Connection) -> None:
        """Store the columns for the next process, in a write transaction."""
        with self._lock:
            self._kept = self._seen
            texts = json.dumps({name: texts.texts for name, texts in self._texts.items()}).encode()
            rows = {"texts": texts} | {name: column.tobytes() for name, column in self._columns.items()}
            connection.executemany(
                "REPLACE INTO queue_columns (name, change, data) VALUES (?, ?, ?)",
                [(name, self._seen, data) for name, data in rows.items()],
            )

    def _recall(self, connection: sqlite3.Connection) -> int | None:
        """Take the columns over that were kept; gives the change up to which they go, None where there are none."""
        rows = connection.execute("SELECT name, change, data FROM queue_columns").fetchall()
        data, changes = {name: value for name, _, value in rows}, {change for _, change, _ in rows}
        if data.keys() != {"texts", *_TYPES} or len(changes) != 1:
            return None
        try:
            columns = {name: np.frombuffer(data[name], kind).copy() for name, kind in _TYPES.items()}
            texts = {name: _Texts(each) for name, each in json.loads(data["texts"]).items()}
            sizes = {"state": len(_STATES)} | {name: len(texts[name].texts) for name in self._texts}
        except (ValueError, TypeError, AttributeError, KeyError):
            return None
        in_step = len({len(column) for column in columns.values()}) == 1 and bool((np.diff(columns["id"]) > 0).all())
        if not in_step or any(
            (columns[name] >= size).any() or (columns[name] < 0).any() for name, size in sizes.items()
        ):
            return None
        self._columns, self._texts = columns, texts
        return changes.pop()

    def _read(self, connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> dict[str, np.ndarray]:
        cursor = connection.cursor()
        cursor.row_factory = None
        parts: list[dict[str, np.ndarray]] = []
        code: dict[str, Callable[[str], int]] = {name: texts.code for name, texts in self._texts.items()}
        code["state"] = {state.value: number for number, state in enumerate(_STATES)}.__getitem__
        cursor.execute(sql, values)
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            named = zip(_TYPES, zip(*rows, strict=True), strict=True)
            coded = {name: list(map(code[name], column)) if name in code else column for name, column in named}
            parts.append({name: np.array(column, _TYPES[name]) for name, column in coded.items()})
        return {name: np.concatenate([np.empty(0, kind), *(p[name] for p in parts)]) for name, kind in _TYPES.items()}

    def _take(self, changed: list[int], rows: Mapping[str, np.ndarray]) -> None:
        columns, ids = self._columns, rows["id"]
        places, known = _find(columns["id"], ids)
        places = places[known]
        self._move(places, {name: rows[name][known] for name in ("certainty", "fit")})
        if not known.all() or any((columns[name][places] != rows[name][known]).any() for name in _GIVEN):
            self._forget()
        for name, column in columns.items():
            column[places] = rows[name][known]
        if not known.all():
            columns = {name: np.concatenate([column, rows[name][~known]]) for name, column in columns.items()}
            by_id = np.argsort(columns["id"], kind="stable")
            self._columns = {name: column[by_id] for name, column in columns.items()}
            self._sortings.clear()
        if len(ids) < len(changed):
            gone = self._places(set(changed) - set(ids.tolist()))
            self._columns = {name: np.delete(column, gone) for name, column in self._columns.items()}
            self._names = _Names()
            self._kept = None
            self._sortings.clear()
            self._forget()

    def _forget(self) -> None:
        """What was found of the given columns holds no longer."""
        for kept in (self._givens, self._turns, self._chances, self._strata):
            kept.clear()
        for key in [key for key in self._sortings if isinstance(key, PairFilter)]:
            del self._sortings[key]

    def _places(self, pairs: Collection[int]) -> Int[np.ndarray, "some"]:
        """Where those of the pairs stand that are there."""
        places, known = _find(self._columns["id"], np.array(sorted(pairs), np.int64))
        return places[known]

    # Filters --------------------------------------------------------------------------------------------------------

    def _matching(
        self, connection: sqlite3.Connection, where: PairFilter, places: Int[np.ndarray, "some"] | slice = _ALL
    ) -> Bool[np.ndarray, "some"]:
        """Which pairs of those places pass a filter; a mask of the caller's own."""
        columns = {name: self._columns[name][places] for name in _WORKED_ON}
        if _given(where) == EVERY_PAIR:
            mask = np.ones(len(columns["state"]), np.bool_)
        else:
            mask = self._given(connection, where)[places].copy()
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
            low, high = where.reprojection
            limits = (None if high is None else -high, None if low is None else -low)
            mask &= _within(columns["fit"], limits) & columns["fitted"]
        return mask

    def _matching_but(self, connection: sqlite3.Connection, where: PairFilter, without: Collection[int]) -> Mask:
        mask = self._matching(connection, where)
        mask[self._places(without)] = False
        return mask

    def _given(self, connection: sqlite3.Connection, where: PairFilter) -> Mask:
        """The part of a filter that reviewing does not change, kept for the next page."""
        kept = _given(where)
        return self._givens.find(kept, lambda: self._find_given(connection, kept))

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
            mask &= _within(1 + columns["certainty"], where.confidence)
        if where.text:
            part = where.text.encode().lower()
            self._names.follow(connection)
            found = self._names.containing(part, columns["image"])
            for name in ("action", "interaction"):
                found |= texts[name].containing(part)[columns[name]]
            mask &= found
        return mask

    # Orders ---------------------------------------------------------------------------------------------------------

    def _keys(
        self, connection: sqlite3.Connection, where: PairFilter, order: Order, seed: int, place: PairSummary | None
    ) -> tuple[Float[np.ndarray, "pairs"], float]:
        """What an order sorts by, smallest first, then by id; and that of a place as it was when it was read."""
        columns = self._columns
        if order in (Order.UNCERTAIN, Order.WORST_FIT):
            name, read = ("certainty", "uncertainty") if order is Order.UNCERTAIN else ("fit", "fit_error")
            return columns[name], -getattr(place, read) if place else 0.0
        if order is Order.RANDOM:
            keys = self._chances.find(seed, lambda: chances(columns["id"], seed))
            return keys, float(chances(np.array([place.id]), seed)[0]) if place else 0.0
        if order is Order.STRATIFIED:
            given = self._given(connection, where)
            keys = self._turns.find(_given(where), lambda: self._find_turns(given))
            here = keys[self._places((place.id,) if place else ())]
            return keys, float(here[0]) if len(here) else -1.0
        return np.zeros(len(columns["id"])), 0.0

    def _sorting(
        self, where: PairFilter, order: Order, seed: int, keys: Float[np.ndarray, "pairs"]
    ) -> "_Sorting | None":
        """The pairs in an order; None: not yet, of an order that is asked for the first time and may be the last."""
        key = {Order.RANDOM: (order, seed), Order.STRATIFIED: _given(where)}.get(order, _SORTED_BY.get(order, order))
        if key not in self._sortings:
            if order in (Order.RANDOM, Order.STRATIFIED) and self._asked_once != key:
                self._asked_once = key
                return None
            while len(self._sortings) >= _SORTINGS:
                del self._sortings[next(iter(self._sortings))]
            self._sortings[key] = _Sorting(keys)
        return self._sortings[key]

    def _move(self, places: Int[np.ndarray, "some"], keys: Mapping[str, Float[np.ndarray, "some"]]) -> None:
        """Let pairs whose keys change take their new places in the sortings."""
        for name, new in keys.items():
            old = self._columns[name][places]
            moved = old != new
            if name in self._sortings and moved.sum() > _MOVES:
                del self._sortings[name]
            elif name in self._sortings and moved.any():
                self._sortings[name].move(places[moved], old[moved], new[moved])

    def _walk(
        self,
        connection: sqlite3.Connection,
        where: PairFilter,
        sorting: "_Sorting",
        here: float,
        after: PairSummary | None,
        away: Int[np.ndarray, "few"],
        limit: int,
        *,
        backwards: bool,
    ) -> Int[np.ndarray, "few"] | None:
        """Go on from a place, looking only at those that come next; None: so few match that this takes too long."""
        ids, rows = self._columns["id"], sorting.rows
        at = len(rows) if backwards else 0
        if after is not None:
            at = sorting.place(here, int(np.searchsorted(ids, after.id, side="left" if backwards else "right")))
        found, size, left = np.empty(0, rows.dtype), _LOOK_FIRST, _LOOK_AT
        while len(found) < limit and left > 0:
            some = rows[max(at - size, 0) : at][::-1] if backwards else rows[at : at + size]
            if not len(some):
                return found
            match = self._matching(connection, where, some) & ~np.isin(some, away)
            found = np.concatenate([found, some[match]])
            at += -size if backwards else size
            if at <= 0 and backwards:
                return found[:limit]
            left, size = left - size, size * 2
        return found[:limit] if len(found) >= limit else None

    def _find_turns(self, mask: Mask) -> Float[np.ndarray, "pairs"]:
        """Sort keys that take one pair of each interaction in turn, counting those of the mask.

        The mask does not depend on the work that is done, so that work on a pair moves no place.
        """
        columns = self._columns
        by_interaction = self._strata.find(0, lambda: np.lexsort((columns["certainty"], columns["interaction"])))
        code, member = columns["interaction"][by_interaction], mask[by_interaction]
        before = np.cumsum(member) - member
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        rank = before - np.repeat(before[starts], np.diff(starts, append=len(code)))
        alphabetical = np.argsort(np.argsort(np.array(self._texts["interaction"].texts, dtype=object)))
        keys = np.empty(len(code))
        keys[by_interaction] = rank * len(alphabetical) + alphabetical[code]
        return keys


class _Sorting:
    """The places of pairs by their keys, ties by place."""

    def __init__(self, keys: Float[np.ndarray, "pairs"]) -> None:
        self.rows = np.argsort(keys, kind="stable")
        self._keys = keys[self.rows]

    def place(self, key: float, row: int) -> int:
        """Where a row of that key is, or would be."""
        first, end = np.searchsorted(self._keys, key), np.searchsorted(self._keys, key, side="right")
        return int(first + np.searchsorted(self.rows[first:end], row))

    def move(
        self, rows: Int[np.ndarray, "some"], old: Float[np.ndarray, "some"], new: Float[np.ndarray, "some"]
    ) -> None:
        """Let rows take the places of their new keys."""
        places = [self.place(key, row) for key, row in zip(old, rows, strict=True)]
        self.rows, self._keys = np.delete(self.rows, places), np.delete(self._keys, places)
        by_key = np.lexsort((rows, new))
        rows, new = rows[by_key], new[by_key]
        places = [self.place(key, row) for key, row in zip(new, rows, strict=True)]
        self.rows, self._keys = np.insert(self.rows, places, rows), np.insert(self._keys, places, new)


class _Kept(dict[Any, np.ndarray]):
    """The latest few arrays that were found."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def find(self, key: Any, how: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, found again only where it is none of the latest."""
        array = self.pop(key) if key in self else how()
        while len(self) >= self._most:
            del self[next(iter(self))]
        self[key] = array
        return array


class _Texts:
    """Texts that many pairs share, as small numbers."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self._codes = {text: code for code, text in enumerate(self.texts)}

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
        self._last: tuple[int, bytes] = (0, b"")

    def follow(self, connection: sqlite3.Connection) -> None:
        """Take over new images."""
        select = "SELECT id, CAST(lower(name) AS BLOB) FROM images"
        last = connection.execute(f"{select} WHERE id = ?", self._last[:1]).fetchone()
        if self._blocks and (last is None or tuple(last) != self._last):
            self.__init__()  # it was removed, and its number may have been given again
        rows = connection.cursor()
        rows.row_factory = None
        rows.execute(f"{select} WHERE id > ? ORDER BY id", self._last[:1])
        while some := rows.fetchmany(_ROWS_AT_ONCE):
            ids, names = zip(*some, strict=True)
            self._blocks.append((np.array(ids), np.array(names)))
            self._last = some[-1]

    def containing(self, part: bytes, images: Int[np.ndarray, "pairs"]) -> Mask:
        """The pairs of images whose name contains a part, which is in lower case."""
        found = np.zeros(max(self._last[0], int(images.max(initial=0))) + 1, np.bool_)
        for ids, names in self._blocks:
            found[ids[np.strings.find(names, part) >= 0]] = True
        return found[images]


def _curators(connection: sqlite3.Connection) -> list[str]:
    """Their names by number, empty where a number is nobody's."""
    numbered = dict(map(tuple, connection.execute("SELECT id, name FROM curators")))
    return [numbered.get(number, "") for number in range(max(numbered, default=0) + 1)]


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


def _given(where: PairFilter) -> PairFilter:
    """The part of a filter that reviewing does not change."""
    return replace(where, states=None, disagrees=None, curator=None, gap_m=None, reprojection=None)


def _first(
    mask: Mask, keys: Float[np.ndarray, "pairs"], limit: int | None, *, backwards: bool
) -> Int[np.ndarray, "few"]:
    """Where the smallest keys of a mask are, in order, ties by place; `backwards` the other way round."""
    if limit == 1 and mask.any():  # the next pair, without copies
        if backwards:
            return np.array([len(keys) - 1 - np.where(mask, keys, -np.inf)[::-1].argmax()])
        return np.array([np.where(mask, keys, np.inf).argmin()])
    index = np.flatnonzero(mask)
    keys = keys[index]
    if backwards:
        index, keys = index[::-1], -keys[::-1]
    return index[_smallest(keys, limit)]


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


def chances(ids: Int[np.ndarray, "pairs"], seed: int) -> Float[np.ndarray, "pairs"]:
    """A number in [0, 1) of each id, the same for the same seed (the finaliser of SplitMix64; Steele et al. 2014)."""
    mixed = ids.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
