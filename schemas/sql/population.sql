-- name: latest
-- The latest census that has figures.
SELECT max(census_year) FROM data.census_figure

-- name: within
-- Population of an area, the method in the answer.
SELECT * FROM facts.population_in(ST_GeomFromEWKB(%(area)s), %(year)s, %(by)s)
