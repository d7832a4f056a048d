-- name: answer
-- Names that hold the words, before those that are only like them; then codes that begin so.
WITH begins AS MATERIALIZED (
    SELECT p.layer, p.id, p.name, p.parts, p.run_id, p.geom, 0.85 + (p.key = %(q)s::text)::int * 0.1 + 0.05 * similarity(p.key, %(q)s::text) AS score
    FROM {name} AS p
    WHERE p.key ~>=~ %(q)s::text AND p.key ~<~ (%(q)s::text || U&'\+10FFFF')
        AND p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record')
    ORDER BY length(p.key), p.key LIMIT 3 * %(limit)s::int
), held AS MATERIALIZED (
    SELECT p.layer, p.id, p.name, p.parts, p.run_id, p.geom, 0.75 + 0.05 * similarity(p.key, %(q)s::text) AS score
    FROM {name} AS p
    WHERE (SELECT count(*) FROM begins) < %(limit)s::int AND p.key LIKE CASE WHEN length(%(q)s::text) > 2 THEN '%%' ELSE '%% ' END
        || makan.like_literal(%(q)s::text) || '%%' AND NOT starts_with(p.key, %(q)s::text)
        AND p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record')
    ORDER BY p.parts DESC, length(p.key), p.key LIMIT 3 * %(limit)s::int
), alike AS MATERIALIZED (
    SELECT p.layer, p.id, p.name, p.parts, p.run_id, p.geom, 0.7 * word_similarity(%(q)s::text, p.key) AS score
    FROM {name} AS p
    WHERE NOT EXISTS (SELECT FROM begins) AND NOT EXISTS (SELECT FROM held) AND length(%(q)s::text) > 2
        AND %(q)s::text <%% p.key AND p.layer NOT IN ('plan_road_line', 'postcode', 'audit_record')
    ORDER BY %(q)s::text <<-> p.key, length(p.key), p.key LIMIT 3 * %(limit)s::int
), coded AS (
    SELECT 'parcel' AS layer, p.id, p.parcel_code AS name, 1, p.run_id, p.geom,
        CASE WHEN p.parcel_code = regexp_replace(%(q)s::text, '[ /]', '-', 'g') THEN 1.0 ELSE 0.85 END AS score
    FROM {parcel} AS p
    WHERE %(q)s::text ~ '[0-9]' AND length(%(q)s::text) > 3
        AND p.parcel_code >= upper(regexp_replace(%(q)s::text, '[ /]', '-', 'g'))
        AND p.parcel_code < upper(regexp_replace(%(q)s::text, '[ /]', '-', 'g')) || '~'
    ORDER BY p.parcel_code LIMIT 20
), hits AS (
    SELECT * FROM begins UNION ALL SELECT * FROM held UNION ALL SELECT * FROM alike UNION ALL SELECT * FROM coded
), shown AS (
    SELECT DISTINCT ON (score, length(h.name), h.name, h.layer) h.layer, h.id, h.name, h.score, h.parts, h.run_id, h.geom
    FROM hits AS h ORDER BY score DESC, length(h.name), h.name, h.layer LIMIT %(limit)s::int
), listed AS (
    SELECT c.id, c.name_fa, c.name_en, length(c.key) AS size FROM {collection} AS c
    WHERE length(%(q)s::text) > 2 AND ' ' || c.key LIKE '%% ' || makan.like_literal(%(q)s::text) || '%%' ORDER BY 4, 1 LIMIT 5
)
SELECT jsonb_build_object('collections', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', l.id, 'name_fa', l.name_fa, 'name_en', l.name_en) ORDER BY l.size, l.id), '[]') FROM listed AS l
), 'hits', coalesce(jsonb_agg(jsonb_build_object('kind', s.layer, 'id', s.id, 'name', s.name,
    'score', round(s.score::numeric, 3), 'parts', s.parts,
    'point', ST_AsGeoJSON(ST_Transform(at.geom, 4326), 7)::jsonb, 'within', {part.units}, 'run', s.run_id
) ORDER BY s.score DESC, length(s.name), s.name), '[]'))::text
FROM shown AS s CROSS JOIN LATERAL (
    SELECT CASE WHEN ST_Dimension(s.geom) = 1 THEN ST_LineInterpolatePoint(ST_GeometryN(s.geom, 1), 0.5)
        WHEN ST_Dimension(s.geom) = 0 THEN s.geom ELSE ST_PointOnSurface(s.geom) END AS geom
) AS at HAVING count(*) > 0 OR EXISTS (SELECT FROM listed)

-- name: near
-- Names that are like what was typed, and for what looks like a code the parcels of its block.
WITH said AS (SELECT %(q)s::text AS said)
SELECT coalesce(jsonb_agg(m.name ORDER BY m.far, m.name), '[]')::text FROM (
    SELECT * FROM {part.like_said} AS n
    UNION ALL
    (SELECT p.parcel_code, 0 FROM (
        SELECT regexp_replace(c.code, '[^-]*$', '') AS block, (regexp_match(c.code, '([0-9]{{1,9}})$'))[1]::bigint AS number
        FROM (SELECT upper(regexp_replace(%(q)s::text, '[ /]', '-', 'g')) AS code) AS c WHERE c.code ~ '[0-9].*-.*[0-9]'
    ) AS t CROSS JOIN LATERAL (
        SELECT q.parcel_code, (regexp_match(substr(q.parcel_code, length(t.block) + 1), '^([0-9]{{1,9}})'))[1]::bigint AS number FROM {parcel} AS q
        WHERE length(t.block) > 2 AND q.parcel_code >= t.block AND q.parcel_code < t.block || '~' LIMIT 500
    ) AS p ORDER BY abs(p.number - t.number), p.parcel_code LIMIT 5)
) AS m
