-- name: source_view
-- The loads that rows of an audience's layers come from: what arrived, when, and what it was.
CREATE VIEW {view} AS
SELECT id AS run, layer, feed, regexp_replace(file, '^.*/', '') AS file, file_sha256 AS sha256,
    to_char(finished AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS loaded
FROM ops.run
WHERE kind IN ('load', 'derive', 'edit', 'raster', 'fabric') AND status IN ('done', 'undone') AND layer = ANY({listed}::text[]);
COMMENT ON VIEW {view} IS 'Loads that rows come from | بارگذاری‌هایی که سطرها از آن‌هاست';

-- name: quality_view
-- Results of quality measures in force, of layers and fields that an audience sees.
CREATE VIEW {view} AS
SELECT layer_id AS layer, quality_element AS element, quality_measure AS measure, field_id AS field, measured_value AS value,
    measured_unit AS unit, checked_rows AS checked, error_rows AS faulty, conformant, run_number AS run,
    to_char(measured_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS measured
FROM derived.quality_result
WHERE in_force AND layer_id = ANY({listed}::text[]) AND (field_id IS NULL OR layer_id || '.' || field_id = ANY({fields}::text[]));
COMMENT ON VIEW {view} IS 'Results of quality measures | نتایج سنجه‌های کیفیت';

-- name: quality_of
-- What was measured of one layer, the elements in the order of their names, whole deliveries before their fields.
SELECT coalesce(jsonb_agg(to_jsonb(q) - 'layer' ORDER BY q.element, q.field NULLS FIRST, q.measure), '[]')::text
FROM {view} AS q WHERE q.layer = %(layer)s

-- name: dates
-- When each layer was last written, as one JSON object.
SELECT coalesce(jsonb_object_agg(s.layer, s.loaded), '{{}}')::text FROM (SELECT layer, max(loaded) AS loaded FROM {view} GROUP BY layer) AS s

-- name: imagery_view
-- The raster sheets in force: what was seen when, and how sharply.
CREATE VIEW {view} AS
SELECT layer, sheet, acquired, greatest(pixel_x_m, pixel_y_m) AS pixel_m, run_id, footprint AS geom
FROM ops.raster WHERE current AND layer = ANY({listed}::text[]);
COMMENT ON VIEW {view} IS 'Raster sheets in force | تصویرهای جاری';

-- name: model_view
-- Rasters in force that are made of layers, of those that an audience sees: how far each was known, and whether it has changed since.
CREATE VIEW {view} AS
SELECT raster, sheet, layer, outdated, greatest(run_id, latest) AS run,
    to_char(loaded AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS made,
    to_char(changed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS changed
FROM ops.raster_state WHERE layer = ANY({listed}::text[]);
COMMENT ON VIEW {view} IS 'Rasters made of layers | تصویرهای ساخته‌شده از لایه‌ها';

-- name: freshness_view
-- How fresh each fact is that an audience is told.
CREATE VIEW {view} AS
SELECT id AS fact, state, to_char(derived AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS derived, changed, by_edits
FROM ops.fact_state WHERE id = ANY({listed}::text[]);
COMMENT ON VIEW {view} IS 'How fresh each fact is | تازگی هر نتیجه';

-- name: place_branch
-- One searched text of one layer.
SELECT {layer} AS layer, v.id, v.{name} AS name, v.{key} AS key, v.run_id, v.geom FROM {view} AS v

-- name: keep_names
-- The names of a layer are kept from now on.
SELECT ops.keep_names({layer}, {fields})

-- name: name_view
-- Every name once, of the texts that an audience sees.
CREATE VIEW {view} AS
SELECT layer, name, key, parts, id, run_id, geom FROM ops.place_name WHERE layer || '.' || field = ANY({shown}::text[]);
COMMENT ON VIEW {view} IS 'Every name once | هر نام یک بار'

-- name: sources
-- What is known of these loads.
SELECT jsonb_object_agg(s.run, jsonb_build_object(
    'layer', s.layer, 'feed', s.feed, 'file', s.file, 'sha256', s.sha256, 'loaded', s.loaded
))::text FROM {source} AS s WHERE s.run = ANY(%(runs)s::bigint[])

-- name: freshness
-- The facts that are not worked out from the layers as they are now; soon: it was edits a moment ago, which are being looked at.
SELECT jsonb_build_object(
    'never', coalesce(jsonb_agg(f.fact ORDER BY f.fact) FILTER (WHERE f.state = 'never'), '[]'),
    'stale', coalesce(jsonb_agg(f.fact ORDER BY f.fact) FILTER (WHERE f.state = 'stale'), '[]'),
    'soon', coalesce(bool_and(f.by_edits AND f.changed > now() - interval '10 seconds') FILTER (WHERE f.state = 'stale'), false)
)::text FROM {freshness} AS f WHERE (%(facts)s::text[] IS NULL OR f.fact = ANY(%(facts)s::text[])) AND f.state <> 'fresh'

-- name: named
-- NULL where something has this name, else the names that may have been meant.
SELECT CASE WHEN NOT EXISTS (SELECT FROM {layer} AS r WHERE r.{field} = %(value)s::text) THEN (
    SELECT coalesce(jsonb_agg(n.name ORDER BY n.alike DESC, n.name), '[]')::text FROM (
        SELECT d.name, similarity(d.name, %(value)s::text) AS alike
        FROM (SELECT DISTINCT r.{field} AS name FROM {layer} AS r) AS d ORDER BY alike DESC, d.name LIMIT 5
    ) AS n
) END

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

-- name: part_like_said
-- The names that are least unlike what was `said`, as a whole or in one of its words: name, and how far it is (0 to 1).
SELECT DISTINCT ON (n.name) n.name, n.far FROM (
    SELECT l.name, l.far FROM said AS s CROSS JOIN LATERAL (
        SELECT p.name, s.said <<-> p.key AS far FROM {name} AS p
        WHERE p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record') ORDER BY s.said <<-> p.key LIMIT 5) AS l
    UNION ALL
    SELECT l.name, l.far FROM (
        SELECT DISTINCT w.said FROM said AS s CROSS JOIN string_to_table(s.said, ' ') AS w (said) WHERE length(w.said) > 2
    ) AS s CROSS JOIN LATERAL (
        SELECT p.name, s.said <<-> p.key AS far FROM {name} AS p
        WHERE p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record') ORDER BY s.said <<-> p.key LIMIT 3) AS l
) AS n WHERE n.far < 0.7 ORDER BY n.name, n.far

-- name: part_edition
-- The edition of the detailed plan that holds for the chosen parcel: the one asked for, else the latest approved.
SELECT e.plan_id, d.id IS NOT NULL AS documented, d.title_fa, d.title_en, d.plan_kind, d.plan_status,
    d.approval_no, d.approval_date, d.document_url, d.street_choice, d.street_width_basis, d.run_id
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

-- name: part_front
-- The street whose width rules are about, as the edition chooses it: the widest along the chosen parcel unless it says otherwise.
SELECT w.street_id, w.name_fa, w.name_en, coalesce(e.street_choice, 'widest') AS choice,
    coalesce(e.street_width_basis, 'plan') AS basis, sum(d.length_m) AS front_m,
    max(CASE WHEN e.street_width_basis = 'existing' THEN w.width_existing_m
        ELSE coalesce(l.width_plan_m, w.width_plan_m, w.width_existing_m) END) AS width_m
FROM chosen AS c
LEFT JOIN edition AS e ON true
JOIN {fact.parcel_edge} AS d ON d.subject_id = c.id
JOIN {street} AS w ON w.id = d.way_id
LEFT JOIN LATERAL (
    SELECT max(a.width_plan_m) AS width_plan_m FROM {plan_road_line} AS a
    WHERE a.plan_id = e.plan_id AND a.street_id = w.street_id AND a.road_line_kind = 'axis'
) AS l ON true
GROUP BY w.street_id, w.name_fa, w.name_en, e.street_choice, e.street_width_basis
ORDER BY CASE WHEN e.street_choice = 'longest' THEN sum(d.length_m) END DESC NULLS LAST, width_m DESC NULLS LAST, front_m DESC,
    w.street_id
LIMIT 1

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
    'national_reference', c.national_reference, 'registration_plate', c.registration_plate, 'land_use', c.land_use,
    'plot_kind', c.plot_kind, 'plot_status', c.plot_status, 'geometry_source', c.geometry_source,
    'source_updated_on', c.source_updated_on, 'run', c.run_id) FROM chosen AS c

-- name: part_areas_json
-- The areas by their names, and each with its basis; what the audience does not see, or nobody stated, is NULL.
SELECT jsonb_build_object('grid_m2', round(a.grid::numeric, 2), 'deed_m2', a.deed, 'measured_m2', a.measured,
    'widening_m2', round(a.widening::numeric, 2), 'remainder_m2', round((a.grid - a.widening)::numeric, 2),
    'remainder_stated_m2', c.area_remainder_m2, 'after_chamfer_m2', c.area_after_chamfer_m2,
    'passage_m2', c.area_passage_m2, 'run', c.run_id,
    'bases', (SELECT jsonb_agg(jsonb_build_object('area', b.area, 'value', b.value, 'unit', b.unit,
        'basis', jsonb_build_object('en', b.en, 'fa', b.fa), 'run', b.run) ORDER BY b.place) FROM (VALUES
        (1, 'grid_m2', round(a.grid::numeric, 2), 'm2', c.run_id,
            'polygon on the grid of the city''s CRS', 'چندضلعی روی شبکه سیستم مختصات شهر'),
        (2, 'deed_m2', a.deed::numeric, 'm2', c.run_id, 'title deed, as delivered', 'سند مالکیت، به اظهار تحویل‌دهنده'),
        (3, 'measured_m2', a.measured::numeric, 'm2', c.run_id, 'measured on the ground, as delivered',
            'اندازه‌گیری زمینی، به اظهار تحویل‌دهنده'),
        (4, 'widening_m2', round(a.widening::numeric, 2), 'm2', coalesce(a.widening_run, c.run_id),
            'the part of the polygon inside planned roads', 'بخشی از چندضلعی درون گذرهای طرح'),
        (5, 'remainder_m2', round((a.grid - a.widening)::numeric, 2), 'm2', coalesce(a.widening_run, c.run_id),
            'grid area less widening', 'مساحت روی نقشه منهای اصلاحی'),
        (6, 'remainder_stated_m2', c.area_remainder_m2::numeric, 'm2', c.run_id,
            'remainder after widening, as delivered', 'باقی‌مانده پس از اصلاح، به اظهار تحویل‌دهنده'),
        (7, 'after_chamfer_m2', c.area_after_chamfer_m2::numeric, 'm2', c.run_id,
            'after the corner chamfer, as delivered', 'پس از پخ، به اظهار تحویل‌دهنده'),
        (8, 'passage_m2', c.area_passage_m2::numeric, 'm2', c.run_id,
            'private passage, as delivered', 'گذر اختصاصی، به اظهار تحویل‌دهنده'),
        (9, 'left_m2', coalesce(round(r.left_m2::numeric, 2), round(a.grid::numeric, 2)), 'm2', coalesce(r.run_id, c.run_id),
            'what planned roads and chamfers leave together', 'آنچه گذرها و پخ‌های طرح با هم باقی می‌گذارند')
    ) AS b (place, area, value, unit, run, en, fa)),
    'left_m2', coalesce(round(r.left_m2::numeric, 2), round(a.grid::numeric, 2)))
FROM chosen AS c CROSS JOIN areas AS a LEFT JOIN (
    SELECT m.* FROM {fact.parcel_remainder} AS m JOIN edition AS e ON e.plan_id = m.in_group
) AS r ON r.subject_id = c.id

-- name: part_corners_json
-- The corner table of the chosen parcel, as surveyors write it: from the north-west corner clockwise, with letters
-- A, B, ... Z, AA, ...; `edge_m` is the way along the boundary to the next corner, so that they add up to the perimeter.
SELECT coalesce(jsonb_agg(jsonb_build_object('corner', k.place,
    'letter', CASE WHEN k.place > 26 THEN chr((64 + (k.place - 1) / 26)::int) ELSE '' END
        || chr((65 + (k.place - 1) %% 26)::int),
    'part', k.polygon, 'ring', k.ring, 'e', round(ST_X(k.geom)::numeric, 2), 'n', round(ST_Y(k.geom)::numeric, 2),
    'edge_m', round(k.length_m::numeric, 2), 'run', k.run_id) ORDER BY k.place), '[]')
FROM (
    SELECT r.polygon, r.ring, max(r.run_id) AS run_id, sum(r.length_m) AS length_m,
        (array_agg(ST_StartPoint(r.geom) ORDER BY r.seq))[1] AS geom, row_number() OVER (ORDER BY min(r.seq)) AS place
    FROM (
        SELECT e.*, count(*) FILTER (WHERE e.corner) OVER (PARTITION BY e.polygon, e.ring ORDER BY e.seq) AS run_no
        FROM chosen AS c JOIN {fact.parcel_edge} AS e ON e.subject_id = c.id
    ) AS r GROUP BY r.polygon, r.ring, r.run_no
) AS k

-- name: part_edges_json
-- The edges of the chosen parcel, each with the one thing it borders on and its four lengths. What a deed says of a side
-- is that of the edge where the side has no other. `after_widening` is NULL where no edition of a plan says anything.
SELECT coalesce(jsonb_agg(jsonb_build_object('edge', e.seq, 'part', e.polygon, 'ring', e.ring, 'side', e.side,
    'azimuth_deg', round(e.outwards_deg::numeric, 2),
    'borders', CASE e.beside WHEN 'way' THEN 'street' WHEN 'neighbour' THEN 'parcel' ELSE 'other' END,
    'parcel_code', p.parcel_code, 'street_id', s.street_id, 'name_fa', s.name_fa, 'name_en', s.name_en,
    'length_map_m', round(e.length_m::numeric, 2),
    'deed', (SELECT jsonb_build_object('length_deed_m', d.length_deed_m, 'length_measured_m', d.length_measured_m,
        'measured_on', d.measured_on, 'run', d.run_id)
        FROM {edge_dimension} AS d WHERE d.parcel_code = c.parcel_code
            AND (d.edge_ref = e.seq::text OR d.edge_ref = e.side AND e.alone)
        ORDER BY d.edge_ref = e.seq::text DESC LIMIT 1),
    'after_widening', (SELECT jsonb_build_object('length_m', round(coalesce(w.left_m, e.length_m)::numeric, 2),
        'depth_m', round(coalesce(w.depth_m, 0)::numeric, 2), 'run', coalesce(w.run_id, e.run_id))
        FROM edition AS f LEFT JOIN {fact.parcel_edge_widening} AS w
            ON w.subject_id = c.id AND w.seq = e.seq AND w.in_group = f.plan_id),
    'after_chamfer', (SELECT jsonb_build_object('length_m', round(coalesce(v.left_m, w.left_m, e.length_m)::numeric, 2),
        'run', coalesce(v.run_id, w.run_id, e.run_id))
        FROM edition AS f LEFT JOIN {fact.parcel_edge_widening} AS w
            ON w.subject_id = c.id AND w.seq = e.seq AND w.in_group = f.plan_id
        LEFT JOIN {fact.parcel_edge_chamfer} AS v
            ON v.subject_id = c.id AND v.seq = e.seq AND v.in_group = f.plan_id AND v.object_id IS NULL),
    'run', e.run_id) ORDER BY e.seq), '[]')
FROM chosen AS c JOIN (
    SELECT a.*, count(*) OVER (PARTITION BY a.side) = 1 AS alone
    FROM chosen AS o JOIN {fact.parcel_edge} AS a ON a.subject_id = o.id
) AS e ON true
LEFT JOIN {parcel} AS p ON p.id = e.object_id LEFT JOIN {street} AS s ON s.id = e.way_id

-- name: part_chamfers_json
-- The corner chamfers of the edition on the chosen parcel: each is an edge of its own between two others, clockwise.
SELECT coalesce(jsonb_agg(jsonb_build_object('chamfer_id', h.chamfer_id, 'chamfer_m', h.chamfer_m,
    'after_edge', v.seq, 'before_edge', v.next_seq, 'length_m', round(v.left_m::numeric, 2),
    'from', jsonb_build_object('e', round(ST_X(ST_StartPoint(v.geom))::numeric, 2), 'n', round(ST_Y(ST_StartPoint(v.geom))::numeric, 2)),
    'to', jsonb_build_object('e', round(ST_X(ST_EndPoint(v.geom))::numeric, 2), 'n', round(ST_Y(ST_EndPoint(v.geom))::numeric, 2)),
    'run', v.run_id) ORDER BY v.seq, v.id), '[]')
FROM chosen AS c JOIN {fact.parcel_edge_chamfer} AS v ON v.subject_id = c.id JOIN edition AS f ON f.plan_id = v.in_group
JOIN {chamfer} AS h ON h.id = v.object_id

-- name: part_code_history_json
-- The codes that the chosen parcel had before, the latest first: each chain of renumberings as far back as it is known.
SELECT coalesce(jsonb_agg(jsonb_build_object('former_code', h.former_code, 'parcel_code', h.parcel_code,
    'code_from', h.code_from, 'code_until', h.code_until, 'change_reason', h.change_reason, 'case_ref', h.case_ref,
    'run', h.run_id) ORDER BY h.steps, h.code_until DESC NULLS LAST, h.former_code), '[]')
FROM (
    WITH RECURSIVE chain AS (
        SELECT k.*, 1 AS steps FROM chosen AS c JOIN {parcel_code_history} AS k ON k.parcel_code = c.parcel_code
        UNION
        SELECT k.*, r.steps + 1 FROM chain AS r JOIN {parcel_code_history} AS k ON k.parcel_code = r.former_code
        WHERE r.steps < 20
    )
    SELECT DISTINCT ON (former_code, parcel_code) * FROM chain ORDER BY former_code, parcel_code, steps
) AS h

-- name: part_lineage_json
-- What the chosen parcel was made of, and what of it went elsewhere.
SELECT coalesce(jsonb_agg(jsonb_build_object('lineage_op', l.lineage_op, 'parent_code', l.parent_code,
    'child_code', l.child_code, 'child_kind', l.child_kind, 'area_transferred_m2', l.area_transferred_m2,
    'lineage_date', l.lineage_date, 'case_ref', l.case_ref, 'run', l.run_id)
    ORDER BY l.lineage_date DESC NULLS LAST, l.case_ref, l.parent_code, l.child_code), '[]')
FROM chosen AS c CROSS JOIN LATERAL (
    SELECT a.* FROM {parcel_lineage} AS a WHERE a.child_code = c.parcel_code
    UNION
    SELECT a.* FROM {parcel_lineage} AS a WHERE a.parent_code = c.parcel_code
) AS l

-- name: part_neighbours_json
-- Parcels that share a border with the chosen one.
SELECT coalesce(jsonb_agg(jsonb_build_object('parcel_code', p.parcel_code,
    'border_m', round(n.border_m::numeric, 2), 'run', n.run_id) ORDER BY p.parcel_code), '[]')
FROM chosen AS c JOIN {fact.parcel_neighbour} AS n ON n.subject_id = c.id JOIN {parcel} AS p ON p.id = n.object_id

-- name: part_buildings_json
-- Buildings that stand on the chosen parcel.
SELECT coalesce(jsonb_agg(jsonb_build_object('building_code', b.building_code,
    'floors_above', b.floors_above, 'floors_below', b.floors_below, 'footprint_grid_m2', b.footprint_grid_m2,
    'built_m2', round((b.footprint_grid_m2 * b.floors_above)::numeric, 2), 'height_m', b.height_m,
    'structure', b.structure, 'facade_material', b.facade_material,
    'building_use', b.building_use, 'built_year_jalali', b.built_year_jalali, 'run', b.run_id)
    ORDER BY b.building_code), '[]') FROM chosen AS c JOIN {building} AS b ON b.geom && c.geom AND b.parcel_code = c.parcel_code

-- name: part_units_json
-- Flats and shops that the audit found there, without their people.
SELECT coalesce(jsonb_agg(jsonb_build_object('audit_code', u.audit_code, 'unit_no', u.unit_no, 'postcode', u.postcode,
    'use_text', u.use_text, 'area_built_m2', u.area_built_m2, 'floor_count', u.floor_count, 'visited_on', u.visited_on,
    'audit_round', u.audit_round, 'matched_by', f.method, 'run', u.run_id)
    ORDER BY u.audit_round, u.audit_code, u.unit_no, u.audit_row), '[]')
FROM chosen AS c JOIN {fact.audit_parcel} AS f ON f.object_id = c.id JOIN {audit_record} AS u ON u.id = f.subject_id

-- name: part_registered_units_json
-- Flats and shops of the chosen parcel by their unique codes.
SELECT coalesce(jsonb_agg(jsonb_build_object('unit_code', u.unit_code, 'building_code', u.building_code, 'unit_kind', u.unit_kind,
    'unit_use', u.unit_use, 'floor_no', u.floor_no, 'area_net_m2', u.area_net_m2, 'parking_count', u.parking_count,
    'registration_plate', u.registration_plate, 'run', u.run_id) ORDER BY u.floor_no, length(u.unit_code), u.unit_code), '[]')
FROM chosen AS c JOIN {building_unit} AS u ON u.parcel_code = c.parcel_code

-- name: part_plates_json
-- Every registration plate of the chosen parcel, that of the parcel itself first.
SELECT coalesce(jsonb_agg(jsonb_build_object('registration_plate', r.registration_plate, 'separated_from', r.separated_from,
    'piece_no', r.piece_no, 'run', r.run_id) ORDER BY r.place, r.registration_plate), '[]')
FROM chosen AS c CROSS JOIN LATERAL (
    SELECT 1 AS place, c.registration_plate, NULL::text AS separated_from, NULL::text AS piece_no, c.run_id
    WHERE c.registration_plate IS NOT NULL
    UNION ALL
    SELECT 2, a.registration_plate, a.separated_from, a.piece_no, a.run_id FROM {parcel_plate} AS a WHERE a.parcel_code = c.parcel_code
) AS r

-- name: part_cases_json
-- References to cases about the chosen parcel, open ones first.
SELECT coalesce(jsonb_agg(jsonb_build_object('case_system', f.case_system, 'case_no', f.case_no, 'case_type', f.case_type,
    'case_stage', f.case_stage, 'opened_on', f.opened_on, 'closed_on', f.closed_on, 'run', f.run_id)
    ORDER BY f.closed_on DESC NULLS FIRST, f.opened_on DESC, f.case_no), '[]')
FROM chosen AS c JOIN {case_file} AS f ON f.parcel_code = c.parcel_code

-- name: part_special_areas_json
-- Special areas (heritage, buffers and the like) that the chosen parcel lies in.
SELECT coalesce(jsonb_agg(jsonb_build_object('kind', s.special_area_kind, 'name_fa', s.name_fa,
    'name_en', s.name_en, 'area_m2', round(f.area_m2::numeric, 2), 'share_pct', round((100 * f.share)::numeric, 2),
    'run', s.run_id) ORDER BY s.special_area_kind, s.special_area_id), '[]')
FROM chosen AS c JOIN {fact.parcel_special_area} AS f ON f.subject_id = c.id AND f.part = 'in'
JOIN {special_area} AS s ON s.id = f.object_id

-- name: part_projects_json
-- Projects that take some of the chosen parcel.
SELECT coalesce(jsonb_agg(jsonb_build_object('project_no', j.project_no, 'title_fa', j.title_fa,
    'title_en', j.title_en, 'notice_date', j.notice_date, 'project_status', j.project_status,
    'area_m2', round(j.area_m2::numeric, 2), 'run', j.run_id) ORDER BY j.project_no), '[]')
FROM (
    SELECT j.*, ST_Area(ST_Intersection(j.geom, c.geom)) * {unit} ^ 2 AS area_m2
    FROM chosen AS c JOIN {project} AS j ON ST_Intersects(j.geom, c.geom)
) AS j WHERE j.area_m2 > 0.01

-- name: part_census_json
-- The census blocks that the chosen parcel lies in, the latest census first; small cells are masked.
SELECT coalesce(jsonb_agg(jsonb_build_object('census_year', b.census_year, 'census_code', b.census_code,
    'area_m2', round(f.area_m2::numeric, 2), 'share_pct', round((100 * f.share)::numeric, 2), 'population', p.population,
    'households', p.households, 'dwellings', p.dwellings, 'masked', p.masked, 'run', b.run_id)
    ORDER BY b.census_year DESC, f.area_m2 DESC), '[]')
FROM chosen AS c JOIN {fact.parcel_census_block} AS f ON f.subject_id = c.id AND f.part = 'in'
JOIN {census_block} AS b ON b.id = f.object_id LEFT JOIN {census_population} AS p ON p.id = f.object_id

-- name: part_terrain_json
-- Heights and slope of the chosen parcel, NULL where there is no elevation model.
SELECT jsonb_build_object('height_min_m', t.height_min_m, 'height_mean_m', t.height_mean_m,
    'height_max_m', t.height_max_m, 'slope_mean_deg', t.slope_mean_deg, 'slope_max_deg', t.slope_max_deg, 'run', t.run_id)
FROM chosen AS c JOIN {parcel_terrain} AS t ON t.parcel_code = c.parcel_code

-- name: part_imagery_json
-- The pictures and elevation models in force over the chosen parcel.
SELECT coalesce(jsonb_agg(jsonb_build_object('raster', i.layer, 'sheet', i.sheet, 'acquired', i.acquired,
    'pixel_m', round(i.pixel_m::numeric, 3), 'run', i.run_id) ORDER BY i.layer, i.acquired, i.sheet), '[]')
FROM chosen AS c JOIN {imagery} AS i ON ST_Intersects(i.geom, c.geom)

-- name: part_documents_json
-- The documents behind the facts.
SELECT coalesce(jsonb_agg(jsonb_build_object('kind', 'plan', 'plan_id', e.plan_id,
    'title', jsonb_build_object('fa', e.title_fa, 'en', e.title_en), 'approval_no', e.approval_no,
    'approval_date', e.approval_date, 'document', e.document_url, 'run', e.run_id)), '[]')
FROM edition AS e WHERE e.documented

-- name: part_archive_json
-- What the archive has of the chosen parcel.
SELECT coalesce(jsonb_agg(jsonb_build_object('kind', a.document_kind, 'document_no', a.document_no,
    'title', jsonb_build_object('fa', a.title_fa, 'en', NULL), 'issued_on', a.issued_on, 'case_no', a.case_no,
    'document', a.document_url, 'run', a.run_id) ORDER BY a.issued_on DESC NULLS LAST, a.document_no), '[]')
FROM chosen AS c JOIN {archive_document} AS a ON a.parcel_code = c.parcel_code

-- name: part_findings_json
-- What is known to be wrong with the chosen parcel, or at its place with what stands there. The OFFSET lets the view be
-- planned for this one place, by the index: as one of so many tables it would be read as a whole.
SELECT coalesce(jsonb_agg(jsonb_build_object('finding_code', q.finding_code, 'finding_severity', q.finding_severity,
    'finding_state', q.finding_state, 'layer_id', q.layer_id, 'row_key', q.row_key, 'field_id', q.field_id,
    'explanation', jsonb_build_object('en', q.explanation_en, 'fa', q.explanation_fa), 'run', q.run_number)
    ORDER BY q.finding_severity, q.finding_code, q.id), '[]')
FROM chosen AS c CROSS JOIN LATERAL (
    SELECT f.* FROM {quality_finding} AS f WHERE f.geom && c.geom AND ST_Intersects(f.geom, c.geom) OFFSET 0
) AS q

-- name: surroundings
-- What a map of the parcel shows, in the city's CRS: the frame (millimetres on paper) at the largest of the scales that
-- leaves a margin, and everything that meets it.
WITH chosen AS (
    SELECT p.* FROM {parcel} AS p WHERE p.id = %(parcel_id)s::bigint
),
edition AS MATERIALIZED {part.edition},
frame AS MATERIALIZED (
    SELECT s.scale, s.x, s.y, ST_MakeEnvelope(s.x - s.wide, s.y - s.high, s.x + s.wide, s.y + s.high, {srid}) AS geom
    FROM (
        SELECT k.scale, (ST_XMin(c.geom) + ST_XMax(c.geom)) / 2 AS x, (ST_YMin(c.geom) + ST_YMax(c.geom)) / 2 AS y,
            %(width_mm)s::float8 * k.scale / 2000 / {unit} AS wide, %(height_mm)s::float8 * k.scale / 2000 / {unit} AS high,
            ST_XMax(c.geom) - ST_XMin(c.geom) AS across, ST_YMax(c.geom) - ST_YMin(c.geom) AS up
        FROM chosen AS c CROSS JOIN unnest(%(scales)s::int[]) AS k (scale)
    ) AS s ORDER BY s.across > 1.7 * s.wide OR s.up > 1.7 * s.high, s.scale LIMIT 1
)
SELECT jsonb_build_object('scale', f.scale, 'x', f.x, 'y', f.y, 'unit_m', {unit},
    'parcels', (SELECT coalesce(jsonb_agg(jsonb_build_object('parcel_code', p.parcel_code, 'own', p.id = c.id,
        'geom', ST_AsGeoJSON(p.geom, 3)::jsonb) ORDER BY p.id), '[]') FROM {parcel} AS p WHERE p.geom && f.geom),
    'buildings', (SELECT coalesce(jsonb_agg(jsonb_build_object('geom', ST_AsGeoJSON(b.geom, 3)::jsonb)), '[]')
        FROM {building} AS b WHERE b.geom && f.geom),
    'zones', (SELECT coalesce(jsonb_agg(jsonb_build_object('zone_code', z.zone_code,
        'geom', ST_AsGeoJSON(ST_ClipByBox2D(ST_Boundary(z.geom), ST_Expand(f.geom, 10)), 3)::jsonb)), '[]')
        FROM {plan_zone} AS z JOIN edition AS e ON e.plan_id = z.plan_id WHERE z.geom && f.geom),
    'roads', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', l.road_line_kind,
        'geom', ST_AsGeoJSON(l.geom, 3)::jsonb)), '[]')
        FROM {plan_road_line} AS l JOIN edition AS e ON e.plan_id = l.plan_id WHERE l.geom && f.geom),
    'bevels', (SELECT coalesce(jsonb_agg(jsonb_build_object('own', v.subject_id = c.id, 'length_m', v.left_m,
        'geom', ST_AsGeoJSON(v.geom, 3)::jsonb) ORDER BY v.id), '[]')
        FROM {fact.parcel_edge_chamfer} AS v JOIN edition AS e ON e.plan_id = v.in_group WHERE v.geom && f.geom),
    'streets', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', jsonb_build_object('fa', s.name_fa, 'en', s.name_en), 'geom', ST_AsGeoJSON(ST_ClipByBox2D(s.geom, f.geom), 3)::jsonb)), '[]')
        FROM {street} AS s WHERE s.geom && f.geom AND ST_Intersects(s.geom, f.geom))
)::text
FROM frame AS f CROSS JOIN chosen AS c

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

-- name: part_fitting
-- The rules of the zones of the chosen parcel that fit its area and streets; `base` is what a rule's percentages are of.
SELECT z.zone_id, z.zone_code, z.area_m2, z.share, z.run_id, z.land_use_planned, r.*,
    z.share * CASE r.area_basis WHEN 'deed' THEN a.deed WHEN 'measured' THEN coalesce(a.measured, a.grid)
        ELSE a.grid - a.widening END AS base,
    row_number() OVER (PARTITION BY z.zone_id ORDER BY r.rule_no) AS place
FROM zones AS z CROSS JOIN areas AS a JOIN edition AS e ON true
LEFT JOIN LATERAL (
    SELECT q.rule_no, q.area_basis, q.coverage_pct, q.far_pct, q.max_floors, q.max_height_m, q.min_plot_m2,
        q.min_frontage_m, q.setback_m, q.parking_per_dwelling, q.run_id AS rule_run_id
    FROM {zone_rule} AS q
    WHERE q.plan_id = e.plan_id AND q.zone_code = z.zone_code
        AND a.grid - a.widening >= coalesce(q.plot_area_from_m2, 0)
        AND a.grid - a.widening < coalesce(q.plot_area_to_m2, 'Infinity')
        AND (q.street_width_from_m IS NULL OR (SELECT w.width_m FROM front AS w) >= q.street_width_from_m)
        AND (q.street_width_to_m IS NULL OR (SELECT w.width_m FROM front AS w) < q.street_width_to_m)
) AS r ON true
WHERE z.part = 'in'

-- name: part_allowed
-- What the fitting rules allow together; a person has to decide where there is none, several, or more than one zone.
SELECT sum(f.base * f.coverage_pct / 100) FILTER (WHERE f.place = 1) AS footprint,
    sum(f.base * f.far_pct / 100) FILTER (WHERE f.place = 1) AS floor_area,
    min(f.max_floors) AS max_floors, max(f.setback_m) AS setback_m, max(coalesce(f.rule_run_id, f.run_id)) AS run_id,
    coalesce(count(DISTINCT f.zone_id) <> 1 OR bool_or(f.rule_no IS NULL OR f.place > 1), true)
        OR EXISTS (SELECT FROM zones AS z WHERE z.part <> 'in') AS manual
FROM fitting AS f

-- name: part_remainder
-- The chosen parcel without the planned roads along it.
SELECT ST_Difference(c.geom, coalesce((
    SELECT ST_Union(ST_Buffer(r.geom, coalesce(r.plan_half_m, r.width_plan_m / 2, 0) / {unit}, 'endcap=flat'))
    FROM roads AS r WHERE r.planned
), ST_GeomFromText('POLYGON EMPTY', {srid}))) AS geom FROM chosen AS c

-- name: part_built
-- Floor area of the buildings of the parcels `meant`: by use, and by the structures that have prices of their own.
SELECT u.parcel_code, jsonb_object_agg(u.use, round(u.area::numeric, 2)) AS uses, sum(u.other) AS other, sum(u.steel) AS steel,
    sum(u.concrete) AS concrete, max(u.run_id) AS run_id
FROM (
    SELECT g.parcel_code, coalesce(g.building_use, 'unknown') AS use, sum(g.footprint_grid_m2 * g.floors_above) AS area,
        sum(g.footprint_grid_m2 * g.floors_above) FILTER (WHERE g.structure = 'steel') AS steel,
        sum(g.footprint_grid_m2 * g.floors_above) FILTER (WHERE g.structure = 'concrete') AS concrete,
        sum(g.footprint_grid_m2 * g.floors_above) FILTER (WHERE coalesce(g.structure, '') NOT IN ('steel', 'concrete')) AS other,
        max(g.run_id) AS run_id
    FROM {building} AS g JOIN meant AS m ON m.parcel_code = g.parcel_code AND g.geom && m.geom
    WHERE g.geom && (SELECT ST_SetSRID(ST_Extent(x.geom)::geometry, {srid}) FROM meant AS x)
    GROUP BY g.parcel_code, coalesce(g.building_use, 'unknown')
) AS u GROUP BY u.parcel_code

-- name: part_levy_size
-- Parcels that are meant.
SELECT CASE WHEN %(whole_city)s::boolean THEN (SELECT count(*) FROM {parcel} AS p)
    WHEN %(region_code)s::text IS NOT NULL THEN (
        SELECT count(*) FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
        WHERE r.region_code = %(region_code)s::text AND f.part = 'in')
    ELSE (SELECT count(*) FROM {part.in_block} AS k WHERE k.block = %(block_code)s::text) END

-- name: part_levy_parts
-- The parcels of a region or of the city by their ids, some thousands at a time. A parcel in two regions is in the one that
-- holds more of it.
SELECT jsonb_agg(l.ids ORDER BY l.place) FROM (
    SELECT n.place, jsonb_agg(n.id ORDER BY n.parcel_code) AS ids FROM (
        SELECT p.id, p.parcel_code, (row_number() OVER (ORDER BY p.parcel_code) - 1) / 10000 AS place
        FROM {parcel} AS p WHERE %(region_code)s::text IS NULL OR %(region_code)s::text = (
            SELECT r.region_code FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
            WHERE f.subject_id = p.id AND f.part = 'in' ORDER BY f.share DESC, r.region_code LIMIT 1)
    ) AS n GROUP BY n.place
) AS l

-- name: part_levied
-- The variables of each parcel that is meant, with the prices that are given instead of those of the price block.
WITH meant AS MATERIALIZED (
    SELECT p.* FROM {part.chosen} AS p
    UNION ALL
    SELECT p.* FROM {parcel} AS p WHERE p.id IN (SELECT k.id FROM {part.in_block} AS k WHERE k.block = %(block_code)s::text)
    UNION ALL
    SELECT p.* FROM {parcel} AS p WHERE p.id = ANY(%(part)s::bigint[])
),
priced AS MATERIALIZED {part.price},
price AS MATERIALIZED (
    SELECT m.id AS parcel_id, c.price_block_code, c.price_no, c.price_choice, c.run_id, %(land_price_irr)s::bigint IS NOT NULL AS given,
        coalesce(%(land_price_irr)s::bigint, c.land) AS land, coalesce(%(building_price_irr)s::bigint, c.building) AS building,
        coalesce(%(building_price_irr)s::bigint, c.steel) AS steel, coalesce(%(building_price_irr)s::bigint, c.concrete) AS concrete
    FROM meant AS m LEFT JOIN priced AS c ON c.parcel_id = m.id
)
SELECT jsonb_build_object('year', %(year)s::int, 'items', {part.levy_items}) FROM meant AS x HAVING count(*) > 0

-- name: part_levy_items
-- The variables of the parcels `meant`: land by its deed, else by the map; floors by footprint and number; prices of `price`.
WITH built AS MATERIALIZED {part.built},
zoned AS MATERIALIZED {part.shares}
SELECT jsonb_agg(jsonb_build_object(
    'parcel_id', m.id, 'parcel_code', m.parcel_code, 'land_basis', CASE WHEN m.area_deed_m2 IS NULL THEN 'grid' ELSE 'deed' END,
    'built_by_use_m2', coalesce(b.uses, '{{}}'), 'zone_shares', coalesce(z.shares, '{{}}'),
    'variables', jsonb_build_object('land_area_m2', coalesce(m.area_deed_m2, m.area_grid_m2),
        'built_area_m2', coalesce(b.other, 0), 'built_area_steel_m2', coalesce(b.steel, 0),
        'built_area_concrete_m2', coalesce(b.concrete, 0), 'land_price_irr', c.land, 'building_price_irr', c.building,
        'building_price_steel_irr', c.steel, 'building_price_concrete_irr', c.concrete),
    'price', jsonb_build_object('price_block_code', c.price_block_code, 'price_no', c.price_no, 'price_choice', c.price_choice,
        'given', coalesce(c.given, false), 'run', c.run_id),
    'run', m.run_id, 'building', jsonb_build_object('run', b.run_id), 'zones', jsonb_build_object('run', z.run_id)
) ORDER BY m.parcel_code)
FROM meant AS m LEFT JOIN built AS b ON b.parcel_code = m.parcel_code LEFT JOIN price AS c ON c.parcel_id = m.id
LEFT JOIN zoned AS z ON z.parcel_id = m.id

-- name: part_walk
-- The parcels `meant` (with their `block`) in the order in which one walks round their blocks, `legs` (block_code, leg): clockwise from the north-west corner. A
-- parcel stands where the middle of its longest run along the perimeter is; one inside at the nearest place of the perimeter, after
-- those that stand there; one whose block is not known comes last.
WITH outer_ring AS (
    SELECT DISTINCT ON (b.block_code) b.block_code, b.run_id, ST_ExteriorRing(ST_ForcePolygonCW(d.geom)) AS ring
    FROM {block} AS b CROSS JOIN LATERAL ST_Dump(b.geom) AS d WHERE b.block_code IN (SELECT l.block_code FROM legs AS l)
    ORDER BY b.block_code, ST_Length(ST_ExteriorRing(d.geom)) DESC
),
walk AS (
    SELECT o.*, ST_Length(o.ring) AS length, ST_LineLocatePoint(o.ring, (
        SELECT d.geom FROM ST_DumpPoints(o.ring) AS d ORDER BY ST_Y(d.geom) - ST_X(d.geom) DESC, d.path LIMIT 1
    )) AS origin FROM outer_ring AS o
),
stood AS (
    SELECT m.id, m.parcel_code, m.block AS block_code, m.run_id, l.leg, w.run_id AS block_run, w.length, w.ring, f.middle IS NOT NULL AS fronts,
        coalesce(f.middle, ST_ClosestPoint(w.ring, i.inner), i.inner) AS stop,
        mod((ST_LineLocatePoint(w.ring, coalesce(f.middle, ST_ClosestPoint(w.ring, i.inner))) - w.origin + 1)::numeric, 1) AS at
    FROM meant AS m CROSS JOIN LATERAL (SELECT ST_PointOnSurface(m.geom) AS inner) AS i
    LEFT JOIN walk AS w ON w.block_code = m.block LEFT JOIN legs AS l ON l.block_code = m.block
    LEFT JOIN LATERAL (
        SELECT ST_LineInterpolatePoint(r.geom, 0.5) AS middle
        FROM ST_Dump(ST_LineMerge(ST_CollectionExtract(ST_Intersection(ST_Boundary(m.geom), ST_Buffer(w.ring, 0.2 / {unit})), 2))) AS r
        WHERE ST_Length(r.geom) > 0.5 / {unit} ORDER BY ST_Length(r.geom) DESC LIMIT 1
    ) AS f ON true
)
SELECT t.*, row_number() OVER (ORDER BY t.leg NULLS LAST, round(t.at, 6) NULLS LAST, NOT t.fronts, length(t.parcel_code), t.parcel_code) AS place
FROM stood AS t

-- name: part_by_code
-- The codes of the set `coded` (parcel_code) in the order in which people read them: numbers as numbers.
SELECT c.code, row_number() OVER (ORDER BY regexp_replace(c.code, '[0-9]+', '00000000', 'g'),
    (SELECT array_agg(lpad(d[1], 12, '0')) FROM regexp_matches(c.code, '[0-9]+', 'g') AS d), c.code) AS place
FROM coded AS c

-- name: part_in_block
-- Every parcel with its block: that of its code; where the city's codes tell none, the one that has most of its ground.
SELECT p.id, p.block_code AS block FROM {parcel} AS p WHERE p.block_code IS NOT NULL
UNION ALL
SELECT p.id, b.block_code FROM {block} AS b JOIN {fact.parcel_block} AS f ON f.object_id = b.id AND f.part = 'in' JOIN {parcel} AS p ON p.id = f.subject_id
WHERE p.block_code IS NULL AND NOT EXISTS (SELECT FROM {fact.parcel_block} AS g
    WHERE g.subject_id = f.subject_id AND g.part = 'in' AND (g.share > f.share OR g.share = f.share AND g.object_id < f.object_id))

-- name: part_block_by_place
-- The block that has most of the ground of the parcel `p`.
SELECT b.block_code FROM {fact.parcel_block} AS f JOIN {block} AS b ON b.id = f.object_id
WHERE f.subject_id = p.id AND f.part = 'in' ORDER BY f.share DESC, f.object_id LIMIT 1

-- name: part_delivered
-- The parcels that a delivery is about, with their blocks: of a block, of the blocks of a route, or of a list.
SELECT p.*, k.block FROM {part.in_block} AS k JOIN {parcel} AS p ON p.id = k.id WHERE k.block = %(block_code)s::text
UNION ALL
SELECT p.*, k.block FROM {part.in_block} AS k JOIN {parcel} AS p ON p.id = k.id
WHERE k.block = ANY (ARRAY(SELECT b.value FROM jsonb_array_elements_text(%(blocks)s::jsonb) AS b))
UNION ALL
SELECT p.*, CASE WHEN p.block_code IS NULL THEN {part.block_by_place} ELSE p.block_code END AS block FROM {parcel} AS p WHERE p.id IN (SELECT g.value::bigint FROM jsonb_array_elements_text(%(parcels)s::jsonb) AS g)

-- name: part_legs
-- The blocks of the parcels `meant` in the order in which they are walked: that of the route, else that of their codes.
SELECT c.code AS block_code, coalesce(r.place, c.place) AS leg
FROM (WITH coded AS (SELECT DISTINCT m.block AS code FROM meant AS m WHERE m.block IS NOT NULL) SELECT * FROM {part.by_code} AS k) AS c
LEFT JOIN (
    SELECT b.value AS block_code, min(b.place) AS place
    FROM jsonb_array_elements_text(%(blocks)s::jsonb) WITH ORDINALITY AS b (value, place) GROUP BY b.value
) AS r ON r.block_code = c.code

-- name: part_addresses
-- Where the post finds the parcels `meant`, an array for each: postcode, address, house number, unit.
SELECT f.object_id AS parcel_id, jsonb_agg(jsonb_build_object('postcode', k.postcode, 'address_text', k.address_text,
    'plaque_no', k.plaque_no, 'unit_no', k.unit_no, 'run', k.run_id) ORDER BY k.unit_no NULLS FIRST, k.postcode) AS told
FROM {fact.postcode_parcel} AS f JOIN meant AS m ON m.id = f.object_id JOIN {postcode} AS k ON k.id = f.subject_id
GROUP BY f.object_id

-- name: part_sight
-- Both ends of a sight with their antennas (m above ground): of a line, of two masts by their codes, or of a link. What is not said is that
-- of the link, else of the mast, else usual.
SELECT s.first, s.last, s.link_code, s.azimuth_deg, s.run_id, s.first_mast, s.first_name, s.first_run, s.last_mast, s.last_name, s.last_run,
    coalesce(%(from_mast_m)s::float8, s.first_antenna_m, s.first_height, 20) AS first_m,
    coalesce(%(to_mast_m)s::float8, s.last_antenna_m, s.last_height, 20) AS last_m,
    coalesce(%(frequency_ghz)s::float8, s.frequency_ghz, 5.8) AS frequency_ghz
FROM (
    SELECT ST_StartPoint(g.geom) AS first, ST_EndPoint(g.geom) AS last, NULL AS link_code, NULL::float8 AS azimuth_deg, NULL::bigint AS run_id,
        NULL AS first_mast, NULL AS first_name, NULL::bigint AS first_run, NULL AS last_mast, NULL AS last_name, NULL::bigint AS last_run,
        NULL::float8 AS first_antenna_m, NULL::float8 AS first_height, NULL::float8 AS last_antenna_m, NULL::float8 AS last_height,
        NULL::float8 AS frequency_ghz
    FROM (SELECT ST_GeometryN(ST_LineMerge(ST_Transform(%(line)s::geometry, {srid})), 1) AS geom) AS g WHERE g.geom IS NOT NULL
    UNION ALL
    SELECT one.geom, two.geom, l.link_code, l.azimuth_deg, l.run_id, one.mast_code, one.name_fa, one.run_id, two.mast_code, two.name_fa, two.run_id,
        l.first_antenna_m, one.mast_height_m, l.last_antenna_m, two.mast_height_m, l.frequency_ghz
    FROM (
        SELECT k.link_code, k.azimuth_deg, k.run_id, k.first_mast, k.last_mast, k.first_antenna_m, k.last_antenna_m, k.link_frequency_ghz AS frequency_ghz
        FROM {radio_link} AS k WHERE k.link_code = %(link_code)s::text
        UNION ALL
        SELECT NULL, NULL, NULL, %(masts)s::jsonb ->> 0, %(masts)s::jsonb ->> 1, NULL, NULL, NULL WHERE %(masts)s::jsonb IS NOT NULL
    ) AS l JOIN {radio_mast} AS one ON one.mast_code = l.first_mast JOIN {radio_mast} AS two ON two.mast_code = l.last_mast
) AS s

-- name: part_shares
-- The share of the ground of each of the parcels `meant` in each zone code of the latest approved edition.
SELECT s.subject_id AS parcel_id, jsonb_object_agg(s.zone_code, s.share) AS shares, max(s.run_id) AS run_id
FROM (
    SELECT z.subject_id, o.zone_code, round(sum(z.share)::numeric, 6) AS share, max(o.run_id) AS run_id,
        rank() OVER (PARTITION BY z.subject_id ORDER BY d.approval_date DESC NULLS LAST, d.plan_id DESC) AS place
    FROM {fact.parcel_zone} AS z JOIN meant AS m ON m.id = z.subject_id JOIN {plan_zone} AS o ON o.id = z.object_id
    JOIN {plan_document} AS d ON d.plan_id = z.in_group AND d.plan_status = 'approved'
    WHERE z.part = 'in' GROUP BY z.subject_id, o.zone_code, d.approval_date, d.plan_id
) AS s WHERE s.place = 1 GROUP BY s.subject_id

-- name: part_price
-- The row of the price block that counts for each of the parcels `meant`: the block holds the parcel's inner point; a row of a
-- frontage counts where the parcel has such a front; the block's own row says which of them is taken.
SELECT m.id AS parcel_id, r.price_block_code, r.price_no, r.run_id, own.price_choice,
    coalesce(CASE m.land_use WHEN 'commercial' THEN r.land_price_commercial_irr
        WHEN 'industrial' THEN r.land_price_industrial_irr END, r.land_price_irr) AS land,
    r.building_price_irr AS building, coalesce(r.building_price_steel_irr, r.building_price_irr) AS steel,
    coalesce(r.building_price_concrete_irr, r.building_price_irr) AS concrete
FROM (SELECT x.id, x.land_use, ST_PointOnSurface(x.geom) AS at FROM meant AS x) AS m
CROSS JOIN LATERAL (
    SELECT b.price_block_code, b.price_choice FROM {price_block} AS b
    WHERE b.price_year = %(year)s::int AND b.price_no = 1 AND ST_Intersects(b.geom, m.at) ORDER BY b.price_block_code LIMIT 1
) AS own
CROSS JOIN LATERAL (
    SELECT b.*, f.width FROM {price_block} AS b
    LEFT JOIN LATERAL (
        SELECT max(s.width_existing_m) AS width, count(*) AS number FROM {fact.parcel_edge} AS e JOIN {street} AS s ON s.id = e.way_id
        WHERE b.price_no > 1 AND e.subject_id = m.id AND e.beside = 'way'
            AND (b.street_code IS NULL OR b.street_code = s.street_id) AND (b.front_side IS NULL OR b.front_side = e.side)
    ) AS f ON true
    WHERE b.price_year = %(year)s::int AND b.price_block_code = own.price_block_code AND (b.price_no = 1 OR f.number > 0)
    ORDER BY CASE own.price_choice WHEN 'block' THEN (b.price_no = 1)::int WHEN 'highest' THEN b.land_price_irr
        ELSE coalesce(f.width, 0) END DESC, b.price_no LIMIT 1
) AS r

-- name: part_people
-- Census blocks that the shape of the query "asked" (geom, year, variable) meets: their figure, the part of their area inside, and of the
-- floor area of their dwellings; small cells as in the census-population layer.
SELECT b.census_code, b.run_id, f.figure_value AS figure, f.suppressed, f.run_id AS figure_run,
    ST_Area(ST_Intersection(b.geom, a.geom)) / ST_Area(b.geom) AS share, homes.share AS homes,
    coalesce(f.suppressed, false) OR CASE WHEN h.figure_value IS NOT NULL THEN h.figure_value > 0 AND h.figure_value < 3
        ELSE coalesce(f.figure_value > 0 AND f.figure_value < 10, false) END AS small
FROM asked AS a JOIN {census_block} AS b ON b.census_year = a.year AND ST_Intersects(b.geom, a.geom)
LEFT JOIN {census_figure} AS f ON f.census_year = b.census_year AND f.census_code = b.census_code AND f.census_variable = a.variable
LEFT JOIN {census_figure} AS h ON h.census_year = b.census_year AND h.census_code = b.census_code AND h.census_variable = 'households'
CROSS JOIN LATERAL (
    SELECT sum(g.floor * CASE WHEN g.geom && a.geom THEN ST_Area(ST_Intersection(g.geom, a.geom)) ELSE 0 END)
        / nullif(sum(g.floor * ST_Area(g.geom)), 0) AS share
    FROM (
        SELECT coalesce(o.floors_above, 1) AS floor,
            CASE WHEN ST_Covers(b.geom, o.geom) THEN o.geom ELSE ST_Intersection(o.geom, b.geom) END AS geom
        FROM {building} AS o WHERE ST_Intersects(o.geom, b.geom) AND coalesce(o.building_use, 'residential') = 'residential'
    ) AS g
) AS homes

-- name: examples
-- What of this city can stand in the forms in place of the examples of the contracts, `usual` (by the names of inputs), of which `codes` are what the parcel code
-- may mean: of the parcel that those are about, if it is here, only the ids; else of a parcel of which much is known. Null is what the city has none of.
WITH told AS (SELECT %(usual)s::jsonb AS usual),
meant AS MATERIALIZED (
    SELECT p.* FROM told AS t CROSS JOIN {parcel} AS p
    WHERE p.parcel_code = ANY (%(codes)s::text[]) AND ST_DWithin(ST_Transform(p.geom, 4326)::geography, ST_GeomFromText(t.usual ->> 'point', 4326)::geography, 100) LIMIT 1
),
subject AS MATERIALIZED (
    SELECT true AS known, m.* FROM meant AS m
    UNION ALL
    (SELECT false, f.* FROM (SELECT p.* FROM {parcel} AS p ORDER BY p.id LIMIT 300) AS f WHERE NOT EXISTS (SELECT FROM meant)
    ORDER BY (EXISTS (SELECT FROM {fact.parcel_zone} AS z WHERE z.subject_id = f.id AND z.part = 'in'))::int
        + (EXISTS (SELECT FROM {fact.building_parcel} AS b WHERE b.object_id = f.id))::int
        + (EXISTS (SELECT FROM {fact.postcode_parcel} AS k WHERE k.object_id = f.id))::int
        + (EXISTS (SELECT FROM {fact.parcel_edge} AS e WHERE e.subject_id = f.id AND e.side IS NOT NULL))::int DESC, f.id LIMIT 1)
),
near AS MATERIALIZED (
    SELECT s.*, CASE WHEN s.block_code IS NULL THEN (SELECT k.block FROM {part.in_block} AS k WHERE k.id = s.id) ELSE s.block_code END AS block, at.geom AS at, ST_Intersection(s.geom, ST_Expand(at.geom, 4 / {unit})) AS inner, ST_Expand(ST_Envelope(s.geom), 10 / {unit}) AS box,
        (SELECT p.id FROM {parcel} AS p WHERE p.id > s.id ORDER BY p.id LIMIT 1) AS next
    FROM subject AS s CROSS JOIN LATERAL (SELECT ST_PointOnSurface(s.geom) AS geom) AS at
),
halves AS (
    SELECT jsonb_agg(jsonb_build_object('kind', 'plot', 'label', h.label, 'geometry', ST_AsText(ST_Transform(h.geom, 4326), 9)) ORDER BY h.label) AS pieces
    FROM near AS n CROSS JOIN LATERAL (VALUES
        ('A', ST_MakeEnvelope(ST_XMin(n.box), ST_YMin(n.box), ST_X(n.at), ST_YMax(n.box), {srid})),
        ('B', ST_MakeEnvelope(ST_X(n.at), ST_YMin(n.box), ST_XMax(n.box), ST_YMax(n.box), {srid}))
    ) AS b (label, box) CROSS JOIN LATERAL (SELECT b.label, ST_CollectionExtract(ST_Intersection(n.geom, b.box), 3) AS geom) AS h
),
sides AS (
    SELECT jsonb_agg(jsonb_build_object('side', e.side, 'length_m', e.length_m) ORDER BY e.side) AS measured FROM (
        SELECT g.side, round(sum(g.length_m)::numeric, 2) AS length_m FROM near AS n JOIN {fact.parcel_edge} AS g ON g.subject_id = n.id
        WHERE g.side IS NOT NULL GROUP BY g.side ORDER BY g.side LIMIT 2
    ) AS e
),
named AS (
    (SELECT coalesce(t.name_fa, t.name_en) AS name FROM near AS n CROSS JOIN {street} AS t WHERE coalesce(t.name_fa, t.name_en) IS NOT NULL ORDER BY t.geom <-> n.at LIMIT 1)
    UNION ALL
    (SELECT p.name FROM {name} AS p WHERE p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record') ORDER BY p.key USING ~<~ LIMIT 1)
    LIMIT 1
),
post AS (SELECT k.postcode, k.address_text FROM near AS n JOIN {fact.postcode_parcel} AS f ON f.object_id = n.id JOIN {postcode} AS k ON k.id = f.subject_id
    ORDER BY k.address_text NULLS LAST, k.postcode LIMIT 1),
plan AS (SELECT z.plan_id FROM {plan_zone} AS z ORDER BY z.id LIMIT 1),
masts AS (SELECT jsonb_agg(m.mast_code) AS codes FROM (SELECT r.mast_code FROM {radio_mast} AS r ORDER BY r.id LIMIT 2) AS m HAVING count(*) = 2)
SELECT (jsonb_build_object('parcel_id', n.id, 'parcels', jsonb_build_array(n.id, coalesce(n.next, n.id))) || CASE WHEN n.known THEN '{{}}' ELSE
    jsonb_build_object('parcel_code', n.parcel_code, 'block_code', n.block, 'blocks', CASE WHEN n.block IS NOT NULL THEN jsonb_build_array(n.block) END,
        'region_code', (SELECT r.region_code FROM {region} AS r WHERE ST_Intersects(r.geom, n.at) ORDER BY r.region_code LIMIT 1),
        'point', ST_AsText(ST_Transform(n.at, 4326), 7), 'area', ST_AsText(ST_Transform(n.box, 4326), 7),
        'line', ST_AsText(ST_Transform(ST_SetSRID(ST_MakeLine(ST_Point(ST_XMin(n.box), ST_YMin(n.box)), ST_Point(ST_XMax(n.box), ST_YMax(n.box))), {srid}), 4326), 7),
        'footprint', ST_AsText(ST_Transform(n.inner, 4326), 8),
        'built', jsonb_build_array(jsonb_build_object('floor', 1, 'geometry', ST_AsText(ST_Transform(n.inner, 4326), 8))),
        'permitted', jsonb_build_array(jsonb_build_object('floor', 1, 'geometry', ST_AsText(ST_Transform(n.inner, 4326), 8))),
        'pieces', (SELECT h.pieces FROM halves AS h), 'measured', (SELECT e.measured FROM sides AS e))
    || jsonb_build_object('visit_no', (SELECT v.visit_no FROM {visit} AS v WHERE v.parcel_code = n.parcel_code ORDER BY v.id LIMIT 1),
        'plan_id', (SELECT p.plan_id FROM plan AS p), 'against', (SELECT p.plan_id FROM plan AS p), 'draft', (SELECT p.plan_id FROM plan AS p),
        'to_plan', (SELECT p.plan_id FROM plan AS p), 'project_no', (SELECT j.project_no FROM {project} AS j ORDER BY j.id LIMIT 1),
        'postcode', (SELECT k.postcode FROM post AS k), 'address', (SELECT k.address_text FROM post AS k), 'place', (SELECT t.name FROM named AS t),
        'q', coalesce((SELECT t.name FROM named AS t), n.parcel_code), 'registration_plate', n.registration_plate,
        'building_code', (SELECT b.building_code FROM {fact.building_parcel} AS f JOIN {building} AS b ON b.id = f.subject_id WHERE f.object_id = n.id ORDER BY b.id LIMIT 1),
        'asset_no', (SELECT a.asset_no FROM {municipal_asset} AS a ORDER BY a.id LIMIT 1), 'case_no', (SELECT c.case_no FROM {case_file} AS c ORDER BY c.id LIMIT 1),
        'masts', (SELECT m.codes FROM masts AS m), 'link_code', (SELECT l.link_code FROM {radio_link} AS l ORDER BY l.id LIMIT 1),
        'properties', jsonb_build_array(n.parcel_code))
END)::text FROM near AS n
