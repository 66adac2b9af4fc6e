"""How much a pair counts when a prior is trained on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from review_db.records import PairRecord, PairState


@dataclass(frozen=True, kw_only=True)
class TrainingWeights:
    """How much a pair counts, before `agreement`; pairs of weight 0 are left out.

    Attributes:
        accepted: a curator accepted the fit. flagged: a curator had doubts.
        undecided: nobody has decided, and the fit passed the automatic filter, as all data of the paper did.
        unfiltered: nobody has decided, and it did not pass. Rejected pairs never count.
    """

    accepted: float = 1.0
    flagged: float = 0.25
    undecided: float = 0.25
    unfiltered: float = 0.0

    def of(self, record: PairRecord, reviews: Sequence[Mapping[str, Any]], *, kept: bool) -> float:
        """The weight of a pair whose fit the filter kept or not: decision x agreement."""
        state = record.summary.state
        if state is PairState.REJECTED:
            return 0.0
        undecided = self.undecided if kept else self.unfiltered
        decided = {PairState.ACCEPTED: self.accepted, PairState.FLAGGED: self.flagged}.get(state, undecided)
        return decided * agreement(record, reviews)


def agreement(record: PairRecord, reviews: Sequence[Mapping[str, Any]] = ()) -> float:
    """Share of the curators whose own latest verdict is the one that stands; 1 where none stands.

    Second reviews count as verdicts; verdicts that their author took back do not.
    """
    if record.decision is None:
        return 1.0
    taken_back = {step.revision for step in record.history if step.undone}
    latest = {review["curator"]: review["verdict"] for review in reviews}
    latest |= {
        each.decision.curator: each.decision.verdict.value
        for each in record.decisions
        if each.revision not in taken_back
    }
    return list(latest.values()).count(record.decision.decision.verdict.value) / len(latest)
