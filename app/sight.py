"""The pairs as one curator may see them: no list and no count gives away what they are to judge blindly.

A list or a count that asks how pairs were judged or fitted would tell by having a pair or not, so that it leaves out
those that its reader is to judge blindly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from review_db import Order, PairFilter, PairSummary, Workspace
from review_db.records import EVERY_PAIR, Place

_TELLING_FACETS = ("state", "curator")


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a curator may see; the methods are those of `Workspace`.

    Attributes:
        blind: the pairs that they are to judge blindly, and their reviews.
    """

    workspace: Workspace
    blind: Mapping[int, int]

    @classmethod
    def of(cls, workspace: Workspace, curator: str | None) -> "Sight":
        """That of a curator; None: of somebody who may be anybody."""
        return cls(workspace=workspace, blind=workspace.reviews.taken_by(curator))

    def without(self, where: PairFilter, order: Order = Order.ID) -> tuple[int, ...]:
        """The pairs that such a list leaves out."""
        return tuple(self.blind) if self.blind and _tells(where, order) else ()

    def pairs(
        self, where: PairFilter, *, order: Order = Order.ID, seed: int = 0, skip: int = 0, limit: int | None = None
    ) -> tuple[PairSummary, ...]:
        """Lines of a queue."""
        without = self.without(where, order)
        return self.workspace.pairs(where, order=order, seed=seed, skip=skip, limit=limit, without=without)

    def next_pair(
        self, after: PairSummary | None, where: PairFilter, *, order: Order, seed: int, backwards: bool = False
    ) -> PairSummary | None:
        """The neighbour of a pair in a queue."""
        without = self.without(where, order)
        return self.workspace.next_pair(after, where, order=order, seed=seed, backwards=backwards, without=without)

    def place(self, pair: PairSummary, where: PairFilter, *, order: Order, seed: int) -> Place:
        """Where a pair stands in a queue."""
        return self.workspace.place(pair, where, order=order, seed=seed, without=self.without(where, order))

    def count(self, where: PairFilter = EVERY_PAIR) -> int:
        """How many pairs a queue has."""
        return self.workspace.count(where, without=self.without(where))

    def facets(self, where: PairFilter) -> dict[str, dict[str, int]]:
        """How many pairs there are of each kind."""
        found = self.workspace.facets(where, without=self.without(where))
        if self.blind and not self.without(where):
            told = self.workspace.facets(where, without=self.blind)
            found |= {name: told[name] for name in _TELLING_FACETS}
        return found


def _tells(where: PairFilter, order: Order) -> bool:
    """Whether it says something about how a pair was judged or fitted that it passes a filter, or where it stands."""
    plain = replace(where, states=None, disagrees=None, curator=None, gap_m=None, reprojection=None)
    return plain != where or order is Order.WORST_FIT
