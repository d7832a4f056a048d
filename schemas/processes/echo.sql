-- name: size
-- Seconds that the answer is to wait.
SELECT %(pause)s::int

-- name: answer
-- What was given, and as the database understands it; a box that the city's CRS cannot tell has no place in it.
WITH waited AS MATERIALIZED (SELECT pg_sleep(%(pause)s::float8)),
given AS (
    SELECT %(text)s::text AS words, %(value)s::jsonb AS one, %(box)s::jsonb AS box,
        (SELECT array_agg(c::float8 ORDER BY n) FROM jsonb_array_elements_text(%(box)s::jsonb->'bbox') WITH ORDINALITY AS e (c, n)) AS side
),
placed AS (
    SELECT CASE WHEN abs(side[2]) < 90 AND abs(side[4]) < 90 THEN
        ST_Transform(ST_MakeEnvelope(side[1], side[2], side[3], side[4], 4326), {srid}) END AS geom FROM given
)
SELECT jsonb_build_object(
    'text', g.words, 'length', char_length(g.words), 'folded', makan.fold(g.words),
    'letters', (SELECT jsonb_agg('U+' || lpad(upper(to_hex(ascii(c))), 4, '0') ORDER BY n) FROM regexp_split_to_table(g.words, '') WITH ORDINALITY AS e (c, n)),
    'value', g.one, 'value_type', jsonb_typeof(g.one),
    'numbers', %(numbers)s::jsonb,
    'box', g.box,
    'box_in_city', CASE WHEN p.geom IS NOT NULL THEN jsonb_build_array(round(ST_XMin(p.geom)::numeric, 3), round(ST_YMin(p.geom)::numeric, 3),
        round(ST_XMax(p.geom)::numeric, 3), round(ST_YMax(p.geom)::numeric, 3)) END,
    'pause', %(pause)s::int,
    'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))::text
FROM waited CROSS JOIN given AS g CROSS JOIN placed AS p
