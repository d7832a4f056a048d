-- name: size
-- Points along the line.
SELECT ceil(ST_Distance(s.first, s.last) * {unit} / %(step_m)s::float8)::bigint + 1 FROM {part.sight} AS s

-- name: answer
-- Places along the straight line between the ends; what reads the elevation model gives each its height.
WITH sight AS MATERIALIZED {part.sight},
line AS (
    SELECT s.*, ST_MakeLine(s.first, s.last) AS geom, ST_Distance(s.first, s.last) * {unit} AS length
    FROM sight AS s WHERE ST_Distance(s.first, s.last) > 0
),
at AS (
    SELECT least(n.place * %(step_m)s::float8, l.length) AS along, l.geom, l.length
    FROM line AS l CROSS JOIN LATERAL generate_series(0, ceil(l.length / %(step_m)s::float8)::int) AS n (place)
),
point AS (
    SELECT a.along, ST_LineInterpolatePoint(a.geom, a.along / a.length) AS geom FROM at AS a
)
SELECT jsonb_build_object('from_mast_m', l.first_m, 'to_mast_m', l.last_m, 'frequency_ghz', l.frequency_ghz,
    'azimuth_deg', round(degrees(ST_Azimuth(l.first, l.last))::numeric, 3), 'length_m', round(l.length::numeric, 2), 'step_m', %(step_m)s::float8,
    'link_code', l.link_code, 'azimuth_stated_deg', l.azimuth_deg, 'run', l.run_id,
    'masts', CASE WHEN l.first_mast IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('mast_code', l.first_mast, 'name_fa', l.first_name, 'run', l.first_run),
        jsonb_build_object('mast_code', l.last_mast, 'name_fa', l.last_name, 'run', l.last_run)) END,
    'points', (SELECT jsonb_agg(jsonb_build_object('along_m', round(p.along::numeric, 2), 'e', round(ST_X(p.geom)::numeric, 3),
        'n', round(ST_Y(p.geom)::numeric, 3)) ORDER BY p.along) FROM point AS p))::text
FROM line AS l

-- name: near
-- Masts that may have been meant.
SELECT coalesce(jsonb_agg(n.mast_code), '[]')::text FROM (
    SELECT m.mast_code FROM {radio_mast} AS m, jsonb_array_elements_text(%(masts)s::jsonb) AS g (code)
    GROUP BY m.mast_code ORDER BY max(similarity(m.mast_code, g.code)) DESC, m.mast_code LIMIT 5
) AS n
