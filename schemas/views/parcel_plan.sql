-- One row for each zone of a parcel and each rule of that zone whose plot area fits. The area that percentages are of is the rule's.
SELECT f.id * 1000 + coalesce(r.rule_no, 0) AS id,
    p.parcel_code, f.in_group AS plan_id, d.plan_status, z.zone_id, z.zone_code,
    round(f.area_m2::numeric, 2)::float8 AS area_zone_m2, round(f.share::numeric, 6)::float8 AS zone_share,
    round(coalesce(w.taken, 0)::numeric, 2)::float8 AS area_widening_m2,
    round((p.area_grid_m2 - coalesce(w.taken, 0))::numeric, 2)::float8 AS area_after_widening_m2,
    r.rule_no, r.area_basis, r.street_width_from_m, r.street_width_to_m, r.coverage_pct, r.far_pct, r.max_floors,
    round(b.basis::numeric, 2)::float8 AS area_basis_m2,
    round((b.basis * r.coverage_pct / 100)::numeric, 2)::float8 AS allowed_footprint_m2,
    round((b.basis * r.far_pct / 100)::numeric, 2)::float8 AS allowed_floor_area_m2,
    p.geom
FROM facts.parcel_zone f
JOIN data.parcel p ON p.id = f.subject_id
JOIN data.plan_zone z ON z.id = f.object_id
LEFT JOIN data.plan_document d ON d.plan_id = f.in_group
LEFT JOIN LATERAL (
    SELECT sum(area_m2) AS taken FROM facts.parcel_widening w
    WHERE w.subject_id = f.subject_id AND w.in_group = f.in_group AND w.part <> 'rest'
) w ON true
LEFT JOIN data.zone_rule r ON r.plan_id = f.in_group AND r.zone_code = z.zone_code
    AND (r.plot_area_from_m2 IS NULL OR p.area_grid_m2 >= r.plot_area_from_m2)
    AND (r.plot_area_to_m2 IS NULL OR p.area_grid_m2 < r.plot_area_to_m2)
LEFT JOIN LATERAL (
    SELECT f.share * CASE r.area_basis WHEN 'deed' THEN p.area_deed_m2
        WHEN 'measured' THEN coalesce(p.area_measured_m2, p.area_grid_m2)
        ELSE p.area_grid_m2 - coalesce(w.taken, 0) END AS basis
) b ON true
WHERE f.part = 'in'
