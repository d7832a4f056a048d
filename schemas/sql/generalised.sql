-- name: known
-- Layers that have a table, and what it was made from.
SELECT layer, contract_sha256 FROM ops.generalised

-- name: drop
-- The table goes, with the views over it; it can be made again.
DROP TABLE IF EXISTS {table} CASCADE

-- name: forget
-- Nothing is known of the layer's shapes any more.
DELETE FROM ops.generalised WHERE layer = %(layer)s

-- name: enter
-- The layer has a table, and was never generalised.
INSERT INTO ops.generalised (layer, contract_sha256) VALUES (%(layer)s, %(digest)s)

-- name: grants
-- The loader makes the shapes; servers see them by the views of their audience.
GRANT USAGE ON SCHEMA generalised TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA generalised TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.generalised, ops.generalised_cells TO makan_loader;
GRANT EXECUTE ON FUNCTION ops.analyze_generalised(text) TO makan_loader

-- name: states
-- Every generalised layer, and whether its shapes are of the layer as it is now.
SELECT g.layer, CASE WHEN g.refreshed IS NULL THEN 'never'
        WHEN g.trouble IS NOT NULL OR (g.run_id, g.undone) <> (coalesce(s.run_id, 0), coalesce(s.undone, 0)) THEN 'stale'
        ELSE 'fresh' END AS state,
    g.refreshed::text, g.seconds, g.rows, g.chunks, g.trouble, g.run_id, g.undone,
    coalesce(s.run_id, 0), coalesce(s.undone, 0)
FROM ops.generalised g LEFT JOIN ops.layer_state s ON s.layer = g.layer ORDER BY g.layer

-- name: everything
-- All shapes of a layer with their class.
SELECT t.id, {code}, ST_AsBinary(t.{geom}) FROM {layer} t WHERE t.{geom} IS NOT NULL

-- name: within
-- The shapes that meet one of these boxes.
SELECT t.id, {code}, ST_AsBinary(t.{geom}) FROM {layer} t WHERE t.id IN (
    SELECT n.id FROM unnest(%(xmin)s::float8[], %(ymin)s::float8[], %(xmax)s::float8[], %(ymax)s::float8[]) AS b (x0, y0, x1, y1)
    JOIN {layer} n ON n.{geom} && ST_MakeEnvelope(b.x0, b.y0, b.x1, b.y1, %(srid)s)
)

-- name: moved
-- Where loads since a run have brought, changed or taken away rows.
SELECT ST_XMin(g), ST_YMin(g), ST_XMax(g), ST_YMax(g) FROM (
    SELECT {geom} AS g FROM {layer} WHERE run_id > %(run)s
    UNION ALL SELECT {geom} FROM {history} WHERE ended_by > %(run)s AND withdrawn_by IS NULL
) AS found WHERE g IS NOT NULL

-- name: cells
-- Chunks of cells as they are kept.
SELECT across, down, cells FROM ops.generalised_cells
WHERE layer = %(layer)s AND zoom = %(zoom)s AND (across, down) IN (
    SELECT a, d FROM unnest(%(across)s::int[], %(down)s::int[]) AS c (a, d)
)

-- name: keep_cells
-- A chunk of cells.
INSERT INTO ops.generalised_cells (layer, zoom, across, down, cells)
VALUES (%(layer)s, %(zoom)s, %(across)s, %(down)s, %(cells)s)
ON CONFLICT (layer, zoom, across, down) DO UPDATE SET cells = excluded.cells

-- name: clear_cells
-- All chunks of a layer.
DELETE FROM ops.generalised_cells WHERE layer = %(layer)s

-- name: empty
-- All shapes are made again; until they are, tiles show those of before.
DELETE FROM {table}

-- name: remove
-- The shapes of these chunks.
DELETE FROM {table} t USING unnest(%(across)s::int[], %(down)s::int[]) AS c (a, d)
WHERE t.zoom = %(zoom)s AND t.across = c.a AND t.down = c.d

-- name: copy
-- Shapes of a level.
COPY {table} (zoom, across, down, code, {geom}) FROM STDIN

-- name: analyze
-- Statistics, without which the planner knows nothing of what was just written.
SELECT ops.analyze_generalised(%(layer)s)

-- name: refreshed
-- The shapes are of the layer as it is at this load. The counter rises to the next million where all were made again.
UPDATE ops.generalised SET refreshed = now(), seconds = %(seconds)s, chunks = %(chunks)s, run_id = %(run)s,
    undone = %(undone)s,
    changes = CASE WHEN %(chunks)s::bigint IS NULL THEN (changes / 1000000 + 1) * 1000000 ELSE changes + 1 END, trouble = NULL, rows = (SELECT count(*) FROM {table})
WHERE layer = %(layer)s

-- name: trouble
-- The refresh failed: what stands is of the one before, and says so.
UPDATE ops.generalised SET trouble = %(trouble)s WHERE layer = ANY(%(names)s)

-- name: any_refreshed
-- Whether any layer was ever generalised.
SELECT EXISTS (SELECT 1 FROM ops.generalised WHERE refreshed IS NOT NULL)

-- name: lost
-- Layers that were never generalised, in a database where others were: a migration has made their tables anew.
SELECT layer FROM ops.generalised WHERE refreshed IS NULL AND EXISTS (SELECT 1 FROM ops.generalised WHERE refreshed IS NOT NULL) ORDER BY layer
