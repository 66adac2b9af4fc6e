"""One action on many pairs: one transaction, each pair at the revision that its author has seen.

A pair that others have changed meanwhile, or that cannot be decided so, is left out with its reason; the rest goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apu.errors import ApuError
from apu.types import Decision
from review_db import changes
from review_db.database import sqlite3
from review_db.edits import Sheet
from review_db.sheets import load_sheet
from review_db.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the pairs.

    Attributes:
        done: the revision that each pair has now, which `undo` takes. refused: one sentence for each pair left out.
    """

    done: Mapping[int, int]
    refused: Mapping[int, str]


def decide(workspace: Workspace, pairs: Mapping[int, int], decision: Decision) -> Outcome:
    """Let a decision stand on pairs, each at its revision; accepting takes the latest fit, which must be fresh."""

    def one(connection: sqlite3.Connection, pair: int, sheet: Sheet) -> Sheet:
        return changes.carry_out(connection, pair, sheet, decision, decision.curator)

    return _all(workspace, pairs, one)


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
