-- What is called facts.<id> becomes a view over a table of facts_kept: a fact that is worked out as a whole is made beside, in a table of
-- its own with its indexes, and the view is led there in a moment when nobody reads it. Readers see the old facts or the new ones and wait
-- for nothing; what is made of views does not depend on the table. A table is called by its fact and its generation.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'facts_kept') THEN
        CREATE SCHEMA facts_kept;
    END IF;
END $$;

ALTER TABLE ops.fact ADD COLUMN generation int NOT NULL DEFAULT 1;
COMMENT ON COLUMN ops.fact.generation IS 'Which of the tables facts_kept."<id>.<generation>" the view facts.<id> shows';

-- What is there stays as it is, and need not be worked out again.
DO $$
DECLARE found record; told record;
BEGIN
    FOR found IN SELECT id, id || '.1' AS kept FROM ops.fact LOOP
        EXECUTE format('ALTER TABLE facts.%I SET SCHEMA facts_kept', found.id);
        EXECUTE format('ALTER TABLE facts_kept.%I RENAME TO %I', found.id, found.kept);
        EXECUTE format('CREATE VIEW facts.%I AS SELECT * FROM facts_kept.%I', found.id, found.kept);
        FOR told IN
            SELECT d.objsubid, d.description, a.attname FROM pg_description d
            LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
            WHERE d.classoid = 'pg_class'::regclass AND d.objoid = format('facts_kept.%I', found.kept)::regclass
        LOOP
            IF told.objsubid = 0 THEN
                EXECUTE format('COMMENT ON VIEW facts.%I IS %L', found.id, told.description);
            ELSE
                EXECUTE format('COMMENT ON COLUMN facts.%I.%I IS %L', found.id, told.attname, told.description);
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- An empty table beside that of a fact, for who may write the fact; its rows are numbered on, so that who pages finds none twice.
CREATE FUNCTION ops.fact_beside(fact text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET client_min_messages = warning AS $$
DECLARE kept text; beside text; last bigint; may record;
BEGIN
    SELECT f.id || '.' || f.generation, f.id || '.' || f.generation + 1 INTO STRICT kept, beside FROM ops.fact f WHERE f.id = fact;
    EXECUTE format('DROP TABLE IF EXISTS facts_kept.%I', beside);
    EXECUTE format('CREATE TABLE facts_kept.%I (LIKE facts_kept.%I INCLUDING IDENTITY)', beside, kept);
    EXECUTE format('SELECT last_value + 1 FROM %s', pg_get_serial_sequence(format('facts_kept.%I', kept), 'id')) INTO last;
    EXECUTE format('ALTER TABLE facts_kept.%I ALTER COLUMN id RESTART WITH %s', beside, last);
    FOR may IN
        SELECT a.grantee::regrole AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = format('facts.%I', fact)::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT, INSERT ON facts_kept.%I TO %s', beside, may.role);
    END LOOP;
    RETURN beside;
END $$;

-- Its rows are there: the indexes that the fact has, and statistics.
CREATE FUNCTION ops.fact_filled(fact text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE kept text; beside text; found record;
BEGIN
    SELECT f.id || '.' || f.generation, f.id || '.' || f.generation + 1 INTO STRICT kept, beside FROM ops.fact f WHERE f.id = fact;
    FOR found IN
        SELECT i.indisprimary AS is_key, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
        WHERE i.indrelid = format('facts_kept.%I', kept)::regclass ORDER BY i.indexrelid
    LOOP
        IF found.is_key THEN
            EXECUTE format('ALTER TABLE facts_kept.%I ADD PRIMARY KEY (id)', beside);
        ELSE
            EXECUTE format('CREATE INDEX ON facts_kept.%I', beside) || substr(found.definition, strpos(found.definition, ' USING '));
        END IF;
    END LOOP;
    EXECUTE format('ANALYZE facts_kept.%I', beside);
END $$;

-- Leads the views of these facts to what was made beside; all of them, or an error after half a second, for which readers may wait. That is
-- less than PostgreSQL waits before it looks for a deadlock: a reader of several facts is never the one that is given up.
CREATE FUNCTION ops.show_facts(facts text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '500ms' AS $$
DECLARE one text; until timestamptz := clock_timestamp() + interval '500 milliseconds'; next int;
BEGIN
    FOREACH one IN ARRAY facts LOOP
        PERFORM set_config('lock_timeout', greatest(1, extract(epoch FROM until - clock_timestamp()) * 1000)::int || 'ms', true);
        UPDATE ops.fact f SET generation = f.generation + 1 WHERE f.id = one RETURNING f.generation INTO STRICT next;
        EXECUTE format('CREATE OR REPLACE VIEW facts.%I AS SELECT * FROM facts_kept.%I', one, one || '.' || next);
    END LOOP;
END $$;

-- Takes away the tables that no fact shows any more. One that is being read, or on which somebody has built, waits for the next time.
CREATE FUNCTION ops.sweep_facts() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '100ms' AS $$
DECLARE one text;
BEGIN
    FOR one IN
        SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'facts_kept'::regnamespace AND c.relkind = 'r'
            AND NOT EXISTS (SELECT FROM ops.fact f WHERE c.relname = f.id || '.' || f.generation)
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE facts_kept.%I', one);
        EXCEPTION WHEN lock_not_available OR undefined_table OR dependent_objects_still_exist THEN
            NULL;
        END;
    END LOOP;
END $$;

CREATE FUNCTION ops.analyze_fact(fact text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE (SELECT format('ANALYZE facts_kept.%I', f.id || '.' || f.generation) FROM ops.fact f WHERE f.id = fact);
END $$;

DROP FUNCTION ops.before_fact(text), ops.after_fact(text);
REVOKE ALL ON FUNCTION ops.fact_beside(text), ops.fact_filled(text), ops.show_facts(text[]), ops.sweep_facts(), ops.analyze_fact(text) FROM PUBLIC;

-- How fresh each fact is, now with the latest change that it does not know: when that was made, and whether edits are all that it lacks.
CREATE OR REPLACE VIEW ops.fact_state AS
WITH behind AS (
    SELECT i.fact, max(r.finished) AS changed, bool_and(coalesce(r.kind = 'edit', false)) AS by_edits
    FROM ops.fact_input i LEFT JOIN ops.layer_state s ON s.layer = i.layer LEFT JOIN ops.run r ON r.id = s.run_id
    WHERE (i.run_id, i.undone) <> (coalesce(s.run_id, 0), coalesce(s.undone, 0)) GROUP BY i.fact
)
SELECT f.id, f.derived, f.seconds, f.rows, f.touched, f.trouble,
    CASE WHEN f.derived IS NULL THEN 'never' WHEN f.trouble IS NOT NULL OR b.fact IS NOT NULL THEN 'stale' ELSE 'fresh' END AS state,
    b.changed, coalesce(b.by_edits, false) AS by_edits
FROM ops.fact f LEFT JOIN behind b ON b.fact = f.id;
