-- Commits of the seat that this node has durably and that are not in its state: at the holder until its shadow has them,
-- at a mirror until their record comes.
CREATE TABLE staged (
    term   INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    id     BLOB    NOT NULL,
    bytes  BLOB    NOT NULL,
    -- The client's name for the write, if it gave one.
    name   TEXT,
    PRIMARY KEY (term, seq)
) WITHOUT ROWID;

-- One row: what this node voted or stood for last, with its signature over that, stored before anyone hears of it.
CREATE TABLE ballot (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    ballot    BLOB NOT NULL,
    signature BLOB NOT NULL
);

-- Commits of the seat that were staged here and are beyond the cut of their term: never in a state, kept for people.
CREATE TABLE deposed (
    term  INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    id    BLOB    NOT NULL,
    bytes BLOB    NOT NULL,
    PRIMARY KEY (term, seq, id)
) WITHOUT ROWID;

-- Whether the write is one of the seat: its mirrors get the answers to those.
ALTER TABLE answers ADD COLUMN of_seat INTEGER NOT NULL DEFAULT 0;
