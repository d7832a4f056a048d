-- Questions that are answered in the background: who waits for what, who works at it, and what came of it.

CREATE TABLE ops.job (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    audience text NOT NULL,
    holder text,
    process text NOT NULL,
    inputs jsonb NOT NULL,
    status text NOT NULL DEFAULT 'accepted'
        CHECK (status IN ('accepted', 'running', 'successful', 'failed', 'dismissed')),
    progress smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    message text,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    started timestamptz,
    updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished timestamptz,
    expires timestamptz,
    attempts smallint NOT NULL DEFAULT 0,
    worker text,
    seen timestamptz,
    problem jsonb,
    result bytea
);
COMMENT ON TABLE ops.job IS 'One row a question that is answered in the background';
COMMENT ON COLUMN ops.job.holder IS 'The name of the key it was asked with; NULL where no key is needed';
COMMENT ON COLUMN ops.job.attempts IS 'How often a worker has taken it; one that dies again and again kills no more workers';
COMMENT ON COLUMN ops.job.worker IS 'Who works at it: only that one may say how it went';
COMMENT ON COLUMN ops.job.seen IS 'When its worker was last heard of; one that is silent has lost the job';
COMMENT ON COLUMN ops.job.problem IS 'Why there is no answer, as RFC 9457 problem details with the HTTP status';
COMMENT ON COLUMN ops.job.result IS 'The answer, JSON in gzip';
ALTER TABLE ops.job ALTER COLUMN result SET STORAGE EXTERNAL;
CREATE INDEX ix_job_waiting ON ops.job (audience, created) WHERE status IN ('accepted', 'running');
CREATE INDEX ix_job_holder ON ops.job (audience, holder, created DESC);
CREATE INDEX ix_job_expires ON ops.job (expires);

-- Workers sleep until there is a job.
CREATE FUNCTION ops.tell_job() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('makan_job', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_made AFTER INSERT ON ops.job FOR EACH ROW EXECUTE FUNCTION ops.tell_job();
