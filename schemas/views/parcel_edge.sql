-- One row an edge; the id is the parcel's and the edge's number, so that it stays when the fact is worked out again.
-- A length that is given for a side is that of the edge where the side has no other. The plan in force is the latest approved
-- edition that says anything of the parcel; where none does, nobody knows what is left after widening.
SELECT p.id * 10000 + e.seq AS id, p.parcel_code, e.seq AS edge_seq, e.polygon AS part_no, e.ring AS ring_no, e.side AS edge_side,
    round(e.outwards_deg::numeric, 2)::float8 AS azimuth_deg,
    CASE e.beside WHEN 'way' THEN 'street' WHEN 'neighbour' THEN 'parcel' ELSE 'other' END AS borders, n.parcel_code AS neighbour_code,
    s.street_id, s.name_fa AS street_name_fa, s.name_en AS street_name_en,
    round(e.length_m::numeric, 2)::float8 AS length_map_m,
    coalesce(own.length_deed_m, CASE WHEN whole.edges = 1 THEN given.length_deed_m END) AS length_deed_m,
    coalesce(own.length_measured_m, CASE WHEN whole.edges = 1 THEN given.length_measured_m END) AS length_measured_m,
    CASE WHEN d.plan_id IS NOT NULL THEN round(coalesce(w.left_m, e.length_m)::numeric, 2)::float8 END AS length_after_widening_m,
    CASE WHEN d.plan_id IS NOT NULL THEN round(coalesce(w.depth_m, 0)::numeric, 2)::float8 END AS widening_depth_m,
    CASE WHEN d.plan_id IS NOT NULL THEN round(coalesce(v.left_m, w.left_m, e.length_m)::numeric, 2)::float8 END
        AS length_after_chamfer_m,
    d.plan_id, round(whole.length_m::numeric, 2)::float8 AS side_length_map_m,
    coalesce(given.length_deed_m, CASE WHEN whole.edges = 1 THEN own.length_deed_m END) AS side_length_deed_m,
    coalesce(given.length_measured_m, CASE WHEN whole.edges = 1 THEN own.length_measured_m END) AS side_length_measured_m,
    e.geom
FROM facts.parcel_edge e
JOIN data.parcel p ON p.id = e.subject_id
LEFT JOIN data.parcel n ON n.id = e.object_id
LEFT JOIN data.street s ON s.id = e.way_id
CROSS JOIN LATERAL (
    SELECT count(*) AS edges, sum(b.length_m) AS length_m FROM facts.parcel_edge b WHERE b.subject_id = e.subject_id AND b.side = e.side
) whole
LEFT JOIN data.edge_dimension own ON own.parcel_code = p.parcel_code AND own.edge_ref = e.seq::text
LEFT JOIN data.edge_dimension given ON given.parcel_code = p.parcel_code AND given.edge_ref = e.side
LEFT JOIN LATERAL (
    SELECT o.plan_id FROM data.plan_document o
    WHERE o.plan_status = 'approved' AND (
        EXISTS (SELECT FROM facts.parcel_zone z WHERE z.subject_id = p.id AND z.in_group = o.plan_id AND z.part = 'in')
        OR EXISTS (SELECT FROM facts.parcel_widening z WHERE z.subject_id = p.id AND z.in_group = o.plan_id)
    )
    ORDER BY o.approval_date DESC NULLS LAST, o.plan_id DESC LIMIT 1
) d ON true
LEFT JOIN facts.parcel_edge_widening w ON w.subject_id = e.subject_id AND w.seq = e.seq AND w.in_group = d.plan_id
LEFT JOIN facts.parcel_edge_chamfer v
    ON v.subject_id = e.subject_id AND v.seq = e.seq AND v.in_group = d.plan_id AND v.object_id IS NULL
