-- name: analyze_stage
-- Statistics of the key, without which the planner takes the staging table for tiny.
ANALYZE {stage} ({key})

-- name: update
-- Rows whose key is published already and whose content differs; the former version goes to history, and held until the new one.
-- A delivery whose date is not after the former version's corrects it: that one never held, and the new one begins where it could.
WITH former AS MATERIALIZED (
    SELECT t.*, s.ctid AS staged, coalesce(t.valid_since, b.valid_from) AS began, coalesce({since}, n.valid_from) AS begins
    FROM {target} t JOIN {stage} s ON {match} JOIN ops.run n ON n.id = %(run)s LEFT JOIN ops.run b ON b.id = t.run_id
    WHERE ({current}) IS DISTINCT FROM ({staged}) OR {redated}
), kept AS (
    INSERT INTO {history} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid)
    SELECT id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, %(run)s,
        tstzrange(began, greatest(began, least(valid_until, begins)))
    FROM former
)
UPDATE {target} t SET ({columns}, run_id, source_line, valid_since, valid_until, begun_by) = ROW(
    {staged}, %(run)s, s.source_line, CASE WHEN f.begins > f.began THEN {since} ELSE greatest(f.begins, {floor}) END, {until}, NULL
)
FROM former f JOIN {stage} s ON s.ctid = f.staged
WHERE t.id = f.id

-- name: floor
-- When the last former version of an object ended: nothing before it is free.
(SELECT max(upper(h.valid)) FROM {history} h WHERE h.id = t.id AND h.withdrawn_by IS NULL)

-- name: redated
-- The data say of other times that the row holds; as far back as that is free.
(t.valid_until IS DISTINCT FROM {until} OR t.valid_since IS DISTINCT FROM {since}
    AND t.valid_since IS DISTINCT FROM greatest({since}, {floor}))

-- name: insert
-- Rows whose key is new.
INSERT INTO {target} ({columns}, run_id, source_line, valid_since, valid_until)
SELECT {staged}, %(run)s, s.source_line, {since}, {until} FROM {stage} s
WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE {match})
ORDER BY s.source_line

-- name: remove
-- Rows of the same feed that a full delivery no longer brings go to history; a quarantined row's predecessor stays.
WITH gone AS (
    DELETE FROM {target} t USING ops.run r
    WHERE r.id = t.run_id AND r.feed = %(feed)s
        AND NOT EXISTS (SELECT 1 FROM {stage} s WHERE {match})
        AND NOT (({key_text}) = ANY(%(kept)s))
    RETURNING t.*, r.valid_from AS from_load
)
INSERT INTO {history} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid)
SELECT g.id, {gone_columns}, g.run_id, g.source_line, g.valid_since, g.valid_until, g.begun_by, n.id, tstzrange(
    coalesce(g.valid_since, g.from_load),
    greatest(coalesce(g.valid_since, g.from_load), least(g.valid_until, n.valid_from))
) FROM gone g JOIN ops.run n ON n.id = %(run)s

-- name: remove_gone
-- The same, where it is known which keys the delivery no longer brings.
WITH gone AS (
    DELETE FROM {target} t USING ops.run r
    WHERE r.id = t.run_id AND r.feed = %(feed)s AND ({key_exact}) = ANY(%(gone)s)
    RETURNING t.*, r.valid_from AS from_load
)
INSERT INTO {history} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid)
SELECT g.id, {gone_columns}, g.run_id, g.source_line, g.valid_since, g.valid_until, g.begun_by, n.id, tstzrange(
    coalesce(g.valid_since, g.from_load),
    greatest(coalesce(g.valid_since, g.from_load), least(g.valid_until, n.valid_from))
) FROM gone g JOIN ops.run n ON n.id = %(run)s

-- name: analyze
-- Statistics after a merge.
SELECT ops.analyze_layer(%(layer)s)
