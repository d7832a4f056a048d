-- name: size
-- Things that are counted.
SELECT CASE WHEN %(properties)s::text IS NULL THEN (SELECT count(*) FROM {citizen_report_public} AS p)
    ELSE jsonb_array_length(%(properties)s::jsonb) END

-- name: answer
-- Where the masked cells are one, or hold fewer than three together, the total would give them away: the next smallest is masked too.
WITH given AS MATERIALIZED (
    SELECT DISTINCT c.code FROM jsonb_array_elements_text(coalesce(%(properties)s::text, '[]')::jsonb) AS c (code)
), spot AS MATERIALIZED (
    SELECT coalesce(r.geom, p.geom) AS at, r.run_id
    FROM {citizen_report_public} AS p LEFT JOIN {citizen_report} AS r ON r.report_no = p.report_no
    WHERE %(properties)s::text IS NULL AND (%(report_category)s::text IS NULL OR p.report_category = %(report_category)s::text)
        AND (%(since)s::text IS NULL OR p.opened_on >= %(since)s::date)
    UNION ALL
    SELECT ST_PointOnSurface(m.geom), m.run_id FROM given AS g LEFT JOIN {parcel} AS m ON m.parcel_code = g.code
), cell AS (
    SELECT floor(ST_X(s.at) * {unit} / %(cell_m)s::int) AS i, floor(ST_Y(s.at) * {unit} / %(cell_m)s::int) AS j, count(*) AS number,
        max(s.run_id) AS run_id
    FROM spot AS s WHERE s.at IS NOT NULL GROUP BY 1, 2
), told AS (
    SELECT c.*, c.small OR c.smalls > 0 AND (c.smalls = 1 OR c.small_sum < 3) AND c.place = c.smalls + 1 AS hidden
    FROM (
        SELECT n.*, count(*) FILTER (WHERE n.small) OVER () AS smalls, sum(n.number) FILTER (WHERE n.small) OVER () AS small_sum,
            row_number() OVER (ORDER BY n.small DESC, n.number, n.i, n.j) AS place
        FROM (SELECT x.*, %(properties)s::text IS NULL AND x.number < 3 AS small FROM cell AS x) AS n
    ) AS c
)
SELECT jsonb_build_object('cell_m', %(cell_m)s::int, 'smallest_shown', CASE WHEN %(properties)s::text IS NULL THEN 3 ELSE 1 END,
    'cells', coalesce(jsonb_agg(jsonb_build_object('count', t.number, 'cell', ST_AsGeoJSON(ST_Transform(ST_MakeEnvelope(
        t.i * %(cell_m)s::int / {unit}, t.j * %(cell_m)s::int / {unit}, (t.i + 1) * %(cell_m)s::int / {unit}, (t.j + 1) * %(cell_m)s::int / {unit}, {srid}
    ), 4326), 7)::jsonb, 'run', t.run_id) ORDER BY t.number DESC, t.i, t.j) FILTER (WHERE NOT t.hidden), '[]'),
    'total', (SELECT count(*) FROM spot AS s), 'without_place', (SELECT count(*) FROM spot AS s WHERE s.at IS NULL),
    'masked_cells', count(*) FILTER (WHERE t.hidden), 'masked_total', sum(t.number) FILTER (WHERE t.hidden))::text
FROM told AS t HAVING %(properties)s::text IS NULL OR count(*) > 0
