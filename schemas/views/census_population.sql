-- Blocks with their figures; those of small cells are masked, and those that the statistical centre has suppressed stay so.
SELECT b.id, b.census_year, b.census_code,
    CASE WHEN NOT s.small THEN f.population END AS population,
    CASE WHEN NOT s.small THEN f.households END AS households,
    CASE WHEN NOT s.small THEN f.dwellings END AS dwellings,
    s.small AS masked,
    b.geom
FROM data.census_block b
CROSS JOIN LATERAL (
    SELECT max(c.figure_value) FILTER (WHERE c.census_variable = 'population') AS population,
        max(c.figure_value) FILTER (WHERE c.census_variable = 'households') AS households,
        max(c.figure_value) FILTER (WHERE c.census_variable = 'dwellings') AS dwellings,
        coalesce(bool_or(c.suppressed), false) AS suppressed
    FROM data.census_figure c WHERE c.census_year = b.census_year AND c.census_code = b.census_code
) f
CROSS JOIN LATERAL (
    SELECT f.suppressed OR CASE WHEN f.households IS NOT NULL THEN f.households > 0 AND f.households < 3
        ELSE coalesce(f.population > 0 AND f.population < 10, false) END AS small
) s
