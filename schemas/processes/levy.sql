-- name: size
-- Parcels that are meant.
SELECT count(*) FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text

-- name: answer
-- The variables of each parcel: land by its deed, else by the map; floors by footprint and number.
WITH meant AS (
    SELECT p.* FROM {part.chosen} AS p
    UNION ALL
    SELECT p.* FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text
),
basis AS (
    SELECT p.id, p.parcel_code, p.run_id, coalesce(p.area_deed_m2, p.area_grid_m2) AS land,
        CASE WHEN p.area_deed_m2 IS NULL THEN 'grid' ELSE 'deed' END AS land_basis, b.uses, b.built, b.run_id AS built_run
    FROM meant AS p CROSS JOIN LATERAL (
        SELECT sum(u.area) AS built, max(u.run_id) AS run_id, jsonb_object_agg(u.use, round(u.area::numeric, 2)) AS uses
        FROM (
            SELECT coalesce(g.building_use, 'unknown') AS use, sum(g.footprint_grid_m2 * g.floors_above) AS area,
                max(g.run_id) AS run_id
            FROM {building} AS g WHERE g.geom && p.geom AND g.parcel_code = p.parcel_code
            GROUP BY coalesce(g.building_use, 'unknown')
        ) AS u
    ) AS b
)
SELECT jsonb_build_object('year', %(year)s::int, 'items', jsonb_agg(jsonb_build_object(
    'parcel_id', b.id, 'parcel_code', b.parcel_code, 'land_basis', b.land_basis, 'built_by_use_m2', coalesce(b.uses, '{{}}'),
    'variables', jsonb_build_object('land_area_m2', b.land, 'built_area_m2', coalesce(b.built, 0),
        'land_price_irr', %(land_price_irr)s::bigint, 'building_price_irr', %(building_price_irr)s::bigint),
    'run', b.run_id, 'building', jsonb_build_object('run', b.built_run)
) ORDER BY b.parcel_code))::text FROM basis AS b HAVING count(*) > 0

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
