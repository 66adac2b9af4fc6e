"""The dictionary of `apu status --json`."""

import json
from typing import Any

from review_db.database import sqlite3
from review_db.records import PairState
from review_db.sheets import CONTACTS

_PAIRS = """
SELECT p.id, i.name AS image, p.state, coalesce(a.asker, '') AS asker, coalesce(a.model, '') AS model, p.source,
    p.action, p.simulated, coalesce(a.interaction, '') AS interaction, p.revision, p.uncertainty
FROM pairs p JOIN images i ON i.id = p.image_id LEFT JOIN answers a ON a.id = p.answer_id ORDER BY p.id
"""


def status(connection: sqlite3.Connection) -> dict[str, Any]:
    """Pairs with their contacts and fits, oldest first, and counts of everything."""
    pairs = {row["id"]: dict(row) | {"contacts": [], "fits": []} for row in connection.execute(_PAIRS)}
    for pair in pairs.values():
        pair["simulated"] = bool(pair["simulated"])
    for row in connection.execute("SELECT * FROM contacts WHERE NOT dropped ORDER BY pair_id, position"):
        pairs[row["pair_id"]]["contacts"].append(_contact(row))
    for row in connection.execute("SELECT * FROM fits ORDER BY id"):
        pairs[row["pair_id"]]["fits"].append(_fit(row))
    counts = dict(connection.execute("SELECT state, count(*) FROM pairs GROUP BY state").fetchall())
    return {
        "pairs": list(pairs.values()),
        "states": {state.value: counts.get(state.value, 0) for state in PairState},
        "images": connection.execute("SELECT count(*) FROM images").fetchone()[0],
        "jobs": dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state").fetchall()),
        "open_conflicts": connection.execute("SELECT count(*) FROM conflicts WHERE settled_at IS NULL").fetchone()[0],
    }


def _contact(row: sqlite3.Row) -> dict[str, Any]:
    parts = [_part(row["part_a"], row["side_a"]), _part(row["part_b"], row["side_b"])]
    return {"id": row["id"], "parts": parts, "confidence": row["confidence"], "source": row["source"]}


def _part(name: str, side: str) -> str:
    return name if side == "both" else f"{side} {name}"


def _fit(row: sqlite3.Row) -> dict[str, Any]:
    same = ("max_penetration_m", "mean_penetration_m", "seconds", "iterations", "stop", "body", "device", "seed")
    contacts = zip(CONTACTS.validate_json(row["contacts"]), json.loads(row["gaps_m"]), strict=True)
    return {
        "id": row["id"],
        "revision": row["revision"],
        "reprojection_512": [row["reprojection_512_a"], row["reprojection_512_b"]],
        "reprojection_px": [row["reprojection_px_a"], row["reprojection_px_b"]],
        "max_contact_gap_m": row["max_gap_m"],
        "contacts": [
            {"parts": [str(part) for part in contact.parts], "confidence": contact.confidence, "gap_m": gap}
            for contact, gap in contacts
        ],
        "kept": bool(row["kept"]),
        "made_at": row["made_at"],
        **{name: row[name] for name in same},
    }
