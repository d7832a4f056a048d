-- The area that who has a key works in, as collection/key (regions/1): lists begin with it, searches go over all.
ALTER TABLE ops.access_key ADD COLUMN area text;
COMMENT ON COLUMN ops.access_key.area IS 'Area that lists begin with, as collection/key';
