"""The database's form, as migrations: each is applied once and never changed after a release.

Facts (images, pairs, answers, fits, decisions) are rows that stay; what people do to a pair is its history (`edits`);
`contacts` and the columns of `pairs` after `revision` are the state that the history and the facts give, kept so that
lists are fast. Files are named by the SHA-256 of their content.
"""

from pathlib import Path

from sqlite_utils import Database as UtilsDatabase
from sqlite_utils.migrations import Migrations

from apu.errors import StoreError
from review_db.database import Database, sqlite3

APPLICATION_ID = 0x41505552
"""Marks the file as a workspace of this program (the letters APUR)."""

migrations = Migrations("review_db")

_FIRST = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """CREATE TABLE curators (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE CHECK (name <> ''),
        created_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE images (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        suffix TEXT NOT NULL,
        name TEXT NOT NULL,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        source TEXT NOT NULL,
        action TEXT NOT NULL,
        added_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE inputs (
        id INTEGER PRIMARY KEY,
        image_id INTEGER NOT NULL REFERENCES images,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        file TEXT NOT NULL,
        added_at TEXT NOT NULL,
        UNIQUE (image_id, kind, file)
    ) STRICT""",
    """CREATE TABLE pairs (
        id INTEGER PRIMARY KEY,
        image_id INTEGER NOT NULL REFERENCES images,
        observation TEXT NOT NULL,
        source TEXT NOT NULL,
        action TEXT NOT NULL,
        simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
        created_at TEXT NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'proposed' CHECK (
            state IN ('proposed', 'ask_failed', 'asked', 'fitted', 'accepted', 'rejected', 'flagged')),
        swapped INTEGER NOT NULL DEFAULT 0 CHECK (swapped IN (0, 1)),
        note TEXT NOT NULL DEFAULT '',
        next_contact INTEGER NOT NULL DEFAULT 1,
        active_contacts INTEGER NOT NULL DEFAULT 0,
        answer_id INTEGER REFERENCES answers,
        decision_id INTEGER REFERENCES decisions,
        fit_id INTEGER REFERENCES fits,
        uncertainty REAL NOT NULL DEFAULT 1,
        fit_error REAL NOT NULL DEFAULT 0,
        updated_at TEXT NOT NULL,
        UNIQUE (image_id, observation)
    ) STRICT""",
    "CREATE INDEX pairs_uncertainty ON pairs (uncertainty DESC, id)",
    "CREATE INDEX pairs_fit_error ON pairs (fit_error DESC, id)",
    "CREATE INDEX pairs_state ON pairs (state)",
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        asker TEXT NOT NULL,
        model TEXT NOT NULL,
        prompt_id TEXT NOT NULL,
        status TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        raw TEXT NOT NULL,
        interaction TEXT NOT NULL DEFAULT '',
        orientation TEXT NOT NULL DEFAULT '',
        people TEXT NOT NULL DEFAULT '["", ""]',
        stated TEXT NOT NULL DEFAULT '[]',
        uncertainty REAL NOT NULL DEFAULT 1,
        usage TEXT NOT NULL DEFAULT '{}',
        simulated INTEGER NOT NULL DEFAULT 0 CHECK (simulated IN (0, 1)),
        seconds REAL NOT NULL,
        asked_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX answers_pair ON answers (pair_id)",
    """CREATE TABLE contacts (
        pair_id INTEGER NOT NULL REFERENCES pairs,
        id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        part_a TEXT NOT NULL,
        side_a TEXT NOT NULL CHECK (side_a IN ('left', 'right', 'both')),
        part_b TEXT NOT NULL,
        side_b TEXT NOT NULL CHECK (side_b IN ('left', 'right', 'both')),
        confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        weight REAL NOT NULL CHECK (weight >= 0),
        source TEXT NOT NULL,
        dropped INTEGER NOT NULL CHECK (dropped IN (0, 1)),
        original TEXT NOT NULL,
        suggestion TEXT,
        edited_by INTEGER REFERENCES curators,
        PRIMARY KEY (pair_id, id)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE edits (
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL CHECK (revision > 0),
        kind TEXT NOT NULL,
        edit TEXT NOT NULL,
        curator_id INTEGER REFERENCES curators,
        made_at TEXT NOT NULL,
        PRIMARY KEY (pair_id, revision)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE conflicts (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        kind TEXT NOT NULL,
        edit TEXT NOT NULL,
        curator_id INTEGER NOT NULL REFERENCES curators,
        based_on INTEGER NOT NULL,
        found INTEGER NOT NULL,
        made_at TEXT NOT NULL,
        settled_at TEXT,
        applied INTEGER CHECK (applied IN (0, 1))
    ) STRICT""",
    "CREATE INDEX conflicts_open ON conflicts (pair_id) WHERE settled_at IS NULL",
    """CREATE TABLE fits (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL,
        curator_id INTEGER REFERENCES curators,
        file TEXT NOT NULL,
        contacts TEXT NOT NULL,
        gaps_m TEXT NOT NULL,
        swapped INTEGER NOT NULL CHECK (swapped IN (0, 1)),
        reprojection_512_a REAL NOT NULL,
        reprojection_512_b REAL NOT NULL,
        reprojection_px_a REAL NOT NULL,
        reprojection_px_b REAL NOT NULL,
        max_gap_m REAL NOT NULL,
        max_penetration_m REAL NOT NULL,
        mean_penetration_m REAL NOT NULL,
        kept INTEGER NOT NULL CHECK (kept IN (0, 1)),
        stop TEXT NOT NULL,
        seconds REAL NOT NULL,
        iterations INTEGER NOT NULL,
        device TEXT NOT NULL,
        body TEXT NOT NULL,
        seed INTEGER NOT NULL,
        options TEXT NOT NULL,
        made_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX fits_pair ON fits (pair_id)",
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject', 'flag')),
        curator_id INTEGER NOT NULL REFERENCES curators,
        fit_id INTEGER REFERENCES fits,
        reason TEXT NOT NULL,
        note TEXT NOT NULL,
        made_at TEXT NOT NULL,
        UNIQUE (pair_id, revision)
    ) STRICT""",
    "CREATE INDEX decisions_time ON decisions (made_at)",
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('fit', 'ask')),
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL,
        curator TEXT NOT NULL,
        options TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        worker TEXT NOT NULL DEFAULT '',
        attempt INTEGER NOT NULL DEFAULT 0,
        cancelling INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
        progress TEXT NOT NULL DEFAULT '{}',
        preview TEXT,
        error TEXT NOT NULL DEFAULT '',
        result INTEGER,
        queued_at TEXT NOT NULL,
        started_at TEXT NOT NULL DEFAULT '',
        heartbeat_at TEXT NOT NULL DEFAULT '',
        finished_at TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX jobs_open ON jobs (state) WHERE state IN ('queued', 'running')",
    "CREATE INDEX jobs_curator ON jobs (curator, started_at)",
    "CREATE INDEX jobs_pair ON jobs (pair_id)",
    *(
        f"CREATE TRIGGER {table}_stay_{event} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        for table in ("answers", "edits", "fits", "decisions")
        for event in ("UPDATE", "DELETE")
    ),
)


@migrations()
def first_version(db: UtilsDatabase) -> None:
    """Images, pairs, answers, contacts with history, fits, decisions, jobs."""
    for statement in _FIRST:
        db.execute(statement)


def migrate(database: Database) -> None:
    """Bring a database to this program's form, or make it, all or nothing.

    Raises:
        StoreError: it belongs to another program, or to a newer version of this one.
    """
    with database.write() as connection:
        _check_origin(database.path, connection)
        migrations.apply(UtilsDatabase(connection, recursive_triggers=False, execute_plugins=False))
    database.use_write_ahead_log()


def _check_origin(path: Path, connection: sqlite3.Connection) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not mark:
        return
    if mark != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; choose another folder")
    known = {migration.name for migration in migrations.pending(UtilsDatabase(memory=True))}
    applied = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
    if applied - known:
        raise StoreError(f"{path} was made by a newer version of this program; update that to open the workspace")
