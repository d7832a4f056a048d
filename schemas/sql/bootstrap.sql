-- name: database_exists
-- Whether the private cluster has its database yet.
SELECT 1 FROM pg_database WHERE datname = %s

-- name: create_login
-- A role of the private cluster, with the password that makan made.
CREATE ROLE {name} LOGIN PASSWORD {password}

-- name: connection_limit
-- How many connections a role may have at once; -1 is as many as it likes.
SELECT rolconnlimit FROM pg_roles WHERE rolname = %s

-- name: bind_login
-- What an audience's login can never do, whatever its server asks for: write, wait, take all connections.
ALTER ROLE {name} CONNECTION LIMIT {connections};
ALTER ROLE {name} SET default_transaction_read_only = on;
ALTER ROLE {name} SET statement_timeout = '30s';
ALTER ROLE {name} SET idle_in_transaction_session_timeout = '30s'

-- name: create_database
-- The private cluster's database.
CREATE DATABASE {name} OWNER makan_owner

-- name: role_exists
-- Whether a role is known to the server.
SELECT 1 FROM pg_roles WHERE rolname = %s

-- name: create_role
-- A role on a server of others; who logs in takes it with SET ROLE.
CREATE ROLE {name} NOLOGIN

-- name: grant_role
-- Lets the login of MAKAN_DATABASE_URL take the role.
GRANT {name} TO CURRENT_USER

-- name: extensions_exist
-- Whether all of them are there already.
SELECT count(*) = 3 FROM pg_extension WHERE extname IN ('postgis', 'btree_gist', 'pg_trgm')

-- name: postgis_version
-- The version of PostGIS, such as 3.3.2.
SELECT extversion FROM pg_extension WHERE extname = 'postgis'

-- name: create_extensions
-- PostGIS, and what history and search will need.
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS pg_trgm

-- name: create_schemas
-- data: layers. history: their former versions. facts: what follows from them, in tables of facts_kept. derived: what is computed of them
-- to be served. generalised: layers from afar. private: columns about persons. ops: ledger, findings, quarantine. stage: running loads.
CREATE SCHEMA IF NOT EXISTS ops AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS data AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS history AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS facts AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS facts_kept AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS private AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS generalised AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS derived AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS makan AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS stage AUTHORIZATION makan_loader

-- name: create_audience_schema
-- The views of one audience.
CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION makan_owner

-- name: close_public
-- In the private cluster nobody but our roles uses the functions in the schema public.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO makan_loader, makan_owner

-- name: open_public
-- PostGIS is there; an audience's role has to reach its functions.
GRANT USAGE ON SCHEMA public TO {name}

-- name: may_use_public
-- Whether a role reaches them already.
SELECT has_schema_privilege(%s, 'public', 'USAGE')

-- name: claim_city
-- The first migration decides whose database it is.
INSERT INTO ops.city (id, srid) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: read_city
-- Whose database it is, and what its derived objects were made from.
SELECT id, srid, derived_digest FROM ops.city

-- name: revision
-- The latest migration that has run.
SELECT version_num FROM ops.schema_version

-- name: remember_digest
-- What the derived objects were made from.
UPDATE ops.city SET derived_digest = %s

-- name: drop_derived
-- Takes away every derived object: views of audiences and in derived, functions that fill rows, constraints named city_*.
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT schemaname, viewname FROM pg_views WHERE schemaname = 'derived' OR schemaname ~ '^api(_|$)'
    LOOP
        EXECUTE format('DROP VIEW IF EXISTS %I.%I CASCADE', found.schemaname, found.viewname);
    END LOOP;
    FOR found IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'makan'::regnamespace AND proname LIKE 'fill\_%'
    LOOP
        EXECUTE format('DROP FUNCTION %s', found.name);
    END LOOP;
    FOR found IN
        SELECT c.conname, t.relname, n.nspname FROM pg_constraint c
        JOIN pg_class t ON t.oid = c.conrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE n.nspname IN ('data', 'derived') AND c.conname LIKE 'city\_%'
    LOOP
        EXECUTE format('ALTER TABLE %I.%I DROP CONSTRAINT %I', found.nspname, found.relname, found.conname);
    END LOOP;
END $$

-- name: grants
-- The loader writes layers, what is computed of them, and the ledger.
GRANT USAGE ON SCHEMA data, history, derived, ops, makan TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA data, history, derived, ops TO makan_loader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA data, derived, ops TO makan_loader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ops TO makan_loader;
-- What is personal the loader can put in, and cannot read.
GRANT USAGE ON SCHEMA private TO makan_loader, makan_private;
GRANT INSERT ON ALL TABLES IN SCHEMA private TO makan_loader;
GRANT SELECT ON ALL TABLES IN SCHEMA private TO makan_private

-- name: bind_writer
-- What a login that writes single rows can never do: wait for ever, take all connections.
ALTER ROLE {name} CONNECTION LIMIT {connections};
ALTER ROLE {name} SET statement_timeout = '30s';
ALTER ROLE {name} SET idle_in_transaction_session_timeout = '30s'

-- name: grant_writer
-- The role of an audience's writer: it sees what rows are judged by, keeps facts and small scales fresh, tells the ledger. Which layers
-- it writes is granted one by one; what is personal and who has which key it cannot read.
REVOKE ALL ON ALL TABLES IN SCHEMA {schema}, data, history, private, facts, generalised, ops FROM {role};
GRANT USAGE ON SCHEMA {schema}, data, history, private, facts, facts_kept, generalised, ops, makan TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA data, history TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA facts, generalised TO {role};
GRANT SELECT, INSERT ON ops.run TO {role};
GRANT SELECT, INSERT, DELETE ON ops.finding TO {role};
GRANT INSERT ON ops.original TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.fact, ops.fact_input, ops.generalised, ops.generalised_cells TO {role};
GRANT SELECT ON ops.city, ops.layer_state, ops.fact_state TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA facts, makan TO {role};
GRANT EXECUTE ON FUNCTION ops.fact_beside(text), ops.fact_filled(text), ops.show_facts(text[]), ops.sweep_facts(), ops.analyze_fact(text),
    ops.analyze_generalised(text), ops.publish(bigint, timestamptz) TO {role};

-- name: grant_writable
-- One layer that it writes; former versions it can only add to.
GRANT SELECT ON {view} TO {role};
GRANT INSERT, UPDATE, DELETE ON {table} TO {role};
GRANT INSERT ON {history} TO {role};

-- name: grant_personal
-- What is personal it can put in, and cannot read.
GRANT INSERT ON {table} TO {role};

-- name: grant_audience
-- An audience's role reads the views of its own schema, and nothing else; the loader reads them too.
GRANT USAGE ON SCHEMA {schema} TO {role}, makan_loader;
GRANT USAGE ON SCHEMA makan TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}
