-- History in two times. Valid: when a version held in the real world. Recorded: between which publications it was in force here.
-- Every change of a layer is a publication, numbered in the order of commits; an undo is one too, and a run of its own.

ALTER TABLE ops.run ADD COLUMN valid_from timestamptz;
COMMENT ON COLUMN ops.run.valid_from IS 'From when the delivery holds in the real world: its own date, or when it was published';

CREATE TABLE ops.publication (
    seq bigint PRIMARY KEY,
    run_id bigint NOT NULL UNIQUE REFERENCES ops.run ON DELETE CASCADE,
    layer text NOT NULL,
    recorded timestamptz NOT NULL
);
COMMENT ON TABLE ops.publication IS 'Changes of layers in the order they were committed: loads, and undos of loads';
CREATE INDEX ix_publication_recorded ON ops.publication (recorded);

UPDATE ops.run SET valid_from = coalesce(finished, started) WHERE kind = 'load' AND status IN ('done', 'undone');
INSERT INTO ops.publication (seq, run_id, layer, recorded)
SELECT row_number() OVER (ORDER BY finished, id), id, layer, finished FROM ops.run
WHERE kind = 'load' AND status = 'done' AND inserted + updated + removed > 0;

-- The transaction that calls it is the only one that publishes until it ends: so numbers are committed in their order, and who
-- has read up to one will never find a lower one later.
CREATE FUNCTION ops.publish(of_run bigint, holds_from timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    latest ops.publication;
    number bigint;
    moment timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('makan publish', 0));
    SELECT * INTO latest FROM ops.publication ORDER BY seq DESC LIMIT 1;
    number := coalesce(latest.seq, 0) + 1;
    moment := greatest(clock_timestamp(), latest.recorded + interval '1 microsecond');
    INSERT INTO ops.publication (seq, run_id, layer, recorded) SELECT number, id, layer, moment FROM ops.run WHERE id = of_run;
    UPDATE ops.run SET valid_from = coalesce(holds_from, moment) WHERE id = of_run;
    RETURN number;
END $$;
REVOKE ALL ON FUNCTION ops.publish(bigint, timestamptz) FROM PUBLIC;

-- A former version and the one in force do not hold at the same time. Among former ones an exclusion constraint sees to it; the
-- open end of the one in force is in another table, so it is asked for by statement, with the rows that the statement wrote.
CREATE FUNCTION ops.refuse_overlap() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE found bigint;
BEGIN
    EXECUTE format(
        'SELECT n.id FROM written n JOIN data.%1$I t ON t.id = n.id JOIN history.%1$I h ON h.id = n.id '
        'LEFT JOIN ops.run r ON r.id = t.run_id WHERE h.withdrawn_by IS NULL '
        'AND h.valid && tstzrange(coalesce(t.valid_since, r.valid_from), NULL) LIMIT 1', TG_TABLE_NAME
    ) INTO found;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'two versions of object % of % hold at the same time', found, TG_TABLE_NAME
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = format('ex_%s_valid', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;

-- Called by the migration that makes a layer's tables.
CREATE FUNCTION ops.guard_versions(layer_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    room text;
    act text;
BEGIN
    FOREACH room IN ARRAY ARRAY['data', 'history'] LOOP
        FOREACH act IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
            EXECUTE format(
                'CREATE TRIGGER apart_after_%s AFTER %s ON %I.%I REFERENCING NEW TABLE AS written '
                'FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_overlap()', lower(act), act, room, layer_name
            );
        END LOOP;
    END LOOP;
END $$;

-- The layers there are: when their versions held is what the ledger says of the loads that began and ended them.
DO $$
DECLARE
    found record;
    room text;
BEGIN
    FOR found IN
        SELECT t.relname AS layer, EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'geom' AND NOT a.attisdropped
        ) AS drawn
        FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = 'history' AND t.relkind = 'r'
    LOOP
        FOREACH room IN ARRAY ARRAY['data', 'history'] LOOP
            EXECUTE format(
                'ALTER TABLE %1$I.%2$I ADD COLUMN valid_since timestamptz, ADD COLUMN valid_until timestamptz, '
                'ADD COLUMN begun_by bigint;'
                'COMMENT ON COLUMN %1$I.%2$I.valid_since IS ''Holds from, by the data themselves; empty: from the moment of its load'';'
                'COMMENT ON COLUMN %1$I.%2$I.valid_until IS ''Holds until, by the data themselves'';'
                'COMMENT ON COLUMN %1$I.%2$I.begun_by IS ''Undo that put the row in force again; empty: its load''',
                room, found.layer
            );
        END LOOP;
        EXECUTE format(
            'ALTER TABLE history.%1$I ADD COLUMN valid tstzrange, ADD COLUMN withdrawn_by bigint;'
            'UPDATE history.%1$I h SET valid = coalesce(('
            'SELECT tstzrange(b.valid_from, greatest(b.valid_from, e.valid_from)) FROM ops.run b, ops.run e '
            'WHERE b.id = h.run_id AND e.id = h.ended_by), ''empty'');'
            'ALTER TABLE history.%1$I ALTER COLUMN valid SET NOT NULL, '
            'ADD CONSTRAINT %2$I EXCLUDE USING gist (id WITH =, valid WITH &&) WHERE (withdrawn_by IS NULL);'
            'COMMENT ON COLUMN history.%1$I.valid IS ''When the version held in the real world, as is known today; empty: it never did'';'
            'COMMENT ON COLUMN history.%1$I.withdrawn_by IS ''Undo after which the version counts no more'';'
            'CREATE INDEX %3$I ON history.%1$I (run_id, id);'
            'CREATE INDEX %4$I ON history.%1$I (begun_by, id) WHERE begun_by IS NOT NULL',
            found.layer, format('ex_%s_valid', found.layer), format('ix_%s_former_run_id', found.layer),
            format('ix_%s_former_begun_by', found.layer)
        );
        IF found.drawn THEN
            EXECUTE format(
                'CREATE INDEX %I ON history.%I USING gist (geom) WHERE withdrawn_by IS NULL',
                format('ix_%s_former_geom', found.layer), found.layer
            );
        END IF;
        PERFORM ops.guard_versions(found.layer);
    END LOOP;
END $$;

-- A layer is filled when it is empty: new objects have no former versions, so it is enough to ask afterwards, of the others.
CREATE OR REPLACE FUNCTION ops.before_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    target regclass := format('data.%I', layer_name)::regclass;
    found record;
BEGIN
    FOR found IN
        SELECT k.conname, pg_get_constraintdef(k.oid) AS definition FROM pg_constraint k
        WHERE k.conrelid = target AND k.contype IN ('p', 'u')
            AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = k.conindid)
        ORDER BY k.contype
    LOOP
        INSERT INTO ops.deferred (layer, definition)
        VALUES (layer_name, format('ALTER TABLE data.%I ADD CONSTRAINT %I %s', layer_name, found.conname, found.definition));
        EXECUTE format('ALTER TABLE data.%I DROP CONSTRAINT %I', layer_name, found.conname);
    END LOOP;
    FOR found IN
        SELECT i.indexname, i.indexdef FROM pg_indexes i
        WHERE i.schemaname = 'data' AND i.tablename = layer_name AND i.indexname LIKE 'ix\_%'
    LOOP
        INSERT INTO ops.deferred (layer, definition) VALUES (layer_name, found.indexdef);
        EXECUTE format('DROP INDEX data.%I', found.indexname);
    END LOOP;
    EXECUTE format('ALTER TABLE data.%I DISABLE TRIGGER apart_after_insert', layer_name);
END $$;

CREATE OR REPLACE FUNCTION ops.after_bulk(layer_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    found record;
    twice bigint;
BEGIN
    FOR found IN SELECT definition FROM ops.deferred WHERE layer = layer_name ORDER BY place LOOP
        EXECUTE found.definition;
    END LOOP;
    DELETE FROM ops.deferred WHERE layer = layer_name;
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

-- Codes that parcels have had, and what became of whose ground.
CREATE TABLE data.parcel_code_history (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	former_code TEXT NOT NULL, 
	parcel_code TEXT NOT NULL, 
	code_from DATE, 
	code_until DATE, 
	change_reason TEXT NOT NULL, 
	case_ref TEXT, 
	parcel_id BIGINT, 
	run_id BIGINT NOT NULL, 
	source_line BIGINT NOT NULL, 
	valid_since TIMESTAMP WITH TIME ZONE, 
	valid_until TIMESTAMP WITH TIME ZONE, 
	begun_by BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_parcel_code_history_key UNIQUE (former_code, parcel_code), 
	CONSTRAINT ck_parcel_code_history_former_code_length CHECK (length(former_code) <= 60), 
	CONSTRAINT ck_parcel_code_history_case_ref_length CHECK (length(case_ref) <= 60), 
	CONSTRAINT ck_parcel_code_history_until_after_from CHECK (code_from IS NULL OR code_until IS NULL OR (code_from <= code_until))
);
COMMENT ON TABLE data.parcel_code_history IS 'Former parcel codes | سوابق کد نوسازی';
COMMENT ON COLUMN data.parcel_code_history.id IS 'Stable feature id';
COMMENT ON COLUMN data.parcel_code_history.former_code IS 'Former code | کد پیشین';
COMMENT ON COLUMN data.parcel_code_history.parcel_code IS 'Code that replaced it | کد جایگزین';
COMMENT ON COLUMN data.parcel_code_history.code_from IS 'Former code valid from | آغاز اعتبار کد پیشین';
COMMENT ON COLUMN data.parcel_code_history.code_until IS 'Former code valid until | پایان اعتبار کد پیشین';
COMMENT ON COLUMN data.parcel_code_history.change_reason IS 'Reason of the change | علت تغییر کد';
COMMENT ON COLUMN data.parcel_code_history.case_ref IS 'Case reference | شماره پرونده';
COMMENT ON COLUMN data.parcel_code_history.parcel_id IS 'Object id of the parcel | شناسه پایدار ملک';
COMMENT ON COLUMN data.parcel_code_history.run_id IS 'Load that last changed the row';
COMMENT ON COLUMN data.parcel_code_history.source_line IS 'Row of that load''s file, from 1';
COMMENT ON COLUMN data.parcel_code_history.valid_since IS 'Holds from, by the data themselves; empty: from the moment of its load';
COMMENT ON COLUMN data.parcel_code_history.valid_until IS 'Holds until, by the data themselves';
COMMENT ON COLUMN data.parcel_code_history.begun_by IS 'Undo that put the row in force again; empty: its load';
CREATE INDEX ix_parcel_code_history_former_code ON data.parcel_code_history (former_code);
CREATE INDEX ix_parcel_code_history_parcel_code ON data.parcel_code_history (parcel_code);
CREATE INDEX ix_parcel_code_history_parcel_id ON data.parcel_code_history (parcel_id);
CREATE INDEX ix_parcel_code_history_run_id ON data.parcel_code_history USING brin (run_id);
CREATE TABLE history.parcel_code_history (
	id BIGINT, 
	former_code TEXT, 
	parcel_code TEXT, 
	code_from DATE, 
	code_until DATE, 
	change_reason TEXT, 
	case_ref TEXT, 
	parcel_id BIGINT, 
	run_id BIGINT, 
	source_line BIGINT, 
	ended_by BIGINT NOT NULL, 
	valid_since TIMESTAMP WITH TIME ZONE, 
	valid_until TIMESTAMP WITH TIME ZONE, 
	begun_by BIGINT, 
	valid TSTZRANGE NOT NULL, 
	withdrawn_by BIGINT, 
	CONSTRAINT ex_parcel_code_history_valid EXCLUDE USING gist (id WITH =, valid WITH &&) WHERE (withdrawn_by IS NULL)
);
COMMENT ON TABLE history.parcel_code_history IS 'Former versions: Former parcel codes | سوابق کد نوسازی';
COMMENT ON COLUMN history.parcel_code_history.ended_by IS 'Run that replaced or removed the row';
COMMENT ON COLUMN history.parcel_code_history.valid_since IS 'Holds from, by the data themselves; empty: from the moment of its load';
COMMENT ON COLUMN history.parcel_code_history.valid_until IS 'Holds until, by the data themselves';
COMMENT ON COLUMN history.parcel_code_history.begun_by IS 'Undo that put the row in force again; empty: its load';
COMMENT ON COLUMN history.parcel_code_history.valid IS 'When the version held in the real world, as is known today; empty: it never did';
COMMENT ON COLUMN history.parcel_code_history.withdrawn_by IS 'Undo after which the version counts no more';
CREATE INDEX ix_parcel_code_history_ended_by ON history.parcel_code_history (ended_by);
CREATE INDEX ix_parcel_code_history_former_begun_by ON history.parcel_code_history (begun_by, id) WHERE begun_by IS NOT NULL;
CREATE INDEX ix_parcel_code_history_former_run_id ON history.parcel_code_history (run_id, id);
CREATE INDEX ix_parcel_code_history_former_key ON history.parcel_code_history (former_code, parcel_code);
SELECT ops.guard_versions('parcel_code_history');
CREATE TABLE data.parcel_lineage (
	id BIGINT GENERATED BY DEFAULT AS IDENTITY, 
	case_ref TEXT NOT NULL, 
	lineage_op TEXT NOT NULL, 
	parent_code TEXT NOT NULL, 
	child_code TEXT NOT NULL, 
	child_kind TEXT NOT NULL, 
	area_transferred_m2 DOUBLE PRECISION NOT NULL, 
	area_parent_m2 DOUBLE PRECISION, 
	area_child_m2 DOUBLE PRECISION, 
	lineage_date DATE, 
	run_id BIGINT NOT NULL, 
	source_line BIGINT NOT NULL, 
	valid_since TIMESTAMP WITH TIME ZONE, 
	valid_until TIMESTAMP WITH TIME ZONE, 
	begun_by BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_parcel_lineage_key UNIQUE (case_ref, parent_code, child_code), 
	CONSTRAINT ck_parcel_lineage_case_ref_length CHECK (length(case_ref) <= 60), 
	CONSTRAINT ck_parcel_lineage_parent_code_length CHECK (length(parent_code) <= 60), 
	CONSTRAINT ck_parcel_lineage_child_code_length CHECK (length(child_code) <= 60), 
	CONSTRAINT ck_parcel_lineage_area_transferred_m2_range CHECK (area_transferred_m2 >= 0.0 AND area_transferred_m2 < 'Infinity'::float8), 
	CONSTRAINT ck_parcel_lineage_area_parent_m2_range CHECK (area_parent_m2 >= 0.0 AND area_parent_m2 < 'Infinity'::float8), 
	CONSTRAINT ck_parcel_lineage_area_child_m2_range CHECK (area_child_m2 >= 0.0 AND area_child_m2 < 'Infinity'::float8), 
	CONSTRAINT ck_parcel_lineage_transferred_within_parent CHECK (area_transferred_m2 IS NULL OR area_parent_m2 IS NULL OR area_transferred_m2 <= area_parent_m2 + 0.01)
);
COMMENT ON TABLE data.parcel_lineage IS 'Parcel lineage | شجره‌نامه قطعات';
COMMENT ON COLUMN data.parcel_lineage.id IS 'Stable feature id';
COMMENT ON COLUMN data.parcel_lineage.case_ref IS 'Case reference | شماره پرونده';
COMMENT ON COLUMN data.parcel_lineage.lineage_op IS 'Operation | نوع عملیات';
COMMENT ON COLUMN data.parcel_lineage.parent_code IS 'Code of the parent | کد ملک مبدأ';
COMMENT ON COLUMN data.parcel_lineage.child_code IS 'Code of the child | کد ملک مقصد';
COMMENT ON COLUMN data.parcel_lineage.child_kind IS 'What the child is | نوع مقصد';
COMMENT ON COLUMN data.parcel_lineage.area_transferred_m2 IS 'Area that went from parent to child [m2] | مساحت منتقل‌شده';
COMMENT ON COLUMN data.parcel_lineage.area_parent_m2 IS 'Area of the parent before [m2] | مساحت ملک مبدأ پیش از عملیات';
COMMENT ON COLUMN data.parcel_lineage.area_child_m2 IS 'Area of the child after [m2] | مساحت ملک مقصد پس از عملیات';
COMMENT ON COLUMN data.parcel_lineage.lineage_date IS 'Date of the operation | تاریخ عملیات';
COMMENT ON COLUMN data.parcel_lineage.run_id IS 'Load that last changed the row';
COMMENT ON COLUMN data.parcel_lineage.source_line IS 'Row of that load''s file, from 1';
COMMENT ON COLUMN data.parcel_lineage.valid_since IS 'Holds from, by the data themselves; empty: from the moment of its load';
COMMENT ON COLUMN data.parcel_lineage.valid_until IS 'Holds until, by the data themselves';
COMMENT ON COLUMN data.parcel_lineage.begun_by IS 'Undo that put the row in force again; empty: its load';
CREATE INDEX ix_parcel_lineage_case_ref ON data.parcel_lineage (case_ref);
CREATE INDEX ix_parcel_lineage_child_code ON data.parcel_lineage (child_code);
CREATE INDEX ix_parcel_lineage_parent_code ON data.parcel_lineage (parent_code);
CREATE INDEX ix_parcel_lineage_run_id ON data.parcel_lineage USING brin (run_id);
CREATE TABLE history.parcel_lineage (
	id BIGINT, 
	case_ref TEXT, 
	lineage_op TEXT, 
	parent_code TEXT, 
	child_code TEXT, 
	child_kind TEXT, 
	area_transferred_m2 DOUBLE PRECISION, 
	area_parent_m2 DOUBLE PRECISION, 
	area_child_m2 DOUBLE PRECISION, 
	lineage_date DATE, 
	run_id BIGINT, 
	source_line BIGINT, 
	ended_by BIGINT NOT NULL, 
	valid_since TIMESTAMP WITH TIME ZONE, 
	valid_until TIMESTAMP WITH TIME ZONE, 
	begun_by BIGINT, 
	valid TSTZRANGE NOT NULL, 
	withdrawn_by BIGINT, 
	CONSTRAINT ex_parcel_lineage_valid EXCLUDE USING gist (id WITH =, valid WITH &&) WHERE (withdrawn_by IS NULL)
);
COMMENT ON TABLE history.parcel_lineage IS 'Former versions: Parcel lineage | شجره‌نامه قطعات';
COMMENT ON COLUMN history.parcel_lineage.ended_by IS 'Run that replaced or removed the row';
COMMENT ON COLUMN history.parcel_lineage.valid_since IS 'Holds from, by the data themselves; empty: from the moment of its load';
COMMENT ON COLUMN history.parcel_lineage.valid_until IS 'Holds until, by the data themselves';
COMMENT ON COLUMN history.parcel_lineage.begun_by IS 'Undo that put the row in force again; empty: its load';
COMMENT ON COLUMN history.parcel_lineage.valid IS 'When the version held in the real world, as is known today; empty: it never did';
COMMENT ON COLUMN history.parcel_lineage.withdrawn_by IS 'Undo after which the version counts no more';
CREATE INDEX ix_parcel_lineage_ended_by ON history.parcel_lineage (ended_by);
CREATE INDEX ix_parcel_lineage_former_begun_by ON history.parcel_lineage (begun_by, id) WHERE begun_by IS NOT NULL;
CREATE INDEX ix_parcel_lineage_former_run_id ON history.parcel_lineage (run_id, id);
CREATE INDEX ix_parcel_lineage_former_key ON history.parcel_lineage (case_ref, parent_code, child_code);
SELECT ops.guard_versions('parcel_lineage');
