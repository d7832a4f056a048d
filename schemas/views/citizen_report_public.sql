-- Reports as everybody may see them: in the middle of a street segment, by day, without words. Days are the city's.
SELECT r.id, r.report_no, r.report_category, r.report_status,
    (r.opened_at AT TIME ZONE ':timezone')::date AS opened_on,
    (r.closed_at AT TIME ZONE ':timezone')::date AS closed_on,
    r.possible_duplicate_of, r.region_code, r.neighbourhood_code,
    (SELECT s.name_fa FROM data.street s WHERE s.street_id = r.street_id) AS street_name_fa,
    ST_SetSRID(ST_MakePoint(r.street_x, r.street_y), :srid)::geometry(Point, :srid) AS geom
FROM data.citizen_report r
