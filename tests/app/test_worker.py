"""The fit worker: whatever happens to it, its job ends in one of the known ways and the next one is taken."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.jobs import last_fit, run_fit
from app.supervisor import Supervisor
from app.worker import beginning, carry_out, preview_bytes
from apu.body.model import BodyModel
from apu.body.skinning import Pose
from apu.errors import FitError
from apu.fit import FitCancelled, FitOptions, FitProgress
from apu.pipeline import unite
from review_db import Drop, Flip, JobRecord, Swap, Workspace
from review_db.records import JobKind

from .conftest import TRUE, result, until


@pytest.fixture
def workspace(make_workspace: Callable[..., Path]) -> Iterator[Workspace]:
    with Workspace.open(make_workspace(1)) as opened:
        yield opened


def queued(workspace: Workspace) -> int:
    return workspace.jobs.queue("fit", 1, revision=workspace.pair(1).sheet.revision, curator="tester")


def test_a_fit_is_stored_with_its_job_and_its_revision(workspace: Workspace, body: BodyModel) -> None:
    sheet = workspace.edit_contacts(1, Flip(contact=1), curator="tester", revision=1)
    job = workspace.jobs.get(queued(workspace))
    claimed = workspace.jobs.claim("w")
    assert claimed is not None
    carry_out(workspace, claimed, "w", body)
    done = workspace.jobs.get(job.id)
    fit = workspace.pair(1).fits[-1]
    assert (done.state, done.result) == ("done", fit.id)
    assert (fit.revision, fit.curator, fit.stale) == (sheet.revision, "tester", False)


def test_the_people_stay_as_they_stand_unless_the_fit_is_told_to_exchange_them(
    workspace: Workspace, body: BodyModel
) -> None:
    truth = workspace.edit_contacts(1, Flip(contact=1), curator="tester", revision=workspace.pair(1).sheet.revision)
    wrong = workspace.edit_contacts(1, Swap(), curator="tester", revision=truth.revision)
    run_fit(workspace, 1, body)
    assert workspace.pair(1).sheet == wrong
    run_fit(workspace, 1, body, exchange=True)
    record = workspace.pair(1)
    assert [fit.swapped for fit in record.fits] == [False, True]
    assert not record.fits[-1].stale
    assert [line.contact.parts for line in record.sheet.contacts] == [c.contact.parts for c in truth.contacts]


def test_a_cancelled_fit_stops_within_a_second_and_stores_nothing(workspace: Workspace, body: BodyModel) -> None:
    queued(workspace)
    job = workspace.jobs.claim("w")
    assert job is not None
    thread = threading.Thread(target=carry_out, args=(workspace, job, "w", body))
    workspace.jobs.cancel(job.id)
    began = time.monotonic()
    thread.start()
    thread.join()
    assert workspace.jobs.get(job.id).state in ("cancelled", "done")
    assert time.monotonic() - began < 10
    if workspace.jobs.get(job.id).state == "cancelled":
        assert workspace.pair(1).fits == ()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(FitError("A has no confident keypoint"), "A has no confident keypoint"), (MemoryError(), "memory")],
)
def test_a_fit_that_fails_says_why(
    workspace: Workspace, body: BodyModel, monkeypatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr("app.worker.run_fit", fail)
    queued(workspace)
    job = workspace.jobs.claim("w")
    assert job is not None
    carry_out(workspace, job, "w", body)
    ended = workspace.jobs.get(job.id)
    assert ended.state == "failed"
    assert sentence in ended.error


def test_progress_is_told_while_the_fit_runs(workspace: Workspace, body: BodyModel, monkeypatch) -> None:
    from .conftest import standing

    seen: list[tuple[float, bool]] = []

    def slow(*_: object, progress: Callable[[FitProgress], None], **__: object) -> int:
        for step in (1, 2):
            progress(
                FitProgress(
                    pair=0, stage=1, step=step, fraction=step / 2, pose=Pose.of(standing()), terms={"contact": 1.0}
                )
            )
            time.sleep(0.6)
            now = workspace.jobs.get(job.id)
            seen.append((now.progress["fraction"], bool(now.preview and now.preview.is_file())))
        return 0

    monkeypatch.setattr("app.worker.run_fit", slow)
    queued(workspace)
    job = workspace.jobs.claim("w")
    assert job is not None
    carry_out(workspace, job, "w", body)
    assert seen == [(0.5, True), (1.0, True)]


def test_a_killed_worker_is_started_again_and_its_job_is_done_once_more(workspace: Workspace) -> None:
    supervisor = Supervisor(workspace, device="cpu")
    supervisor.start()
    try:
        until(lambda: supervisor.pid, "the worker starts")
        job = queued(workspace)
        until(lambda: workspace.jobs.get(job).state != "queued", "the worker takes the job")
        killed = supervisor.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        until(lambda: supervisor.trouble or workspace.jobs.get(job).attempt == 2, "the death is noticed")
        until(lambda: workspace.jobs.get(job).state not in ("queued", "running"), "the job ends")
        ended = workspace.jobs.get(job)
        assert (ended.state, len(workspace.pair(1).fits)) == ("done", 1)
        assert supervisor.pid != killed
        assert supervisor.trouble == ""
    finally:
        supervisor.stop()
    assert supervisor.pid is None


def test_a_worker_ends_when_its_server_is_gone(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "app.worker", str(workspace.path)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(30) == 0


def claimed(workspace: Workspace, kind: JobKind = "fit", **options: Any) -> JobRecord:
    workspace.jobs.queue(kind, 1, revision=workspace.pair(1).sheet.revision, curator="tester", **options)
    job = workspace.jobs.claim("w")
    assert job is not None
    return job


def test_a_refit_goes_on_from_the_latest_fit_unless_it_starts_afresh(workspace: Workspace, body: BodyModel) -> None:
    carry_out(workspace, claimed(workspace), "w", body)
    first = workspace.fit(workspace.pair(1).fits[-1].id)
    workspace.edit_contacts(1, Flip(contact=1), curator="tester", revision=workspace.pair(1).sheet.revision)
    job = claimed(workspace)
    begun = beginning(workspace, job, body)
    assert begun is not None
    np.testing.assert_array_equal(begun.transl, first.params.transl)
    carry_out(workspace, job, "w", body)
    warm = workspace.pair(1).fits[-1]
    assert not warm.stale
    assert warm.iterations < first.iterations
    assert max(warm.gaps_m) < 0.02
    assert beginning(workspace, claimed(workspace, options={"afresh": True}), body) is None


def test_without_contacts_before_or_now_a_fit_begins_afresh(workspace: Workspace, body: BodyModel) -> None:
    fit = replace(result((0.01, 0.02)), body=body.name)
    given_up = replace(fit, contacts=tuple(replace(contact, weight=0.0) for contact in fit.contacts))
    for each, afresh in (
        (replace(fit, contacts=(), gaps_m=np.zeros(0)), True),
        (given_up, True),
        (replace(fit, body="another"), True),
        (fit, False),
    ):
        workspace.add_fit(1, each, revision=1)
        assert (last_fit(workspace.pair(1), body) is None) is afresh
    for line in workspace.pair(1).sheet.contacts:
        sheet = workspace.edit_contacts(
            1, Drop(contact=line.id), curator="tester", revision=workspace.pair(1).sheet.revision
        )
    assert not sheet.active
    assert last_fit(workspace.pair(1), body) is None


def test_a_fit_does_not_begin_where_one_of_outdated_contacts_was_stopped(workspace: Workspace, body: BodyModel) -> None:
    from .conftest import standing

    job = claimed(workspace)
    preview = (".npz", preview_bytes(standing(depth=0.07)))
    workspace.jobs.heartbeat(job.id, "w", progress={"stage": 2}, preview=preview)
    workspace.jobs.queue("fit", 1, revision=9, curator="tester", instead=True)
    later = workspace.jobs.claim("w")
    assert later is not None
    assert later.preview is not None
    assert beginning(workspace, later, body) is None
    run_fit(workspace, 1, body, options=FitOptions(schedule=FitOptions().schedule[:1]))
    begun = beginning(workspace, later, body)
    assert begun is not None
    np.testing.assert_array_equal(begun.transl, workspace.fit(workspace.pair(1).fits[-1].id).params.transl)


def test_a_fan_is_fitted_as_one_batch_ranked_and_taken_with_its_fit(workspace: Workspace, body: BodyModel) -> None:
    record = workspace.pair(1)
    run_fit(workspace, 1, body, options=FitOptions(schedule=FitOptions().schedule[:1]))
    job = claimed(workspace, "fan")
    carry_out(workspace, job, "w", body)
    assert workspace.jobs.get(job.id).state == "done"
    fan = workspace.fans.get(1)
    assert fan is not None
    assert 3 <= len(fan.alternatives) <= 6
    scores = [each.score for each in fan.alternatives]
    assert scores == sorted(scores, reverse=True)
    best, stand = fan.alternatives[0], next(each for each in fan.alternatives if each.edit is None)
    assert best.words == "A's left upper arm instead of right, B's right upper arm instead of left"
    assert stand.words == "as it stands"
    assert best.fit.max_gap_m < 0.03 < stand.fit.max_gap_m
    first = unite(record.observation, record.sheet.active, body)
    assert workspace.fans.fit(1, stand.id).objective == pytest.approx(first.objective, rel=0.01), (
        "no earlier fit is used"
    )
    sheet = workspace.fans.take(1, best.id, curator="tester", revision=workspace.pair(1).sheet.revision)
    assert [contact.parts for contact in sheet.active] == [contact.parts for contact in TRUE]
    assert not workspace.pair(1).fits[-1].stale


def test_a_fan_of_judged_contacts_says_that_nothing_is_in_doubt(workspace: Workspace, body: BodyModel) -> None:
    for contact in (1, 2):
        revision = workspace.pair(1).sheet.revision
        workspace.edit_contacts(1, Flip(contact=contact), curator="tester", revision=revision)
    job = claimed(workspace, "fan")
    carry_out(workspace, job, "w", body)
    ended = workspace.jobs.get(job.id)
    assert (ended.state, "somebody has judged every contact" in ended.error) == ("failed", True)


def test_a_prepared_fan_gives_way_to_a_fit_that_somebody_waits_for(
    workspace: Workspace, body: BodyModel, monkeypatch
) -> None:
    def endless(*_: object, cancelled: Callable[[], bool], **__: object) -> int:
        until(cancelled, "the fan is told to stop", seconds=10)
        raise FitCancelled("stopped")

    monkeypatch.setattr("app.worker.run_fan", endless)
    fan = claimed(workspace, "fan", prepared=True)
    asked = queued(workspace)
    carry_out(workspace, fan, "w", body)
    assert workspace.jobs.get(fan.id).state == "queued"
    following = workspace.jobs.claim("w")
    assert following is not None
    assert following.id == asked


def test_the_first_state_of_a_fit_is_told_at_once(workspace: Workspace, body: BodyModel, monkeypatch) -> None:
    from .conftest import standing

    def slow(*_: object, progress: Callable[[FitProgress], None], **__: object) -> int:
        progress(FitProgress(pair=0, stage=1, step=1, fraction=0.1, pose=Pose.of(standing()), terms={"contact": 1.0}))
        until(lambda: workspace.jobs.get(job.id).preview, "the first state is there", seconds=5)
        return 0

    monkeypatch.setattr("app.worker.run_fit", slow)
    monkeypatch.setattr("app.worker.BEAT_S", 60.0)
    job = claimed(workspace)
    carry_out(workspace, job, "w", body)
    assert workspace.jobs.get(job.id).progress["step"] == 1
