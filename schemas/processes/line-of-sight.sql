-- name: size
-- Points along the line.
SELECT ceil(ST_Length(ST_Transform(%(line)s::geometry, {srid})) * {unit} / %(step_m)s::float8)::bigint + 1

-- name: answer
-- Places along the straight line between the ends; what reads the elevation model gives each its height.
WITH line AS (
    SELECT l.geom, ST_Length(l.geom) * {unit} AS length FROM (
        SELECT ST_MakeLine(ST_StartPoint(g.geom), ST_EndPoint(g.geom)) AS geom
        FROM (SELECT ST_GeometryN(ST_LineMerge(ST_Transform(%(line)s::geometry, {srid})), 1) AS geom) AS g
    ) AS l WHERE ST_Dimension(l.geom) = 1 AND ST_Length(l.geom) > 0
),
at AS (
    SELECT least(n.place * %(step_m)s::float8, l.length) AS along, l.geom, l.length
    FROM line AS l CROSS JOIN LATERAL generate_series(0, ceil(l.length / %(step_m)s::float8)::int) AS n (place)
),
point AS (
    SELECT a.along, a.length, a.geom AS line, ST_LineInterpolatePoint(a.geom, a.along / a.length) AS geom FROM at AS a
)
SELECT jsonb_build_object('from_mast_m', %(from_mast_m)s::float8, 'to_mast_m', %(to_mast_m)s::float8, 'frequency_ghz', %(frequency_ghz)s::float8,
    'azimuth_deg', round(degrees(max(ST_Azimuth(ST_StartPoint(p.line), ST_EndPoint(p.line))))::numeric, 3), 'length_m', round(max(p.length)::numeric, 2), 'step_m', %(step_m)s::float8, 'points', jsonb_agg(jsonb_build_object(
    'along_m', round(p.along::numeric, 2), 'e', round(ST_X(p.geom)::numeric, 3), 'n', round(ST_Y(p.geom)::numeric, 3)) ORDER BY p.along))::text
FROM point AS p HAVING count(*) > 0
