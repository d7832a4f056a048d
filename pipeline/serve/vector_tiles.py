"""The vector tile provider that pygeoapi's own code describes tile sets with."""

from __future__ import annotations

from typing import Any

from pygeoapi.models.provider.base import TileMatrixSetEnum
from pygeoapi.provider.base_mvt import BaseMVTProvider

from pipeline.derive import jsonschema
from pipeline.serve import mvt, site
from pipeline.serve.served import Served

_TILE = "{tileMatrix}/{tileRow}/{tileCol}"


class VectorTiles(BaseMVTProvider):  # type: ignore[misc]
    """Tile sets of one layer; ``data`` in the configuration is the layer's id.

    The tiles themselves are answered by ``tiles`` without a thread or a plugin in between.
    """

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From pygeoapi's definition; the contract says the rest."""
        super().__init__(provider_def)
        self._site = site.current()
        layer = self._site.schemas.layer(self.data)
        self._served: Served = self._site.served[layer.publish.collection]

    def get_layer(self) -> str:
        """The name of the layer inside the tiles: the collection's id."""
        return self._served.id

    def get_fields(self) -> dict[str, Any]:
        """The fields that tiles carry."""
        return self._fields_in(self._site.languages[0])

    def _fields_in(self, language: str) -> dict[str, Any]:
        return {
            name: jsonschema.field_schema(self._site.schemas, self._served.fields[name], language)
            for name in self._served.tile_fields
        }

    def get_tiling_schemes(self) -> list[Any]:
        """The one grid we serve."""
        return [kind.value for kind in TileMatrixSetEnum if kind.value.tileMatrixSet == mvt.GRID]

    def _address(self, grid: str) -> str:
        base = f"{self._site.base}/collections/{self._served.id}/tiles"
        return f"{base}/{grid}/{_TILE}?f={self.format_type}"

    def get_tiles_service(
        self,
        baseurl: str | None = None,
        servicepath: str | None = None,
        dirpath: str | None = None,
        tile_type: str | None = None,
    ) -> dict[str, Any]:
        """Links of the list of tile sets."""
        del baseurl, servicepath, dirpath, tile_type
        item = self._address("{tileMatrixSetId}")
        return {
            "links": [
                {"type": self.mimetype, "rel": "item", "title": "Vector tiles", "href": item},
                {
                    "type": "application/json",
                    "rel": "describedby",
                    "title": "TileJSON",
                    "href": self._tilejson_address(),
                },
            ]
        }

    def _tilejson_address(self) -> str:
        return f"{self._site.base}/collections/{self._served.id}/tiles/{mvt.GRID}?f=tilejson"

    def get_html_metadata(
        self, dataset: str, server_url: str, _layer: str, tileset: str, *texts: Any, language: str
    ) -> dict[str, Any]:
        """What the page about a tile set shows."""
        here = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        return {
            "id": dataset,
            "title": texts[0],
            "tileset": tileset,
            "collections_path": self._address(tileset),
            "json_url": f"{here}?f=json",
            "tilejson_url": f"{here}?f=tilejson",
            "metadata": {
                key: self.tilejson(texts[0], texts[1], language)[key]
                for key in ("minzoom", "maxzoom")
            },
        }

    def get_default_metadata(
        self, dataset: str, server_url: str, _layer: str, tileset: str, *texts: Any, language: str
    ) -> dict[str, Any]:
        """The tile set in the words of OGC API Tiles."""
        (grid,) = self.get_tiling_schemes()
        here = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        west, south, east, north = self._extent()
        return {
            "title": texts[0],
            "description": texts[1],
            "dataType": "vector",
            "mediaTypes": [self.mimetype],
            "crs": grid.crs,
            "tileMatrixSetURI": grid.tileMatrixSetURI,
            "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north]},
            "layers": [self._layer(language)],
            "links": [
                {"rel": "self", "type": "application/json", "href": f"{here}?f=json"},
                {"rel": "item", "type": self.mimetype, "href": self._address(tileset)},
                {
                    "rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme",
                    "type": "application/json",
                    "href": f"{server_url}/TileMatrixSets/{tileset}?f=json",
                },
                {"rel": "describedby", "type": "application/json", "href": f"{here}?f=tilejson"},
            ],
        }

    def get_vendor_metadata(self, *given: Any, language: str) -> dict[str, Any]:
        """The tile set as TileJSON 3.0, which MapLibre and QGIS read."""
        title, description = given[4:6]
        return self.tilejson(title, description, language)

    def tilejson(self, title: str, description: str, language: str) -> dict[str, Any]:
        """TileJSON 3.0 of the layer."""
        zoom = self._served.layer.publish
        west, south, east, north = self._extent()
        address = self._address(mvt.GRID).replace(_TILE, "{z}/{y}/{x}")
        return {
            "tilejson": "3.0.0",
            "name": title,
            "description": description,
            "scheme": "xyz",
            "tiles": [address],
            "minzoom": zoom.min_zoom,
            "maxzoom": zoom.max_zoom,
            "bounds": [west, south, east, north],
            "center": [(west + east) / 2, (south + north) / 2, zoom.min_zoom],
            "vector_layers": [
                {
                    "id": self._served.id,
                    "description": description,
                    "minzoom": zoom.min_zoom,
                    "maxzoom": zoom.max_zoom,
                    "fields": {
                        name: str(found["title"])
                        for name, found in self._fields_in(language).items()
                    },
                }
            ],
        }

    def _extent(self) -> tuple[float, float, float, float]:
        west, south, east, north = self._site.config["resources"][self._served.id]["extents"][
            "spatial"
        ]["bbox"]
        return (west, south, east, north)

    def _layer(self, language: str) -> dict[str, Any]:
        geometry = self._served.layer.geometry
        kind = geometry.type.removeprefix("Multi") if geometry else "Point"
        kinds = {"Point": 0, "LineString": 1, "Polygon": 2}
        zoom = self._served.layer.publish
        return {
            "id": self._served.id,
            "dataType": "vector",
            "geometryDimension": kinds[kind],
            "minTileMatrix": str(zoom.min_zoom),
            "maxTileMatrix": str(zoom.max_zoom),
            "propertiesSchema": {"type": "object", "properties": self._fields_in(language)},
        }

    def __repr__(self) -> str:
        return f"<VectorTiles> {self.data}"
