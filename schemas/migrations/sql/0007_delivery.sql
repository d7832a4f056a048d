-- What is kept of each feed's latest file, so that the next one is judged only where it differs.

CREATE TABLE ops.delivery (
    run_id bigint PRIMARY KEY REFERENCES ops.run ON DELETE CASCADE,
    rows bytea NOT NULL
);
ALTER TABLE ops.delivery ALTER COLUMN rows SET STORAGE EXTERNAL;
COMMENT ON TABLE ops.delivery IS 'Digest, key and shape of every row of a delivery, as an Arrow stream: the next one is judged only where it differs';
