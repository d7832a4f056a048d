-- How long a road or a line is that a project makes: what its budget is reckoned by.
ALTER TABLE data.project ADD COLUMN length_axis_m DOUBLE PRECISION;
ALTER TABLE history.project ADD COLUMN length_axis_m DOUBLE PRECISION;
ALTER TABLE data.project ADD CONSTRAINT ck_project_length_axis_m_range CHECK (length_axis_m >= 0.0 AND length_axis_m < 'Infinity'::float8);
COMMENT ON COLUMN data.project.length_axis_m IS 'Length [m] | طول';
