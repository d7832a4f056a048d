-- What the database works out itself: one table a fact (made from its contract), and how fresh each is.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'facts') THEN
        CREATE SCHEMA facts;
    END IF;
END $$;

CREATE TABLE ops.fact (
    id text PRIMARY KEY,
    contract_sha256 text NOT NULL,
    derived timestamptz,
    seconds double precision,
    rows bigint,
    touched bigint,
    trouble text
);
COMMENT ON TABLE ops.fact IS 'One row a fact: when it was worked out, and what stopped it since';
COMMENT ON COLUMN ops.fact.touched IS 'Subjects that the latest derivation looked at again; NULL: all of them';
COMMENT ON COLUMN ops.fact.trouble IS 'Why the latest derivation failed; what stands is of the one before';

CREATE TABLE ops.fact_input (
    fact text NOT NULL REFERENCES ops.fact ON DELETE CASCADE,
    layer text NOT NULL,
    run_id bigint NOT NULL,
    undone bigint NOT NULL,
    PRIMARY KEY (fact, layer)
);
COMMENT ON TABLE ops.fact_input IS 'How far each layer was known when a fact was worked out: its latest load, and how many were undone by then';

CREATE VIEW ops.layer_state AS
SELECT layer,
    coalesce(max(id) FILTER (WHERE status = 'done' AND inserted + updated + removed > 0), 0) AS run_id,
    count(*) FILTER (WHERE status = 'undone') AS undone
FROM ops.run WHERE kind = 'load' GROUP BY layer;
COMMENT ON VIEW ops.layer_state IS 'The latest load that changed each layer, and how many of its loads were undone';

-- Stale is not a mark that somebody must remember to set: it follows from the ledger.
CREATE VIEW ops.fact_state AS
SELECT f.id, f.derived, f.seconds, f.rows, f.touched, f.trouble,
    CASE WHEN f.derived IS NULL THEN 'never'
        WHEN f.trouble IS NOT NULL OR EXISTS (
            SELECT FROM ops.fact_input i LEFT JOIN ops.layer_state s ON s.layer = i.layer
            WHERE i.fact = f.id AND (i.run_id, i.undone) <> (coalesce(s.run_id, 0), coalesce(s.undone, 0))
        ) THEN 'stale'
        ELSE 'fresh'
    END AS state
FROM ops.fact f;
COMMENT ON VIEW ops.fact_state IS 'Whether each fact is fresh: worked out from the layers as they are now';

CREATE FUNCTION ops.analyze_fact(fact text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE format('ANALYZE facts.%I', fact);
END $$;
REVOKE ALL ON FUNCTION ops.analyze_fact(text) FROM PUBLIC;
