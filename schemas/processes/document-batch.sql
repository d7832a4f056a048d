-- name: size
-- Parcels that are meant.
SELECT CASE WHEN %(parcels)s::text IS NOT NULL THEN jsonb_array_length(%(parcels)s::jsonb)
    WHEN %(region_code)s::text IS NOT NULL THEN (
        SELECT count(*) FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
        WHERE r.region_code = %(region_code)s::text AND f.part = 'in')
    ELSE (SELECT count(*) FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text) END

-- name: answer
-- The parcels in the order of their codes, numbers as numbers; a parcel in two regions is in the one that holds more of it. Ids that
-- are no parcel's are told.
WITH given AS (
    SELECT DISTINCT g.id::bigint AS id FROM jsonb_array_elements_text(%(parcels)s::jsonb) AS g (id)
),
meant AS (
    SELECT p.id, p.parcel_code, p.run_id FROM {parcel} AS p WHERE p.block_code = %(block_code)s::text OR p.id IN (SELECT g.id FROM given AS g)
    UNION ALL
    SELECT p.id, p.parcel_code, p.run_id FROM {parcel} AS p WHERE %(region_code)s::text IS NOT NULL AND %(region_code)s::text = (
        SELECT r.region_code FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
        WHERE f.subject_id = p.id AND f.part = 'in' ORDER BY f.share DESC, r.region_code LIMIT 1)
)
SELECT jsonb_build_object('document', %(document)s::text, 'number', count(*), 'parcels', jsonb_agg(jsonb_build_object('parcel_id', m.id,
    'parcel_code', m.parcel_code, 'run', m.run_id) ORDER BY regexp_replace(m.parcel_code, '[0-9]+', '00000000', 'g'),
    (SELECT array_agg(lpad(d[1], 12, '0')) FROM regexp_matches(m.parcel_code, '[0-9]+', 'g') AS d), m.parcel_code),
    'missing', (SELECT coalesce(jsonb_agg(g.id ORDER BY g.id), '[]') FROM given AS g WHERE NOT EXISTS (SELECT FROM meant AS k WHERE k.id = g.id)))::text
FROM meant AS m HAVING count(*) > 0

-- name: near
-- Blocks that may have been meant.
SELECT coalesce(jsonb_agg(n.block_code), '[]')::text FROM (
    SELECT b.block_code FROM {block} AS b ORDER BY similarity(b.block_code, coalesce(%(block_code)s::text, '')) DESC, b.block_code LIMIT 5
) AS n
