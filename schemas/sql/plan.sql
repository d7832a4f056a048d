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

-- name: drafts
-- The editions that wait to be approved.
SELECT d.plan_id FROM data.plan_document d WHERE d.plan_status = 'draft' ORDER BY 1

-- name: in_the_way
-- The editions in force where an edition lies, as the database judges it: by a hundredth of the smaller boundary, or of a zone where
-- one of them has no boundary. With each, since when it holds, and how much of it the edition does not cover.
SELECT o.id, o.plan_id, coalesce(o.valid_since, r.valid_from), coalesce(ST_Area(ST_Difference(o.geom, n.geom)), 0), coalesce(ST_Area(o.geom), 0)
FROM data.plan_document n JOIN data.plan_document o ON o.plan_kind = n.plan_kind AND o.id <> n.id AND o.plan_status = 'approved'
LEFT JOIN ops.run r ON r.id = o.run_id
WHERE n.plan_id = %(plan)s AND CASE
    WHEN o.geom IS NOT NULL AND n.geom IS NOT NULL
        THEN ST_Area(ST_Intersection(o.geom, n.geom)) > 0.01 * least(ST_Area(o.geom), ST_Area(n.geom))
    ELSE EXISTS (
        SELECT FROM data.plan_zone a JOIN data.plan_zone b ON b.geom && a.geom AND b.plan_id = o.plan_id
        WHERE a.plan_id = n.plan_id AND ST_Area(ST_Intersection(a.geom, b.geom)) > 0.01 * least(ST_Area(a.geom), ST_Area(b.geom))
    ) END
ORDER BY o.plan_id

-- name: document
-- One edition: its row, its state, since when it is so, and the feed that brought it.
SELECT d.id, d.plan_status, coalesce(d.valid_since, r.valid_from)
FROM data.plan_document d LEFT JOIN ops.run r ON r.id = d.run_id WHERE d.plan_id = %(plan)s FOR UPDATE OF d

-- name: one_feed
-- The feed that brought the rows, if it is the same for all: its next delivery may replace them as if it had brought them so.
SELECT CASE WHEN count(DISTINCT r.feed) = 1 AND bool_and(r.feed IS NOT NULL) THEN max(r.feed) END
FROM {target} t JOIN ops.run r ON r.id = t.run_id WHERE t.id = ANY(%(ids)s)

-- name: stage_rows
-- The rows as they are, to be changed aside.
INSERT INTO {stage} ({columns}, source_line) SELECT {columns}, source_line FROM {target} WHERE id = ANY(%(ids)s)

-- name: succeed
-- The one is in force, with the day of approval where it has none; the others are former.
UPDATE {stage} SET {state} = CASE WHEN {is_draft} THEN %(held)s ELSE %(former)s END,
    {dated} = CASE WHEN {is_draft} THEN coalesce({dated}, %(day)s::date) ELSE {dated} END

-- name: told
-- What the ledger says of it.
UPDATE ops.run SET message = %(message)s, accepted = %(accepted)s WHERE id = %(run)s
