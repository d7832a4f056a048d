-- name: size
-- Parcels that are meant.
SELECT CASE WHEN %(whole_city)s::boolean THEN (SELECT count(*) FROM {parcel} AS p)
    WHEN %(region_code)s::text IS NOT NULL THEN (
        SELECT count(*) FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
        WHERE r.region_code = %(region_code)s::text AND f.part = 'in')
    ELSE (SELECT count(*) FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text) END

-- name: parts
-- The parcels of a region or of the city by their ids, some thousands at a time. A parcel in two regions is in the one that
-- holds more of it.
SELECT jsonb_agg(l.ids ORDER BY l.place)::text FROM (
    SELECT n.place, jsonb_agg(n.id ORDER BY n.parcel_code) AS ids FROM (
        SELECT p.id, p.parcel_code, (row_number() OVER (ORDER BY p.parcel_code) - 1) / 10000 AS place
        FROM {parcel} AS p WHERE %(region_code)s::text IS NULL OR %(region_code)s::text = (
            SELECT r.region_code FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
            WHERE f.subject_id = p.id AND f.part = 'in' ORDER BY f.share DESC, r.region_code LIMIT 1)
    ) AS n GROUP BY n.place
) AS l

-- name: answer
-- The variables of each parcel: land by its deed, else by the map; floors by footprint and number; prices of the price block.
WITH meant AS MATERIALIZED (
    SELECT p.* FROM {part.chosen} AS p
    UNION ALL
    SELECT p.* FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text
    UNION ALL
    SELECT p.* FROM {parcel} AS p WHERE p.id = ANY(%(part)s::bigint[])
),
built AS MATERIALIZED {part.built},
price AS MATERIALIZED {part.price}
SELECT jsonb_build_object('year', %(year)s::int, 'items', jsonb_agg(jsonb_build_object(
    'parcel_id', m.id, 'parcel_code', m.parcel_code, 'land_basis', CASE WHEN m.area_deed_m2 IS NULL THEN 'grid' ELSE 'deed' END,
    'built_by_use_m2', coalesce(b.uses, '{{}}'),
    'variables', jsonb_build_object('land_area_m2', coalesce(m.area_deed_m2, m.area_grid_m2),
        'built_area_m2', coalesce(b.other, 0), 'built_area_steel_m2', coalesce(b.steel, 0),
        'built_area_concrete_m2', coalesce(b.concrete, 0),
        'land_price_irr', coalesce(%(land_price_irr)s::bigint, c.land),
        'building_price_irr', coalesce(%(building_price_irr)s::bigint, c.building),
        'building_price_steel_irr', coalesce(%(building_price_irr)s::bigint, c.steel),
        'building_price_concrete_irr', coalesce(%(building_price_irr)s::bigint, c.concrete)),
    'price', jsonb_build_object('price_block_code', c.price_block_code, 'price_no', c.price_no, 'price_choice', c.price_choice,
        'given', %(land_price_irr)s::bigint IS NOT NULL, 'run', c.run_id),
    'run', m.run_id, 'building', jsonb_build_object('run', b.run_id)
) ORDER BY m.parcel_code))::text
FROM meant AS m LEFT JOIN built AS b ON b.parcel_code = m.parcel_code LEFT JOIN price AS c ON c.parcel_id = m.id
HAVING count(*) > 0

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
