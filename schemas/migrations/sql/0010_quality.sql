-- Findings are asked for by row, too: the reasons of a row in quarantine.
CREATE INDEX ix_finding_line ON ops.finding (run_id, line) WHERE line IS NOT NULL;
