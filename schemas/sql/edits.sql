-- name: lock
-- One writer of a layer at a time: the lock that loads hold, waited for as long as lock_timeout says, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('makan load ' || %(layer)s, 0))

-- name: row
-- The row as it is, kept from others until the transaction ends, and the feed that brought it.
SELECT {columns}, {shape} AS shape, t.run_id, r.feed, {key} AS key
FROM {target} t LEFT JOIN ops.run r ON r.id = t.run_id WHERE t.id = %(id)s FOR UPDATE OF t

-- name: served
-- Shapes as they are served and as they are stored: of the row itself first, then of what lies around.
SELECT ST_AsGeoJSON({moved}, {digits}, 0), ST_AsBinary(t.geom) FROM {target} t
WHERE t.geom && ST_MakeEnvelope(%(x0)s, %(y0)s, %(x1)s, %(y1)s, {srid}) OR t.id = %(id)s
ORDER BY t.id = %(id)s DESC, t.id LIMIT %(most)s

-- name: moved
-- The stored shape in the CRS of the client, east before north.
ST_Transform(t.geom, {to})

-- name: fill
-- What the database says of a new row.
SELECT {function}(%(given)s::jsonb, ST_GeomFromWKB(%(place)s, {srid}))

-- name: begin
-- An edit is a run that is done when its transaction is: nobody sees it before. Who keeps facts fresh is woken then.
INSERT INTO ops.run (
    kind, feed, layer, status, file, file_sha256, file_bytes, contract_sha256, code_version, crs_operation, who, finished,
    arrived, inserted, updated, removed
) VALUES (
    'edit', %(feed)s, %(layer)s, 'done', %(asked)s, %(sha256)s, %(size)s, %(contract)s, %(code)s, %(operation)s, %(who)s,
    clock_timestamp(), %(arrived)s, %(inserted)s, %(updated)s, %(removed)s
) RETURNING id, pg_notify('makan_edit', layer)

-- name: stage
-- The one row of an edit, on its way.
CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS SELECT {staged_columns} FROM {target} WITH NO DATA

-- name: made
-- The id of the row that was made.
SELECT t.id FROM {target} t JOIN {stage} s ON {match}

-- name: remove
-- The row goes to history.
WITH gone AS (
    DELETE FROM {target} t USING ops.run r WHERE t.id = %(id)s AND r.id = t.run_id RETURNING t.*, r.valid_from AS from_load
)
INSERT INTO {history} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid)
SELECT g.id, {gone_columns}, g.run_id, g.source_line, g.valid_since, g.valid_until, g.begun_by, n.id, tstzrange(
    coalesce(g.valid_since, g.from_load),
    greatest(coalesce(g.valid_since, g.from_load), least(g.valid_until, n.valid_from))
) FROM gone g JOIN ops.run n ON n.id = %(run)s

-- name: lately
-- How many edits a key has made in the last so many seconds, and when the first of them falls out.
SELECT count(*), ceil(extract(epoch FROM min(started) + make_interval(secs => %(seconds)s) - clock_timestamp()))::int
FROM ops.run WHERE kind = 'edit' AND who = %(who)s AND started > clock_timestamp() - make_interval(secs => %(seconds)s)

-- name: tell
-- What was found of the row and did not stand in its way, as a load keeps it.
INSERT INTO ops.finding (run_id, code, severity, layer, key, line, field, value, detail, place)
VALUES (
    %(run)s, %(code)s, %(severity)s, %(layer)s, %(key)s, %(line)s, %(field)s, %(value)s, %(detail)s,
    ST_GeomFromWKB(%(place)s, %(srid)s)
)

-- name: overtaken
-- Edits whose version a load has ended: whose they were, and when.
INSERT INTO ops.finding (run_id, code, severity, layer, key, value, detail, place)
SELECT %(run)s, %(code)s, %(severity)s, %(layer)s, {key}, e.who, to_char(e.started, 'YYYY-MM-DD'), {place}
FROM {history} h JOIN ops.run e ON e.id = h.run_id
WHERE h.ended_by = %(run)s AND e.kind = 'edit'
    AND EXISTS (SELECT FROM ops.run WHERE kind = 'edit' AND layer = %(layer)s)
