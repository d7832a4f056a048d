-- One row a parcel and edition with a widening, a chamfer, a setback or a level. The id is the parcel's and the document's.
SELECT p.id * 100000 + coalesce(d.id, 0) AS id, p.parcel_code, e.plan_id, d.plan_status,
    round(a.shape::numeric, 2)::float8 AS area_shape_m2,
    round(coalesce(w.taken, 0)::numeric, 2)::float8 AS area_widening_m2,
    round((a.shape - coalesce(w.taken, 0))::numeric, 2)::float8 AS area_after_widening_m2,
    round((coalesce(r.taken_m2, 0) - coalesce(w.taken, 0))::numeric, 2)::float8 AS area_chamfer_m2,
    round((a.shape - coalesce(r.taken_m2, 0))::numeric, 2)::float8 AS area_after_chamfer_m2,
    s.setback_m, round(s.area_m2::numeric, 2)::float8 AS area_setback_m2,
    round(l.front_height_m::numeric, 3)::float8 AS level_m, l.vertical_datum, l.between AS level_between,
    round(l.distance_m::numeric, 2)::float8 AS level_distance_m,
    p.geom
FROM (
    SELECT subject_id, in_group AS plan_id FROM facts.parcel_remainder
    UNION SELECT subject_id, in_group FROM facts.parcel_setback
    UNION SELECT subject_id, in_group FROM facts.parcel_level
) e
JOIN data.parcel p ON p.id = e.subject_id
LEFT JOIN data.plan_document d ON d.plan_id = e.plan_id
LEFT JOIN facts.parcel_remainder r ON r.subject_id = e.subject_id AND r.in_group = e.plan_id
CROSS JOIN LATERAL (
    SELECT coalesce(r.taken_m2 + r.left_m2, p.area_grid_m2) AS shape
) a
LEFT JOIN LATERAL (
    SELECT sum(t.area_m2) AS taken FROM facts.parcel_widening t
    WHERE t.subject_id = e.subject_id AND t.in_group = e.plan_id AND t.part <> 'rest'
) w ON true
LEFT JOIN LATERAL (
    SELECT max(o.setback_m) AS setback_m, sum(t.area_m2) AS area_m2 FROM facts.parcel_setback t
    JOIN data.setback_line o ON o.id = t.object_id WHERE t.subject_id = e.subject_id AND t.in_group = e.plan_id
) s ON true
LEFT JOIN LATERAL (
    SELECT t.front_height_m, t.between, t.distance_m, o.vertical_datum FROM facts.parcel_level t
    JOIN data.road_level o ON o.id = t.object_id
    JOIN facts.parcel_edge g ON g.subject_id = t.subject_id AND g.seq = t.seq
    WHERE t.subject_id = e.subject_id AND t.in_group = e.plan_id
    ORDER BY g.length_m DESC, t.seq, o.vertical_datum LIMIT 1
) l ON true
