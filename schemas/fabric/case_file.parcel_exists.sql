-- Rows that name a parcel which is not there.
SELECT t.case_system || ' ' || t.case_no, t.parcel_code, 'parcel', ST_AsBinary(NULL::geometry)
FROM data.case_file t
WHERE t.parcel_code IS NOT NULL AND NOT EXISTS (SELECT FROM data.parcel o WHERE o.parcel_code = t.parcel_code)
ORDER BY t.id
