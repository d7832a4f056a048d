-- name: answer
-- Parcel, street and place at or near the point.
WITH at AS (
    SELECT ST_PointOnSurface(ST_Transform(%(point)s::geometry, {srid})) AS geom
), found AS (
    SELECT (SELECT jsonb_build_object('parcel_id', p.id, 'parcel_code', p.parcel_code, 'land_use', p.land_use, 'run', p.run_id)
            FROM {parcel} AS p WHERE ST_Intersects(p.geom, at.geom) ORDER BY p.parcel_code LIMIT 1) AS parcel,
        (SELECT jsonb_build_object('street_id', s.street_id, 'name_fa', s.name_fa, 'name_en', s.name_en,
                'distance_m', round((ST_Distance(s.geom, at.geom) * {unit})::numeric, 2), 'run', s.run_id)
            FROM {street} AS s WHERE ST_DWithin(s.geom, at.geom, 500 / {unit})
            ORDER BY s.geom <-> at.geom, s.street_id LIMIT 1) AS street,
        (SELECT jsonb_build_object('poi_id', s.poi_id, 'name_fa', s.name_fa, 'name_en', s.name_en, 'category', s.poi_category,
                'distance_m', round((ST_Distance(s.geom, at.geom) * {unit})::numeric, 2), 'run', s.run_id)
            FROM {poi} AS s WHERE ST_DWithin(s.geom, at.geom, 500 / {unit}) AND (s.valid_to IS NULL OR s.valid_to >= current_date)
            ORDER BY s.geom <-> at.geom, s.poi_id LIMIT 1) AS poi,
        {part.units} AS within
    FROM at
)
SELECT jsonb_build_object('parcel', f.parcel, 'street', f.street, 'poi', f.poi, 'within', f.within)::text
FROM found AS f
WHERE coalesce(f.parcel, f.street, f.poi, nullif(f.within->'region', 'null')) IS NOT NULL

-- name: near
-- The nearest streets and parcels within 2 km.
SELECT coalesce(jsonb_agg(m.name ORDER BY m.far, m.name), '[]')::text FROM (
    SELECT n.name, min(n.far) AS far FROM (SELECT ST_Transform(%(point)s::geometry, {srid}) AS geom) AS g CROSS JOIN LATERAL (
        (SELECT s.name_fa AS name, s.geom <-> g.geom AS far FROM {street} AS s
            WHERE ST_DWithin(s.geom, g.geom, 2000 / {unit}) AND s.name_fa IS NOT NULL ORDER BY s.geom <-> g.geom LIMIT 5)
        UNION ALL
        (SELECT p.parcel_code, p.geom <-> g.geom FROM {parcel} AS p
            WHERE ST_DWithin(p.geom, g.geom, 2000 / {unit}) ORDER BY p.geom <-> g.geom LIMIT 3)
    ) AS n GROUP BY n.name
) AS m
