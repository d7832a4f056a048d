-- A raster that we make of layers (an elevation model of contours) keeps how far each was known then. So whether it is
-- out of date is no mark that somebody must remember to set: it follows from the ledger, as with facts.

ALTER TABLE ops.raster ADD COLUMN recipe text;
COMMENT ON COLUMN ops.raster.recipe IS 'Digest of how it was made of our own layers, but for their rows; empty: it arrived as a file';

CREATE TABLE ops.raster_input (
    raster_id bigint NOT NULL REFERENCES ops.raster ON DELETE CASCADE,
    layer text NOT NULL,
    run_id bigint NOT NULL,
    undone bigint NOT NULL,
    PRIMARY KEY (raster_id, layer)
);
COMMENT ON TABLE ops.raster_input IS 'How far each layer was known when a raster was made of it: its latest load, and how many were undone by then';

CREATE VIEW ops.raster_state AS
SELECT shown.layer AS raster, shown.sheet, shown.run_id, shown.path, shown.acquired, shown.pixel_x_m AS cell_m,
    shown.recipe, shown.loaded, i.layer, i.run_id AS known, coalesce(s.run_id, 0) AS latest,
    (i.run_id, i.undone) <> (coalesce(s.run_id, 0), coalesce(s.undone, 0)) AS outdated,
    (
        SELECT max(r.finished) FROM ops.run r
        WHERE r.layer = i.layer AND r.status = 'done'
            AND (r.kind = 'undo' OR r.kind IN ('load', 'edit') AND r.inserted + r.updated + r.removed > 0)
    ) AS changed
FROM (
    -- Of a sheet with several states only the one that is shown.
    SELECT DISTINCT ON (layer, sheet) * FROM ops.raster WHERE current
    ORDER BY layer, sheet, acquired DESC NULLS LAST, id DESC
) shown
JOIN ops.raster_input i ON i.raster_id = shown.id
LEFT JOIN ops.layer_state s ON s.layer = i.layer;
COMMENT ON VIEW ops.raster_state IS 'Rasters that are made of layers, and whether each layer has changed since';
