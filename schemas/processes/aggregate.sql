-- name: size
-- Rows that are counted.
SELECT CASE %(of)s::text WHEN 'parcels' THEN (SELECT count(*) FROM {parcel} AS p)
    WHEN 'places' THEN (SELECT count(*) FROM {poi} AS p) WHEN 'projects' THEN (SELECT count(*) FROM {project} AS p)
    WHEN 'audit_records' THEN (SELECT count(*) FROM {audit_record} AS p) ELSE (SELECT count(*) FROM {building} AS p) END

-- name: answer
-- A cell of fewer than three is masked. Where the masked are one or add up to less than three, a total would give them away: the
-- next smallest is masked too, among the years of a unit and in the whole. What lies in no unit has a cell of its own, so that the cells add up to the total.
WITH unit AS MATERIALIZED (
    SELECT r.region_code AS code, r.name_fa, r.name_en, r.geom, r.id, r.run_id FROM {region} AS r WHERE %(by)s::text = 'region'
    UNION ALL SELECT d.district_code, d.name_fa, d.name_en, d.geom, d.id, d.run_id FROM {district} AS d WHERE %(by)s::text = 'district'
    UNION ALL SELECT n.neighbourhood_code, n.name_fa, n.name_en, n.geom, n.id, n.run_id FROM {neighbourhood} AS n WHERE %(by)s::text = 'neighbourhood'
    UNION ALL SELECT b.block_code, NULL, NULL, b.geom, b.id, b.run_id FROM {block} AS b WHERE %(by)s::text = 'block'
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
    SELECT u.object_id AS unit, NULL::int AS year, 1 AS number, p.area_grid_m2 AS amount, p.run_id
    FROM {parcel} AS p LEFT JOIN parcel_unit AS u ON u.subject_id = p.id WHERE %(of)s::text = 'parcels'
    UNION ALL
    SELECT u.object_id, b.built_year_jalali::int, 1,
        CASE WHEN %(of)s::text = 'floor_area' THEN b.footprint_grid_m2 * coalesce(b.floors_above, 1) ELSE b.footprint_grid_m2 END, b.run_id
    FROM {building} AS b LEFT JOIN {parcel} AS p ON p.parcel_code = b.parcel_code LEFT JOIN parcel_unit AS u ON u.subject_id = p.id
    WHERE %(of)s::text IN ('buildings', 'floor_area')
    UNION ALL
    SELECT (SELECT w.id FROM unit AS w WHERE ST_Intersects(w.geom, o.geom) ORDER BY length(w.code), w.code LIMIT 1), NULL, 1, NULL, o.run_id
    FROM {poi} AS o WHERE %(of)s::text = 'places' AND (o.valid_to IS NULL OR o.valid_to >= current_date)
    UNION ALL
    SELECT (SELECT w.id FROM unit AS w WHERE ST_Intersects(w.geom, ST_PointOnSurface(j.geom)) ORDER BY length(w.code), w.code LIMIT 1),
        extract(year FROM j.notice_date)::int - 621 - (to_char(j.notice_date, 'MMDD') < '0321')::int, 1, j.area_grid_m2, j.run_id
    FROM {project} AS j WHERE %(of)s::text = 'projects'
    UNION ALL
    SELECT u.object_id, extract(year FROM a.visited_on)::int - 621 - (to_char(a.visited_on, 'MMDD') < '0321')::int, 1, a.area_built_m2, a.run_id
    FROM {audit_record} AS a LEFT JOIN {fact.audit_parcel} AS m ON m.subject_id = a.id LEFT JOIN parcel_unit AS u ON u.subject_id = m.object_id
    WHERE %(of)s::text = 'audit_records'
),
cell AS (
    SELECT c.unit, CASE WHEN %(period)s::text = 'year' THEN c.year END AS year, sum(c.number) AS number, sum(c.amount) AS amount,
        max(c.run_id) AS run_id
    FROM counted AS c
    WHERE (%(from_year)s::int IS NULL OR c.year >= %(from_year)s::int) AND (%(to_year)s::int IS NULL OR c.year <= %(to_year)s::int)
    GROUP BY c.unit, CASE WHEN %(period)s::text = 'year' THEN c.year END
),
ranked AS (
    SELECT c.*, c.number < 3 AS small, count(*) FILTER (WHERE c.number < 3) OVER beside AS smalls, row_number() OVER ordered AS place,
        sum(c.number) OVER ordered - c.number AS before
    FROM cell AS c
    WINDOW beside AS (PARTITION BY CASE WHEN %(period)s::text IS NOT NULL THEN coalesce(c.unit, 0) END),
        ordered AS (PARTITION BY CASE WHEN %(period)s::text IS NOT NULL THEN coalesce(c.unit, 0) END ORDER BY c.number, c.unit, c.year)
),
beside AS (
    SELECT r.unit, r.year, r.number, r.amount, r.run_id, r.small OR r.smalls > 0 AND (r.place <= 2 OR r.before < 3) AS hidden FROM ranked AS r
),
whole AS (
    SELECT b.*, count(*) FILTER (WHERE b.hidden) OVER () AS hiddens, sum(b.number) FILTER (WHERE b.hidden) OVER () AS hidden_sum,
        row_number() OVER (ORDER BY b.hidden DESC, b.number, b.unit, b.year) AS place
    FROM beside AS b
),
masked AS (
    SELECT w.unit, w.year, w.number, w.amount, w.run_id,
        w.hidden OR w.hiddens > 0 AND (w.hiddens = 1 OR w.hidden_sum < 3) AND w.place = w.hiddens + 1 AS hidden
    FROM whole AS w
)
SELECT jsonb_build_object('of', %(of)s::text, 'by', %(by)s::text, 'period', %(period)s::text, 'smallest_shown', 3,
    'cells', jsonb_agg(jsonb_build_object('code', u.code, 'name_fa', u.name_fa, 'name_en', u.name_en, 'year', m.year,
        'count', CASE WHEN NOT m.hidden THEN m.number END, 'amount_m2', CASE WHEN NOT m.hidden THEN round(m.amount::numeric, 2) END,
        'masked', m.hidden, 'run', m.run_id) ORDER BY length(u.code), u.code, m.year),
    'total', sum(m.number), 'total_m2', round(sum(m.amount)::numeric, 2), 'masked_cells', count(*) FILTER (WHERE m.hidden),
    'masked_total', sum(m.number) FILTER (WHERE m.hidden))::text
FROM masked AS m LEFT JOIN unit AS u ON u.id = m.unit HAVING count(*) > 0
