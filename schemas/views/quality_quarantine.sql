-- Rows of the runs in force that are not in their layer. A correction's own rows in quarantine are those of the
-- run that it corrects, and counted there.
SELECT q.id,
    q.run_id AS run_number,
    r.feed AS feed_id,
    q.layer AS layer_id,
    CASE WHEN NOT l.key_hidden THEN q.key END AS row_key,
    q.line AS row_line,
    array_to_string(q.reasons, ', ') AS reason_codes,
    (SELECT string_agg(v.explanation_en, '; ' ORDER BY v.id) FROM derived.quality_finding v
        WHERE v.run_number = q.run_id AND v.row_line = q.line AND v.finding_severity = 'error') AS reasons_en,
    (SELECT string_agg(v.explanation_fa, '؛ ' ORDER BY v.id) FROM derived.quality_finding v
        WHERE v.run_number = q.run_id AND v.row_line = q.line AND v.finding_severity = 'error') AS reasons_fa,
    CASE
        WHEN fixed.id IS NOT NULL THEN 'fixed'
        WHEN NOT EXISTS (
            SELECT FROM unnest(q.reasons) AS kind (code) WHERE NOT EXISTS (
                SELECT FROM ops.acceptance a
                WHERE a.run_id = q.run_id AND a.code = kind.code AND a.withdrawn IS NULL
            )
        ) THEN 'accepted'
        ELSE 'open'
    END AS finding_state,
    r.file_name,
    r.delivered_on,
    q.place AS geom
FROM ops.quarantine q
JOIN derived.makan_run r ON r.id = q.run_id AND NOT r.corrects
JOIN derived.makan_layer l ON l.layer = q.layer
LEFT JOIN ops.run fixed ON fixed.id = q.closed_by AND fixed.status = 'done'
