-- A sheet may be in force as it was on several days; one state a day.

DROP INDEX ops.ix_raster_current_sheet;
CREATE UNIQUE INDEX ix_raster_current_sheet
    ON ops.raster (layer, sheet, coalesce(acquired, '-infinity'::date)) WHERE current;
