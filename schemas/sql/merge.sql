-- name: is_empty
-- Whether the layer holds nothing yet, so that indexes are better made afterwards.
SELECT NOT EXISTS (SELECT 1 FROM {target})

-- name: analyze_stage
-- Statistics of the key, without which the planner takes the staging table for tiny.
ANALYZE {stage} ({key})

-- name: fill
-- One batch of staged rows, into a layer that was empty when the load began.
INSERT INTO {target} ({columns}, run_id, source_line)
SELECT {staged}, %(run)s, s.source_line FROM {stage} s WHERE s.source_line BETWEEN %(first)s AND %(last)s

-- name: by_index
-- A growing staging table has no statistics; a batch is always a small part of it.
SET LOCAL enable_seqscan = off

-- name: leave_out
-- Takes filled rows out again that a look at the whole delivery has condemned.
DELETE FROM {target} WHERE source_line = ANY(%(lines)s)

-- name: update
-- Rows whose key is published already and whose content differs; the former version goes to history.
WITH former AS MATERIALIZED (
    SELECT t.*, s.ctid AS staged FROM {target} t JOIN {stage} s ON {match}
    WHERE ({current}) IS DISTINCT FROM ({staged})
), kept AS (
    INSERT INTO {history} (id, {columns}, run_id, source_line, ended_by)
    SELECT id, {columns}, run_id, source_line, %(run)s FROM former
)
UPDATE {target} t SET ({columns}, run_id, source_line) = ROW({staged}, %(run)s, s.source_line)
FROM former f JOIN {stage} s ON s.ctid = f.staged
WHERE t.id = f.id

-- name: insert
-- Rows whose key is new.
INSERT INTO {target} ({columns}, run_id, source_line)
SELECT {staged}, %(run)s, s.source_line FROM {stage} s
WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE {match})
ORDER BY s.source_line

-- name: remove
-- Rows of the same feed that a full delivery no longer brings go to history; a quarantined row's predecessor stays.
WITH gone AS (
    DELETE FROM {target} t USING ops.run r
    WHERE r.id = t.run_id AND r.feed = %(feed)s
        AND NOT EXISTS (SELECT 1 FROM {stage} s WHERE {match})
        AND NOT (({key_text}) = ANY(%(kept)s))
    RETURNING t.*
)
INSERT INTO {history} (id, {columns}, run_id, source_line, ended_by)
SELECT id, {columns}, run_id, source_line, %(run)s FROM gone

-- name: before_bulk
-- Takes the layer's secondary indexes away; the function belongs to the owner.
SELECT ops.before_bulk(%(layer)s)

-- name: after_bulk
-- Makes them again, and the statistics.
SELECT ops.after_bulk(%(layer)s)

-- name: analyze
-- Statistics after a merge.
SELECT ops.analyze_layer(%(layer)s)
