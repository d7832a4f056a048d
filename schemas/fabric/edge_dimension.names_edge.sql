-- Lengths of edges that are not there: no such parcel, or the parcel has no such side or number.
SELECT d.parcel_code || ' ' || d.edge_ref, d.edge_ref,
    CASE WHEN p.id IS NULL THEN 'an edge of no parcel' ELSE 'no edge of the parcel' END,
    ST_AsBinary(p.geom)
FROM data.edge_dimension d
LEFT JOIN data.parcel p ON p.parcel_code = d.parcel_code
WHERE NOT EXISTS (
    SELECT FROM facts.parcel_edge e WHERE e.subject_id = p.id AND d.edge_ref IN (e.side, e.seq::text)
)
ORDER BY d.id
