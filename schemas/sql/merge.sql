-- name: is_empty
-- Whether the layer holds nothing yet, so that indexes are better made afterwards.
SELECT NOT EXISTS (SELECT 1 FROM {target})

-- name: index_stage
-- Statistics, without which the planner takes the staging table for tiny.
ANALYZE {stage}

-- name: update
-- Rows whose key is published already and whose content differs.
UPDATE {target} t SET ({columns}, run_id, source_line) = ROW({staged}, %(run)s, s.source_line)
FROM {stage} s
WHERE {match} AND ({current}) IS DISTINCT FROM ({staged})

-- name: insert
-- Rows whose key is new.
INSERT INTO {target} ({columns}, run_id, source_line)
SELECT {staged}, %(run)s, s.source_line FROM {stage} s
WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE {match})
ORDER BY s.source_line

-- name: remove
-- Rows of the same feed that a full delivery no longer brings; a quarantined row's predecessor stays.
DELETE FROM {target} t USING ops.run r
WHERE r.id = t.run_id AND r.feed = %(feed)s
    AND NOT EXISTS (SELECT 1 FROM {stage} s WHERE {match})
    AND NOT (({key_text}) = ANY(%(kept)s))

-- name: before_bulk
-- Takes the layer's secondary indexes away; the function belongs to the owner.
SELECT ops.before_bulk(%(layer)s)

-- name: after_bulk
-- Makes them again, and the statistics.
SELECT ops.after_bulk(%(layer)s)

-- name: analyze
-- Statistics after a merge.
SELECT ops.analyze_layer(%(layer)s)
