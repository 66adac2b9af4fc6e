"""Filters, orders and neighbours of the queue."""

import pytest

from apu.types import Contact, Decision, Verdict
from review_db import Order, PairFilter, PairState

HOSTILE = [
    "'; DROP TABLE pairs; --",
    "' OR 1=1 --",
    '" OR ""="',
    "%",
    "_%_",
    "1 UNION SELECT * FROM curators",
    "\\",
    "x') OR ('1'='1",
    "id; DELETE FROM edits",
    "x\u2028y",
]


@pytest.fixture
def busy(workspace, add_pairs, toys):
    """Eight pairs of different confidence and fit error, some tied, some decided."""
    pairs = add_pairs(8, asked=False)
    for pair, confidence in zip(pairs, (0.2, 0.9, 0.5, 0.5, 0.5, 0.7, 0.1, 0.3), strict=True):
        parts = toys.answer().contacts[0].parts
        workspace.add_answer(pair, toys.answer(Contact(parts=parts, confidence=confidence)), asker="replay")
    for pair, error in zip(pairs[:5], (8.0, 30.0, 12.0, 12.0, 19.0), strict=True):
        workspace.add_fit(pair, toys.fit(error), revision=1)
    workspace.decide(pairs[0], Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=1)
    workspace.decide(pairs[1], Decision(verdict=Verdict.REJECT, curator="bob"), revision=1)
    return pairs


@pytest.mark.parametrize("order", Order)
def test_orders_put_first_what_they_promise(workspace, busy, order) -> None:
    lines = workspace.pairs(order=order)
    key = {
        Order.ID: lambda line: line.id,
        Order.UNCERTAIN: lambda line: (-line.uncertainty, line.id),
        Order.WORST_FIT: lambda line: (-line.fit_error, line.id),
    }[order]
    assert sorted(line.id for line in lines) == busy
    assert list(lines) == sorted(lines, key=key)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("where", [PairFilter(), PairFilter(states=frozenset({PairState.ASKED, PairState.FITTED}))])
def test_walking_there_and_back_meets_every_pair_in_order(workspace, busy, order, where) -> None:
    lines = list(workspace.pairs(where, order=order))
    there, here = [], workspace.next_pair(None, where, order=order)
    while here:
        there.append(here)
        here = workspace.next_pair(here, where, order=order)
    back, here = [], workspace.next_pair(None, where, order=order, backwards=True)
    while here:
        back.append(here)
        here = workspace.next_pair(here, where, order=order, backwards=True)
    assert there == lines == back[::-1]
    assert [workspace.position(line, where, order=order) for line in lines] == list(range(len(lines)))
    assert workspace.count(where) == len(lines)
    assert list(workspace.pairs(where, order=order, after=lines[0], limit=2)) == lines[1:3]


def test_work_on_a_pair_does_not_move_its_place(workspace, busy, toys) -> None:
    opened = workspace.pairs(order=Order.WORST_FIT)[0]
    following = workspace.next_pair(opened, order=Order.WORST_FIT)
    workspace.add_fit(opened.id, toys.fit(1.0), revision=1)
    assert workspace.next_pair(opened, order=Order.WORST_FIT) == following


def test_filters(workspace, busy) -> None:
    def ids(**where) -> list[int]:
        return [line.id for line in workspace.pairs(PairFilter(**where))]

    assert ids(states=frozenset({PairState.ACCEPTED})) == busy[:1]
    assert ids(states=frozenset()) == []
    assert ids(curator="bob") == busy[1:2]
    assert ids(source="demo", simulated=True, text="SIDE HUG") == busy
    assert ids(text="image_3") == busy[3:4]
    assert ids(simulated=False) == ids(source="other") == []


@pytest.mark.parametrize("text", HOSTILE)
def test_sql_in_filters_is_text(workspace, busy, text) -> None:
    for where in (PairFilter(text=text), PairFilter(source=text), PairFilter(curator=text)):
        for order in Order:
            assert workspace.pairs(where, order=order) == ()
            assert workspace.next_pair(None, where, order=order) is None
        assert workspace.count(where) == 0
    assert workspace.decisions(curator=text) == ()
    assert workspace.count() == len(busy)


@pytest.mark.parametrize("text", HOSTILE)
def test_sql_in_names_and_notes_is_text(workspace, pair, text) -> None:
    workspace.decide(pair, Decision(verdict=Verdict.FLAG, curator=text, reason=text, note=text), revision=1)
    stored = workspace.pair(pair).decision
    assert stored is not None
    assert (stored.decision.curator, stored.decision.reason, stored.decision.note) == (text, text, text)
    assert workspace.count(PairFilter(curator=text)) == 1
