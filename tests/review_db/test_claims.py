"""Claims, skips and drafts: each pair to one curator, free again when they are gone, and nothing typed is lost."""

import threading

import pytest

from apu.types import Decision, Verdict
from review_db import Drop, Order, PairFilter, PairState, SetNote, Workspace


def claimed(workspace: Workspace, curator: str, **more) -> int | None:
    line = workspace.claims.next(curator, **more)
    return line.id if line else None


def test_fifty_clients_claim_fifty_pairs_each_once(workspace, add_pairs) -> None:
    pairs = add_pairs(50)
    given: list[int | None] = []
    clients = [Workspace.open(workspace.path) for _ in range(5)]  # as five processes would, with ten threads each
    ready = threading.Barrier(50)

    def take(number: int) -> None:
        ready.wait()
        given.append(claimed(clients[number % 5], f"curator {number}"))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    assert sorted(pair for pair in given if pair) == pairs
    assert claimed(workspace, "late") is None
    assert {claim.pair for claim in workspace.claims.held()} == set(pairs)


def test_a_claim_runs_out_and_another_takes_the_pair(workspace, pair) -> None:
    assert claimed(workspace, "ada", lease_s=0) == pair
    assert claimed(workspace, "bob") == pair
    assert not workspace.claims.renew(pair, "ada")
    assert not workspace.claims.take(pair, "ada")
    assert [claim.curator for claim in workspace.claims.held()] == ["bob"]


def test_who_comes_back_from_a_closed_tab_finds_their_pair_and_their_draft(workspace, add_pairs) -> None:
    first, second = add_pairs(2)
    assert claimed(workspace, "ada") == first
    edits = (Drop(contact=1), SetNote(text="unsure"))
    workspace.drafts.save(first, "ada", revision=1, note="the left hand ...", edits=edits)
    assert claimed(workspace, "bob") == second
    assert claimed(workspace, "ada") == first
    assert workspace.claims.renew(first, "ada", lease_s=0)
    assert claimed(workspace, "bob", where=PairFilter(image=workspace.pair(first).image.id)) == first
    workspace.decide(first, Decision(verdict=Verdict.FLAG, curator="bob"), revision=1)
    draft = workspace.drafts.get(first, "ada")
    assert draft is not None
    assert (draft.note, draft.edits, draft.revision) == ("the left hand ...", edits, 1)
    assert [each.pair for each in workspace.drafts.list("ada")] == [first]
    workspace.drafts.save(first, "ada", revision=2, note="the left hand is on the back")
    assert workspace.drafts.get(first, "ada").note == "the left hand is on the back"
    assert workspace.drafts.get(first, "bob") is None
    workspace.drafts.save(first, "ada", revision=2, verdict=Verdict.REJECT, reason="no contact")
    begun = workspace.drafts.get(first, "ada")
    assert (begun.verdict, begun.reason, begun.note) == (Verdict.REJECT, "no contact", "")
    workspace.drafts.drop(first, "ada")
    assert workspace.drafts.list("ada") == ()


def test_a_skipped_pair_goes_to_others_and_comes_back_later(workspace, add_pairs) -> None:
    first, second = add_pairs(2)
    assert claimed(workspace, "ada") == first
    workspace.claims.skip(first, "ada")
    assert claimed(workspace, "ada") == second
    assert claimed(workspace, "bob") == first
    workspace.claims.skip(first, "bob", for_s=0)
    assert claimed(workspace, "bob") == first
    workspace.claims.release(first, "bob")
    workspace.claims.release(first, "ada")  # a page that is left does so
    assert workspace.claims.skipped("ada") == (first,)
    workspace.claims.come_back(first, "ada")
    assert claimed(workspace, "ada") == first


def test_a_decision_ends_the_claim_and_the_pair_leaves_the_queue(workspace, add_pairs) -> None:
    first, second = add_pairs(2)
    assert claimed(workspace, "ada") == first
    workspace.decide(first, Decision(verdict=Verdict.REJECT, curator="ada"), revision=1)
    assert workspace.claims.held() == ()
    assert claimed(workspace, "ada") == second


def test_claims_follow_filter_and_order(workspace, add_pairs, toys) -> None:
    pairs = add_pairs(4)
    workspace.add_fit(pairs[2], toys.fit(30.0), revision=1)
    workspace.add_fit(pairs[3], toys.fit(10.0), revision=1)
    fitted = PairFilter(states=frozenset({PairState.FITTED}))
    assert [claimed(workspace, name, order=Order.WORST_FIT) for name in ("a", "b", "c")] == [
        pairs[2],
        pairs[3],
        pairs[0],
    ]
    assert claimed(workspace, "d", where=fitted) is None
    assert claimed(workspace, "a", where=fitted) == pairs[2]


def test_a_claim_is_of_a_pair_that_exists(workspace) -> None:
    for call in (
        lambda: workspace.claims.take(9, "ada"),
        lambda: workspace.claims.skip(9, "ada"),
        lambda: workspace.drafts.save(9, "ada", revision=0),
    ):
        with pytest.raises(ValueError, match="there is no pair 9"):
            call()


def test_views_are_kept_under_their_owners_names(workspace) -> None:
    where = PairFilter(
        states=frozenset({PairState.FITTED}), text="'; DROP TABLE views; --", gap_m=(0.01, None),
        interactions=frozenset({"hug", "kiss"}),
    )  # fmt: skip
    workspace.views.save("wide gaps", "ada", where, order=Order.RANDOM, seed=7)
    workspace.views.save("wide gaps", "bob")
    workspace.views.save("all", "ada")
    view = workspace.views.get("wide gaps", "ada")
    assert (view.where, view.order, view.seed) == (where, Order.RANDOM, 7)
    assert [(each.owner, each.name) for each in workspace.views.list()] == [
        ("ada", "all"), ("ada", "wide gaps"), ("bob", "wide gaps"),
    ]  # fmt: skip
    workspace.views.save("wide gaps", "ada", PairFilter(simulated=False))
    assert workspace.views.get("wide gaps", "ada").where == PairFilter(simulated=False)
    workspace.views.remove("wide gaps", "ada")
    with pytest.raises(ValueError, match="no view"):
        workspace.views.get("wide gaps", "ada")
    with pytest.raises(ValueError, match="name must be"):
        workspace.views.save(" ", "ada")
