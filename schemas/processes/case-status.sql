-- name: answer
-- The stages in the order of their days; what else is known of the case stays where it is.
SELECT jsonb_build_object('case_no', max(c.case_no), 'cases', jsonb_agg(c.told ORDER BY c.place))::text
FROM (
    SELECT s.case_no, s.case_system AS place, jsonb_build_object('name_fa', max(w.fa), 'name_en', max(w.en), 'open', bool_or(s.is_open), 'run', max(s.run_id),
        'stages', jsonb_agg(jsonb_build_object('stage', s.case_stage, 'name_fa', n.fa, 'name_en', n.en, 'since', s.since) ORDER BY s.since, s.case_stage)
    ) AS told
    FROM makan.case_stages(%(case_no)s::text, %(postcode)s::text) AS s
    LEFT JOIN {codes.case_stage} AS n ON n.code = s.case_stage LEFT JOIN {codes.case_system} AS w ON w.code = s.case_system
    GROUP BY s.case_no, s.case_system
) AS c HAVING count(*) > 0
