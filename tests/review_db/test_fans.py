"""Fans: kept until they are outdated, taken as one edit with their fit, and gone without a trace."""

import os
import time

import pytest

from apu.errors import StoreError
from review_db import Alternative, Drop, SetNote, TakeReading, TakeSuggestion
from review_db.backup import backup, restore
from review_db.check import check
from review_db.forget import find_image, forget

from .conftest import LEFT_HAND_BACK, make_fit

FLIPPED = TakeReading(flips=((1, True, False),))
DROPPED = TakeReading(drops=(2,))


def alternatives(*edits: TakeReading | None) -> list[Alternative]:
    return [
        Alternative(edit=edit, words=f"reading {n}", probability=0.5 / (n + 1), score=-n, fit=make_fit(seed=10 + n))
        for n, edit in enumerate(edits)
    ]


@pytest.fixture
def fan(workspace, pair) -> int:
    return workspace.fans.keep(pair, alternatives(FLIPPED, None, DROPPED), sheet=workspace.pair(pair).sheet)


def files(workspace) -> set[str]:
    return {path.name for path in (workspace.path / "artefacts").iterdir()}


def test_a_fan_is_kept_in_its_order_with_its_fits(workspace, pair, fan) -> None:
    found = workspace.fans.get(pair)
    assert (found.id, found.taken) == (fan, None)
    assert [each.edit for each in found.alternatives] == [FLIPPED, None, DROPPED]
    assert [each.words for each in found.alternatives] == ["reading 0", "reading 1", "reading 2"]
    assert found.alternatives[0].fit.max_gap_m == make_fit().max_gap_m
    fit = workspace.fans.fit(pair, found.alternatives[2].id)
    assert (fit.params.transl == make_fit(seed=12).params.transl).all()


def test_taking_a_reading_is_one_edit_and_its_fit_is_the_current_one(workspace, pair, fan) -> None:
    first = workspace.fans.get(pair).alternatives[0]
    sheet = workspace.fans.take(pair, first.id, curator="ada", revision=1)
    record = workspace.pair(pair)
    assert record.sheet == sheet
    assert sheet.revision == 2
    assert sheet.contacts[0].contact.parts[0] == LEFT_HAND_BACK.parts[0].flipped
    assert (record.fits[-1].stale, record.fits[-1].curator, record.fits[-1].revision) == (False, "ada", 2)
    assert workspace.fans.get(pair).taken == first.id
    workspace.undo(pair, curator="ada", revision=2)
    assert workspace.pair(pair).sheet.contacts[0].contact == LEFT_HAND_BACK
    assert workspace.fans.get(pair).taken is None


def test_another_reading_stands_instead_of_the_first(workspace, pair, fan) -> None:
    first, stand, dropped = workspace.fans.get(pair).alternatives
    workspace.fans.take(pair, first.id, curator="ada", revision=1)
    sheet = workspace.fans.take(pair, dropped.id, curator="ada", revision=2)
    assert [line.dropped for line in sheet.contacts] == [False, True]
    assert sheet.contacts[0].contact == LEFT_HAND_BACK
    sheet = workspace.fans.take(pair, stand.id, curator="ada", revision=sheet.revision)
    assert [line.dropped for line in sheet.contacts] == [False, False]
    assert not workspace.pair(pair).fits[-1].stale


def test_changed_contacts_outdate_a_fan_and_a_note_does_not(workspace, pair, fan) -> None:
    chosen = workspace.fans.get(pair).alternatives[0].id
    workspace.edit_contacts(pair, SetNote(text="hm"), curator="ada", revision=1)
    assert workspace.fans.get(pair) is not None
    workspace.edit_contacts(pair, Drop(contact=1), curator="ada", revision=2)
    assert workspace.fans.get(pair) is None
    with pytest.raises(StoreError, match="have changed"):
        workspace.fans.take(pair, chosen, curator="ada", revision=3)


def test_a_stale_page_takes_nothing(workspace, pair, fan) -> None:
    chosen = workspace.fans.get(pair).alternatives[0].id
    workspace.edit_contacts(pair, TakeSuggestion(), curator="bob", revision=1)
    with pytest.raises(StoreError, match="changed by someone else"):
        workspace.fans.take(pair, chosen, curator="ada", revision=1)
    assert workspace.pair(pair).fits == ()


def test_a_newer_fan_takes_the_files_of_the_older_along_but_not_those_of_fits(workspace, pair, fan) -> None:
    before = files(workspace)
    workspace.fans.take(pair, workspace.fans.get(pair).alternatives[0].id, curator="ada", revision=1)
    workspace.fans.keep(pair, alternatives(None), sheet=workspace.pair(pair).sheet)
    # Of the older fan's three files one is a fit's now and of the same content as the newer fan's.
    assert len(before - files(workspace)) == 2
    assert workspace.fit(workspace.pair(pair).fits[-1].id).params.finite
    assert check(workspace).findings == ()


def test_a_fan_of_a_lost_job_is_not_stored(workspace, pair) -> None:
    job = workspace.jobs.queue("fan", pair, revision=1, curator="ada")
    workspace.jobs.claim("w")
    workspace.jobs.cancel(job)
    before, sheet = files(workspace), workspace.pair(pair).sheet
    with pytest.raises(StoreError, match="cancelled or given to another"):
        workspace.fans.keep(pair, alternatives(None), sheet=sheet, job=job, worker="w")
    assert workspace.fans.get(pair) is None
    assert len(files(workspace) - before) <= 1


def test_a_damaged_file_takes_its_fan_along_in_a_repair(workspace, pair, fan) -> None:
    (name,) = [row for row in _files_of_fan(workspace)][:1]
    (workspace.path / "artefacts" / name).write_bytes(b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        workspace.fans.take(pair, workspace.fans.get(pair).alternatives[0].id, curator="ada", revision=1)
    assert not check(workspace).ok
    assert check(workspace, repair=True).ok
    assert workspace.fans.get(pair) is None
    assert check(workspace).findings == ()


def _files_of_fan(workspace) -> list[str]:
    with workspace.database.read() as connection:
        return [file for (file,) in connection.execute("SELECT file FROM alternatives ORDER BY id")]


def test_check_knows_the_files_of_fans(workspace, pair, fan) -> None:
    for path in (workspace.path / "artefacts").iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    assert check(workspace).findings == ()


def test_a_takedown_takes_fans_along(workspace, pair, fan) -> None:
    sha256, _ = find_image(workspace, workspace.pair(pair).image.name)
    names = _files_of_fan(workspace)
    assert set(names) <= files(workspace)
    forget(workspace, sha256)
    assert not set(names) & files(workspace)
    assert _files_of_fan(workspace) == []


def test_a_backup_leaves_fans_out(workspace, pair, fan, tmp_path) -> None:
    backup(workspace, tmp_path / "backup.tar")
    assert restore(tmp_path / "backup.tar", tmp_path / "again").ok
