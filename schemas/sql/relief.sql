-- name: survey
-- What elevation models are made of: line or point, its height, and the load that it is from.
SELECT ST_AsBinary({geometry}), {height}, run_id FROM {table} WHERE {geometry} IS NOT NULL ORDER BY id
