"""Small figures of counts: intervals of shares, diversity, agreement of raters. Pure functions, documented formulas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2, sqrt

_Z = 1.959964
"""Of the normal distribution, for 95 %."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """`count` of `of`, with Wilson's 95 % score interval (1927); every figure is None where there is nothing to count.

    The interval takes the counted things as independent. Contacts of one pair are not quite: read it as a lower bound
    of the doubt.
    """

    count: float
    of: float

    @property
    def value(self) -> float | None:
        """The share itself, 0 to 1."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high): (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)."""
        if not self.of:
            return None
        n, p = self.of, self.count / self.of
        middle, scale = p + _Z**2 / (2 * n), 1 + _Z**2 / n
        half = _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def entropy(counts: Sequence[int]) -> float:
    """Shannon's entropy of counts in bits, -Σ p log2 p: 0 for one kind, log2 k for k kinds that are equally frequent.

    2 to its power is the number of equally frequent kinds that would be as diverse (Hill's number of order 1).
    """
    total = sum(counts)
    return -sum(count / total * log2(count / total) for count in counts if count) + 0.0


def cohen_kappa(both: Mapping[tuple[str, str], int]) -> float | None:
    """Cohen's kappa (1960) of two raters' joint counts, (p_o - p_e) / (1 - p_e).

    None without counts, or where both always say the same one thing.
    """
    total = sum(both.values())
    if not total:
        return None
    kinds = {kind for pair in both for kind in pair}
    agreed = sum(count for (first, second), count in both.items() if first == second) / total
    chance = sum(
        sum(count for pair, count in both.items() if pair[0] == kind)
        * sum(count for pair, count in both.items() if pair[1] == kind)
        for kind in kinds
    ) / (total * total)
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def fleiss_kappa(ratings: Sequence[Mapping[str, int]]) -> float | None:
    """Fleiss' kappa (1971) of items that were each put into categories by two or more raters.

    Items with other numbers of raters count too: an item's agreement is Σ n_c (n_c - 1) / n (n - 1), and chance comes
    from all ratings. Items with one rater are left out. None where there is nothing to compare or chance explains all.
    """
    items = [item for item in ratings if sum(item.values()) > 1]
    if not items:
        return None
    numbers = [sum(item.values()) for item in items]
    agreed = sum(
        sum(count * (count - 1) for count in item.values()) / (n * (n - 1))
        for item, n in zip(items, numbers, strict=True)
    ) / len(items)
    kinds = {kind for item in items for kind in item}
    chance = sum((sum(item.get(kind, 0) for item in items) / sum(numbers)) ** 2 for kind in kinds)
    return None if chance == 1 else (agreed - chance) / (1 - chance)
