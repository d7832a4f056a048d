-- name: create
-- The staging table of one run: unlogged, since a crash makes the run begin again anyway.
CREATE UNLOGGED TABLE {stage} AS SELECT {columns} FROM {target} WITH NO DATA

-- name: look_up
-- Has a new backend load what a load into the layer will need; changes nothing.
EXPLAIN UPDATE {target} t SET run_id = h.run_id FROM {history} h WHERE h.id = t.id AND NOT ST_IsEmpty({geom})

-- name: copy
-- Rows as PostgreSQL's own binary format has them.
COPY {target} ({columns}) FROM STDIN (FORMAT BINARY)

-- name: copy_frozen
-- The same into a table that its own transaction has made: visible to older snapshots too, once anybody finds the table.
COPY {target} ({columns}) FROM STDIN (FORMAT BINARY, FREEZE)

-- name: drop
-- The staging table is no longer needed.
DROP TABLE IF EXISTS {stage}

-- name: abandoned
-- Staging tables of the layer that a killed run left behind (its lock is free, or we would not be here).
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'stage' AND c.relkind = 'r' AND c.relname ~ ('^' || %(layer)s || '_[0-9]+$')

-- name: remove_lines
-- Takes rows out of the staging table that a look at the whole delivery has condemned.
DELETE FROM {stage} WHERE source_line = ANY(%(lines)s)

-- name: add_reason
-- A look at the whole delivery found one more reason for rows that are in quarantine already.
UPDATE ops.quarantine SET reasons = reasons || %(reason)s::text
WHERE run_id = %(run)s AND line = ANY(%(lines)s)

-- name: quarantine
-- Rows set aside, by COPY.
COPY ops.quarantine (run_id, layer, line, key, reasons, raw, raw_geometry, place) FROM STDIN

-- name: in_quarantine
-- Which of these lines are in quarantine already.
SELECT line FROM ops.quarantine WHERE run_id = %(run)s AND line = ANY(%(lines)s)

-- name: forget_personal
-- Takes away what a run has kept of persons; the function belongs to the owner.
SELECT ops.forget_personal(%(layer)s, %(run)s)

-- name: quarantined_keys
-- Keys of the run's quarantined rows: what was published of them before stays.
SELECT DISTINCT key FROM ops.quarantine WHERE run_id = %(run)s AND key IS NOT NULL

-- name: staged
-- How many rows are staged: counted by the database, not by us.
SELECT count(*) FROM {stage}
