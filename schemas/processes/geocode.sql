-- name: answer
-- Points, the surest first.
WITH meant AS (
    SELECT 'postcode' AS kind, f.postcode AS name, f.score, f.quality, f.parcel_id, f.run_id, f.geom
    FROM makan.parcel_of_postcode(%(postcode)s::text) AS f
    UNION ALL
    SELECT * FROM (
        SELECT 'address', k.address_text, coalesce(f.score, 0.5) * similarity(k.address_text_key, %(address)s::text),
            f.quality, f.object_id, k.run_id, k.geom
        FROM {postcode} AS k LEFT JOIN {fact.postcode_parcel} AS f ON f.subject_id = k.id
        WHERE k.address_text_key %% %(address)s::text ORDER BY k.address_text_key <-> %(address)s::text LIMIT 5
    ) AS a
    UNION ALL
    SELECT * FROM (
        SELECT DISTINCT ON (p.layer, p.name) p.layer, p.name,
            CASE WHEN p.key = %(place)s::text THEN 1.0 ELSE 0.9 * word_similarity(%(place)s::text, p.key) END AS score,
            'place', NULL::bigint, p.run_id, p.geom
        FROM {place} AS p
        WHERE p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record')
            AND (p.key LIKE '%%' || makan.like_literal(%(place)s::text) || '%%' OR %(place)s::text <%% p.key)
        ORDER BY p.layer, p.name, score DESC
    ) AS n
), shown AS (
    SELECT * FROM meant AS m ORDER BY m.score DESC, m.name LIMIT 10
)
SELECT jsonb_build_object('results', jsonb_agg(jsonb_build_object('kind', s.kind, 'name', s.name,
    'confidence', round(s.score::numeric, 3),
    'quality', CASE WHEN s.quality = 'door' THEN 'parcel-door' ELSE s.quality END,
    'parcel', (SELECT jsonb_build_object('parcel_id', p.id, 'parcel_code', p.parcel_code, 'run', p.run_id)
        FROM {parcel} AS p WHERE p.id = s.parcel_id),
    'point', ST_AsGeoJSON(ST_Transform(at.geom, 4326), 7)::jsonb, 'within', {part.units}, 'run', s.run_id
) ORDER BY s.score DESC, s.name))::text
FROM shown AS s CROSS JOIN LATERAL (
    SELECT CASE WHEN ST_Dimension(s.geom) = 1 THEN ST_LineInterpolatePoint(ST_GeometryN(s.geom, 1), 0.5)
        WHEN ST_Dimension(s.geom) = 0 THEN s.geom ELSE ST_PointOnSurface(s.geom) END AS geom
) AS at HAVING count(*) > 0

-- name: near
-- Names that are like the place; for staff also postcodes and addresses.
WITH said AS (SELECT %(place)s::text AS said)
SELECT coalesce(jsonb_agg(m.name ORDER BY m.far, m.name), '[]')::text FROM (
    SELECT * FROM {part.like_said} AS n
    UNION ALL
    (SELECT k.postcode, 1 - similarity(k.postcode, %(postcode)s::text) FROM {postcode} AS k
        WHERE left(k.postcode, 5) = left(%(postcode)s::text, 5) ORDER BY 2, 1 LIMIT 5)
    UNION ALL
    (SELECT k.address_text, k.address_text_key <-> %(address)s::text FROM {postcode} AS k
        WHERE k.address_text_key %%> %(address)s::text ORDER BY 2, 1 LIMIT 5)
) AS m
