-- name: source_view
-- The loads that rows of an audience's layers come from: what arrived, when, and what it was.
CREATE VIEW {view} AS
SELECT id AS run, layer, feed, regexp_replace(file, '^.*/', '') AS file, file_sha256 AS sha256,
    to_char(finished AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS loaded
FROM ops.run
WHERE kind IN ('load', 'derive', 'edit') AND status IN ('done', 'undone') AND layer = ANY({listed}::text[]);
COMMENT ON VIEW {view} IS 'Loads that rows come from | بارگذاری‌هایی که سطرها از آن‌هاست';

-- name: freshness_view
-- How fresh each fact is that an audience is told.
CREATE VIEW {view} AS
SELECT id AS fact, state, to_char(derived AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS derived
FROM ops.fact_state WHERE id = ANY({listed}::text[]);
COMMENT ON VIEW {view} IS 'How fresh each fact is | تازگی هر نتیجه';

-- name: place_branch
-- One searched text of one layer.
SELECT {layer} AS layer, v.id, v.{name} AS name, v.{key} AS key, v.run_id, v.geom FROM {view} AS v

-- name: sources
-- What is known of these loads.
SELECT jsonb_object_agg(s.run, jsonb_build_object(
    'layer', s.layer, 'feed', s.feed, 'file', s.file, 'sha256', s.sha256, 'loaded', s.loaded
))::text FROM {source} AS s WHERE s.run = ANY(%(runs)s::bigint[])

-- name: freshness
-- The facts that are not worked out from the layers as they are now.
SELECT jsonb_object_agg(f.fact, f.state)::text FROM {freshness} AS f
WHERE f.fact = ANY(%(facts)s::text[]) AND f.state <> 'fresh'

-- name: part_chosen
-- The parcel that is meant, by its id or by the surest reading of its code that exists.
SELECT p.* FROM {parcel} AS p
WHERE p.id = coalesce(%(parcel_id)s::bigint, (
    SELECT q.id FROM unnest(%(parcel_code)s::text[]) WITH ORDINALITY AS k (code, place)
    JOIN {parcel} AS q ON q.parcel_code = k.code ORDER BY k.place LIMIT 1
))

-- name: part_near
-- Parcels of the block that the code names, the nearest number first; else codes that begin alike.
SELECT coalesce(jsonb_agg(n.parcel_code ORDER BY n.far, n.parcel_code), '[]') FROM (
    SELECT p.parcel_code,
        abs((regexp_match(regexp_replace(p.parcel_code, '([^[:alnum:]]0+)*$', ''), '([0-9]+)$'))[1]::numeric
            - (regexp_match(k.short, '([0-9]+)$'))[1]::numeric) AS far
    FROM (
        SELECT DISTINCT regexp_replace(code, '([^[:alnum:]]0+)*$', '') AS short
        FROM unnest(%(parcel_code)s::text[]) AS given (code)
    ) AS k
    CROSS JOIN LATERAL (
        SELECT q.parcel_code FROM {parcel} AS q
        WHERE q.parcel_code LIKE replace(regexp_replace(k.short, '[[:alnum:]]+$', ''), '_', '\_') || '%%'
            AND length(k.short) > 2
        LIMIT 500
    ) AS p
    ORDER BY far NULLS LAST, p.parcel_code LIMIT 5
) AS n

-- name: part_edition
-- The edition of the detailed plan that holds for the chosen parcel: the one asked for, else the latest approved.
SELECT e.plan_id, d.id IS NOT NULL AS documented, d.title_fa, d.title_en, d.plan_kind, d.plan_status,
    d.approval_no, d.approval_date, d.document_url, d.run_id
FROM (
    SELECT DISTINCT z.in_group AS plan_id FROM {fact.parcel_zone} AS z JOIN chosen AS c ON c.id = z.subject_id
    WHERE z.in_group IS NOT NULL
) AS e
LEFT JOIN {plan_document} AS d ON d.plan_id = e.plan_id
WHERE %(plan_id)s::text IS NULL OR e.plan_id = %(plan_id)s::text
ORDER BY (d.plan_status = 'approved') DESC NULLS LAST, d.approval_date DESC NULLS LAST, e.plan_id DESC LIMIT 1

-- name: part_edition_json
-- The edition as it is told.
SELECT jsonb_build_object('plan_id', e.plan_id, 'title', jsonb_build_object('fa', e.title_fa, 'en', e.title_en),
    'plan_kind', e.plan_kind, 'plan_status', e.plan_status, 'approval_no', e.approval_no,
    'approval_date', e.approval_date, 'document', e.document_url, 'run', e.run_id) FROM edition AS e

-- name: part_zones
-- The zones of the chosen parcel in its edition; what is in none, or doubled, has no zone. Shares close to 1.
SELECT z.part, z.area_m2, z.share, z.run_id AS fact_run, o.zone_id, o.zone_code, o.zone_code_overlay,
    o.land_use_planned, o.run_id
FROM {fact.parcel_zone} AS z
JOIN chosen AS c ON c.id = z.subject_id
JOIN edition AS e ON e.plan_id = z.in_group
LEFT JOIN {plan_zone} AS o ON o.id = z.object_id

-- name: part_areas
-- The areas of the chosen parcel, each with its basis: never one.
SELECT c.area_grid_m2 AS grid, c.area_deed_m2 AS deed, c.area_measured_m2 AS measured,
    ST_Area(c.geom) * {unit} ^ 2 AS shape,
    coalesce((
        SELECT sum(w.area_m2) FILTER (WHERE w.part = 'in') FROM {fact.parcel_widening} AS w
        JOIN edition AS e ON e.plan_id = w.in_group WHERE w.subject_id = c.id
    ), 0) + coalesce((
        SELECT sum(w.area_m2) FILTER (WHERE w.part = 'overlap') FROM {fact.parcel_widening} AS w
        JOIN edition AS e ON e.plan_id = w.in_group WHERE w.subject_id = c.id
    ), 0) AS widening,
    (SELECT max(w.run_id) FROM {fact.parcel_widening} AS w JOIN edition AS e ON e.plan_id = w.in_group
        WHERE w.subject_id = c.id) AS widening_run
FROM chosen AS c

-- name: part_roads
-- The roads that the chosen parcel lies along: those of the plan, and streets that the plan leaves as they are.
-- The front are the edges whose both ends are as near to the axis as the parcel comes, within half a metre.
SELECT r.*, f.front_m, r.far * {unit} AS distance_m,
    degrees(ST_Azimuth(ST_Centroid(c.geom), ST_ClosestPoint(r.geom, ST_Centroid(c.geom)))) AS azimuth,
    greatest(coalesce(r.plan_half_m, r.width_plan_m / 2, 0) - r.far * {unit}, 0) AS offset_m
FROM chosen AS c
CROSS JOIN LATERAL (
    SELECT l.id, l.road_line_id, l.street_id, l.name_fa, l.name_en, l.road_hierarchy, l.width_existing_m,
        l.width_plan_m, l.widening_symmetric, true AS planned, l.run_id, l.geom, ST_Distance(l.geom, c.geom) AS far,
        CASE WHEN l.offset_left_m IS NOT NULL AND l.offset_right_m IS NOT NULL THEN
            CASE WHEN ST_Contains(ST_Buffer(l.geom, 60 / {unit}, 'side=left endcap=flat'), ST_Centroid(c.geom))
                THEN l.offset_left_m ELSE l.offset_right_m END END AS plan_half_m
    FROM {plan_road_line} AS l JOIN edition AS e ON e.plan_id = l.plan_id
    WHERE l.road_line_kind = 'axis' AND ST_DWithin(l.geom, c.geom, 60 / {unit})
    UNION ALL
    SELECT s.id, NULL, s.street_id, s.name_fa, s.name_en, s.road_hierarchy, s.width_existing_m,
        s.width_plan_m, NULL, false, s.run_id, s.geom, ST_Distance(s.geom, c.geom), NULL
    FROM {street} AS s
    WHERE ST_DWithin(s.geom, c.geom, 60 / {unit}) AND NOT EXISTS (
        SELECT FROM {plan_road_line} AS l JOIN edition AS e ON e.plan_id = l.plan_id WHERE l.street_id = s.street_id
    )
) AS r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(ST_Length(d.geom)) * {unit}, 0) AS front_m
    FROM ST_DumpSegments(ST_Boundary(c.geom)) AS d
    WHERE greatest(ST_Distance(ST_StartPoint(d.geom), r.geom), ST_Distance(ST_EndPoint(d.geom), r.geom))
        <= r.far + 0.5 / {unit}
) AS f
WHERE r.far * {unit} <= greatest(coalesce(r.width_existing_m, 0) / 2 + 2,
    coalesce(r.plan_half_m, r.width_plan_m / 2, 0), 5) AND f.front_m > 0.5

-- name: part_roads_json
-- The roads as they are told, the side by the eight winds.
SELECT coalesce(jsonb_agg(jsonb_build_object(
    'side', (ARRAY['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'])[1 + (round(r.azimuth / 45)::int %% 8)],
    'street', jsonb_build_object('street_id', r.street_id, 'name_fa', r.name_fa, 'name_en', r.name_en,
        'road_hierarchy', r.road_hierarchy),
    'planned', r.planned, 'width_existing_m', r.width_existing_m, 'width_plan_m', r.width_plan_m,
    'symmetric', r.widening_symmetric, 'front_m', round(r.front_m::numeric, 2),
    'axis_distance_m', round(r.distance_m::numeric, 2), 'offset_m', round(r.offset_m::numeric, 2),
    'run', r.run_id
) ORDER BY r.front_m DESC, r.street_id), '[]') FROM roads AS r

-- name: part_identity
-- The chosen parcel by name and place.
SELECT jsonb_build_object('parcel_id', c.id, 'parcel_code', c.parcel_code, 'block_code', c.block_code,
    'land_use', c.land_use, 'run', c.run_id) FROM chosen AS c

-- name: part_zones_json
-- The zones as they are told; shares in percent close to 100.00.
SELECT coalesce(jsonb_agg(jsonb_build_object('part', z.part, 'zone_code', z.zone_code, 'zone_id', z.zone_id,
    'overlay', z.zone_code_overlay, 'land_use_planned', z.land_use_planned, 'area_m2', round(z.area_m2::numeric, 2),
    'share_pct', round((100 * z.share)::numeric, 2), 'run', coalesce(z.run_id, z.fact_run)
) ORDER BY z.part, z.share DESC), '[]') FROM zones AS z

-- name: part_units
-- Region, district and neighbourhood at the point `at`; on a border the lower code.
SELECT jsonb_build_object(
    'region', (SELECT jsonb_build_object('code', r.region_code, 'name_fa', r.name_fa, 'name_en', r.name_en, 'run', r.run_id)
        FROM {region} AS r WHERE ST_Intersects(r.geom, at.geom) ORDER BY length(r.region_code), r.region_code LIMIT 1),
    'district', (SELECT jsonb_build_object('code', r.district_code, 'name_fa', r.name_fa, 'name_en', r.name_en, 'run', r.run_id)
        FROM {district} AS r WHERE ST_Intersects(r.geom, at.geom) ORDER BY length(r.district_code), r.district_code LIMIT 1),
    'neighbourhood', (SELECT jsonb_build_object('code', r.neighbourhood_code, 'name_fa', r.name_fa, 'name_en', r.name_en, 'run', r.run_id)
        FROM {neighbourhood} AS r WHERE ST_Intersects(r.geom, at.geom)
        ORDER BY length(r.neighbourhood_code), r.neighbourhood_code LIMIT 1)
)
