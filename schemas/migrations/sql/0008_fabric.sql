-- A check of the fabric is a run of its own kind: it takes nothing in, and its findings replace the former ones.

ALTER TABLE ops.run DROP CONSTRAINT run_kind_check;
ALTER TABLE ops.run ADD CONSTRAINT run_kind_check CHECK (kind IN ('load', 'raster', 'undo', 'derive', 'fabric'));
CREATE INDEX ix_finding_layer_key ON ops.finding (layer, key);
