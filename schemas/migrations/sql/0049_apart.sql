-- What a statement has written in a layer's own table are the rows in force: they need not be looked up there once more, by an index
-- that holds each of them twice by then. What it has written in the history is compared as before.
CREATE OR REPLACE FUNCTION ops.refuse_overlap() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE found bigint;
BEGIN
    EXECUTE format(
        'SELECT t.id FROM %2$s JOIN history.%1$I h ON h.id = t.id LEFT JOIN ops.run r ON r.id = t.run_id '
        'WHERE h.withdrawn_by IS NULL AND h.valid && tstzrange(coalesce(t.valid_since, r.valid_from), NULL) LIMIT 1',
        TG_TABLE_NAME,
        CASE TG_TABLE_SCHEMA WHEN 'data' THEN 'written t'
            ELSE format('written n JOIN data.%I t ON t.id = n.id', TG_TABLE_NAME) END
    ) INTO found;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'two versions of object % of % hold at the same time', found, TG_TABLE_NAME
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = format('ex_%s_valid', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
