"""Filters, orders and neighbours of the queue."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.types import Contact, Decision, Verdict
from review_db import Order, PairFilter, PairState, PairSummary, Workspace, columns
from review_db.queue import walk

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


@pytest.mark.parametrize("order", [Order.ID, Order.UNCERTAIN, Order.WORST_FIT])
def test_orders_put_first_what_they_promise(workspace, busy, order) -> None:
    lines = workspace.pairs(order=order)
    key = {
        Order.ID: lambda line: line.id,
        Order.UNCERTAIN: lambda line: (-line.uncertainty, line.id),
        Order.WORST_FIT: lambda line: (-line.fit_error, line.id),
    }[order]
    assert sorted(line.id for line in lines) == busy
    assert list(lines) == sorted(lines, key=key)


def test_strata_take_turns_and_the_most_uncertain_comes_first(many) -> None:
    waiting: dict[str, list[PairSummary]] = {}
    for line in many.pairs(order=Order.UNCERTAIN):
        waiting.setdefault(line.interaction, []).append(line)
    turns = []
    while any(waiting.values()):
        turns += [waiting[name].pop(0) for name in sorted(waiting) if waiting[name]]
    assert list(many.pairs(order=Order.STRATIFIED)) == turns
    assert len({line.interaction for line in turns[:4]}) == 4


def test_chance_is_the_same_for_the_same_seed_and_fair(many) -> None:
    orders = [[line.id for line in many.pairs(order=Order.RANDOM, seed=seed)] for seed in range(40)]
    assert orders[3] == [line.id for line in many.pairs(order=Order.RANDOM, seed=3)]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) == 40
    assert len({order[0] for order in orders}) > 15


@pytest.fixture(scope="module")
def many(tmp_path_factory, toys):
    """Pairs of every kind, sixty of them."""
    folder, chance = tmp_path_factory.mktemp("many"), np.random.default_rng(5)
    with Workspace.create(folder / "workspace") as opened:
        for number in range(60):
            image = folder / f"{('Hug', 'kiss', 'sport')[number % 3]}_{number // 2}.png"
            image.write_bytes(f"{number // 2}".encode())
            source = ("demo", "other")[number % 2]
            made = replace(toys.observation(number, image.name), source=source, simulated=bool(number % 5))
            pair = opened.add_pair(opened.add_image(image, size=(640, 480)), made)
            if number % 7 == 0:
                continue
            parts = toys.answer().contacts[0].parts
            contact = Contact(parts=parts, confidence=int(chance.integers(0, 5)) / 4)
            answer = replace(toys.answer(contact), interaction=INTERACTIONS[chance.integers(4)])
            opened.add_answer(pair, answer, asker="replay")
            if number % 3:
                fit = replace(toys.fit(float(chance.integers(1, 40)), (contact,)), gaps_m=chance.uniform(0, 0.1, 1))
                opened.add_fit(pair, fit, revision=1)
                if number % 4:
                    curator = ("ada", "bob")[number // 4 % 2]
                    verdict = list(Verdict)[chance.integers(3)]
                    opened.decide(pair, Decision(verdict=verdict, curator=curator), revision=1)
        yield opened


INTERACTIONS = ("side hug", "Kissing", "high five", "carrying; DROP TABLE pairs")

ENDS = st.none() | st.sampled_from((0.0, 0.02, 0.25, 0.5, 0.75, 1.0, 10.0, 25.0))
RANGES = st.none() | st.tuples(ENDS, ENDS).filter(lambda ends: None in ends or ends[0] <= ends[1])
FILTERS = st.builds(
    PairFilter,
    states=st.none() | st.frozensets(st.sampled_from(PairState)),
    source=st.sampled_from((None, "demo", "other", "none")),
    interactions=st.none() | st.frozensets(st.sampled_from((*INTERACTIONS, "", "unheard of"))),
    simulated=st.none() | st.booleans(),
    image=st.none() | st.integers(1, 40),
    text=st.sampled_from(("", "HUG", "hug_1", "k", "ss", "%", "high", ".png", "\u00e9", "; drop")),
    curator=st.sampled_from((None, "ada", "bob", "eve")),
    disagrees=st.none() | st.booleans(),
    confidence=RANGES,
    gap_m=RANGES,
    reprojection=RANGES,
)


@settings(max_examples=80, deadline=None)
@given(where=FILTERS, order=st.sampled_from(Order), seed=st.integers(-3, 3), limit=st.none() | st.integers(0, 9))
def test_the_queue_in_memory_finds_what_sql_finds(many, where, order, seed, limit) -> None:
    with many.database.read() as connection:
        plain = list(walk(connection, where))
    lines = many.pairs(where, order=order, seed=seed)
    assert sorted(lines, key=lambda line: line.id) == plain
    assert many.count(where) == len(plain)
    assert list(many.pairs(where, order=order, seed=seed, limit=limit)) == list(lines[:limit])
    assert many.pairs(where, order=order, seed=seed, backwards=True) == lines[::-1]
    for facet in ("state", "source", "interaction"):
        counted = Counter(str(getattr(line, facet)) for line in plain)
        assert many.facets(where)[facet] == dict(counted)


@pytest.mark.parametrize("order", Order)
def test_a_place_that_has_left_the_filter_is_gone_on_from(many, order) -> None:
    every = many.pairs(order=order)
    where = PairFilter(states=frozenset({PairState.FITTED, PairState.ASKED}))
    for number, line in enumerate(every):
        rest = [other for other in every[number + 1 :] if where.states and other.state in where.states]
        assert many.pairs(where, order=order, after=line)[:1] == tuple(rest[:1])
        assert many.place(line, order=order).before == number


@pytest.mark.parametrize("look", [1, 20, 1000])
def test_pages_are_the_same_however_far_it_looks(many, look, monkeypatch) -> None:
    monkeypatch.setattr(columns, "_LOOK_FIRST", 2)
    monkeypatch.setattr(columns, "_LOOK_AT", look)
    fitted = PairFilter(states=frozenset({PairState.FITTED}))
    for order in (*Order, *Order):  # the second time it is sorted
        for where in (PairFilter(), fitted, PairFilter(text="hug")):
            whole = many.pairs(where, order=order)
            for number, line in enumerate(whole):
                assert many.pairs(where, order=order, after=line, limit=3) == whole[number + 1 :][:3]
                before = whole[max(number - 3, 0) : number][::-1]
                assert many.pairs(where, order=order, after=line, limit=3, backwards=True) == before
            assert many.pairs(where, order=order, limit=3, backwards=True) == whole[-3:][::-1]


def test_pairs_take_their_new_places_when_they_are_fitted_and_asked(workspace, add_pairs, toys) -> None:
    pairs, chance = add_pairs(12), np.random.default_rng(1)
    parts = toys.answer().contacts[0].parts
    for step in range(12):
        pair = pairs[chance.integers(12)]
        workspace.add_fit(pair, toys.fit(float(chance.integers(1, 5))), revision=1)
        if step % 4 == 3:
            contact = Contact(parts=parts, confidence=int(chance.integers(0, 4)) / 4)
            workspace.add_answer(pair, toys.answer(contact), asker="replay")
        for order in Order:
            whole = workspace.pairs(order=order)
            assert workspace.pairs(order=order, limit=11) == whole[:11]
            assert workspace.pairs(order=order, after=whole[5], limit=2) == whole[6:8]


def test_a_queue_sees_what_others_change(workspace, add_pairs, toys) -> None:
    first, second = add_pairs(2)
    assert workspace.count() == 2
    with Workspace.open(workspace.path) as other:
        assert other.count(PairFilter(states=frozenset({PairState.FITTED}))) == 0
        workspace.add_fit(first, toys.fit(), revision=1)
        assert other.count(PairFilter(states=frozenset({PairState.FITTED}))) == 1
        image = workspace.pair(first).image.id
        third = workspace.add_pair(image, toys.observation(77))
        assert [line.id for line in other.pairs()] == [first, second, third]
        assert [line.id for line in other.pairs(PairFilter(text="image_0"))] == [first, third]
        with workspace.database.write() as connection:
            connection.execute("DELETE FROM pairs WHERE id = ?", (third,))
        assert [line.id for line in other.pairs()] == [first, second]
        with workspace.database.write() as connection:
            connection.execute("DELETE FROM queue_changes")
            connection.execute("INSERT INTO queue_changes VALUES (1000000, 1)")  # more has changed than is remembered
            connection.execute("UPDATE pairs SET source = 'elsewhere'")
        assert other.count(PairFilter(source="elsewhere")) == 2


def kept(workspace: Workspace) -> int:
    with workspace.database.read() as connection:
        return connection.execute("SELECT count(*) FROM queue_columns").fetchone()[0]


def test_the_columns_of_many_pairs_are_kept_for_the_next_process(workspace, add_pairs, toys, monkeypatch) -> None:
    first, second, third = add_pairs(3)
    assert workspace.count() == 3
    assert kept(workspace) == 0
    monkeypatch.setattr(columns, "KEEP_FROM", 3)
    lines = workspace.pairs(order=Order.UNCERTAIN)
    assert kept(workspace) > 5
    workspace.decide(second, Decision(verdict=Verdict.FLAG, curator="ada"), revision=1)
    monkeypatch.setattr(columns.Queue, "_read", only_some(columns.Queue._read))
    with Workspace.open(workspace.path) as other:
        assert [line.id for line in other.pairs(order=Order.UNCERTAIN)] == [line.id for line in lines]
        assert [line.id for line in other.pairs(PairFilter(curator="ada", text="SIDE"))] == [second]
    monkeypatch.undo()
    for damage in (b"", b"\xff" * 24, b"\x07" * 24):
        with workspace.database.write() as connection:
            connection.execute("UPDATE queue_columns SET data = ? WHERE name IN ('id', 'state')", (damage,))
        with Workspace.open(workspace.path) as other:
            assert [line.id for line in other.pairs()] == [first, second, third]


def only_some(read):
    """Reading that refuses to read every pair."""

    def checked(self, connection, sql, values):
        assert "WHERE" in sql
        return read(self, connection, sql, values)

    return checked


def test_kept_columns_do_not_outlive_a_pair(workspace, add_pairs, toys, monkeypatch) -> None:
    monkeypatch.setattr(columns, "KEEP_FROM", 1)
    (first,) = add_pairs(1)
    second = workspace.add_pair(workspace.pair(first).image.id, toys.observation(5))
    assert workspace.count() == 2
    assert kept(workspace) > 5
    with workspace.database.write() as connection:
        connection.execute("DELETE FROM pairs WHERE id = ?", (second,))
    assert kept(workspace) == 0
    assert workspace.count() == 1
    assert kept(workspace) > 5


def test_what_has_not_been_stored_is_not_in_the_queue(workspace, pair) -> None:
    def break_off() -> None:
        with workspace.database.write() as connection:
            connection.execute("UPDATE pairs SET source = 'nowhere'")
            assert workspace.count(PairFilter(source="nowhere")) == 0
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        break_off()
    assert workspace.count(PairFilter(source="nowhere")) == 0


@pytest.mark.parametrize(
    "where",
    [
        {"confidence": (0.5, 0.1)},
        {"gap_m": (float("nan"), None)},
        {"reprojection": (None, float("inf"))},
        {"text": "\0"},
        {"interactions": frozenset({"\ud800"})},
    ],
)
def test_filters_that_mean_nothing_are_refused(where) -> None:
    with pytest.raises(ValueError, match="must be"):
        PairFilter(**where)


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
    assert [workspace.place(line, where, order=order).before for line in lines] == list(range(len(lines)))
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
    chosen = PairFilter(interactions=frozenset({text}))
    for where in (chosen, PairFilter(text=text), PairFilter(source=text), PairFilter(curator=text)):
        with workspace.database.read() as connection:
            assert list(walk(connection, where)) == []
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
