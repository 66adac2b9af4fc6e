"""Jobs: given out once, taken up again once, fair between curators, stoppable."""

import subprocess
import sys
from collections import Counter

import pytest

from apu.errors import StoreError
from review_db import PairState
from review_db.jobs import RETRIES

CLAIM_ALL = """
import sys
from pathlib import Path
from review_db import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while job := workspace.jobs.claim(sys.argv[2]):
    print(job.id, flush=True)
    workspace.jobs.finish(job.id, sys.argv[2])
"""


def test_many_processes_take_each_job_exactly_once(workspace, pair) -> None:
    jobs = [workspace.jobs.queue("fit", pair, revision=1, options={"n": n}) for n in range(50)]
    command = [sys.executable, "-c", CLAIM_ALL, str(workspace.path)]
    workers = [
        subprocess.Popen([*command, f"w{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    taken = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        output, _ = worker.communicate(timeout=60)
        taken += [int(line) for line in output.split()]
        assert worker.returncode == 0
    assert sorted(taken) == jobs
    assert {job.state for job in workspace.jobs.list(states=("queued", "running", "done"))} == {"done"}


def test_a_dead_workers_job_is_taken_up_once_more_and_then_fails(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1, curator="ada")
    for attempt in (1, 2):
        claimed = workspace.jobs.claim(f"worker {attempt}", lease_s=0)
        assert claimed is not None
        assert (claimed.id, claimed.attempt) == (job, attempt)
    assert workspace.jobs.claim("worker 3", lease_s=0) is None
    failed = workspace.jobs.get(job)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert "worker died" in failed.error


def test_a_known_death_needs_no_waiting(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1)
    workspace.jobs.claim("a")
    workspace.jobs.release("a")
    again = workspace.jobs.claim("b")
    assert again is not None
    assert again.id == job
    workspace.jobs.release("b")
    assert workspace.jobs.get(job).state == "failed"


def test_a_worker_that_lives_keeps_its_job(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1)
    workspace.jobs.claim("a")
    assert workspace.jobs.heartbeat(job, "a", progress={"step": 3})
    assert workspace.jobs.claim("b", lease_s=60) is None
    assert workspace.jobs.get(job).progress == {"step": 3}


def test_a_worker_that_lost_its_job_is_told_so_and_stores_nothing(workspace, pair, toys) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1)
    workspace.jobs.claim("slow")
    assert workspace.jobs.claim("quick", lease_s=0) is not None
    assert not workspace.jobs.heartbeat(job, "slow")
    assert not workspace.jobs.finish(job, "slow")
    with pytest.raises(StoreError, match="another worker"):
        workspace.add_fit(pair, toys.fit(), revision=1, job=job, worker="slow")
    assert workspace.pair(pair).fits == ()
    fit = workspace.add_fit(pair, toys.fit(), revision=1, job=job, worker="quick")
    done = workspace.jobs.get(job)
    assert (done.state, done.result) == ("done", fit)
    assert workspace.pair(pair).summary.state is PairState.FITTED


def test_nobody_waits_behind_anothers_batch(workspace, pair) -> None:
    for curator, count in (("batch", 5), ("ada", 2), ("bob", 1)):
        for n in range(count):
            workspace.jobs.queue("fit", pair, revision=1, curator=curator, options={"n": n})
    served = [workspace.jobs.claim("w") for _ in range(8)]
    order = [job.curator for job in served if job]
    assert order[:5] == ["batch", "ada", "bob", "batch", "ada"]
    assert Counter(order) == {"batch": 5, "ada": 2, "bob": 1}


def test_cancel_stops_a_waiting_job_at_once_and_asks_a_running_one(workspace, pair, toys) -> None:
    waiting = workspace.jobs.queue("fit", pair, revision=1, options={"n": 1})
    workspace.jobs.cancel(waiting)
    assert workspace.jobs.get(waiting).state == "cancelled"
    assert workspace.jobs.claim("w") is None

    running = workspace.jobs.queue("fit", pair, revision=1, options={"n": 2})
    workspace.jobs.claim("w")
    assert not workspace.jobs.is_cancelled(running)
    workspace.jobs.cancel(running)
    assert workspace.jobs.is_cancelled(running)
    assert not workspace.jobs.heartbeat(running, "w")
    with pytest.raises(StoreError, match="cancelled"):
        workspace.add_fit(pair, toys.fit(), revision=1, job=running, worker="w")
    assert workspace.jobs.stopped(running, "w")
    assert workspace.jobs.get(running).state == "cancelled"


def test_a_cancelled_job_of_a_dead_worker_is_not_taken_up_again(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1)
    workspace.jobs.claim("w")
    workspace.jobs.cancel(job)
    assert workspace.jobs.claim("v", lease_s=0) is None
    assert workspace.jobs.get(job).state == "cancelled"


def test_pressing_fit_twice_queues_one_job(workspace, pair) -> None:
    first = workspace.jobs.queue("fit", pair, revision=1, curator="ada", options={"a": 1, "b": 2})
    assert workspace.jobs.queue("fit", pair, revision=1, curator="ada", options={"b": 2, "a": 1}) == first
    assert workspace.jobs.queue("fit", pair, revision=2, curator="ada", options={"a": 1, "b": 2}) != first
    assert workspace.jobs.queue("ask", pair, revision=1, curator="ada", options={"a": 1, "b": 2}) != first


def test_kinds_are_claimed_apart(workspace, pair) -> None:
    workspace.jobs.queue("ask", pair, revision=1)
    assert workspace.jobs.claim("fitter", kinds=("fit",)) is None
    claimed = workspace.jobs.claim("asker", kinds=("ask",))
    assert claimed is not None
    assert workspace.jobs.fail(claimed.id, "asker", "the server is down")
    assert workspace.jobs.get(claimed.id).error == "the server is down"


def test_previews_replace_each_other_and_go_with_the_job(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1)
    workspace.jobs.claim("w")
    for content in (b"first", b"second"):
        workspace.jobs.heartbeat(job, "w", preview=(".jpg", content))
    preview = workspace.jobs.get(job).preview
    assert preview.read_bytes() == b"second"
    assert len(list(preview.parent.iterdir())) == 1
    workspace.jobs.fail(job, "w", "no keypoints")
    assert not preview.exists()


def test_a_job_that_failed_for_a_passing_reason_is_tried_again_later(workspace, pair) -> None:
    job = workspace.jobs.queue("ask", pair, revision=1)
    for _ in range(RETRIES):
        assert workspace.jobs.claim("w").id == job
        assert workspace.jobs.fail(job, "w", "the server is busy", again_in_s=0)
        assert workspace.jobs.get(job).state == "queued"
    workspace.jobs.claim("w")
    assert workspace.jobs.fail(job, "w", "the server is busy", again_in_s=0)
    assert (workspace.jobs.get(job).state, workspace.jobs.get(job).error) == ("failed", "the server is busy")
    again = workspace.jobs.retry(job)
    workspace.jobs.claim("w")
    workspace.jobs.fail(again, "w", "not yet", again_in_s=60)
    assert workspace.jobs.claim("w") is None
    assert not workspace.jobs.fail(again, "w", "late", again_in_s=60)


def test_failed_and_cancelled_jobs_can_be_queued_again_as_new_ones(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1, curator="ada", options={"steps": 3})
    with pytest.raises(StoreError, match="is queued"):
        workspace.jobs.retry(job)
    workspace.jobs.cancel(job)
    again = workspace.jobs.get(workspace.jobs.retry(job))
    assert (again.kind, again.pair, again.curator, again.options) == ("fit", pair, "ada", {"steps": 3})
    assert again.id != job


def test_an_answer_is_stored_with_its_job_or_not_at_all(workspace, add_pairs, toys) -> None:
    first, second = add_pairs(2, asked=False)
    one, two = workspace.jobs.queue_all("ask", [first, second])
    assert workspace.jobs.queue_all("ask", [second]) == (two,)
    assert workspace.jobs.claim("slow").id == one
    assert workspace.jobs.claim("quick", lease_s=0).id in (one, two)
    with pytest.raises(StoreError, match="another worker"):
        workspace.add_answer(first, toys.answer(), asker="replay", job=one, worker="slow")
    assert workspace.pair(first).answers == ()
    while (job := workspace.jobs.claim("quick")) is not None:
        workspace.add_answer(job.pair, toys.answer(), asker="replay", job=job.id, worker="quick")
    workspace.add_answer(first, toys.answer(), asker="replay", job=one, worker="quick")
    assert [workspace.jobs.get(job).state for job in (one, two)] == ["done", "done"]
    with pytest.raises(ValueError, match="no pair 99"):
        workspace.jobs.queue_all("ask", [first, 99])


def test_a_job_that_is_gone_leaves_no_preview(workspace, pair) -> None:
    job = workspace.jobs.queue("fit", pair, revision=1)
    workspace.jobs.claim("a")
    workspace.jobs.cancel(job)
    assert not workspace.jobs.heartbeat(job, "a", preview=(".npz", b"mesh"))
    assert not list((workspace.path / "progress").glob("*"))


def test_what_is_asked_for_comes_before_what_is_prepared_and_curators_take_turns(workspace, pair) -> None:
    for n in range(3):
        workspace.jobs.queue("fan", pair, revision=1, curator="ana", options={"n": n}, prepared=True)
    mine = [workspace.jobs.queue("fit", pair, revision=1, curator="ana", options={"n": n}) for n in range(2)]
    his = workspace.jobs.queue("fit", pair, revision=1, curator="ben")
    taken = []
    while job := workspace.jobs.claim("w", kinds=("fit", "fan")):
        taken.append((job.curator, job.kind, job.prepared))
        workspace.jobs.finish(job.id, "w")
    asked = [("ana", "fit", False), ("ben", "fit", False), ("ana", "fit", False)]
    assert taken == [*asked, *[("ana", "fan", True)] * 3]
    assert mine
    assert his


def test_who_waits_learns_whose_fits_come_first_and_the_order_is_kept(workspace, pair) -> None:
    def queue(curator: str, n: int, **options) -> int:
        return workspace.jobs.queue("fit", pair, revision=1, curator=curator, options={"n": n}, **options)

    for curator, n in (("ana", 1), ("ana", 2), ("ana", 3), ("ben", 1)):
        queue(curator, n)
    workspace.jobs.claim("w")  # of ana
    mine = queue("cleo", 1)
    queue("ana", 9, prepared=True)
    assert workspace.jobs.ahead(mine) == ("ana", "ben")
    order = []
    while job := workspace.jobs.claim("w"):
        order.append(job.curator)
        workspace.jobs.finish(job.id, "w")
    assert order[:2] == ["ben", "cleo"]
    assert workspace.jobs.ahead(mine) == ()


def test_ones_own_earlier_fits_are_counted_too(workspace, pair) -> None:
    jobs = [workspace.jobs.queue("fit", pair, revision=1, curator="ana", options={"n": n}) for n in range(3)]
    assert workspace.jobs.ahead(jobs[2]) == ("ana", "ana")


def test_a_newer_fit_ends_the_outdated_one_and_keeps_its_preview_in_view(workspace, pair) -> None:
    old = workspace.jobs.queue("fit", pair, revision=1, curator="ana")
    workspace.jobs.claim("w")
    workspace.jobs.heartbeat(old, "w", progress={"stage": 2}, preview=(".npz", b"state"))
    new = workspace.jobs.queue("fit", pair, revision=2, curator="ana", instead=True)
    assert workspace.jobs.get(old).cancelling
    assert not workspace.jobs.heartbeat(old, "w")
    workspace.jobs.stopped(old, "w")
    newer = workspace.jobs.queue("fit", pair, revision=3, curator="ana", instead=True)
    assert workspace.jobs.get(new).state == "cancelled"
    begun = workspace.jobs.get(newer).preview
    assert begun is not None
    assert begun.read_bytes() == b"state"
    assert [path.name for path in begun.parent.iterdir()] == [begun.name]
    workspace.jobs.cancel(newer)
    assert list(begun.parent.iterdir()) == []


def test_others_fits_stay_when_one_queues_anew(workspace, pair) -> None:
    hers = workspace.jobs.queue("fit", pair, revision=1, curator="ana")
    workspace.jobs.queue("fit", pair, revision=2, curator="ben", instead=True)
    assert workspace.jobs.get(hers).state == "queued"


def test_a_prepared_job_gives_way_and_is_done_later_however_often(workspace, pair) -> None:
    job = workspace.jobs.queue("fan", pair, revision=1, curator="ana", prepared=True)
    assert not workspace.jobs.is_wanted(("fit", "fan"), prepared=False)
    assert workspace.jobs.is_wanted(("fit", "fan"))
    for _ in range(4):
        claimed = workspace.jobs.claim("w")
        assert claimed is not None
        assert (claimed.id, claimed.attempt) == (job, 1)
        assert workspace.jobs.put_back(job, "w")
    assert not workspace.jobs.put_back(job, "w")
    assert workspace.jobs.get(job).state == "queued"


def test_a_prepared_job_that_is_asked_for_is_prepared_no_longer(workspace, pair) -> None:
    job = workspace.jobs.queue("fan", pair, revision=1, curator="ana", prepared=True)
    assert workspace.jobs.queue("fan", pair, revision=1, curator="ana") == job
    assert not workspace.jobs.get(job).prepared
    later = workspace.jobs.queue("fan", pair, revision=2, curator="ana", prepared=True)
    workspace.jobs.claim("w")
    workspace.jobs.claim("w")
    assert workspace.jobs.queue("fan", pair, revision=2, curator="ana") == later
