-- Rows that name a building which is not there.
SELECT t.unit_code, t.building_code, 'building', ST_AsBinary(NULL::geometry)
FROM data.building_unit t
WHERE t.building_code IS NOT NULL AND NOT EXISTS (SELECT FROM data.building o WHERE o.building_code = t.building_code)
ORDER BY t.id
