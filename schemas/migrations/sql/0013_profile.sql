-- What each delivery looked like as a whole, and which guards whoever loaded it has overridden by name.

ALTER TABLE ops.run ADD COLUMN profile jsonb;
COMMENT ON COLUMN ops.run.profile IS 'Source columns with types, nulls by field, extent and total measure; the next delivery is compared with it';

ALTER TABLE ops.run ADD COLUMN accepted text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN ops.run.accepted IS 'Guards that were overridden by name (--accept)';
