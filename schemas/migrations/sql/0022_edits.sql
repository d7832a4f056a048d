-- Single rows written over the API: each is a run of the kind edit, with the key's name; keys say what they may write.

ALTER TABLE ops.run DROP CONSTRAINT run_kind_check;
ALTER TABLE ops.run ADD CONSTRAINT run_kind_check CHECK (kind IN ('load', 'raster', 'undo', 'derive', 'fabric', 'edit'));
CREATE INDEX ix_run_edits ON ops.run (who, started) WHERE kind = 'edit';

ALTER TABLE ops.access_key ADD COLUMN writes text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN ops.access_key.writes IS 'The layers whose rows the key may write; * is every one that its audience may';

CREATE OR REPLACE VIEW ops.layer_state AS
SELECT layer,
    coalesce(max(id) FILTER (WHERE status = 'done' AND inserted + updated + removed > 0), 0) AS run_id,
    count(*) FILTER (WHERE status = 'undone') AS undone
FROM ops.run WHERE kind IN ('load', 'edit') GROUP BY layer;
COMMENT ON VIEW ops.layer_state IS 'The latest load or edit that changed each layer, and how many of them were undone';
