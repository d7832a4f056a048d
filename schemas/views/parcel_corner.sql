-- Where the boundary turns; nodes at which only the neighbour changes are no corners. The lengths of a parcel add up to its perimeter.
SELECT p.id * 10000 + e.seq AS id, p.parcel_code, c.corner_no,
    CASE WHEN c.corner_no > 26 THEN chr(64 + ((c.corner_no - 1) / 26)::int) ELSE '' END
        || chr(65 + ((c.corner_no - 1) % 26)::int) AS corner_label,
    e.polygon AS part_no, e.ring AS ring_no,
    round(ST_X(ST_StartPoint(e.geom))::numeric, 3)::float8 AS east_grid,
    round(ST_Y(ST_StartPoint(e.geom))::numeric, 3)::float8 AS north_grid,
    e.seq AS edge_seq, round(l.length::numeric, 2)::float8 AS length_to_next_map_m
FROM facts.parcel_edge e
JOIN data.parcel p ON p.id = e.subject_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.seq <= e.seq) AS corner_no,
        min(b.seq) FILTER (WHERE b.seq > e.seq AND b.polygon = e.polygon AND b.ring = e.ring) AS next_seq
    FROM facts.parcel_edge b WHERE b.subject_id = e.subject_id AND b.corner
) c
CROSS JOIN LATERAL (
    SELECT sum(b.length_m) AS length FROM facts.parcel_edge b
    WHERE b.subject_id = e.subject_id AND b.polygon = e.polygon AND b.ring = e.ring
        AND b.seq >= e.seq AND b.seq < coalesce(c.next_seq, 2147483647)
) l
WHERE e.corner
