-- One row a chamfer of a parcel; the id lasts until the fact is worked out again for the parcel.
SELECT f.id, p.parcel_code, f.in_group AS plan_id, d.plan_status, h.chamfer_id, h.chamfer_m,
    f.seq AS edge_seq, f.next_seq AS next_edge_seq, round(f.left_m::numeric, 2)::float8 AS length_grid_m, f.geom
FROM facts.parcel_edge_chamfer f
JOIN data.parcel p ON p.id = f.subject_id
JOIN data.chamfer h ON h.id = f.object_id
LEFT JOIN data.plan_document d ON d.plan_id = f.in_group
