-- name: view
-- The jobs of one audience; what is written through it is of that audience whatever is said.
CREATE VIEW {view} AS
SELECT id, audience, holder, process, inputs, status, progress, message, created, started, updated, finished, expires,
    attempts, worker, seen, problem, result
FROM ops.job WHERE audience = {audience} WITH LOCAL CHECK OPTION;
ALTER VIEW {view} ALTER COLUMN audience SET DEFAULT {audience};
COMMENT ON VIEW {view} IS 'Questions answered in the background | پرسش‌هایی که در پس‌زمینه پاسخ داده می‌شود'

-- name: grant
-- The one thing that an audience's role may write: its own jobs.
GRANT INSERT (holder, process, inputs), DELETE ON {view} TO {role};
GRANT UPDATE (status, progress, message, started, updated, finished, expires, attempts, worker, seen, problem, result)
    ON {view} TO {role}

-- name: ask
-- A new job, unless so many of this holder wait already.
INSERT INTO {job} (holder, process, inputs)
SELECT %(holder)s::text, %(process)s::text, %(inputs)s::text::jsonb
WHERE (SELECT count(*) FROM {job} AS j WHERE j.status IN ('accepted', 'running')
    AND j.holder IS NOT DISTINCT FROM %(holder)s::text) < %(most)s::int
RETURNING id::text

-- name: status
-- What a job is at; a holder sees only what was asked with that key.
SELECT jsonb_build_object('id', j.id, 'process', j.process, 'inputs', j.inputs, 'status', j.status, 'progress', j.progress,
    'message', j.message, 'created', j.created, 'started', j.started, 'updated', j.updated, 'finished', j.finished,
    'expires', j.expires, 'problem', j.problem)::text
FROM {job} AS j WHERE j.id = %(id)s::uuid AND j.holder IS NOT DISTINCT FROM %(holder)s::text
    AND (j.expires IS NULL OR j.expires > now())

-- name: list
-- Jobs of a holder, the latest first, one more than asked for.
SELECT coalesce(jsonb_agg(l.told ORDER BY l.created DESC, l.id), '[]')::text FROM (
    SELECT j.id, j.created, jsonb_build_object('id', j.id, 'process', j.process, 'status', j.status, 'progress', j.progress,
        'message', j.message, 'created', j.created, 'started', j.started, 'updated', j.updated, 'finished', j.finished,
        'expires', j.expires) AS told
    FROM {job} AS j WHERE j.holder IS NOT DISTINCT FROM %(holder)s::text
        AND (j.expires IS NULL OR j.expires > now())
        AND (%(processes)s::text[] IS NULL OR j.process = ANY(%(processes)s::text[]))
        AND (%(statuses)s::text[] IS NULL OR j.status = ANY(%(statuses)s::text[]))
        AND (%(since)s::timestamptz IS NULL OR j.created >= %(since)s::timestamptz)
        AND (%(until)s::timestamptz IS NULL OR j.created <= %(until)s::timestamptz)
        AND (%(shortest)s::float8 IS NULL
            OR extract(epoch FROM coalesce(j.finished, now()) - j.started) >= %(shortest)s::float8)
        AND (%(longest)s::float8 IS NULL
            OR extract(epoch FROM coalesce(j.finished, now()) - j.started) <= %(longest)s::float8)
    ORDER BY j.created DESC, j.id LIMIT %(limit)s::int + 1 OFFSET %(offset)s::int
) AS l

-- name: result
-- The answer of a job that has one.
SELECT j.result FROM {job} AS j WHERE j.id = %(id)s::uuid AND j.holder IS NOT DISTINCT FROM %(holder)s::text
    AND j.status = 'successful' AND j.expires > now()

-- name: dismiss
-- A job that waits or runs is called off; of one that has ended the answer goes.
UPDATE {job} AS j SET status = 'dismissed', updated = clock_timestamp(), result = NULL,
    finished = coalesce(j.finished, clock_timestamp()), expires = coalesce(j.expires, clock_timestamp() + %(keep)s::interval),
    message = CASE WHEN j.finished IS NULL THEN 'dismissed before it had ended' ELSE 'dismissed; its answer is gone' END
WHERE j.id = %(id)s::uuid AND j.holder IS NOT DISTINCT FROM %(holder)s::text AND (j.expires IS NULL OR j.expires > now())
RETURNING j.id::text

-- name: claim
-- The job that has waited longest, or one whose worker is silent; two workers never get the same.
UPDATE {job} AS j SET status = 'running', worker = %(worker)s::text, attempts = j.attempts + 1, progress = 0,
    started = coalesce(j.started, clock_timestamp()), updated = clock_timestamp(), seen = clock_timestamp(),
    message = CASE WHEN j.status = 'running' THEN 'taken again: its worker was not heard of any more' END
WHERE j.id = (
    SELECT w.id FROM {job} AS w
    WHERE w.status = 'accepted' OR w.status = 'running' AND w.seen < clock_timestamp() - %(lease)s::interval
    ORDER BY w.created, w.id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING j.id::text, j.process, j.inputs::text, j.attempts

-- name: beat
-- Its worker is there. No row: the job was dismissed, or taken by another.
UPDATE {job} AS j SET seen = clock_timestamp(), progress = %(progress)s::smallint, updated = clock_timestamp(),
    message = coalesce(%(message)s::text, j.message)
WHERE j.id = %(id)s::uuid AND j.worker = %(worker)s::text AND j.status = 'running' RETURNING j.id::text

-- name: finish
-- What came of it. No row: too late, it is not this worker's any more.
UPDATE {job} AS j SET status = %(status)s::text, progress = CASE WHEN %(status)s::text = 'successful' THEN 100 ELSE j.progress END,
    message = %(message)s::text, problem = %(problem)s::text::jsonb, result = %(result)s::bytea,
    updated = clock_timestamp(), finished = clock_timestamp(), expires = clock_timestamp() + %(keep)s::interval
WHERE j.id = %(id)s::uuid AND j.worker = %(worker)s::text AND j.status = 'running' RETURNING j.id::text

-- name: release
-- A worker that ends in an orderly way gives its job back.
UPDATE {job} AS j SET status = 'accepted', worker = NULL, progress = 0, attempts = greatest(j.attempts - 1, 0),
    updated = clock_timestamp(), message = 'waits for another worker'
WHERE j.id = %(id)s::uuid AND j.worker = %(worker)s::text AND j.status = 'running' RETURNING j.id::text

-- name: sweep
-- What was kept long enough.
DELETE FROM {job} AS j WHERE j.expires < clock_timestamp() RETURNING j.id::text
