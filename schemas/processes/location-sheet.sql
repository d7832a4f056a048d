-- name: answer
-- Where the chosen parcel is: its corners, edges and what it borders on.
WITH chosen AS {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS {part.areas},
roads AS MATERIALIZED {part.roads}
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'area_grid_m2', round(c.area_grid_m2::numeric, 2),
    'perimeter_m', round((ST_Perimeter(c.geom) * {unit})::numeric, 2),
    'corners', {part.corners_json}, 'edges', {part.edges_json}, 'chamfers', {part.chamfers_json}, 'neighbours', {part.neighbours_json},
    'sides', {part.roads_json}, 'within', {part.units}, 'imagery', {part.imagery_json},
    'crs', 'http://www.opengis.net/def/crs/EPSG/0/' || {srid},
    'geometry', ST_AsGeoJSON(ST_Transform(c.geom, 4326), 7)::jsonb
)::text
FROM chosen AS c CROSS JOIN LATERAL (SELECT ST_PointOnSurface(c.geom) AS geom) AS at

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
