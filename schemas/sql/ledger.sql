-- name: start
-- A run has begun.
INSERT INTO ops.run (kind, feed, layer, file, file_sha256, file_bytes, contract_sha256, code_version, who)
VALUES (%(kind)s, %(feed)s, %(layer)s, %(file)s, %(sha256)s, %(size)s, %(contract)s, %(code)s, %(who)s)
RETURNING id

-- name: finish
-- How a run ended, with its account.
UPDATE ops.run
SET status = %(status)s, message = %(message)s, finished = clock_timestamp(), arrived = %(arrived)s,
    skipped = %(skipped)s, inserted = %(inserted)s, updated = %(updated)s, unchanged = %(unchanged)s,
    quarantined = %(quarantined)s, removed = %(removed)s
WHERE id = %(run)s

-- name: publish
-- The next number among all changes of layers; whoever else publishes waits until this transaction ends.
SELECT ops.publish(%(run)s, %(holds_from)s)

-- name: unpublish
-- The number is free again.
DELETE FROM ops.publication WHERE run_id = %(run)s

-- name: along
-- A run that another brings along, of another layer: it is undone with it.
INSERT INTO ops.run (
    kind, layer, status, file, file_sha256, file_bytes, contract_sha256, code_version, who, finished, message, along,
    arrived, inserted
) SELECT 'load', %(layer)s, 'done', r.file, r.file_sha256, r.file_bytes, '', r.code_version, r.who, clock_timestamp(),
    'former keys of run ' || r.id, r.id, %(rows)s, %(rows)s
FROM ops.run r WHERE r.id = %(run)s RETURNING id

-- name: undo
-- An undo is a run of its own; what it takes back it does not count as changes of a delivery.
INSERT INTO ops.run (
    kind, layer, status, file, file_sha256, file_bytes, contract_sha256, code_version, who, finished, message
) VALUES (
    'undo', %(layer)s, 'done', '', '', 0, '', %(code)s, %(who)s, clock_timestamp(), %(message)s
) RETURNING id

-- name: keep_profile
-- What the delivery looks like as a whole, and which guards were overridden by name.
UPDATE ops.run SET profile = %(profile)s, accepted = %(accepted)s WHERE id = %(run)s

-- name: latest_done
-- The feed's latest delivery that was carried through, and whether others have changed the layer since.
-- Corrections of its own quarantined rows are part of it.
SELECT id, file_sha256, file_bytes, contract_sha256, code_version, arrived - skipped AS meant,
    started::date::text AS day, profile, EXISTS (
    SELECT 1 FROM ops.run later WHERE later.layer = run.layer AND later.id > run.id
        AND later.status = 'done' AND later.inserted + later.updated + later.removed > 0
        AND later.resubmits IS DISTINCT FROM run.id
) AS overtaken
FROM ops.run run
WHERE layer = %(layer)s AND feed IS NOT DISTINCT FROM %(feed)s AND status = 'done' AND resubmits IS NULL AND kind = 'load'
ORDER BY id DESC LIMIT 1

-- name: list
-- The latest runs.
SELECT id, kind, feed, layer, status, file, file_sha256, started::text,
    extract(epoch FROM finished - started)::float8 AS seconds, who, arrived, skipped, inserted, updated,
    unchanged, quarantined, removed, message, crs_operation, crs_evidence, along
FROM ops.run ORDER BY id DESC LIMIT %(limit)s

-- name: one
-- One run.
SELECT id, kind, feed, layer, status, file, file_sha256, started::text,
    extract(epoch FROM finished - started)::float8 AS seconds, who, arrived, skipped, inserted, updated,
    unchanged, quarantined, removed, message, crs_operation, crs_evidence, along
FROM ops.run WHERE id = %(run)s

-- name: findings_by_code
-- What a run found, counted.
SELECT code, severity, field, count(*) AS rows FROM ops.finding WHERE run_id = %(run)s
GROUP BY code, severity, field ORDER BY severity, count(*) DESC, code

-- name: finding_samples
-- The first findings of each kind.
SELECT code, layer, key, line, field, value, detail FROM (
    SELECT *, row_number() OVER (PARTITION BY code, field ORDER BY line, id) AS nth
    FROM ops.finding WHERE run_id = %(run)s
) found WHERE nth <= %(samples)s ORDER BY code, line

-- name: quarantined
-- The rows a run set aside.
SELECT line, key, reasons, raw FROM ops.quarantine WHERE run_id = %(run)s ORDER BY line LIMIT %(limit)s

-- name: fail_abandoned
-- Runs that were killed: nobody holds their layer's lock any more.
UPDATE ops.run SET status = 'failed', finished = clock_timestamp(), message = 'the process ended before the merge'
WHERE layer = %(layer)s AND status = 'running' AND id <> %(run)s AND kind = 'load'

-- name: lock
-- One writer of a layer at a time; held by the session, so that a killed load frees it.
SELECT pg_try_advisory_lock(hashtextextended('makan load ' || %(layer)s, 0))

-- name: coordinates
-- By which operation coordinates came into the city's CRS, and what shows that they are where they should be.
UPDATE ops.run SET crs_operation = coalesce(%(operation)s, crs_operation), crs_evidence = coalesce(%(evidence)s, crs_evidence)
WHERE id = %(run)s

-- name: alone
-- The only one that does this, until the connection ends.
SELECT pg_advisory_lock(hashtextextended(%(name)s, 0))

-- name: alone_now
-- Whether nobody else does it, until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0))
