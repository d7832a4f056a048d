"""The providers: right colours and heights at the right place, bounded answers, clear refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pygeoapi.crs import create_crs_transform_spec
from pygeoapi.provider.base import (
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
    ProviderNoDataError,
    ProviderRequestEntityTooLargeError,
)
from pygeoapi.provider.tile import ProviderTileNotFoundError
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.derive import raster_collections
from pipeline.rasters.cog import Cog
from pipeline.rasters.inspect import Inspection
from pipeline.serve import raster_api, raster_map
from pipeline.serve.coverage import RasterCoverage
from pipeline.serve.coverage_part import SCALING, Scaling
from pipeline.serve.position import RasterPosition
from pipeline.serve.raster_map import RasterMap
from pipeline.serve.raster_source import Source, crs_of
from pipeline.serve.raster_tiles import RasterTiles

Make = Callable[..., Path]
Convert = Callable[..., tuple[Inspection, Cog]]
Serve = Callable[[Cog, RasterContract, City], Path]
EAST, NORTH, PIXEL = 488_600.0, 3_833_000.0, 0.2
# The red target: 12 x 12 pixels, on even pixels, where JPEG keeps colours (4:2:0) whole.
ROW, COLUMN, SIDE = 700, 900, 12
EDGE = 20037508.342789244
UTM, MERCATOR, WGS84 = (
    f"http://www.opengis.net/def/crs/EPSG/0/{code}" for code in (32639, 3857, 4326)
)


def definition(contract: RasterContract, city: City, home: Path, kind: str) -> dict[str, Any]:
    found = raster_collections.providers(contract, city, home)
    return next(provider for provider in found if provider["type"] == kind)


def decoded(content: bytes) -> Any:
    """The bands of an image file."""
    with (
        pytest.warns(NotGeoreferencedWarning),
        MemoryFile(content) as memory,
        memory.open() as dataset,
    ):
        return dataset.read()


@pytest.fixture
def picture(
    make: Make, convert: Convert, serve: Serve, orthophoto: RasterContract, qom: City
) -> Path:
    """A home with a grey-green orthophoto, its upper left corner masked, with the red target."""
    values = np.empty((3, 1100, 1300), np.uint8)
    values[:] = np.array([120, 140, 120], np.uint8)[:, None, None]
    values[:, ROW : ROW + SIDE, COLUMN : COLUMN + SIDE] = np.array([255, 0, 0])[:, None, None]
    mask = np.where(np.add.outer(np.arange(1100), np.arange(1300)) < 400, 0, 255).astype(np.uint8)
    path = make("a.tif", values, mask, transform=Affine(PIXEL, 0, EAST, 0, -PIXEL, NORTH))
    return serve(convert(path, orthophoto, qom)[1], orthophoto, qom)


@pytest.fixture
def ground(
    make: Make, convert: Convert, serve: Serve, terrain: RasterContract, qom: City, plane: Any
) -> Path:
    """A home with the plane 900 + 0.01 (E - 488600), without a height in its upper left corner."""
    heights = plane.copy()
    heights[0, :10, :10] = -9999
    path = make("a.tif", heights, nodata=-9999.0, transform=Affine(5, 0, EAST, 0, -5, NORTH))
    return serve(convert(path, terrain, qom)[1], terrain, qom)


def target() -> tuple[float, float]:
    """The middle of the red target in Web Mercator."""
    middle = (EAST + (COLUMN + SIDE / 2) * PIXEL, NORTH - (ROW + SIDE / 2) * PIXEL)
    return Transformer.from_crs(32639, 3857, always_xy=True).transform(*middle)


def redness(bands: Any) -> Any:
    """How red each pixel is, 0 where not at all."""
    colors = bands[:3].astype(float)
    return np.clip(colors[0] - np.maximum(colors[1], colors[2]) - 20, 0, None)


def centroid(weights: Any) -> tuple[float, float]:
    """Column and row of the middle of ``weights``, in pixels from the upper left corner."""
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return (
        float((weights * columns).sum() / weights.sum()),
        float((weights * rows).sum() / weights.sum()),
    )


@pytest.mark.parametrize("zoom", [17, 18, 19, 20, 21])
@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_a_target_is_within_a_pixel_of_where_it_is(
    picture: Path, orthophoto: RasterContract, qom: City, zoom: int, form: str
) -> None:
    x, y = target()
    side = 2 * EDGE / 2**zoom
    column, row = (x + EDGE) / side, (EDGE - y) / side
    tiles = RasterTiles(definition(orthophoto, qom, picture, "tile"))
    place = {"z": str(zoom), "y": str(int(row)), "x": str(int(column))}
    content = tiles.get_tiles(tileset="WebMercatorQuad", format_=form, **place)
    assert content is not None
    bands = decoded(content)
    assert bands.shape[1:] == (256, 256)
    found = centroid(redness(bands))
    expected = (column % 1 * 256, row % 1 * 256)
    assert found == pytest.approx(expected, abs=0.3 if form == "png" else 0.6)
    if zoom >= 19:
        color = bands[:3, int(expected[1]), int(expected[0])].astype(int)
        assert np.abs(color - [255, 0, 0]).max() < 25


def test_the_mask_is_transparent_and_has_no_dark_fringe(
    picture: Path, orthophoto: RasterContract, qom: City
) -> None:
    tiles = RasterTiles(definition(orthophoto, qom, picture, "tile"))
    x, y = Transformer.from_crs(32639, 3857, always_xy=True).transform(EAST + 20, NORTH - 20)
    side = 2 * EDGE / 2**18
    place = {"z": 18, "y": int((EDGE - y) / side), "x": int((x + EDGE) / side)}
    content = tiles.get_tiles(tileset="WebMercatorQuad", **place)
    assert content is not None
    bands = decoded(content)
    alpha = bands[3]
    assert set(np.unique(alpha)) == {0, 255}
    seen = bands[:3, alpha == 255].astype(int)
    assert np.abs(seen - np.array([[120], [140], [120]])).max() < 30
    paper = decoded(tiles.get_tiles(tileset="WebMercatorQuad", format_="jpeg", **place) or b"")
    assert len(paper) == 3
    assert paper[:, alpha == 0].min() > 200


def test_tiles_beyond_are_empty_or_missing(
    picture: Path, orthophoto: RasterContract, qom: City
) -> None:
    tiles = RasterTiles(definition(orthophoto, qom, picture, "tile"))
    grid = {"tileset": "WebMercatorQuad"}
    assert tiles.get_tiles(**grid, z=17, y=1, x=1) is None
    for place in (
        {"z": orthophoto.max_zoom + 1, "y": 0, "x": 0},
        {"z": orthophoto.min_zoom - 1, "y": 0, "x": 0},
        {"z": 10, "y": 1024, "x": 0},
        {"z": 10, "y": -1, "x": 0},
        {"z": "a", "y": 0, "x": 0},
        {"z": None, "y": 0, "x": 0},
        {"z": 10**6, "y": 0, "x": 0},
    ):
        with pytest.raises(ProviderTileNotFoundError):
            tiles.get_tiles(**grid, **place)
    with pytest.raises(ProviderTileNotFoundError):
        tiles.get_tiles(tileset="Other", z=17, y=0, x=0)
    with pytest.raises(ProviderInvalidQueryError):
        tiles.get_tiles(**grid, z=17, y=0, x=0, format_="gif")


def test_tile_sets_describe_themselves(
    picture: Path, orthophoto: RasterContract, qom: City
) -> None:
    tiles = RasterTiles(definition(orthophoto, qom, picture, "tile"))
    about = {"dataset": "o", "server_url": "http://x", "tileset": "WebMercatorQuad"}
    tilejson = tiles.get_metadata(**about, metadata_format="tilejson", title="t", description="d")
    assert tilejson["tiles"] == ["http://x/collections/o/tiles/WebMercatorQuad/{z}/{y}/{x}?f=png"]
    west, south, east, north = tilejson["bounds"]
    assert west < 50.8757 < east
    assert south < 34.638 < north
    described = tiles.get_metadata(**about, title="t", description="d")
    assert described["dataType"] == "map"
    assert described["crs"] == MERCATOR
    assert tiles.get_metadata(**about, metadata_format="html")["metadata"]["maxzoom"] == 21


@pytest.mark.parametrize("crs", [UTM, MERCATOR, WGS84])
def test_a_map_shows_the_target_where_it_is(
    picture: Path, orthophoto: RasterContract, qom: City, crs: str
) -> None:
    maps = RasterMap(definition(orthophoto, qom, picture, "map"))
    to_crs = Transformer.from_crs(3857, crs_of(crs), always_xy=True)
    x, y = to_crs.transform(*target())
    reach = (30, 24) if crs != WGS84 else (30 / 91_700, 24 / 110_900)
    box = [x - reach[0], y - reach[1], x + reach[0] * 3, y + reach[1]]
    bands = decoded(maps.query(bbox=box, width=480, height=240, crs=crs))
    assert bands.shape == (4, 240, 480)
    assert centroid(redness(bands)) == pytest.approx((120, 120), abs=1)


def test_a_map_without_a_box_is_of_the_whole_raster(
    picture: Path, orthophoto: RasterContract, qom: City
) -> None:
    maps = RasterMap(definition(orthophoto, qom, picture, "map"))
    bands = decoded(maps.query(width=130, height=110, crs=UTM))
    assert bands[3].mean() / 255 == pytest.approx(1 - 400 * 400 / 2 / (1100 * 1300), abs=0.01)
    assert centroid(redness(bands)) == pytest.approx(((COLUMN + 6) / 10, (ROW + 6) / 10), abs=0.5)
    solid = decoded(maps.query(width=130, height=110, crs=UTM, transparent="false"))
    assert solid.shape[0] == 3
    assert (solid[:, 0, 0] == 255).all()


def test_a_map_of_elsewhere_is_empty(picture: Path, orthophoto: RasterContract, qom: City) -> None:
    maps = RasterMap(definition(orthophoto, qom, picture, "map"))
    box = [EAST + 9000, NORTH, EAST + 9100, NORTH + 100]
    assert decoded(maps.query(bbox=box, width=50, height=50, crs=UTM))[3].max() == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"width": 0},
        {"height": -1},
        {"bbox": [1, 2, 3]},
        {"bbox": [3, 2, 1, 4]},
        {"bbox": [1, 2, float("nan"), 4]},
        {"crs": "http://www.opengis.net/def/crs/EPSG/0/999999"},
        {"crs": "nonsense"},
        {"format_": "gif"},
    ],
)
def test_a_map_that_cannot_be_is_refused(
    picture: Path, orthophoto: RasterContract, qom: City, asked: dict[str, Any]
) -> None:
    with pytest.raises(ProviderInvalidQueryError):
        RasterMap(definition(orthophoto, qom, picture, "map")).query(**asked)


@pytest.mark.parametrize("size", [(5000, 5000), (16_000_001, 1), (1, 16_000_001)])
def test_a_map_that_is_too_large_is_refused(
    picture: Path, orthophoto: RasterContract, qom: City, size: tuple[int, int]
) -> None:
    with pytest.raises(ProviderRequestEntityTooLargeError, match="at most"):
        RasterMap(definition(orthophoto, qom, picture, "map")).query(width=size[0], height=size[1])


def test_heights_are_drawn_as_a_shade(ground: Path, terrain: RasterContract, qom: City) -> None:
    bands = decoded(
        RasterMap(definition(terrain, qom, ground, "map")).query(width=80, height=60, crs=UTM)
    )
    assert bands[3, 5, 5] == 0
    assert bands[3, 30, 40] == 255
    # The plane rises by a hundredth to the east: one even shade, but for the tint.
    assert bands[:3, 30, 20:70].std(axis=1).max() < 2


def at(home: Path, contract: RasterContract, city: City, wkt: str, crs: str | None = None) -> Any:
    """The answer to a position query as pygeoapi puts it."""
    found = definition(contract, city, home, "edr")
    spec = create_crs_transform_spec(found, crs) if crs else None
    return RasterPosition(found).query(
        query_type="position", wkt=shapely.from_wkt(wkt), crs_transform_spec=spec
    )


@pytest.mark.parametrize("crs", [None, UTM, MERCATOR, WGS84])
def test_a_height_is_right_in_every_crs(
    ground: Path, terrain: RasterContract, qom: City, crs: str | None
) -> None:
    to_crs = Transformer.from_crs(32639, crs_of(crs or "OGC:CRS84"), always_xy=crs != WGS84)
    x, y = to_crs.transform(488_650, 3_832_800)
    answer = at(ground, terrain, qom, f"POINT({x!r} {y!r})", crs)
    (band,) = terrain.bands
    assert answer["ranges"][band]["values"] == [pytest.approx(900.50, abs=0.001)]
    assert answer["domain"]["domainType"] == "Point"
    assert answer["parameters"][band]["unit"]["symbol"]["value"] == "m"
    assert set(answer["parameters"][band]["observedProperty"]["label"]) == {"fa", "en"}
    (reference,) = answer["domain"]["referencing"]
    assert reference["coordinates"] == (["y", "x"] if crs == WGS84 else ["x", "y"])
    longitude_or_east = answer["domain"]["axes"]["x"]["values"][0]
    assert longitude_or_east == pytest.approx(y if crs == WGS84 else x)


@pytest.mark.parametrize("crs", [None, UTM, MERCATOR, WGS84])
def test_a_profile_is_right_in_every_crs(
    ground: Path, terrain: RasterContract, qom: City, crs: str | None
) -> None:
    to_crs = Transformer.from_crs(32639, crs_of(crs or "OGC:CRS84"), always_xy=crs != WGS84)
    corners = [(488_650, 3_832_800), (488_750, 3_832_800), (488_750, 3_832_900)]
    moved = [to_crs.transform(*corner) for corner in corners]
    text = ",".join(f"{x!r} {y!r}" for x, y in moved)
    found = definition(terrain, qom, ground, "edr")
    spec = create_crs_transform_spec(found, crs) if crs else None
    wkt = shapely.from_wkt(f"LINESTRING({text})")
    answer = RasterPosition(found).query(query_type="trajectory", wkt=wkt, crs_transform_spec=spec)
    (values,) = (one["values"] for one in answer["ranges"].values())
    places = answer["domain"]["axes"]["composite"]["values"]
    # A place a pixel of 5 m: 20 steps along each side.
    assert len(values) == len(places) == 41
    assert values[0] == pytest.approx(900.5, abs=0.001)
    assert values[10] == pytest.approx(901.0, abs=0.001)
    assert values[20:] == [pytest.approx(901.5, abs=0.001)] * 21
    first = moved[0][::-1] if crs == WGS84 else moved[0]
    assert places[0] == pytest.approx(list(first))


@pytest.mark.parametrize("east", [488_600.0, 488_601.0, 488_602.5, 488_777.7, 488_997.5, 488_999.9])
def test_heights_between_pixels_are_interpolated_up_to_the_edge(
    ground: Path, terrain: RasterContract, qom: City, east: float
) -> None:
    answer = at(ground, terrain, qom, f"POINT({east} 3832705)", UTM)
    within = min(max(east, 488_602.5), 488_997.5)  # half a pixel beyond the last centre
    (values,) = (found["values"] for found in answer["ranges"].values())
    assert values == [pytest.approx(900 + 0.01 * (within - 488_600), abs=0.001)]


def test_no_height_is_null_and_outside_is_empty(
    ground: Path, terrain: RasterContract, qom: City
) -> None:
    inside = at(ground, terrain, qom, "POINT(488610 3832990)", UTM)
    assert [found["values"] for found in inside["ranges"].values()] == [[None]]
    with pytest.raises(ProviderNoDataError):
        at(ground, terrain, qom, "POINT(10 10)")
    several = at(ground, terrain, qom, "MULTIPOINT((488650 3832800),(0 0),(488610 3832990))", UTM)
    assert [found["values"] for found in several["ranges"].values()] == [[900.5, None, None]]
    assert several["domain"]["domainType"] == "MultiPoint"


@pytest.mark.parametrize("wkt", ["LINESTRING(0 0, 1 1)", "POINT EMPTY", "POINT(nan nan)"])
def test_a_position_that_is_none_is_refused(
    ground: Path, terrain: RasterContract, qom: City, wkt: str
) -> None:
    with pytest.raises(ProviderInvalidQueryError):
        at(ground, terrain, qom, wkt)


@pytest.fixture
def coverage(ground: Path, terrain: RasterContract, qom: City) -> RasterCoverage:
    """The coverage of the plane."""
    return RasterCoverage(definition(terrain, qom, ground, "coverage"))


BOX = [488_640.0, 3_832_800.0, 488_660.0, 3_832_820.0]


@pytest.mark.defect("C4")
def test_a_part_of_the_coverage_is_right(coverage: RasterCoverage, terrain: RasterContract) -> None:
    answer = coverage.query(bbox=BOX, bbox_crs=UTM, format_="json")
    assert isinstance(answer, dict)
    axes = answer["domain"]["axes"]
    assert axes["x"] == {"start": 488_642.5, "stop": 488_657.5, "num": 4}
    assert axes["y"] == {"start": 3_832_817.5, "stop": 3_832_802.5, "num": 4}
    (reference,) = answer["domain"]["referencing"]
    assert reference["system"] == {"type": "ProjectedCRS", "id": UTM}
    (band,) = terrain.bands
    found = answer["ranges"][band]
    assert found["shape"] == [4, 4]
    expected = [900.425, 900.475, 900.525, 900.575]
    assert found["values"] == pytest.approx(expected * 4, abs=0.001)
    assert answer["parameters"].keys() == answer["ranges"].keys() == {band}


@pytest.mark.parametrize("crs", [None, UTM, "32639", WGS84, MERCATOR, "[EPSG:3857]"])
@pytest.mark.defect("C4")
def test_a_box_means_the_same_in_every_crs(coverage: RasterCoverage, crs: str | None) -> None:
    to_crs = Transformer.from_crs(32639, crs_of(crs or "OGC:CRS84"), always_xy=crs != WGS84)
    middle = to_crs.transform(488_652.5, 3_832_812.5)
    reach = 1e-6 if crs in (None, WGS84) else 0.1
    box = [middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach]
    answer = coverage.query(bbox=box, bbox_crs=crs)
    assert isinstance(answer, dict)
    assert answer["domain"]["axes"]["x"] == {"start": 488_652.5, "stop": 488_652.5, "num": 1}


@pytest.mark.defect("C2")
def test_a_geotiff_of_it_is_tiled_compressed_and_right(coverage: RasterCoverage) -> None:
    content = coverage.query(bbox=BOX, bbox_crs=UTM, format_="GTiff")
    assert isinstance(content, bytes)
    with MemoryFile(content) as memory, memory.open() as dataset:
        assert dataset.crs.to_epsg() == 32639
        assert dataset.bounds == (488_640, 3_832_800, 488_660, 3_832_820)
        assert dataset.block_shapes == [(256, 256)]
        assert dataset.compression.name == "deflate"
        assert dataset.nodata == -9999
        assert dataset.read(1)[0] == pytest.approx([900.425, 900.475, 900.525, 900.575])


@pytest.mark.parametrize(
    ("subset", "columns", "rows"),
    [
        ({"E": [488_640, 488_660], "N": [3_832_800, 3_832_820]}, 4, 4),
        ({"x": [488_652]}, 1, 60),
        ({"x": ["*", 488_610]}, 2, 60),
        ({"y": [3_832_990, "*"]}, 80, 2),
    ],
)
def test_subsets(
    coverage: RasterCoverage, subset: dict[str, list[Any]], columns: int, rows: int
) -> None:
    answer = coverage.query(subsets=subset)
    assert isinstance(answer, dict)
    axes = answer["domain"]["axes"]
    assert (axes["x"]["num"], axes["y"]["num"]) == (columns, rows)


@pytest.mark.parametrize(
    "asked",
    [
        {"subsets": {"Q": [1, 2]}},
        {"subsets": {"x": ["a", "b"]}},
        {"subsets": {"x": [9, 1]}},
        {"subsets": {"x": [1, 9]}, "bbox": BOX},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, float("inf"), 4]},
        {"bbox": [3, 1, 2, 4]},
        {"bbox": BOX, "bbox_crs": "nonsense"},
        {"properties": ["none"]},
    ],
)
@pytest.mark.defect("C5")
def test_a_coverage_that_cannot_be_is_refused(
    coverage: RasterCoverage, asked: dict[str, Any]
) -> None:
    with pytest.raises(ProviderInvalidQueryError):
        coverage.query(**asked)


@pytest.mark.defect("C5")
def test_outside_the_raster_there_is_nothing(coverage: RasterCoverage) -> None:
    with pytest.raises(ProviderNoDataError):
        coverage.query(bbox=[10, 10, 11, 11])
    with pytest.raises(ProviderNoDataError):
        coverage.query(subsets={"x": [0, 10]})


@pytest.mark.defect("C1", "clients-9")
def test_answers_are_bounded(coverage: RasterCoverage) -> None:
    coverage.options["max_values"] = 100
    whole = coverage.query()
    assert isinstance(whole, dict)
    axes = whole["domain"]["axes"]
    assert 60 <= axes["x"]["num"] * axes["y"]["num"] <= 100
    with pytest.raises(ProviderRequestEntityTooLargeError, match="at most 100"):
        coverage.query(subsets={"x": [488_600, 488_900], "y": [3_832_800, 3_832_900]})


@pytest.mark.defect("C1")
def test_scaling_averages_and_stays_in_place(coverage: RasterCoverage) -> None:
    token = SCALING.set(Scaling(factor=4))
    try:
        answer = coverage.query()
    finally:
        SCALING.reset(token)
    assert isinstance(answer, dict)
    assert answer["domain"]["axes"]["x"] == {"start": 488_610.0, "stop": 488_990.0, "num": 20}
    (found,) = answer["ranges"].values()
    values = found["values"][20 * 7 : 20 * 8]
    assert values == pytest.approx(list(900 + 0.01 * (10 + 20 * np.arange(20))), abs=0.01)
    assert found["values"][0] is None  # all of it is without height


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"scale-factor": "2.5"}, Scaling(factor=2.5)),
        ({"scale-size": "x(40),y(30)"}, Scaling(size=(40, 30))),
        ({"scale-size": "E(40), N(30)"}, Scaling(size=(40, 30))),
    ],
)
def test_scaling_is_read(given: dict[str, str], expected: Scaling | None) -> None:
    assert raster_api.scaling(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        {"scale-factor": "0"},
        {"scale-factor": "nan"},
        {"scale-factor": "-1"},
        {"scale-size": "40,30"},
        {"scale-size": "x(0),y(0)"},
        {"scale-size": "x(1),y(1)", "scale-factor": "2"},
    ],
)
def test_scaling_that_cannot_be_is_told(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="scale"):
        raster_api.scaling(given)


def test_before_the_first_load_nothing_breaks(
    tmp_path: Path, orthophoto: RasterContract, terrain: RasterContract, qom: City
) -> None:
    tiles = RasterTiles(definition(orthophoto, qom, tmp_path, "tile"))
    assert tiles.get_tiles(tileset="WebMercatorQuad", z=10, y=1, x=1) is None
    coverage = RasterCoverage(definition(terrain, qom, tmp_path, "coverage"))
    assert coverage._coverage_properties["width"] == 0
    assert list(coverage.fields) == list(terrain.bands)
    for ask in (coverage.query, RasterMap(definition(terrain, qom, tmp_path, "map")).query):
        with pytest.raises(ProviderItemNotFoundError):
            ask()
    assert Source(tmp_path, terrain.id).version() is None


def test_a_new_file_is_served_at_once_also_under_requests(
    ground: Path, make: Make, convert: Convert, terrain: RasterContract, qom: City, plane: Any
) -> None:
    source = Source(ground, terrain.id)
    first = source.served()
    assert first is not None
    _, higher = convert(
        make("b.tif", plane + 100, transform=Affine(5, 0, EAST, 0, -5, NORTH)), terrain, qom
    )
    place = ground / "rasters" / terrain.id / "b.tif"
    place.write_bytes(higher.path.read_bytes())
    failures: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answer = at(ground, terrain, qom, "POINT(488650 3832800)", UTM)
                (values,) = (found["values"] for found in answer["ranges"].values())
                assert values[0] in (900.5, 1000.5)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    pointer = ServedRaster.pointer(ground, terrain.id)
    second = first.model_copy(
        update={"path": place.relative_to(ground).as_posix(), "version": higher.sha256}
    )
    fresh = pointer.with_suffix(".new")
    fresh.write_text(second.model_dump_json())
    fresh.replace(pointer)
    (ground / first.path).unlink()
    answer = at(ground, terrain, qom, "POINT(488650 3832800)", UTM)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [found["values"] for found in answer["ranges"].values()] == [[1000.5]]
    assert source.version() == higher.sha256


def test_the_answer_is_bounded_whatever_the_box(
    picture: Path, orthophoto: RasterContract, qom: City
) -> None:
    """A long thin map of the whole raster must not read it at full resolution."""
    maps = RasterMap(definition(orthophoto, qom, picture, "map"))
    with rasterio.Env():
        content = maps.query(width=2000, height=1, crs=UTM)
    assert decoded(content).shape == (4, 1, 2000)


def test_a_map_drawn_in_strips_is_the_same_map(
    picture: Path,
    ground: Path,
    orthophoto: RasterContract,
    terrain: RasterContract,
    qom: City,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for home, contract in ((picture, orthophoto), (ground, terrain)):
        maps = RasterMap(definition(contract, qom, home, "map"))
        whole = decoded(maps.query(width=120, height=100, crs=MERCATOR)).astype(int)
        with monkeypatch.context() as patched:
            patched.setattr(raster_map, "_STRIP_PIXELS", 120 * 7)
            strips = decoded(maps.query(width=120, height=100, crs=MERCATOR)).astype(int)
        assert (strips[3] != whole[3]).mean() < 0.01
        assert np.abs(strips[:3] - whole[:3]).mean() < 1


def test_a_geotiff_written_in_strips_is_the_same(
    make: Make, convert: Convert, serve: Serve, terrain: RasterContract, qom: City
) -> None:
    rng = np.random.default_rng(3)
    heights = (900 + 200 * rng.random((1, 700, 300))).astype(np.float32)
    heights[0, 250:270] = -9999
    path = make("a.tif", heights, nodata=-9999.0)
    home = serve(convert(path, terrain, qom)[1], terrain, qom)
    coverage = RasterCoverage(definition(terrain, qom, home, "coverage"))
    content = coverage.query(format_="GTiff")
    assert isinstance(content, bytes)
    with MemoryFile(content) as memory, memory.open() as dataset:
        assert (dataset.read() == heights).all()
        assert dataset.descriptions == terrain.bands
    token = SCALING.set(Scaling(factor=2))
    try:
        halved = coverage.query(format_="GTiff")
    finally:
        SCALING.reset(token)
    assert isinstance(halved, bytes)
    with MemoryFile(halved) as memory, memory.open() as dataset:
        values = dataset.read(1, masked=True)
        assert dataset.res == (2, 2)
    expected = heights[0].reshape(350, 2, 150, 2).mean(axis=(1, 3))
    assert np.abs(values - expected)[:124].max() < 0.01
    assert np.abs(values - expected)[136:].max() < 0.01
    assert values.mask[126:134].all()
