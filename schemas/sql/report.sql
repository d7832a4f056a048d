-- name: compared
-- The delivery of the feed before this one, and the guards that whoever loaded this one overrode by name.
SELECT (
    SELECT max(former.id) FROM ops.run former
    WHERE former.layer = run.layer AND former.feed = run.feed AND former.id < run.id
        AND former.status = 'done' AND former.resubmits IS NULL
), accepted FROM ops.run run WHERE id = %(run)s

-- name: open_by_run
-- How many quarantined rows of each run still wait; an undone correction closes nothing.
SELECT q.run_id, count(*) FROM ops.quarantine q
JOIN ops.run r ON r.id = q.run_id
LEFT JOIN ops.run c ON c.id = q.closed_by AND c.status = 'done'
WHERE q.run_id = ANY(%(runs)s) AND c.id IS NULL AND r.resubmits IS NULL
GROUP BY q.run_id

-- name: resubmits
-- The run that a run corrects, or NULL.
SELECT resubmits FROM ops.run WHERE id = %(run)s

-- name: set_aside
-- The rows a run set aside, as they arrived, with the run that has closed each.
SELECT q.line, q.key, q.reasons, q.raw, q.raw_geometry, c.id FROM ops.quarantine q
LEFT JOIN ops.run c ON c.id = q.closed_by AND c.status = 'done'
WHERE q.run_id = %(run)s ORDER BY q.line LIMIT %(limit)s

-- name: errors_by_line
-- Why rows were set aside, in the order of the rows.
SELECT code, layer, key, line, field, value, detail FROM ops.finding
WHERE run_id = %(run)s AND severity = 'error' AND line IS NOT NULL ORDER BY line, id

-- name: lines
-- The rows a run set aside.
SELECT line FROM ops.quarantine WHERE run_id = %(run)s

-- name: raw_shapes
-- The geometry of rows that were set aside, as it arrived.
SELECT line, raw_geometry FROM ops.quarantine WHERE run_id = %(run)s AND line = ANY(%(lines)s)

-- name: overtaken
-- A later delivery of the same feed, whose rows an older correction must not replace.
SELECT max(later.id) FROM ops.run run JOIN ops.run later ON later.layer = run.layer AND later.feed = run.feed
    AND later.id > run.id AND later.status = 'done' AND later.resubmits IS NULL
WHERE run.id = %(run)s AND later.contract_sha256 <> %(contract)s

-- name: standing
-- A run that has loaded this very file as a correction, and whose layer nothing has changed since.
SELECT max(id) FROM ops.run run
WHERE feed = %(feed)s AND layer = %(layer)s AND file_sha256 = %(sha256)s AND contract_sha256 = %(contract)s
    AND status = 'done' AND id > %(run)s AND NOT EXISTS (
        SELECT 1 FROM ops.run later WHERE later.layer = run.layer AND later.id > run.id
            AND later.status = 'done' AND later.inserted + later.updated + later.removed > 0
    )

-- name: taken_keys
-- Published rows that a correction would replace though they were not set aside with it.
SELECT {key_text}, t.source_line, t.run_id FROM {target} t
WHERE {key_text} = ANY(%(keys)s)
    AND NOT EXISTS (SELECT 1 FROM ops.quarantine q WHERE q.run_id = %(run)s AND q.key = {key_text})
    AND NOT EXISTS (SELECT 1 FROM ops.run r WHERE r.id = t.run_id AND r.resubmits = %(run)s)
ORDER BY t.source_line LIMIT 8

-- name: mark_resubmission
-- The ledger says what the run corrects.
UPDATE ops.run SET resubmits = %(of)s, message = coalesce(message, %(message)s) WHERE id = %(run)s

-- name: close
-- Rows that are published now are no longer in quarantine.
UPDATE ops.quarantine SET closed_by = %(run)s WHERE run_id = %(of)s AND line = ANY(%(lines)s)

-- name: still_wrong
-- What a correction left wrong: its own reasons, by the row of its file.
SELECT line, reasons FROM ops.quarantine WHERE run_id = %(run)s

-- name: new_reasons
-- A row that is still open has the reasons of its latest trial.
UPDATE ops.quarantine q SET reasons = %(reasons)s
WHERE run_id = %(of)s AND line = %(line)s
    AND NOT EXISTS (SELECT 1 FROM ops.run c WHERE c.id = q.closed_by AND c.status = 'done')

-- name: extent
-- Where the layer's published rows are, and how many there are.
SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e), n
FROM (SELECT ST_Extent(geom) AS e, count(*) AS n FROM {target}) found

-- name: outlines
-- The layer's published rows, as coarse as the picture shows them.
SELECT ST_AsBinary(g) FROM (
    SELECT ST_SimplifyPreserveTopology(geom, %(unit)s) AS g FROM {target} ORDER BY id LIMIT %(limit)s
) found WHERE g IS NOT NULL

-- name: density
-- How many published rows have their middle in each cell of the picture's grid.
SELECT floor((ST_X(c) - %(x)s) / %(cell)s)::int, floor((ST_Y(c) - %(y)s) / %(cell)s)::int, count(*)::int
FROM (SELECT ST_Centroid(ST_Envelope(geom)) AS c FROM {target} WHERE NOT ST_IsEmpty(geom)) found
GROUP BY 1, 2

-- name: marks
-- Where a run's findings are: their own geometry, or that of the row as it is published.
SELECT f.severity, f.line, ST_X(p.c), ST_Y(p.c) FROM ops.finding f
LEFT JOIN {target} t ON f.geom IS NULL AND t.run_id = f.run_id AND t.source_line = f.line
LEFT JOIN LATERAL (SELECT ST_Centroid(ST_Envelope(coalesce(f.geom, t.geom))) AS c) p ON true
WHERE f.run_id = %(run)s AND f.line IS NOT NULL ORDER BY f.id LIMIT %(limit)s

-- name: repaired
-- The first rows whose geometry was repaired, as it is now.
SELECT line, key, detail, ST_AsBinary(geom) FROM ops.finding
WHERE run_id = %(run)s AND code = %(code)s AND line IS NOT NULL AND geom IS NOT NULL
ORDER BY line LIMIT %(limit)s

-- name: closed_by
-- How many entries a correction has closed.
SELECT count(*) FROM ops.quarantine WHERE closed_by = %(run)s
