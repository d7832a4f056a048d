-- name: changing_since
-- The runs that stand and have changed the layer after this one, the latest first.
SELECT id FROM ops.run
WHERE layer = %(layer)s AND kind IN ('load', 'edit') AND status = 'done' AND inserted + updated + removed > 0 AND id > %(run)s
ORDER BY id DESC

-- name: take_back
-- Rows that the run brought or replaced go; that they were in force stays on record, and that they never should have been.
WITH taken AS (DELETE FROM {target} WHERE run_id = %(run)s RETURNING *)
INSERT INTO {history} (
    id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid, withdrawn_by
)
SELECT id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, %(undo)s, 'empty', %(undo)s FROM taken

-- name: bring_back
-- The versions that the run ended are in force again, under their ids, as they were; they never ended.
WITH former AS (
    UPDATE {history} SET withdrawn_by = %(undo)s WHERE ended_by = %(run)s AND withdrawn_by IS NULL RETURNING *
)
INSERT INTO {target} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by)
SELECT id, {columns}, run_id, source_line, valid_since, valid_until, %(undo)s FROM former

-- name: mark_undone
-- The ledger keeps the run and says that it no longer stands.
UPDATE ops.run SET status = 'undone', message = %(message)s WHERE id = %(run)s

-- name: versions
-- Every version of one object, oldest first, with the runs that began and ended it.
SELECT v.*, o.raw AS original, b.file, b.started, e.started AS ended FROM (
    SELECT id, {columns}, run_id, source_line, NULL::bigint AS ended_by FROM {target} WHERE {key_text} = %(key)s
    UNION ALL
    SELECT id, {columns}, run_id, source_line, ended_by FROM {history}
    WHERE {key_text} = %(key)s AND withdrawn_by IS NULL
) v JOIN ops.run b ON b.id = v.run_id LEFT JOIN ops.run e ON e.id = v.ended_by
LEFT JOIN ops.original o ON o.run_id = v.run_id AND o.line = v.source_line
ORDER BY v.run_id, v.ended_by NULLS LAST

-- name: difference
-- What changed in the layer from the state after run one to the state after run two.
WITH every AS (
    SELECT id, {columns}, run_id, NULL::bigint AS ended_by FROM {target}
    UNION ALL
    SELECT id, {columns}, run_id, ended_by FROM {history} WHERE withdrawn_by IS NULL
), one AS (
    SELECT * FROM every WHERE run_id <= %(one)s AND (ended_by IS NULL OR ended_by > %(one)s)
), two AS (
    SELECT * FROM every WHERE run_id <= %(two)s AND (ended_by IS NULL OR ended_by > %(two)s)
)
SELECT CASE WHEN one.id IS NULL THEN 'added' WHEN two.id IS NULL THEN 'removed' ELSE 'changed' END AS change,
    coalesce({key_two}, {key_one}) AS key,
    CASE WHEN one.id IS NOT NULL AND two.id IS NOT NULL THEN ARRAY(
        SELECT name FROM unnest({names}::text[], ARRAY[{differs}]) AS found (name, differs) WHERE differs
    ) END AS columns,
    {moved} AS moved
FROM one FULL JOIN two ON one.id = two.id
WHERE one.id IS NULL OR two.id IS NULL OR one.run_id <> two.run_id
ORDER BY 1, 2

-- name: forget_originals
-- What was kept of rows that the run did not publish after all.
DELETE FROM ops.original o WHERE o.run_id = %(run)s
    AND NOT EXISTS (SELECT FROM {target} t WHERE t.run_id = o.run_id AND t.source_line = o.line)
