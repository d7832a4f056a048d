-- name: answer
-- One document about the chosen parcel.
WITH chosen AS {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones}
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'code_history', {part.code_history_json}, 'lineage', {part.lineage_json}, 'plan', {part.edition_json}, 'areas', {part.areas_json}, 'zones', {part.zones_json},
    'zones_total_pct', (SELECT round((100 * sum(z.share))::numeric, 2) FROM zones AS z),
    'sides', {part.roads_json}, 'neighbours', {part.neighbours_json}, 'buildings', {part.buildings_json},
    'units', {part.units_json}, 'registered_units', {part.registered_units_json}, 'plates', {part.plates_json}, 'cases', {part.cases_json}, 'corners', {part.corners_json}, 'edges', {part.edges_json}, 'chamfers', {part.chamfers_json},
    'perimeter_m', round((ST_Perimeter(c.geom) * {unit})::numeric, 2), 'special_areas', {part.special_areas_json},
    'projects', {part.projects_json}, 'census', {part.census_json}, 'terrain', {part.terrain_json},
    'imagery', {part.imagery_json}, 'documents', {part.documents_json} || {part.archive_json}, 'findings', {part.findings_json},
    'within', {part.units}, 'crs', 'http://www.opengis.net/def/crs/EPSG/0/' || {srid}, 'geometry', ST_AsGeoJSON(ST_Transform(c.geom, 4326), 7)::jsonb
)::text
FROM chosen AS c CROSS JOIN LATERAL (SELECT ST_PointOnSurface(c.geom) AS geom) AS at

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
