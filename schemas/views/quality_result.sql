-- ISO 19157 results of every load that stands. A load that had errors passes when each of them has come back
-- corrected or is accepted by name.
SELECT s.id,
    s.run_id AS run_number,
    r.feed AS feed_id,
    r.layer AS layer_id,
    s.element AS quality_element,
    s.measure AS quality_measure,
    s.field AS field_id,
    s.value AS measured_value,
    s.unit AS measured_unit,
    s.rows AS checked_rows,
    s.errors AS error_rows,
    s.passed OR (force.id IS NOT NULL AND NOT EXISTS (
        SELECT FROM derived.quality_finding v
        WHERE v.run_number = s.run_id AND v.quality_element = s.element AND v.finding_severity = 'error'
            AND v.finding_state = 'open' AND (s.field IS NULL OR v.field_id = s.field)
    )) AS conformant,
    force.id IS NOT NULL AS in_force,
    r.finished AS measured_at,
    regexp_replace(r.file, '^.*[/\\]', '') AS file_name
FROM ops.quality_result s
JOIN ops.run r ON r.id = s.run_id AND r.status = 'done'
JOIN derived.makan_layer l ON l.layer = r.layer
LEFT JOIN derived.makan_run force ON force.id = s.run_id
