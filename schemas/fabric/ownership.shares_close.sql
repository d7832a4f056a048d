-- Rights whose shares are not the whole, as an exact fraction of the product of all denominators: thirds have no decimals.
WITH whole AS (
    SELECT o.right_no, min(o.parcel_code) AS parcel_code, array_agg(o.share_numerator::numeric ORDER BY o.share_no) AS parts,
        array_agg(o.share_denominator::numeric ORDER BY o.share_no) AS wholes, sum(o.share_numerator::numeric / o.share_denominator) AS near
    FROM data.ownership o GROUP BY o.right_no
), scaled AS (
    SELECT w.*, (SELECT lcm_of FROM (
        WITH RECURSIVE step (at, lcm_of) AS (
            SELECT 1, w.wholes[1] UNION ALL SELECT s.at + 1, lcm(s.lcm_of, w.wholes[s.at + 1]) FROM step s WHERE s.at < cardinality(w.wholes)
        ) SELECT lcm_of FROM step ORDER BY at DESC LIMIT 1) AS l) AS common
    FROM whole w
), summed AS (
    SELECT s.*, (SELECT sum(s.common / d * n) FROM unnest(s.parts, s.wholes) AS u (n, d)) AS held FROM scaled s
)
SELECT s.right_no, s.parcel_code, trim_scale(s.held) || '/' || trim_scale(s.common), (SELECT ST_AsBinary(p.geom) FROM data.parcel p WHERE p.parcel_code = s.parcel_code)
FROM summed s WHERE abs(s.held - s.common) > %(tolerance)s ORDER BY 1
