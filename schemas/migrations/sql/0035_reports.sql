-- Exactly one unit gets what is reported at a place: of the units for its kind whose area holds the point (up to `reach`, in the unit
-- of the CRS), the one with the lowest code (on the line between two areas both hold it); where there is none, of those for other
-- matters; where there is none either, the nearest of all.
CREATE FUNCTION makan.unit_of_report(category text, place geometry, reach float8, OUT unit_code text, OUT rule text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    WITH holding AS (
        SELECT u.unit_code, u.report_category FROM data.service_unit u WHERE u.geom && ST_Expand(place, reach) AND ST_DWithin(u.geom, place, reach)
    )
    SELECT found.unit_code, found.rule FROM (
        SELECT 1 AS turn, min(h.unit_code) AS unit_code,
            CASE WHEN count(DISTINCT h.unit_code) > 1 THEN 'lower_code' ELSE 'only_unit' END AS rule
        FROM holding h WHERE h.report_category = category
        UNION ALL
        SELECT 2, min(h.unit_code), 'other_matters' FROM holding h WHERE h.report_category = 'other'
        UNION ALL
        (SELECT 3, u.unit_code, 'nearest' FROM data.service_unit u
        WHERE u.report_category IN (category, 'other')
        ORDER BY ST_Distance(u.geom, place), u.report_category = 'other', u.unit_code LIMIT 1)
        UNION ALL
        SELECT 4, NULL, 'none'
    ) AS found WHERE found.unit_code IS NOT NULL OR found.turn = 4 ORDER BY found.turn LIMIT 1
$$;
COMMENT ON FUNCTION makan.unit_of_report(text, geometry, float8) IS 'Which unit gets what is reported at a place, and by which rule';

-- Leap years come by eights in 33 years, as they do in fact from 1150 to 1502 of the calendar.
CREATE FUNCTION makan.jalali(day date, OUT year integer, OUT month integer)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    WITH counted AS (
        SELECT day - DATE '0001-01-01' + 1 AS n, extract(year FROM day)::int - 621 AS guess
    ), begun AS (
        SELECT n, y, 365 * y + div(8 * y + 21, 33)::int + 226530 AS first
        FROM counted, LATERAL (SELECT CASE WHEN n >= 365 * guess + div(8 * guess + 21, 33)::int + 226530 THEN guess ELSE guess - 1 END AS y) AS chosen
    )
    SELECT y, CASE WHEN n - first < 186 THEN (n - first) / 31 + 1 ELSE (n - first - 186) / 30 + 7 END FROM begun
$$;
COMMENT ON FUNCTION makan.jalali(date) IS 'Year and month of a day in the Jalali calendar';

-- What a search looks through: not the 150,000 addresses of postcodes and other names that it leaves out, which share their words with
-- all streets and made a misspelt name a matter of a second. The condition is that of processes/search.sql, word by word.
DROP INDEX ops.ix_place_name_holds;
CREATE INDEX ix_place_name_holds ON ops.place_name USING gin (key gin_trgm_ops) WHERE layer NOT IN ('plan_road_line', 'postcode', 'audit_record');
