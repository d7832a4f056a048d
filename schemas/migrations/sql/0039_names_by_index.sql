-- One edit costs what its own names cost. A trigger's table name is of the type name, whose collation ("C") went on to the
-- comparisons, for which the index of names could not be used: each edit read all names of the city. And the rows that share
-- a name are found by the index of its folded text, not by reading the layer.

CREATE OR REPLACE FUNCTION ops.gather_names(of_layer text, of_field text, wanted text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    named text := '';
BEGIN
    IF wanted IS NULL THEN
        DELETE FROM ops.place_name AS n WHERE n.layer = of_layer COLLATE "default" AND n.field = of_field COLLATE "default";
    ELSE
        DELETE FROM ops.place_name AS n WHERE n.layer = of_layer COLLATE "default" AND n.field = of_field COLLATE "default"
            AND n.name = ANY(wanted COLLATE "default");
        named := format('AND v.%I = ANY($1)', of_field);
        -- The index pays for as many as an edit has.
        IF cardinality(wanted) <= 8 THEN
            named := named || format(' AND v.%I = ANY($2)', of_field || '_key');
        END IF;
    END IF;
    EXECUTE format(
        'INSERT INTO ops.place_name (layer, field, name, key, parts, id, run_id, geom)
        SELECT DISTINCT ON (v.%2$I) %1$L, %2$L, v.%2$I, v.%3$I, count(*) OVER same, v.id, max(v.run_id) OVER same,
            CASE WHEN ST_Dimension(v.geom) = 1 THEN ST_LineInterpolatePoint(ST_GeometryN(v.geom, 1), 0.5)
                WHEN ST_Dimension(v.geom) = 0 THEN v.geom ELSE ST_PointOnSurface(v.geom) END
        FROM data.%1$I AS v WHERE v.%2$I IS NOT NULL AND v.%3$I IS NOT NULL AND v.geom IS NOT NULL %4$s
        WINDOW same AS (PARTITION BY v.%2$I) ORDER BY v.%2$I, v.id', of_layer, of_field, of_field || '_key', named)
    USING wanted, (SELECT array_agg(makan.fold(w)) FROM unnest(wanted) AS w);
END $$;
