"""The bench of the store: what it makes is what the program makes, and its figures are of that."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from review_db.bench.load import CONTACTS_PER_PAIR, make
from review_db.bench.run import FILTERS
from review_db.check import check
from review_db.edits import rebuild
from review_db.queue import walk
from review_db.sheets import as_history, load_answers, load_history, load_sheet, refresh


def test_the_simulated_workspace_is_as_the_program_would_leave_it(tmp_path) -> None:
    with make(tmp_path / "workspace", 300) as workspace:
        amiss = {finding.kind for finding in check(workspace).findings}
        assert amiss == {"file"}  # it has no photographs
        with workspace.database.read() as connection:
            before = connection.execute("SELECT * FROM pairs ORDER BY id").fetchall()
            for (pair,) in connection.execute("SELECT id FROM pairs").fetchall():
                history = as_history(load_history(connection, pair))
                sheet = load_sheet(connection, pair)
                assert rebuild(history, load_answers(connection, pair)) == sheet
                assert len(sheet.active) == CONTACTS_PER_PAIR
        with workspace.database.write() as connection:
            for row in before:
                refresh(connection, row["id"], row["updated_at"])
            after = connection.execute("SELECT * FROM pairs ORDER BY id").fetchall()
        assert [dict(row) for row in after] == [dict(row) for row in before]
        assert all(line.simulated for line in workspace.pairs())


def test_its_filters_find_something_and_all_that_sql_finds(tmp_path) -> None:
    with make(tmp_path / "workspace", 300) as workspace:
        counts = [workspace.count(where) for where in FILTERS]
        with workspace.database.read() as connection:
            assert counts == [len(list(walk(connection, where))) for where in FILTERS]
    assert sum(count > 0 for count in counts) >= len(FILTERS) - 3


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_its_figures(as_json, tmp_path) -> None:
    arguments = ["bench", "store", "--pairs", "30", "--crash-rounds", "1", "--saves", "2", "--folder", str(tmp_path)]
    done = CliRunner().invoke(app, arguments + ["--json"] * as_json)
    assert done.exit_code == 0, done.output
    names = ("open_p95_ms", "next_p95_ms", "claim_p95_ms", "save_p95_ms", "filter_p95_ms", "count_p95_ms", "lost")
    assert all(name in done.stdout for name in (*names, "bytes_per_pair", "crash_rounds"))
    if as_json:
        figures = json.loads(done.stdout)
        assert (figures["lost"], figures["missing"], figures["whole"], figures["lock_errors"]) == (0, 0, True, 0)
        assert figures["bytes_per_pair"] > 1000
    assert list(tmp_path.iterdir()) == []
