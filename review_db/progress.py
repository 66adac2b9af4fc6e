"""How far the work is, in counts: sources from image to accepted pair, the automatic filter, interactions, pace.

Each is one pass over the database, to be kept by its caller until something changes.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from review_db.database import sqlite3
from review_db.edits import PROGRAM
from review_db.rates import Share, cohen_kappa, entropy

PAUSE_S = 600.0
"""Two decisions of a curator that lie further apart have a pause between them, not work on one pair."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """How many of a data set came how far, as in the paper's table of sources.

    Attributes:
        images: photographs. candidates: pairs proposed in them. asked: with an answer. fitted: with a fit.
        kept: whose latest fit the automatic filter keeps. accepted, rejected, flagged: as decided.
        simulated: all of its candidates are.
    """

    name: str
    images: int
    candidates: int
    asked: int
    fitted: int
    kept: int
    accepted: int
    rejected: int
    flagged: int
    simulated: bool


_SOURCES = """
SELECT p.source AS name, count(*) AS candidates, sum(p.answer_id IS NOT NULL) AS asked,
    sum(p.fit_id IS NOT NULL) AS fitted, coalesce(sum(f.kept), 0) AS kept, sum(p.state = 'accepted') AS accepted,
    sum(p.state = 'rejected') AS rejected, sum(p.state = 'flagged') AS flagged, min(p.simulated) AS simulated
FROM pairs p LEFT JOIN fits f ON f.id = p.fit_id GROUP BY p.source ORDER BY p.source
"""


def sources(connection: sqlite3.Connection) -> tuple[Source, ...]:
    """Every source by name; images of which no pair was proposed count too."""
    images: dict[str, int] = dict(connection.execute("SELECT source, count(*) FROM images GROUP BY source").fetchall())
    rows = {row["name"]: dict(row) for row in connection.execute(_SOURCES)}
    none = dict.fromkeys(("candidates", "asked", "fitted", "kept", "accepted", "rejected", "flagged", "simulated"), 0)
    return tuple(
        Source(**{**none, "name": name, **rows.get(name, {}), "images": images.get(name, 0),
                  "simulated": bool(rows.get(name, none)["simulated"])})
        for name in sorted(images.keys() | rows.keys())
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Filter:
    """The automatic filter against the curators, over accepted and rejected pairs with a fit.

    Attributes:
        keeps: of all fitted pairs, those whose latest fit it keeps. verdicts: pairs by (kept, accepted).
    """

    keeps: Share
    verdicts: Mapping[tuple[bool, bool], int]

    @property
    def agrees(self) -> Share:
        """Of the decided pairs, those that it would have decided as the curators did."""
        same = self.verdicts.get((True, True), 0) + self.verdicts.get((False, False), 0)
        return Share(count=same, of=sum(self.verdicts.values()))

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of filter and curators."""
        return cohen_kappa({(str(kept), str(accepted)): n for (kept, accepted), n in self.verdicts.items()})


def automatic_filter(connection: sqlite3.Connection) -> Filter:
    """What the filter says of the latest fits; accepted pairs are judged by the fit that was accepted."""
    fitted, kept = connection.execute(
        "SELECT count(*), coalesce(sum(f.kept), 0) FROM pairs p JOIN fits f ON f.id = p.fit_id"
    ).fetchone()
    rows = connection.execute(
        "SELECT f.kept, p.state = 'accepted', count(*) FROM pairs p JOIN decisions d ON d.id = p.decision_id "
        "JOIN fits f ON f.id = coalesce(d.fit_id, p.fit_id) WHERE p.state IN ('accepted', 'rejected') GROUP BY 1, 2"
    )
    verdicts = {(bool(row[0]), bool(row[1])): row[2] for row in rows}
    return Filter(keeps=Share(count=kept, of=fitted), verdicts=verdicts)


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """What the people do, as the standing answers name it, in lower case and without spaces around it.

    Attributes:
        counts: pairs by interaction, the most frequent first. bits: their entropy (`review_db.rates.entropy`).
    """

    counts: Mapping[str, int]
    bits: float

    @property
    def effective(self) -> float:
        """How many equally frequent interactions would be as diverse; 0 without any."""
        return 2.0**self.bits if self.counts else 0.0


def interactions(connection: sqlite3.Connection, *, accepted: bool) -> Interactions:
    """Of all pairs with an answer, or of the accepted ones alone."""
    counts: dict[str, int] = defaultdict(int)
    state = "state = 'accepted'" if accepted else "answer_id IS NOT NULL"
    for name, count in connection.execute(f"SELECT interaction, count(*) FROM pairs WHERE {state} GROUP BY 1"):  # noqa: S608
        counts[" ".join(name.casefold().split()) or "not named"] += count
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Interactions(counts=ordered, bits=entropy(list(ordered.values())))


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much a curator has decided.

    Attributes:
        days: decisions by day (UTC). seconds: the middle one of the times between two decisions without a pause
            (`PAUSE_S`); None before the second decision.
    """

    curator: str
    decisions: int
    days: Mapping[str, int]
    seconds: float | None


def pace(connection: sqlite3.Connection) -> tuple[Pace, ...]:
    """Of every curator, who has decided most first; also decisions that no longer stand."""
    rows = connection.execute(
        "SELECT u.name, d.made_at, (julianday(d.made_at) - julianday(lag(d.made_at) OVER (PARTITION BY d.curator_id "
        "ORDER BY d.made_at, d.id))) * 86400 FROM decisions d JOIN curators u ON u.id = d.curator_id WHERE u.name <> ?",
        (PROGRAM,),
    )
    days: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    between: dict[str, list[float]] = defaultdict(list)
    for name, time, seconds in rows:
        days[name][time[:10]] += 1
        if seconds is not None and seconds <= PAUSE_S:
            between[name].append(seconds)
    found = [
        Pace(
            curator=name, decisions=sum(by_day.values()), days=dict(sorted(by_day.items())),
            seconds=median(between[name]) if between[name] else None,
        )
        for name, by_day in days.items()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-each.decisions, each.curator)))
