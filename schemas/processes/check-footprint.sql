-- name: answer
-- The footprint that each zone's rule allows, added up; what remains is the parcel without the roads of the plan.
WITH chosen AS MATERIALIZED {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS MATERIALIZED {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones},
front AS MATERIALIZED {part.front},
fitting AS MATERIALIZED {part.fitting},
remainder AS MATERIALIZED {part.remainder},
allowed AS MATERIALIZED {part.allowed},
drawn AS MATERIALIZED (SELECT ST_Transform(%(footprint)s::geometry, {srid}) AS geom)
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'plan', {part.edition_json},
    'footprint_m2', round((ST_Area(d.geom) * {unit} ^ 2)::numeric, 2), 'allowed_m2', round(a.footprint::numeric, 2),
    'over_m2', round(greatest(ST_Area(d.geom) * {unit} ^ 2 - a.footprint, 0)::numeric, 2),
    'outside_parcel_m2', round((ST_Area(ST_Difference(d.geom, c.geom)) * {unit} ^ 2)::numeric, 2),
    'outside_remainder_m2', round((ST_Area(ST_Difference(d.geom, m.geom)) * {unit} ^ 2)::numeric, 2),
    'remainder_m2', round((ST_Area(m.geom) * {unit} ^ 2)::numeric, 2),
    'floors', %(floors)s::int, 'max_floors', a.max_floors, 'floors_over', greatest(%(floors)s::int - a.max_floors, 0),
    'floor_area_m2', round((ST_Area(d.geom) * {unit} ^ 2 * %(floors)s::int)::numeric, 2),
    'allowed_floor_area_m2', round(a.floor_area::numeric, 2),
    'floor_area_over_m2', round(greatest(ST_Area(d.geom) * {unit} ^ 2 * %(floors)s::int - a.floor_area, 0)::numeric, 2),
    'setback_m', a.setback_m, 'manual_decision', a.manual, 'rules', jsonb_build_object('run', a.run_id), 'run', c.run_id
)::text FROM chosen AS c CROSS JOIN drawn AS d CROSS JOIN remainder AS m CROSS JOIN allowed AS a

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
