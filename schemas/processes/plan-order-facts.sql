-- name: answer
-- Each zone's rule is the one whose plot area and street width fit; percentages are of the area that the rule names. Where the
-- width of the street is not known, no rule that asks for one is chosen.
WITH chosen AS {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS {part.areas},
roads AS MATERIALIZED {part.roads},
zones AS MATERIALIZED {part.zones},
front AS MATERIALIZED {part.front},
fitting AS {part.fitting}
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'plan', {part.edition_json}, 'zones', {part.zones_json},
    'area_grid_m2', round(a.grid::numeric, 2), 'widening_m2', round(a.widening::numeric, 2),
    'remainder_m2', round((a.grid - a.widening)::numeric, 2),
    'front', (SELECT jsonb_build_object('street_id', w.street_id, 'name_fa', w.name_fa, 'name_en', w.name_en,
        'front_m', round(w.front_m::numeric, 2), 'street_width_m', w.width_m, 'choice', w.choice, 'width_basis', w.basis)
        FROM front AS w),
    'rules', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'zone_code', f.zone_code, 'zone_area_m2', round(f.area_m2::numeric, 2), 'land_use', f.land_use_planned,
        'rule_no', f.rule_no, 'area_basis', f.area_basis, 'base_m2', round(f.base::numeric, 2),
        'coverage_pct', f.coverage_pct, 'footprint_m2', round((f.base * f.coverage_pct / 100)::numeric, 2),
        'far_pct', f.far_pct, 'floor_area_m2', round((f.base * f.far_pct / 100)::numeric, 2),
        'max_floors', f.max_floors, 'max_height_m', f.max_height_m, 'setback_m', f.setback_m,
        'min_plot_m2', f.min_plot_m2, 'min_frontage_m', f.min_frontage_m,
        'parking_per_dwelling', f.parking_per_dwelling, 'run', coalesce(f.rule_run_id, f.run_id)
    ) ORDER BY f.area_m2 DESC, f.rule_no), '[]') FROM fitting AS f),
    'setback_lines', (SELECT coalesce(jsonb_agg(jsonb_build_object('setback_m', s.setback_m, 'street_id', s.street_id,
        'run', s.run_id)), '[]') FROM {setback_line} AS s JOIN edition AS e ON e.plan_id = s.plan_id
        WHERE ST_DWithin(s.geom, c.geom, 0.01)),
    'chamfers', {part.chamfers_json}, 'left_m2', coalesce(round(r.left_m2::numeric, 2), round(a.grid::numeric, 2)),
    'sides', {part.roads_json}, 'imagery', {part.imagery_json},
    'manual_decision', (SELECT count(DISTINCT zone_id) <> 1 OR bool_or(rule_no IS NULL OR place > 1) FROM fitting)
        OR EXISTS (SELECT FROM zones WHERE part <> 'in'),
    'run', a.widening_run
)::text
FROM chosen AS c CROSS JOIN areas AS a LEFT JOIN (
    SELECT m.* FROM {fact.parcel_remainder} AS m JOIN edition AS e ON e.plan_id = m.in_group
) AS r ON r.subject_id = c.id

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
