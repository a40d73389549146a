-- One comparison per file. Numbers that are not finite are stored as the texts 'NaN', 'inf' and '-inf'.
CREATE TABLE manifest (
    key   TEXT PRIMARY KEY,             -- version, program_sha256, cpu_features, plan, data_sha256/NAME, recipe/NAME decide the results;
                                        -- command, seconds, engine, crates, platform, cpu, cpu_threads, optimum/NAME do not
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Configurations: 0 is the optimizer with its own defaults, then the tuning trials from 1.
CREATE TABLE trials (
    id        INTEGER PRIMARY KEY,
    task      TEXT NOT NULL,
    optimizer TEXT NOT NULL,
    number    INTEGER NOT NULL,
    UNIQUE (task, optimizer, number)
) STRICT;

CREATE TABLE hypers (
    trial    INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name     TEXT NOT NULL,
    value    REAL NOT NULL,
    PRIMARY KEY (trial, position)
) STRICT, WITHOUT ROWID;

-- What each seed was used for.
CREATE TABLE seeds (
    task  TEXT NOT NULL,
    phase TEXT NOT NULL,                -- default, screening, extension, repeat, final
    seed  INTEGER NOT NULL,
    PRIMARY KEY (task, phase, seed)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id                INTEGER PRIMARY KEY,
    trial             INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
    phase             TEXT NOT NULL,
    seed              INTEGER NOT NULL,
    budget            INTEGER NOT NULL, -- gradient evaluations allowed
    gradients         INTEGER NOT NULL, -- gradient evaluations spent
    gradient_seconds  REAL NOT NULL,
    optimizer_seconds REAL NOT NULL,
    divergence_step   INTEGER,          -- NULL unless the run diverged
    divergence_reason TEXT,
    best_point        INTEGER,          -- the point with the lowest validation loss; of a noisy task the last
    test_loss         ANY,              -- final runs only, at that point
    test_metric       ANY,
    stride            INTEGER NOT NULL, -- steps between points of the trajectory
    trajectory        BLOB,             -- little-endian f64 pairs, for tasks of two coordinates
    finished          TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (trial, phase, seed)
) STRICT;

CREATE TABLE points (
    run               INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position          INTEGER NOT NULL,
    step              INTEGER NOT NULL, -- gradient evaluations so far
    seconds           REAL NOT NULL,    -- on gradients and steps so far
    train_loss        ANY,              -- since the previous point; NULL at the start
    validation_loss   ANY NOT NULL,
    validation_metric ANY,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

-- What the diagnosis looked at along a final run, as JSON: a few numbers of the whole and of every layer.
CREATE TABLE probes (
    run   INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step  INTEGER NOT NULL,
    probe TEXT NOT NULL,
    PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;

-- What the diagnosis concludes from it, as JSON, the most severe first.
CREATE TABLE findings (
    run      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    finding  TEXT NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
