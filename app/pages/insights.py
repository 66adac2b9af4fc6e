"""Insights: what the corrections say about the models, and how far the work is; figures with sizes and intervals."""

import threading
from typing import Any

from fastapi import FastAPI, Request

from app.pages.shell import Json, Site
from review_db import Agreement, progress
from review_db.database import sqlite3
from review_db.insights import Group, Insights, Rates
from review_db.rates import Share

GROUPS = ("all", "model", "prompt", "part", "interaction")
_METRICS = ("precision", "recall", "hallucination", "side_flip")
_MOST = 60
"""So many kinds of interactions are listed by name; the rest are one line."""


def add_insights(app: FastAPI, site: Site) -> None:
    """What the insights' script asks for."""
    insights, counts = Insights(site.workspace.database), _Counts(site)

    @app.get("/insights/data")
    def data(request: Request, source: str | None = None, simulated: bool | None = None) -> Json:
        visitor = site.visitor(request)
        groups = {
            by: [_group(group) for group in insights.groups(by, source=source, simulated=simulated)] for by in GROUPS
        }
        return {"groups": groups, **_named(counts.now(), names=visitor.sees_names)}


class _Counts:
    """The counts of `review_db.progress`, read again when a pair or decision has changed."""

    def __init__(self, site: Site) -> None:
        self._site, self._lock = site, threading.Lock()
        self._read: tuple[Any, Json] | None = None

    def now(self) -> Json:
        with self._lock, self._site.workspace.database.read() as connection:
            changed = tuple(
                connection.execute("SELECT max(id), (SELECT max(id) FROM images) FROM queue_changes").fetchone()
            )
            if self._read is None or self._read[0] != changed:
                self._read = changed, _count(connection)
            values = dict(self._read[1])
        reviews = self._site.workspace.reviews
        values["agreement"] = [_agreement(*curators, figures) for curators, figures in reviews.agreements().items()] + [
            _agreement("all", "all", reviews.agreement())
        ]
        return values


def _agreement(first: str, second: str, figures: Agreement) -> Json:
    agreed = _share(Share(count=figures.agreed, of=figures.reviews))
    same = {name: getattr(figures, name) for name in ("reviews", "kappa", "f1", "side_flips")}
    return {"first": first, "second": second, "agreed": agreed, **same}


def _count(connection: sqlite3.Connection) -> Json:
    filtered = progress.automatic_filter(connection)
    return {
        "sources": [vars(source) for source in progress.sources(connection)],
        "filter": {
            "keeps": _share(filtered.keeps), "agrees": _share(filtered.agrees), "kappa": filtered.kappa,
            "verdicts": [
                {"kept": kept, "accepted": accepted, "pairs": filtered.verdicts.get((kept, accepted), 0)}
                for kept in (True, False) for accepted in (True, False)
            ],
        },
        "interactions": {
            name: _diversity(progress.interactions(connection, accepted=accepted))
            for name, accepted in (("asked", False), ("accepted", True))
        },
        "pace": [vars(pace) for pace in progress.pace(connection)],
    }  # fmt: skip


def _named(values: Json, *, names: bool) -> Json:
    """Curators by number where nobody is to learn who they are."""
    if names:
        return values
    known = [pace["curator"] for pace in values["pace"]]
    known += [each[who] for each in values["agreement"] for who in ("first", "second")]
    number = {name: f"curator {place}" for place, name in enumerate(dict.fromkeys(known), 1)} | {"all": "all"}
    return values | {
        "pace": [pace | {"curator": number[pace["curator"]]} for pace in values["pace"]],
        "agreement": [
            each | {who: number[each[who]] for who in ("first", "second")} for each in values["agreement"]
        ],
    }  # fmt: skip


def _group(group: Group) -> Json:
    same = ("name", "pairs", "answers", "exchanged", "simulated")
    return {name: getattr(group, name) for name in same} | {
        "before": _rates(group.before),
        "after": _rates(group.after),
    }


def _rates(rates: Rates) -> Json:
    return {**vars(rates), **{name: _share(getattr(rates, name)) for name in _METRICS}}


def _share(share: Share) -> Json:
    low, high = share.interval or (None, None)
    return {"value": share.value, "low": low, "high": high, "count": share.count, "of": share.of}


def _diversity(found: progress.Interactions) -> Json:
    first = list(found.counts.items())[:_MOST]
    return {
        "kinds": len(found.counts), "pairs": sum(found.counts.values()), "bits": found.bits,
        "effective": found.effective, "counts": [{"name": name, "pairs": pairs} for name, pairs in first],
        "rest": sum(pairs for _, pairs in list(found.counts.items())[_MOST:]),
    }  # fmt: skip
