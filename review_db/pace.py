"""How a curator gets on: their decisions of today and of the last hour, and the time that one takes."""

from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from review_db.database import later, sqlite3
from review_db.records import Pace

BREAK_S = 600.0
"""Whoever decided nothing for so long was doing something else."""


def pace(connection: sqlite3.Connection, curator: str) -> Pace:
    """Of a curator's decisions since midnight (UTC), second reviews among them, taken back or not."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).isoformat(timespec="microseconds")
    hour_ago = later(-3600.0)
    rows = connection.execute(
        "SELECT made_at FROM decisions WHERE made_at >= :since "
        "AND curator_id = (SELECT id FROM curators WHERE name = :name) "
        "UNION ALL SELECT judged_at FROM reviews WHERE judged_at >= :since "
        "AND curator_id = (SELECT id FROM curators WHERE name = :name) ORDER BY 1",
        {"since": min(midnight, hour_ago), "name": curator},
    )
    times = [time for (time,) in rows]
    moments = [datetime.fromisoformat(time) for time in times if time >= midnight]
    steps = [step for a, b in pairwise(moments) if (step := (b - a).total_seconds()) < BREAK_S]
    return Pace(
        today=len(moments), hour=sum(time >= hour_ago for time in times), seconds=median(steps) if steps else None
    )
