-- The place of a named write of the seat, 0 for others: an answer for what operators cut away would be a false one.
ALTER TABLE answers ADD COLUMN term INTEGER NOT NULL DEFAULT 0;
ALTER TABLE answers ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
