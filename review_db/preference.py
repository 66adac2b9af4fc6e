"""What ratings of pairs of meshes say: preference between methods, attention and agreement of raters. Pure functions.

Preference is counted over attentive raters and without the attention checks. A method's share is of the comparisons
that it took part in and that were decided; "same" is no vote. The share of all votes is what the paper's study gives.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev

from review_db.rates import Share, cohen_kappa, fleiss_kappa

ATTENTIVE = 0.75
"""A rater who sees fewer of the obviously wrong meshes is not counted."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One answer: of an item that shows methods `a` and `b`, `choice` is ``"a"``, ``"b"`` or ``"same"``.

    In an attention check (`kind` ``"check"``) `b` is the wrong one.
    """

    item: int
    kind: str
    a: str
    b: str
    rater: str
    choice: str


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """How often a method was preferred.

    Attributes:
        won: of its decided comparisons. votes: of all votes for any method. spread: standard deviation of its share of
            votes between raters; None for fewer than two.
    """

    name: str
    won: Share
    votes: Share
    spread: float | None


@dataclass(frozen=True, kw_only=True)
class RaterResult:
    """A rater: answers but checks, and of the checks those in which the wrong meshes were seen (None: no check yet)."""

    name: str
    ratings: int
    checks: Share

    @property
    def attentive(self) -> bool:
        """Whether the rater's answers count."""
        return self.checks.value is None or self.checks.value >= ATTENTIVE


@dataclass(frozen=True, kw_only=True)
class Results:
    """A study's results.

    Attributes:
        duels: (a, b) -> votes for a, for b, for neither. methods: most preferred first. raters: by name.
        fleiss: kappa over the items that two or more attentive raters answered. cohen: mean kappa of their pairs.
    """

    duels: Mapping[tuple[str, str], tuple[int, int, int]]
    methods: tuple[MethodResult, ...]
    raters: tuple[RaterResult, ...]
    fleiss: float | None
    cohen: float | None


def results(ratings: Sequence[Rating]) -> Results:
    """What ratings come to."""
    raters = _raters(ratings)
    attentive = {rater.name for rater in raters if rater.attentive}
    counted = [each for each in ratings if each.kind != "check" and each.rater in attentive]
    duels: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in counted:
        duels[each.a, each.b][each.choice] += 1
    by_item: dict[int, dict[str, str]] = defaultdict(dict)
    for each in counted:
        by_item[each.item][each.rater] = each.choice
    return Results(
        duels={pair: (votes["a"], votes["b"], votes["same"]) for pair, votes in sorted(duels.items())},
        methods=_methods(counted),
        raters=raters,
        fleiss=fleiss_kappa([Counter(votes.values()) for votes in by_item.values()]),
        cohen=_cohen(by_item, sorted(attentive)),
    )


def _raters(ratings: Sequence[Rating]) -> tuple[RaterResult, ...]:
    found = []
    for name in sorted({each.rater for each in ratings}):
        own = [each for each in ratings if each.rater == name]
        checks = [each for each in own if each.kind == "check"]
        seen = Share(count=sum(each.choice == "a" for each in checks), of=len(checks))
        found.append(RaterResult(name=name, ratings=len(own) - len(checks), checks=seen))
    return tuple(found)


def _methods(counted: Sequence[Rating]) -> tuple[MethodResult, ...]:
    votes: dict[str, Counter[str]] = defaultdict(Counter)  # rater -> method -> votes
    shown: Counter[str] = Counter()
    for each in counted:
        if each.choice != "same":
            votes[each.rater][each.a if each.choice == "a" else each.b] += 1
            shown.update((each.a, each.b))
    total = sum(sum(each.values()) for each in votes.values())
    names = {name for each in counted for name in (each.a, each.b)}
    found = []
    for name in names:
        won = sum(each[name] for each in votes.values())
        shares = [each[name] / sum(each.values()) for each in votes.values()]
        found.append(
            MethodResult(
                name=name, won=Share(count=won, of=shown[name]), votes=Share(count=won, of=total),
                spread=stdev(shares) if len(shares) > 1 else None,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-(each.won.value or 0.0), each.name)))


def _cohen(by_item: Mapping[int, Mapping[str, str]], raters: Sequence[str]) -> float | None:
    kappas = []
    for first, second in combinations(raters, 2):
        both = Counter((each[first], each[second]) for each in by_item.values() if first in each and second in each)
        kappa = cohen_kappa(both)
        if kappa is not None:
            kappas.append(kappa)
    return mean(kappas) if kappas else None
