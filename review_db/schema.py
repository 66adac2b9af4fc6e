"""The database's form, as migrations: each is applied once and never changed after a release.

Facts (images, pairs, answers, fits, decisions) are rows that stay; what people do to a pair is its history (`edits`);
`contacts` and the columns of `pairs` after `revision` are the state that the history and the facts give, kept so that
lists are fast. Files are named by the SHA-256 of their content.
"""

import re
from pathlib import Path

from sqlite_utils import Database as UtilsDatabase
from sqlite_utils.migrations import Migrations

from apu.errors import StoreError
from review_db.database import Database, sqlite3

APPLICATION_ID = 0x41505552
"""Marks the file as a workspace of this program (the letters APUR)."""

QUEUE_CHANGES = 100_000
"""How many changes of pairs are remembered for queues in memory; whoever missed more reads all pairs again."""

migrations = Migrations("review_db")

_APPEND_ONLY = ("answers", "edits", "fits", "decisions")

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
        for table in _APPEND_ONLY
        for event in ("UPDATE", "DELETE")
    ),
)


@migrations()
def first_version(db: UtilsDatabase) -> None:
    """Images, pairs, answers, contacts with history, fits, decisions, jobs."""
    for statement in _FIRST:
        db.execute(statement)


_TEAM = (
    # Who works on what ----------------------------------------------------------------------------------------------
    """CREATE TABLE claims (
        pair_id INTEGER PRIMARY KEY REFERENCES pairs,
        curator_id INTEGER NOT NULL REFERENCES curators,
        claimed_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX claims_curator ON claims (curator_id, expires_at)",
    """CREATE TABLE skips (
        curator_id INTEGER NOT NULL REFERENCES curators,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        skipped_at TEXT NOT NULL,
        until TEXT NOT NULL,
        PRIMARY KEY (curator_id, pair_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX skips_pair ON skips (pair_id)",
    """CREATE TABLE drafts (
        curator_id INTEGER NOT NULL REFERENCES curators,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL,
        note TEXT NOT NULL,
        edits TEXT NOT NULL,
        saved_at TEXT NOT NULL,
        PRIMARY KEY (curator_id, pair_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX drafts_pair ON drafts (pair_id)",
    """CREATE TABLE reviews (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        curator_id INTEGER REFERENCES curators,
        asked_at TEXT NOT NULL,
        expires_at TEXT,
        judged_at TEXT,
        verdict TEXT CHECK (verdict IN ('accept', 'reject', 'flag')),
        reason TEXT NOT NULL DEFAULT '',
        note TEXT NOT NULL DEFAULT '',
        edits TEXT NOT NULL DEFAULT '[]',
        contacts TEXT NOT NULL DEFAULT '[]',
        settled_at TEXT,
        CHECK ((verdict IS NULL) = (judged_at IS NULL)),
        CHECK (verdict IS NULL OR curator_id IS NOT NULL),
        UNIQUE (pair_id, curator_id)
    ) STRICT""",
    "CREATE INDEX reviews_open ON reviews (id) WHERE verdict IS NULL",
    "CREATE INDEX reviews_curator ON reviews (curator_id)",
    """CREATE TABLE views (
        id INTEGER PRIMARY KEY,
        owner_id INTEGER NOT NULL REFERENCES curators,
        name TEXT NOT NULL CHECK (name <> ''),
        filter TEXT NOT NULL,
        sort TEXT NOT NULL,
        seed INTEGER NOT NULL DEFAULT 0,
        saved_at TEXT NOT NULL,
        UNIQUE (owner_id, name)
    ) STRICT""",
    "CREATE INDEX decisions_curator ON decisions (curator_id, id)",
    # Questions as jobs, by the hundred thousand ---------------------------------------------------------------------
    "ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN not_before TEXT NOT NULL DEFAULT ''",
    "DROP INDEX jobs_open",
    "CREATE INDEX jobs_queued ON jobs (curator, kind, id) WHERE state = 'queued'",
    "CREATE INDEX jobs_running ON jobs (heartbeat_at) WHERE state = 'running'",
    # What the queue filters and sorts by, in one row per pair ---------------------------------------------------------
    "ALTER TABLE pairs ADD COLUMN interaction TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE pairs ADD COLUMN gap_m REAL",
    "ALTER TABLE pairs ADD COLUMN decider_id INTEGER REFERENCES curators",
    "ALTER TABLE pairs ADD COLUMN disagrees INTEGER NOT NULL DEFAULT 0 CHECK (disagrees IN (0, 1))",
    """UPDATE pairs SET
        interaction = coalesce((SELECT interaction FROM answers WHERE id = pairs.answer_id), ''),
        gap_m = (SELECT max_gap_m FROM fits WHERE id = pairs.fit_id),
        decider_id = (SELECT curator_id FROM decisions WHERE id = pairs.decision_id)""",
    "DROP INDEX pairs_uncertainty",
    "DROP INDEX pairs_fit_error",
    "DROP INDEX pairs_state",
    # The latest changes, so that a queue in memory keeps in step with other processes.
    "CREATE TABLE queue_changes (id INTEGER PRIMARY KEY, pair_id INTEGER NOT NULL) STRICT",
    *(
        f"CREATE TRIGGER pairs_queue_{event.lower()} AFTER {event} ON pairs BEGIN "  # noqa: S608 - this file's own words
        f"INSERT INTO queue_changes (pair_id) VALUES ({row}.id); "
        f"DELETE FROM queue_changes WHERE id <= (SELECT max(id) FROM queue_changes) - {QUEUE_CHANGES}; END"
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
    ),
    # The columns of such a queue, for the next process; they may not outlive a pair.
    "CREATE TABLE queue_columns (name TEXT PRIMARY KEY, change INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
    "CREATE TRIGGER queue_columns_forget AFTER DELETE ON pairs BEGIN DELETE FROM queue_columns; END",
    # Takedowns: what was forgotten stays away, and only that may leave the history -----------------------------------
    """CREATE TABLE forgotten (
        sha256 TEXT PRIMARY KEY,
        forgotten_at TEXT NOT NULL,
        last_pair INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE TRIGGER images_stay_forgotten BEFORE INSERT ON images "
    "WHEN EXISTS (SELECT 1 FROM forgotten WHERE sha256 = NEW.sha256) BEGIN SELECT RAISE(ABORT, 'forgotten'); END",
    *(
        f"CREATE TRIGGER forgotten_stay_{event} BEFORE {event} ON forgotten "
        "BEGIN SELECT RAISE(ABORT, 'forgotten are append-only'); END"
        for event in ("UPDATE", "DELETE")
    ),
    *(f"DROP TRIGGER {table}_stay_DELETE" for table in _APPEND_ONLY),
    *(
        f"CREATE TRIGGER {table}_stay_DELETE BEFORE DELETE ON {table} WHEN {condition} NOT EXISTS ("  # noqa: S608 - this file's own words
        "SELECT 1 FROM pairs p JOIN images i ON i.id = p.image_id JOIN forgotten f ON f.sha256 = i.sha256 "
        f"WHERE p.id = OLD.pair_id) BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        for table, condition in (*((table, "") for table in _APPEND_ONLY), ("reviews", "OLD.verdict IS NOT NULL AND"))
    ),
    "CREATE TRIGGER reviews_stay_UPDATE BEFORE UPDATE OF pair_id, curator_id, verdict, reason, note, edits, contacts, "
    "judged_at ON reviews WHEN OLD.verdict IS NOT NULL BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END",
    # Files of fits that are gone: their fits are not handed out -----------------------------------------------------
    "CREATE TABLE lost_files (file TEXT PRIMARY KEY, found_at TEXT NOT NULL) STRICT, WITHOUT ROWID",
    # Accounts ---------------------------------------------------------------------------------------------------------
    """CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (name <> ''),
        role TEXT NOT NULL CHECK (role IN ('admin', 'curator', 'viewer')),
        password_hash TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE sessions (
        token_sha256 TEXT PRIMARY KEY,
        account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX sessions_account ON sessions (account_id)",
    """CREATE TABLE login_failures (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        failed_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX login_failures_time ON login_failures (failed_at)",
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO secrets VALUES ('pseudonyms', randomblob(32))",
)


@migrations()
def team_work(db: UtilsDatabase) -> None:
    """Claims, drafts, second reviews, views, accounts, takedowns; queue columns of pairs."""
    for statement in _TEAM:
        db.execute(statement)


_FANS = (
    # Fans are jobs too; prepared ones wait behind everything that somebody asked for.
    """CREATE TABLE jobs_with_fans (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('fit', 'fan', 'ask')),
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL,
        curator TEXT NOT NULL,
        options TEXT NOT NULL,
        prepared INTEGER NOT NULL DEFAULT 0 CHECK (prepared IN (0, 1)),
        state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        worker TEXT NOT NULL DEFAULT '',
        attempt INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        cancelling INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
        progress TEXT NOT NULL DEFAULT '{}',
        preview TEXT,
        error TEXT NOT NULL DEFAULT '',
        result INTEGER,
        queued_at TEXT NOT NULL,
        not_before TEXT NOT NULL DEFAULT '',
        started_at TEXT NOT NULL DEFAULT '',
        heartbeat_at TEXT NOT NULL DEFAULT '',
        finished_at TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    *(
        f"INSERT INTO jobs_with_fans ({names}) SELECT {names} FROM jobs"  # noqa: S608 - this file's own words
        for names in (
            "id, kind, pair_id, revision, curator, options, state, worker, attempt, failures, cancelling, progress, "
            "preview, error, result, queued_at, not_before, started_at, heartbeat_at, finished_at",
        )
    ),
    "DROP TABLE jobs",
    "ALTER TABLE jobs_with_fans RENAME TO jobs",
    "CREATE INDEX jobs_queued ON jobs (prepared, curator, kind, id) WHERE state = 'queued'",
    "CREATE INDEX jobs_running ON jobs (heartbeat_at) WHERE state = 'running'",
    "CREATE INDEX jobs_curator ON jobs (curator, prepared, started_at)",
    "CREATE INDEX jobs_pair ON jobs (pair_id)",
    # Readings of a pair's contacts, fitted for a curator to choose from; they go once they are outdated.
    """CREATE TABLE fans (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        contacts TEXT NOT NULL,
        made_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX fans_pair ON fans (pair_id)",
    # A number is never given twice: browsers keep pictures by it.
    """CREATE TABLE alternatives (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        fan_id INTEGER NOT NULL REFERENCES fans,
        edit TEXT,
        words TEXT NOT NULL,
        probability REAL NOT NULL,
        score REAL NOT NULL,
        file TEXT NOT NULL,
        figures TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX alternatives_fan ON alternatives (fan_id)",
)


@migrations()
def prepared_fans(db: UtilsDatabase) -> None:
    """Fans as jobs, and what they found."""
    for statement in _FANS:
        db.execute(statement)


_AGREED = (
    # What a team has agreed on, as JSON: review_db.settings
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    # A decision that was begun: its verdict, and the reason once it is chosen
    "ALTER TABLE drafts ADD COLUMN verdict TEXT NOT NULL DEFAULT '' "
    "CHECK (verdict IN ('', 'accept', 'reject', 'flag'))",
    "ALTER TABLE drafts ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
)


@migrations()
def team_settings(db: UtilsDatabase) -> None:
    """Settings of a workspace; the decision of a draft."""
    for statement in _AGREED:
        db.execute(statement)


_STUDIES = (
    # Runs: a step over a selection, worked off by the server's runner -------------------------------------------------
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('propose', 'ask', 'fit', 'study')),
        curator TEXT NOT NULL,
        options TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'cancelled', 'failed')),
        cancelling INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
        message TEXT NOT NULL DEFAULT '',
        queued_at TEXT NOT NULL,
        started_at TEXT NOT NULL DEFAULT '',
        finished_at TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX runs_open ON runs (id) WHERE state IN ('queued', 'running')",
    """CREATE TABLE run_items (
        id INTEGER PRIMARY KEY,
        run_id INTEGER NOT NULL REFERENCES runs,
        image_id INTEGER NOT NULL REFERENCES images,
        pair_id INTEGER REFERENCES pairs,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
        message TEXT NOT NULL DEFAULT '',
        tokens_in INTEGER NOT NULL DEFAULT 0,
        tokens_out INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX run_items_state ON run_items (run_id, state, id)",
    "CREATE INDEX run_items_image ON run_items (image_id)",
    "CREATE INDEX run_items_pair ON run_items (pair_id)",
    # Studies: which of two meshes people prefer, without knowing whose they are ---------------------------------------
    """CREATE TABLE studies (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL CHECK (name <> ''),
        owner_id INTEGER NOT NULL REFERENCES curators,
        seed INTEGER NOT NULL,
        methods TEXT NOT NULL,
        own INTEGER NOT NULL CHECK (own >= 0),
        made_at TEXT NOT NULL,
        closed_at TEXT,
        UNIQUE (owner_id, made_at)
    ) STRICT""",
    """CREATE TABLE study_meshes (
        id INTEGER PRIMARY KEY,
        study_id INTEGER NOT NULL REFERENCES studies,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        method TEXT NOT NULL,
        body TEXT NOT NULL,
        params BLOB NOT NULL,
        UNIQUE (study_id, pair_id, method)
    ) STRICT""",
    "CREATE INDEX study_meshes_pair ON study_meshes (pair_id)",
    """CREATE TABLE study_items (
        id INTEGER PRIMARY KEY,
        study_id INTEGER NOT NULL REFERENCES studies,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        kind TEXT NOT NULL CHECK (kind IN ('shared', 'own', 'check')),
        a TEXT NOT NULL,
        b TEXT NOT NULL,
        rater_id INTEGER REFERENCES curators,
        UNIQUE (study_id, pair_id, a, b)
    ) STRICT""",
    "CREATE INDEX study_items_pair ON study_items (pair_id)",
    """CREATE TABLE study_ratings (
        item_id INTEGER NOT NULL REFERENCES study_items,
        rater_id INTEGER NOT NULL REFERENCES curators,
        choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'same')),
        shown_left TEXT NOT NULL CHECK (shown_left IN ('a', 'b')),
        seconds REAL NOT NULL,
        rated_at TEXT NOT NULL,
        PRIMARY KEY (item_id, rater_id)
    ) STRICT, WITHOUT ROWID""",
)


@migrations()
def runs_and_studies(db: UtilsDatabase) -> None:
    """Runs over selections, and studies of preference between methods."""
    for statement in _STUDIES:
        db.execute(statement)


_MADE = " ".join((*_FIRST, *_TEAM, *_FANS, *_AGREED, *_STUDIES))
_TABLES = ("_sqlite_migrations", *re.findall(r"CREATE TABLE (\w+)", _MADE))


def refuse_views(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database in which a view stands for a table of this program: reading one need not end.

    Raises:
        StoreError: there is one.
    """
    views = connection.execute("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name")
    strange = [name for (name,) in views if name.lower() in _TABLES]
    if strange:
        raise StoreError(f"{path} has other tables than this program's ({', '.join(strange)}); do not use it")


def migrate(database: Database) -> None:
    """Bring a database to this program's form, or make it, all or nothing.

    Raises:
        StoreError: it belongs to another program, or to a newer version of this one; or to an older one and cannot be
            written.
    """
    with database.read() as connection:
        done = not _pending(database.path, connection)
        logged = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    if not done and database.read_only:
        raise StoreError(
            f"{database.path} is of an older version and read-only; copy the workspace to a place you may write to"
        )
    if not done:
        with database.write() as connection:
            if _pending(database.path, connection):
                migrations.apply(UtilsDatabase(connection, recursive_triggers=False, execute_plugins=False))
    if not logged and not database.read_only:
        database.use_write_ahead_log()


def _pending(path: Path, connection: sqlite3.Connection) -> set[str]:
    """The migrations that a database lacks."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    known = {migration.name for migration in migrations.pending(UtilsDatabase(memory=True))}
    if not tables and not mark:
        return known
    if mark != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; choose another folder")
    refuse_views(connection, path)
    applied = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
    if applied - known:
        raise StoreError(f"{path} was made by a newer version of this program; update that to open the workspace")
    return known - applied
