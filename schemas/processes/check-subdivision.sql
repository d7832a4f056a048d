-- name: answer
-- Areas on the grid; a plot's frontage is what it shares with the roads that are proposed and with the parcel's own fronts.
WITH chosen AS MATERIALIZED {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS MATERIALIZED {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones},
piece AS MATERIALIZED (
    SELECT e.place, coalesce(e.value->>'kind', 'plot') AS kind, coalesce(e.value->>'label', e.place::text) AS label,
        ST_Transform((e.value->>'geometry')::geometry, {srid}) AS geom
    FROM jsonb_array_elements(%(pieces)s::text::jsonb) WITH ORDINALITY AS e (value, place)
),
whole AS MATERIALIZED (
    SELECT ST_Union(p.geom) AS geom, sum(ST_Area(p.geom)) AS area,
        sum(ST_Area(p.geom)) FILTER (WHERE p.kind <> 'plot') AS public FROM piece AS p
),
front AS MATERIALIZED (
    SELECT ST_Union(g.geom) AS geom FROM (
        SELECT ST_Boundary(p.geom) AS geom FROM piece AS p WHERE p.kind = 'road'
        UNION ALL
        SELECT d.geom FROM chosen AS c CROSS JOIN ST_DumpSegments(ST_Boundary(c.geom)) AS d JOIN roads AS r
            ON greatest(ST_Distance(ST_StartPoint(d.geom), r.geom), ST_Distance(ST_EndPoint(d.geom), r.geom)) <= r.far + 0.5 / {unit}
    ) AS g
),
rule AS MATERIALIZED (
    SELECT max(q.min_plot_m2) AS min_plot_m2, max(q.min_frontage_m) AS min_frontage_m, max(q.run_id) AS run_id
    FROM zones AS z JOIN edition AS e ON true JOIN {zone_rule} AS q ON q.plan_id = e.plan_id AND q.zone_code = z.zone_code
    WHERE z.part = 'in' AND z.share >= 0.01
),
told AS MATERIALIZED (
    SELECT p.*, ST_Area(p.geom) * {unit} ^ 2 AS area, coalesce((
        SELECT sum(ST_Length(d.geom)) * {unit} FROM front AS f
        CROSS JOIN ST_DumpSegments(ST_Intersection(ST_Boundary(p.geom), ST_Buffer(f.geom, 0.02 / {unit}))) AS d
        WHERE ST_Length(d.geom) > 0.05 / {unit}
    ), 0) AS frontage FROM piece AS p
)
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'plan', {part.edition_json},
    'parent_m2', round((ST_Area(c.geom) * {unit} ^ 2)::numeric, 2), 'pieces_m2', round((w.area * {unit} ^ 2)::numeric, 2),
    'difference_m2', round(((w.area - ST_Area(c.geom)) * {unit} ^ 2)::numeric, 3),
    'overlap_m2', round(((w.area - ST_Area(w.geom)) * {unit} ^ 2)::numeric, 3),
    'gap_m2', round((ST_Area(ST_Difference(c.geom, w.geom)) * {unit} ^ 2)::numeric, 3),
    'outside_m2', round((ST_Area(ST_Difference(w.geom, c.geom)) * {unit} ^ 2)::numeric, 3),
    'tolerance_m2', 0.01,
    'balances', abs(w.area - ST_Area(c.geom)) * {unit} ^ 2 <= 0.01 AND (w.area - ST_Area(w.geom)) * {unit} ^ 2 <= 0.01
        AND ST_Area(ST_Difference(c.geom, w.geom)) * {unit} ^ 2 <= 0.01 AND ST_Area(ST_Difference(w.geom, c.geom)) * {unit} ^ 2 <= 0.01,
    'public_share_pct', round((100 * coalesce(w.public, 0) / ST_Area(c.geom))::numeric, 2),
    'public_share_asked_pct', %(public_share_pct)s::float8,
    'public_share_reached', 100 * coalesce(w.public, 0) / ST_Area(c.geom) >= %(public_share_pct)s::float8 - 0.005,
    'min_plot_m2', r.min_plot_m2, 'min_frontage_m', r.min_frontage_m, 'rules', jsonb_build_object('run', r.run_id),
    'pieces', (SELECT jsonb_agg(jsonb_build_object('label', t.label, 'kind', t.kind, 'area_m2', round(t.area::numeric, 2),
        'share_pct', round((100 * t.area / (ST_Area(c.geom) * {unit} ^ 2))::numeric, 2),
        'frontage_m', CASE WHEN t.kind = 'plot' THEN round(t.frontage::numeric, 2) END,
        'plot_ok', CASE WHEN t.kind = 'plot' THEN t.area >= r.min_plot_m2 - 0.01 END,
        'frontage_ok', CASE WHEN t.kind = 'plot' THEN t.frontage >= r.min_frontage_m - 0.05 END) ORDER BY t.place) FROM told AS t),
    'run', c.run_id
)::text FROM chosen AS c CROSS JOIN whole AS w CROSS JOIN rule AS r

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
