-- A record of a delivery of which little differs is the one before it, and what differs.

ALTER TABLE ops.delivery ADD COLUMN kept bytea, ADD COLUMN added bytea;
ALTER TABLE ops.delivery ALTER COLUMN added SET STORAGE EXTERNAL;
COMMENT ON COLUMN ops.delivery.kept IS 'Which of the rows it still has, a bit for each; empty: all';
COMMENT ON COLUMN ops.delivery.added IS 'The rows that came since, as an Arrow stream';

-- PostgreSQL keeps a copy of each row for a trigger that is only put off; one that is not there costs nothing. It comes back with
-- the keys, in the same transaction.
CREATE OR REPLACE FUNCTION ops.before_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    target regclass := format('data.%I', layer_name)::regclass;
    found record;
BEGIN
    FOR found IN
        SELECT k.conname, pg_get_constraintdef(k.oid) AS definition FROM pg_constraint k
        WHERE k.conrelid = target AND k.contype IN ('p', 'u')
            AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = k.conindid)
        ORDER BY k.contype
    LOOP
        INSERT INTO ops.deferred (layer, definition)
        VALUES (layer_name, format('ALTER TABLE data.%I ADD CONSTRAINT %I %s', layer_name, found.conname, found.definition));
        EXECUTE format('ALTER TABLE data.%I DROP CONSTRAINT %I', layer_name, found.conname);
    END LOOP;
    FOR found IN
        SELECT i.indexname, i.indexdef FROM pg_indexes i
        WHERE i.schemaname = 'data' AND i.tablename = layer_name AND i.indexname LIKE 'ix\_%'
    LOOP
        INSERT INTO ops.deferred (layer, definition) VALUES (layer_name, found.indexdef);
        EXECUTE format('DROP INDEX data.%I', found.indexname);
    END LOOP;
    FOR found IN
        SELECT t.tgname, pg_get_triggerdef(t.oid) AS definition FROM pg_trigger t
        WHERE t.tgrelid = target AND t.tgname IN ('apart_after_insert', 'names_after_insert')
    LOOP
        INSERT INTO ops.deferred (layer, definition) VALUES (layer_name, found.definition);
        EXECUTE format('DROP TRIGGER %I ON data.%I', found.tgname, layer_name);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ops.after_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    found record;
    twice bigint;
BEGIN
    FOR found IN
        SELECT definition FROM ops.deferred
        WHERE layer = layer_name AND (definition LIKE 'ALTER TABLE %' OR definition LIKE 'CREATE TRIGGER %') ORDER BY place
    LOOP
        EXECUTE found.definition;
    END LOOP;
    DELETE FROM ops.deferred WHERE layer = layer_name AND (definition LIKE 'ALTER TABLE %' OR definition LIKE 'CREATE TRIGGER %');
    EXECUTE format(
        'SELECT h.id FROM history.%1$I h JOIN data.%1$I t USING (id) WHERE h.withdrawn_by IS NULL AND NOT isempty(h.valid) LIMIT 1',
        layer_name
    ) INTO twice;
    IF twice IS NOT NULL THEN
        RAISE EXCEPTION 'object % of % was given to a new row', twice, layer_name USING ERRCODE = 'exclusion_violation';
    END IF;
    EXECUTE format('ANALYZE data.%I', layer_name);
END $$;
ALTER FUNCTION ops.after_bulk(text) SET default_statistics_target = 30;

-- What is left of it: the names of a layer that was filled, of which its trigger tells the fields.
DROP FUNCTION ops.names_put_off(text, boolean);
CREATE FUNCTION ops.names_filled(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    of_field text;
BEGIN
    FOR of_field IN
        SELECT unnest(array_remove(string_to_array(encode(t.tgargs, 'escape'), '\000'), '')) FROM pg_trigger t
        WHERE t.tgrelid = format('data.%I', layer_name)::regclass AND t.tgname = 'names_after_insert'
    LOOP
        PERFORM ops.gather_names(layer_name, of_field, NULL);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION ops.names_filled(text) FROM PUBLIC;
COMMENT ON FUNCTION ops.names_filled IS 'Gathers the names of a layer that was filled at once';
