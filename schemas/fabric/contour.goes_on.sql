-- Ends of contours that meet no other of the same height and do not lie at the border of the survey: its hull, or its box,
-- since sheets are cut straight.
WITH parts AS MATERIALIZED (
    SELECT c.id, c.contour_id, c.height_m, d.geom
    FROM data.contour c CROSS JOIN LATERAL ST_Dump(c.geom) d
    WHERE NOT ST_IsClosed(d.geom)
),
ends AS MATERIALIZED (
    SELECT id, contour_id, height_m, ST_StartPoint(geom) AS point, row_number() OVER () * 2 AS number FROM parts
    UNION ALL
    SELECT id, contour_id, height_m, ST_EndPoint(geom), row_number() OVER () * 2 + 1 FROM parts
),
border AS MATERIALIZED (
    SELECT ST_Boundary(ST_ConvexHull(ST_Collect(geom))) AS hull, ST_Boundary(ST_Envelope(ST_Collect(geom))) AS box
    FROM data.contour
),
-- Cells as wide as the tolerance: what lies so near is in the same one or beside it.
placed AS (
    SELECT e.*, floor(ST_X(point) / r.reach)::bigint AS east, floor(ST_Y(point) / r.reach)::bigint AS north, r.reach
    FROM ends e CROSS JOIN (SELECT %(tolerance)s / %(unit)s AS reach) r
),
loose AS (
    SELECT a.* FROM placed a CROSS JOIN border b
    WHERE NOT ST_DWithin(a.point, b.hull, 10 * a.reach) AND NOT ST_DWithin(a.point, b.box, 10 * a.reach)
        AND NOT EXISTS (
            SELECT FROM placed o CROSS JOIN generate_series(-1, 1) i CROSS JOIN generate_series(-1, 1) j
            WHERE o.number <> a.number AND o.height_m = a.height_m
                AND o.east = a.east + i AND o.north = a.north + j AND ST_DWithin(o.point, a.point, a.reach)
        )
)
SELECT contour_id, height_m, count(*), ST_AsBinary(ST_Collect(point))
FROM loose GROUP BY id, contour_id, height_m ORDER BY id
