-- name: known
-- Facts that have a table, what it was made from, and which it is.
SELECT id, contract_sha256, generation FROM ops.fact

-- name: drop
-- A fact's table goes, with the views over it; both can be made again.
DROP TABLE IF EXISTS {table} CASCADE

-- name: forget
-- Nothing is known of the fact any more.
DELETE FROM ops.fact WHERE id = %(fact)s

-- name: enter
-- The fact has a table, and was never worked out.
INSERT INTO ops.fact (id, contract_sha256) VALUES (%(fact)s, %(digest)s)

-- name: grants
-- The loader keeps facts fresh; the reader sees none of them here.
GRANT USAGE ON SCHEMA facts, facts_kept TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA facts TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.fact, ops.fact_input TO makan_loader;
GRANT SELECT ON ops.layer_state, ops.fact_state TO makan_loader;
GRANT EXECUTE ON FUNCTION ops.fact_beside(text), ops.fact_filled(text), ops.show_facts(text[]), ops.sweep_facts(), ops.analyze_fact(text)
    TO makan_loader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA facts TO makan_loader

-- name: states
-- Every fact, and whether it is worked out from the layers as they are now.
SELECT id, state, derived::text, seconds, rows, touched, trouble FROM ops.fact_state ORDER BY id

-- name: layer_states
-- How far every layer is.
SELECT layer, run_id, undone FROM ops.layer_state

-- name: any_derived
-- Whether any fact was ever worked out.
SELECT EXISTS (SELECT 1 FROM ops.fact WHERE derived IS NOT NULL)

-- name: lost
-- Facts that were never worked out, in a database where others were: a migration has made their tables anew.
SELECT id FROM ops.fact WHERE derived IS NULL AND EXISTS (
    SELECT FROM ops.run WHERE kind = 'derive' AND layer = 'facts' AND status = 'done'
) ORDER BY id

-- name: edited
-- Layers whose latest change is an edit that facts or small scales, once made, do not know.
SELECT s.layer FROM ops.layer_state s JOIN ops.run r ON r.id = s.run_id AND r.kind = 'edit'
WHERE EXISTS (
    SELECT FROM ops.fact_input i JOIN ops.fact f ON f.id = i.fact
    WHERE i.layer = s.layer AND f.derived IS NOT NULL AND (i.run_id, i.undone) <> (s.run_id, s.undone)
) OR EXISTS (
    SELECT FROM ops.generalised g WHERE g.layer = s.layer AND g.refreshed IS NOT NULL AND (g.run_id, g.undone) <> (s.run_id, s.undone)
)

-- name: alone
-- One row for who follows edits, as long as its session lasts; none for another.
SELECT 1 FROM (SELECT pg_try_advisory_lock(hashtextextended('makan follow', 0)) AS held) AS asked WHERE held

-- name: never
-- Facts that were never worked out.
SELECT id FROM ops.fact WHERE derived IS NULL

-- name: ledger
-- A derivation is a run: servers see by it that what is shown of facts has changed.
INSERT INTO ops.run (
    kind, layer, status, file, file_sha256, file_bytes, contract_sha256, code_version, who, finished,
    arrived, inserted, message
) VALUES (
    'derive', 'facts', 'done', '', '', 0, '', %(code)s, %(who)s, clock_timestamp(), %(rows)s, %(rows)s, %(facts)s
) RETURNING id

-- name: inputs
-- How far each layer was known when a fact was worked out.
SELECT fact, layer, run_id, undone FROM ops.fact_input

-- name: derived
-- Facts are worked out; how many rows one has is counted where it changed.
UPDATE ops.fact f SET derived = now(), seconds = d.seconds, touched = d.touched, trouble = NULL,
    rows = CASE WHEN d.touched IS NULL THEN 0 ELSE coalesce(f.rows, 0) END + d.rows
FROM unnest(%(facts)s::text[], %(seconds)s::float8[], %(touched)s::bigint[], %(rows)s::bigint[]) AS d (fact, seconds, touched, rows)
WHERE f.id = d.fact

-- name: clear_inputs
-- What facts were worked out from before.
DELETE FROM ops.fact_input WHERE fact = ANY(%(facts)s)

-- name: enter_inputs
-- How far layers were known.
INSERT INTO ops.fact_input (fact, layer, run_id, undone)
SELECT * FROM unnest(%(facts)s::text[], %(layers)s::text[], %(runs)s::bigint[], %(undone)s::bigint[])

-- name: trouble
-- The derivation failed: what stands is of the one before, and says so.
UPDATE ops.fact SET trouble = %(trouble)s WHERE id = ANY(%(names)s)

-- name: estimate
-- How many rows a layer has, as the latest statistics know it.
SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %(relation)s::regclass

-- name: any
-- Whether a layer has any row that takes part.
SELECT EXISTS (SELECT FROM {layer} t WHERE {where})

-- name: everything
-- All rows of a layer that take part.
SELECT t.id, t.run_id{columns} FROM {layer} t WHERE {where}

-- name: some
-- The rows of a layer with these ids.
SELECT t.id, t.run_id{columns} FROM {layer} t WHERE t.id = ANY(%(ids)s::bigint[]) AND {where}

-- name: near
-- The rows of a layer whose box meets one of these, each once.
SELECT t.id, t.run_id{columns} FROM (
    SELECT DISTINCT ON (t.id) t.*
    FROM unnest(%(xmin)s::float8[], %(ymin)s::float8[], %(xmax)s::float8[], %(ymax)s::float8[]) AS b (xmin, ymin, xmax, ymax)
    JOIN {layer} t ON t.{geom} && ST_MakeEnvelope(b.xmin, b.ymin, b.xmax, b.ymax) WHERE {where} ORDER BY t.id
) t

-- name: near_ids
-- Ids of the rows of a layer whose box meets that of one of these rows of another.
SELECT DISTINCT n.id FROM {other} o JOIN {layer} n ON n.{geom} && ST_Expand(o.{geom}, %(reach)s) WHERE o.id = ANY(%(ids)s::bigint[])

-- name: within_ids
-- Ids of the rows of a layer that come so near to one of these rows of another.
SELECT DISTINCT n.id FROM {other} o JOIN {layer} n ON ST_DWithin(n.{geom}, o.{geom}, %(reach)s) WHERE o.id = ANY(%(ids)s::bigint[])

-- name: around_ids
-- Ids of the rows of a layer whose box meets that of one of these rows of another, or of what it has been since a run. What was moved by no
-- more than the reach needs no second look: whatever was near to it then lies within twice the reach of it now.
SELECT DISTINCT n.id FROM (
    SELECT ST_Expand(o.geom, 2 * %(reach)s) AS box FROM {other} o WHERE o.id = ANY(%(ids)s::bigint[])
    UNION ALL
    SELECT ST_Expand(h.geom, %(reach)s) FROM {history} h WHERE h.ended_by > %(run)s AND NOT EXISTS (
        SELECT FROM {other} o WHERE o.id = h.id AND ST_Expand(o.geom, %(reach)s) ~ h.geom
    )
) b JOIN {layer} n ON n.{geom} && b.box

-- name: groups
-- The groups that objects fall into.
SELECT DISTINCT {group}::text FROM {layer} t WHERE {where} ORDER BY 1

-- name: changed
-- Rows of a layer that loads have brought or changed since a run.
SELECT id FROM {layer} WHERE run_id > %(run)s

-- name: ended
-- Rows of a layer that loads have replaced or removed since a run.
SELECT DISTINCT id FROM {history} WHERE ended_by > %(run)s

-- name: otherwise
-- Of these rows of a layer those that are new since a run, are gone, or say something else now than then.
SELECT i.id FROM unnest(%(ids)s::bigint[]) AS i (id) LEFT JOIN {layer} n ON n.id = i.id LEFT JOIN (
    SELECT DISTINCT ON (h.id) h.id, h.run_id, {before} FROM {history} h WHERE h.ended_by > %(run)s ORDER BY h.id, h.ended_by
) h ON h.id = i.id
WHERE n.id IS NULL OR h.id IS NULL OR h.run_id > %(run)s OR ({now}) IS DISTINCT FROM ({before})

-- name: subjects_of
-- Subjects of a fact that hang on these objects.
SELECT DISTINCT subject_id FROM {table} WHERE object_id = ANY(%(ids)s::bigint[])

-- name: subjects_along
-- Subjects of a fact with an edge along one of these streets.
SELECT DISTINCT subject_id FROM {table} WHERE way_id = ANY(%(ids)s::bigint[])

-- name: edges_of
-- The edges of these subjects, in order.
SELECT subject_id, seq, polygon, ring, run_id, ST_AsBinary(geom) FROM {table}
WHERE subject_id = ANY(%(ids)s::bigint[]) ORDER BY subject_id, seq

-- name: fronts_of
-- Edges along these streets; of these subjects, if any are named.
SELECT subject_id, seq, way_id, run_id, ST_AsBinary(geom) FROM {table}
WHERE way_id = ANY(%(ways)s::bigint[]) AND (%(ids)s::bigint[] IS NULL OR subject_id = ANY(%(ids)s::bigint[])) ORDER BY subject_id, seq

-- name: before_points
-- Subjects with an edge along the street that one of these points is or was on.
SELECT DISTINCT f.subject_id FROM {table} f JOIN {ways} w ON w.id = f.way_id WHERE w.{street} IN (
    SELECT l.{street} FROM {layer} l WHERE l.id = ANY(%(ids)s::bigint[]) UNION SELECT h.{street} FROM {history} h WHERE h.id = ANY(%(ids)s::bigint[])
)

-- name: every_subject
-- All subjects of a fact.
SELECT DISTINCT subject_id FROM {table}

-- name: undecided
-- Subjects of a match that no rung before this one has decided.
SELECT subject_id FROM {table} WHERE NOT method = ANY(%(methods)s)

-- name: undecided_of
-- Of these subjects of a match those that no rung before this one has decided.
SELECT subject_id FROM {table} WHERE subject_id = ANY(%(ids)s::bigint[]) AND NOT method = ANY(%(methods)s)

-- name: texts
-- What these rows of a layer say in a column, and what they have said since a run.
SELECT t.{column}::text FROM {layer} t WHERE t.id = ANY(%(ids)s::bigint[]) AND t.{column} IS NOT NULL
UNION SELECT h.{column}::text FROM {history} h WHERE h.id = ANY(%(ids)s::bigint[]) AND h.ended_by > %(run)s AND h.{column} IS NOT NULL

-- name: speaking
-- Rows of a layer that say one of these texts.
SELECT s.id FROM {layer} s WHERE s.{left} = ANY(%(texts)s)

-- name: holding
-- Rows of a layer whose text holds all of these numbers.
SELECT s.id, s.{left}::text FROM {layer} s
WHERE CASE WHEN octet_length(s.{left}) = char_length(s.{left}) THEN s.{left}
    ELSE translate(s.{left}, '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩', '01234567890123456789') END LIKE ALL(%(numbers)s::text[])

-- name: waiting
-- What the subjects of a match say that no rung before this one has decided.
SELECT s.id, s.{left}::text FROM {table} f JOIN {layer} s ON s.id = f.subject_id
WHERE s.{left} IS NOT NULL AND NOT f.method = ANY(%(methods)s)

-- name: said_by
-- Rows of a layer that say one of these texts.
SELECT t.id, t.run_id{columns} FROM {layer} t WHERE t.{right} = ANY(%(texts)s)

-- name: stage
-- A place for what is worked out of some subjects.
CREATE TEMPORARY TABLE {fresh} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA

-- name: remove
-- What was known of these subjects and is not so any more.
DELETE FROM {table} f WHERE ({about}) AND NOT EXISTS (
    SELECT FROM {fresh} n WHERE {match} AND ({theirs}) IS NOT DISTINCT FROM ({ours})
)

-- name: led
-- Subjects of a match that are led to another object than they were.
SELECT subject_id FROM {fresh} n FULL JOIN (SELECT f.subject_id, f.object_id FROM {table} f WHERE {about}) f USING (subject_id)
WHERE n.object_id IS DISTINCT FROM f.object_id

-- name: add
-- What is so now and was not.
INSERT INTO {table} ({columns}) SELECT {columns} FROM {fresh} n WHERE NOT EXISTS (
    SELECT FROM {table} f WHERE {match} AND ({about}) AND ({theirs}) IS NOT DISTINCT FROM ({ours})
)

-- name: many
-- Whether there are more rows than so many.
SELECT EXISTS (SELECT FROM {table} OFFSET %(few)s)

-- name: beside
-- An empty table in which the fact is made anew while its own is read; the function belongs to the owner.
SELECT ops.fact_beside(%(fact)s)

-- name: filled
-- Its rows are there: makes the indexes, and the statistics.
SELECT ops.fact_filled(%(fact)s)

-- name: show
-- Readers find what was made beside, from the commit on.
SELECT ops.show_facts(%(facts)s::text[])

-- name: sweep
-- Tables that no fact shows any more go, unless they are still being read.
SELECT ops.sweep_facts()

-- name: analyze
-- Statistics, without which the planner knows nothing of what was just written.
SELECT ops.analyze_fact(%(fact)s)

-- name: leads
-- Subjects of another fact with what they say, and the object that it leads each to.
SELECT t.id, greatest(t.run_id, f.run_id), f.object_id{columns}
FROM {layer} t JOIN {table} f ON f.subject_id = t.id
WHERE f.object_id IS NOT NULL AND {main} AND {chosen}
ORDER BY t.id

-- name: methods
-- How many subjects of a match each rung has decided.
SELECT method, quality, count(*), count(DISTINCT object_id) FROM {table} GROUP BY method, quality

-- name: distances
-- How far subjects lie from their objects, in metres, by class.
SELECT CASE WHEN distance_m = 0 THEN 0.0 WHEN distance_m <= 0.5 THEN 0.5 WHEN distance_m <= 1 THEN 1 WHEN distance_m <= 3 THEN 3
    WHEN distance_m <= 10 THEN 10 WHEN distance_m <= 100 THEN 100 ELSE 'Infinity'::float8 END AS up_to, count(*)
FROM {table} WHERE distance_m IS NOT NULL GROUP BY 1 ORDER BY 1

-- name: numbers
-- Numbers that subjects say, against those of objects; what waits in quarantine has arrived as well.
WITH published AS (
    SELECT DISTINCT {right}::text AS number FROM {objects} WHERE {right} IS NOT NULL
), aside AS (
    SELECT DISTINCT q.key AS number FROM ops.quarantine q
    WHERE q.key IS NOT NULL AND q.run_id IN (
        SELECT max(id) FROM ops.run
        WHERE layer = %(layer)s AND kind = 'load' AND status = 'done' AND resubmits IS NULL GROUP BY feed
    ) AND NOT EXISTS (SELECT FROM published p WHERE p.number = q.key)
), object AS (
    SELECT number, true AS out FROM published UNION ALL SELECT number, false FROM aside
), subject AS (
    SELECT {left}::text AS number, count(*) AS rows FROM {subjects} WHERE {left} IS NOT NULL GROUP BY 1
)
SELECT count(o.number), count(o.number) FILTER (WHERE NOT o.out), count(s.number),
    count(*) FILTER (WHERE s.number IS NULL), count(*) FILTER (WHERE s.number IS NULL AND NOT o.out),
    count(*) FILTER (WHERE o.number IS NULL), count(*) FILTER (WHERE s.rows > 1),
    count(*) FILTER (WHERE s.number IS NOT NULL AND NOT o.out)
FROM object o FULL JOIN subject s ON s.number = o.number

-- name: objects_without
-- Objects that no subject leads to.
SELECT count(*), (array_agg({key} ORDER BY o.id))[1:%(samples)s]
FROM {objects} o WHERE NOT EXISTS (SELECT FROM {table} f WHERE f.object_id = o.id)

-- name: objects_laid
-- Objects that no subject leads to although an overlay lays something on them.
SELECT count(*), (array_agg({key} ORDER BY o.id))[1:%(samples)s]
FROM {objects} o WHERE NOT EXISTS (SELECT FROM {table} f WHERE f.object_id = o.id)
    AND EXISTS (SELECT FROM {laid} v WHERE v.object_id = o.id AND v.part = 'in' AND v.share > 0.5)

-- name: left_over
-- Subjects that no rung has decided.
SELECT {key}, f.method, f.candidates, {said}
FROM {table} f JOIN {subjects} s ON s.id = f.subject_id
WHERE f.method IN ('ambiguous', 'unmatched') ORDER BY f.method, s.id LIMIT %(samples)s

-- name: plain_measure
-- The measure of an object itself; of those of some subjects, if any are named.
SELECT o.id AS object_id, {measure} AS value FROM {objects} o
WHERE %(ids)s::bigint[] IS NULL OR o.id = ANY(ARRAY(SELECT a.object_id FROM {table} a WHERE a.subject_id = ANY(%(ids)s::bigint[])))

-- name: laid_measure
-- The measure of what an overlay lays on an object, of those as well.
SELECT v.object_id, {gather}({measure}) AS value FROM {via} v JOIN {laid} o ON o.id = v.subject_id
WHERE v.part = 'in' AND v.share > 0.5
    AND (%(ids)s::bigint[] IS NULL OR v.object_id = ANY(ARRAY(SELECT a.object_id FROM {table} a WHERE a.subject_id = ANY(%(ids)s::bigint[]))))
GROUP BY v.object_id

-- name: said_each
-- What each subject says; of some, if any are named.
SELECT f.subject_id, f.object_id, s.{said}::float8 AS value
FROM {table} f JOIN {subjects} s ON s.id = f.subject_id WHERE f.object_id IS NOT NULL
    AND (%(ids)s::bigint[] IS NULL OR f.subject_id = ANY(%(ids)s::bigint[]))

-- name: said_together
-- What all subjects of an object say together, of those objects as well.
SELECT min(f.subject_id) AS subject_id, f.object_id, sum(s.{said})::float8 AS value
FROM {table} f JOIN {subjects} s ON s.id = f.subject_id WHERE f.object_id IS NOT NULL
    AND (%(ids)s::bigint[] IS NULL OR f.object_id = ANY(ARRAY(SELECT a.object_id FROM {table} a WHERE a.subject_id = ANY(%(ids)s::bigint[]))))
GROUP BY f.object_id

-- name: compared
-- How what subjects say agrees with what is measured: by the ratio of the two.
SELECT width_bucket(said.value / measured.value, ARRAY[0.5, 0.9, 0.98, 1.02, 1.1, 2.0]::float8[]) AS class, count(*),
    count(*) FILTER (WHERE abs(said.value - measured.value) > greatest(%(least)s, %(tolerance)s * measured.value))
FROM ({said}) said JOIN ({measured}) measured USING (object_id)
WHERE said.value IS NOT NULL AND measured.value > 0 GROUP BY 1 ORDER BY 1

-- name: tell_differences
-- A finding for each subject that says something else than what is measured.
INSERT INTO ops.finding (run_id, code, severity, layer, key, field, value, detail, geom)
SELECT %(run)s, %(code)s, %(severity)s, %(layer)s, {key}, %(field)s, round(said.value::numeric, 2)::text,
    round(measured.value::numeric, 2)::text, {geom}
FROM ({said}) said JOIN ({measured}) measured USING (object_id) JOIN {subjects} s ON s.id = said.subject_id
WHERE said.value IS NOT NULL AND measured.value > 0
    AND abs(said.value - measured.value) > greatest(%(least)s, %(tolerance)s * measured.value)
    AND (%(ids)s::bigint[] IS NULL OR said.subject_id = ANY(%(ids)s::bigint[]))

-- name: tell_left_over
-- A finding for each subject that no rung has decided.
INSERT INTO ops.finding (run_id, code, severity, layer, key, field, value, detail, geom)
SELECT %(run)s, %(code)s, %(severity)s, %(layer)s, {key}, %(field)s, {said}, f.candidates::text, {geom}
FROM {table} f JOIN {subjects} s ON s.id = f.subject_id
WHERE f.method = %(method)s AND (%(ids)s::bigint[] IS NULL OR f.subject_id = ANY(%(ids)s::bigint[]))
