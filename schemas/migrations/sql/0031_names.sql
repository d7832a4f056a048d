-- Every name once: what a search looks through while somebody types. Fifty thousand pieces of streets have fifteen
-- thousand names. Triggers keep them by the statement, so that they are never behind the layers.

CREATE TABLE ops.place_name (
    layer text NOT NULL,
    field text NOT NULL,
    name text NOT NULL,
    key text NOT NULL,
    parts integer NOT NULL,
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    geom geometry NOT NULL
);
COMMENT ON TABLE ops.place_name IS 'Names of things with a place: how many rows have each, the first of them and its point';
CREATE INDEX ix_place_name_name ON ops.place_name (layer, field, name);
CREATE INDEX ix_place_name_begins ON ops.place_name (key text_pattern_ops);
CREATE INDEX ix_place_name_holds ON ops.place_name USING gin (key gin_trgm_ops);

-- The names of one text of one layer; NULL: all of them.
CREATE FUNCTION ops.gather_names(of_layer text, of_field text, wanted text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    DELETE FROM ops.place_name AS n
    WHERE n.layer = of_layer AND n.field = of_field AND (wanted IS NULL OR n.name = ANY(wanted));
    EXECUTE format(
        'INSERT INTO ops.place_name (layer, field, name, key, parts, id, run_id, geom)
        SELECT DISTINCT ON (v.%2$I) %1$L, %2$L, v.%2$I, v.%3$I, count(*) OVER same, v.id, max(v.run_id) OVER same,
            CASE WHEN ST_Dimension(v.geom) = 1 THEN ST_LineInterpolatePoint(ST_GeometryN(v.geom, 1), 0.5)
                WHEN ST_Dimension(v.geom) = 0 THEN v.geom ELSE ST_PointOnSurface(v.geom) END
        FROM data.%1$I AS v WHERE v.%2$I IS NOT NULL AND v.%3$I IS NOT NULL AND v.geom IS NOT NULL AND ($1 IS NULL OR v.%2$I = ANY($1))
        WINDOW same AS (PARTITION BY v.%2$I) ORDER BY v.%2$I, v.id', of_layer, of_field, of_field || '_key')
    USING wanted;
END $$;
REVOKE ALL ON FUNCTION ops.gather_names(text, text, text[]) FROM PUBLIC;

-- After a statement: the names that it wrote or took away, each gathered anew. The arguments are the texts that are searched.
CREATE FUNCTION ops.names_changed() RETURNS trigger
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
            PERFORM ops.gather_names(TG_TABLE_NAME, of_field, CASE WHEN cardinality(wanted) <= 500 THEN wanted END);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- Triggers over one layer, and its names as they are now.
CREATE FUNCTION ops.keep_names(of_layer text, VARIADIC fields text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    given text := (SELECT string_agg(quote_literal(f), ', ') FROM unnest(fields) AS f);
    made record;
    of_field text;
BEGIN
    FOR made IN SELECT * FROM (VALUES
        ('insert', 'NEW TABLE AS written'), ('update', 'OLD TABLE AS gone NEW TABLE AS written'), ('delete', 'OLD TABLE AS gone')
    ) AS t (what, seen) LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS names_after_%s ON data.%I', made.what, of_layer);
        EXECUTE format('CREATE TRIGGER names_after_%1$s AFTER %1$s ON data.%2$I REFERENCING %3$s
            FOR EACH STATEMENT EXECUTE FUNCTION ops.names_changed(%4$s)', made.what, of_layer, made.seen, given);
    END LOOP;
    DELETE FROM ops.place_name AS n WHERE n.layer = of_layer AND NOT n.field = ANY(fields);
    FOREACH of_field IN ARRAY fields LOOP
        PERFORM ops.gather_names(of_layer, of_field, NULL);
    END LOOP;
END $$;
