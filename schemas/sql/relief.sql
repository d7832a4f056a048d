-- name: survey
-- What elevation models are made of: line or point, and its height.
SELECT ST_AsBinary({geometry}), {height} FROM {table} WHERE {geometry} IS NOT NULL ORDER BY id
