-- What is open to people and still the municipality's, today in the city.
SELECT a.id, a.asset_no, a.asset_class, a.name_fa, a.name_en, a.asset_use, a.region_code, a.area_grid_m2, a.geom
FROM data.municipal_asset a
WHERE a.open_to_public AND (a.disposed_on IS NULL OR a.disposed_on > (now() AT TIME ZONE ':timezone')::date)
