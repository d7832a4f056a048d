-- One row for each zone of a parcel and each rule of that zone whose plot area and street width fit. The area that percentages are of
-- is the rule's; which street's width counts, the edition's: the widest along the parcel, unless it says otherwise.
SELECT f.id * 1000 + coalesce(r.rule_no, 0) AS id,
    p.parcel_code, f.in_group AS plan_id, d.plan_status, z.zone_id, z.zone_code,
    round(f.area_m2::numeric, 2)::float8 AS area_zone_m2, round(f.share::numeric, 6)::float8 AS zone_share,
    round(coalesce(w.taken, 0)::numeric, 2)::float8 AS area_widening_m2,
    round((p.area_grid_m2 - coalesce(w.taken, 0))::numeric, 2)::float8 AS area_after_widening_m2,
    s.street_id, round(s.width_m::numeric, 2)::float8 AS street_width_m, round(s.front_m::numeric, 2)::float8 AS front_m,
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
LEFT JOIN LATERAL (
    SELECT w.street_id, sum(e.length_m) AS front_m,
        max(CASE WHEN d.street_width_basis = 'existing' THEN w.width_existing_m
            ELSE coalesce(l.width_plan_m, w.width_plan_m, w.width_existing_m) END) AS width_m
    FROM facts.parcel_edge e
    JOIN data.street w ON w.id = e.way_id
    LEFT JOIN LATERAL (
        SELECT max(a.width_plan_m) AS width_plan_m FROM data.plan_road_line a
        WHERE a.plan_id = f.in_group AND a.street_id = w.street_id AND a.road_line_kind = 'axis'
    ) l ON true
    WHERE e.subject_id = f.subject_id
    GROUP BY w.street_id
    ORDER BY CASE WHEN d.street_choice = 'longest' THEN sum(e.length_m) END DESC NULLS LAST, width_m DESC NULLS LAST, front_m DESC, 1
    LIMIT 1
) s ON true
LEFT JOIN data.zone_rule r ON r.plan_id = f.in_group AND r.zone_code = z.zone_code
    AND (r.plot_area_from_m2 IS NULL OR p.area_grid_m2 - coalesce(w.taken, 0) >= r.plot_area_from_m2)
    AND (r.plot_area_to_m2 IS NULL OR p.area_grid_m2 - coalesce(w.taken, 0) < r.plot_area_to_m2)
    AND (r.street_width_from_m IS NULL OR s.width_m >= r.street_width_from_m)
    AND (r.street_width_to_m IS NULL OR s.width_m < r.street_width_to_m)
LEFT JOIN LATERAL (
    SELECT f.share * CASE r.area_basis WHEN 'deed' THEN p.area_deed_m2
        WHEN 'measured' THEN coalesce(p.area_measured_m2, p.area_grid_m2)
        ELSE p.area_grid_m2 - coalesce(w.taken, 0) END AS basis
) b ON true
WHERE f.part = 'in'
