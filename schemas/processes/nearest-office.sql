-- name: answer
-- The offices, the nearest first; of equals the lower code.
WITH at AS (
    SELECT ST_PointOnSurface(ST_Transform(%(point)s::geometry, {srid})) AS geom WHERE %(point)s IS NOT NULL
    UNION ALL
    SELECT f.geom FROM makan.parcel_of_postcode(%(postcode)s::text) AS f
    UNION ALL
    (SELECT ST_PointOnSurface(p.geom) FROM unnest(%(parcel_code)s::text[]) WITH ORDINALITY AS k (code, place)
    JOIN {parcel} AS p ON p.parcel_code = k.code ORDER BY k.place LIMIT 1)
),
near AS (
    SELECT o.*, ST_Distance(o.geom, at.geom) * {unit} AS far FROM at JOIN {municipal_office} AS o ON true
    WHERE (%(office_kind)s::text IS NULL OR o.office_kind = %(office_kind)s::text)
        AND (%(region_code)s::text IS NULL OR o.region_code = %(region_code)s::text)
    ORDER BY o.geom <-> at.geom, o.office_code LIMIT %(limit)s::int
)
SELECT jsonb_build_object('point', (SELECT ST_AsGeoJSON(ST_Transform(at.geom, 4326), 7)::jsonb FROM at LIMIT 1),
    'offices', jsonb_agg(jsonb_build_object('office_code', n.office_code, 'office_kind', n.office_kind, 'name_fa', n.name_fa, 'name_en', n.name_en,
        'region_code', n.region_code, 'address_text', n.address_text, 'phone', n.phone, 'hours_fa', n.hours_fa, 'website_url', n.website_url,
        'distance_m', round(n.far::numeric, 1), 'point', ST_AsGeoJSON(ST_Transform(n.geom, 4326), 7)::jsonb, 'run', n.run_id)
        ORDER BY n.far, n.office_code),
    'method', jsonb_build_object('en', 'straight line on the city''s grid, not the way along streets', 'fa', 'خط راست روی نقشه شهر، نه مسیر معابر')
)::text FROM near AS n HAVING count(*) > 0
