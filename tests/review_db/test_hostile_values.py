"""Whatever text people, models and files bring is a value: never SQL, never a path, never lost in another row."""

from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher

from apu.errors import ApuError
from apu.types import Decision, Verdict
from review_db import Order, PairFilter, SetNote, Workspace
from review_db.accounts import Accounts
from review_db.forget import find_image

STRINGS = (
    "'; DROP TABLE pairs; --", "' OR '1'='1", "1 OR 1=1", "x') UNION SELECT password_hash FROM accounts --", "%", "_%",
    "'||(SELECT name FROM curators)||'", "\\'; --", '" OR ""="', "]; --", "`", "\0", "a\0' OR 1=1", "\ud800",
    "?1", ":pair", "@x", "$y", "char(39)", "/* */", "\u2019 OR 1=1", "../../review.db", "a" * 100_000,
)  # fmt: skip

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def everything(workspace: Workspace) -> dict[str, list[tuple]]:
    with workspace.database.read() as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [tuple(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in tables}  # noqa: S608


@pytest.fixture
def worked_on(workspace, add_pairs) -> Workspace:
    add_pairs(2)
    workspace.decide(1, Decision(verdict=Verdict.FLAG, curator="ada"), revision=1)
    Accounts(workspace.database, hasher=QUICK).add("ada", "correct horse battery")
    return workspace


FILTERS: dict[str, Callable[[str], Any]] = {
    "source": lambda text: text, "text": lambda text: text, "curator": lambda text: text,
    "interactions": lambda text: frozenset({text}), "states": lambda text: frozenset({text}),
    "image": lambda text: text, "simulated": lambda text: text, "disagrees": lambda text: text,
    "confidence": lambda text: (text, text), "gap_m": lambda text: (text, None),
    "reprojection": lambda text: (None, text),
}  # fmt: skip


def test_every_field_of_the_filter_is_tried() -> None:
    assert set(FILTERS) == set(PairFilter.__dataclass_fields__)


@pytest.mark.parametrize("field", FILTERS)
def test_sql_in_a_filter_finds_nothing_and_changes_nothing(worked_on, field) -> None:
    before = everything(worked_on)
    for text in STRINGS:
        try:
            where = PairFilter(**{field: FILTERS[field](text)})
            found = [line.id for line in worked_on.pairs(where, order=Order.UNCERTAIN)]
            count = worked_on.count(where)
        except (ApuError, ValueError, TypeError, AttributeError):
            continue  # a program's mistake, said before anything was asked
        assert count == len(found)
        assert count == 0 or field in ("simulated", "disagrees"), text[:40]  # where any text is true
    assert everything(worked_on) == before


def test_sql_in_names_and_notes_is_stored_as_it_is(worked_on) -> None:
    for text in STRINGS:
        revision = worked_on.pair(2).sheet.revision
        try:
            sheet = worked_on.edit_contacts(2, SetNote(text=text), curator=text[:50], revision=revision)
        except (ApuError, ValueError):
            assert worked_on.pair(2).sheet.revision == revision
            continue
        record = worked_on.pair(2)
        assert (sheet.note, record.sheet.note, record.history[-1].curator) == (text, text, text[:50])
        assert worked_on.decisions(curator=text[:50]) == ()
    assert worked_on.count() == 2


def test_sql_where_one_thing_is_named_names_nothing(worked_on) -> None:
    before = everything(worked_on)
    accounts = Accounts(worked_on.database, hasher=QUICK)
    questions: list[Callable[[str], object]] = [
        lambda text: find_image(worked_on, text), accounts.remove,
        lambda text: accounts.log_in(text, text, address="192.0.2.1"),
        lambda text: worked_on.jobs.claim(text, kinds=[text]),  # type: ignore[list-item]
    ]  # fmt: skip
    for text in STRINGS:
        assert accounts.session(text) is None
        for question in questions:
            try:
                found = question(text)
            except (ApuError, ValueError):
                continue
            assert found is None
    after = everything(worked_on)
    before.pop("login_failures"), after.pop("login_failures")
    assert after == before
