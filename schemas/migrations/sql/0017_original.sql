-- How rows were written, where what is shown does not tell: by the run and line that every version of a row names.

CREATE TABLE ops.original (
    run_id bigint NOT NULL,
    line bigint NOT NULL,
    raw json NOT NULL,
    PRIMARY KEY (run_id, line)
);
COMMENT ON TABLE ops.original IS 'Source values that were read or respelt, by source column; rows that arrived as they are shown have none';
GRANT SELECT, INSERT, DELETE ON ops.original TO makan_loader;
