PRAGMA application_id = 1095783762;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'review_db','first_version','2026-11-21 15:45:53.017748+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'review_db','team_work','2026-11-21 15:45:53.023135+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'review_db','prepared_fans','2026-11-21 15:45:53.031130+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'review_db','team_settings','2026-11-21 15:45:53.033981+00:00');
CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (name <> ''),
        role TEXT NOT NULL CHECK (role IN ('admin', 'curator', 'viewer')),
        password_hash TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT;
CREATE TABLE alternatives (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        fan_id INTEGER NOT NULL REFERENCES fans,
        edit TEXT,
        words TEXT NOT NULL,
        probability REAL NOT NULL,
        score REAL NOT NULL,
        file TEXT NOT NULL,
        figures TEXT NOT NULL
    ) STRICT;
CREATE TABLE answers (
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
    ) STRICT;
INSERT INTO "answers" VALUES(1,1,'openai','toy','','timeout','no answer in 60 s','','','','["", ""]','[]',1.0,'{}',0,0.0,'2026-11-21T15:45:53.067394+00:00');
INSERT INTO "answers" VALUES(2,1,'replay','toy','contacts-1','ok','','{"interaction": "side hug", "quote": "\u2028 ''; DROP TABLE pairs; --"}','side hug','side to side','["a woman in red", "a man in blue"]','[{"contact":{"parts":[{"name":"hand","side":"left"},{"name":"back","side":"both"}],"confidence":0.6,"weight":1.0,"source":"model"},"suggestion":{"flipped":true,"probability":0.8,"distances":[0.9,null],"evidence":"the right hand is nearer","flips":[true,true]}},{"contact":{"parts":[{"name":"hand","side":"right"},{"name":"hand","side":"left"}],"confidence":0.9,"weight":1.0,"source":"model"},"suggestion":null}]',0.49,'{"total_tokens": 12}',1,0.5,'2026-01-01T00:00:00+00:00');
CREATE TABLE claims (
        pair_id INTEGER PRIMARY KEY REFERENCES pairs,
        curator_id INTEGER NOT NULL REFERENCES curators,
        claimed_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "claims" VALUES(1,2,'2026-11-21T15:45:53.164403+00:00','2026-11-21T16:00:53.164431+00:00');
CREATE TABLE conflicts (
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
    ) STRICT;
INSERT INTO "conflicts" VALUES(1,1,'note','{"text": "late", "kind": "note"}',2,1,4,'2026-11-21T15:45:53.078670+00:00',NULL,NULL);
CREATE TABLE contacts (
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
    ) STRICT, WITHOUT ROWID;
INSERT INTO "contacts" VALUES(1,1,0,'hand','right','back','both',0.6,1.0,'denoiser',0,'{"parts":[{"name":"hand","side":"left"},{"name":"back","side":"both"}],"confidence":0.6,"weight":1.0,"source":"model"}','{"flipped":true,"probability":0.8,"distances":[0.9,null],"evidence":"the right hand is nearer","flips":[true,true]}',1);
INSERT INTO "contacts" VALUES(1,2,1,'hand','right','hand','left',0.9,1.0,'model',0,'{"parts":[{"name":"hand","side":"right"},{"name":"hand","side":"left"}],"confidence":0.9,"weight":1.0,"source":"model"}',NULL,NULL);
CREATE TABLE curators (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE CHECK (name <> ''),
        created_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "curators" VALUES(1,'ada','2026-11-21T15:45:53.071275+00:00');
INSERT INTO "curators" VALUES(2,'bob','2026-11-21T15:45:53.078594+00:00');
INSERT INTO "curators" VALUES(3,'eve','2026-11-21T15:45:53.138568+00:00');
CREATE TABLE decisions (
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
    ) STRICT;
INSERT INTO "decisions" VALUES(1,1,5,'accept',1,1,'','good','2026-11-21T15:45:53.091745+00:00');
CREATE TABLE drafts (
        curator_id INTEGER NOT NULL REFERENCES curators,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL,
        note TEXT NOT NULL,
        edits TEXT NOT NULL,
        saved_at TEXT NOT NULL, verdict TEXT NOT NULL DEFAULT '' CHECK (verdict IN ('', 'accept', 'reject', 'flag')), reason TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (curator_id, pair_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "drafts" VALUES(2,1,5,'half','[{"contact": 1, "kind": "drop"}]','2026-11-21T15:45:53.171707+00:00','','');
CREATE TABLE edits (
        pair_id INTEGER NOT NULL REFERENCES pairs,
        revision INTEGER NOT NULL CHECK (revision > 0),
        kind TEXT NOT NULL,
        edit TEXT NOT NULL,
        curator_id INTEGER REFERENCES curators,
        made_at TEXT NOT NULL,
        PRIMARY KEY (pair_id, revision)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "edits" VALUES(1,1,'take_answer','{"answer": 2, "kind": "take_answer"}',NULL,'2026-11-21T15:45:53.069837+00:00');
INSERT INTO "edits" VALUES(1,2,'take_suggestion','{"contact": null, "kind": "take_suggestion"}',1,'2026-11-21T15:45:53.071425+00:00');
INSERT INTO "edits" VALUES(1,3,'drop','{"contact": 2, "kind": "drop"}',1,'2026-11-21T15:45:53.073014+00:00');
INSERT INTO "edits" VALUES(1,4,'undo','{"revision": 3, "kind": "undo"}',1,'2026-11-21T15:45:53.076906+00:00');
INSERT INTO "edits" VALUES(1,5,'decide','{"decision": 1, "kind": "decide"}',1,'2026-11-21T15:45:53.092027+00:00');
CREATE TABLE fans (
        id INTEGER PRIMARY KEY,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        contacts TEXT NOT NULL,
        made_at TEXT NOT NULL
    ) STRICT;
CREATE TABLE fits (
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
    ) STRICT;
INSERT INTO "fits" VALUES(1,1,4,1,'fa194f72bea5123bbc8e9d21daaa5b1c161fbba2d5e91bb4f0176b1fdd5559a7.npz','[{"parts":[{"name":"hand","side":"left"},{"name":"back","side":"both"}],"confidence":0.6,"weight":1.0,"source":"model"},{"parts":[{"name":"hand","side":"right"},{"name":"hand","side":"left"}],"confidence":0.9,"weight":1.0,"source":"model"}]','[0.01, 0.02]',0,9.0,4.5,18.0,9.0,0.02,0.003,0.001,1,'converged',1.5,40,'cpu','anny-free',0,'{"steps": 40}','2026-11-21T15:45:53.089564+00:00');
CREATE TABLE forgotten (
        sha256 TEXT PRIMARY KEY,
        forgotten_at TEXT NOT NULL,
        last_pair INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE images (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        suffix TEXT NOT NULL,
        name TEXT NOT NULL,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        source TEXT NOT NULL,
        action TEXT NOT NULL,
        added_at TEXT NOT NULL
    ) STRICT;
INSERT INTO "images" VALUES(1,'2cea274d0bedc39ec4ab6ba9e59ec889e3ed6fb56a1cf088a64d9b383378dc97','.png','hug.png',640,480,'demo','hugging','2026-11-21T15:45:53.056524+00:00');
CREATE TABLE inputs (
        id INTEGER PRIMARY KEY,
        image_id INTEGER NOT NULL REFERENCES images,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        file TEXT NOT NULL,
        added_at TEXT NOT NULL,
        UNIQUE (image_id, kind, file)
    ) STRICT;
INSERT INTO "inputs" VALUES(1,1,'openpose','hug_keypoints.json','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.json','2026-11-21T15:45:53.061814+00:00');
CREATE TABLE "jobs" (
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
    ) STRICT;
INSERT INTO "jobs" VALUES(1,'fit',1,4,'ada','{}',0,'done','worker',1,0,0,'{}',NULL,'',1,'2026-11-21T15:45:53.079420+00:00','','2026-11-21T15:45:53.080178+00:00','2026-11-21T15:45:53.080178+00:00','2026-11-21T15:45:53.090395+00:00');
INSERT INTO "jobs" VALUES(2,'fan',1,5,'ada','{}',1,'queued','',0,0,0,'{}',NULL,'',NULL,'2026-11-21T15:45:53.131803+00:00','','','','');
CREATE TABLE login_failures (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        failed_at TEXT NOT NULL
    ) STRICT;
CREATE TABLE lost_files (file TEXT PRIMARY KEY, found_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pairs (
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
        updated_at TEXT NOT NULL, interaction TEXT NOT NULL DEFAULT '', gap_m REAL, decider_id INTEGER REFERENCES curators, disagrees INTEGER NOT NULL DEFAULT 0 CHECK (disagrees IN (0, 1)),
        UNIQUE (image_id, observation)
    ) STRICT;
INSERT INTO "pairs" VALUES(1,1,'52aa01b0aae4519db73b3655e064ceef4204fd2a3b50e65981b6506446631083.npz','demo','hugging',1,'2026-11-21T15:45:53.065736+00:00',5,'accepted',0,'',3,2,2,1,1,0.49,9.0,'2026-11-21T15:45:53.150543+00:00','side hug',0.02,1,1);
CREATE TABLE queue_changes (id INTEGER PRIMARY KEY, pair_id INTEGER NOT NULL) STRICT;
INSERT INTO "queue_changes" VALUES(1,1);
INSERT INTO "queue_changes" VALUES(2,1);
INSERT INTO "queue_changes" VALUES(3,1);
INSERT INTO "queue_changes" VALUES(4,1);
INSERT INTO "queue_changes" VALUES(5,1);
INSERT INTO "queue_changes" VALUES(6,1);
INSERT INTO "queue_changes" VALUES(7,1);
INSERT INTO "queue_changes" VALUES(8,1);
INSERT INTO "queue_changes" VALUES(9,1);
CREATE TABLE queue_columns (name TEXT PRIMARY KEY, change INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE reviews (
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
    ) STRICT;
INSERT INTO "reviews" VALUES(1,1,3,'2026-11-21T15:45:53.138689+00:00',NULL,'2026-11-21T15:45:53.150365+00:00','flag','','','[{"contact": 1, "kind": "drop"}]','[{"parts":[{"name":"hand","side":"right"},{"name":"hand","side":"left"}],"confidence":0.9,"weight":1.0,"source":"model"}]',NULL);
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "secrets" VALUES('pseudonyms',X'9B6409DE7918ABA0EC4922233981C64C787A2149666805F4CF540122629F3A9E');
CREATE TABLE sessions (
        token_sha256 TEXT PRIMARY KEY,
        account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "settings" VALUES('reasons','["too dark", "other"]');
CREATE TABLE skips (
        curator_id INTEGER NOT NULL REFERENCES curators,
        pair_id INTEGER NOT NULL REFERENCES pairs,
        skipped_at TEXT NOT NULL,
        until TEXT NOT NULL,
        PRIMARY KEY (curator_id, pair_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "skips" VALUES(1,1,'2026-11-21T15:45:53.166342+00:00','2026-11-22T15:45:53.166361+00:00');
CREATE TABLE views (
        id INTEGER PRIMARY KEY,
        owner_id INTEGER NOT NULL REFERENCES curators,
        name TEXT NOT NULL CHECK (name <> ''),
        filter TEXT NOT NULL,
        sort TEXT NOT NULL,
        seed INTEGER NOT NULL DEFAULT 0,
        saved_at TEXT NOT NULL,
        UNIQUE (owner_id, name)
    ) STRICT;
INSERT INTO "views" VALUES(1,1,'doubtful','{"states":null,"source":null,"interactions":null,"simulated":null,"image":null,"text":"","curator":null,"disagrees":null,"confidence":[null,0.5],"gap_m":null,"reprojection":null}','uncertain',0,'2026-11-21T15:45:53.179831+00:00');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX answers_pair ON answers (pair_id);
CREATE INDEX conflicts_open ON conflicts (pair_id) WHERE settled_at IS NULL;
CREATE INDEX fits_pair ON fits (pair_id);
CREATE INDEX decisions_time ON decisions (made_at);
CREATE TRIGGER answers_stay_UPDATE BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END;
CREATE TRIGGER edits_stay_UPDATE BEFORE UPDATE ON edits BEGIN SELECT RAISE(ABORT, 'edits are append-only'); END;
CREATE TRIGGER fits_stay_UPDATE BEFORE UPDATE ON fits BEGIN SELECT RAISE(ABORT, 'fits are append-only'); END;
CREATE TRIGGER decisions_stay_UPDATE BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE INDEX claims_curator ON claims (curator_id, expires_at);
CREATE INDEX skips_pair ON skips (pair_id);
CREATE INDEX drafts_pair ON drafts (pair_id);
CREATE INDEX reviews_open ON reviews (id) WHERE verdict IS NULL;
CREATE INDEX reviews_curator ON reviews (curator_id);
CREATE INDEX decisions_curator ON decisions (curator_id, id);
CREATE TRIGGER pairs_queue_insert AFTER INSERT ON pairs BEGIN INSERT INTO queue_changes (pair_id) VALUES (NEW.id); DELETE FROM queue_changes WHERE id <= (SELECT max(id) FROM queue_changes) - 100000; END;
CREATE TRIGGER pairs_queue_update AFTER UPDATE ON pairs BEGIN INSERT INTO queue_changes (pair_id) VALUES (NEW.id); DELETE FROM queue_changes WHERE id <= (SELECT max(id) FROM queue_changes) - 100000; END;
CREATE TRIGGER pairs_queue_delete AFTER DELETE ON pairs BEGIN INSERT INTO queue_changes (pair_id) VALUES (OLD.id); DELETE FROM queue_changes WHERE id <= (SELECT max(id) FROM queue_changes) - 100000; END;
CREATE TRIGGER queue_columns_forget AFTER DELETE ON pairs BEGIN DELETE FROM queue_columns; END;
CREATE TRIGGER images_stay_forgotten BEFORE INSERT ON images WHEN EXISTS (SELECT 1 FROM forgotten WHERE sha256 = NEW.sha256) BEGIN SELECT RAISE(ABORT, 'forgotten'); END;
CREATE TRIGGER forgotten_stay_UPDATE BEFORE UPDATE ON forgotten BEGIN SELECT RAISE(ABORT, 'forgotten are append-only'); END;
CREATE TRIGGER forgotten_stay_DELETE BEFORE DELETE ON forgotten BEGIN SELECT RAISE(ABORT, 'forgotten are append-only'); END;
CREATE TRIGGER answers_stay_DELETE BEFORE DELETE ON answers WHEN  NOT EXISTS (SELECT 1 FROM pairs p JOIN images i ON i.id = p.image_id JOIN forgotten f ON f.sha256 = i.sha256 WHERE p.id = OLD.pair_id) BEGIN SELECT RAISE(ABORT, 'answers are append-only'); END;
CREATE TRIGGER edits_stay_DELETE BEFORE DELETE ON edits WHEN  NOT EXISTS (SELECT 1 FROM pairs p JOIN images i ON i.id = p.image_id JOIN forgotten f ON f.sha256 = i.sha256 WHERE p.id = OLD.pair_id) BEGIN SELECT RAISE(ABORT, 'edits are append-only'); END;
CREATE TRIGGER fits_stay_DELETE BEFORE DELETE ON fits WHEN  NOT EXISTS (SELECT 1 FROM pairs p JOIN images i ON i.id = p.image_id JOIN forgotten f ON f.sha256 = i.sha256 WHERE p.id = OLD.pair_id) BEGIN SELECT RAISE(ABORT, 'fits are append-only'); END;
CREATE TRIGGER decisions_stay_DELETE BEFORE DELETE ON decisions WHEN  NOT EXISTS (SELECT 1 FROM pairs p JOIN images i ON i.id = p.image_id JOIN forgotten f ON f.sha256 = i.sha256 WHERE p.id = OLD.pair_id) BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER reviews_stay_DELETE BEFORE DELETE ON reviews WHEN OLD.verdict IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pairs p JOIN images i ON i.id = p.image_id JOIN forgotten f ON f.sha256 = i.sha256 WHERE p.id = OLD.pair_id) BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE TRIGGER reviews_stay_UPDATE BEFORE UPDATE OF pair_id, curator_id, verdict, reason, note, edits, contacts, judged_at ON reviews WHEN OLD.verdict IS NOT NULL BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX login_failures_time ON login_failures (failed_at);
CREATE INDEX jobs_queued ON jobs (prepared, curator, kind, id) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (heartbeat_at) WHERE state = 'running';
CREATE INDEX jobs_curator ON jobs (curator, prepared, started_at);
CREATE INDEX jobs_pair ON jobs (pair_id);
CREATE INDEX fans_pair ON fans (pair_id);
CREATE INDEX alternatives_fan ON alternatives (fan_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('alternatives',1);
COMMIT;
