-- Links whose end is not where its mast stands: the farther end of each.
SELECT e.link_code, e.mast_code, round((e.far * %(unit)s)::numeric, 1) || ' m', ST_AsBinary(e.geom)
FROM (
    SELECT DISTINCT ON (l.id) l.id, l.link_code, m.mast_code, s.geom, ST_Distance(s.geom, m.geom) AS far
    FROM data.radio_link l
    CROSS JOIN LATERAL (VALUES (l.first_mast, ST_StartPoint(l.geom)), (l.last_mast, ST_EndPoint(l.geom))) AS s (mast, geom)
    JOIN data.radio_mast m ON m.mast_code = s.mast
    ORDER BY l.id, ST_Distance(s.geom, m.geom) DESC
) AS e WHERE e.far * %(unit)s > %(tolerance)s
ORDER BY e.id
