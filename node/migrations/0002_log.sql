-- The Merkle trees of logs in tiles (C2SP tlog-tiles), 32 bytes a hash: full tiles of every level, and of each level
-- above the lowest the one that grows. The growing tile of leaves is not kept: the records give it.
CREATE TABLE tiles (
    log    INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    tile   INTEGER NOT NULL,
    hashes BLOB    NOT NULL
);
CREATE UNIQUE INDEX tiles_by_place ON tiles (log, level, tile);

-- The last checkpoint that this node signed, with the cosignatures that came. It is stored before anyone sees it.
CREATE TABLE checkpoints (
    log  INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    note BLOB    NOT NULL
);

-- Of each other log the last checkpoint that this node cosigned.
CREATE TABLE witnessed (
    origin TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB    NOT NULL,
    note   BLOB    NOT NULL
) WITHOUT ROWID;

-- One pair of contradicting checkpoints of each log that was caught with them.
CREATE TABLE forks (
    origin   TEXT PRIMARY KEY,
    found_ms INTEGER NOT NULL,
    evidence BLOB    NOT NULL
) WITHOUT ROWID;
