-- name: places
-- Where the features of these keys lie by now: the middle of their boxes, by their place in the question.
SELECT k.place::int, (ST_XMin(t.geom) + ST_XMax(t.geom)) / 2, (ST_YMin(t.geom) + ST_YMax(t.geom)) / 2
FROM unnest({keys}) WITH ORDINALITY AS k ({names}, place) JOIN {target} t ON {match}
WHERE t.geom IS NOT NULL

-- name: inside_own
-- How many of the points of each guess lie in the area whose key they name; and how many areas there are.
SELECT p.guess, count(*)::int, count(*) FILTER (WHERE ST_Intersects(t.geom, ST_SetSRID(ST_MakePoint(p.x, p.y), {srid})))::int
FROM unnest({keys}, %(guesses)s::int[], %(x)s::float8[], %(y)s::float8[]) AS p ({names}, guess, x, y)
JOIN {target} t ON {match}
GROUP BY p.guess

-- name: inside_any
-- The same where no key is named: how many lie in any area of the layer.
SELECT p.guess, count(*)::int, count(*) FILTER (WHERE EXISTS (
    SELECT FROM {target} t WHERE ST_Intersects(t.geom, ST_SetSRID(ST_MakePoint(p.x, p.y), {srid}))
))::int
FROM unnest(%(guesses)s::int[], %(x)s::float8[], %(y)s::float8[]) AS p (guess, x, y)
WHERE EXISTS (SELECT FROM {target})
GROUP BY p.guess

-- name: codes
-- The codes that exist.
SELECT DISTINCT {field} FROM {target} WHERE {field} IS NOT NULL
