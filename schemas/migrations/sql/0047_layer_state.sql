-- How far each layer is, without looking at every run there ever was: each edit is one, and papers ask twice. The next layer and its latest
-- run are found by the index; with 100,000 edits behind it the view took 118 ms.

CREATE INDEX ix_run_state ON ops.run (layer, id) WHERE kind IN ('load', 'edit');
CREATE INDEX ix_run_undone ON ops.run (layer) WHERE kind IN ('load', 'edit') AND status = 'undone';

-- By BETWEEN and both columns of the index: else the latest runs of all layers would be gone through for a layer that is seldom changed.
CREATE OR REPLACE VIEW ops.layer_state AS
WITH RECURSIVE known AS (
    (SELECT layer FROM ops.run WHERE kind IN ('load', 'edit') ORDER BY layer LIMIT 1)
    UNION ALL
    SELECT (SELECT r.layer FROM ops.run r WHERE r.kind IN ('load', 'edit') AND r.layer > k.layer ORDER BY r.layer LIMIT 1)
    FROM known k WHERE k.layer IS NOT NULL
)
SELECT k.layer,
    coalesce((
        SELECT r.id FROM ops.run r WHERE r.layer BETWEEN k.layer AND k.layer AND r.kind IN ('load', 'edit') AND r.status = 'done'
            AND r.inserted + r.updated + r.removed > 0 ORDER BY r.layer DESC, r.id DESC LIMIT 1
    ), 0) AS run_id,
    (SELECT count(*) FROM ops.run r WHERE r.layer = k.layer AND r.kind IN ('load', 'edit') AND r.status = 'undone') AS undone
FROM known k WHERE k.layer IS NOT NULL;
