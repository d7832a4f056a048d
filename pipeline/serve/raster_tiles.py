"""Raster tiles from the served COG, as a pygeoapi tile provider.

Provider definition (``pipeline.derive.raster_collections`` writes it):

    type: tile
    name: pipeline.serve.raster_tiles.RasterTiles
    data: <layer id>
    options:
        home: <MAKAN_HOME>
        zoom: {min: 8, max: 21}
        schemes: [WebMercatorQuad, UTM39WGS84Quad]
        city: {srid: 32639, extent: [...]}   # which the grids follow from
        heights: [850.0, 1400.0] | null      # believable range: heights are drawn as a hillshade
        formats: {png: image/png, jpeg: image/jpeg, webp: image/webp, terrain-rgb: image/png}
        attribution: {fa: …, en: …}          # whose pictures they are
    format: {name: png, mimetype: image/png}

``get_tiles`` answers any of ``formats``; pygeoapi's own endpoint asks for ``format`` only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pygeoapi.models.provider.base import TileMatrixSetEnumType
from pygeoapi.provider.tile import BaseTileProvider, ProviderTileNotFoundError
from pyproj import CRS

from pipeline.derive.grids import PIXELS, Grid, Tile, offered
from pipeline.rasters.heights import CODINGS
from pipeline.rasters.past import When
from pipeline.serve import raster_draw, raster_image
from pipeline.serve.raster_draw import Heights
from pipeline.serve.raster_look import Look, looking
from pipeline.serve.raster_source import Source, refused

_TILE = "{tileMatrix}/{tileRow}/{tileCol}"
_GRID_LINK = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"


def draw(look: Look, grid: Grid, tile: Tile, form: str, heights: Heights) -> bytes | None:
    """One tile of 256 pixels, None where the raster has nothing."""
    size = (PIXELS, PIXELS)
    box, crs = grid.bounds(tile), CRS.from_epsg(grid.srid)
    if form in CODINGS:
        found = look.see(box, crs, size)
        if not found.known.any():
            return None
        bands = CODINGS[form](np.where(found.known, found.values[0], np.float32(np.nan)))
        return raster_image.lossless(bands)
    pixels, known = raster_draw.drawn(look, box, crs, size, heights)
    return raster_image.encode(pixels, known, form) if known.any() else None


class RasterTiles(BaseTileProvider):  # type: ignore[misc]
    """Tiles of one raster layer."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From the definition above; the COG is opened by each request."""
        super().__init__(provider_def)
        # The word in the link relation of OGC API Tiles (tilesets-map), by which clients find us.
        self.tile_type = "map"
        self.source = Source.of(provider_def)
        city = self.options["city"]
        self.grids = offered(city["srid"], tuple(city["extent"]))
        self.heights = raster_draw.believable(provider_def)

    def get_layer(self) -> str:
        """The layer's id."""
        return self.source.layer

    def get_fields(self) -> dict[str, Any]:
        """An image has no fields."""
        return {}

    def get_tiling_schemes(self) -> list[Any]:
        """The grids of the definition."""
        return [_scheme(self.grids[name]) for name in self.schemes]

    def get_tiles(
        self,
        layer: str | None = None,
        tileset: str | None = None,
        z: int | str | None = None,
        y: int | str | None = None,
        x: int | str | None = None,
        format_: str | None = None,
        when: When | None = None,
    ) -> bytes | None:
        """The image at a time, or now; None (an empty answer) where the raster has nothing.

        Raises ProviderTileNotFoundError (404) for a tile the grid does not have.
        """
        del layer
        form = format_ or self.format_type
        if form not in self.options.get("formats", {self.format_type}):
            raise refused(f"tiles are not offered as {form!r}")
        tile = self._place(tileset, z, y, x)
        if self.source.served() is None:
            return None
        with looking(self.source, when) as look:
            return draw(look, self.grids[str(tileset)], tile, form, self.heights)

    def _place(self, tileset: str | None, *indices: int | str | None) -> Tile:
        """A tile that the grid has."""
        try:
            tile = Tile(*(int(str(index)) for index in indices))
        except ValueError:
            raise ProviderTileNotFoundError from None
        limits = self.options["zoom"]
        grid = self.grids.get(str(tileset)) if tileset in self.schemes else None
        if grid is None or not limits["min"] <= tile.zoom <= limits["max"] or not grid.has(tile):
            raise ProviderTileNotFoundError
        return tile

    def get_tiles_service(
        self,
        baseurl: str | None = None,
        servicepath: str | None = None,
        dirpath: str | None = None,
        tile_type: str | None = None,
    ) -> dict[str, Any]:
        """Links of the list of tile sets."""
        del dirpath, tile_type
        address = servicepath or f"{baseurl}/{_TILE}?f={self.format_type}"
        title = "Image tiles"
        return {
            "links": [
                {"type": self.mimetype, "rel": "item", "title": title, "href": address},
            ]
        }

    def get_metadata(
        self,
        dataset: str,
        server_url: str,
        layer: str | None = None,
        tileset: str | None = None,
        metadata_format: str | None = None,
        title: str | None = None,
        description: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """The tile set: for a page, as TileJSON 3.0, or in the words of OGC API Tiles."""
        del layer
        if tileset not in self.schemes:
            raise ProviderTileNotFoundError
        here = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        texts = {"title": title, "description": description}
        form = (metadata_format or "json").lower()
        if form == "html":
            return self._page(dataset, here, texts)
        texts |= self._whose(more.get("language"))
        if form == "tilejson":
            return self._tilejson(here, texts)
        return self._ogc(server_url, here, texts)

    def _page(self, dataset: str, here: str, texts: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": dataset,
            "title": texts["title"],
            "tileset": here.rsplit("/", 1)[-1],
            "collections_path": f"{here}/{_TILE}?f={self.format_type}",
            "json_url": f"{here}?f=json",
            "tilejson_url": f"{here}?f=tilejson",
            "metadata": {f"{end}zoom": self.options["zoom"][end] for end in ("min", "max")},
        }

    def _whose(self, language: str | None) -> dict[str, Any]:
        """Whose pictures these are, and the first and last day on which they were taken."""
        names: dict[str, str] = self.options.get("attribution", {})
        found: dict[str, Any] = {}
        if names:
            found["attribution"] = names.get(language or "") or next(iter(names.values()))
        served = self.source.served()
        return found | ({"acquired": list(served.taken)} if served and served.taken else {})

    def _tilejson(self, here: str, texts: dict[str, Any]) -> dict[str, Any]:
        west, south, east, north = self._extent()
        grid = self.grids[here.rsplit("/", 1)[-1]]
        own = {} if grid.uri else {"crs": f"EPSG:{grid.srid}", "tileMatrixSet": grid.id}
        return {
            "tilejson": "3.0.0",
            "name": texts["title"],
            "description": texts["description"],
            **{name: texts[name] for name in ("attribution", "acquired") if name in texts},
            "scheme": "xyz",
            "tiles": [f"{here}/{{z}}/{{y}}/{{x}}?f={self.format_type}"],
            "minzoom": self.options["zoom"]["min"],
            "maxzoom": self.options["zoom"]["max"],
            "bounds": [west, south, east, north],
            "center": [(west + east) / 2, (south + north) / 2, self.options["zoom"]["min"]],
            **own,
        }

    def _ogc(self, server_url: str, here: str, texts: dict[str, Any]) -> dict[str, Any]:
        grid = _scheme(self.grids[here.rsplit("/", 1)[-1]])
        west, south, east, north = self._extent()
        scheme = f"{server_url}/TileMatrixSets/{grid.tileMatrixSet}?f=json"
        json = "application/json"
        return {
            **texts,
            "dataType": "map",
            "mediaTypes": list(
                self.options.get("formats", {self.mimetype: self.mimetype}).values()
            ),
            "crs": grid.crs,
            "tileMatrixSetURI": grid.tileMatrixSetURI
            or f"{server_url}/tileMatrixSets/{grid.tileMatrixSet}",
            "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north]},
            "links": [
                {"rel": "self", "type": json, "href": f"{here}?f=json"},
                {
                    "rel": "item",
                    "type": self.mimetype,
                    "href": f"{here}/{_TILE}?f={self.format_type}",
                    "templated": True,
                },
                {"rel": _GRID_LINK, "type": json, "href": scheme},
                {"rel": "describedby", "type": json, "href": f"{here}?f=tilejson"},
            ],
        }

    def _extent(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the raster; the world before the first load."""
        served = self.source.served()
        return served.lonlat if served else (-180.0, -85.0, 180.0, 85.0)

    def __repr__(self) -> str:
        return f"<RasterTiles> {self.data}"


def _scheme(grid: Grid) -> Any:
    """A grid as pygeoapi names the parts of one."""
    made = grid.definition()
    return TileMatrixSetEnumType(
        tileMatrixSet=grid.id,
        tileMatrixSetURI=grid.uri or "",
        crs=grid.crs_uri,
        title=grid.title,
        orderedAxes=made["orderedAxes"],
        wellKnownScaleSet=grid.scales or "",
        tileMatrices=made["tileMatrices"],
    )
