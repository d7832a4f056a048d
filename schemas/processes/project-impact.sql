-- name: size
-- Parcels that the footprint may meet.
WITH meant AS (
    SELECT j.project_no, j.title_fa, j.title_en, j.notice_date, j.run_id, j.geom FROM {project} AS j
    WHERE j.project_no = %(project_no)s::text
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, ST_Transform(%(area)s::geometry, {srid}) WHERE %(area)s IS NOT NULL
)
SELECT count(*) FROM meant AS m JOIN {parcel} AS p ON p.geom && m.geom

-- name: answer
-- Parcels by what is taken of each; less than half a square metre is a sliver, unless it is the whole parcel.
WITH meant AS (
    SELECT j.project_no, j.title_fa, j.title_en, j.notice_date, j.run_id, j.geom FROM {project} AS j
    WHERE j.project_no = %(project_no)s::text
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, ST_Transform(%(area)s::geometry, {srid}) WHERE %(area)s IS NOT NULL
),
hit AS (
    SELECT p.id, p.parcel_code, p.land_use, p.run_id, ST_Area(ST_Intersection(p.geom, m.geom)) * {unit} ^ 2 AS area,
        ST_Area(p.geom) * {unit} ^ 2 AS whole
    FROM meant AS m JOIN {parcel} AS p ON ST_Intersects(p.geom, m.geom)
),
built AS (
    SELECT count(*) AS number, coalesce(sum(b.footprint_grid_m2), 0) AS footprint,
        coalesce(sum(ST_Area(ST_Intersection(b.geom, m.geom)) * {unit} ^ 2), 0) AS inside, max(b.run_id) AS run_id
    FROM meant AS m JOIN {building} AS b ON ST_Intersects(b.geom, m.geom)
        AND ST_Area(ST_Intersection(b.geom, m.geom)) * {unit} ^ 2 > 0.01
),
told AS (
    SELECT h.*, h.area < 0.5 AND h.area < 0.999 * h.whole AS sliver,
        jsonb_build_object('parcel_id', h.id, 'parcel_code', h.parcel_code, 'land_use', h.land_use,
            'area_m2', round(h.area::numeric, 2), 'share_pct', round((100 * h.area / h.whole)::numeric, 1),
            'extent', CASE WHEN h.area >= 0.999 * h.whole THEN 'full' ELSE 'partial' END, 'run', h.run_id) AS said
    FROM hit AS h WHERE h.area > 0.0001
)
SELECT jsonb_build_object(
    'project', CASE WHEN m.project_no IS NOT NULL THEN jsonb_build_object('project_no', m.project_no,
        'title_fa', m.title_fa, 'title_en', m.title_en, 'notice_date', m.notice_date, 'run', m.run_id) END,
    'footprint_m2', round((ST_Area(m.geom) * {unit} ^ 2)::numeric, 2),
    'parcels', (SELECT coalesce(jsonb_agg(t.said ORDER BY t.parcel_code) FILTER (WHERE NOT t.sliver), '[]') FROM told AS t),
    'slivers', (SELECT coalesce(jsonb_agg(t.said ORDER BY t.parcel_code) FILTER (WHERE t.sliver), '[]') FROM told AS t),
    'total_m2', (SELECT round(coalesce(sum(t.area), 0)::numeric, 2) FROM told AS t),
    'buildings', (SELECT jsonb_build_object('number', b.number, 'footprint_m2', round(b.footprint::numeric, 2),
        'inside_m2', round(b.inside::numeric, 2), 'run', b.run_id) FROM built AS b)
)::text FROM meant AS m

-- name: near
-- Projects that may have been meant.
SELECT coalesce(jsonb_agg(n.project_no ORDER BY n.project_no), '[]')::text FROM (
    SELECT j.project_no FROM {project} AS j ORDER BY similarity(j.project_no, %(project_no)s::text) DESC, j.project_no LIMIT 5
) AS n
