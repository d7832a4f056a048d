-- Quarantined rows come back corrected: which run corrects which, and which entries that has closed.

ALTER TABLE ops.run ADD COLUMN resubmits bigint REFERENCES ops.run ON DELETE SET NULL;
COMMENT ON COLUMN ops.run.resubmits IS 'The run whose quarantined rows this one brings back, corrected';

ALTER TABLE ops.quarantine ADD COLUMN closed_by bigint REFERENCES ops.run ON DELETE SET NULL;
COMMENT ON COLUMN ops.quarantine.closed_by IS 'The run that published the corrected row; open again when that run is undone';
