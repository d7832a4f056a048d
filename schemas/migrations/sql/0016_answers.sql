-- What processes ask of the database.

CREATE FUNCTION makan.plate_key(written text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_agg(coalesce(nullif(ltrim(found.number[1], '0'), ''), '0'), '/' ORDER BY found.place)
    FROM regexp_matches(makan.fold(written), '[0-9]+', 'g') WITH ORDINALITY AS found (number, place)
$$;
COMMENT ON FUNCTION makan.plate_key IS 'The numbers of a registration plate in the order written, as 1234/567/4';
CREATE INDEX ix_parcel_registration_plate_numbers ON data.parcel (makan.plate_key(registration_plate));

CREATE FUNCTION makan.like_literal(written text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT replace(replace(replace(written, '\', '\\'), '%', '\%'), '_', '\_')
$$;
COMMENT ON FUNCTION makan.like_literal IS 'A text that LIKE takes for itself';

-- A postcode says where somebody lives, so the layer is for staff; everybody may ask for one exact code. The
-- function is the only way there for the audiences that do not see the layer. Made late: facts have no migration.
CREATE FUNCTION makan.parcel_of_postcode(asked text)
RETURNS TABLE (postcode text, parcel_id bigint, quality text, score float8, distance_m float8, run_id bigint, geom geometry)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN QUERY
    SELECT k.postcode, f.object_id, f.quality, f.score, f.distance_m, k.run_id, k.geom
    FROM data.postcode AS k JOIN facts.postcode_parcel AS f ON f.subject_id = k.id
    WHERE k.postcode = asked;
END
$$;
COMMENT ON FUNCTION makan.parcel_of_postcode IS 'Where one exact postcode is, and how well that is known';
