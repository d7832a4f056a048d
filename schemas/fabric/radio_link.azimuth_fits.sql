-- Links whose stated azimuth is not that from mast to mast on the grid.
SELECT b.link_code, round(b.azimuth_deg::numeric, 1), round(b.bearing::numeric, 1), ST_AsBinary(b.geom)
FROM (
    SELECT l.id, l.link_code, l.azimuth_deg, l.geom, degrees(ST_Azimuth(one.geom, two.geom)) AS bearing
    FROM data.radio_link l JOIN data.radio_mast one ON one.mast_code = l.first_mast JOIN data.radio_mast two ON two.mast_code = l.last_mast
    WHERE l.azimuth_deg IS NOT NULL
) AS b WHERE abs(mod((b.azimuth_deg - b.bearing + 540)::numeric, 360) - 180) > %(tolerance)s
ORDER BY b.id
