-- A filled layer is whole with its keys. What only makes questions faster is made when it is there, several at once: half of the
-- time in which nobody could read it, and a third of what came after the last row.

COMMENT ON TABLE ops.deferred IS 'Keys and indexes that a bulk load has taken away: keys are back when it ends, indexes soon after';

CREATE OR REPLACE FUNCTION ops.after_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    found record;
    twice bigint;
BEGIN
    FOR found IN
        SELECT definition FROM ops.deferred WHERE layer = layer_name AND definition LIKE 'ALTER TABLE %' ORDER BY place
    LOOP
        EXECUTE found.definition;
    END LOOP;
    DELETE FROM ops.deferred WHERE layer = layer_name AND definition LIKE 'ALTER TABLE %';
    EXECUTE format('ALTER TABLE data.%I ENABLE TRIGGER apart_after_insert', layer_name);
    EXECUTE format(
        'SELECT h.id FROM history.%1$I h JOIN data.%1$I t USING (id) WHERE h.withdrawn_by IS NULL AND NOT isempty(h.valid) LIMIT 1',
        layer_name
    ) INTO twice;
    IF twice IS NOT NULL THEN
        RAISE EXCEPTION 'object % of % was given to a new row', twice, layer_name USING ERRCODE = 'exclusion_violation';
    END IF;
    EXECUTE format('ANALYZE data.%I', layer_name);
END $$;
ALTER FUNCTION ops.after_bulk(text) SET default_statistics_target = 30;

-- Whoever comes second waits, and finds nothing left to do.
CREATE FUNCTION ops.make_deferred(which integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE made text;
BEGIN
    DELETE FROM ops.deferred WHERE place = which RETURNING definition INTO made;
    IF made IS NOT NULL THEN
        EXECUTE made;
    END IF;
END $$;
REVOKE ALL ON FUNCTION ops.make_deferred(integer) FROM PUBLIC;
-- Several indexes are made at once: workers for each would only wait for each other.
ALTER FUNCTION ops.make_deferred(integer) SET max_parallel_maintenance_workers = 0;

-- The numbers of a registration plate, by which it is found however it is written: made by the load, which has the texts at hand.
-- Of all that are there once, with the guard of versions away: no row holds at another time than before.
ALTER TABLE data.parcel ADD COLUMN registration_plate_numbers TEXT;
ALTER TABLE history.parcel ADD COLUMN registration_plate_numbers TEXT;
COMMENT ON COLUMN data.parcel.registration_plate_numbers IS 'Numbers of the registration plate | شماره‌های پلاک ثبتی';
ALTER TABLE data.parcel DISABLE TRIGGER apart_after_update;
ALTER TABLE history.parcel DISABLE TRIGGER apart_after_update;
UPDATE data.parcel SET registration_plate_numbers = makan.plate_key(registration_plate) WHERE registration_plate IS NOT NULL;
UPDATE history.parcel SET registration_plate_numbers = makan.plate_key(registration_plate) WHERE registration_plate IS NOT NULL;
ALTER TABLE data.parcel ENABLE TRIGGER apart_after_update;
ALTER TABLE history.parcel ENABLE TRIGGER apart_after_update;
CREATE INDEX ix_parcel_registration_plate_numbers ON data.parcel (registration_plate_numbers);
