-- name: answer
-- What letters about the chosen parcel state: registration office, notaries, banks, guilds.
WITH chosen AS {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones}
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'code_history', {part.code_history_json}, 'plan', {part.edition_json}, 'areas', {part.areas_json},
    'zones', {part.zones_json}, 'zones_total_pct', (SELECT round((100 * sum(z.share))::numeric, 2) FROM zones AS z),
    'sides', {part.roads_json}, 'special_areas', {part.special_areas_json}, 'projects', {part.projects_json},
    'within', {part.units}, 'imagery', {part.imagery_json}, 'documents', {part.documents_json},
    'crs', 'http://www.opengis.net/def/crs/EPSG/0/' || {srid},
    'geometry', ST_AsGeoJSON(ST_Transform(c.geom, 4326), 7)::jsonb
)::text
FROM chosen AS c CROSS JOIN LATERAL (SELECT ST_PointOnSurface(c.geom) AS geom) AS at

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
