-- Contours that are off the interval, which is the usual step between heights. Half of it is the auxiliary contour of flat
-- ground.
WITH heights AS (SELECT DISTINCT round(height_m::numeric, 3) AS height FROM data.contour),
steps AS (SELECT height - lag(height) OVER (ORDER BY height) AS step FROM heights),
usual AS (
    SELECT step FROM steps WHERE step IS NOT NULL GROUP BY step ORDER BY count(*) DESC, step LIMIT 1
)
SELECT c.contour_id, c.height_m, u.step::float8, ST_AsBinary(c.geom)
FROM data.contour c
CROSS JOIN usual u
CROSS JOIN LATERAL (SELECT c.height_m / (u.step / 2)::float8 AS halves) h
WHERE abs(h.halves - round(h.halves)) > %(tolerance)s
ORDER BY c.id
