-- name: size
-- Parcels that the draft is about.
SELECT count(DISTINCT f.subject_id) FROM {fact.parcel_zone} AS f WHERE f.in_group = %(draft)s::text AND f.part = 'in'

-- name: answer
-- Both editions over the same parcels. Floor area is the zone's part of the parcel times the FAR of the first rule whose plot
-- area fits; people are the census block's, shared out by the floor area of buildings, where the audience may know them.
WITH held AS (
    SELECT coalesce(%(against)s::text, (SELECT d.plan_id FROM {plan_document} AS d
        WHERE d.plan_status = 'approved' AND EXISTS (SELECT FROM {plan_zone} AS z WHERE z.plan_id = d.plan_id)
        ORDER BY d.approval_date DESC NULLS LAST, d.plan_id DESC LIMIT 1)) AS plan_id
),
edition AS (
    SELECT d.* FROM {plan_document} AS d
),
split AS MATERIALIZED (
    SELECT f.subject_id, f.in_group, coalesce(z.zone_code, '') AS zone_code, sum(f.area_m2) AS area
    FROM {fact.parcel_zone} AS f LEFT JOIN {plan_zone} AS z ON z.id = f.object_id
    WHERE f.in_group IN (%(draft)s::text, (SELECT plan_id FROM held))
    GROUP BY f.subject_id, f.in_group, coalesce(z.zone_code, '')
),
pair AS MATERIALIZED (
    SELECT coalesce(a.subject_id, b.subject_id) AS id, coalesce(a.zone_code, b.zone_code) AS zone_code,
        coalesce(b.area, 0) AS was, coalesce(a.area, 0) AS becomes
    FROM (SELECT * FROM split WHERE in_group = %(draft)s::text) AS a
    FULL JOIN (SELECT * FROM split WHERE in_group = (SELECT plan_id FROM held)) AS b
        ON b.subject_id = a.subject_id AND b.zone_code = a.zone_code
),
changed AS MATERIALIZED (
    SELECT b.id, max(b.zone_code) FILTER (WHERE b.loss = b.most_loss) AS was, max(b.zone_code) FILTER (WHERE b.gain = b.most_gain) AS becomes,
        sum(greatest(b.gain, 0)) AS area
    FROM (
        SELECT x.id, x.zone_code, x.was - x.becomes AS loss, x.becomes - x.was AS gain,
            max(x.was - x.becomes) OVER (PARTITION BY x.id) AS most_loss, max(x.becomes - x.was) OVER (PARTITION BY x.id) AS most_gain
        FROM pair AS x
    ) AS b GROUP BY b.id HAVING max(b.gain) > 0.5
),
far AS MATERIALIZED (
    SELECT s.in_group, sum(s.area * q.far_pct / 100) AS floor_area
    FROM split AS s JOIN {parcel} AS p ON p.id = s.subject_id
    LEFT JOIN LATERAL (
        SELECT r.far_pct FROM {zone_rule} AS r WHERE r.plan_id = s.in_group AND r.zone_code = s.zone_code
            AND p.area_grid_m2 >= coalesce(r.plot_area_from_m2, 0) AND p.area_grid_m2 < coalesce(r.plot_area_to_m2, 'Infinity')
        ORDER BY r.rule_no LIMIT 1
    ) AS q ON true
    GROUP BY s.in_group
),
home AS (
    SELECT g.parcel_code, sum(g.footprint_grid_m2 * coalesce(g.floors_above, 1)) AS floor_area
    FROM {building} AS g WHERE coalesce(g.building_use, 'residential') = 'residential' GROUP BY g.parcel_code
),
lives AS (
    SELECT k.subject_id AS id, f.figure_value * h.floor_area / nullif(sum(h.floor_area) OVER (PARTITION BY k.object_id), 0) AS people
    FROM {fact.parcel_census_block} AS k JOIN {parcel} AS p ON p.id = k.subject_id JOIN home AS h ON h.parcel_code = p.parcel_code
    JOIN {census_block} AS b ON b.id = k.object_id JOIN {census_figure} AS f ON f.census_year = b.census_year AND f.census_code = b.census_code
        AND f.census_variable = 'population'
    WHERE k.part = 'in' AND k.share >= 0.5 AND b.census_year = (SELECT max(x.census_year) FROM {census_block} AS x)
)
SELECT jsonb_build_object(
    'draft', (SELECT jsonb_build_object('plan_id', d.plan_id, 'plan_status', d.plan_status, 'approval_date', d.approval_date, 'run', d.run_id)
        FROM edition AS d WHERE d.plan_id = %(draft)s::text),
    'against', (SELECT jsonb_build_object('plan_id', d.plan_id, 'plan_status', d.plan_status, 'approval_date', d.approval_date, 'run', d.run_id)
        FROM edition AS d WHERE d.plan_id = (SELECT plan_id FROM held)),
    'parcels', (SELECT count(DISTINCT s.subject_id) FROM split AS s WHERE s.in_group = %(draft)s::text),
    'parcels_changed', (SELECT count(*) FROM changed), 'area_changed_m2', (SELECT round(coalesce(sum(area), 0)::numeric, 2) FROM changed),
    'zones', (SELECT coalesce(jsonb_agg(jsonb_build_object('zone_code', nullif(z.zone_code, ''), 'before_m2', round(z.was::numeric, 2),
        'after_m2', round(z.becomes::numeric, 2), 'difference_m2', round((z.becomes - z.was)::numeric, 2)) ORDER BY z.zone_code), '[]')
        FROM (SELECT b.zone_code, sum(b.was) AS was, sum(b.becomes) AS becomes FROM pair AS b GROUP BY b.zone_code) AS z),
    'changes', (SELECT coalesce(jsonb_agg(jsonb_build_object('from', nullif(t.was, ''), 'to', nullif(t.becomes, ''), 'parcels', t.number,
        'area_m2', round(t.area::numeric, 2)) ORDER BY t.area DESC), '[]')
        FROM (SELECT c.was, c.becomes, count(*) AS number, sum(c.area) AS area FROM changed AS c GROUP BY c.was, c.becomes) AS t),
    'floor_area_before_m2', (SELECT round(f.floor_area::numeric, 2) FROM far AS f WHERE f.in_group = (SELECT plan_id FROM held)),
    'floor_area_after_m2', (SELECT round(f.floor_area::numeric, 2) FROM far AS f WHERE f.in_group = %(draft)s::text),
    'people_in_changed', (SELECT round(sum(l.people)::numeric, 1) FROM changed AS c JOIN lives AS l ON l.id = c.id)
)::text FROM held AS h
WHERE h.plan_id IS NOT NULL AND EXISTS (SELECT FROM split AS s WHERE s.in_group = %(draft)s::text)
    AND EXISTS (SELECT FROM split AS s WHERE s.in_group = h.plan_id)

-- name: near
-- Editions that have zones.
SELECT coalesce(jsonb_agg(n.plan_id ORDER BY n.plan_id), '[]')::text FROM (SELECT DISTINCT z.plan_id FROM {plan_zone} AS z) AS n
