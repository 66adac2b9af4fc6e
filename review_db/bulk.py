"""One action on many pairs: one transaction, each pair at the revision that its author has seen.

A pair that others have changed meanwhile or are working on, that its author is to judge blindly, or that cannot be
decided so, is left out with its reason; the rest goes on. What is decided is so as if one by one: with its history,
the end of its author's draft and claim, and its chance of a second review.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from apu.errors import ApuError
from apu.types import Decision
from review_db import changes, queue
from review_db.database import sqlite3
from review_db.edits import Sheet
from review_db.records import Order, PairFilter
from review_db.sheets import curator_id, load_sheet
from review_db.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the pairs.

    Attributes:
        done: the revision that each pair has now, which `undo` takes. refused: one sentence for each pair left out.
        last: the last pair of a batch, after which the next one goes on; None: there is no other.
    """

    done: Mapping[int, int]
    refused: Mapping[int, str]
    last: int | None = None


def decide(workspace: Workspace, pairs: Mapping[int, int], decision: Decision) -> Outcome:
    """Let a decision stand on pairs, each at its revision; accepting takes the latest fit, which must be fresh."""
    curator = decision.curator
    blind = workspace.reviews.taken_by(curator)
    held = {claim.pair: claim.curator for claim in workspace.claims.held() if claim.curator != curator}

    def one(connection: sqlite3.Connection, pair: int, sheet: Sheet) -> Sheet:
        if pair in blind:
            raise ValueError(f"pair {pair} is to be judged by you in a second review first")
        if pair in held:
            raise ValueError(f"pair {pair} is being worked on by {held[pair]}")
        if connection.execute("SELECT disagrees FROM pairs WHERE id = ?", (pair,)).fetchone()["disagrees"]:
            raise ValueError(f"pair {pair} has two judgements that disagree; settle it on the review page")
        values = (curator_id(connection, curator), pair)
        connection.execute("DELETE FROM drafts WHERE curator_id = ? AND pair_id = ?", values)
        return changes.carry_out(connection, pair, sheet, decision, curator)

    outcome = _all(workspace, pairs, one)
    workspace.reviews.draw(workspace.settings.review_share, pairs=list(outcome.done))
    return outcome


def decide_matching(
    workspace: Workspace, where: PairFilter, decision: Decision, *, at: str, after: int, limit: int
) -> Outcome:
    """Let a decision stand on the next pairs by id that pass a filter; `Outcome.last` goes on.

    Args:
        workspace: where they are. where: the filter. decision: of all of them.
        at: when its author saw them (`review_db.database.now`): what has changed since is left out.
        after: the last pair of the batch before. limit: of this batch.
    """
    blind = workspace.reviews.taken_by(decision.curator)
    with workspace.database.read() as connection:
        ids = workspace.queue.ids(connection, where, Order.ID, without=blind)
        first = bisect_right(ids, after)
        batch = ids[first : first + limit]
        lines = list(queue.summaries(connection, batch))
    changed = {line.id: f"pair {line.id} was changed in the meantime" for line in lines if line.updated_at > at}
    outcome = decide(workspace, {line.id: line.revision for line in lines if line.id not in changed}, decision)
    last = batch[-1] if first + limit < len(ids) else None
    return replace(outcome, refused={**outcome.refused, **changed}, last=last)


def undo(workspace: Workspace, pairs: Mapping[int, int], curator: str) -> Outcome:
    """Take the latest edit of each pair back, which is to be this curator's and at this revision."""

    def one(connection: sqlite3.Connection, pair: int, sheet: Sheet) -> Sheet:
        return changes.undo(connection, pair, curator, sheet.revision)

    return _all(workspace, pairs, one)


def _all(
    workspace: Workspace, pairs: Mapping[int, int], change: Callable[[sqlite3.Connection, int, Sheet], Sheet]
) -> Outcome:
    done: dict[int, int] = {}
    refused: dict[int, str] = {}
    with workspace.database.write() as connection:
        for pair, revision in pairs.items():
            connection.execute("SAVEPOINT pair")
            try:
                sheet = load_sheet(connection, pair)
                if sheet.revision != revision:
                    raise ValueError(f"pair {pair} was changed by someone else in the meantime; look at it again")
                done[pair] = change(connection, pair, sheet).revision
            except (ApuError, ValueError) as reason:
                refused[pair] = str(reason)
                connection.execute("ROLLBACK TO pair")
            connection.execute("RELEASE pair")
    return Outcome(done=done, refused=refused)
