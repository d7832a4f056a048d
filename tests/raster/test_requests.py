"""Requests through pygeoapi's own code: status, media type, no 500 for a client's mistake."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from affine import Affine
from PIL import Image
from pygeoapi.api import API, APIRequest, environmental_data_retrieval, tiles
from pygeoapi.api.collection import gen_collection
from pyproj import Transformer
from rasterio.io import MemoryFile
from starlette.requests import Request

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.derive import raster_collections
from pipeline.rasters.cog import Cog
from pipeline.rasters.inspect import Inspection
from pipeline.serve import raster_api
from pipeline.serve.raster_source import crs_of

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
    ("query", "status", "media_type"),
    [
        ("f=json", 200, "application/prs.coverage+json"),
        ("f=GTiff", 200, "image/tiff; application=geotiff"),
        ("f=json&scale-factor=2", 200, "application/prs.coverage+json"),
        (f"f=json&bbox=488640,3832800,488660,3832820&bbox-crs={UTM}", 200, None),
        ("f=json&bbox=10,10,11,11", 204, None),
        ("f=tif", 400, None),
        ("f=json&bbox=1,2,3", 400, None),
        ("f=json&bbox=a,b,c,d", 400, None),
        ("f=json&bbox=5,5,4,4", 400, None),
        ("f=json&bbox=1,2,3,4&bbox-crs=x", 400, None),
        ("f=json&scale-factor=x", 400, None),
        ("f=json&scale-size=x(9000),y(9000)", 413, None),
        ("f=json&subset=Q(1:2)", 400, None),
        ("f=json&subset=Lon(50.87:50.88),E(1:2)", 400, None),
        ("f=json&crs=http://www.opengis.net/def/crs/EPSG/0/2249", 400, None),
        ("f=json&crs=none", 400, None),
        ("f=GTiff&crs=http://www.opengis.net/def/crs/EPSG/0/3857", 200, None),
        ("f=json&subset=E(1", 400, None),
        ("f=json&properties=none", 400, None),
    ],
)
def test_coverage(
    api: API, terrain: RasterContract, query: str, status: int, media_type: str | None
) -> None:
    request = asking(api, query)
    headers, got, content = raster_api.get_collection_coverage(api, request, terrain.collection)
    assert got == status, content
    if media_type:
        assert headers["Content-Type"] == media_type
    if status == 413:
        assert "scale-factor" in content


@pytest.mark.parametrize("asked", ["OGC/1.3/CRS84", "EPSG/0/4326", "EPSG/0/3857"])
def test_a_coverage_in_another_crs_has_the_same_heights(
    api: API, terrain: RasterContract, asked: str
) -> None:
    uri = f"http://www.opengis.net/def/crs/{asked}"
    box = f"bbox=488650,3832800,488800,3832900&bbox-crs={UTM}"
    found = {}
    for form in ("json", "GTiff"):
        _, status, content = raster_api.get_collection_coverage(
            api, asking(api, f"f={form}&crs={uri}&{box}"), terrain.collection
        )
        assert status == 200, content
        found[form] = content
    coverage = orjson.loads(found["json"])
    (reference,) = coverage["domain"]["referencing"]
    assert reference["system"]["id"] == uri
    assert reference["coordinates"] == (["y", "x"] if "4326" in asked else ["x", "y"])
    axes, heights = coverage["domain"]["axes"], coverage["ranges"]["height"]
    x = np.linspace(axes["x"]["start"], axes["x"]["stop"], axes["x"]["num"])
    y = np.linspace(axes["y"]["start"], axes["y"]["stop"], axes["y"]["num"])
    move = Transformer.from_crs(crs_of(uri), "EPSG:32639", always_xy=True)
    east, _ = move.transform(*np.meshgrid(x, y))
    values = np.array(heights["values"], dtype=float).reshape(heights["shape"])
    assert np.abs(values - (900 + 0.01 * (east - 488_600))).max() < 0.02
    assert east.min() < 488_655
    assert east.max() > 488_795
    with MemoryFile(found["GTiff"]) as memory, memory.open() as made:
        assert made.read(1) == pytest.approx(values, abs=1e-3)
        assert made.transform @ (0.5, 0.5) == pytest.approx((x[0], y[0]))


def test_a_subset_in_degrees_is_the_box_in_degrees(api: API, terrain: RasterContract) -> None:
    move = Transformer.from_crs("EPSG:32639", "OGC:CRS84", always_xy=True)
    west, south, east, north = move.transform_bounds(488_650, 3_832_800, 488_800, 3_832_900)
    answers = []
    for query in (
        f"bbox={west},{south},{east},{north}",
        f"subset=Lon({west}:{east}),Lat({south}:{north})",
    ):
        _, status, content = raster_api.get_collection_coverage(
            api, asking(api, f"f=json&{query}"), terrain.collection
        )
        assert status == 200, content
        answers.append(orjson.loads(content)["domain"]["axes"])
    assert answers[0] == answers[1]


def test_a_map_is_not_stretched_where_a_side_is_not_given(
    api: API, terrain: RasterContract
) -> None:
    box = f"bbox=488600,3832800,488900,3833000&bbox-crs={UTM}&crs={UTM}"
    for given, size in (
        ("", (800, 533)), ("&width=300", (300, 200)), ("&height=100", (150, 100)),
        ("&width=64&height=64", (64, 64)),
    ):  # fmt: skip
        _, status, content = raster_api.get_collection_map(
            api, asking(api, f"f=png&{box}{given}"), terrain.collection
        )
        assert status == 200
        assert Image.open(BytesIO(content)).size == size


def test_a_scaled_coverage_has_fewer_values(api: API, terrain: RasterContract) -> None:
    answers = []
    for query in ("f=json", "f=json&scale-factor=2", "f=json&scale-size=x(8),y(6)"):
        _, _, content = raster_api.get_collection_coverage(
            api, asking(api, query), terrain.collection
        )
        axes = orjson.loads(content)["domain"]["axes"]
        answers.append((axes["x"]["num"], axes["y"]["num"]))
    assert answers == [(80, 60), (40, 30), (8, 6)]


@pytest.mark.parametrize(
    ("query", "status", "media_type"),
    [
        ("", 200, "image/png"),
        ("f=png&width=64&height=48", 200, "image/png"),
        ("f=jpeg&width=64&height=48", 200, "image/jpeg"),
        (f"bbox=488600,3832760,488920,3833000&bbox-crs={UTM}&crs={UTM}", 200, "image/png"),
        ("f=gif", 400, None),
        ("width=x", 400, None),
        ("width=0", 400, None),
        ("width=99999&height=99999", 413, None),
        ("bbox=1,2,3", 400, None),
    ],
)
@pytest.mark.parametrize("kind", ["orthophoto", "terrain"])
def test_maps(
    api: API,
    request: pytest.FixtureRequest,
    kind: str,
    query: str,
    status: int,
    media_type: str | None,
) -> None:
    contract: RasterContract = request.getfixturevalue(kind)
    headers, got, content = raster_api.get_collection_map(
        api, asking(api, query), contract.collection
    )
    assert got == status
    if media_type:
        assert headers["Content-Type"] == media_type
        assert isinstance(content, bytes)


def test_the_configuration_stays_as_it_was(api: API, orthophoto: RasterContract) -> None:
    before = orjson.dumps(api.config, default=str)
    raster_api.get_collection_map(api, asking(api, "f=jpeg"), orthophoto.collection)
    assert orjson.dumps(api.config, default=str) == before


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
