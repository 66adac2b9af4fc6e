"""What a team agrees on, and how its curators get on."""

import pytest

from apu.types import Decision, Verdict
from review_db import Workspace
from review_db.settings import REASONS


def test_a_team_writes_its_own_reasons(workspace) -> None:
    assert workspace.settings.reasons == REASONS
    workspace.settings.set_reasons(["no contact ", "${x} <b>"])
    with Workspace.open(workspace.path) as again:
        assert again.settings.reasons == ("no contact", "${x} <b>")
    for wrong in ([], ["a", "a"], [""], ["x" * 61], [str(number) for number in range(10)]):
        with pytest.raises(ValueError, match="reason"):
            workspace.settings.set_reasons(wrong)
    assert workspace.settings.reasons == ("no contact", "${x} <b>")


def test_a_team_says_how_many_pairs_are_judged_twice(workspace) -> None:
    assert workspace.settings.review_share == 0
    workspace.settings.set_review_share(0.2)
    assert workspace.settings.review_share == 0.2
    with pytest.raises(ValueError, match="share must lie"):
        workspace.settings.set_review_share(1.5)


def test_pace_is_the_median_time_between_decisions_without_breaks(workspace, add_pairs, monkeypatch) -> None:
    pairs = add_pairs(6)
    assert workspace.pace("ada").seconds is None
    times = iter(("08:00:00", "08:00:10", "08:00:40", "12:00:00", "12:00:20"))
    for pair in pairs[:5]:
        time = f"2031-05-01T{next(times)}.000000+00:00"
        monkeypatch.setattr("review_db.changes.now", lambda time=time: time)
        workspace.decide(pair, Decision(verdict=Verdict.FLAG, curator="ada"), revision=1)
    workspace.decide(pairs[5], Decision(verdict=Verdict.FLAG, curator="bob"), revision=1)
    pace = workspace.pace("ada")
    assert (pace.today, pace.seconds) == (5, 20.0)
    assert (workspace.pace("bob").today, workspace.pace("bob").seconds) == (1, None)
