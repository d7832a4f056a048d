-- name: analyze_stage
-- Statistics of the key, without which the planner takes the staging table for tiny.
ANALYZE {stage} ({key})

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

-- name: remove_gone
-- The same, where it is known which keys the delivery no longer brings.
WITH gone AS (
    DELETE FROM {target} t USING ops.run r
    WHERE r.id = t.run_id AND r.feed = %(feed)s AND ({key_exact}) = ANY(%(gone)s)
    RETURNING t.*
)
INSERT INTO {history} (id, {columns}, run_id, source_line, ended_by)
SELECT id, {columns}, run_id, source_line, %(run)s FROM gone

-- name: analyze
-- Statistics after a merge.
SELECT ops.analyze_layer(%(layer)s)
