-- name: size
-- Rows that are counted.
SELECT CASE %(of)s::text WHEN 'parcels' THEN (SELECT count(*) FROM {parcel} AS p)
    WHEN 'places' THEN (SELECT count(*) FROM {poi} AS p) WHEN 'projects' THEN (SELECT count(*) FROM {project} AS p)
    WHEN 'reports' THEN (SELECT count(*) FROM {citizen_report_public} AS p)
    WHEN 'cases' THEN (SELECT count(*) FROM {case_file} AS p) WHEN 'assets' THEN (SELECT count(*) FROM {municipal_asset} AS p)
    WHEN 'audit_records' THEN (SELECT count(*) FROM {audit_record} AS p) ELSE (SELECT count(*) FROM {building} AS p) END

-- name: answer
-- A cell of fewer than three is masked. Where the masked are one or add up to less than three, a total would give them away: the
-- next smallest is masked too: among the kinds and states of a unit and time, the times of a unit and kind, all of a unit, and in the
-- whole. What lies in no unit has a cell of its own, so that the cells add up to the total.
WITH unit AS MATERIALIZED (
    SELECT r.region_code AS code, r.name_fa, r.name_en, r.geom, r.id, r.run_id FROM {region} AS r WHERE %(by)s::text = 'region'
    UNION ALL SELECT d.district_code, d.name_fa, d.name_en, d.geom, d.id, d.run_id FROM {district} AS d WHERE %(by)s::text = 'district'
    UNION ALL SELECT n.neighbourhood_code, n.name_fa, n.name_en, n.geom, n.id, n.run_id FROM {neighbourhood} AS n WHERE %(by)s::text = 'neighbourhood'
    UNION ALL SELECT b.block_code, NULL, NULL, b.geom, b.id, b.run_id FROM {block} AS b WHERE %(by)s::text = 'block'
    UNION ALL SELECT u.unit_code, max(u.name_fa), max(u.name_en), NULL, min(u.id), max(u.run_id) FROM {service_unit} AS u
        WHERE %(by)s::text = 'service_unit' GROUP BY u.unit_code
),
report AS (
    SELECT p.report_category, p.report_status, p.opened_on, r.unit_code, p.region_code, p.neighbourhood_code, coalesce(r.geom, p.geom) AS geom,
        coalesce(extract(epoch FROM r.closed_at - r.opened_at)::float8 / 86400, p.closed_on - p.opened_on) AS days, r.run_id
    FROM {citizen_report_public} AS p LEFT JOIN {citizen_report} AS r ON r.report_no = p.report_no WHERE %(of)s::text = 'reports'
),
parcel_unit AS (
    SELECT DISTINCT ON (f.subject_id) f.subject_id, f.object_id FROM (
        SELECT * FROM {fact.parcel_region} AS a WHERE %(by)s::text = 'region'
        UNION ALL SELECT * FROM {fact.parcel_district} AS a WHERE %(by)s::text = 'district'
        UNION ALL SELECT * FROM {fact.parcel_neighbourhood} AS a WHERE %(by)s::text = 'neighbourhood'
        UNION ALL SELECT * FROM {fact.parcel_block} AS a WHERE %(by)s::text = 'block'
    ) AS f WHERE f.part = 'in' ORDER BY f.subject_id, f.share DESC, f.object_id
),
counted AS (
    SELECT u.object_id AS unit, NULL::int AS year, NULL::int AS month, NULL::text AS kind, NULL::text AS state, NULL::float8 AS days,
        1 AS number, p.area_grid_m2 AS amount, p.run_id
    FROM {parcel} AS p LEFT JOIN parcel_unit AS u ON u.subject_id = p.id WHERE %(of)s::text = 'parcels'
    UNION ALL
    SELECT u.object_id, b.built_year_jalali::int, NULL, NULL, NULL, NULL, 1,
        CASE WHEN %(of)s::text = 'floor_area' THEN b.footprint_grid_m2 * coalesce(b.floors_above, 1) ELSE b.footprint_grid_m2 END, b.run_id
    FROM {building} AS b LEFT JOIN {parcel} AS p ON p.parcel_code = b.parcel_code LEFT JOIN parcel_unit AS u ON u.subject_id = p.id
    WHERE %(of)s::text IN ('buildings', 'floor_area')
    UNION ALL
    SELECT (SELECT w.id FROM unit AS w WHERE ST_Intersects(w.geom, o.geom) ORDER BY length(w.code), w.code LIMIT 1), NULL, NULL, NULL, NULL,
        NULL, 1, NULL, o.run_id
    FROM {poi} AS o WHERE %(of)s::text = 'places' AND (o.valid_to IS NULL OR o.valid_to >= current_date)
    UNION ALL
    SELECT (SELECT w.id FROM unit AS w WHERE ST_Intersects(w.geom, ST_PointOnSurface(j.geom)) ORDER BY length(w.code), w.code LIMIT 1),
        d.year, d.month, NULL, NULL, NULL, 1, j.area_grid_m2, j.run_id
    FROM {project} AS j LEFT JOIN LATERAL makan.jalali(j.notice_date) AS d ON true WHERE %(of)s::text = 'projects'
    UNION ALL
    SELECT u.object_id, d.year, d.month, NULL, NULL, NULL, 1, a.area_built_m2, a.run_id
    FROM {audit_record} AS a LEFT JOIN LATERAL makan.jalali(a.visited_on) AS d ON true LEFT JOIN {fact.audit_parcel} AS m ON m.subject_id = a.id LEFT JOIN parcel_unit AS u ON u.subject_id = m.object_id
    WHERE %(of)s::text = 'audit_records'
    UNION ALL
    SELECT u.object_id, d.year, d.month, CASE WHEN %(split)s::text IN ('kind', 'kind_and_state') THEN f.case_type END,
        CASE WHEN %(split)s::text IN ('state', 'kind_and_state') THEN f.case_stage END, f.closed_on - f.opened_on, 1, NULL, f.run_id
    FROM {case_file} AS f LEFT JOIN LATERAL makan.jalali(f.opened_on) AS d ON true
    LEFT JOIN {parcel} AS p ON p.parcel_code = f.parcel_code LEFT JOIN parcel_unit AS u ON u.subject_id = p.id
    WHERE %(of)s::text = 'cases'
    UNION ALL
    SELECT (SELECT w.id FROM unit AS w WHERE ST_Intersects(w.geom, ST_PointOnSurface(a.geom)) ORDER BY length(w.code), w.code LIMIT 1),
        d.year, d.month, CASE WHEN %(split)s::text IN ('kind', 'kind_and_state') THEN a.asset_class END, NULL, NULL, 1, a.area_grid_m2, a.run_id
    FROM {municipal_asset} AS a LEFT JOIN LATERAL makan.jalali(a.acquired_on) AS d ON true
    WHERE %(of)s::text = 'assets' AND (a.disposed_on IS NULL OR a.disposed_on > current_date)
    UNION ALL
    SELECT CASE %(by)s::text WHEN 'region' THEN (SELECT w.id FROM unit AS w WHERE w.code = r.region_code)
            WHEN 'neighbourhood' THEN (SELECT w.id FROM unit AS w WHERE w.code = r.neighbourhood_code)
            WHEN 'service_unit' THEN (SELECT w.id FROM unit AS w WHERE w.code = r.unit_code)
            ELSE (SELECT w.id FROM unit AS w WHERE ST_Intersects(w.geom, r.geom) ORDER BY length(w.code), w.code LIMIT 1) END,
        d.year, d.month, CASE WHEN %(split)s::text IN ('kind', 'kind_and_state') THEN r.report_category END,
        CASE WHEN %(split)s::text IN ('state', 'kind_and_state') THEN r.report_status END,
        r.days, 1, NULL, r.run_id
    FROM report AS r LEFT JOIN LATERAL makan.jalali(r.opened_on) AS d ON true
),
cell AS (
    SELECT x.*, x.number < 3 AS hidden FROM (
        SELECT c.unit, c.kind, c.state, CASE WHEN %(period)s::text IS NOT NULL THEN c.year END AS year,
            CASE WHEN %(period)s::text = 'month' THEN c.month END AS month,
            sum(c.number) AS number, sum(c.amount) AS amount, avg(c.days) AS days, count(c.days) AS closed, max(c.run_id) AS run_id
        FROM counted AS c
        WHERE (%(from_year)s::int IS NULL OR c.year >= %(from_year)s::int) AND (%(to_year)s::int IS NULL OR c.year <= %(to_year)s::int)
        GROUP BY 1, 2, 3, 4, 5
    ) AS x
),
by_time AS (
    SELECT r.unit, r.year, r.month, r.kind, r.state, r.days, r.closed, r.number, r.amount, r.run_id,
        r.hidden OR r.hiddens > 0 AND (r.hiddens = 1 OR r.hidden_sum < 3) AND r.place = r.hiddens + 1 AS hidden
    FROM (SELECT c.*, count(*) FILTER (WHERE c.hidden) OVER beside AS hiddens, sum(c.number) FILTER (WHERE c.hidden) OVER beside AS hidden_sum,
        row_number() OVER (beside ORDER BY c.hidden DESC, c.number, c.unit, c.year, c.month, c.kind, c.state) AS place
        FROM cell AS c WINDOW beside AS (PARTITION BY c.unit, c.year, c.month)) AS r
),
by_kind AS (
    SELECT r.unit, r.year, r.month, r.kind, r.state, r.days, r.closed, r.number, r.amount, r.run_id,
        r.hidden OR r.hiddens > 0 AND (r.hiddens = 1 OR r.hidden_sum < 3) AND r.place = r.hiddens + 1 AS hidden
    FROM (SELECT c.*, count(*) FILTER (WHERE c.hidden) OVER beside AS hiddens, sum(c.number) FILTER (WHERE c.hidden) OVER beside AS hidden_sum,
        row_number() OVER (beside ORDER BY c.hidden DESC, c.number, c.unit, c.year, c.month, c.kind, c.state) AS place
        FROM by_time AS c WINDOW beside AS (PARTITION BY c.unit, c.kind, c.state)) AS r
),
by_unit AS (
    SELECT r.unit, r.year, r.month, r.kind, r.state, r.days, r.closed, r.number, r.amount, r.run_id,
        r.hidden OR r.hiddens > 0 AND (r.hiddens = 1 OR r.hidden_sum < 3) AND r.place = r.hiddens + 1 AS hidden
    FROM (SELECT c.*, count(*) FILTER (WHERE c.hidden) OVER beside AS hiddens, sum(c.number) FILTER (WHERE c.hidden) OVER beside AS hidden_sum,
        row_number() OVER (beside ORDER BY c.hidden DESC, c.number, c.unit, c.year, c.month, c.kind, c.state) AS place
        FROM by_kind AS c WINDOW beside AS (PARTITION BY c.unit)) AS r
),
masked AS (
    SELECT r.unit, r.year, r.month, r.kind, r.state, r.days, r.closed, r.number, r.amount, r.run_id,
        r.hidden OR r.hiddens > 0 AND (r.hiddens = 1 OR r.hidden_sum < 3) AND r.place = r.hiddens + 1 AS hidden
    FROM (SELECT c.*, count(*) FILTER (WHERE c.hidden) OVER beside AS hiddens, sum(c.number) FILTER (WHERE c.hidden) OVER beside AS hidden_sum,
        row_number() OVER (beside ORDER BY c.hidden DESC, c.number, c.unit, c.year, c.month, c.kind, c.state) AS place
        FROM by_unit AS c WINDOW beside AS ()) AS r
)
SELECT jsonb_build_object('of', %(of)s::text, 'by', %(by)s::text, 'period', %(period)s::text, 'split', %(split)s::text, 'smallest_shown', 3,
    'cells', jsonb_agg(jsonb_build_object('code', u.code, 'name_fa', u.name_fa, 'name_en', u.name_en, 'year', m.year,
        'month', m.month, 'kind', m.kind, 'state', m.state, 'days_to_close', CASE WHEN NOT m.hidden AND m.closed >= 3 THEN round(m.days::numeric, 2) END,
        'count', CASE WHEN NOT m.hidden THEN m.number END, 'amount_m2', CASE WHEN NOT m.hidden THEN round(m.amount::numeric, 2) END,
        'masked', m.hidden, 'run', m.run_id) ORDER BY length(u.code), u.code, m.year, m.month, m.kind, m.state),
    'total', sum(m.number), 'total_m2', round(sum(m.amount)::numeric, 2), 'masked_cells', count(*) FILTER (WHERE m.hidden),
    'masked_total', sum(m.number) FILTER (WHERE m.hidden))::text
FROM masked AS m LEFT JOIN unit AS u ON u.id = m.unit HAVING count(*) > 0
