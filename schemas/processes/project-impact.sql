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
    SELECT count(*) AS number, coalesce(sum(b.footprint), 0) AS footprint, coalesce(sum(b.inside), 0) AS inside,
        coalesce(sum(b.footprint * b.floors), 0) AS floor_area, coalesce(sum(b.inside * b.floors), 0) AS floor_area_inside,
        count(*) FILTER (WHERE b.floors_above IS NULL) AS floors_unknown, max(b.run_id) AS run_id
    FROM (
        SELECT g.run_id, g.floors_above, coalesce(g.floors_above, 1) AS floors, g.footprint_grid_m2 AS footprint,
            ST_Area(ST_Intersection(g.geom, m.geom)) * {unit} ^ 2 AS inside
        FROM meant AS m JOIN {building} AS g ON ST_Intersects(g.geom, m.geom)
    ) AS b WHERE b.inside > 0.01
),
door AS (
    SELECT k.place_kind, count(*) AS number, max(k.run_id) AS run_id
    FROM meant AS m JOIN {postcode} AS k ON ST_Intersects(k.geom, m.geom) GROUP BY k.place_kind
),
asked AS (
    SELECT m.geom, (SELECT max(f.census_year) FROM {census_figure} AS f WHERE f.census_variable = 'population') AS year,
        'population'::text AS variable FROM meant AS m
),
people AS (
    SELECT sum(q.figure * coalesce(q.homes, q.share)) FILTER (WHERE NOT q.small) AS number, count(*) AS blocks,
        count(*) FILTER (WHERE q.small) AS masked, count(*) FILTER (WHERE q.homes IS NULL AND NOT q.small) AS by_area,
        count(*) FILTER (WHERE q.figure IS NULL) AS without_figure, max(coalesce(q.figure_run, q.run_id)) AS run_id
    FROM {part.people} AS q WHERE q.share > 1e-9
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
        'inside_m2', round(b.inside::numeric, 2), 'floor_area_m2', round(b.floor_area::numeric, 2),
        'floor_area_inside_m2', round(b.floor_area_inside::numeric, 2), 'floors_unknown', b.floors_unknown, 'run', b.run_id) FROM built AS b),
    'units', (SELECT jsonb_build_object('number', sum(d.number), 'by_kind', jsonb_object_agg(coalesce(d.place_kind, 'unknown'), d.number),
        'method', jsonb_build_object('en', 'postcodes inside, by what they are of', 'fa', 'کدهای پستی درون محدوده به تفکیک نوع'),
        'run', max(d.run_id)) FROM door AS d HAVING count(*) > 0),
    'people', (SELECT jsonb_build_object('number', CASE WHEN p.number < 10 AND p.number > 0 THEN NULL ELSE round(p.number::numeric, 1) END,
        'masked', coalesce(p.number < 10 AND p.number > 0, false) OR p.masked = p.blocks, 'year', (SELECT year FROM asked),
        'blocks', p.blocks, 'blocks_masked', p.masked, 'blocks_by_area', p.by_area, 'without_figure', p.without_figure,
        'method', jsonb_build_object('en', 'the population of each census block times the part of the floor area of its dwellings inside, '
            'by area where it has none; cells of fewer than 3 households or 10 people are not told',
            'fa', 'جمعیت هر بلوک آماری ضرب در سهم زیربنای مسکونی آن در محدوده، یا سهم مساحت اگر مسکونی ندارد؛ خانه‌های کمتر از ۳ خانوار یا ۱۰ نفر گفته نمی‌شود'),
        'run', p.run_id) FROM people AS p WHERE p.blocks > 0)
)::text FROM meant AS m

-- name: near
-- Projects that may have been meant.
SELECT coalesce(jsonb_agg(n.project_no ORDER BY n.project_no), '[]')::text FROM (
    SELECT j.project_no FROM {project} AS j ORDER BY similarity(j.project_no, %(project_no)s::text) DESC, j.project_no LIMIT 5
) AS n
