-- name: size
-- Parcels that are meant.
SELECT CASE WHEN %(parcels)s::text IS NOT NULL THEN jsonb_array_length(%(parcels)s::jsonb)
    WHEN %(region_code)s::text IS NOT NULL THEN (
        SELECT count(*) FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
        WHERE r.region_code = %(region_code)s::text AND f.part = 'in')
    ELSE (SELECT count(*) FROM {part.in_block} AS k WHERE k.block = %(block_code)s::text) END

-- name: answer
-- The parcels in the order of their codes, numbers as numbers, or in that of delivery; a parcel in two regions is in the one that holds
-- more of it. Ids that are no parcel's are told.
WITH given AS (
    SELECT DISTINCT g.id::bigint AS id FROM jsonb_array_elements_text(%(parcels)s::jsonb) AS g (id)
),
meant AS MATERIALIZED (
    SELECT p.id, p.parcel_code, k.block, p.run_id, p.geom FROM {part.in_block} AS k JOIN {parcel} AS p ON p.id = k.id
    WHERE k.block = %(block_code)s::text
    UNION ALL
    SELECT p.id, p.parcel_code, CASE WHEN p.block_code IS NULL THEN {part.block_by_place} ELSE p.block_code END AS block, p.run_id, p.geom FROM {parcel} AS p
    WHERE p.id IN (SELECT g.id FROM given AS g)
    UNION ALL
    SELECT p.id, p.parcel_code, CASE WHEN p.block_code IS NULL THEN {part.block_by_place} ELSE p.block_code END AS block, p.run_id, p.geom FROM {parcel} AS p WHERE %(region_code)s::text IS NOT NULL AND %(region_code)s::text = (
        SELECT r.region_code FROM {fact.parcel_region} AS f JOIN {region} AS r ON r.id = f.object_id
        WHERE f.subject_id = p.id AND f.part = 'in' ORDER BY f.share DESC, r.region_code LIMIT 1)
),
coded AS (SELECT DISTINCT m.parcel_code AS code FROM meant AS m),
legs AS MATERIALIZED (
    SELECT k.code AS block_code, k.place AS leg FROM (
        WITH coded AS (SELECT DISTINCT m.block AS code FROM meant AS m WHERE m.block IS NOT NULL) SELECT * FROM {part.by_code} AS c
    ) AS k
),
placed AS MATERIALIZED (
    SELECT m.id, k.place FROM meant AS m JOIN {part.by_code} AS k ON k.code = m.parcel_code WHERE %(order)s::text = 'code'
    UNION ALL
    SELECT w.id, w.place FROM {part.walk} AS w WHERE %(order)s::text = 'delivery'
)
SELECT jsonb_build_object('document', %(document)s::text, 'order', %(order)s::text, 'number', count(*), 'parcels', jsonb_agg(jsonb_build_object(
    'parcel_id', m.id, 'parcel_code', m.parcel_code, 'block_code', m.block, 'run', m.run_id) ORDER BY p.place),
    'missing', (SELECT coalesce(jsonb_agg(g.id ORDER BY g.id), '[]') FROM given AS g WHERE NOT EXISTS (SELECT FROM meant AS k WHERE k.id = g.id)))::text
FROM meant AS m JOIN placed AS p ON p.id = m.id HAVING count(*) > 0

-- name: near
-- Blocks that may have been meant.
SELECT coalesce(jsonb_agg(n.block_code), '[]')::text FROM (
    SELECT b.block_code FROM {block} AS b ORDER BY similarity(b.block_code, coalesce(%(block_code)s::text, '')) DESC, b.block_code LIMIT 5
) AS n
