-- One row: which lattice this is and what its state amounts to, as of the last transaction.
CREATE TABLE state (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    lattice BLOB    NOT NULL,
    root    BLOB    NOT NULL,
    entries INTEGER NOT NULL
);

CREATE TABLE authors (
    id     INTEGER PRIMARY KEY,
    author BLOB    NOT NULL UNIQUE
);

-- Commits of which at least one operation is live. `op_hashes` holds 32 bytes per operation; a commit of one
-- operation has none, its ops root is the hash.
CREATE TABLE commits (
    id        INTEGER PRIMARY KEY,
    author    INTEGER NOT NULL,
    term      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    header    BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    op_hashes BLOB,
    live      INTEGER NOT NULL,
    -- Its entries were written side by side: those still live have ids in first_entry .. first_entry + span.
    first_entry INTEGER NOT NULL,
    span        INTEGER NOT NULL
);
-- Finds a second commit at one place of a chain, and what lies beyond a cut.
CREATE INDEX commits_by_place ON commits (author, term, seq);

-- The winning operation per key. A changed entry gets a new, greater id: ids order changes.
CREATE TABLE entries (
    id        INTEGER PRIMARY KEY,
    key       TEXT    NOT NULL,
    value     BLOB,
    commit_id INTEGER NOT NULL,
    op_index  INTEGER NOT NULL
);
CREATE UNIQUE INDEX entries_by_key ON entries (key);

-- How far each author's chain is in, see `lattice::frontier::Chain`.
CREATE TABLE chains (
    author BLOB    NOT NULL,
    term   INTEGER NOT NULL,
    chain  BLOB    NOT NULL,
    PRIMARY KEY (author, term)
) WITHOUT ROWID;

-- Logs by number: 1 is this node's own.
CREATE TABLE logs (
    id     INTEGER PRIMARY KEY,
    origin TEXT    NOT NULL UNIQUE,
    key    BLOB    NOT NULL
);

-- Canonical records. `last_entry` is the greatest entry id given out when the record was written.
CREATE TABLE records (
    log        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    record     BLOB    NOT NULL,
    last_entry INTEGER NOT NULL,
    PRIMARY KEY (log, position)
);
CREATE INDEX records_by_entry ON records (log, last_entry);

-- What a cut removed from the state.
CREATE TABLE quarantine (
    id        INTEGER PRIMARY KEY,
    key       TEXT    NOT NULL,
    value     BLOB,
    op_index  INTEGER NOT NULL,
    header    BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    op_hashes BLOB
);

CREATE INDEX quarantine_by_key ON quarantine (key);

-- One piece of evidence per author that signed two commits for one place.
CREATE TABLE equivocations (
    author   BLOB PRIMARY KEY,
    evidence BLOB NOT NULL
) WITHOUT ROWID;

-- Rights to enter that this node printed. The secret itself is not kept.
CREATE TABLE invitations (
    secret_hash BLOB    PRIMARY KEY,
    created_ms  INTEGER NOT NULL,
    redeemed_by BLOB
) WITHOUT ROWID;

-- Answers to writes that carried an idempotency key; the oldest go first.
CREATE TABLE answers (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    request_hash BLOB    NOT NULL,
    answer       BLOB    NOT NULL
);
