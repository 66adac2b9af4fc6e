"""How far two curators agree who judged the same pairs, neither with a sight of the other's work."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apu.types import BodyPart, Contact, Side, Verdict
from review_db.database import sqlite3
from review_db.edits import rebuild
from review_db.records import Agreement
from review_db.sheets import CONTACTS, as_history, load_answers, load_history

Parts = tuple[BodyPart, BodyPart]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What somebody made of a pair."""

    curator: str
    verdict: Verdict
    contacts: frozenset[Parts]


def judged_twice(connection: sqlite3.Connection) -> Iterator[tuple[int, Judgement, Judgement]]:
    """Pairs with their first judgement and their blind second one.

    The first is the decision that stood when the review was given, with the contacts of that moment, or else the next
    one after it; so whoever resolved a disagreement, and saw both, is not counted as the first.
    """
    rows = connection.execute(
        "SELECT r.pair_id, u.name AS curator, r.verdict, r.contacts, r.judged_at FROM reviews r "
        "JOIN curators u ON u.id = r.curator_id WHERE r.verdict IS NOT NULL ORDER BY r.id"
    ).fetchall()
    for row in rows:
        second = Judgement(
            curator=row["curator"], verdict=Verdict(row["verdict"]),
            contacts=_parts(CONTACTS.validate_json(row["contacts"])),
        )  # fmt: skip
        first = _first(connection, row["pair_id"], row["judged_at"])
        if first is not None and first.curator != second.curator:
            yield row["pair_id"], first, second


def _first(connection: sqlite3.Connection, pair: int, time: str) -> Judgement | None:
    history, answers = load_history(connection, pair), load_answers(connection, pair)
    before = sum(entry.made_at <= time for entry in history)
    for length in range(before, len(history) + 1):
        sheet = rebuild(as_history(history[:length]), answers)
        if sheet.decision is not None:
            row = connection.execute(
                "SELECT d.verdict, u.name FROM decisions d JOIN curators u ON u.id = d.curator_id WHERE d.id = ?",
                (sheet.decision,),
            ).fetchone()
            return Judgement(curator=row["name"], verdict=Verdict(row["verdict"]), contacts=_parts(sheet.active))
    return None


def by_curators(
    judged: Sequence[tuple[int, Judgement, Judgement]],
) -> dict[tuple[str, str], list[tuple[int, Judgement, Judgement]]]:
    """The same by the two curators, in alphabetical order."""
    found: dict[tuple[str, str], list[tuple[int, Judgement, Judgement]]] = defaultdict(list)
    for each in judged:
        found[each[1].curator, each[2].curator].append(each)
    return dict(sorted(found.items()))


def agreement(judged: Sequence[tuple[int, Judgement, Judgement]]) -> Agreement:
    """The figures of some pairs that were judged twice."""
    both = Counter((first.verdict, second.verdict) for _, first, second in judged)
    shared = sum(len(first.contacts & second.contacts) for _, first, second in judged)
    stated = sum(len(first.contacts) + len(second.contacts) for _, first, second in judged)
    sides = [_sides(first.contacts, second.contacts) for _, first, second in judged]
    turned, matched = sum(turned for turned, _ in sides), sum(matched for _, matched in sides)
    return Agreement(
        reviews=len(judged),
        verdicts=dict(both),
        agreed=sum(count for (first, second), count in both.items() if first is second),
        kappa=_kappa(both),
        f1=2 * shared / stated if stated else None,
        side_flips=turned / matched if matched else None,
    )


def _parts(contacts: Sequence[Contact]) -> frozenset[Parts]:
    return frozenset(contact.parts for contact in contacts)


def _sides(first: frozenset[Parts], second: frozenset[Parts]) -> tuple[int, int]:
    """On how many contacts that both have, whatever the sides, a side differs, and how many there are.

    Where the same two parts touch more than once, equal contacts are matched first.
    """
    rest = [Counter((a.name, b.name) for a, b in only) for only in (first - second, second - first)]
    turned = (rest[0] & rest[1]).total()
    sided = sum(any(part.side is not Side.BOTH for part in parts) for parts in first & second)
    return turned, turned + sided


def _kappa(both: Counter[tuple[Verdict, Verdict]]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance; None without reviews or where chance alone agrees always."""
    total = sum(both.values())
    if not total:
        return None
    agreed = sum(count for (first, second), count in both.items() if first is second) / total
    shares = [Counter[Verdict](), Counter[Verdict]()]
    for verdicts, count in both.items():
        for share, verdict in zip(shares, verdicts, strict=True):
            share[verdict] += count
    chance = sum(shares[0][verdict] * shares[1][verdict] for verdict in Verdict) / total**2
    return None if chance == 1.0 else (agreed - chance) / (1.0 - chance)
