"""Requests through pygeoapi's own code: status, media type, no 500 for a client's mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from affine import Affine
from pygeoapi.api import API, APIRequest, environmental_data_retrieval, tiles
from pygeoapi.api.collection import gen_collection
from starlette.requests import Request

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.derive import raster_collections
from pipeline.rasters.cog import Cog
from pipeline.rasters.inspect import Inspection

Make = Callable[..., Path]
Convert = Callable[..., tuple[Inspection, Cog]]
Serve = Callable[[Cog, RasterContract, City], Path]
Answer = tuple[dict[str, str], int, Any]
EAST, NORTH = 488_600.0, 3_833_000.0
UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"


def _config(contracts: list[RasterContract], city: City, home: Path) -> dict[str, Any]:
    text = {"en": "a", "fa": "الف"}
    place = {"name": "a", "url": "http://localhost"}
    resources = {
        contract.collection: {
            "type": "collection",
            "title": contract.title.model_dump(),
            "description": contract.description.model_dump(),
            "keywords": {"en": ["a"]},
            "links": [],
            "extents": {"spatial": {"bbox": list(raster_collections.extent(home, contract) or ())}},
            "providers": raster_collections.providers(contract, city, home),
        }
        for contract in contracts
    }
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": 5000},
            "url": "http://localhost:5000",
            "mimetype": "application/json",
            "encoding": "utf-8",
            "languages": ["en", "fa"],
            "map": {"url": "http://localhost", "attribution": "a"},
        },
        "logging": {"level": "CRITICAL"},
        "metadata": {
            "identification": {
                "title": text,
                "description": text,
                "keywords": {"en": ["a"]},
                "keywords_type": "theme",
                "terms_of_service": "a",
                "url": "http://localhost",
            },
            "license": place,
            "provider": place,
            "contact": {"name": "a"},
        },
        "resources": resources,
    }


@pytest.fixture
def api(
    make: Make,
    convert: Convert,
    serve: Serve,
    orthophoto: RasterContract,
    terrain: RasterContract,
    qom: City,
    colors: Any,
    plane: Any,
) -> API:
    """pygeoapi over an orthophoto and the plane of heights."""
    serve(convert(make("o.tif", colors), orthophoto, qom)[1], orthophoto, qom)
    path = make("d.tif", plane, transform=Affine(5, 0, EAST, 0, -5, NORTH))
    home = serve(convert(path, terrain, qom)[1], terrain, qom)
    return API(_config([orthophoto, terrain], qom, home), {})


def asking(api: API, query: str) -> APIRequest:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": query.encode(),
        "headers": [],
    }
    return APIRequest(Request(scope), api.locales)


def test_collections_are_described(
    api: API, orthophoto: RasterContract, terrain: RasterContract
) -> None:
    request = asking(api, "f=json")
    heights = gen_collection(api, request, terrain.collection, request.locale)
    grid = heights["extent"]["spatial"]["grid"]
    assert grid == [{"cellsCount": 80, "resolution": 5.0}, {"cellsCount": 60, "resolution": 5.0}]
    assert set(heights["data_queries"]) == {"position", "trajectory"}
    (band,) = terrain.bands
    assert heights["parameter_names"][band]["unit"]["symbol"]["value"] == "m"
    picture = gen_collection(api, request, orthophoto.collection, request.locale)
    relations = {link["rel"].rsplit("/", 1)[-1] for link in picture["links"]}
    assert {"tilesets-map", "map"} <= relations
    assert "items" not in relations


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("f=json&coords=POINT(50.8762 34.6365)", 200),
        (f"f=json&coords=POINT(488650 3832800)&crs={UTM}", 200),
        ("f=json&coords=POINT(10 10)", 204),
        ("f=json&coords=POINT(1", 400),
        ("f=json&coords=LINESTRING(1 1,2 2)", 400),
        ("f=json", 400),
        ("f=json&coords=POINT(50.8762 34.6365)&crs=none", 400),
        ("f=json&coords=POINT(50.8762 34.6365)&parameter-name=none", 400),
    ],
)
def test_positions(api: API, terrain: RasterContract, query: str, status: int) -> None:
    _, got, content = environmental_data_retrieval.get_collection_edr_query(
        api, asking(api, query), terrain.collection, None, "position"
    )
    assert got == status, content
    if UTM in query:
        ranges = orjson.loads(content)["ranges"]
        assert [found["values"] for found in ranges.values()] == [[900.5]]


@pytest.mark.parametrize(
    ("place", "status"),
    [
        (("WebMercatorQuad", "16", "26039", "42029"), 200),
        (("WebMercatorQuad", "16", "1", "1"), 204),
        (("WebMercatorQuad", "30", "1", "1"), 404),
        (("WebMercatorQuad", "x", "1", "1"), 404),
        (("Other", "16", "1", "1"), 404),
    ],
)
def test_tiles(api: API, orthophoto: RasterContract, place: tuple[str, ...], status: int) -> None:
    headers, got, content = tiles.get_collection_tiles_data(
        api, asking(api, "f=png"), orthophoto.collection, *place
    )
    assert got == status
    if status == 200:
        assert headers["Content-Type"] == "image/png"
        assert bytes(content).startswith(b"\x89PNG")


def test_tile_sets(api: API, orthophoto: RasterContract) -> None:
    _, status, content = tiles.get_collection_tiles(
        api, asking(api, "f=json"), orthophoto.collection
    )
    assert status == 200
    assert orjson.loads(content)["tilesets"][0]["dataType"] == "map"
    for form in ("json", "tilejson"):
        _, status, content = tiles.get_collection_tiles_metadata(
            api, asking(api, f"f={form}"), orthophoto.collection, "WebMercatorQuad"
        )
        assert status == 200
        assert np.isfinite(orjson.loads(content).get("bounds", [0])).all()
