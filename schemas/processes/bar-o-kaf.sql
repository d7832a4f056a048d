-- name: answer
-- The roads along the chosen parcel and what they take of it.
WITH chosen AS {part.chosen},
edition AS MATERIALIZED {part.edition},
areas AS {part.areas},
roads AS MATERIALIZED {part.roads}
SELECT jsonb_build_object(
    'parcel', {part.identity}, 'plan', {part.edition_json}, 'sides', {part.roads_json}, 'imagery', {part.imagery_json},
    'area_grid_m2', round(a.grid::numeric, 2), 'widening_m2', round(a.widening::numeric, 2),
    'widening_pct', round((100 * a.widening / a.shape)::numeric, 2),
    'remainder_m2', round((a.grid - a.widening)::numeric, 2),
    'widening_by_deed_m2', round((a.deed * a.widening / a.shape)::numeric, 2),
    'chamfer_m2', CASE WHEN EXISTS (SELECT FROM {fact.parcel_chamfer} AS h JOIN edition AS e ON e.plan_id = h.in_group
        WHERE h.subject_id = c.id) THEN round((r.taken_m2 - a.widening)::numeric, 2) END,
    'left_m2', coalesce(round(r.left_m2::numeric, 2), round(a.grid::numeric, 2)), 'chamfers', {part.chamfers_json},
    'level', coalesce(
        (SELECT jsonb_build_object('level_m', round(l.front_height_m::numeric, 3), 'vertical_datum', o.vertical_datum,
            'street_id', o.street_id, 'distance_m', round(l.distance_m::numeric, 2), 'between', l.between, 'run', l.run_id)
        FROM {fact.parcel_level} AS l JOIN edition AS e ON e.plan_id = l.in_group
        JOIN {road_level} AS o ON o.id = l.object_id
        JOIN {fact.parcel_edge} AS g ON g.subject_id = l.subject_id AND g.seq = l.seq
        WHERE l.subject_id = c.id ORDER BY g.length_m DESC, l.seq, o.vertical_datum LIMIT 1),
        jsonb_build_object('level_m', NULL, 'reason', jsonb_build_object(
            'en', 'the plan gives no level for the roads of this parcel', 'fa', 'طرح برای گذرهای این ملک کف ندارد'))),
    'run', a.widening_run
)::text
FROM chosen AS c CROSS JOIN areas AS a LEFT JOIN (
    SELECT m.* FROM {fact.parcel_remainder} AS m JOIN edition AS e ON e.plan_id = m.in_group
) AS r ON r.subject_id = c.id

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
