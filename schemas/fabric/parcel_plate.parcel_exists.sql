-- Rows that name a parcel which is not there.
SELECT t.parcel_code || ' ' || t.registration_plate, t.parcel_code, 'parcel', ST_AsBinary(NULL::geometry)
FROM data.parcel_plate t
WHERE t.parcel_code IS NOT NULL AND NOT EXISTS (SELECT FROM data.parcel o WHERE o.parcel_code = t.parcel_code)
ORDER BY t.id
