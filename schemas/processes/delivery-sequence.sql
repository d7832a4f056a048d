-- name: size
-- Parcels that are meant.
SELECT count(*) FROM (SELECT p.id FROM {part.delivered} AS p) AS m

-- name: answer
-- Every parcel once, in the order in which it is walked; staff is told where the post finds it and, for a year, what its levy is
-- reckoned from.
WITH meant AS MATERIALIZED {part.delivered},
legs AS MATERIALIZED {part.legs},
walked AS MATERIALIZED {part.walk},
addressed AS MATERIALIZED {part.addresses},
price AS MATERIALIZED (SELECT c.*, false AS given FROM {part.price} AS c),
levied AS MATERIALIZED (
    SELECT (i.item ->> 'parcel_id')::bigint AS parcel_id, jsonb_build_object('variables', i.item -> 'variables', 'zone_shares', i.item -> 'zone_shares',
        'price', i.item -> 'price', 'building', i.item -> 'building', 'zones', i.item -> 'zones') AS told
    FROM jsonb_array_elements(CASE WHEN %(year)s::int IS NOT NULL THEN {part.levy_items} END) AS i (item)
),
leg AS (
    SELECT w.leg, w.block_code, min(w.place) AS place_from, max(w.place) AS place_to, max(w.length) AS length, max(w.block_run) AS block_run
    FROM walked AS w GROUP BY w.leg, w.block_code
)
SELECT jsonb_build_object('block_code', %(block_code)s::text, 'year', %(year)s::int, 'number', (SELECT count(*) FROM meant AS m),
    'bundle', (SELECT CASE WHEN count(*) = 1 THEN coalesce(min(g.block_code), '-') ELSE (array_agg(g.block_code ORDER BY g.leg))[1] || ' … '
        || (array_agg(g.block_code ORDER BY g.leg DESC NULLS LAST))[1] || ' (' || count(*) || ')' END FROM leg AS g),
    'perimeter_m', (SELECT round((sum(g.length) * {unit})::numeric, 2) FROM leg AS g), 'run', (SELECT max(g.block_run) FROM leg AS g),
    'blocks', (SELECT jsonb_agg(jsonb_build_object('block_code', g.block_code, 'place_from', g.place_from, 'place_to', g.place_to,
        'perimeter_m', round((g.length * {unit})::numeric, 2), 'run', g.block_run) ORDER BY g.leg) FROM leg AS g),
    'missing', (SELECT coalesce(jsonb_agg(g.value::bigint ORDER BY g.value::bigint), '[]') FROM jsonb_array_elements_text(%(parcels)s::jsonb) AS g
        WHERE g.value::bigint NOT IN (SELECT m.id FROM meant AS m)),
    'blocks_missing', (SELECT coalesce(jsonb_agg(g.value ORDER BY g.value), '[]') FROM jsonb_array_elements_text(%(blocks)s::jsonb) AS g
        WHERE g.value NOT IN (SELECT l.block_code FROM legs AS l)),
    'parcels', (SELECT jsonb_agg(jsonb_build_object('place', w.place, 'parcel_id', w.id, 'parcel_code', w.parcel_code,
        'block_code', w.block_code, 'along_m', round((w.at * w.length * {unit})::numeric, 2), 'on_perimeter', w.fronts,
        'stop', jsonb_build_object('e', round(ST_X(w.stop)::numeric, 2), 'n', round(ST_Y(w.stop)::numeric, 2)),
        'addresses', coalesce(a.told, '[]'), 'run', w.run_id) || coalesce(v.told, '{{}}') ORDER BY w.place)
        FROM walked AS w LEFT JOIN addressed AS a ON a.parcel_id = w.id LEFT JOIN levied AS v ON v.parcel_id = w.id))::text
WHERE EXISTS (SELECT FROM meant)

-- name: near
-- Blocks that may have been meant.
SELECT coalesce(jsonb_agg(n.block_code), '[]')::text FROM (
    SELECT b.block_code FROM {block} AS b
    ORDER BY similarity(b.block_code, coalesce(%(block_code)s::text, %(blocks)s::jsonb ->> 0, '')) DESC, b.block_code LIMIT 5
) AS n

-- name: surroundings
-- The maps of a delivery: of all of it and, where it is of several blocks, of each block (up to 60), every one at the largest of the scales that leaves
-- a margin. A way goes round outside of its block, 2 m from the border.
WITH meant AS MATERIALIZED {part.delivered},
legs AS MATERIALIZED {part.legs},
walked AS MATERIALIZED {part.walk},
extent AS (
    SELECT 0 AS sheet, NULL::text AS block_code, ST_Extent(m.geom) AS box FROM meant AS m
    UNION ALL
    SELECT l.leg, l.block_code, ST_Extent(m.geom) FROM meant AS m JOIN legs AS l ON l.block_code = m.block
    WHERE (SELECT count(*) FROM legs) > 1 GROUP BY l.leg, l.block_code
),
frame AS MATERIALIZED (
    SELECT e.sheet, e.block_code, f.scale, (ST_XMin(e.box) + ST_XMax(e.box)) / 2 AS x, (ST_YMin(e.box) + ST_YMax(e.box)) / 2 AS y,
        ST_MakeEnvelope((ST_XMin(e.box) + ST_XMax(e.box)) / 2 - f.wide, (ST_YMin(e.box) + ST_YMax(e.box)) / 2 - f.high,
            (ST_XMin(e.box) + ST_XMax(e.box)) / 2 + f.wide, (ST_YMin(e.box) + ST_YMax(e.box)) / 2 + f.high, {srid}) AS geom
    FROM (SELECT * FROM extent AS x ORDER BY x.sheet LIMIT 61) AS e CROSS JOIN LATERAL (
        SELECT k.scale, %(width_mm)s::float8 * k.scale / 2000 / {unit} AS wide, %(height_mm)s::float8 * k.scale / 2000 / {unit} AS high
        FROM unnest(%(scales)s::int[]) AS k (scale)
        ORDER BY ST_XMax(e.box) - ST_XMin(e.box) > 1.8 * %(width_mm)s::float8 * k.scale / 2000 / {unit}
            OR ST_YMax(e.box) - ST_YMin(e.box) > 1.8 * %(height_mm)s::float8 * k.scale / 2000 / {unit}, k.scale LIMIT 1
    ) AS f
),
way AS MATERIALIZED (
    SELECT r.leg, r.block_code, ST_ExteriorRing(ST_Buffer(ST_MakePolygon(r.ring), 2 / {unit}, 'join=mitre')) AS geom, ST_StartPoint(r.ring) AS start
    FROM (SELECT DISTINCT ON (w.leg) w.leg, w.block_code, w.ring FROM walked AS w WHERE w.ring IS NOT NULL ORDER BY w.leg) AS r
)
SELECT jsonb_build_object('unit_m', {unit}, 'blocks', (SELECT count(*) FROM legs), 'maps', jsonb_agg(jsonb_build_object(
    'block', f.block_code, 'scale', f.scale, 'x', f.x, 'y', f.y,
    'parcels', (SELECT coalesce(jsonb_agg(jsonb_build_object('parcel_code', p.parcel_code, 'block', coalesce(p.block_code, (SELECT m.block FROM meant AS m WHERE m.id = p.id)),
        'own', p.id IN (SELECT m.id FROM meant AS m WHERE f.block_code IS NULL OR m.block = f.block_code), 'geom', ST_AsGeoJSON(p.geom, 3)::jsonb) ORDER BY p.id), '[]') FROM {parcel} AS p WHERE p.geom && f.geom),
    'buildings', (SELECT coalesce(jsonb_agg(jsonb_build_object('geom', ST_AsGeoJSON(b.geom, 3)::jsonb)), '[]') FROM {building} AS b WHERE b.geom && f.geom),
    'streets', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', jsonb_build_object('fa', s.name_fa, 'en', s.name_en),
        'geom', ST_AsGeoJSON(ST_ClipByBox2D(s.geom, f.geom), 3)::jsonb)), '[]') FROM {street} AS s WHERE s.geom && f.geom AND ST_Intersects(s.geom, f.geom)),
    'ways', (SELECT coalesce(jsonb_agg(jsonb_build_object('block', y.block_code, 'geom', ST_AsGeoJSON(y.geom, 3)::jsonb) ORDER BY y.leg), '[]')
        FROM way AS y WHERE f.block_code IS NULL OR y.block_code = f.block_code),
    'stops', (SELECT coalesce(jsonb_agg(jsonb_build_object('place', w.place, 'e', ST_X(w.stop), 'n', ST_Y(w.stop), 'inner', jsonb_build_array(ST_X(i.geom), ST_Y(i.geom))) ORDER BY w.place), '[]')
        FROM walked AS w JOIN meant AS m ON m.id = w.id CROSS JOIN LATERAL (SELECT ST_PointOnSurface(m.geom) AS geom) AS i
        WHERE f.block_code IS NULL OR w.block_code = f.block_code)
) ORDER BY f.sheet))::text
FROM frame AS f HAVING count(*) > 0
