-- Who may read more than everybody, and what is known of the quality of the data.

CREATE TABLE ops.access_key (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    audience text NOT NULL,
    key_sha256 bytea NOT NULL UNIQUE CHECK (length(key_sha256) = 32),
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    expires timestamptz,
    revoked timestamptz,
    revoked_by text
);
COMMENT ON TABLE ops.access_key IS 'Keys that open the server of an audience; a key itself is shown once and kept nowhere';
CREATE UNIQUE INDEX ix_access_key_in_force ON ops.access_key (audience, name) WHERE revoked IS NULL;

-- What a process computes is a run of the ledger too.
ALTER TABLE ops.run DROP CONSTRAINT run_kind_check;
ALTER TABLE ops.run ADD CONSTRAINT run_kind_check CHECK (kind IN ('load', 'raster', 'undo', 'derive'));

ALTER TABLE ops.finding ADD COLUMN place geometry(Point, :srid);
COMMENT ON COLUMN ops.finding.place IS 'A point on the faulty geometry, where it lies within the city';
CREATE INDEX ix_finding_place ON ops.finding USING gist (place);
DROP INDEX ops.ix_finding_geom;

ALTER TABLE ops.quarantine ADD COLUMN place geometry(Point, :srid);
COMMENT ON COLUMN ops.quarantine.place IS 'A point on the geometry of the row, where it lies within the city';
CREATE INDEX ix_quarantine_place ON ops.quarantine USING gist (place);

CREATE TABLE ops.acceptance (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES ops.run ON DELETE CASCADE,
    code text NOT NULL,
    reason text NOT NULL CHECK (length(trim(reason)) > 0),
    who text NOT NULL,
    accepted timestamptz NOT NULL DEFAULT clock_timestamp(),
    withdrawn timestamptz,
    withdrawn_by text
);
COMMENT ON TABLE ops.acceptance IS 'Findings of a run that somebody has accepted by name, with the reason; never deleted';
CREATE UNIQUE INDEX ix_acceptance_in_force ON ops.acceptance (run_id, code) WHERE withdrawn IS NULL;

CREATE TABLE ops.quality_result (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES ops.run ON DELETE CASCADE,
    element text NOT NULL,
    measure text NOT NULL,
    field text,
    value double precision NOT NULL,
    unit text NOT NULL CHECK (unit IN ('rows', '%')),
    rows bigint NOT NULL,
    errors bigint NOT NULL,
    passed boolean NOT NULL
);
COMMENT ON TABLE ops.quality_result IS 'Results of ISO 19157 measures, one set a load; written with it and never changed';
CREATE UNIQUE INDEX ix_quality_result_measure ON ops.quality_result (run_id, measure, coalesce(field, ''));
