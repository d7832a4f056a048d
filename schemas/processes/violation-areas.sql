-- name: answer
-- Floor by floor: what of the built lies outside what is permitted there. Where no drawing is given, what remains after
-- widening is where one may build, up to the floors and the footprint of the plan.
WITH chosen AS MATERIALIZED {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS MATERIALIZED {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones},
front AS MATERIALIZED {part.front},
fitting AS MATERIALIZED {part.fitting},
remainder AS MATERIALIZED {part.remainder},
allowed AS MATERIALIZED {part.allowed},
built AS (
    SELECT coalesce((e.value->>'floor')::int, 1) AS floor, ST_Union(ST_Transform((e.value->>'geometry')::geometry, {srid})) AS geom
    FROM jsonb_array_elements(%(built)s::text::jsonb) AS e GROUP BY 1
),
drawing AS (
    SELECT coalesce((e.value->>'floor')::int, 1) AS floor, ST_Union(ST_Transform((e.value->>'geometry')::geometry, {srid})) AS geom
    FROM jsonb_array_elements(coalesce(%(permitted)s::text, '[]')::jsonb) AS e GROUP BY 1
),
floor AS (
    SELECT b.floor, b.geom, CASE WHEN %(permitted)s::text IS NOT NULL THEN coalesce(g.geom, ST_GeomFromText('POLYGON EMPTY', {srid}))
        WHEN b.floor > a.max_floors THEN ST_GeomFromText('POLYGON EMPTY', {srid}) ELSE m.geom END AS room,
        CASE WHEN %(permitted)s::text IS NULL AND b.floor <= coalesce(a.max_floors, b.floor) THEN a.footprint / {unit} ^ 2 END AS most
    FROM built AS b CROSS JOIN remainder AS m CROSS JOIN allowed AS a LEFT JOIN drawing AS g ON g.floor = b.floor
),
told AS (
    SELECT f.floor, ST_Area(f.geom) AS area, f.most, ST_Area(f.room) AS room, ST_Area(ST_Difference(f.room, f.geom)) AS unused,
        ST_CollectionExtract(ST_Difference(f.geom, f.room), 3) AS extra
    FROM floor AS f
)
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'plan', {part.edition_json}, 'basis', CASE WHEN %(permitted)s::text IS NULL THEN 'plan' ELSE 'permit' END,
    'floors', (SELECT jsonb_agg(jsonb_build_object('floor', t.floor, 'built_m2', round((t.area * {unit} ^ 2)::numeric, 2),
        'permitted_m2', round((least(t.room, t.most) * {unit} ^ 2)::numeric, 2),
        'extra_m2', round((greatest(ST_Area(t.extra), t.area - t.most, 0) * {unit} ^ 2)::numeric, 2),
        'not_used_m2', CASE WHEN %(permitted)s::text IS NOT NULL THEN round((t.unused * {unit} ^ 2)::numeric, 2) END,
        'polygon', CASE WHEN ST_Area(t.extra) * {unit} ^ 2 > 0.005 THEN ST_AsGeoJSON(ST_Transform(t.extra, 4326), 8)::jsonb END
    ) ORDER BY t.floor) FROM told AS t),
    'extra_total_m2', (SELECT round((sum(greatest(ST_Area(t.extra), t.area - t.most, 0)) * {unit} ^ 2)::numeric, 2) FROM told AS t),
    'max_floors', a.max_floors, 'allowed_footprint_m2', round(a.footprint::numeric, 2), 'manual_decision', a.manual,
    'rules', jsonb_build_object('run', a.run_id), 'run', c.run_id
)::text FROM chosen AS c CROSS JOIN allowed AS a

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
