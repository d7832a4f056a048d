-- name: answer
-- What the levy of the chosen parcel is reckoned from, and where the bill is delivered to.
WITH chosen AS MATERIALIZED {part.chosen},
meant AS MATERIALIZED (SELECT c.* FROM chosen AS c),
price AS MATERIALIZED (SELECT c.*, false AS given FROM {part.price} AS c),
addressed AS MATERIALIZED {part.addresses}
SELECT jsonb_build_object('parcel', {part.identity}, 'year', %(year)s::int, 'stop', %(stop)s::int, 'items', {part.levy_items},
    'addresses', coalesce((SELECT a.told FROM addressed AS a), '[]'), 'within', {part.units})::text
FROM chosen AS c CROSS JOIN LATERAL (SELECT ST_PointOnSurface(c.geom) AS geom) AS at

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
