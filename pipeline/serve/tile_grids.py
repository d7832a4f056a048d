"""Documents about the grids of tiles: ours, and those that rasters have of pygeoapi."""

from __future__ import annotations

from typing import Any

from pygeoapi.models.provider.base import TileMatrixSetEnum
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import grids
from pipeline.serve.answers import site_of
from pipeline.serve.documents import Kind, View, document
from pipeline.serve.errors import missing
from pipeline.serve.site import Site


async def tile_grids(request: Request) -> Response:
    """GET /TileMatrixSets."""
    return await document(request, Kind("tilematrixsets/index.html"), _tile_grids)


def _grids(site: Site) -> dict[str, dict[str, Any]]:
    """The grids in use by name: ours, and those that rasters have of pygeoapi."""
    used = {
        scheme
        for resource in site.config["resources"].values()
        for provider in resource["providers"]
        for scheme in provider.get("options", {}).get("schemes", ())
    }
    ours = {name: grid.definition() for name, grid in grids.of(site.schemas.city).items()}
    theirs = {
        kind.value.tileMatrixSet: {
            "id": kind.value.tileMatrixSet,
            "title": kind.value.title,
            "uri": kind.value.tileMatrixSetURI,
            "crs": kind.value.crs,
            "orderedAxes": kind.value.orderedAxes,
            "wellKnownScaleSet": kind.value.wellKnownScaleSet,
            "tileMatrices": kind.value.tileMatrices,
        }
        for kind in TileMatrixSetEnum
    }
    return {name: grid for name, grid in (theirs | ours).items() if name in used}


def _tile_grids(view: View) -> dict[str, Any]:
    listed = [
        {
            "id": name,
            "title": grid["title"],
            **({"uri": grid["uri"]} if "uri" in grid else {}),
            "crs": grid["crs"],
            "links": view.links(f"/TileMatrixSets/{name}"),
        }
        for name, grid in _grids(view.site).items()
    ]
    return {"tileMatrixSets": listed, "links": view.links("/TileMatrixSets")}


async def tile_grid(request: Request) -> Response:
    """GET /TileMatrixSets/{id}."""
    name = request.path_params["grid_id"]
    if name not in _grids(site_of(request)):
        raise missing(f"there is no tile grid {name!r}")

    def make(view: View) -> dict[str, Any]:
        return _grids(view.site)[name]

    return await document(request, Kind("tilematrixsets/tilematrixset.html"), make)
