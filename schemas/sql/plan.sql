-- name: editions
-- Every edition of every plan, the one in force first.
SELECT plan_id, plan_kind, plan_status, approval_date::text,
    row_number() OVER (PARTITION BY plan_kind ORDER BY plan_status IS DISTINCT FROM 'approved', approval_date DESC NULLS LAST) = 1
        AND plan_status = 'approved' AS in_force
FROM data.plan_document ORDER BY plan_kind, approval_date DESC NULLS LAST

-- name: zones
-- Zones of an edition.
SELECT ST_AsBinary(z.geom) FROM data.plan_zone z WHERE z.plan_id = %(plan)s

-- name: boundary
-- The boundary of an edition.
SELECT ST_AsBinary(geom) FROM data.plan_document WHERE plan_id = %(plan)s AND geom IS NOT NULL

-- name: blocks
-- Blocks in the edition's boundary: what is left between them are roads.
SELECT ST_AsBinary(b.geom) FROM data.block b JOIN data.plan_document d ON d.plan_id = %(plan)s AND ST_Intersects(b.geom, d.geom)

-- name: without_rule
-- Zone codes of an edition that no rule speaks of.
SELECT DISTINCT z.zone_code FROM data.plan_zone z
WHERE z.plan_id = %(plan)s AND NOT EXISTS (
    SELECT FROM data.zone_rule r WHERE r.plan_id = z.plan_id AND r.zone_code = z.zone_code
) ORDER BY 1

-- name: split
-- Parcels with the given share in each of two or more kinds of zone, and those that lie mostly in none.
SELECT count(*) FILTER (WHERE kinds >= 2), count(*) FILTER (WHERE outside > 0.5), count(*)
FROM (
    SELECT f.subject_id, count(DISTINCT z.zone_code) FILTER (WHERE f.share >= %(share)s) AS kinds,
        coalesce(sum(f.share) FILTER (WHERE f.part = 'rest'), 0) AS outside
    FROM facts.parcel_zone f LEFT JOIN data.plan_zone z ON z.id = f.object_id
    WHERE f.in_group = %(plan)s GROUP BY f.subject_id
) parcels

-- name: widening
-- What the planned roads of an edition take: parcels and m2.
SELECT count(DISTINCT subject_id), coalesce(sum(area_m2), 0)
FROM facts.parcel_widening WHERE in_group = %(plan)s AND part <> 'rest'

-- name: of_parcel
-- All that the plans say of one parcel: its part in each zone, the zone's rules, widening and what is then allowed.
SELECT to_jsonb(p) FROM derived.parcel_plan p WHERE p.parcel_code = %(code)s
