-- name: styles
-- The table in which QGIS looks for styles of the layers of a file.
CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT, f_table_schema TEXT, f_table_name TEXT, f_geometry_column TEXT,
    styleName TEXT, styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT, ui TEXT,
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)

-- name: styles_known
INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')

-- name: add_style
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, useAsDefault)
VALUES ('', '', ?, ?, ?, ?, 1)

-- name: tiles
-- MBTiles 1.3: rows are counted from the south.
CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB, PRIMARY KEY (zoom_level, tile_column, tile_row))

-- name: metadata
CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT)

-- name: add_tile
INSERT INTO tiles VALUES (?, ?, ?, ?)

-- name: add_metadata
INSERT INTO metadata VALUES (?, ?)

-- name: box
-- The box of one area in the city's CRS, in web mercator and in degrees, east before north, and whether there is such an area.
SELECT ST_XMin(c), ST_YMin(c), ST_XMax(c), ST_YMax(c), ST_XMin(w), ST_YMin(w), ST_XMax(w), ST_YMax(w), ST_XMin(d), ST_YMin(d), ST_XMax(d), ST_YMax(d)
FROM (SELECT a.{geom} AS c, ST_Transform(a.{geom}, 3857) AS w, ST_Transform(a.{geom}, 4326) AS d FROM {view} AS a WHERE a.{key}::text = %(value)s) AS found

-- name: keys
-- Some of the areas that there are.
SELECT a.{key}::text FROM {view} AS a ORDER BY length(a.{key}::text), a.{key}::text LIMIT 20

-- name: loaded
-- When each layer was last written, and by which run.
SELECT layer, max(run), max(loaded) FROM {view} GROUP BY layer
