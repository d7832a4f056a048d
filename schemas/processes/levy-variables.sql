-- name: answer
-- Each variable with its unit, the layer it is read from and the day of the load that brought it there.
WITH chosen AS MATERIALIZED {part.chosen},
meant AS MATERIALIZED (SELECT c.* FROM chosen AS c),
edition AS MATERIALIZED {part.edition},
areas AS MATERIALIZED {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones},
front AS MATERIALIZED {part.front},
fitting AS MATERIALIZED {part.fitting},
built AS MATERIALIZED {part.built},
price AS MATERIALIZED {part.price},
floor AS (
    SELECT coalesce(g.building_use, 'unknown') AS use, n.floor, sum(g.footprint_grid_m2) AS area, max(g.run_id) AS run_id
    FROM chosen AS c JOIN {building} AS g ON g.geom && c.geom AND g.parcel_code = c.parcel_code
    CROSS JOIN LATERAL (
        SELECT generate_series(1, coalesce(g.floors_above, 1)) AS floor
        UNION ALL SELECT -generate_series(1, coalesce(g.floors_below, 0))
    ) AS n
    GROUP BY coalesce(g.building_use, 'unknown'), n.floor
),
allowed AS (
    SELECT sum(f.base * f.far_pct / 100) AS floor_area, max(coalesce(f.rule_run_id, f.run_id)) AS run_id
    FROM fitting AS f WHERE f.place = 1
),
named (place, name, value, unit, source, run_id) AS (
    SELECT 1, 'land_area_deed', to_jsonb(c.area_deed_m2), 'm2', 'parcel', c.run_id FROM chosen AS c
    UNION ALL SELECT 2, 'land_area_grid', to_jsonb(round(c.area_grid_m2::numeric, 2)), 'm2', 'parcel', c.run_id FROM chosen AS c
    UNION ALL SELECT 3, 'land_area_measured', to_jsonb(c.area_measured_m2), 'm2', 'parcel', c.run_id FROM chosen AS c
    UNION ALL SELECT 4, 'land_area_remainder', to_jsonb(round((a.grid - a.widening)::numeric, 2)), 'm2', 'parcel',
        coalesce(a.widening_run, c.run_id) FROM areas AS a CROSS JOIN chosen AS c
    UNION ALL SELECT 5, 'eslahi_area', to_jsonb(round(a.widening::numeric, 2)), 'm2', 'plan_road_line',
        coalesce(a.widening_run, e.run_id, c.run_id) FROM areas AS a CROSS JOIN chosen AS c LEFT JOIN edition AS e ON true
    UNION ALL SELECT 6, 'frontage_len', to_jsonb(round(coalesce(sum(r.front_m), 0)::numeric, 2)), 'm', 'street', coalesce(max(r.run_id), (SELECT c.run_id FROM chosen AS c)) FROM roads AS r
    UNION ALL SELECT 7, 'street_width', to_jsonb(max(greatest(r.width_existing_m, r.width_plan_m))), 'm', 'street', coalesce(max(r.run_id), (SELECT c.run_id FROM chosen AS c)) FROM roads AS r
    UNION ALL SELECT 8, 'zone', to_jsonb(string_agg(z.zone_code, ',' ORDER BY z.share DESC)), NULL, 'plan_zone', max(z.run_id)
        FROM zones AS z WHERE z.part = 'in'
    UNION ALL SELECT 9, 'price_land', to_jsonb(p.land), 'IRR/m2', 'price_block', p.run_id FROM price AS p
    UNION ALL SELECT 10, 'price_building', to_jsonb(p.building), 'IRR/m2', 'price_block', p.run_id FROM price AS p
    UNION ALL SELECT 11, 'price_building_steel', to_jsonb(p.steel), 'IRR/m2', 'price_block', p.run_id FROM price AS p
    UNION ALL SELECT 12, 'price_building_concrete', to_jsonb(p.concrete), 'IRR/m2', 'price_block', p.run_id FROM price AS p
    UNION ALL SELECT 13, 'built_area', to_jsonb(round(coalesce(sum(f.area) FILTER (WHERE f.floor > 0), 0)::numeric, 2)), 'm2', 'building',
        coalesce(max(f.run_id), (SELECT c.run_id FROM chosen AS c)) FROM floor AS f
    UNION ALL SELECT 14, format('built_area[%%s,%%s]', f.use, f.floor), to_jsonb(round(f.area::numeric, 2)), 'm2', 'building', f.run_id FROM floor AS f
    UNION ALL SELECT 15, 'allowed_area', to_jsonb(round(a.floor_area::numeric, 2)), 'm2', 'zone_rule', a.run_id FROM allowed AS a
    UNION ALL SELECT 16, 'excess_area', to_jsonb(round(greatest(coalesce((SELECT sum(f.area) FROM floor AS f WHERE f.floor > 0), 0)
        - a.floor_area, 0)::numeric, 2)), 'm2', 'zone_rule', a.run_id FROM allowed AS a
)
SELECT jsonb_build_object('parcel', {part.identity}, 'year', %(year)s::int, 'variables', (
    SELECT jsonb_object_agg(n.name, jsonb_build_object('value', n.value, 'unit', n.unit, 'source', n.source,
        'as_of', left(s.loaded, 10), 'run', n.run_id))
    FROM named AS n LEFT JOIN {source} AS s ON s.run = n.run_id
))::text FROM chosen AS c

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
