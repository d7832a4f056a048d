-- What a statement has written in the history is compared with the rows in force as it is: the former versions of the same objects,
-- which are looked up by an index that holds time, have been compared already.
CREATE OR REPLACE FUNCTION ops.refuse_overlap() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE found bigint;
BEGIN
    EXECUTE format(
        'SELECT t.id FROM %s LEFT JOIN ops.run r ON r.id = t.run_id '
        'WHERE h.withdrawn_by IS NULL AND h.valid && tstzrange(coalesce(t.valid_since, r.valid_from), NULL) LIMIT 1',
        CASE TG_TABLE_SCHEMA WHEN 'data' THEN format('written t JOIN history.%I h ON h.id = t.id', TG_TABLE_NAME)
            ELSE format('written h JOIN data.%I t ON t.id = h.id', TG_TABLE_NAME) END
    ) INTO found;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'two versions of object % of % hold at the same time', found, TG_TABLE_NAME
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = format('ex_%s_valid', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
