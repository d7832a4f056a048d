-- name: page
-- One page of features as one JSON text; its last sort keys, whether more follow, and the whole count.
-- One row more than the limit is read, to know whether another page follows. (varchar: see reader.py.)
SELECT page.features, page.returned, page.more, page.last, {matched} AS matched
FROM (
    SELECT
        (string_agg(r.feature, ',') FILTER (WHERE r.place <= %(limit)s))::varchar AS features,
        least(count(*), %(limit)s) AS returned,
        count(*) > %(limit)s AS more,
        max(r.keys) FILTER (WHERE r.place = %(limit)s) AS last
    FROM (
        SELECT {feature} AS feature, {keys} AS keys, row_number() OVER () AS place
        FROM (
            SELECT * FROM {view} AS v
            WHERE {where} AND {after}
            ORDER BY {order}
            LIMIT %(limit)s + 1 OFFSET %(offset)s
        ) AS v
    ) AS r
) AS page

-- name: rows
-- Every feature that is asked for, as columns of a file; the geometry last, as WKB.
SELECT {columns} FROM {view} AS v WHERE {where} ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s

-- name: rows_in_space
-- The same along a Hilbert curve, by which PostGIS orders geometries.
SELECT {columns}
FROM (SELECT * FROM {view} AS v WHERE {where} ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s) AS v
ORDER BY v.{geom}

-- name: wkb
-- The geometry of a file's row.
ST_AsBinary({shape})

-- name: count
-- How many features match.
SELECT count(*) FROM {view} AS v WHERE {where}

-- name: count_if_needed
-- The count of a first page: only a full page leaves anything to be counted.
CASE WHEN page.more THEN (SELECT count(*) FROM {view} AS v WHERE {where}) ELSE page.returned END

-- name: count_if_free
-- The count of a first page that holds everything; otherwise nobody asked for it.
CASE WHEN page.more THEN NULL::bigint ELSE page.returned END

-- name: count_always
-- The count of a later page.
(SELECT count(*) FROM {view} AS v WHERE {where})

-- name: count_known
-- The count was made before, at this state of the layer.
NULL::bigint

-- name: item
-- One feature as JSON text, and its version.
SELECT {feature} AS feature, {run} AS run FROM {view} AS v WHERE v.{id} = %(id)s

-- name: version_at
-- The version that a feature had at a moment, as JSON text.
SELECT {feature} AS feature FROM {view} AS v WHERE v.{id} = %(id)s AND v.version_stands
    AND (v.valid_since IS NULL OR v.valid_since <= %(moment)s) AND (v.valid_until IS NULL OR v.valid_until > %(moment)s)
ORDER BY v.valid_since DESC NULLS LAST LIMIT 1

-- name: held
-- When there were versions of a feature, what follows without a gap as one interval; the latest ones, if there are many.
SELECT string_agg(coalesce(to_json(since AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', '..') || '/' ||
    coalesce(to_json(until AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', '..'), ', ' ORDER BY place)
FROM (
    SELECT place, CASE WHEN bool_and(valid_since IS NOT NULL) THEN min(valid_since) END AS since,
        CASE WHEN bool_and(valid_until IS NOT NULL) THEN max(valid_until) END AS until
    FROM (
        SELECT valid_since, valid_until, count(*) FILTER (WHERE begins) OVER (ORDER BY valid_since NULLS FIRST) AS place
        FROM (
            SELECT v.valid_since, v.valid_until,
                v.valid_since IS DISTINCT FROM lag(v.valid_until) OVER (ORDER BY v.valid_since NULLS FIRST) AS begins
            FROM {view} AS v WHERE v.{id} = %(id)s AND v.version_stands
        ) AS versions
    ) AS spans GROUP BY place ORDER BY place DESC LIMIT %(most)s
) AS latest

-- name: feature
-- A row as a GeoJSON feature.
'{{"type":"Feature","id":' || v.{id} || ',"geometry":' || {geometry} || ',"properties":' || {properties} || '}}'

-- name: version
-- A version of a feature, with the time it held as JSON-FG tells it.
'{{"type":"Feature","id":' || v.{id} || ',"time":{{"interval":["' ||
    coalesce(to_json(v.valid_since AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', '..') || '","' ||
    coalesce(to_json(v.valid_until AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', '..') ||
    '"]}},"geometry":' || {geometry} || ',"properties":' || {properties} || '}}'

-- name: placed
-- A row as a JSON-FG feature: GeoJSON's geometry and the one in a CRS of its own, one of them null.
'{{"type":"Feature","id":' || v.{id} || ',"time":' || {time} || ',"geometry":' || {geometry} ||
    ',"place":' || {place} || ',"properties":' || {properties} || '}}'

-- name: interval
-- The time a version held.
'{{"interval":["' || coalesce(to_json(v.valid_since AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', '..') || '","' ||
    coalesce(to_json(v.valid_until AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', '..') || '"]}}'

-- name: date
-- The day of a row.
coalesce('{{"date":"' || to_char(v.{time}, 'YYYY-MM-DD') || '"}}', 'null')

-- name: timestamp
-- The moment of a row.
coalesce('{{"timestamp":"' || (to_json(v.{time} AT TIME ZONE 'UTC') #>> '{{}}') || 'Z"}}', 'null')

-- name: geometry
-- Coordinates in the CRS that was asked for, as many decimals as they deserve.
coalesce(ST_AsGeoJSON({shape}, {digits}, 0), 'null')

-- name: properties
-- The chosen properties of a row.
(SELECT row_to_json(p)::text FROM (SELECT {columns}) AS p)

-- name: values
-- The values of a text that holds several.
regexp_split_to_array(btrim({text}), '\s*[,;،؛]\s*')

-- name: several
-- They under its name.
{values} AS {name}

-- name: area
-- The ground of one area, by its key.
(SELECT a.{geom} FROM {view} AS a WHERE a.{key}::text = {value})

-- name: inside
-- Shapes that an area has more of than a line of touch.
ST_Intersects(v.{geom}, {area}) AND NOT ST_Touches(v.{geom}, {area})

-- name: point_inside
-- Points of an area, those on its border among them.
ST_Intersects(v.{geom}, {area})

-- name: names_inside
-- Rows that name a feature which is inside.
v.{name} IN (SELECT v.{key} FROM {view} AS v WHERE {inside})

-- name: meets_box
-- Features that meet a box: by the index, at once where they lie inside, exactly along its edge.
(v.{geom} && {outer} AND (v.{geom} @ {inner} OR ST_Intersects(v.{geom}, {exact})))

-- name: records
-- Which records of the catalogue meet a filter; they come as JSON, their places as EWKB.
SELECT coalesce(array_agg(v.id), '{{}}')
FROM jsonb_to_recordset(%(records)s::jsonb) AS v({columns}, {geom} geometry)
WHERE {where}

-- name: extent
-- Where the features of a view are, in the stored CRS.
SELECT ST_XMin(box), ST_YMin(box), ST_XMax(box), ST_YMax(box)
FROM (SELECT ST_Extent(v.{geom}) AS box FROM {view} AS v) AS found

-- name: any
-- Whether a view has any feature.
SELECT EXISTS (SELECT FROM {view} AS v)

-- name: period
-- The first and the last date of a view.
SELECT min(v.{time}), max(v.{time}) FROM {view} AS v

-- name: first
-- When the first version of a collection's features began to hold.
SELECT min(v.valid_since) FROM {view} AS v WHERE v.version_stands

-- name: tile
-- One layer of one vector tile. Shapes too small to be seen at this zoom are left out, the others
-- lose the vertices that nobody could tell apart; no tile holds more rows than the limit.
SELECT ST_AsMVT(t, %(name)s::text, %(extent)s::int, 'mvt', 'id') AS tile, count(*) AS shapes
FROM (
    SELECT {columns}, {drawn} AS mvt
    FROM {view} AS v
    WHERE v.{geom} && %(box)s::geometry AND {visible}
    {order}
    LIMIT %(rows)s
) AS t
WHERE NOT ST_IsEmpty(t.mvt)

-- name: alone
-- For questions by the hundred, whose answers are kept: processes that help cost more than they gain (10 ms to
-- begin), and hand over rows in the order in which each of them happens to be ready.
SELECT set_config('max_parallel_workers_per_gather', '0', false), set_config('synchronize_seqscans', 'off', false)

-- name: tile_cut
-- A shape in the CRS of the grid, cut to the tile and valid there; null where nothing is left.
ST_AsMVTGeom({shape}, %(envelope)s::geometry, %(extent)s::int, %(buffer)s::int, true)

-- name: tile_drawn
-- What lies in the tile needs no cutting, which is more than half of what a tile costs. Shapes of few points stay
-- valid when they are rounded (all but one in some thousand); others are mended as they are cut.
CASE WHEN v.{geom} @ %(inside)s::geometry AND ST_NPoints(v.{geom}) <= 20 THEN {whole} ELSE {cut} END

-- name: tile_whole
-- A shape in the tile's own units; outer rings are clockwise, as vector tiles have them.
ST_ForcePolygonCW(ST_SnapToGrid(ST_Affine({shape}, %(pixel_a)s::float8, %(pixel_b)s::float8, %(pixel_d)s::float8,
    %(pixel_e)s::float8, %(pixel_dx)s::float8, %(pixel_dy)s::float8), 1))

-- name: tile_flat
-- The same of points.
ST_SnapToGrid(ST_Affine({shape}, %(pixel_a)s::float8, %(pixel_b)s::float8, %(pixel_d)s::float8,
    %(pixel_e)s::float8, %(pixel_dx)s::float8, %(pixel_dy)s::float8), 1)

-- name: map
-- What a picture is drawn of: class, name and shape of all that can be seen in a box.
SELECT count(*), array_agg(s.code), array_agg(s.name), array_agg(ST_AsBinary(s.shape))
FROM (
    SELECT {code}::text AS code, {name}::text AS name, {shape} AS shape
    FROM {view} AS v
    WHERE v.{geom} && %(box)s::geometry AND {visible}
    {order}
    LIMIT %(rows)s
) AS s

-- name: tile_largest
-- Where not all rows of a tile can be shown, the largest are.
ORDER BY (ST_XMax(v.{geom}) - ST_XMin(v.{geom})) * (ST_YMax(v.{geom}) - ST_YMin(v.{geom})) DESC, v.id

-- name: tile_class_hidden
-- All but classes that are drawn further in only.
(v.{field} IS NULL OR v.{field} <> ALL(%(codes)s::text[]))

-- name: tile_class_shown
-- Classes that are drawn this far out.
v.{field} = ANY(%(codes)s::text[])

-- name: runs_since
-- How many loads after a run have changed the layer, as far as its rows tell.
SELECT count(DISTINCT v.run) FROM {view} AS v WHERE v.run > %(run)s

-- name: moved
-- Where loads after a run have changed a layer, as columns of boxes.
SELECT count(*), array_agg(ST_XMin(g)), array_agg(ST_YMin(g)), array_agg(ST_XMax(g)), array_agg(ST_YMax(g))
FROM (SELECT v.{geom} AS g FROM {view} AS v WHERE v.run > %(run)s AND v.{geom} IS NOT NULL LIMIT %(most)s) AS found

-- name: tile_any
-- Whether a view has anything in a tile.
SELECT EXISTS (SELECT FROM {view} AS v WHERE v.{geom} && %(box)s::geometry)

-- name: tile_shape
-- The geometry without what is smaller than a tile's own grid.
ST_Simplify(v.{geom}, %(grid)s::float8, true)

-- name: tile_bent
-- The geometry in the CRS of a grid.
ST_Transform({shape}, {srid})

-- name: tile_straight
-- The same within one tile, in which that map is a straight one.
ST_SetSRID(ST_Affine({shape}, %(a)s::float8, %(b)s::float8, %(d)s::float8, %(e)s::float8,
    %(dx)s::float8, %(dy)s::float8), {srid})

-- name: tile_visible
-- Shapes of at least one pixel in width or height.
(ST_XMax(v.{geom}) - ST_XMin(v.{geom}) >= %(pixel)s::float8
    OR ST_YMax(v.{geom}) - ST_YMin(v.{geom}) >= %(pixel)s::float8)

-- name: view_columns
-- The columns of a view, and the SRID of those that are geometries; none when there is no view.
SELECT attname, postgis_typmod_srid(atttypmod)
FROM pg_attribute
WHERE attrelid = to_regclass(%(view)s) AND attnum > 0 AND NOT attisdropped

-- name: version_view
-- Which load each layer of an audience is at: the latest that stands, and how often the layer was changed.
-- An undo is a change too, so that the number never comes back to a former state. What a layer that is a view
-- is made of is not known here: it changes with everything that the ledger tells, and with every day, since
-- what holds today is another thing tomorrow. Nothing else of the ledger
-- can be seen here.
CREATE VIEW {view} AS
SELECT t.layer,
    (
        SELECT r.id FROM ops.run r WHERE r.layer BETWEEN t.layer AND t.layer AND r.kind IN ('load', 'derive', 'edit') AND r.status = 'done'
            AND r.inserted + r.updated + r.removed > 0 ORDER BY r.layer DESC, r.id DESC LIMIT 1
    ) AS run,
    t.changes,
    (
        SELECT r.finished FROM ops.run r WHERE r.layer BETWEEN t.layer AND t.layer AND r.kind IN ('load', 'derive', 'edit')
            AND r.status = 'done' AND r.inserted + r.updated + r.removed > 0 AND r.finished IS NOT NULL
        ORDER BY r.layer DESC, r.finished DESC LIMIT 1
    ) AS finished
FROM ops.tally t
WHERE t.changes > 0 AND t.layer = ANY({layers}::text[])
UNION ALL
SELECT layers.layer, whole.run, whole.changes, whole.finished
FROM unnest({views}::text[]) AS layers (layer) CROSS JOIN (
    SELECT (SELECT r.id FROM ops.run r WHERE r.status = 'done' ORDER BY r.id DESC LIMIT 1) AS run,
        (SELECT coalesce(sum(t.told), 0)::bigint FROM ops.tally t)
            + (SELECT count(*) + count(withdrawn) FROM ops.acceptance)
            + ((now() AT TIME ZONE {zone})::date - DATE '2000-01-01') AS changes,
        (SELECT max(r.finished) FROM ops.run r WHERE r.status = 'done') AS finished
) AS whole
UNION ALL
SELECT 'generalised_' || layer, run_id, changes, refreshed FROM ops.generalised
WHERE refreshed IS NOT NULL AND layer = ANY({layers}::text[])
UNION ALL
SELECT {model}, max(greatest(run_id, latest)), count(*) + count(*) FILTER (WHERE outdated), max(loaded)
FROM ops.raster_state WHERE layer = ANY({layers}::text[]) HAVING count(*) > 0;
COMMENT ON VIEW {view} IS 'The load each public layer is at | بارگذاری جاری هر لایه'

-- name: versions
-- The state of every layer as one JSON object; layers that were never loaded are not in it.
SELECT coalesce(json_object_agg(layer, concat(run, '.', changes)), '{{}}')::text FROM {view} AS v

-- name: models
-- Sheets of rasters that are made of layers, as one JSON object by raster and sheet.
SELECT coalesce(json_object_agg(r.raster, r.sheets), '{{}}')::text FROM (
    SELECT s.raster, json_object_agg(s.sheet, json_build_object('made', s.made, 'layers', s.layers)) AS sheets
    FROM (
        SELECT v.raster, v.sheet, max(v.made) AS made, json_agg(json_build_object(
            'layer', v.layer, 'changed', v.changed, 'outdated', v.outdated) ORDER BY v.layer) AS layers
        FROM {view} AS v GROUP BY v.raster, v.sheet
    ) AS s GROUP BY s.raster
) AS r
