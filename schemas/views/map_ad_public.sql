-- Approved advertisements that hold today in the city.
SELECT a.id, a.ad_no, a.business_category, a.title_fa, a.title_en, a.text_fa, a.link_url, a.valid_from, a.valid_to, a.geom
FROM data.map_ad a
WHERE a.approved AND (now() AT TIME ZONE ':timezone')::date BETWEEN a.valid_from AND a.valid_to
