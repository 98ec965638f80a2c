-- Written by `UPDATE_GOLDEN=1 cargo test -p platform-state --test schema`; change the migrations instead.

CREATE TABLE platforms (
    name        TEXT NOT NULL PRIMARY KEY,
    -- The last epoch given to a holder; it only grows, so a holder who lost the lease is recognised for ever.
    epoch       INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    created_at  TEXT NOT NULL CHECK (length(created_at) = 30)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER epochs_only_grow BEFORE UPDATE OF epoch ON platforms WHEN NEW.epoch <= OLD.epoch BEGIN
    SELECT RAISE(ABORT, 'an epoch only grows');
END;

CREATE TABLE leases (
    platform    TEXT NOT NULL PRIMARY KEY REFERENCES platforms (name),
    epoch       INTEGER NOT NULL CHECK (epoch >= 1),
    holder_id   TEXT NOT NULL,
    -- The holder in full, for people and for asking whether its process still lives.
    holder      TEXT NOT NULL CHECK (json_valid(holder) AND holder ->> 'id' = holder_id),
    since       TEXT NOT NULL CHECK (length(since) = 30),
    expires     TEXT NOT NULL CHECK (length(expires) = 30)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    -- Short, because every row of steps and events carries it.
    id            INTEGER PRIMARY KEY,
    run           TEXT NOT NULL UNIQUE,
    platform      TEXT NOT NULL REFERENCES platforms (name),
    flow          TEXT NOT NULL,
    actor         TEXT NOT NULL,
    -- Epoch of the lease under which the last event was written.
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    spec_digest   TEXT NOT NULL,
    plan_digest   TEXT NOT NULL,
    status        TEXT NOT NULL
                  CHECK (status IN ('running', 'succeeded', 'failed', 'held', 'interrupted', 'abandoned')),
    last_seq      INTEGER NOT NULL CHECK (last_seq >= 1),
    created_at    TEXT NOT NULL CHECK (length(created_at) = 30),
    updated_at    TEXT NOT NULL CHECK (length(updated_at) = 30),
    ended_at      TEXT CHECK (length(ended_at) = 30),
    abandoned_by  TEXT,
    abandoned_why TEXT,
    CHECK ((status IN ('succeeded', 'failed', 'abandoned')) = (ended_at IS NOT NULL)),
    -- One that was given up says who gave it up and why; any other says neither.
    CHECK ((status = 'abandoned') = (abandoned_by IS NOT NULL)),
    CHECK ((abandoned_by IS NULL) = (abandoned_why IS NULL))
) STRICT;

CREATE INDEX runs_of_platform ON runs (platform, id);

CREATE UNIQUE INDEX one_unfinished_run ON runs (platform) WHERE ended_at IS NULL;

CREATE TRIGGER ended_runs_stay_ended BEFORE UPDATE ON runs WHEN OLD.ended_at IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'the run has ended');
END;

CREATE TRIGGER runs_are_kept BEFORE DELETE ON runs BEGIN
    SELECT RAISE(ABORT, 'runs are kept');
END;

CREATE TABLE plans (
    run   INTEGER PRIMARY KEY REFERENCES runs (id),
    plan  TEXT NOT NULL CHECK (json_valid(plan))
) STRICT;

CREATE TRIGGER plans_never_change BEFORE UPDATE ON plans BEGIN
    SELECT RAISE(ABORT, 'plans never change');
END;

CREATE TRIGGER plans_are_kept BEFORE DELETE ON plans BEGIN
    SELECT RAISE(ABORT, 'plans are kept');
END;

CREATE TABLE steps (
    run         INTEGER NOT NULL REFERENCES runs (id),
    step        TEXT NOT NULL,
    -- Place in the plan, from 0.
    position    INTEGER NOT NULL CHECK (position >= 0),
    title       TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'running', 'waiting', 'gated', 'retrying', 'in_doubt', 'succeeded',
                                 'skipped', 'failed', 'undoing', 'undone', 'stuck')),
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    outcome     TEXT CHECK (outcome IN ('changed', 'unchanged', 'skipped')),
    -- What it waits for, or why it failed or was skipped.
    note        TEXT,
    started_at  TEXT CHECK (length(started_at) = 30),
    ended_at    TEXT CHECK (length(ended_at) = 30),
    PRIMARY KEY (run, step),
    CHECK ((state IN ('succeeded', 'skipped')) = (outcome IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'skipped', 'failed', 'undone', 'stuck')) = (ended_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    run    INTEGER NOT NULL REFERENCES runs (id),
    seq    INTEGER NOT NULL,
    at     TEXT NOT NULL CHECK (length(at) = 30),
    event  TEXT NOT NULL CHECK (json_valid(event)),
    hash   TEXT NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER events_have_no_gaps BEFORE INSERT ON events
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events WHERE run = NEW.run) BEGIN
    SELECT RAISE(ABORT, 'events have no gaps');
END;

CREATE TRIGGER events_never_change BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'events never change');
END;

CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'events are kept');
END;

CREATE TABLE intents (
    run         INTEGER NOT NULL,
    step        TEXT NOT NULL,
    -- The event that says so.
    seq         INTEGER NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),
    token       TEXT NOT NULL,
    intent      TEXT NOT NULL CHECK (json_valid(intent)),
    -- What the outside works on, when it said so.
    operation   TEXT CHECK (json_valid(operation)),
    at          TEXT NOT NULL CHECK (length(at) = 30),
    -- Since when the answer is known: the step succeeded, or was undone.
    settled_at  TEXT CHECK (length(settled_at) = 30),
    PRIMARY KEY (run, step),
    FOREIGN KEY (run, step) REFERENCES steps (run, step),
    FOREIGN KEY (run, seq) REFERENCES events (run, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX open_intents ON intents (run) WHERE settled_at IS NULL;

CREATE TABLE resources (
    platform     TEXT NOT NULL REFERENCES platforms (name),
    key          TEXT NOT NULL,
    kind         TEXT NOT NULL,
    external_id  TEXT NOT NULL,
    owned        INTEGER NOT NULL CHECK (owned IN (0, 1)),
    detail       TEXT NOT NULL CHECK (json_valid(detail)),
    -- Which run entered it, and which event last confirmed it.
    made_by      INTEGER NOT NULL REFERENCES runs (id),
    made_at      TEXT NOT NULL CHECK (length(made_at) = 30),
    seen_by      INTEGER NOT NULL,
    seen_seq     INTEGER NOT NULL,
    seen_at      TEXT NOT NULL CHECK (length(seen_at) = 30),
    PRIMARY KEY (platform, key),
    FOREIGN KEY (seen_by, seen_seq) REFERENCES events (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    run       INTEGER NOT NULL REFERENCES runs (id),
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    sha256    TEXT NOT NULL CHECK (length(sha256) = 64),
    location  TEXT NOT NULL,
    at        TEXT NOT NULL CHECK (length(at) = 30),
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
