-- name: database_exists
-- Whether the private cluster has its database yet.
SELECT 1 FROM pg_database WHERE datname = %s

-- name: create_login
-- A role of the private cluster, with the password that makan made.
CREATE ROLE {name} LOGIN PASSWORD {password}

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

-- name: postgis_exists
-- Whether the extensions are there already.
SELECT 1 FROM pg_extension WHERE extname = 'postgis'

-- name: postgis_version
-- The version of PostGIS, such as 3.3.2.
SELECT extversion FROM pg_extension WHERE extname = 'postgis'

-- name: create_extensions
-- PostGIS, and what history and search will need.
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS pg_trgm

-- name: create_schemas
-- data: layers. history: their former versions. ops: ledger, findings, quarantine. stage: running loads. api: clients.
CREATE SCHEMA IF NOT EXISTS ops AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS data AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS history AUTHORIZATION makan_owner;
CREATE SCHEMA IF NOT EXISTS stage AUTHORIZATION makan_loader;
CREATE SCHEMA IF NOT EXISTS api AUTHORIZATION makan_owner

-- name: close_public
-- In the private cluster nobody but our roles uses the functions in the schema public.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO makan_loader, makan_reader, makan_owner

-- name: claim_city
-- The first migration decides whose database it is.
INSERT INTO ops.city (id, srid) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: read_city
-- Whose database it is, and what its derived objects were made from.
SELECT id, srid, derived_digest FROM ops.city

-- name: remember_digest
-- What the derived objects were made from.
UPDATE ops.city SET derived_digest = %s

-- name: drop_derived
-- Takes away every derived object: api views and constraints named city_*.
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT viewname FROM pg_views WHERE schemaname = 'api' LOOP
        EXECUTE format('DROP VIEW api.%I', found.viewname);
    END LOOP;
    FOR found IN
        SELECT c.conname, t.relname FROM pg_constraint c
        JOIN pg_class t ON t.oid = c.conrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE n.nspname = 'data' AND c.conname LIKE 'city\_%'
    LOOP
        EXECUTE format('ALTER TABLE data.%I DROP CONSTRAINT %I', found.relname, found.conname);
    END LOOP;
END $$

-- name: grants
-- The loader writes layers and ledger; the reader sees the api schema alone.
GRANT USAGE ON SCHEMA data, history, ops, api TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA data, history TO makan_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ops TO makan_loader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA data, ops TO makan_loader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ops TO makan_loader;
GRANT USAGE ON SCHEMA api TO makan_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA api TO makan_reader
