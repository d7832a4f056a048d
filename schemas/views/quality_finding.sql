-- Findings of the runs in force. What quotes a field above P1, or text of the file that nobody has classed, is
-- left out. A fault of a row that has come back corrected is fixed; one whose kind is accepted for the run is
-- accepted. Errors of a correction itself are those of the row that is still open.
SELECT f.id,
    f.run_id AS run_number,
    r.feed AS feed_id,
    f.layer AS layer_id,
    f.code AS finding_code,
    f.severity AS finding_severity,
    k.element AS quality_element,
    CASE WHEN NOT l.key_hidden THEN f.key END AS row_key,
    f.line AS row_line,
    f.field AS field_id,
    CASE WHEN NOT h.hidden THEN f.value END AS found_value,
    replace(replace(replace(replace(replace(coalesce(k.en, f.code),
        '{field}', coalesce(c.en, f.field, '')),
        '{value}', CASE WHEN h.hidden THEN '…' ELSE coalesce(f.value, '') END),
        '{detail}', CASE WHEN h.hidden THEN '…' ELSE coalesce(f.detail, '') END),
        '{key}', CASE WHEN l.key_hidden THEN '…' ELSE coalesce(f.key, '') END),
        '{line}', coalesce(f.line::text, '')) AS explanation_en,
    replace(replace(replace(replace(replace(coalesce(k.fa, f.code),
        '{field}', coalesce(c.fa, f.field, '')),
        '{value}', CASE WHEN h.hidden THEN '…' ELSE coalesce(f.value, '') END),
        '{detail}', CASE WHEN h.hidden THEN '…' ELSE coalesce(f.detail, '') END),
        '{key}', CASE WHEN l.key_hidden THEN '…' ELSE coalesce(f.key, '') END),
        '{line}', coalesce(f.line::text, '')) AS explanation_fa,
    CASE WHEN fixed.id IS NOT NULL THEN 'fixed' WHEN a.id IS NOT NULL THEN 'accepted' ELSE 'open' END AS finding_state,
    a.who AS accepted_by,
    a.reason AS accepted_because,
    r.file_name,
    r.delivered_on,
    f.place AS geom
FROM ops.finding f
JOIN derived.makan_run r ON r.id = f.run_id AND NOT (r.corrects AND f.severity = 'error')
JOIN derived.makan_layer l ON l.layer = f.layer
LEFT JOIN derived.makan_finding_kind k ON k.code = f.code
LEFT JOIN derived.makan_field c ON c.layer = f.layer AND c.field = f.field
LEFT JOIN ops.quarantine q ON q.run_id = f.run_id AND q.line = f.line AND f.severity = 'error'
LEFT JOIN ops.run fixed ON fixed.id = q.closed_by AND fixed.status = 'done'
LEFT JOIN ops.acceptance a ON a.run_id = f.run_id AND a.code = f.code AND a.withdrawn IS NULL
CROSS JOIN LATERAL (
    SELECT coalesce(k.quotes, true) OR coalesce(c.hidden, f.field IS NOT NULL AND f.line IS NOT NULL) AS hidden
) AS h
