-- name: answer
-- The place of the report, how sure it is, and the one unit; the rule is that by which reports are routed when they are entered.
WITH at AS (
    SELECT ST_PointOnSurface(ST_Transform(%(point)s::geometry, {srid})) AS geom, 'point' AS kind, 1.0::float8 AS confidence, NULL AS quality,
        NULL::bigint AS parcel_id, NULL::bigint AS run_id WHERE %(point)s IS NOT NULL
    UNION ALL
    SELECT f.geom, 'postcode', f.score, f.quality, f.parcel_id, f.run_id FROM makan.parcel_of_postcode(%(postcode)s::text) AS f
    UNION ALL
    (SELECT ST_PointOnSurface(p.geom), 'parcel', 1.0, NULL, p.id, p.run_id FROM unnest(%(parcel_code)s::text[]) WITH ORDINALITY AS k (code, place)
    JOIN {parcel} AS p ON p.parcel_code = k.code ORDER BY k.place LIMIT 1)
)
SELECT jsonb_build_object('located_by', at.kind, 'confidence', round(at.confidence::numeric, 3),
    'quality', CASE WHEN at.quality = 'door' THEN 'parcel-door' ELSE at.quality END,
    'point', ST_AsGeoJSON(ST_Transform(at.geom, 4326), 7)::jsonb,
    'parcel', (SELECT jsonb_build_object('parcel_id', p.id, 'parcel_code', p.parcel_code, 'run', p.run_id) FROM {parcel} AS p
        WHERE CASE WHEN at.parcel_id IS NULL THEN ST_Intersects(p.geom, at.geom) ELSE p.id = at.parcel_id END ORDER BY p.parcel_code LIMIT 1),
    'within', {part.units}, 'report_category', %(report_category)s::text,
    'unit', (SELECT jsonb_build_object('unit_code', u.unit_code, 'name_fa', u.name_fa, 'name_en', u.name_en, 'phone', u.phone,
        'distance_m', round((ST_Distance(u.geom, at.geom) * {unit})::numeric, 2), 'run', u.run_id) FROM {service_unit} AS u
        WHERE u.unit_code = r.unit_code ORDER BY u.report_category = %(report_category)s::text DESC, u.report_category LIMIT 1),
    'routing_rule', r.rule, 'run', at.run_id)::text
FROM at CROSS JOIN makan.unit_of_report(%(report_category)s::text, at.geom, 0.01 / {unit}) AS r LIMIT 1
