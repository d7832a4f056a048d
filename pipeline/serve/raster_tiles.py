"""Raster tiles from the served COG, as a pygeoapi tile provider.

Provider definition (``pipeline.derive.raster_collections`` writes it):

    type: tile
    name: pipeline.serve.raster_tiles.RasterTiles
    data: <layer id>
    options:
        home: <MAKAN_HOME>
        zoom: {min: 8, max: 21}
        schemes: [WebMercatorQuad]
        formats: {png: image/png, jpeg: image/jpeg, webp: image/webp}
    format: {name: png, mimetype: image/png}

``get_tiles`` answers any of ``formats``; pygeoapi's own endpoint asks for ``format`` only.
"""

from __future__ import annotations

from typing import Any

from pygeoapi.models.provider.base import TileMatrixSetEnum
from pygeoapi.provider.tile import BaseTileProvider, ProviderTileNotFoundError
from pyproj import CRS

from pipeline.serve import raster_image
from pipeline.serve.raster_source import Dataset, Source, refused
from pipeline.serve.raster_view import view

_TILE = "{tileMatrix}/{tileRow}/{tileCol}"
_PIXELS = 256
_EDGE = 20037508.342789244  # of the world in Web Mercator
_WEB_MERCATOR = CRS.from_epsg(3857)
_GRID_LINK = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"


def draw(dataset: Dataset, zoom: int, row: int, column: int, form: str) -> bytes | None:
    """One WebMercatorQuad tile of 256 pixels, None where the raster has nothing."""
    side = 2 * _EDGE / 2**zoom
    west, north = column * side - _EDGE, _EDGE - row * side
    box = (west, north - side, west + side, north)
    found = view(dataset, box, _WEB_MERCATOR, (_PIXELS, _PIXELS))
    if not found.known.any():
        return None
    return raster_image.encode(found.values, found.known, form)


class RasterTiles(BaseTileProvider):  # type: ignore[misc]
    """Tiles of one raster layer."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From the definition above; the COG is opened by each request."""
        super().__init__(provider_def)
        # The word in the link relation of OGC API Tiles (tilesets-map), by which clients find us.
        self.tile_type = "map"
        self.source = Source.of(provider_def)

    def get_layer(self) -> str:
        """The layer's id."""
        return self.source.layer

    def get_fields(self) -> dict[str, Any]:
        """An image has no fields."""
        return {}

    def get_tiling_schemes(self) -> list[Any]:
        """The grids of the definition."""
        grids = (kind.value for kind in TileMatrixSetEnum)
        return [grid for grid in grids if grid.tileMatrixSet in self.schemes]

    def get_tiles(
        self,
        layer: str | None = None,
        tileset: str | None = None,
        z: int | str | None = None,
        y: int | str | None = None,
        x: int | str | None = None,
        format_: str | None = None,
    ) -> bytes | None:
        """The image, None (an empty answer) where the raster has nothing.

        Raises ProviderTileNotFoundError (404) for a tile the grid does not have.
        """
        del layer
        form = format_ or self.format_type
        if form not in self.options.get("formats", {self.format_type}):
            raise refused(f"tiles are not offered as {form!r}")
        zoom, row, column = self._place(tileset, z, y, x)
        if self.source.served() is None:
            return None
        with self.source.opened() as dataset:
            return draw(dataset, zoom, row, column, form)

    def _place(self, tileset: str | None, *indices: int | str | None) -> tuple[int, int, int]:
        """Zoom, row and column as numbers that the grid has."""
        try:
            zoom, row, column = (int(str(index)) for index in indices)
        except ValueError:
            raise ProviderTileNotFoundError from None
        limits = self.options["zoom"]
        width = 2**zoom if 0 <= zoom <= limits["max"] else 0
        inside = 0 <= row < width and 0 <= column < width
        if tileset not in self.schemes or not inside or zoom < limits["min"]:
            raise ProviderTileNotFoundError
        return zoom, row, column

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
        del layer, more
        if tileset not in self.schemes:
            raise ProviderTileNotFoundError
        here = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        texts = {"title": title, "description": description}
        form = (metadata_format or "json").lower()
        if form == "html":
            return self._page(dataset, here, texts)
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

    def _tilejson(self, here: str, texts: dict[str, Any]) -> dict[str, Any]:
        west, south, east, north = self._extent()
        return {
            "tilejson": "3.0.0",
            "name": texts["title"],
            "description": texts["description"],
            "scheme": "xyz",
            "tiles": [f"{here}/{{z}}/{{y}}/{{x}}?f={self.format_type}"],
            "minzoom": self.options["zoom"]["min"],
            "maxzoom": self.options["zoom"]["max"],
            "bounds": [west, south, east, north],
            "center": [(west + east) / 2, (south + north) / 2, self.options["zoom"]["min"]],
        }

    def _ogc(self, server_url: str, here: str, texts: dict[str, Any]) -> dict[str, Any]:
        (grid,) = [g for g in self.get_tiling_schemes() if here.endswith(f"/{g.tileMatrixSet}")]
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
            "tileMatrixSetURI": grid.tileMatrixSetURI,
            "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north]},
            "links": [
                {"rel": "self", "type": json, "href": f"{here}?f=json"},
                {
                    "rel": "item",
                    "type": self.mimetype,
                    "href": f"{here}/{_TILE}?f={self.format_type}",
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
