-- name: size
-- Census blocks that the area may meet.
SELECT count(*) FROM {census_block} AS b WHERE b.geom && ST_Transform(%(area)s::geometry, {srid})

-- name: answer
-- Each block's figure is shared out by the part of its area, and by the part of its dwellings' floor area, inside.
WITH asked AS (
    SELECT ST_Transform(%(area)s::geometry, {srid}) AS geom,
        coalesce(%(year)s::bigint, (SELECT max(f.census_year) FROM {census_figure} AS f
            WHERE f.census_variable = %(variable)s::text)) AS year, %(variable)s::text AS variable
),
part AS (SELECT * FROM {part.people} AS q)
SELECT jsonb_build_object(
    'year', (SELECT year FROM asked), 'variable', %(variable)s::text,
    'area_weighted', round(sum(p.figure * p.share)::numeric, 2),
    'dwelling_weighted', round(sum(p.figure * coalesce(p.homes, p.share))::numeric, 2),
    'method', jsonb_build_object('en', 'each block''s figure times the part of its area inside; and times the part of the '
        'floor area of its dwellings inside, by area where it has none', 'fa', 'رقم هر بلوک ضرب در سهم مساحت آن؛ و ضرب در سهم '
        'زیربنای مسکونی آن، یا سهم مساحت اگر مسکونی ندارد'),
    'blocks', jsonb_agg(jsonb_build_object('census_code', p.census_code, 'figure', p.figure,
        'share_pct', round((100 * p.share)::numeric, 2), 'dwelling_share_pct', round((100 * p.homes)::numeric, 2),
        'suppressed', p.suppressed, 'run', coalesce(p.figure_run, p.run_id)) ORDER BY p.census_code),
    'suppressed_blocks', count(*) FILTER (WHERE p.suppressed), 'without_figure', count(*) FILTER (WHERE p.figure IS NULL)
)::text FROM part AS p WHERE p.share > 1e-9 HAVING count(*) > 0
