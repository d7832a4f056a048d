-- Where work is recorded: one row a run, what it found, what it set aside, and the rasters.

CREATE TABLE ops.city (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id text NOT NULL,
    srid integer NOT NULL,
    derived_digest text
);
COMMENT ON TABLE ops.city IS 'The one city this database is for, and the digest of its derived objects';

CREATE TABLE ops.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('load', 'raster', 'undo')),
    feed text,
    layer text NOT NULL,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'unchanged', 'refused', 'failed', 'undone')),
    file text NOT NULL,
    file_sha256 text NOT NULL,
    file_bytes bigint NOT NULL,
    contract_sha256 text NOT NULL,
    code_version text NOT NULL,
    crs_operation text,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished timestamptz,
    who text NOT NULL,
    arrived bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    removed bigint NOT NULL DEFAULT 0,
    message text,
    CONSTRAINT run_account_closes CHECK (
        status <> 'done' OR arrived = skipped + inserted + updated + unchanged + quarantined
    )
);
COMMENT ON TABLE ops.run IS 'The ledger: one row a run; arrived = skipped + inserted + updated + unchanged + quarantined';
CREATE INDEX ix_run_layer ON ops.run (layer, id);

CREATE TABLE ops.finding (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES ops.run ON DELETE CASCADE,
    code text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('error', 'warning', 'info')),
    layer text NOT NULL,
    key text,
    line bigint,
    field text,
    value text,
    detail text,
    geom geometry(Geometry, :srid)
);
COMMENT ON TABLE ops.finding IS 'What was found, where; messages come from schemas/findings.toml';
CREATE INDEX ix_finding_run ON ops.finding (run_id, code);
CREATE INDEX ix_finding_geom ON ops.finding USING gist (geom);

CREATE TABLE ops.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES ops.run ON DELETE CASCADE,
    layer text NOT NULL,
    line bigint NOT NULL,
    key text,
    reasons text[] NOT NULL CHECK (cardinality(reasons) > 0),
    raw jsonb NOT NULL,
    raw_geometry bytea,
    UNIQUE (run_id, line)
);
COMMENT ON TABLE ops.quarantine IS 'Rows set aside: raw values and raw geometry (WKB as it arrived), line and reasons';

CREATE TABLE ops.raster (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    layer text NOT NULL,
    sheet text NOT NULL,
    path text NOT NULL UNIQUE,
    footprint geometry(MultiPolygon, :srid) NOT NULL,
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    pixel_x_m double precision NOT NULL CHECK (pixel_x_m > 0),
    pixel_y_m double precision NOT NULL CHECK (pixel_y_m > 0),
    bands integer NOT NULL CHECK (bands > 0),
    dtype text NOT NULL,
    nodata double precision,
    acquired date,
    source_file text NOT NULL,
    source_sha256 text NOT NULL,
    sidecars_sha256 text,
    source_crs text NOT NULL,
    transformation text,
    accuracy_m double precision,
    contract_sha256 text NOT NULL,
    cog_sha256 text NOT NULL,
    cog_bytes bigint NOT NULL,
    statistics jsonb NOT NULL DEFAULT '{}',
    run_id bigint NOT NULL REFERENCES ops.run,
    loaded timestamptz NOT NULL DEFAULT now(),
    current boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE ops.raster IS 'Every raster sheet ever loaded; path is relative to MAKAN_HOME; current = the one in force';
CREATE UNIQUE INDEX ix_raster_current_sheet ON ops.raster (layer, sheet) WHERE current;
CREATE INDEX ix_raster_footprint ON ops.raster USING gist (footprint);

CREATE TABLE ops.raster_served (
    layer text PRIMARY KEY,
    path text NOT NULL,
    version text NOT NULL,
    sheets integer NOT NULL,
    run_id bigint NOT NULL REFERENCES ops.run,
    updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.raster_served IS 'The one file clients get for a raster layer; rasters/<layer>/served.json tells the server the same';

-- The loader may not alter tables; these three do for it what only the owner can.
CREATE TABLE ops.deferred_index (layer text NOT NULL, definition text NOT NULL);
COMMENT ON TABLE ops.deferred_index IS 'Indexes that a bulk load has taken away; empty outside of its transaction';

CREATE FUNCTION ops.before_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT i.indexname, i.indexdef FROM pg_indexes i
        WHERE i.schemaname = 'data' AND i.tablename = layer_name AND i.indexname LIKE 'ix\_%'
    LOOP
        INSERT INTO ops.deferred_index VALUES (layer_name, found.indexdef);
        EXECUTE format('DROP INDEX data.%I', found.indexname);
    END LOOP;
END $$;

CREATE FUNCTION ops.after_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE found record;
BEGIN
    FOR found IN DELETE FROM ops.deferred_index WHERE layer = layer_name RETURNING definition LOOP
        EXECUTE found.definition;
    END LOOP;
    EXECUTE format('ANALYZE data.%I', layer_name);
END $$;

CREATE FUNCTION ops.analyze_layer(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE format('ANALYZE data.%I', layer_name);
END $$;
REVOKE ALL ON FUNCTION ops.before_bulk(text), ops.after_bulk(text), ops.analyze_layer(text) FROM PUBLIC;
