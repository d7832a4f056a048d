-- name: runs_in_force
-- The runs that the published data are of: of each feed that delivers all at once the latest, of others every one,
-- with the corrections of their rows in quarantine; of rasters the runs whose sheets are in force; of what is
-- computed, and of checks of the fabric, the latest.
CREATE VIEW {view} AS
SELECT r.id, r.feed, r.layer, r.resubmits IS NOT NULL AS corrects,
    regexp_replace(r.file, '^.*[/\\]', '') AS file_name, r.started::date AS delivered_on
FROM ops.run r
WHERE r.status = 'done' AND CASE
    WHEN r.kind = 'raster' THEN EXISTS (SELECT FROM ops.raster x WHERE x.run_id = r.id AND x.current)
    WHEN r.kind IN ('load', 'derive', 'fabric') THEN r.feed = ANY({partial}::text[]) OR NOT EXISTS (
        SELECT FROM ops.run later
        WHERE later.layer = r.layer AND later.kind = r.kind AND later.feed IS NOT DISTINCT FROM r.feed
            AND later.status = 'done' AND later.resubmits IS NULL AND later.id > coalesce(r.resubmits, r.id)
    )
    ELSE false
END;

-- name: values_view
-- What contracts say, for the views that need it.
CREATE VIEW {view} AS SELECT * FROM (VALUES {rows}) AS told ({columns});

-- name: place_of_rows
-- Findings that only the whole delivery shows lie where their row lies.
UPDATE ops.finding f SET place = q.place FROM ops.quarantine q
WHERE f.run_id = %(run)s AND f.place IS NULL AND f.line IS NOT NULL
    AND q.run_id = f.run_id AND q.line = f.line AND q.place IS NOT NULL

-- name: place_of_published
-- The same for rows that were loaded.
UPDATE ops.finding f SET place = ST_PointOnSurface({geom}) FROM {target} t
WHERE f.run_id = %(run)s AND f.place IS NULL AND f.line IS NOT NULL AND f.key = {key_text} AND {geom} IS NOT NULL

-- name: measure
-- ISO 19157 results of a run: for each quality element, and each field with faults, how many rows are faulty and
-- which share of the delivery that is. Errors fail it; warnings count, and pass.
INSERT INTO ops.quality_result (run_id, element, measure, field, value, unit, rows, errors, passed)
WITH run AS (
    SELECT id, kind, layer, arrived - skipped AS rows, removed FROM ops.run WHERE id = %(run)s
), measures (element, number, rate, always) AS (VALUES
    ('completeness: commission', 'excess_number', 'excess_rate', true),
    ('completeness: omission', 'missing_number', 'missing_rate', true),
    ('logical consistency: conceptual', 'conceptual_number', 'conceptual_rate', true),
    ('logical consistency: domain', 'domain_number', 'domain_rate', true),
    ('logical consistency: format', 'format_number', 'format_rate', true),
    ('logical consistency: topological', 'topological_number', 'topological_rate', %(spatial)s),
    ('positional accuracy', 'positional_number', 'positional_rate', %(spatial)s),
    ('thematic accuracy', 'attribute_number', 'attribute_rate', true),
    ('temporal quality', 'temporal_number', 'temporal_rate', false)
), counted AS (
    -- A finding about the whole file counts as one row; what is checked later knows keys and no lines.
    SELECT k.element, f.field, grouping(f.field) = 1 AS whole,
        count(DISTINCT f.row) AS faulty,
        count(DISTINCT f.row) FILTER (WHERE f.severity = 'error') AS errors
    FROM (
        SELECT code, field, severity, coalesce(line::text, key, '') AS row FROM ops.finding
        WHERE run_id = %(run)s AND severity <> 'info'
    ) f JOIN derived.makan_finding_kind k ON k.code = f.code
    GROUP BY GROUPING SETS ((k.element), (k.element, f.field))
), results AS (
    SELECT m.element, m.number, m.rate, c.field, coalesce(c.faulty, 0) AS faulty, coalesce(c.errors, 0) AS errors
    FROM measures m CROSS JOIN run
    LEFT JOIN counted c ON c.element = m.element AND (c.whole OR c.field IS NOT NULL)
    WHERE c.element IS NOT NULL OR m.always AND CASE run.kind
        WHEN 'fabric' THEN m.element = 'logical consistency: topological'
        WHEN 'raster' THEN m.element IN (SELECT k.element FROM derived.makan_finding_kind k WHERE k.code LIKE 'raster.%%')
        ELSE true
    END
)
SELECT run.id, r.element, r.number, r.field, r.faulty, 'rows', run.rows, r.errors, r.errors = 0 FROM results r, run
UNION ALL
SELECT run.id, r.element, r.rate, r.field, 100.0 * r.faulty / run.rows, '%%', run.rows, r.errors, r.errors = 0
FROM results r, run WHERE run.rows > 0
UNION ALL
SELECT run.id, 'completeness: omission', 'no_longer_delivered', NULL, run.removed, 'rows', run.rows, 0, true FROM run
WHERE run.kind = 'load'

-- name: release
-- The layers' state: per run in force what is faulty by element, what of it is open, accepted, fixed.
SELECT v.layer_id, v.feed_id, v.run_number, v.quality_element, v.finding_severity,
    count(*) AS findings,
    count(*) FILTER (WHERE v.finding_state = 'open') AS open,
    count(*) FILTER (WHERE v.finding_state = 'accepted') AS accepted,
    count(*) FILTER (WHERE v.finding_state = 'fixed') AS fixed
FROM derived.quality_finding v
WHERE (%(layer)s::text IS NULL OR v.layer_id = %(layer)s)
GROUP BY 1, 2, 3, 4, 5

-- name: results
-- What was measured of the loads in force, the whole delivery before its fields.
SELECT layer_id AS layer, feed_id AS feed, run_number AS run, quality_element AS element, quality_measure AS measure,
    field_id AS field, measured_value AS value, measured_unit AS unit, checked_rows AS rows, error_rows AS errors,
    conformant AS passed, measured_at::text AS measured
FROM derived.quality_result v
WHERE in_force AND (%(layer)s::text IS NULL OR layer_id = %(layer)s)
ORDER BY layer, feed, run, id

-- name: codes
-- What a run in force has found, and what of it is accepted.
SELECT finding_code, count(*), count(*) FILTER (WHERE finding_state = 'accepted')
FROM derived.quality_finding WHERE run_number = %(run)s GROUP BY 1 ORDER BY 1

-- name: accept
-- Somebody answers for findings of one kind.
INSERT INTO ops.acceptance (run_id, code, reason, who) VALUES (%(run)s, %(code)s, %(reason)s, %(who)s)

-- name: withdraw
-- Nobody does any more.
UPDATE ops.acceptance SET withdrawn = clock_timestamp(), withdrawn_by = %(who)s
WHERE run_id = %(run)s AND code = %(code)s AND withdrawn IS NULL
