-- name: snapshot
-- What this transaction sees, for others to see the same.
SELECT pg_export_snapshot()

-- name: same_snapshot
-- Sees what the transaction of that name sees.
SET TRANSACTION SNAPSHOT {name}

-- name: has_rows
-- Whether a layer holds anything.
SELECT EXISTS (SELECT 1 FROM {table})

-- name: asked
-- All rows of a layer, to be checked: ids and boxes.
SELECT id, ST_XMin(geom) AS x0, ST_YMin(geom) AS y0, ST_XMax(geom) AS x1, ST_YMax(geom) AS y1
FROM {table} WHERE geom IS NOT NULL ORDER BY id

-- name: touched
-- The rows of a layer that lie in or near a place where something has changed.
SELECT id, ST_XMin(geom) AS x0, ST_YMin(geom) AS y0, ST_XMax(geom) AS x1, ST_YMax(geom) AS y1
FROM {table} WHERE id IN (
    SELECT t.id FROM ({changes}) AS c JOIN {table} AS t ON t.geom && ST_Expand(c.place, {reach})
) ORDER BY id

-- name: changes
-- Where rows of a layer are new, changed or gone since a run: their boxes now and before.
SELECT ST_Envelope(geom) AS place FROM {table} WHERE run_id > {since} AND geom IS NOT NULL
UNION ALL
SELECT ST_Envelope(geom) FROM {history} WHERE ended_by > {since} AND geom IS NOT NULL

-- name: box
-- A place where a row is to be written.
SELECT ST_MakeEnvelope({x0}, {y0}, {x1}, {y1}, {srid}) AS place

-- name: part
-- The rows of a layer that lie here, with the key as people read it.
SELECT id, {key} AS key, {columns} ST_AsBinary(geom) AS geom FROM {table} WHERE {here} ORDER BY id

-- name: meets
-- Rows that meet a box.
geom && ST_MakeEnvelope({x0}, {y0}, {x1}, {y1}, {srid})

-- name: standing
-- The loads that made what the layers are; what has been undone is not among them.
SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM ops.run
WHERE layer = ANY(%(layers)s) AND id <= %(latest)s AND status = 'done' AND kind <> 'fabric'
    AND inserted + updated + removed > 0

-- name: latest
-- The latest run whose rows are all to be seen: one that is under way will commit rows of a lower number later.
SELECT coalesce(min(id) FILTER (WHERE status = 'running') - 1, max(id), 0) FROM ops.run

-- name: former
-- The latest check of a layer: what it had seen, and the digest of its rules.
SELECT id, file AS seen, file_sha256, contract_sha256 FROM ops.run
WHERE kind = 'fabric' AND layer = %(layer)s AND status = 'done' ORDER BY id DESC LIMIT 1

-- name: orphans
-- Rows that name a row of another layer that is not there.
SELECT {key} AS key, {named} AS named, ST_AsBinary(t.geom) AS geom FROM {table} AS t
WHERE {given} AND {chosen} AND NOT EXISTS (SELECT 1 FROM {other} AS o WHERE {match})

-- name: replace_all
-- A whole check replaces what former checks of the layer found.
DELETE FROM ops.finding f USING ops.run r
WHERE r.id = f.run_id AND r.kind = 'fabric' AND r.layer = %(layer)s

-- name: replace_some
-- What former checks found about these rows, about rows that are gone, and by rules that are always checked whole.
DELETE FROM ops.finding f USING ops.run r
WHERE r.id = f.run_id AND r.kind = 'fabric' AND r.layer = %(layer)s AND (
    f.key = ANY(%(keys)s) OR f.field = ANY(%(whole)s)
    OR NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {key} = f.key)
)

-- name: take_over
-- The findings that still stand belong to the latest check.
UPDATE ops.finding f SET run_id = %(run)s FROM ops.run r
WHERE r.id = f.run_id AND r.kind = 'fabric' AND r.layer = %(layer)s AND r.id <> %(run)s

-- name: keys
-- The keys of rows, as findings write them.
SELECT {key} FROM {table} WHERE id = ANY(%(ids)s)

-- name: put
-- Findings of a check, by COPY.
COPY ops.finding (run_id, code, severity, layer, key, field, value, detail, geom, place) FROM STDIN

-- name: counted
-- What stands after a check, by rule and code.
SELECT field, code, severity, count(*) FROM ops.finding WHERE run_id = %(run)s
GROUP BY field, code, severity ORDER BY field, code
