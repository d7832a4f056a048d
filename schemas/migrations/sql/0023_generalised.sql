-- What layers look like from afar, for maps and tiles of small scale: one table a layer (made from its contract).

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'generalised') THEN
        CREATE SCHEMA generalised;
    END IF;
END $$;

CREATE TABLE ops.generalised (
    layer text PRIMARY KEY,
    contract_sha256 text NOT NULL,
    refreshed timestamptz,
    seconds double precision,
    rows bigint,
    chunks bigint,
    run_id bigint NOT NULL DEFAULT 0,
    undone bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    trouble text
);
COMMENT ON TABLE ops.generalised IS 'One row a layer that is generalised: which load its shapes are of, and what stopped it since';
COMMENT ON COLUMN ops.generalised.chunks IS 'Chunks that the latest refresh made again; NULL: all of them';
COMMENT ON COLUMN ops.generalised.changes IS 'Rises by one with each refresh of some chunks, to the next million with one of all';
COMMENT ON COLUMN ops.generalised.trouble IS 'Why the latest refresh failed; what stands is of the one before';

-- Areas are generalised by cells, each level from the next finer one: only what has changed is made again.
CREATE TABLE ops.generalised_cells (
    layer text NOT NULL REFERENCES ops.generalised ON DELETE CASCADE,
    zoom smallint NOT NULL,
    across integer NOT NULL,
    down integer NOT NULL,
    cells bytea NOT NULL,
    PRIMARY KEY (layer, zoom, across, down)
);
COMMENT ON TABLE ops.generalised_cells IS 'The class of each cell of a chunk, zlib of one byte a cell, row by row from the north';

CREATE FUNCTION ops.analyze_generalised(layer text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE format('ANALYZE generalised.%I', layer);
END $$;
REVOKE ALL ON FUNCTION ops.analyze_generalised(text) FROM PUBLIC;
