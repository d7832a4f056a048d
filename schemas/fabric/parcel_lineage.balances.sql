-- Cases in which what parents gave, or children got, is not their area (square metres). Where a row does not say a parent's area, it
-- is that of the former version of the parcel; where none is known, nobody can tell.
WITH given AS (
    SELECT l.case_ref, l.parent_code AS code, sum(l.area_transferred_m2) AS moved,
        coalesce(max(l.area_parent_m2), (
            SELECT h.area_grid_m2 FROM history.parcel h
            WHERE h.parcel_code = l.parent_code AND h.withdrawn_by IS NULL ORDER BY h.ended_by DESC LIMIT 1
        )) AS area,
        min(l.area_parent_m2) AS least
    FROM data.parcel_lineage l GROUP BY l.case_ref, l.parent_code
), got AS (
    SELECT l.case_ref, l.child_code AS code, sum(l.area_transferred_m2) AS moved, max(l.area_child_m2) AS area,
        min(l.area_child_m2) AS least
    FROM data.parcel_lineage l GROUP BY l.case_ref, l.child_code
), case_side AS (
    SELECT * FROM given UNION ALL SELECT * FROM got
)
SELECT DISTINCT c.case_ref || ' ' || c.code, c.code,
    round(c.moved::numeric, 2) || ' m2 / ' || round(c.area::numeric, 2) || ' m2',
    (SELECT ST_AsBinary(p.geom) FROM data.parcel p WHERE p.parcel_code = c.code)
FROM case_side c
WHERE abs(c.moved - c.area) > %(tolerance)s + 1e-9 OR abs(c.least - c.area) > %(tolerance)s + 1e-9
ORDER BY 1, 3
