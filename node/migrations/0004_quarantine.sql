-- Whether people have dealt with the entry. Its row stays: a key that a cut emptied may be filled by older commits, and only
-- this row says that their coming is no damage.
ALTER TABLE quarantine ADD COLUMN is_dismissed INTEGER NOT NULL DEFAULT 0;
-- What nobody has dealt with yet, to be counted and listed.
CREATE INDEX quarantine_open ON quarantine (id) WHERE is_dismissed = 0;
