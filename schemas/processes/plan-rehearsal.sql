-- name: size
-- Parcels that the draft is about.
SELECT count(DISTINCT f.subject_id) FROM {fact.parcel_zone} AS f WHERE f.in_group = %(draft)s::text AND f.part = 'in'

-- name: answer
-- Both editions over the same parcels. Floor area is what the first rule that fits gives: by the plot's area after widening and by
-- the width of its street in that edition, of the area that the rule is about. People are the census block's, shared out by the
-- floor area of dwellings, where the audience may know them. An edition without road lines says nothing of roads.
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
    SELECT q.plan_id, sum(q.floor_area) AS floor_area FROM (
        SELECT DISTINCT ON (l.plan_id, l.parcel_code, l.zone_id) l.plan_id, l.zone_share * l.far_pct / 100 * CASE l.area_basis
            WHEN 'deed' THEN coalesce(p.area_deed_m2, p.area_grid_m2)
            WHEN 'measured' THEN coalesce(p.area_measured_m2, p.area_grid_m2)
            ELSE l.area_after_widening_m2 END AS floor_area
        FROM {parcel_plan} AS l JOIN {parcel} AS p ON p.parcel_code = l.parcel_code
        WHERE l.plan_id IN (%(draft)s::text, (SELECT plan_id FROM held)) AND l.far_pct IS NOT NULL
        ORDER BY l.plan_id, l.parcel_code, l.zone_id, l.rule_no
    ) AS q GROUP BY q.plan_id
),
road AS MATERIALIZED (
    SELECT a.plan_id, a.street_id, max(a.name_fa) AS name_fa, max(a.width_plan_m) AS width, max(a.run_id) AS run_id, count(*) AS number
    FROM {plan_road_line} AS a
    WHERE a.road_line_kind = 'axis' AND a.plan_id IN (%(draft)s::text, (SELECT plan_id FROM held)) GROUP BY a.plan_id, a.street_id
),
drawn AS (
    SELECT count(*) FILTER (WHERE plan_id = %(draft)s::text) AS after, count(*) FILTER (WHERE plan_id = (SELECT plan_id FROM held)) AS before
    FROM {plan_road_line} AS l WHERE plan_id IN (%(draft)s::text, (SELECT plan_id FROM held))
),
cut AS MATERIALIZED (
    SELECT f.subject_id AS id, coalesce(sum(f.area_m2) FILTER (WHERE f.in_group = (SELECT plan_id FROM held)), 0) AS was,
        coalesce(sum(f.area_m2) FILTER (WHERE f.in_group = %(draft)s::text), 0) AS becomes
    FROM {fact.parcel_widening} AS f
    WHERE f.part <> 'rest' AND f.in_group IN (%(draft)s::text, (SELECT plan_id FROM held)) GROUP BY f.subject_id
),
width AS (
    SELECT coalesce(a.street_id, b.street_id) AS street_id, coalesce(a.name_fa, b.name_fa) AS name_fa, b.width AS was, a.width AS becomes,
        coalesce(a.run_id, b.run_id) AS run_id
    FROM (SELECT * FROM road WHERE plan_id = %(draft)s::text) AS a
    FULL JOIN (SELECT * FROM road WHERE plan_id = (SELECT plan_id FROM held)) AS b ON b.street_id = a.street_id
    WHERE a.width IS DISTINCT FROM b.width
),
home AS (
    SELECT g.parcel_code, count(*) AS number, sum(g.footprint_grid_m2 * coalesce(g.floors_above, 1)) AS built,
        sum(g.footprint_grid_m2 * coalesce(g.floors_above, 1)) FILTER (WHERE coalesce(g.building_use, 'residential') = 'residential') AS floor_area
    FROM {building} AS g GROUP BY g.parcel_code
),
census AS (
    SELECT b.id, b.census_year, f.figure_value AS figure, coalesce(f.suppressed, false) OR CASE WHEN h.figure_value IS NOT NULL
        THEN h.figure_value > 0 AND h.figure_value < 3 ELSE coalesce(f.figure_value > 0 AND f.figure_value < 10, false) END AS small
    FROM {census_block} AS b JOIN {census_figure} AS f ON f.census_year = b.census_year AND f.census_code = b.census_code
        AND f.census_variable = 'population'
    LEFT JOIN {census_figure} AS h ON h.census_year = b.census_year AND h.census_code = b.census_code AND h.census_variable = 'households'
    WHERE b.census_year = (SELECT max(x.census_year) FROM {census_block} AS x)
),
lives AS (
    SELECT k.subject_id AS id, c.small, c.id AS block,
        c.figure * h.floor_area / nullif(sum(h.floor_area) OVER (PARTITION BY k.object_id), 0) AS people
    FROM {fact.parcel_census_block} AS k JOIN census AS c ON c.id = k.object_id
    JOIN {parcel} AS p ON p.id = k.subject_id JOIN home AS h ON h.parcel_code = p.parcel_code
    WHERE k.part = 'in' AND k.share >= 0.5
),
stands AS (
    SELECT count(*) FILTER (WHERE x.number > 0) AS parcels, coalesce(sum(x.number), 0) AS buildings, round(coalesce(sum(x.built), 0)::numeric, 2) AS built
    FROM (SELECT h.number, h.built FROM changed AS c JOIN {parcel} AS p ON p.id = c.id JOIN home AS h ON h.parcel_code = p.parcel_code) AS x
),
moved AS (
    SELECT sum(l.people) FILTER (WHERE NOT l.small AND c.id IS NOT NULL) AS people, sum(l.people) FILTER (WHERE NOT l.small AND
        w.was < 0.01 AND w.becomes >= 0.01) AS cut, count(DISTINCT l.block) FILTER (WHERE l.small AND c.id IS NOT NULL) AS masked
    FROM lives AS l LEFT JOIN changed AS c ON c.id = l.id LEFT JOIN cut AS w ON w.id = l.id
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
    'floor_area_before_m2', (SELECT round(f.floor_area::numeric, 2) FROM far AS f WHERE f.plan_id = (SELECT plan_id FROM held)),
    'floor_area_after_m2', (SELECT round(f.floor_area::numeric, 2) FROM far AS f WHERE f.plan_id = %(draft)s::text),
    'road_lines', (SELECT jsonb_build_object('before', d.before, 'after', d.after) FROM drawn AS d),
    'widening', (SELECT CASE WHEN d.after > 0 THEN (SELECT jsonb_build_object(
        'parcels_before', count(*) FILTER (WHERE c.was >= 0.01), 'parcels_after', count(*) FILTER (WHERE c.becomes >= 0.01),
        'before_m2', round(coalesce(sum(c.was), 0)::numeric, 2), 'after_m2', round(coalesce(sum(c.becomes), 0)::numeric, 2),
        'newly_touched', count(*) FILTER (WHERE c.was < 0.01 AND c.becomes >= 0.01),
        'newly_touched_m2', round(coalesce(sum(c.becomes) FILTER (WHERE c.was < 0.01), 0)::numeric, 2),
        'touched_more', count(*) FILTER (WHERE c.was >= 0.01 AND c.becomes >= c.was + 0.01),
        'touched_more_m2', round(coalesce(sum(c.becomes - c.was) FILTER (WHERE c.was >= 0.01 AND c.becomes > c.was), 0)::numeric, 2),
        'no_longer_touched', count(*) FILTER (WHERE c.was >= 0.01 AND c.becomes < 0.01)) FROM cut AS c) END FROM drawn AS d),
    'streets_changed', (SELECT CASE WHEN d.after > 0 THEN (SELECT count(*) FROM width) END FROM drawn AS d),
    'streets', (SELECT CASE WHEN d.after > 0 THEN (SELECT coalesce(jsonb_agg(jsonb_build_object('street_id', w.street_id, 'name_fa', w.name_fa,
        'before_m', w.was, 'after_m', w.becomes, 'run', w.run_id) ORDER BY abs(coalesce(w.becomes, 0) - coalesce(w.was, 0)) DESC, w.street_id),
        '[]') FROM (SELECT * FROM width ORDER BY abs(coalesce(becomes, 0) - coalesce(was, 0)) DESC, street_id LIMIT 500) AS w) END
        FROM drawn AS d),
    'buildings_in_changed', (SELECT x.buildings FROM stands AS x), 'built_in_changed_m2', (SELECT x.built FROM stands AS x),
    'people_in_changed', (SELECT CASE WHEN m.people >= 10 THEN round(m.people::numeric, 1) END FROM moved AS m),
    'people_newly_touched', (SELECT CASE WHEN m.cut >= 10 THEN round(m.cut::numeric, 1) END FROM moved AS m),
    'people_basis', (SELECT jsonb_build_object('year', max(c.census_year), 'blocks_masked', (SELECT m.masked FROM moved AS m),
        'method', jsonb_build_object('en', 'the population of each census block shared out over the floor area of its dwellings; '
            'cells of fewer than 3 households or 10 people are not told', 'fa', 'جمعیت هر بلوک آماری به نسبت زیربنای مسکونی؛ خانه‌های کمتر از ۳ خانوار یا ۱۰ نفر گفته نمی‌شود'))
        FROM census AS c HAVING count(*) > 0)
)::text FROM held AS h
WHERE h.plan_id IS NOT NULL AND EXISTS (SELECT FROM split AS s WHERE s.in_group = %(draft)s::text)
    AND EXISTS (SELECT FROM split AS s WHERE s.in_group = h.plan_id)

-- name: near
-- Editions that have zones.
SELECT coalesce(jsonb_agg(n.plan_id ORDER BY n.plan_id), '[]')::text FROM (SELECT DISTINCT z.plan_id FROM {plan_zone} AS z) AS n
