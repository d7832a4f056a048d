"""From an arriving file to a COG: the same pixels at the same place, masked where they must."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS, Transformer
from rio_cogeo.cogeo import cog_validate

from pipeline.contracts import registry
from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.findings import Catalog
from pipeline.rasters.cog import Cog, options
from pipeline.rasters.inspect import Inspection, Job, inspect

Make = Callable[..., Path]
Convert = Callable[..., tuple[Inspection, Cog]]
FIVE_METRES = Affine(5, 0, 488_600, 0, -5, 3_833_000)


def read(path: Path) -> tuple[Any, Any]:
    """Values and the mask (bool) of a raster."""
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.dataset_mask() > 0


def psnr(one: Any, other: Any) -> float:
    """How alike two pictures are, in dB."""
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_an_orthophoto_becomes_a_valid_cog_as_its_contract_says(
    make: Make, convert: Convert, orthophoto: RasterContract, qom: City, colors: Any
) -> None:
    large = np.tile(colors, (1, 5, 4))
    _, made = convert(make("a.tif", large), orthophoto, qom)
    assert cog_validate(str(made.path), strict=True, quiet=True)[0]
    with rasterio.open(made.path) as dataset:
        assert dataset.block_shapes[0] == (512, 512)
        assert dataset.overviews(1) == [2, 4]
        assert dataset.crs.to_epsg() == 32639
        assert dataset.tags(ns="IMAGE_STRUCTURE")["JPEG_QUALITY"] == "85"
        assert dataset.photometric.name.lower() == "ycbcr"
        assert dataset.tags()["SHEET"] == "a"
        assert dataset.transform == Affine(1, 0, 488_600, 0, -1, 3_833_000)
    values, mask = read(made.path)
    assert mask.all()
    assert psnr(values, large) > 35


def test_heights_are_kept_to_the_bit(
    make: Make, convert: Convert, terrain: RasterContract, qom: City, plane: Any
) -> None:
    _, made = convert(make("a.tif", plane, transform=FIVE_METRES), terrain, qom)
    values, _ = read(made.path)
    assert (values == plane).all()
    with rasterio.open(made.path) as dataset:
        assert dataset.nodata == terrain.nodata
        assert dataset.descriptions == terrain.bands
        assert dataset.units == ("m",)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("nodata", [0, None])
def test_any_number_type_and_nodata_become_ours(
    make: Make, convert: Convert, terrain: RasterContract, qom: City, dtype: str, nodata: Any
) -> None:
    heights = np.full((1, 30, 40), 1000, dtype)
    heights[0, :10] = 1100 if nodata is None else nodata
    path = make("a.tif", heights, nodata=nodata, transform=FIVE_METRES)
    values, mask = read(convert(path, terrain, qom)[1].path)
    assert (values[0, 10:] == 1000).all()
    assert mask[10:].all()
    assert mask[:10].any() == (nodata is None)


def test_nan_never_reaches_an_overview(
    make: Make, convert: Convert, terrain: RasterContract, qom: City
) -> None:
    heights = np.full((1, 1100, 1100), 1000, np.float32)
    heights[0, 300:310, 300:310] = np.nan
    path = make("a.tif", heights, nodata=-9999.0)
    _, made = convert(path, terrain, qom)
    with rasterio.open(made.path, overview_level=0) as overview:
        values = overview.read(1, masked=True)
    assert np.isfinite(values.data).all()
    assert values.compressed().min() == 1000
    assert 20 <= values.mask.sum() <= 36


def test_black_is_masked_only_where_all_bands_are_nodata(
    make: Make, convert: Convert, orthophoto: RasterContract, qom: City, colors: Any
) -> None:
    values = colors.copy()
    values[:, 100:120, 100:120] = 0
    values[:2, 50:60, 50:60] = 0  # blue is left: a colour, not nodata
    _, mask = read(convert(make("a.tif", values, nodata=0), orthophoto, qom)[1].path)
    assert not mask[100:120, 100:120].any()
    assert mask.sum() == mask.size - 400


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_turned_rasters_are_turned_back_exactly(
    make: Make, convert: Convert, terrain: RasterContract, qom: City, rows: bool, columns: bool
) -> None:
    heights = (900 + np.arange(35.0 * 21).reshape(1, 21, 35) / 10).astype(np.float32)
    turned, transform = heights, FIVE_METRES
    if rows:
        turned = turned[:, ::-1]
        transform = transform @ Affine.translation(0, 21) @ Affine.scale(1, -1)
    if columns:
        turned = turned[:, :, ::-1]
        transform = transform @ Affine.translation(35, 0) @ Affine.scale(-1, 1)
    _, made = convert(make("a.tif", turned, transform=transform), terrain, qom)
    assert (read(made.path)[0] == heights).all()
    with rasterio.open(made.path) as dataset:
        assert dataset.transform == FIVE_METRES


def pinned(city: City, operation: str) -> City:
    """The city with another way pinned for ED50(ED77)."""
    ways = [one.model_copy(update={"operation": operation}) for one in city.transformations]
    return city.model_copy(update={"transformations": tuple(ways)})


@pytest.mark.parametrize("operation", ["EPSG:1514", "EPSG:1141"])
def test_another_datum_is_left_by_the_operation_that_the_city_pins(
    make: Make, convert: Convert, terrain: RasterContract, qom: City, operation: str
) -> None:
    """The two ways are 5.8 m apart at Qom; GDAL by itself always takes the first."""
    city = pinned(qom, operation)
    way = city.operation(CRS.from_epsg(2059))  # ED50(ED77) / UTM zone 39N
    rows, columns = np.mgrid[:120, :160] + 0.5
    x, y = 488_600 + columns * 5, 3_833_000 - rows * 5
    moved = way.points(np.column_stack([x.ravel(), y.ravel()]))
    heights = 1000 + 0.01 * (moved[:, 0] - 488_600) + 0.02 * (moved[:, 1] - 3_833_000)
    values = heights.reshape(1, *x.shape).astype(np.float32)
    found, made = convert(
        make("a.tif", values, crs="EPSG:2059", transform=FIVE_METRES), terrain, city
    )
    assert [f.code for f in found.findings][-1] == "raster.warped"
    assert operation in str(found.findings[-1].detail)
    with rasterio.open(made.path) as dataset:
        result = dataset.read(1, masked=True)[2:-2, 2:-2]
        y, x = np.mgrid[2 : dataset.height - 2, 2 : dataset.width - 2] + 0.5
        x, y = dataset.transform @ (x, y)
    expected = 1000 + 0.01 * (x - 488_600) + 0.02 * (y - 3_833_000)
    assert result.count() > 0.9 * values.size
    assert np.abs(result - expected).max() < 0.004


def test_a_datum_without_a_pinned_operation_is_refused(
    make: Make, terrain: RasterContract, qom: City, catalog: Catalog
) -> None:
    path = make(
        "a.tif", np.full((1, 20, 30), 900, np.float32), crs="EPSG:2059", transform=FIVE_METRES
    )
    city = qom.model_copy(update={"transformations": ()})
    found = inspect(Job(path, terrain, city), catalog)
    assert not found.accepted(catalog)
    assert [f.code for f in found.findings][-1] == "raster.datum"
    assert "EPSG:1514" in str(found.findings[-1].detail)


def test_another_crs_is_resampled_to_the_right_place(
    make: Make, convert: Convert, terrain: RasterContract, qom: City
) -> None:
    """Heights that are a function of place, made in degrees, must be that function in Qom's CRS."""
    step = 5e-5
    rows, columns = np.mgrid[:200, :240] + 0.5
    lon, lat = 50.876 + columns * step, 34.63 - rows * step
    to_city = Transformer.from_crs(4326, 32639, always_xy=True)
    east, north = to_city.transform(lon, lat)
    heights = (1000 + 0.01 * (east - 489_000) + 0.02 * (north - 3_831_000)).astype(np.float32)
    path = make(
        "a.tif", heights[None], crs="EPSG:4326", transform=Affine(step, 0, 50.876, 0, -step, 34.63)
    )
    found, made = convert(path, terrain, qom)
    assert [f.code for f in found.findings][-1] == "raster.warped"
    with rasterio.open(made.path) as dataset:
        values = dataset.read(1, masked=True)
        y, x = np.mgrid[: dataset.height, : dataset.width] + 0.5
        x, y = dataset.transform @ (x, y)
    expected = 1000 + 0.01 * (x - 489_000) + 0.02 * (y - 3_831_000)
    assert values.count() > 0.9 * heights.size * (4.59 * 5.55) / (made.pixel[0] * made.pixel[1])
    # A cell further in: at its very edge a raster can only repeat its last value.
    inner = ~np.ma.getmaskarray(values)
    inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    inner[[0, -1]] = inner[:, [0, -1]] = False
    assert np.abs(values - expected)[inner].max() < 0.004


def test_a_rotated_picture_comes_upright_without_black_corners(
    make: Make, convert: Convert, orthophoto: RasterContract, qom: City
) -> None:
    grey = np.full((3, 200, 200), 180, np.uint8)
    grey[:, ::2] += 1  # of one even colour it would be taken for empty
    transform = (
        Affine.translation(488_600, 3_833_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    )
    _, made = convert(make("a.tif", grey, transform=transform), orthophoto, qom)
    values, mask = read(made.path)
    assert not mask[0, 0]
    assert mask.mean() == pytest.approx(200 * 200 / mask.size, abs=0.03)
    inside = values[:, mask]
    assert np.abs(inside.astype(int) - 180).mean() < 3
    assert made.pixel == pytest.approx((0.5, 0.5))


COLORADO = "201404_13SED190110_CL_1"
FORMS = {"": 1.0, "_alpha": 0.88696, "_extmask": 0.96917, "_mask": 0.96917, "_nodata": 0.97340}


@pytest.mark.parametrize("form", FORMS)
def test_the_colorado_orthophoto_in_each_of_its_forms(
    form: str, convert: Convert, real_data: Path
) -> None:
    schemas = registry.load("colorado")
    contract = next(c for c in schemas.rasters.values() if c.dtype == "uint8")
    source = real_data / "ortho_colorado" / f"{COLORADO}{form}.tif"
    found, made = convert(source, contract, schemas.city)
    assert [f.code for f in found.findings] == ["raster.pixel_not_square"]
    original, _ = read(source.with_name(f"{COLORADO}.tif"))
    values, mask = read(made.path)
    assert mask.mean() == pytest.approx(FORMS[form], abs=1e-5)
    assert found.valid_share == pytest.approx(FORMS[form], abs=1e-5)
    # The same picture inside every mask, as well as JPEG can; and no black where it is valid.
    assert psnr(values[:, mask], original[:, mask]) > 29
    with rasterio.open(source) as dataset, rasterio.open(made.path) as cog:
        assert cog.transform == dataset.transform
        assert cog.crs == dataset.crs
        expected = dataset.dataset_mask() > 0
    if form != "_nodata":  # GDAL masks every band of it apart
        assert (mask == expected).all()


def test_the_ngi_elevation_model_keeps_its_heights(convert: Convert, real_data: Path) -> None:
    schemas = registry.load("westcape")
    contract = next(c for c in schemas.rasters.values() if c.is_terrain)
    source = real_data / "aerial_ngi" / "dem.tif"
    found, made = convert(source, contract, schemas.city)
    assert found.placement is not None
    assert found.placement.place.vertical is not None
    assert "EGM2008" in found.placement.place.vertical.name
    with rasterio.open(source) as dataset:
        heights, place = dataset.read(1).astype(float), dataset.transform
        crs = CRS.from_wkt(dataset.crs.to_wkt(version="WKT2_2019")).sub_crs_list[0]
    with rasterio.open(made.path) as cog:
        assert cog.crs.to_epsg() == schemas.city.srid
        values = cog.read(1, masked=True)
        rng = np.random.default_rng(7)
        rows, columns = rng.integers(0, cog.height, 500), rng.integers(0, cog.width, 500)
        x, y = cog.transform @ (columns + 0.5, rows + 0.5)
    back = Transformer.from_crs(schemas.city.srid, crs, always_xy=True)
    column, row = ~place @ back.transform(x, y)
    inside = (row > 1) & (row < heights.shape[0] - 1) & (column > 1)
    inside &= column < heights.shape[1] - 1
    expected = _bilinear(heights, row[inside] - 0.5, column[inside] - 0.5)
    got = values[rows[inside], columns[inside]]
    assert inside.sum() > 400
    assert not np.ma.getmaskarray(got).any()
    assert np.abs(got - expected).max() < 0.15  # slopes of 45 degrees; 24 m pixels
    assert np.abs(got - expected).mean() < 0.005


def _bilinear(grid: Any, row: Any, column: Any) -> Any:
    r, c = np.floor(row).astype(int), np.floor(column).astype(int)
    v, u = row - r, column - c
    upper = grid[r, c] * (1 - u) + grid[r, c + 1] * u
    lower = grid[r + 1, c] * (1 - u) + grid[r + 1, c + 1] * u
    return upper * (1 - v) + lower * v


@pytest.mark.parametrize(
    ("kind", "encoding", "error"),
    [
        ("orthophoto", {"compress": "WEBP"}, 12),
        ("orthophoto", {"compress": "ZSTD", "quality": None, "predictor": 2}, 0),
        ("terrain", {"compress": "LERC", "predictor": 1}, 0.0),
    ],
)
def test_other_encodings_are_valid_too(
    make: Make, convert: Convert, qom: City, colors: Any, plane: Any, kind: str,
    encoding: dict[str, Any], error: float, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    contract: RasterContract = request.getfixturevalue(kind)
    chosen = contract.encoding.model_copy(update=encoding)
    contract = contract.model_copy(update={"encoding": chosen})
    values = colors if kind == "orthophoto" else plane
    mask = np.full(values.shape[1:], 255, np.uint8)
    mask[:20, :30] = 0
    place = {} if kind == "orthophoto" else {"transform": Affine(5, 0, 488_600, 0, -5, 3_833_000)}
    _, made = convert(make("a.tif", values, mask, **place), contract, qom)
    assert cog_validate(str(made.path), strict=True, quiet=True)[0]
    with rasterio.open(made.path) as dataset:
        assert dataset.compression.name.upper().startswith(encoding["compress"])
        known = dataset.read_masks(1) > 0
        assert (known == (mask > 0)).all()
        apart = np.abs(dataset.read().astype(float) - values)[:, known]
    assert apart.mean() <= error


def test_every_encoding_of_a_contract_is_given_to_gdal(
    orthophoto: RasterContract, terrain: RasterContract
) -> None:
    assert options(orthophoto.encoding)["QUALITY"] == 85
    assert "PREDICTOR" not in options(orthophoto.encoding)
    assert options(terrain.encoding)["PREDICTOR"] == "FLOATING_POINT"
    assert options(terrain.encoding)["OVERVIEWS"] == "IGNORE_EXISTING"


@pytest.mark.parametrize("bytes_left", [100_000, 900_000])
def test_a_full_disk_is_one_line_and_no_finding(tmp_path: Path, bytes_left: int) -> None:
    """In a process that may write no file larger than ``bytes_left``."""
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        import numpy as np, rasterio
        from affine import Affine
        from pipeline.contracts import registry
        from pipeline.errors import ResourceError
        from pipeline.findings import Catalog
        from pipeline.rasters.inspect import Job, inspect
        from pipeline.rasters.load import make_cog
        import resource, signal
        folder, left = Path(sys.argv[1]), int(sys.argv[2])
        values = np.random.default_rng(1).integers(0, 255, (3, 1500, 1500), dtype=np.uint8)
        with rasterio.open(folder / "a.tif", "w", driver="GTiff", count=3, width=1500, height=1500,
                           dtype="uint8", crs="EPSG:32639",
                           transform=Affine(1, 0, 488600, 0, -1, 3833000)) as dataset:
            dataset.write(values)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, left))
        schemas = registry.load("qom")
        contract = next(c for c in schemas.rasters.values() if c.dtype == "uint8")
        job = Job(folder / "a.tif", contract, schemas.city)
        try:
            found = inspect(job, Catalog.load(), folder / "plain.tif")
            make_cog(job, found, folder)
        except ResourceError as error:
            print("ONE LINE", str(error).count(chr(10)), error)
        """
    )
    assert resource.RLIMIT_FSIZE is not None
    assert signal.SIGXFSZ
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(bytes_left)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.startswith("ONE LINE 0 ")
