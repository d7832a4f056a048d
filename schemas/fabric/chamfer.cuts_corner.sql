-- Chamfers of which facts.parcel_edge_chamfer has no edge: the parcel that each lies in, or else nearest to, and how much it covers of it.
-- Those that were loaded since have none yet.
SELECT c.plan_id || ' ' || c.chamfer_id, p.parcel_code, round(coalesce(p.covered, 0)::numeric, 2), ST_AsBinary(c.geom)
FROM data.chamfer c
LEFT JOIN LATERAL (
    SELECT n.parcel_code, ST_Area(ST_Intersection(n.geom, c.geom)) * %(unit)s * %(unit)s AS covered
    FROM (SELECT parcel_code, geom FROM data.parcel ORDER BY geom <-> c.geom LIMIT 8) n
    ORDER BY covered DESC, n.geom <-> c.geom, n.parcel_code LIMIT 1
) p ON true
WHERE NOT EXISTS (SELECT FROM facts.parcel_edge_chamfer e WHERE e.object_id = c.id)
    AND c.run_id <= (SELECT i.run_id FROM ops.fact_input i WHERE i.fact = 'parcel_edge_chamfer' AND i.layer = 'chamfer')
ORDER BY c.id
