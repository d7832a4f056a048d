-- One row an edge; the id is the parcel's and the edge's number, so that it stays when the fact is worked out again.
SELECT p.id * 10000 + e.seq AS id, p.parcel_code, e.seq AS edge_seq, e.polygon AS part_no, e.ring AS ring_no, e.side AS edge_side,
    round(e.outwards_deg::numeric, 2)::float8 AS azimuth_deg,
    CASE e.beside WHEN 'way' THEN 'street' WHEN 'neighbour' THEN 'parcel' ELSE 'other' END AS borders, n.parcel_code AS neighbour_code,
    s.street_id, s.name_fa AS street_name_fa, s.name_en AS street_name_en,
    round(e.length_m::numeric, 2)::float8 AS length_map_m,
    e.geom
FROM facts.parcel_edge e
JOIN data.parcel p ON p.id = e.subject_id
LEFT JOIN data.parcel n ON n.id = e.object_id
LEFT JOIN data.street s ON s.id = e.way_id
