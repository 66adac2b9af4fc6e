"""Blind studies: which of two meshes of a pair people prefer, without knowing which method made them.

A study keeps its meshes, so that later edits and fits do not change what was rated. Shared items are rated by every
rater, own items by one each, checks (one of the meshes obviously wrong) by every rater. Order and sides are drawn from
the study's seed for each rater anew.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from apu.errors import StoreError
from apu.types import BodyParams
from review_db.codec import pack, unpack
from review_db.database import Database, insert, now, one, sqlite3
from review_db.preference import Rating
from review_db.sheets import curator_id

METHODS = ("start", "no contacts", "automatic", "curated")
"""Whose meshes can be compared in every workspace; beside them the methods that stored fits name (`fitted_by`)."""

WRONG = "wrong"
"""The method of an attention check."""

Side = Literal["left", "right", "same"]


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study.

    Attributes:
        methods: compared in it. own: how many items only this rater gets, each. pairs, meshes: how many it has;
            `meshes_needed`: how many it is to have. items: shared ones and checks. ratings: given so far.
    """

    id: int
    name: str
    owner: str
    seed: int
    methods: tuple[str, ...]
    own: int
    made_at: str
    closed_at: str | None
    pairs: int
    meshes: int
    meshes_needed: int
    items: int
    ratings: int


@dataclass(frozen=True, kw_only=True)
class StudyItem:
    """What a rater is shown next: a pair, with the method on the left and on the right; never to be told to them."""

    id: int
    pair: int
    left: str
    right: str


_STUDIES = """
SELECT s.*, u.name AS owner,
    (SELECT count(DISTINCT pair_id) FROM study_items WHERE study_id = s.id) AS pairs,
    (SELECT count(*) FROM study_meshes WHERE study_id = s.id) AS meshes,
    (SELECT count(*) FROM (SELECT pair_id, a FROM study_items WHERE study_id = s.id
        UNION SELECT pair_id, b FROM study_items WHERE study_id = s.id)) AS meshes_needed,
    (SELECT count(*) FROM study_items WHERE study_id = s.id AND kind <> 'own') AS items,
    (SELECT count(*) FROM study_ratings r JOIN study_items i ON i.id = r.item_id WHERE i.study_id = s.id) AS ratings
FROM studies s JOIN curators u ON u.id = s.owner_id
"""
_READY = """
(SELECT count(*) FROM study_meshes m
    WHERE m.study_id = i.study_id AND m.pair_id = i.pair_id AND m.method IN (i.a, i.b)) = 2
"""

_ADD_MESH = "INSERT OR IGNORE INTO study_meshes (study_id, pair_id, method, body, params) VALUES (?, ?, ?, ?, ?)"


# A fit says by its options whose it is; those of this program's own engine name no method.
_NAMED = """
SELECT DISTINCT json_extract(options, '$.method') AS method, pair_id FROM fits
WHERE json_type(options, '$.method') = 'text' ORDER BY method, pair_id
"""


def fitted_by(database: Database) -> dict[str, tuple[int, ...]]:
    """The methods that stored fits name in their options (``"method"``), each with the pairs that it has fitted.

    Whatever makes or brings in a fit takes part in studies that way.
    """
    with database.read() as connection:
        rows = connection.execute(_NAMED).fetchall()
    found: dict[str, list[int]] = {}
    for row in rows:
        if row["method"].strip() and row["method"] not in (*METHODS, WRONG):
            found.setdefault(row["method"], []).append(row["pair_id"])
    return {method: tuple(pairs) for method, pairs in found.items()}


class Studies:
    """The studies of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        owner: str,
        pairs: Sequence[int],
        methods: Sequence[str],
        *,
        shared: int,
        own: int,
        checks: int,
        seed: int = 0,
    ) -> int:
        """Make a study; gives its id. Its meshes are added later (`add_mesh`).

        Args:
            name: of the study. owner: who makes it.
            pairs: to draw from; those that one of `fitted_by` has not fitted are left out.
            methods: at least two of `METHODS` and `fitted_by`.
            shared: pairs that every rater sees, with every two methods. own: items that each rater has alone, each of
                another pair. checks: attention checks. seed: of everything drawn.

        Raises:
            ValueError: an argument is none of these, or there are too few pairs.
        """
        fitted = fitted_by(self._database)
        known = [*METHODS, *fitted]
        if not name.strip() or len(set(methods)) < 2 or not set(methods) <= set(known):
            raise ValueError(f"a study needs a name and two or more of the methods {', '.join(known)}")
        for method in set(methods) & set(fitted):
            pairs = sorted(set(pairs) & set(fitted[method]))
        if min(shared, own, checks) < 0 or shared + own < 1 or len(pairs) < shared + bool(own) or checks > len(pairs):
            raise ValueError(f"{len(pairs)} pairs are too few for {shared} shared ones, {own} own and {checks} checks")
        draw = random.Random(seed)  # noqa: S311 - drawn to be repeatable
        drawn = sorted(set(pairs))
        draw.shuffle(drawn)
        duels = list(combinations(sorted(methods, key=known.index), 2))
        items = [(pair, "shared", *duel) for pair in drawn[:shared] for duel in duels]
        if own:
            items += [(pair, "own", *duels[place % len(duels)]) for place, pair in enumerate(drawn[shared:])]
        items += [(pair, "check", max(methods, key=known.index), WRONG) for pair in draw.sample(drawn, checks)]
        with self._database.write() as connection:
            row = {"name": name.strip(), "owner_id": curator_id(connection, owner), "seed": seed, "own": own}
            study = insert(connection, "studies", row | {"methods": json.dumps(list(methods)), "made_at": now()})
            for pair, kind, a, b in items:
                values = {"study_id": study, "pair_id": pair, "kind": kind, "a": a, "b": b}
                insert(connection, "study_items", values)
        return study

    def list(self) -> tuple[StudyRecord, ...]:
        """All studies, the newest first."""
        with self._database.read() as connection:
            return tuple(_record(row) for row in connection.execute(f"{_STUDIES} ORDER BY s.id DESC").fetchall())

    def get(self, study: int) -> StudyRecord:
        """One study; ValueError: there is none of that number."""
        with self._database.read() as connection:
            missing = f"there is no study {study}"
            return _record(one(connection, f"{_STUDIES} WHERE s.id = ?", (study,), missing=missing))

    def close(self, study: int) -> None:
        """Take no more ratings."""
        with self._database.write() as connection:
            connection.execute("UPDATE studies SET closed_at = coalesce(closed_at, ?) WHERE id = ?", (now(), study))

    # Meshes ---------------------------------------------------------------------------------------------------------

    def wanted(self, study: int, pair: int) -> tuple[str, ...]:
        """The methods of a pair whose meshes are still missing."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT a AS method FROM study_items WHERE study_id = :study AND pair_id = :pair "
                "UNION SELECT b FROM study_items WHERE study_id = :study AND pair_id = :pair "
                "EXCEPT SELECT method FROM study_meshes WHERE study_id = :study AND pair_id = :pair",
                {"study": study, "pair": pair},
            ).fetchall()
        return tuple(method for (method,) in rows)

    def pairs(self, study: int) -> tuple[int, ...]:
        """The pairs of a study that lack a mesh."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT DISTINCT pair_id FROM study_items WHERE study_id = ? ORDER BY 1", (study,)
            )
            found = [pair for (pair,) in rows]
        return tuple(pair for pair in found if self.wanted(study, pair))

    def add_mesh(self, study: int, pair: int, method: str, params: BodyParams, body: str) -> None:
        """Keep what a method made of a pair; what is there already stays.

        Raises:
            ValueError: a parameter is not finite.
        """
        if not params.finite:
            raise ValueError("params must hold finite numbers only")
        data = pack({name: np.asarray(array, np.float32) for name, array in params.arrays().items()}, {})
        with self._database.write() as connection:
            connection.execute(
                _ADD_MESH,
                (study, pair, method, body, data),
            )

    def mesh(self, item: int, method: str) -> tuple[BodyParams, str]:
        """(parameters, body) of one side of an item; ValueError: there is no such mesh."""
        with self._database.read() as connection:
            row = one(
                connection,
                "SELECT m.params, m.body FROM study_items i JOIN study_meshes m ON m.study_id = i.study_id "
                "AND m.pair_id = i.pair_id WHERE i.id = ? AND m.method = ?",
                (item, method),
                missing=f"there is no such mesh of item {item}",
            )
        return BodyParams(**unpack(row["params"])[0]), row["body"]

    # Rating ---------------------------------------------------------------------------------------------------------

    def next(self, study: int, rater: str) -> StudyItem | None:
        """What a rater is shown next; None: they are through. Their own items are theirs from the first look on."""
        record = self.get(study)
        with self._database.write() as connection:
            who = curator_id(connection, rater)
            self._assign(connection, record, who)
            rows = connection.execute(
                f"SELECT i.* FROM study_items i WHERE study_id = ? AND (kind <> 'own' OR rater_id = ?) AND {_READY} "  # noqa: S608
                "AND NOT EXISTS (SELECT 1 FROM study_ratings WHERE item_id = i.id AND rater_id = ?)",
                (study, who, who),
            ).fetchall()
        if not rows or record.closed_at:
            return None
        row = min(rows, key=lambda row: _drawn(record.seed, rater, "order", row["id"]))
        left, right = _sides(record.seed, rater, row["id"])
        return StudyItem(id=row["id"], pair=row["pair_id"], left=row[left], right=row[right])

    def sides(self, item: int, rater: str) -> StudyItem:
        """An item as this rater sees it; ValueError: there is none of that number, or it is another rater's."""
        with self._database.read() as connection:
            row = one(
                connection,
                "SELECT i.*, s.seed FROM study_items i JOIN studies s ON s.id = i.study_id "
                "LEFT JOIN curators u ON u.id = i.rater_id WHERE i.id = ? AND (i.kind <> 'own' OR u.name = ?)",
                (item, rater),
                missing=f"there is no item {item} for you",
            )
        left, right = _sides(row["seed"], rater, item)
        return StudyItem(id=item, pair=row["pair_id"], left=row[left], right=row[right])

    def progress(self, study: int, rater: str) -> tuple[int, int]:
        """(rated, to rate in all) of a rater."""
        with self._database.read() as connection:
            rated, shared, own = connection.execute(
                "SELECT (SELECT count(*) FROM study_ratings r JOIN study_items i ON i.id = r.item_id "
                "JOIN curators u ON u.id = r.rater_id WHERE i.study_id = :study AND u.name = :rater), "
                "(SELECT count(*) FROM study_items WHERE study_id = :study AND kind <> 'own'), "
                "(SELECT count(*) FROM study_items i JOIN curators u ON u.id = i.rater_id "
                "WHERE study_id = :study AND kind = 'own' AND u.name = :rater)",
                {"study": study, "rater": rater},
            ).fetchone()
        return rated, shared + own

    def rate(self, item: int, rater: str, side: Side, *, seconds: float) -> None:
        """Keep which side a rater prefers, once; again changes nothing.

        Raises:
            ValueError: the item is not this rater's. StoreError: the study is closed.
        """
        self.sides(item, rater)
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT s.seed, s.closed_at FROM study_items i JOIN studies s ON s.id = i.study_id WHERE i.id = ?",
                (item,),
            ).fetchone()
            if row["closed_at"]:
                raise StoreError("this study is closed and takes no more ratings")
            left, right = _sides(row["seed"], rater, item)
            connection.execute(
                "INSERT OR IGNORE INTO study_ratings (item_id, rater_id, choice, shown_left, seconds, rated_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (item, curator_id(connection, rater), {"left": left, "right": right, "same": "same"}[side], left,
                 seconds, now()),
            )  # fmt: skip

    def take_back(self, study: int, rater: str) -> bool:
        """Forget a rater's latest rating, to give it again; False: there is none."""
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT r.item_id, r.rater_id FROM study_ratings r JOIN study_items i ON i.id = r.item_id "
                "JOIN studies s ON s.id = i.study_id JOIN curators u ON u.id = r.rater_id "
                "WHERE i.study_id = ? AND u.name = ? AND s.closed_at IS NULL ORDER BY r.rated_at DESC LIMIT 1",
                (study, rater),
            ).fetchone()
            if row:
                connection.execute("DELETE FROM study_ratings WHERE item_id = ? AND rater_id = ?", tuple(row))
            return row is not None

    def ratings(self, study: int) -> tuple[Rating, ...]:
        """All ratings of a study, in the order they were given."""
        return tuple(
            Rating(**{name: row[name] for name in ("item", "kind", "a", "b", "rater", "choice")})
            for row in self.rows(study)
        )

    def rows(self, study: int) -> tuple[Mapping[str, Any], ...]:
        """All that is known of each rating, for files."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT i.id AS item, i.kind, i.pair_id AS pair, m.name AS image, i.a, i.b, u.name AS rater, r.choice, "
                "r.shown_left, r.seconds, r.rated_at FROM study_ratings r JOIN study_items i ON i.id = r.item_id "
                "JOIN curators u ON u.id = r.rater_id JOIN pairs p ON p.id = i.pair_id "
                "JOIN images m ON m.id = p.image_id "
                "WHERE i.study_id = ? ORDER BY r.rated_at, i.id",
                (study,),
            ).fetchall()
        return tuple(dict(row) for row in found)

    @staticmethod
    def _assign(connection: sqlite3.Connection, study: StudyRecord, rater: int) -> None:
        """Give a rater the own items that they lack, of those that nobody has."""
        connection.execute(
            "UPDATE study_items SET rater_id = :rater WHERE id IN ("
            "SELECT id FROM study_items WHERE study_id = :study AND kind = 'own' AND rater_id IS NULL ORDER BY id "
            "LIMIT max(0, :own - (SELECT count(*) FROM study_items WHERE study_id = :study AND rater_id = :rater)))",
            {"rater": rater, "study": study.id, "own": study.own},
        )


def _drawn(*what: object) -> int:
    """A number drawn from a text, the same for the same."""
    return int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8], "big")


def _sides(seed: int, rater: str, item: int) -> tuple[str, str]:
    """Which of an item's methods, ``a`` or ``b``, this rater sees on the left and on the right."""
    return ("a", "b") if _drawn(seed, rater, "side", item) % 2 else ("b", "a")


def _record(row: sqlite3.Row) -> StudyRecord:
    values: dict[str, Any] = {name: row[name] for name in row.keys() if name != "owner_id"}
    values["methods"] = tuple(json.loads(row["methods"]))
    return StudyRecord(**values)


def merge_studies(ours: sqlite3.Connection, theirs: sqlite3.Connection, pairs: Mapping[int, int]) -> int:
    """Bring over another workspace's studies with their ratings; gives how many ratings came.

    Studies are the same by owner and time. `pairs`: their pair numbers and ours; what is of no pair here stays away.
    """
    came = 0
    names = dict(theirs.execute("SELECT id, name FROM curators").fetchall())
    for row in theirs.execute("SELECT * FROM studies ORDER BY id").fetchall():
        owner = curator_id(ours, names[row["owner_id"]])
        known = ours.execute(
            "SELECT id FROM studies WHERE owner_id = ? AND made_at = ?", (owner, row["made_at"])
        ).fetchone()
        values = {name: row[name] for name in row.keys() if name != "id"} | {"owner_id": owner}
        study = known["id"] if known else insert(ours, "studies", values)
        for mesh in theirs.execute("SELECT * FROM study_meshes WHERE study_id = ?", (row["id"],)).fetchall():
            if mesh["pair_id"] in pairs:
                ours.execute(
                    _ADD_MESH,
                    (study, pairs[mesh["pair_id"]], mesh["method"], mesh["body"], mesh["params"]),
                )
        for item in theirs.execute("SELECT * FROM study_items WHERE study_id = ? ORDER BY id", (row["id"],)).fetchall():
            if item["pair_id"] not in pairs:
                continue
            key = {"study_id": study, "pair_id": pairs[item["pair_id"]], "a": item["a"], "b": item["b"]}
            same = ours.execute(
                "SELECT id FROM study_items WHERE study_id = :study_id AND pair_id = :pair_id AND a = :a AND b = :b",
                key,
            ).fetchone()
            rater = curator_id(ours, names[item["rater_id"]]) if item["rater_id"] else None
            number = (
                same["id"] if same else insert(ours, "study_items", key | {"kind": item["kind"], "rater_id": rater})
            )
            for rating in theirs.execute("SELECT * FROM study_ratings WHERE item_id = ?", (item["id"],)).fetchall():
                values = {name: rating[name] for name in rating.keys()}
                values |= {"item_id": number, "rater_id": curator_id(ours, names[rating["rater_id"]])}
                marks = ", ".join(f":{name}" for name in values)
                sql = f"INSERT OR IGNORE INTO study_ratings ({', '.join(values)}) VALUES ({marks})"  # noqa: S608
                came += ours.execute(sql, values).rowcount
    return came
