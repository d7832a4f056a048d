-- What the guards of layers would refuse of a delivery, row by row: code, line of the row, the row that it contradicts, detail.
-- {arriving}: the rows of the delivery; {before}: what was published under their keys; {staying}: published rows that stay as they are.

-- name: one_approved_edition
-- Approved editions at a place where another is: the one that was approved already stays; of several that are new we cannot tell.
WITH arriving AS (
    SELECT s.source_line, s.plan_id, s.plan_kind, s.geom, coalesce(b.plan_status = 'approved', false) AS held
    FROM {arriving} s LEFT JOIN {before} b ON b.plan_id = s.plan_id WHERE s.plan_status = 'approved'
), pair AS (
    SELECT a.source_line, o.plan_id, ST_Area(ST_Intersection(a.geom, o.geom)) AS area, least(ST_Area(a.geom), ST_Area(o.geom)) AS smaller
    FROM arriving a JOIN {staying} o ON o.plan_status = 'approved' AND o.plan_kind = a.plan_kind AND o.geom && a.geom
    UNION ALL
    SELECT a.source_line, o.plan_id, ST_Area(ST_Intersection(a.geom, o.geom)), least(ST_Area(a.geom), ST_Area(o.geom))
    FROM arriving a JOIN arriving o ON o.plan_kind = a.plan_kind AND o.plan_id <> a.plan_id AND o.geom && a.geom AND (o.held OR NOT a.held)
)
SELECT 'plan.two_approved', source_line, plan_id, round((area * %(unit)s ^ 2)::numeric) || ' m2'
FROM pair WHERE area > 0.01 * smaller ORDER BY source_line, plan_id
