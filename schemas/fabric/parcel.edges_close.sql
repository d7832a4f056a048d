-- Parcels whose edges (facts.parcel_edge) do not add up to their perimeter; those that were loaded since have none yet.
SELECT p.parcel_code, round(coalesce(e.total, 0)::numeric, 3), round((ST_Perimeter(p.geom) * %(unit)s)::numeric, 3),
    ST_AsBinary(p.geom)
FROM data.parcel p
LEFT JOIN (SELECT subject_id, sum(length_m) AS total FROM facts.parcel_edge GROUP BY subject_id) e ON e.subject_id = p.id
WHERE p.geom IS NOT NULL AND abs(ST_Perimeter(p.geom) * %(unit)s - coalesce(e.total, 0)) > %(tolerance)s
ORDER BY p.id
