-- A load that renumbers objects keeps their former codes in another layer: by a run of that layer, which is undone with it.

ALTER TABLE ops.run ADD COLUMN along bigint REFERENCES ops.run ON DELETE CASCADE;
COMMENT ON COLUMN ops.run.along IS 'The run that has brought this one along; it is undone with that one';
