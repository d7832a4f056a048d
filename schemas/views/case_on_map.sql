-- Cases on the parcels of today; asked by boxes through the parcels' index.
SELECT f.id, f.case_system, f.case_no, f.case_type, f.case_stage, f.opened_on, f.stage_on, f.closed_on, f.parcel_code, f.building_code,
    f.unit_code, f.closed_on IS NULL AS case_open, p.geom
FROM data.case_file f JOIN data.parcel p ON p.parcel_code = f.parcel_code
