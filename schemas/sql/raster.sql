-- name: lock
-- One load of a raster layer at a time; given back at the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('makan raster ' || %(layer)s, 0))

-- name: current
-- The sheet in force, and its earlier states, to see whether the very same has arrived again.
SELECT path, source_sha256, sidecars_sha256, source_crs, contract_sha256, acquired, run_id
FROM ops.raster WHERE layer = %(layer)s AND sheet = %(sheet)s AND current
ORDER BY acquired DESC NULLS LAST

-- name: supersede
-- A new version of a sheet takes the place of the one of the same day, or of one that tells no day;
-- a state of another day stays, for who asks for that time.
UPDATE ops.raster SET current = false
WHERE layer = %(layer)s AND sheet = %(sheet)s AND current
    AND (acquired = %(acquired)s::date OR acquired IS NULL OR %(acquired)s::date IS NULL)
RETURNING id

-- name: register
-- A sheet is in force.
INSERT INTO ops.raster (
    layer, sheet, path, footprint, width, height, pixel_x_m, pixel_y_m, bands, dtype, nodata, acquired,
    source_file, source_sha256, sidecars_sha256, source_crs, transformation, accuracy_m, contract_sha256,
    cog_sha256, cog_bytes, statistics, run_id
) VALUES (
    %(layer)s, %(sheet)s, %(path)s, ST_GeomFromWKB(%(footprint)s, %(srid)s), %(width)s, %(height)s,
    %(pixel_x_m)s, %(pixel_y_m)s, %(bands)s, %(dtype)s, %(nodata)s, %(acquired)s, %(source_file)s,
    %(source_sha256)s, %(sidecars_sha256)s, %(source_crs)s, %(transformation)s, %(accuracy_m)s,
    %(contract_sha256)s, %(cog_sha256)s, %(cog_bytes)s, %(statistics)s, %(run_id)s
)

-- name: finding
-- What a run found.
INSERT INTO ops.finding (run_id, code, severity, layer, key, value, detail)
VALUES (%(run)s, %(code)s, %(severity)s, %(layer)s, %(key)s, %(value)s, %(detail)s)

-- name: operation
-- By which operation the sheet came into the city's CRS.
UPDATE ops.run SET crs_operation = %(operation)s WHERE id = %(run)s

-- name: sheets
-- The sheets in force, oldest first: later ones lie on top. Of a sheet with several states the last
-- is the one that is shown (newest).
SELECT sheet, path, cog_sha256, cog_bytes, acquired::text, width, height, pixel_x_m,
    ST_XMin(footprint), ST_YMin(footprint), ST_XMax(footprint), ST_YMax(footprint),
    ST_AsGeoJSON(ST_Transform(footprint, 4326), 7),
    row_number() OVER (PARTITION BY sheet ORDER BY acquired DESC NULLS LAST, id DESC) = 1
FROM ops.raster WHERE layer = %(layer)s AND current
ORDER BY acquired NULLS FIRST, id

-- name: serve
-- From now on clients get this file.
INSERT INTO ops.raster_served (layer, path, version, sheets, run_id)
VALUES (%(layer)s, %(path)s, %(version)s, %(sheets)s, %(run_id)s)
ON CONFLICT (layer) DO UPDATE
SET path = excluded.path, version = excluded.version, sheets = excluded.sheets,
    run_id = excluded.run_id, updated = now()

-- name: list
-- Every sheet in force, for people.
SELECT layer, sheet, acquired::text, width, height, pixel_x_m, pixel_y_m, cog_bytes, source_file,
    source_crs, run_id, loaded::text
FROM ops.raster WHERE current ORDER BY layer, sheet

-- name: forget
-- One state of a sheet is in force no more.
UPDATE ops.raster SET current = false
WHERE layer = %(layer)s AND sheet = %(sheet)s AND current
    AND (%(acquired)s::date IS NULL OR acquired = %(acquired)s::date)
RETURNING run_id

-- name: latest
-- The last load that put a sheet of the layer in force.
SELECT max(run_id) FROM ops.raster WHERE layer = %(layer)s AND current

-- name: terrain
-- The last time the terrain of parcels was worked out: from which model, and whether a load of the
-- parcels was undone since, which leaves no newer run in their rows.
SELECT r.id, r.file_sha256, EXISTS (
    SELECT FROM ops.run u WHERE u.layer = %(parent)s AND u.kind = 'undo' AND u.id > r.id
)
FROM ops.run r WHERE r.layer = %(layer)s AND r.kind = 'derive' AND r.status = 'done'
ORDER BY r.id DESC LIMIT 1

-- name: known_layers
-- How far layers are known now; one that was never loaded by run 0.
SELECT l.layer, coalesce(s.run_id, 0), coalesce(s.undone, 0)
FROM unnest(%(layers)s::text[]) AS l (layer) LEFT JOIN ops.layer_state s ON s.layer = l.layer
ORDER BY l.layer

-- name: made_by
-- How the raster of a run was made.
UPDATE ops.raster SET recipe = %(recipe)s WHERE run_id = %(run)s

-- name: forget_sources
-- It was made of something else before.
DELETE FROM ops.raster_input i USING ops.raster r WHERE r.id = i.raster_id AND r.run_id = %(run)s

-- name: enter_sources
-- How far the layers that it is made of were known.
INSERT INTO ops.raster_input (raster_id, layer, run_id, undone)
SELECT r.id, l.layer, l.run, l.undone
FROM ops.raster r, unnest(%(layers)s::text[], %(runs)s::bigint[], %(undone)s::bigint[]) AS l (layer, run, undone)
WHERE r.run_id = %(run)s

-- name: not_outdated
-- Nothing is said any more of what it is older than.
DELETE FROM ops.finding WHERE run_id = %(run)s AND code = %(code)s

-- name: models
-- Rasters in force that are made of layers, with those that have changed since: layer, run known, latest run, when.
SELECT raster, sheet, run_id, path, acquired, cell_m, recipe, array_agg(layer ORDER BY layer),
    coalesce(jsonb_agg(jsonb_build_array(layer, known, latest, changed) ORDER BY layer) FILTER (WHERE outdated), '[]')
FROM ops.raster_state
GROUP BY raster, sheet, run_id, path, acquired, cell_m, recipe ORDER BY raster, sheet
