-- What documents said when they were made, so that a printed one can be compared with the data of today.

CREATE TABLE ops.receipt (
    digest bytea NOT NULL CHECK (length(digest) = 32),
    number text NOT NULL,
    audience text NOT NULL,
    process text NOT NULL,
    asked jsonb NOT NULL,
    said jsonb NOT NULL,
    issued timestamptz NOT NULL DEFAULT clock_timestamp(),
    reissued timestamptz NOT NULL DEFAULT clock_timestamp(),
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (audience, digest),
    UNIQUE (audience, number)
);
COMMENT ON TABLE ops.receipt IS 'One row a document that says something new; the same facts again are the same row';
COMMENT ON COLUMN ops.receipt.digest IS 'SHA-256 of the answer as canonical JSON (RFC 8785)';
COMMENT ON COLUMN ops.receipt.number IS 'The beginning of the digest as people type it';
COMMENT ON COLUMN ops.receipt.asked IS 'The inputs with which the same question can be asked again';
COMMENT ON COLUMN ops.receipt.said IS 'The answer; what its audience saw, never anything personal';
COMMENT ON COLUMN ops.receipt.reissued IS 'When the same was said last';
CREATE INDEX ix_receipt_kept_until ON ops.receipt (kept_until);
