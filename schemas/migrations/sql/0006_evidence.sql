-- What shows that coordinates are where they should be.
ALTER TABLE ops.run ADD COLUMN crs_evidence text;
COMMENT ON COLUMN ops.run.crs_operation IS 'The operation that brought coordinates into the city''s CRS: EPSG code, name, accuracy';
COMMENT ON COLUMN ops.run.crs_evidence IS 'What the coordinates were compared with, and how far off they lie';
