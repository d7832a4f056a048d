-- name: size
-- Parcels of the block.
SELECT count(*) FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text

-- name: answer
-- A parcel stands where the middle of its longest run along the perimeter is; one inside at the nearest place of the perimeter,
-- after those that stand there.
WITH block AS (
    SELECT b.block_code, b.run_id, b.geom FROM {block} AS b WHERE b.block_code = %(block_code)s::text
),
walk AS (
    SELECT b.run_id, ST_ExteriorRing(ST_ForcePolygonCW((ST_Dump(b.geom)).geom)) AS ring FROM block AS b
),
longest AS (
    SELECT w.run_id, w.ring, ST_Length(w.ring) AS length, ST_LineLocatePoint(w.ring, (
        SELECT d.geom FROM ST_DumpPoints(w.ring) AS d ORDER BY ST_Y(d.geom) - ST_X(d.geom) DESC, d.path LIMIT 1
    )) AS origin
    FROM walk AS w ORDER BY ST_Length(w.ring) DESC LIMIT 1
),
stood AS (
    SELECT p.id, p.parcel_code, p.run_id, f.front, l.length, l.run_id AS block_run,
        mod((ST_LineLocatePoint(l.ring, coalesce(f.middle, ST_ClosestPoint(l.ring, ST_PointOnSurface(p.geom)))) - l.origin + 1)::numeric, 1) AS at
    FROM longest AS l JOIN {parcel} AS p ON p.block_code = %(block_code)s::text
    LEFT JOIN LATERAL (
        SELECT sum(ST_Length(r.geom)) OVER () AS front, ST_LineInterpolatePoint(r.geom, 0.5) AS middle
        FROM ST_Dump(ST_LineMerge(ST_CollectionExtract(ST_Intersection(ST_Boundary(p.geom), ST_Buffer(l.ring, 0.2 / {unit})), 2))) AS r
        WHERE ST_Length(r.geom) > 0.5 / {unit} ORDER BY ST_Length(r.geom) DESC LIMIT 1
    ) AS f ON true
)
SELECT jsonb_build_object('block_code', %(block_code)s::text, 'perimeter_m', round((max(s.length) * {unit})::numeric, 2),
    'number', count(*), 'run', max(s.block_run), 'parcels', jsonb_agg(jsonb_build_object('place', s.place, 'parcel_id', s.id,
        'parcel_code', s.parcel_code, 'along_m', round((s.at * s.length * {unit})::numeric, 2), 'on_perimeter', s.front IS NOT NULL,
        'run', s.run_id) ORDER BY s.place))::text
FROM (
    SELECT t.*, row_number() OVER (ORDER BY round(t.at::numeric, 6), t.front IS NULL, length(t.parcel_code), t.parcel_code) AS place FROM stood AS t
) AS s HAVING count(*) > 0

-- name: near
-- Blocks that may have been meant.
SELECT coalesce(jsonb_agg(n.block_code), '[]')::text FROM (
    SELECT b.block_code FROM {block} AS b ORDER BY similarity(b.block_code, %(block_code)s::text) DESC, b.block_code LIMIT 5
) AS n
