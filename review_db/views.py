"""Queues that curators have given a name."""

from pydantic import TypeAdapter

from review_db.database import Database, now, one, sqlite3
from review_db.records import EVERY_PAIR, Order, PairFilter, ViewRecord
from review_db.sheets import curator_id

_FILTER = TypeAdapter(PairFilter)

_SELECT = """
SELECT v.name, u.name AS owner, v.filter, v.sort, v.seed, v.saved_at
FROM views v JOIN curators u ON u.id = v.owner_id
"""


class Views:
    """The saved views of one workspace (`Workspace.views`); everybody may look at them, their owner changes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, name: str, owner: str, where: PairFilter = EVERY_PAIR, *, order: Order = Order.ID, seed: int = 0
    ) -> None:
        """Keep a filter and an order under a name, in place of the owner's earlier view of that name.

        Raises:
            ValueError: the name is empty.
        """
        if not name.strip():
            raise ValueError(f"name must be a text, got {name!r}")
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO views (owner_id, name, filter, sort, seed, saved_at) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (owner_id, name) DO UPDATE SET filter = excluded.filter, sort = excluded.sort, "
                "seed = excluded.seed, saved_at = excluded.saved_at",
                (curator_id(connection, owner), name, _FILTER.dump_json(where).decode(), order.value, seed, now()),
            )

    def get(self, name: str, owner: str) -> ViewRecord:
        """A view.

        Raises:
            ValueError: the owner has none of that name.
        """
        with self._database.read() as connection:
            missing = f"{owner} has no view {name!r}"
            return _view(one(connection, f"{_SELECT} WHERE v.name = ? AND u.name = ?", (name, owner), missing=missing))

    def list(self) -> tuple[ViewRecord, ...]:
        """Everybody's views by owner and name."""
        with self._database.read() as connection:
            return tuple(_view(row) for row in connection.execute(f"{_SELECT} ORDER BY u.name, v.name"))

    def remove(self, name: str, owner: str) -> None:
        """Forget a view, if the owner has one of that name."""
        with self._database.write() as connection:
            author = curator_id(connection, owner)
            connection.execute("DELETE FROM views WHERE owner_id = ? AND name = ?", (author, name))


def _view(row: sqlite3.Row) -> ViewRecord:
    return ViewRecord(
        name=row["name"],
        owner=row["owner"],
        where=_FILTER.validate_json(row["filter"]),
        order=Order(row["sort"]),
        seed=row["seed"],
        saved_at=row["saved_at"],
    )
