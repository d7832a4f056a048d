-- name: answer
-- One document about the chosen parcel.
WITH chosen AS {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones},
ring AS (
    SELECT d.path[1] AS place, d.geom, count(*) OVER () AS number
    FROM chosen AS c CROSS JOIN LATERAL ST_DumpPoints(ST_ExteriorRing(ST_ForcePolygonCW(ST_GeometryN(c.geom, 1)))) AS d
),
corner AS (
    SELECT r.place, r.geom, r.number - 1 AS number,
        first_value(r.place) OVER (ORDER BY ST_Y(r.geom) - ST_X(r.geom) DESC, r.place) AS first
    FROM ring AS r WHERE r.place < r.number
)
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'plan', {part.edition_json},
    'areas', jsonb_build_object('grid_m2', round(a.grid::numeric, 2), 'deed_m2', a.deed, 'measured_m2', a.measured,
        'widening_m2', round(a.widening::numeric, 2), 'remainder_m2', round((a.grid - a.widening)::numeric, 2), 'run', c.run_id),
    'zones', {part.zones_json},
    'zones_total_pct', (SELECT round((100 * sum(z.share))::numeric, 2) FROM zones AS z),
    'sides', {part.roads_json},
    'neighbours', (SELECT coalesce(jsonb_agg(jsonb_build_object('parcel_code', p.parcel_code,
        'border_m', round(n.border_m::numeric, 2), 'run', n.run_id) ORDER BY p.parcel_code), '[]')
        FROM {fact.parcel_neighbour} AS n JOIN {parcel} AS p ON p.id = n.object_id WHERE n.subject_id = c.id),
    'buildings', (SELECT coalesce(jsonb_agg(jsonb_build_object('building_code', b.building_code,
        'floors_above', b.floors_above, 'floors_below', b.floors_below, 'footprint_grid_m2', b.footprint_grid_m2,
        'building_use', b.building_use, 'built_year_jalali', b.built_year_jalali, 'run', b.run_id)
        ORDER BY b.building_code), '[]') FROM {building} AS b
        WHERE b.geom && c.geom AND b.parcel_code = c.parcel_code),
    'corners', (SELECT jsonb_agg(jsonb_build_object('corner', 1 + mod(k.place - k.first + k.number, k.number),
        'e', round(ST_X(k.geom)::numeric, 2), 'n', round(ST_Y(k.geom)::numeric, 2))
        ORDER BY mod(k.place - k.first + k.number, k.number)) FROM corner AS k),
    'special_areas', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', s.special_area_kind, 'name_fa', s.name_fa,
        'name_en', s.name_en, 'area_m2', round(f.area_m2::numeric, 2), 'share_pct', round((100 * f.share)::numeric, 2),
        'run', s.run_id) ORDER BY s.special_area_kind, s.special_area_id), '[]')
        FROM {fact.parcel_special_area} AS f JOIN {special_area} AS s ON s.id = f.object_id
        WHERE f.subject_id = c.id AND f.part = 'in'),
    'projects', (SELECT coalesce(jsonb_agg(jsonb_build_object('project_no', j.project_no, 'title_fa', j.title_fa,
        'title_en', j.title_en, 'notice_date', j.notice_date, 'project_status', j.project_status,
        'area_m2', round((ST_Area(ST_Intersection(j.geom, c.geom)) * {unit} ^ 2)::numeric, 2), 'run', j.run_id)
        ORDER BY j.project_no), '[]') FROM {project} AS j
        WHERE ST_Intersects(j.geom, c.geom) AND ST_Area(ST_Intersection(j.geom, c.geom)) * {unit} ^ 2 > 0.01),
    'within', {part.units},
    'geometry', ST_AsGeoJSON(ST_Transform(c.geom, 4326), 7)::jsonb
)::text
FROM chosen AS c CROSS JOIN areas AS a CROSS JOIN LATERAL (SELECT ST_PointOnSurface(c.geom) AS geom) AS at

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
