-- name: view
-- What an audience may be told of: its own documents, and those of audiences that see no more. What is written
-- through it is the audience's own whatever is said.
CREATE VIEW {view} AS
SELECT digest, number, audience, process, asked, said, issued, reissued, kept_until
FROM ops.receipt WHERE audience = ANY({audiences}::text[]);
ALTER VIEW {view} ALTER COLUMN audience SET DEFAULT {audience};
COMMENT ON VIEW {view} IS 'What documents said when they were made | متن سندهای صادرشده'

-- name: grant
-- Documents are entered and renewed; their text is never changed. What was kept long enough goes.
GRANT INSERT (digest, number, process, asked, said, kept_until), UPDATE (reissued, kept_until), DELETE ON {view} TO {role}

-- name: keep
-- A document was made. Where the same was said before, that row is renewed. What was kept long enough goes.
WITH gone AS (
    DELETE FROM {receipt} WHERE kept_until < clock_timestamp() AND digest <> %(digest)s::bytea
)
INSERT INTO {receipt} AS r (digest, number, process, asked, said, kept_until)
VALUES (%(digest)s::bytea, %(number)s::text, %(process)s::text, %(asked)s::text::jsonb, %(said)s::text::jsonb,
    clock_timestamp() + make_interval(days => %(days)s::int))
ON CONFLICT (audience, digest) DO UPDATE SET reissued = clock_timestamp(), kept_until = greatest(r.kept_until, excluded.kept_until)
RETURNING number
