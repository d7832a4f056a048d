-- What a kiosk tells of a case: its stages and nothing else of it, to whoever knows its number and the postcode of its property.
CREATE FUNCTION makan.case_stages(number text, asked text)
RETURNS TABLE (case_system text, case_no text, case_stage text, since date, is_open boolean, run_id bigint)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN QUERY
    WITH meant AS (
        SELECT f.* FROM makan.parcel_of_postcode(asked) AS q JOIN data.parcel AS p ON p.id = q.parcel_id
        JOIN data.case_file AS f ON f.parcel_code = p.parcel_code WHERE makan.fold(f.case_no) = number
    ), stages AS (
        SELECT m.id, m.case_stage AS stage, coalesce(m.stage_on, m.opened_on) AS day FROM meant AS m
        UNION
        SELECT h.id, h.case_stage, coalesce(h.stage_on, h.opened_on) FROM history.case_file AS h JOIN meant AS m ON m.id = h.id
        WHERE h.withdrawn_by IS NULL AND h.case_stage IS NOT NULL
    )
    SELECT m.case_system, m.case_no, s.stage, min(s.day), m.closed_on IS NULL, m.run_id
    FROM meant AS m JOIN stages AS s ON s.id = m.id GROUP BY m.id, m.case_system, m.case_no, s.stage, m.closed_on, m.run_id;
END
$$;
COMMENT ON FUNCTION makan.case_stages(text, text) IS 'The stages of a case, by its number and the postcode of its property';
