-- name: view
-- What the server of an audience knows of keys: those of its own that are in force, as hashes.
CREATE VIEW {view} AS
SELECT name, key_sha256, extract(epoch FROM expires)::float8 AS expires, writes, area
FROM ops.access_key
WHERE audience = {audience} AND revoked IS NULL AND (expires IS NULL OR expires > now());
COMMENT ON VIEW {view} IS 'Hashes of the keys in force | چکیده کلیدهای معتبر'

-- name: keys
-- All of them, for one look.
SELECT coalesce(json_agg(json_build_array(name, encode(key_sha256, 'hex'), expires, writes, area)), '[]')::text FROM {view}

-- name: add
-- A new key; its name may be given again when the former one is revoked.
INSERT INTO ops.access_key (name, audience, key_sha256, created_by, writes, area, expires)
VALUES (%(name)s, %(audience)s, %(digest)s, %(who)s, %(writes)s, %(area)s, now() + make_interval(days => %(days)s))

-- name: revoke
-- The key opens nothing any more; that it was there stays known.
UPDATE ops.access_key SET revoked = clock_timestamp(), revoked_by = %(who)s
WHERE name = %(name)s AND audience = %(audience)s AND revoked IS NULL

-- name: list
-- Every key that was ever given, without anything of the key itself.
SELECT name, audience, created, created_by, writes, area, expires, revoked, revoked_by,
    revoked IS NULL AND (expires IS NULL OR expires > now()) AS in_force
FROM ops.access_key ORDER BY audience, name, id
