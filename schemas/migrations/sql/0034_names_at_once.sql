-- A fill writes its rows by many statements: its names are gathered once, when all rows are there, not after each.

CREATE FUNCTION ops.names_put_off(layer_name text, off boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    fields text[];
    of_field text;
BEGIN
    SELECT array_remove(string_to_array(encode(t.tgargs, 'escape'), '\000'), '') INTO fields FROM pg_trigger t
    WHERE t.tgrelid = format('data.%I', layer_name)::regclass AND t.tgname = 'names_after_insert';
    IF fields IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE data.%I %s TRIGGER names_after_insert', layer_name, CASE WHEN off THEN 'DISABLE' ELSE 'ENABLE' END);
    IF NOT off THEN
        FOREACH of_field IN ARRAY fields LOOP
            PERFORM ops.gather_names(layer_name, of_field, NULL);
        END LOOP;
    END IF;
END $$;
REVOKE ALL ON FUNCTION ops.names_put_off(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION ops.names_put_off IS 'Has the names of a layer gathered no more after each statement, or all of them now and again after each';

-- To look for fifty thousand names costs less than to gather all of a large city.
CREATE OR REPLACE FUNCTION ops.names_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    of_field text;
    wanted text[];
BEGIN
    FOREACH of_field IN ARRAY TG_ARGV LOOP
        IF TG_OP = 'UPDATE' THEN
            EXECUTE format('SELECT array_agg(n.name) FROM (SELECT %1$I AS name FROM gone UNION SELECT %1$I FROM written) AS n
                WHERE n.name IS NOT NULL', of_field) INTO wanted;
        ELSE
            EXECUTE format('SELECT array_agg(DISTINCT %1$I) FROM %2$I WHERE %1$I IS NOT NULL', of_field,
                CASE TG_OP WHEN 'INSERT' THEN 'written' ELSE 'gone' END) INTO wanted;
        END IF;
        IF wanted IS NOT NULL THEN
            PERFORM ops.gather_names(TG_TABLE_NAME, of_field, CASE WHEN cardinality(wanted) <= 50000 THEN wanted END);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
