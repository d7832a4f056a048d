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

-- name: put_back
-- Rows whose key is new now and was an object's when that was last here: it is there again, under its id, and was not in between.
INSERT INTO {target} (id, {columns}, run_id, source_line, valid_since, valid_until)
SELECT t.id, {staged}, n.id, s.source_line,
    CASE WHEN coalesce({since}, n.valid_from) >= {floor} OR {floor} IS NULL THEN {since} ELSE {floor} END, {until}
FROM (
    SELECT DISTINCT ON (s.staged) s.staged, t.id
    FROM (SELECT s.ctid AS staged, s.* FROM {stage} s WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE {match})) s
    JOIN {history} t ON {match} AND t.withdrawn_by IS NULL
    WHERE NOT EXISTS (SELECT 1 FROM {target} o WHERE o.id = t.id)
        AND NOT EXISTS (SELECT 1 FROM {history} l WHERE l.id = t.id AND l.withdrawn_by IS NULL AND l.ended_by > t.ended_by)
    ORDER BY s.staged, t.ended_by DESC
) t JOIN {stage} s ON s.ctid = t.staged JOIN ops.run n ON n.id = %(run)s

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

-- name: staying
-- What is published, and stays as it is whatever the delivery brings.
(SELECT t.* FROM {target} t LEFT JOIN ops.run r ON r.id = t.run_id WHERE NOT EXISTS (SELECT 1 FROM {stage} s WHERE {match})
    AND NOT coalesce(r.feed = %(feed)s AND %(full)s AND CASE WHEN %(gone)s::text[] IS NULL
        THEN NOT ({key_text}) = ANY(%(kept)s::text[]) ELSE ({key_exact}) = ANY(%(gone)s::text[]) END, false))

-- name: analyze
-- Statistics after a merge.
SELECT ops.analyze_layer(%(layer)s)

-- name: moved_keys
-- Rows that lie exactly where one row of the feed lies, under another key: pairs of which each side is in one alone.
CREATE TEMPORARY TABLE {renumbered} ON COMMIT DROP AS SELECT id, staged FROM (
    SELECT t.id, s.ctid AS staged, count(*) OVER (PARTITION BY t.id) AS of_old, count(*) OVER (PARTITION BY s.ctid) AS of_new,
        {match} AS same
    FROM {stage} s JOIN {target} t ON t.{geom} ~= s.{geom} AND ST_Equals(t.{geom}, s.{geom})
    JOIN ops.run r ON r.id = t.run_id AND r.feed = %(feed)s
) pair WHERE of_old = 1 AND of_new = 1 AND NOT same

-- name: take_moved
-- They are taken out, their former version going to history, so that keys which change places are in nobody's way.
WITH taken AS (
    DELETE FROM {target} t USING {renumbered} p WHERE p.id = t.id RETURNING t.*
)
INSERT INTO {history} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid)
SELECT g.id, {gone_columns}, g.run_id, g.source_line, g.valid_since, g.valid_until, g.begun_by, n.id, tstzrange(
    coalesce(g.valid_since, b.valid_from),
    greatest(coalesce(g.valid_since, b.valid_from), least(g.valid_until, coalesce({since}, n.valid_from)))
) FROM taken g JOIN {renumbered} p ON p.id = g.id JOIN {stage} s ON s.ctid = p.staged
JOIN ops.run n ON n.id = %(run)s LEFT JOIN ops.run b ON b.id = g.run_id

-- name: displaced
-- Rows whose key is another's now, and that lie nowhere in a full delivery: they are gone.
WITH gone AS (
    DELETE FROM {target} t USING {renumbered} p JOIN {stage} s ON s.ctid = p.staged WHERE {match} RETURNING t.*
)
INSERT INTO {history} (id, {columns}, run_id, source_line, valid_since, valid_until, begun_by, ended_by, valid)
SELECT g.id, {gone_columns}, g.run_id, g.source_line, g.valid_since, g.valid_until, g.begun_by, n.id, tstzrange(
    coalesce(g.valid_since, b.valid_from),
    greatest(coalesce(g.valid_since, b.valid_from), least(g.valid_until, n.valid_from))
) FROM gone g JOIN ops.run n ON n.id = %(run)s LEFT JOIN ops.run b ON b.id = g.run_id

-- name: put_moved
-- And put in again under their ids.
INSERT INTO {target} (id, {columns}, run_id, source_line, valid_since, valid_until)
SELECT t.id, {staged}, n.id, s.source_line,
    CASE WHEN coalesce({since}, n.valid_from) >= {floor} OR {floor} IS NULL THEN {since} ELSE {floor} END, {until}
FROM {renumbered} t JOIN {stage} s ON s.ctid = t.staged JOIN ops.run n ON n.id = %(run)s

-- name: former_codes
-- Which code each had until then, and which it has now.
INSERT INTO {codes} ({former}, {now}, {from}, {to}, {reason}, {object}, run_id, source_line)
SELECT h.{field}, t.{field}, (lower(h.valid) AT TIME ZONE %(zone)s)::date, (n.valid_from AT TIME ZONE %(zone)s)::date,
    'renumber', t.id, %(codes_run)s, t.source_line
FROM {renumbered} p JOIN {target} t ON t.id = p.id
JOIN {history} h ON h.id = t.id AND h.ended_by = %(run)s JOIN ops.run n ON n.id = %(run)s
WHERE NOT EXISTS (SELECT FROM {codes} c WHERE c.{former} = h.{field} AND c.{now} = t.{field})

-- name: lost_objects
-- Objects that the run has removed although a fact tells of them, and of which nobody has said what they became.
SELECT DISTINCT h.{field} FROM {history} h JOIN {fact} f ON f.object_id = h.id
WHERE h.ended_by = %(run)s AND NOT EXISTS (SELECT FROM {target} t WHERE t.id = h.id)
    AND NOT EXISTS (SELECT FROM {parents} p WHERE p.{parent} = h.{field})
ORDER BY 1
