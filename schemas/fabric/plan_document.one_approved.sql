-- Approved editions of one kind that hold at one place: by their boundaries (share of the smaller), or by the zones of a parcel.
WITH approved AS (
    SELECT * FROM data.plan_document WHERE plan_status = 'approved'
), pair AS (
    SELECT a.plan_id AS one, b.plan_id AS other, ST_Intersection(a.geom, b.geom) AS place,
        least(ST_Area(a.geom), ST_Area(b.geom)) AS smaller
    FROM approved a JOIN approved b ON b.plan_kind = a.plan_kind AND b.plan_id > a.plan_id AND b.geom && a.geom
), zoned AS (
    SELECT a.plan_id AS one, b.plan_id AS other, ST_Collect(p.geom) AS place, count(*) AS parcels
    FROM approved a
    JOIN approved b ON b.plan_kind = a.plan_kind AND b.plan_id > a.plan_id
    JOIN facts.parcel_zone z ON z.in_group = a.plan_id AND z.part = 'in' AND z.share > %(tolerance)s
    JOIN facts.parcel_zone y ON y.subject_id = z.subject_id AND y.in_group = b.plan_id AND y.part = 'in' AND y.share > %(tolerance)s
    JOIN data.parcel p ON p.id = z.subject_id
    GROUP BY a.plan_id, b.plan_id
)
SELECT one, other, round((ST_Area(place) * %(unit)s ^ 2)::numeric) || ' m2', ST_AsBinary(ST_CollectionExtract(place, 3))
FROM pair WHERE ST_Area(place) > %(tolerance)s * smaller
UNION ALL
SELECT one, other, parcels || ' parcels', ST_AsBinary(ST_Envelope(place)) FROM zoned
WHERE NOT EXISTS (SELECT FROM pair WHERE pair.one = zoned.one AND pair.other = zoned.other AND ST_Area(pair.place) > %(tolerance)s * smaller)
