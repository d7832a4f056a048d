-- What the database says of a new report, and of one whose place has changed. ``given`` are its fields, ``place`` is its point.
-- Exactly one unit gets it, by the rule of makan.unit_of_report (migration 0035), to the centimetre. It may repeat the nearest open
-- report of its kind within 20 m and 24 hours. The public sees it in the middle of
-- the street segment nearby, within 300 m, and nowhere otherwise.
WITH chosen AS (
    SELECT unit_code, rule FROM makan.unit_of_report(given ->> 'report_category', place, 0.01 / :metres)
), nearby AS (
    SELECT s.street_id, ST_LineInterpolatePoint(ST_GeometryN(s.geom, 1), 0.5) AS middle
    FROM data.street s WHERE ST_DWithin(s.geom, place, 300 / :metres) ORDER BY s.geom <-> place, s.street_id LIMIT 1
), repeated AS (
    SELECT r.report_no FROM data.citizen_report r
    WHERE r.report_category = given ->> 'report_category' AND r.report_status NOT IN ('done', 'rejected', 'duplicate')
        AND r.opened_at > now() - interval '24 hours' AND r.report_no IS DISTINCT FROM given ->> 'report_no'
        AND r.geom && ST_Expand(place, 20 / :metres) AND ST_DWithin(r.geom, place, 20 / :metres)
    ORDER BY ST_Distance(r.geom, place), r.opened_at LIMIT 1
)
SELECT jsonb_build_object(
    'report_no', 'R-' || lpad(nextval('ops.report_number')::text, 7, '0'),
    'report_status', 'new',
    'opened_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'unit_code', (SELECT unit_code FROM chosen),
    'routing_rule', (SELECT rule FROM chosen),
    'possible_duplicate_of', (SELECT report_no FROM repeated),
    'region_code', (SELECT min(a.region_code) FROM data.region a WHERE ST_Intersects(a.geom, place)),
    'neighbourhood_code', (SELECT min(a.neighbourhood_code) FROM data.neighbourhood a WHERE ST_Intersects(a.geom, place)),
    'parcel_code', (SELECT min(a.parcel_code) FROM data.parcel a WHERE ST_Intersects(a.geom, place)),
    'street_id', (SELECT street_id FROM nearby),
    'street_x', (SELECT ST_X(middle) FROM nearby),
    'street_y', (SELECT ST_Y(middle) FROM nearby)
)
