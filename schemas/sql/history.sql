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
-- Asked once and kept by its hash: of a run that is not over nobody knows how many rows there are, and each would be looked for.
DELETE FROM ops.original o WHERE o.run_id = %(run)s
    AND o.line NOT IN (SELECT t.source_line FROM {target} t WHERE t.run_id = %(run)s)

-- name: versions_view
-- All versions of a layer's objects as an audience sees them: those in force and former ones. Which stand, when they held, and
-- which runs began and ended them; nothing else of the ledger can be seen here.
CREATE VIEW {view} AS
SELECT t.id, {columns}, t.run_id AS version_run, t.begun_by AS version_by, NULL::bigint AS version_ended, true AS version_stands,
    coalesce(t.valid_since, r.valid_from) AS valid_since, t.valid_until
FROM {target} t LEFT JOIN ops.run r ON r.id = t.run_id
UNION ALL
SELECT h.id, {former}, h.run_id, h.begun_by, h.ended_by,
    h.withdrawn_by IS NULL AND NOT isempty(h.valid), lower(h.valid), upper(h.valid)
FROM {history} h;
COMMENT ON VIEW {view} IS {comment}

-- name: publication_view
-- The loads and undos that changed what an audience sees, in the order they were committed.
CREATE VIEW {view} AS
SELECT p.seq, p.run_id, p.layer, p.recorded, r.kind, r.valid_from
FROM ops.publication p JOIN ops.run r ON r.id = p.run_id WHERE p.layer = ANY({layers}::text[]);
COMMENT ON VIEW {view} IS 'Changes of layers in the order they were committed | تغییر لایه‌ها به ترتیب ثبت'

-- name: publications
-- The next publications of a period after a place among all changes, as JSON: number, run, layer, kind, moment.
SELECT coalesce(json_agg(json_build_array(p.seq, p.run_id, p.layer, p.kind = 'undo', p.recorded) ORDER BY p.seq), '[]')::text
FROM (
    SELECT * FROM {view} WHERE seq >= %(seq)s AND (%(layer)s::text IS NULL OR layer = %(layer)s)
        AND recorded BETWEEN coalesce(%(earliest)s::timestamptz, '-infinity') AND coalesce(%(latest)s::timestamptz, 'infinity')
    ORDER BY seq LIMIT %(most)s
) AS p

-- name: seq_of_run
-- The number under which a load or undo was published.
SELECT seq FROM {view} WHERE run_id = %(run)s

-- name: seq_at
-- The last number that was published by a moment.
SELECT coalesce(max(seq), 0) FROM {view} WHERE recorded <= %(moment)s

-- name: changes
-- What one publication has changed of a layer, by object: a version begun where none was ended is an insertion, one ended where
-- none was begun a deletion. One object more than the limit is read, to know whether there are more. What has a place now counts
-- only where that meets what is asked for.
WITH object AS MATERIALIZED (
    SELECT id, bool_or(begins) AS begins, bool_or(NOT begins) AS ends FROM (
        (SELECT v.id, true AS begins FROM {versions} AS v
            WHERE {begun} AND coalesce({meets}, true) AND v.id > %(after)s ORDER BY v.id LIMIT %(limit)s + 1)
        UNION ALL
        (SELECT e.id, false FROM {versions} AS e WHERE e.version_ended = %(run)s AND e.id > %(after)s
            AND NOT EXISTS (SELECT FROM {versions} AS v WHERE v.id = e.id AND {begun} AND NOT coalesce({meets}, true))
            ORDER BY e.id LIMIT %(limit)s + 1)
    ) AS found GROUP BY id ORDER BY id LIMIT %(limit)s + 1
)
SELECT string_agg(c.feature, ',' ORDER BY c.id) FILTER (WHERE c.place <= %(limit)s) AS features,
    least(count(*), %(limit)s) AS returned, count(*) > %(limit)s AS more,
    max(c.id) FILTER (WHERE c.place <= %(limit)s) AS last
FROM (
    SELECT o.id, row_number() OVER (ORDER BY o.id) AS place,
        '{{"type":"Feature","id":' || ((%(seq)s::int8 << 32) + o.id) ||
        ',"geometry":' || CASE WHEN o.begins THEN {geometry} ELSE 'null' END || ',"properties":' ||
        (SELECT row_to_json(p)::text FROM (SELECT
            %(seq)s::int8 AS change_seq, %(collection)s::text AS change_collection, o.id AS change_object,
            CASE WHEN NOT o.begins THEN 'delete' WHEN o.ends THEN 'update' ELSE 'insert' END AS change_kind,
            %(recorded)s::timestamptz AS recorded_at, %(run)s::int8 AS load_run,
            v.valid_since AS valid_begin, v.valid_until AS valid_end,
            CASE WHEN o.begins THEN {properties}::json END AS row
        ) AS p) || '}}' AS feature
    FROM object AS o LEFT JOIN {versions} AS v ON v.id = o.id AND o.begins AND {begun}
) AS c

-- name: begun_by_load
-- Versions that a load has brought.
(v.version_run = %(run)s AND v.version_by IS NULL)

-- name: begun_by_undo
-- Versions that an undo has put in force again.
(v.version_by = %(run)s)

-- name: holds_from
-- From when the latest delivery of a feed that stands holds.
SELECT max(r.valid_from) FROM ops.run r JOIN ops.publication p ON p.run_id = r.id
WHERE r.layer = %(layer)s AND r.feed = %(feed)s AND r.status = 'done' AND r.kind = 'load'

-- name: along
-- The runs that a run has brought along and that stand, with their layers.
SELECT id, layer FROM ops.run WHERE along = %(run)s AND status = 'done' ORDER BY id DESC

-- name: as_of
-- The versions of a layer's objects that held at a moment: as is known today, or as was known after the publication %(known)s.
-- What was ended later was then believed to go on; what an undo has withdrawn later still counted.
SELECT {columns} FROM (
    SELECT t.*, coalesce(t.valid_since, r.valid_from) AS since, t.valid_until AS until
    FROM {target} t LEFT JOIN ops.run r ON r.id = t.run_id
    LEFT JOIN ops.publication b ON b.run_id = coalesce(t.begun_by, t.run_id)
    WHERE %(known)s::bigint IS NULL OR b.seq <= %(known)s
) v WHERE (v.since IS NULL OR v.since <= %(moment)s) AND (v.until IS NULL OR v.until > %(moment)s)
UNION ALL
SELECT {columns} FROM (
    SELECT h.*, coalesce(h.valid_since, r.valid_from) AS since, b.seq AS began, e.seq AS ended, w.seq AS withdrawn
    FROM {history} h LEFT JOIN ops.run r ON r.id = h.run_id
    LEFT JOIN ops.publication b ON b.run_id = coalesce(h.begun_by, h.run_id)
    LEFT JOIN ops.publication e ON e.run_id = h.ended_by LEFT JOIN ops.publication w ON w.run_id = h.withdrawn_by
) v WHERE CASE
    WHEN %(known)s::bigint IS NULL THEN v.withdrawn_by IS NULL AND v.valid @> %(moment)s::timestamptz
    WHEN v.began IS NULL OR v.began > %(known)s THEN false
    WHEN v.ended > %(known)s THEN v.since <= %(moment)s AND (v.valid_until IS NULL OR v.valid_until > %(moment)s)
    ELSE v.valid @> %(moment)s::timestamptz AND (v.withdrawn IS NULL OR v.withdrawn > %(known)s)
END

-- name: known_at
-- The last publication by a moment.
SELECT coalesce(max(seq), 0) FROM ops.publication WHERE recorded <= %(moment)s

-- name: count
-- How many there are.
SELECT count(*) FROM ({query}) AS found
