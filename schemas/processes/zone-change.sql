-- name: answer
-- The parcel's zones in its edition, and what lies over them afterwards.
WITH chosen AS MATERIALIZED {part.chosen},
edition AS MATERIALIZED {part.edition},
before AS MATERIALIZED (
    SELECT z.zone_code, z.run_id, ST_CollectionExtract(ST_Intersection(z.geom, c.geom), 3) AS geom
    FROM chosen AS c JOIN edition AS e ON true JOIN {plan_zone} AS z ON z.plan_id = e.plan_id AND ST_Intersects(z.geom, c.geom)
),
after AS MATERIALIZED (
    SELECT %(to_zone)s::text AS zone_code, NULL::bigint AS run_id, c.geom FROM chosen AS c WHERE %(to_zone)s::text IS NOT NULL
    UNION ALL
    SELECT z.zone_code, z.run_id, ST_CollectionExtract(ST_Intersection(z.geom, c.geom), 3)
    FROM chosen AS c JOIN {plan_zone} AS z ON z.plan_id = %(to_plan)s::text AND ST_Intersects(z.geom, c.geom)
    WHERE %(to_zone)s::text IS NULL
),
pair AS (
    SELECT b.zone_code AS was, a.zone_code AS becomes, sum(ST_Area(ST_Intersection(b.geom, a.geom))) * {unit} ^ 2 AS area
    FROM before AS b JOIN after AS a ON ST_Intersects(b.geom, a.geom) GROUP BY b.zone_code, a.zone_code
)
SELECT jsonb_build_object('parcel', {part.identity}, 'plan', {part.edition_json}, 'to_plan', %(to_plan)s::text, 'to_zone', %(to_zone)s::text,
    'before', (SELECT coalesce(jsonb_agg(jsonb_build_object('zone_code', b.zone_code, 'area_m2', b.area, 'run', b.run_id) ORDER BY b.area DESC), '[]')
        FROM (SELECT x.zone_code, max(x.run_id) AS run_id, round((sum(ST_Area(x.geom)) * {unit} ^ 2)::numeric, 2) AS area
            FROM before AS x GROUP BY x.zone_code HAVING sum(ST_Area(x.geom)) * {unit} ^ 2 > 0.005) AS b),
    'after', (SELECT coalesce(jsonb_agg(jsonb_build_object('zone_code', b.zone_code, 'area_m2', b.area, 'run', b.run_id) ORDER BY b.area DESC), '[]')
        FROM (SELECT x.zone_code, max(x.run_id) AS run_id, round((sum(ST_Area(x.geom)) * {unit} ^ 2)::numeric, 2) AS area
            FROM after AS x GROUP BY x.zone_code HAVING sum(ST_Area(x.geom)) * {unit} ^ 2 > 0.005) AS b),
    'changes', (SELECT coalesce(jsonb_agg(jsonb_build_object('from', p.was, 'to', p.becomes, 'area_m2', round(p.area::numeric, 2))
        ORDER BY p.area DESC), '[]') FROM pair AS p WHERE p.was <> p.becomes AND p.area > 0.005),
    'changed_m2', (SELECT round(coalesce(sum(p.area), 0)::numeric, 2) FROM pair AS p WHERE p.was <> p.becomes),
    'unchanged_m2', (SELECT round(coalesce(sum(p.area), 0)::numeric, 2) FROM pair AS p WHERE p.was = p.becomes),
    'far_pct', (SELECT coalesce(jsonb_object_agg(r.zone_code, r.far_pct), '{{}}') FROM (
        SELECT DISTINCT ON (q.zone_code) q.zone_code, q.far_pct FROM {zone_rule} AS q
        JOIN (SELECT zone_code FROM before UNION SELECT zone_code FROM after) AS u ON u.zone_code = q.zone_code
        WHERE q.plan_id = coalesce(%(to_plan)s::text, (SELECT plan_id FROM edition)) OR q.plan_id = (SELECT plan_id FROM edition)
        ORDER BY q.zone_code, q.plan_id = %(to_plan)s::text DESC NULLS LAST, q.rule_no) AS r),
    'run', c.run_id)::text FROM chosen AS c

-- name: near
-- Codes that may have been meant.
SELECT {part.near}::text
