-- name: answer
-- Candidates with scores; one parcel where one is surer than all others.
WITH meant AS (
    SELECT p.id, 'code' AS method, 1.0 - 0.1 * (k.place - 1) AS score, NULL::float8 AS distance_m
    FROM unnest(%(parcel_code)s::text[]) WITH ORDINALITY AS k (code, place) JOIN {parcel} AS p ON p.parcel_code = k.code
    UNION ALL
    SELECT c.id, 'former code', 0.8 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(parcel_code)s::text[]) WITH ORDINALITY AS k (code, place) CROSS JOIN LATERAL (
        WITH RECURSIVE later AS (
            SELECT h.parcel_code, h.parcel_id, 1 AS steps FROM {parcel_code_history} AS h WHERE h.former_code = k.code
            UNION
            SELECT h.parcel_code, h.parcel_id, l.steps + 1
            FROM later AS l JOIN {parcel_code_history} AS h ON h.former_code = l.parcel_code WHERE l.steps < 20
        )
        SELECT p.id FROM later AS l JOIN {parcel} AS p ON p.id = l.parcel_id
        UNION
        SELECT p.id FROM later AS l JOIN {parcel} AS p ON l.parcel_id IS NULL AND p.parcel_code = l.parcel_code
        WHERE NOT EXISTS (SELECT FROM {parcel_code_history} AS h WHERE h.former_code = l.parcel_code)
    ) AS c
    UNION ALL
    SELECT p.id, 'plate', 1.0 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(registration_plate)s::text[]) WITH ORDINALITY AS k (plate, place)
    JOIN {parcel} AS p ON p.registration_plate_numbers = k.plate
    UNION ALL
    SELECT w.id, 'plate without its section', 0.7 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(registration_plate)s::text[]) WITH ORDINALITY AS k (plate, place) CROSS JOIN LATERAL (
        SELECT p.id FROM {parcel} AS p WHERE p.registration_plate_numbers = ANY (ARRAY(
            SELECT k.plate || '/' || s.number FROM generate_series(1, 99) AS s (number)))
    ) AS w WHERE k.plate ~ '^[0-9]+/[0-9]+$'
    UNION ALL
    SELECT p.id, 'further plate', 1.0 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(registration_plate)s::text[]) WITH ORDINALITY AS k (plate, place)
    JOIN {parcel_plate} AS r ON r.registration_plate_numbers = k.plate JOIN {parcel} AS p ON p.parcel_code = r.parcel_code
    UNION ALL
    SELECT p.id, 'plate of a unit', 1.0 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(registration_plate)s::text[]) WITH ORDINALITY AS k (plate, place)
    JOIN {building_unit} AS r ON r.registration_plate_numbers = k.plate JOIN {parcel} AS p ON p.parcel_code = r.parcel_code
    UNION ALL
    SELECT f.parcel_id, 'postcode ' || f.quality, f.score, f.distance_m
    FROM makan.parcel_of_postcode(%(postcode)s::text) AS f WHERE f.parcel_id IS NOT NULL
    UNION ALL
    SELECT p.id, 'building', 1.0 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(building_code)s::text[]) WITH ORDINALITY AS k (code, place)
    JOIN {building} AS b ON b.building_code = k.code JOIN {parcel} AS p ON p.parcel_code = b.parcel_code
    UNION ALL
    SELECT p.id, 'unit', 1.0 - 0.1 * (k.place - 1), NULL
    FROM unnest(%(building_code)s::text[]) WITH ORDINALITY AS k (code, place)
    JOIN {building_unit} AS b ON b.unit_code = k.code JOIN {parcel} AS p ON p.parcel_code = b.parcel_code
    UNION ALL
    SELECT p.id, 'asset', 1.0, NULL
    FROM {municipal_asset} AS a JOIN {parcel} AS p ON p.parcel_code = a.parcel_code WHERE a.asset_no = %(asset_no)s::text
    UNION ALL
    SELECT a.object_id, 'address', a.score * a.alike, NULL
    FROM (
        SELECT f.object_id, f.score, round(similarity(k.address_text_key, %(address)s::text)::numeric, 3) AS alike
        FROM {postcode} AS k JOIN {fact.postcode_parcel} AS f ON f.subject_id = k.id
        WHERE k.address_text_key %% %(address)s::text AND f.object_id IS NOT NULL
        ORDER BY k.address_text_key <-> %(address)s::text LIMIT 20
    ) AS a
    UNION ALL
    SELECT n.id, CASE WHEN n.far = 0 THEN 'point' ELSE 'near point' END,
        CASE WHEN n.far = 0 THEN 1.0 ELSE round((0.5 * (1 - n.far / 15))::numeric, 3) END, round(n.far::numeric, 2)
    FROM (
        SELECT p.id, ST_Distance(p.geom, g.geom) * {unit} AS far
        FROM (SELECT ST_Transform(%(point)s::geometry, {srid}) AS geom) AS g
        JOIN {parcel} AS p ON ST_DWithin(p.geom, g.geom, 15 / {unit}) ORDER BY far LIMIT 10
    ) AS n
),
best AS (
    SELECT DISTINCT ON (m.id) m.* FROM meant AS m ORDER BY m.id, m.score DESC
),
told AS (
    SELECT b.id, b.method, b.score, b.distance_m, p.parcel_code, p.block_code, p.land_use, p.run_id,
        rank() OVER (ORDER BY b.score DESC) AS place, count(*) OVER () AS number,
        ST_PointOnSurface(p.geom) AS at
    FROM best AS b JOIN {parcel} AS p ON p.id = b.id ORDER BY b.score DESC, p.parcel_code LIMIT 20
)
SELECT jsonb_build_object(
    'parcel', CASE WHEN count(*) FILTER (WHERE t.place = 1) = 1 AND max(t.score) >= 0.6 THEN
        (jsonb_agg(jsonb_build_object('parcel_id', t.id, 'parcel_code', t.parcel_code, 'block_code', t.block_code,
            'land_use', t.land_use, 'run', t.run_id) ORDER BY t.place))[0] END,
    'candidates', jsonb_agg(jsonb_build_object('parcel_id', t.id, 'parcel_code', t.parcel_code, 'score', t.score,
        'method', t.method, 'distance_m', t.distance_m, 'point', ST_AsGeoJSON(ST_Transform(t.at, 4326), 7)::jsonb,
        'run', t.run_id) ORDER BY t.place, t.parcel_code)
)::text FROM told AS t HAVING count(*) > 0

-- name: near
-- What may have been meant: codes of the block, plates of the same main or sub number, numbers of assets that look alike, parcels
-- within 500 m of a point. Postcodes and addresses that exist are not told to who does not know them.
SELECT coalesce(CASE
    WHEN %(parcel_code)s::text[] IS NOT NULL THEN ({part.near})
    WHEN %(building_code)s::text[] IS NOT NULL THEN (
        SELECT jsonb_agg(n.code ORDER BY n.code) FROM (
            SELECT DISTINCT b.building_code AS code FROM unnest(%(building_code)s::text[]) AS g (code) JOIN {building} AS b
                ON b.parcel_code LIKE regexp_replace(g.code, '^([0-9]+[^0-9][0-9]+[^0-9][0-9]+[^0-9][0-9]+).*$', '\1') || '-%%' LIMIT 5
        ) AS n)
    WHEN %(registration_plate)s::text[] IS NOT NULL THEN (
        SELECT jsonb_agg(n.registration_plate ORDER BY n.alike DESC, n.registration_plate) FROM (
            SELECT p.registration_plate, similarity(p.registration_plate_numbers, (%(registration_plate)s::text[])[1]) AS alike FROM {parcel} AS p
            WHERE split_part(p.registration_plate_numbers, '/', 1) = ANY (string_to_array((%(registration_plate)s::text[])[1], '/'))
                AND p.registration_plate IS NOT NULL
            ORDER BY alike DESC, p.registration_plate LIMIT 5
        ) AS n)
    WHEN %(asset_no)s::text IS NOT NULL THEN (
        SELECT jsonb_agg(n.asset_no ORDER BY n.alike DESC, n.asset_no) FROM (
            SELECT a.asset_no, similarity(a.asset_no, %(asset_no)s::text) AS alike FROM {municipal_asset} AS a
            ORDER BY alike DESC, a.asset_no LIMIT 5
        ) AS n)
    WHEN %(point)s::text IS NOT NULL THEN (
        SELECT jsonb_agg(n.parcel_code ORDER BY n.far, n.parcel_code) FROM (
            SELECT p.parcel_code, p.geom <-> g.geom AS far
            FROM (SELECT ST_Transform(%(point)s::geometry, {srid}) AS geom) AS g
            JOIN {parcel} AS p ON ST_DWithin(p.geom, g.geom, 500 / {unit}) ORDER BY far, p.parcel_code LIMIT 5
        ) AS n)
    END, '[]')::text
