"""What a team has agreed on for its workspace: the reasons it offers, and how many pairs are judged twice."""

import json
from collections.abc import Sequence
from typing import Any

from review_db.database import Database

REASONS = ("no contact", "wrong people", "hidden too much", "wrong keypoints", "fit is wrong", "other")
"""Offered with a rejection or a flag until the team writes a list of its own."""

MOST_REASONS = 9
"""As many as there are digits to choose them by."""

LONGEST_REASON = 60


class Settings:
    """The settings of one workspace (`Workspace.settings`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def reasons(self) -> tuple[str, ...]:
        """Offered with a rejection or a flag, in this order."""
        return tuple(self._get("reasons", REASONS))

    def set_reasons(self, reasons: Sequence[str]) -> None:
        """Offer other reasons from now on; decisions keep theirs.

        Raises:
            ValueError: there is none, one twice, one too long, or there are more than `MOST_REASONS`.
        """
        texts = [reason.strip() for reason in reasons]
        if not 1 <= len(texts) <= MOST_REASONS or len(set(texts)) < len(texts):
            raise ValueError(f"there must be 1 to {MOST_REASONS} different reasons, got {len(texts)}")
        if not all(0 < len(text) <= LONGEST_REASON for text in texts):
            raise ValueError(f"each reason must have 1 to {LONGEST_REASON} characters")
        self._set("reasons", texts)

    @property
    def review_share(self) -> float:
        """The share of decided pairs, 0 to 1, that somebody else judges again."""
        return float(self._get("review_share", 0.0))

    def set_review_share(self, share: float) -> None:
        """Have another share of the pairs judged twice from now on.

        Raises:
            ValueError: the share does not lie in [0, 1].
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must lie in [0, 1], got {share}")
        self._set("review_share", share)

    def _get(self, name: str, default: Any) -> Any:
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return json.loads(row["value"]) if row else default

    def _set(self, name: str, value: Any) -> None:
        with self._database.write() as connection:
            connection.execute("REPLACE INTO settings (name, value) VALUES (?, ?)", (name, json.dumps(value)))
