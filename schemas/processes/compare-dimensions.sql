-- name: answer
-- The edges of a side are added up; a length is within the tolerance that is greater, that in metres or that in percent.
WITH chosen AS MATERIALIZED {part.chosen},
given AS (
    SELECT e.place, e.value->>'side' AS side, (e.value->>'edge')::bigint AS edge, (e.value->>'length_m')::float8 AS measured
    FROM jsonb_array_elements(%(measured)s::text::jsonb) WITH ORDINALITY AS e (value, place)
    UNION ALL
    SELECT s.place, s.side, NULL, s.measured FROM chosen AS c JOIN {visit} AS v ON v.visit_no = %(visit_no)s::text AND v.parcel_code = c.parcel_code
    CROSS JOIN LATERAL (VALUES (1, 'N', v.length_n_m), (2, 'E', v.length_e_m), (3, 'S', v.length_s_m), (4, 'W', v.length_w_m)) AS s (place, side, measured)
    WHERE s.measured IS NOT NULL
),
told AS (
    SELECT g.*, m.length_m, m.run_id, greatest(%(tolerance_m)s::float8, m.length_m * %(tolerance_pct)s::float8 / 100) AS tolerance
    FROM given AS g CROSS JOIN LATERAL (
        SELECT sum(f.length_m) AS length_m, max(f.run_id) AS run_id FROM chosen AS c JOIN {fact.parcel_edge} AS f ON f.subject_id = c.id
        WHERE CASE WHEN g.edge IS NOT NULL THEN f.seq = g.edge ELSE f.side = g.side END
    ) AS m
)
SELECT jsonb_build_object('parcel', {part.identity}, 'sides', (
    SELECT jsonb_agg(jsonb_build_object('side', t.side, 'edge', t.edge, 'measured_m', t.measured,
        'map_m', round(t.length_m::numeric, 2), 'difference_m', round((t.measured - t.length_m)::numeric, 2),
        'tolerance_m', round(t.tolerance::numeric, 3), 'within', abs(t.measured - t.length_m) <= t.tolerance + 1e-9,
        'reason', CASE WHEN t.length_m IS NULL THEN jsonb_build_object('en', 'the map has no such side', 'fa', 'نقشه چنین ضلعی ندارد') END,
        'run', t.run_id) ORDER BY t.place) FROM told AS t),
    'all_within', (SELECT bool_and(coalesce(abs(t.measured - t.length_m) <= t.tolerance + 1e-9, false)) FROM told AS t),
    'not_measured', (SELECT coalesce(jsonb_agg(jsonb_build_object('edge', f.seq, 'side', f.side, 'map_m', round(f.length_m::numeric, 2))
        ORDER BY f.seq), '[]') FROM {fact.parcel_edge} AS f WHERE f.subject_id = c.id AND NOT EXISTS (
            SELECT FROM given AS g WHERE g.edge = f.seq OR g.edge IS NULL AND g.side = f.side)),
    'run', c.run_id)::text FROM chosen AS c WHERE EXISTS (SELECT FROM given AS g)

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
