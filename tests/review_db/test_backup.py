"""A backup is one moment of a workspace in use, and a restore gives exactly that or nothing."""

import hashlib
import json
import os
import sqlite3 as plain_sqlite3
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from apu.errors import StoreError
from apu.types import Decision, Verdict
from review_db import SetNote, Workspace
from review_db.accounts import Accounts
from review_db.backup import FORMAT, backup, restore
from review_db.check import check
from review_db.merge import merge

SAVE = """
import sys
from pathlib import Path
from apu.types import Decision, Verdict
from review_db import SetNote, Workspace

workspace, pair = Workspace.open(Path(sys.argv[1])), int(sys.argv[2])
fit = workspace.fit(workspace.pair(pair).fits[0].id)
print("ready", flush=True)
while True:
    revision = workspace.pair(pair).sheet.revision
    workspace.edit_contacts(pair, SetNote(text=f"after {revision}"), curator="ada", revision=revision)
    workspace.add_fit(pair, fit, revision=revision + 1)
    workspace.decide(pair, Decision(verdict=Verdict.FLAG, curator="ada"), revision=revision + 1)
"""


@pytest.fixture
def worked_on(workspace, add_pairs, toys) -> Workspace:
    for pair in add_pairs(2):
        workspace.add_fit(pair, toys.fit(), revision=1)
    workspace.decide(1, Decision(verdict=Verdict.ACCEPT, curator="ada"), revision=1)
    return workspace


def content(workspace: Workspace) -> dict[str, list[tuple]]:
    with workspace.database.read() as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [tuple(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in tables}  # noqa: S608


def test_a_restored_workspace_is_the_same(worked_on, tmp_path) -> None:
    made = backup(worked_on, tmp_path / "backup.tar")
    report = restore(tmp_path / "backup.tar", tmp_path / "again")
    assert (report.ok, report.pairs, made.files) == (True, 2, 5)
    with Workspace.open(tmp_path / "again") as again:
        assert content(again) == content(worked_on)
        assert check(again).findings == ()
        again.edit_contacts(1, SetNote(text="work goes on"), curator="ben", revision=2)
    assert worked_on.pair(1).sheet.note == ""


def test_a_backup_while_people_save_is_one_moment(worked_on, tmp_path) -> None:
    savers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVE, str(worked_on.path), str(pair)], stdout=subprocess.PIPE, text=True
        )
        for pair in (1, 2)
    ]
    try:
        for saver in savers:
            assert saver.stdout.readline() == "ready\n"
        spans = []
        for number in range(3):
            before = [worked_on.pair(pair).sheet.revision for pair in (1, 2)]
            backup(worked_on, tmp_path / f"{number}.tar")
            spans.append((before, [worked_on.pair(pair).sheet.revision for pair in (1, 2)]))
    finally:
        for saver in savers:
            saver.kill()
            saver.communicate()
    for number, (before, after) in enumerate(spans):
        report = restore(tmp_path / f"{number}.tar", tmp_path / f"restored-{number}")
        assert report.findings == ()
        with Workspace.open(tmp_path / f"restored-{number}") as restored:
            for pair, earliest, latest in zip((1, 2), before, after, strict=True):
                record = restored.pair(pair)
                assert earliest <= record.sheet.revision <= latest
                notes = [entry for entry in record.history if entry.edit.kind == "note"]
                decided = [entry for entry in record.history if entry.edit.kind == "decide"]
                assert 0 <= len(notes) - (len(decided) - (pair == 1)) <= 1
                assert restored.fit(record.fits[-1].id).params.finite
    assert spans[-1][1] > spans[0][0]


def test_a_backup_is_for_its_owner_alone_and_holds_no_session(worked_on, tmp_path) -> None:
    accounts = Accounts(worked_on.database)
    accounts.add("ada", "correct horse battery")
    token = accounts.log_in("ada", "correct horse battery", address="192.0.2.1")
    backup(worked_on, tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").stat().st_mode & 0o077 == 0
    restore(tmp_path / "backup.tar", tmp_path / "again")
    with Workspace.open(tmp_path / "again") as again:
        restored = Accounts(again.database)
        assert restored.session(token) is None
        assert restored.log_in("ada", "correct horse battery", address="192.0.2.1")
    assert accounts.session(token)


def test_a_running_job_waits_for_a_worker_in_the_restored_workspace(worked_on, tmp_path) -> None:
    worked_on.jobs.queue("fit", 1, revision=1)
    job = worked_on.jobs.claim("worker")
    worked_on.jobs.heartbeat(job.id, "worker", preview=(".npz", b"preview"))
    backup(worked_on, tmp_path / "backup.tar")
    restore(tmp_path / "backup.tar", tmp_path / "again")
    with Workspace.open(tmp_path / "again") as again:
        assert again.jobs.get(job.id).preview is None
        assert again.jobs.claim("another").id == job.id


def test_nothing_is_ever_overwritten(worked_on, tmp_path) -> None:
    backup(worked_on, tmp_path / "backup.tar")
    with pytest.raises(StoreError, match="exists; backups are never overwritten"):
        backup(worked_on, tmp_path / "backup.tar")
    with pytest.raises(StoreError, match="there is no folder"):
        backup(worked_on, tmp_path / "nowhere" / "backup.tar")
    for place in (worked_on.path / "backup.tar", worked_on.path / "images" / "b.tar"):
        with pytest.raises(StoreError, match="in the workspace itself"):
            backup(worked_on, place)
    before = content(worked_on)
    with pytest.raises(StoreError, match="never overwrites, choose a new folder"):
        restore(tmp_path / "backup.tar", worked_on.path)
    assert content(worked_on) == before
    with pytest.raises(StoreError, match="there is no such file"):
        restore(tmp_path / "nothing.tar", tmp_path / "again")
    with pytest.raises(StoreError):
        backup(worked_on, tmp_path / "no folder" / "backup.tar")


def test_a_workspace_that_is_not_whole_is_not_backed_up(worked_on, tmp_path) -> None:
    path = next(iter((worked_on.path / "artefacts").iterdir()))
    kept = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="is damaged"):
        backup(worked_on, tmp_path / "backup.tar")
    path.unlink()
    with pytest.raises(StoreError, match=r"is missing; run `apu check .* --repair`, then repeat the backup"):
        backup(worked_on, tmp_path / "backup.tar")
    path.write_bytes(kept)
    assert [each.name for each in tmp_path.iterdir() if "backup" in each.name] == []


def test_a_photograph_that_is_known_to_be_lost_stops_no_backup_restore_or_merge(worked_on, tmp_path) -> None:
    photograph = next(iter((worked_on.path / "images").iterdir()))
    content_of_it = photograph.read_bytes()
    photograph.unlink()
    assert not check(worked_on, repair=True).ok
    assert backup(worked_on, tmp_path / "backup.tar").files == 4
    report = restore(tmp_path / "backup.tar", tmp_path / "again")
    assert [finding.kind for finding in report.findings] == ["lost"]
    with Workspace.create(tmp_path / "third") as third:
        assert merge(third, tmp_path / "again").images == 2
        assert [finding.kind for finding in check(third).findings] == ["lost"]
        photograph.write_bytes(content_of_it)
        merge(third, worked_on.path)
        assert check(third).findings == ()


def members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        return [(entry, archive.extractfile(entry).read()) for entry in archive]


def write(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as archive:
        for entry, data in entries:
            entry.size = len(data) if entry.isreg() else 0
            archive.addfile(entry, BytesIO(data))
    return path


def entry(name: str, **values: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def hostile(database: bytes, statement: str, folder: Path) -> bytes:
    path = folder / "hostile.db"
    path.write_bytes(database)
    connection = plain_sqlite3.connect(path)
    connection.executescript(statement)
    connection.commit()
    connection.close()
    return path.read_bytes()


SECRET = "0" * 64
ENDLESS = """PRAGMA legacy_alter_table = ON; PRAGMA foreign_keys = OFF; ALTER TABLE images RENAME TO other;
CREATE VIEW images AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT i AS sha256, '.png' AS suffix FROM n"""


@pytest.mark.parametrize(
    "extra",
    [
        entry("../outside.txt"), entry("/outside.txt"), entry("images/../../outside.txt"), entry("outside.txt"),
        entry(f"images/{SECRET}.png"), entry(f"images/{SECRET}.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry(f"images/{SECRET}.png", type=tarfile.LNKTYPE, linkname="review.db"), entry("pipe", type=tarfile.FIFOTYPE),
        entry("disk", type=tarfile.CHRTYPE), entry("images", type=tarfile.DIRTYPE), entry("review.db"),
        entry("x" * 200), entry("ümlaut"), entry("sparse", type=tarfile.GNUTYPE_SPARSE), entry(".env"),
    ],
    ids=lambda each: f"{each.name[:20]}-{each.type!r}",
)  # fmt: skip
def test_members_that_no_backup_has_are_refused(worked_on, tmp_path, extra) -> None:
    backup(worked_on, tmp_path / "good.tar")
    good = members(tmp_path / "good.tar")
    for place, form in ((1, tarfile.GNU_FORMAT), (2, tarfile.PAX_FORMAT), (len(good), tarfile.GNU_FORMAT)):
        write(tmp_path / "bad.tar", [*good[:place], (extra, b"data"), *good[place:]], form)
        with pytest.raises(StoreError, match=r"bad\.tar is not a whole backup: .+"):
            restore(tmp_path / "bad.tar", tmp_path / "again")
    assert {each.name for each in tmp_path.iterdir() if "image_" not in each.name} == {
        "good.tar",
        "bad.tar",
        "workspace",
    }
    assert not Path("/outside.txt").exists()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE pairs SET state = 'flagged', note = 'another moment' WHERE id = 1", "does not stand as its history"),
        ("CREATE TRIGGER evil AFTER INSERT ON edits BEGIN SELECT 1; END", "other tables than this program's"),
        ("CREATE VIEW evil AS SELECT 1", "other tables than this program's"),
        (ENDLESS, "other tables than this program's"),
        ("PRAGMA application_id = 7", "another program"),
        ("DROP TABLE images", "database is damaged"),
    ],
)
def test_a_database_that_was_tampered_with_is_refused(worked_on, tmp_path, statement, reason) -> None:
    backup(worked_on, tmp_path / "good.tar")
    entries = members(tmp_path / "good.tar")
    database = hostile(entries[1][1], statement, tmp_path)
    head = json.loads(entries[0][1]) | {"sha256": hashlib.sha256(database).hexdigest()}
    entries[:2] = [(entries[0][0], json.dumps(head).encode()), (entries[1][0], database)]
    with pytest.raises(StoreError, match=reason):
        restore(write(tmp_path / "bad.tar", entries), tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "head",
    [b"{}", b"[]", b"[" * 50_000, b"\xff", b"{" + b" " * 70_000 + b"}", json.dumps({"format": FORMAT}).encode()],
)
def test_a_head_that_is_none_is_refused(worked_on, tmp_path, head) -> None:
    backup(worked_on, tmp_path / "good.tar")
    entries = members(tmp_path / "good.tar")
    entries[0] = (entries[0][0], head)
    with pytest.raises(StoreError, match=r"is not a (whole )?backup"):
        restore(write(tmp_path / "bad.tar", entries), tmp_path / "again")


def test_a_cut_off_or_changed_backup_restores_nothing(worked_on, tmp_path) -> None:
    backup(worked_on, tmp_path / "good.tar")
    good = (tmp_path / "good.tar").read_bytes()
    chance = np.random.default_rng(0)
    bad = tmp_path / "bad.tar"
    for cut in (0, 1, 511, 512, 1024, *chance.integers(1500, len(good) - 11_000, 10)):
        bad.write_bytes(good[:cut])
        with pytest.raises(StoreError, match=r"is not a (whole )?backup"):
            restore(bad, tmp_path / "again")
    for spot in chance.integers(0, len(good) - 11_000, 25):
        changed = bytearray(good)
        changed[spot] ^= 0xFF
        bad.write_bytes(changed)
        try:
            restore(bad, tmp_path / f"again-{spot}")
        except StoreError:
            assert not (tmp_path / f"again-{spot}").exists()
        else:  # padding, or a time in a header that nobody reads
            with Workspace.open(tmp_path / f"again-{spot}") as again:
                assert content(again) == content(worked_on)
    assert [each.name for each in tmp_path.iterdir() if "partial" in each.name] == []


def test_a_backup_on_a_full_disk_leaves_nothing(worked_on, tmp_path, monkeypatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full"):
        backup(worked_on, tmp_path / "backup.tar")
    monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir() if "backup" in each.name] == []
