"""Every fault of an arriving raster is a finding, and nothing is read that should not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import ArrivalError
from pipeline.findings import Catalog
from pipeline.rasters import worldfile
from pipeline.rasters.inspect import Declared, Inspection, Job, inspect

Make = Callable[..., Path]
UPPER_LEFT = Affine(1, 0, 488_600.0, 0, -1, 3_833_000.0)


@pytest.fixture
def look(catalog: Catalog, qom: City) -> Callable[..., Inspection]:
    """Inspects one file: ``look(path, contract, **declared)``."""

    def looked(path: Path, contract: RasterContract, **declared: Any) -> Inspection:
        return inspect(Job(path, contract, qom, Declared(**declared)), catalog)

    return looked


Look = Callable[..., Inspection]


def codes(found: Inspection) -> list[str]:
    return [finding.code for finding in found.findings]


def test_a_good_orthophoto_has_no_findings(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    found = look(make("a.tif", colors), orthophoto)
    assert found.accepted(catalog)
    assert codes(found) == []
    assert found.footprint is not None
    assert found.footprint.bounds == (488_600, 3_832_760, 488_920, 3_833_000)
    assert found.statistics[1]["mean"] == pytest.approx(colors[1].mean(), abs=1e-3)
    assert found.statistics[1]["std"] == pytest.approx(colors[1].std(), abs=1e-3)


def test_heights_are_summed_without_loss(
    make: Make, look: Look, terrain: RasterContract, plane: Any, catalog: Catalog
) -> None:
    found = look(make("a.tif", plane, transform=Affine(5, 0, 488_600, 0, -5, 3_833_000)), terrain)
    assert found.accepted(catalog)
    (band,) = found.statistics
    assert band["mean"] == pytest.approx(plane.mean(dtype=np.float64), abs=1e-3)
    assert band["std"] == pytest.approx(plane.std(dtype=np.float64), abs=1e-3)


def test_no_such_file_is_an_error_in_one_line(
    look: Look, orthophoto: RasterContract, tmp_path: Path
) -> None:
    with pytest.raises(ArrivalError, match="no such file"):
        look(tmp_path / "none.tif", orthophoto)
    with pytest.raises(ArrivalError, match="is no file"):
        look(tmp_path, orthophoto)


def test_a_virtual_raster_in_disguise_is_not_opened(
    look: Look, orthophoto: RasterContract, tmp_path: Path
) -> None:
    path = tmp_path / "ortho.tif"
    path.write_text(
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1">'
        "<SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:1/x.tif</SourceFilename>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert codes(look(path, orthophoto)) == ["raster.unreadable"]


@pytest.mark.parametrize("ending", [".msk", ".MSK"])
def test_a_virtual_raster_as_mask_is_not_opened(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, ending: str
) -> None:
    path = make("a.tif", colors)
    path.with_name(f"a.tif{ending}").write_text("<VRTDataset/>")
    found = look(path, orthophoto)
    assert codes(found) == ["raster.unreadable"]
    assert "no TIFF" in str(found.findings[0].detail)


def test_a_mask_of_another_size_is_refused(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors)
    make("a.tif.msk", np.full((1, 10, 10), 255, np.uint8))
    assert "another size" in str(look(path, orthophoto).findings[0].detail)


@pytest.mark.parametrize("compress", [None, "deflate"])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_truncated_file_is_found_by_reading_it(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, compress: Any, tiled: bool
) -> None:
    more = {"tiled": True, "blockxsize": 64, "blockysize": 64} if tiled else {}
    path = make("a.tif", colors, compress=compress, **more)
    content = path.read_bytes()
    # The directory stands at the front of files GDAL writes; the pixels are cut.
    path.write_bytes(content[: len(content) * 2 // 3])
    found = look(path, orthophoto)
    assert codes(found) == ["raster.unreadable"]
    assert "damaged" in str(found.findings[0].detail)
    assert str(path.parent) not in str(found.findings[0].detail)


def test_one_damaged_tile_is_found(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors, compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_2_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 8] = bytes(8)
    path.write_bytes(content)
    found = look(path, orthophoto)
    assert codes(found) == ["raster.unreadable"]
    assert "1 piece damaged" in str(found.findings[0].detail)


def test_a_size_claim_is_judged_before_reading(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    small = orthophoto.model_copy(
        update={"limits": orthophoto.limits.model_copy(update={"max_pixels": 1000})}
    )
    found = look(make("a.tif", colors), small)
    assert codes(found) == ["raster.too_large"]
    assert found.valid == 0


def test_the_crs_must_be_named_or_declared(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    path = make("a.tif", colors, crs=None)
    assert codes(look(path, orthophoto)) == ["raster.crs_missing"]
    declared = look(path, orthophoto, crs=CRS.from_epsg(32639))
    assert codes(declared) == ["crs.assumed"]
    assert declared.accepted(catalog)


def test_a_declared_crs_that_the_file_contradicts_is_refused(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    found = look(make("a.tif", colors), orthophoto, crs=CRS.from_epsg(32640))
    (conflict,) = [f for f in found.findings if f.code == "raster.crs_conflict"]
    assert (conflict.value, conflict.detail) == ("EPSG:32639", "EPSG:32640")


@pytest.mark.parametrize("version", ["WKT1_ESRI", "WKT1_GDAL", "WKT2_2019"])
def test_a_prj_file_names_the_crs(
    make: Make,
    look: Look,
    orthophoto: RasterContract,
    colors: Any,
    version: str,
    catalog: Catalog,
) -> None:
    path = make("a.tif", colors, crs=None)
    path.with_suffix(".prj").write_text("\ufeff" + CRS.from_epsg(32639).to_wkt(version))
    found = look(path, orthophoto)
    assert codes(found) == []
    assert found.accepted(catalog)


def test_a_prj_file_that_contradicts_the_file_is_refused(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors)
    path.with_suffix(".prj").write_text(CRS.from_epsg(32638).to_wkt("WKT1_ESRI"))
    assert "raster.crs_conflict" in codes(look(path, orthophoto))
    path.with_suffix(".prj").write_text("nonsense")
    assert codes(look(path, orthophoto)) == ["raster.unreadable"]


def test_a_world_file_places_an_image(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    path = make("a.png", colors, driver="PNG", crs=None, transform=None)
    crs = CRS.from_epsg(32639)
    assert "raster.georeference_missing" in codes(look(path, orthophoto, crs=crs))
    path.with_suffix(".pgw").write_text(worldfile.text_of(UPPER_LEFT))
    found = look(path, orthophoto, crs=crs)
    assert found.accepted(catalog)
    assert found.footprint is not None
    assert found.footprint.bounds == (488_600, 3_832_760, 488_920, 3_833_000)


def test_a_world_file_half_a_pixel_off_is_a_conflict(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    path = make("a.tif", colors)
    world = path.with_suffix(".tfw")
    world.write_text(worldfile.text_of(UPPER_LEFT))
    assert look(path, orthophoto).accepted(catalog)
    # The classic: the corner written where the centre belongs.
    world.write_text(worldfile.text_of(UPPER_LEFT @ Affine.translation(-0.5, -0.5)))
    (finding,) = look(path, orthophoto).findings
    assert finding.code == "raster.georeference_conflict"
    assert "0.707 pixels" in str(finding.detail)
    world.write_text("no numbers")
    assert codes(look(path, orthophoto)) == ["raster.unreadable"]


def test_an_aux_xml_is_heard(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    path = make("a.jpg", colors, driver="JPEG", crs=None, transform=None)
    wkt = CRS.from_epsg(32639).to_wkt().replace('"', "&quot;")
    path.with_name("a.jpg.aux.xml").write_text(
        f"<PAMDataset><SRS>{wkt}</SRS>"
        "<GeoTransform>488600, 1, 0, 3833000, 0, -1</GeoTransform></PAMDataset>"
    )
    assert look(path, orthophoto).accepted(catalog)
    path.with_name("a.jpg.aux.xml").write_text("<PAMDataset><SRS>")
    assert "raster.unreadable" in codes(look(path, orthophoto))


def test_a_raster_of_another_place_is_refused(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    away = make("a.tif", colors, transform=Affine(1, 0, 588_600, 0, -1, 3_833_000))
    assert codes(look(away, orthophoto)) == ["raster.outside"]
    swapped = make("b.tif", colors, transform=Affine(1, 0, 3_833_000, 0, -1, 488_600))
    assert codes(look(swapped, orthophoto)) == ["raster.outside"]


@pytest.mark.parametrize(
    ("bands", "dtype"), [(1, "uint8"), (2, "uint8"), (3, "uint16"), (3, "float32")]
)
def test_bands_must_fit_the_contract(
    make: Make, look: Look, orthophoto: RasterContract, bands: int, dtype: str
) -> None:
    values = np.ones((bands, 8, 8), dtype)
    assert codes(look(make("a.tif", values), orthophoto)) == ["raster.bands"]


def test_a_picture_is_no_elevation_model(
    make: Make, look: Look, terrain: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors.astype(np.uint16) + 900, photometric="RGB")
    assert codes(look(path, terrain)) == ["raster.bands"]


def test_a_fourth_band_is_left_out_and_told(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    path = make("a.tif", np.concatenate([colors, colors[:1]]), photometric="MINISBLACK")
    found = look(path, orthophoto)
    assert codes(found) == ["raster.bands_dropped"]
    assert found.accepted(catalog)


def test_pixel_sizes_are_judged_in_metres(
    make: Make, look: Look, orthophoto: RasterContract, terrain: RasterContract, colors: Any
) -> None:
    coarse = make("a.tif", colors, transform=Affine(30, 0, 488_600, 0, -30, 3_833_000))
    assert codes(look(coarse, orthophoto)) == ["raster.pixel_size"]
    oblong = make("b.tif", colors, transform=Affine(1, 0, 488_600, 0, -1.1, 3_833_000))
    assert codes(look(oblong, orthophoto)) == ["raster.pixel_not_square"]
    degrees = Affine(1e-5, 0, 50.88, 0, -1e-5, 34.64)
    geographic = look(make("c.tif", colors, crs="EPSG:4326", transform=degrees), orthophoto)
    assert geographic.placement is not None
    width, height = geographic.placement.pixel_m
    assert width == pytest.approx(0.9175, abs=1e-3)
    assert height == pytest.approx(1.1094, abs=1e-3)


@pytest.mark.parametrize(
    "value", [-9999.0, 4000.0, np.inf, -np.inf, 0.0], ids=["nodata", "high", "inf", "-inf", "zero"]
)
def test_heights_no_ground_has_are_refused(
    make: Make, look: Look, terrain: RasterContract, plane: Any, value: float
) -> None:
    heights = plane.copy()
    heights[0, 30, 40] = value
    found = look(make("a.tif", heights, transform=Affine(5, 0, 488_600, 0, -5, 3_833_000)), terrain)
    assert codes(found) == ["raster.values"]


def test_a_declared_nodata_mends_that(
    make: Make, look: Look, terrain: RasterContract, plane: Any, catalog: Catalog
) -> None:
    heights = plane.copy()
    heights[0, 30, 40] = -32768
    path = make("a.tif", heights, transform=Affine(5, 0, 488_600, 0, -5, 3_833_000))
    found = look(path, terrain, nodata=-32768.0)
    assert codes(found) == ["raster.nodata_declared"]
    assert found.accepted(catalog)
    assert found.valid == heights.size - 1


def test_heights_in_feet_are_refused(
    make: Make, look: Look, terrain: RasterContract, plane: Any
) -> None:
    crs = CRS.from_user_input("EPSG:32639+8228").to_wkt()  # NAVD88 in feet
    path = make("a.tif", plane, crs=crs, transform=Affine(5, 0, 488_600, 0, -5, 3_833_000))
    assert "raster.bands" in codes(look(path, terrain))


@pytest.mark.parametrize("how", ["nodata", "nan", "black"])
def test_nothing_but_nodata_is_refused(
    make: Make, look: Look, orthophoto: RasterContract, terrain: RasterContract, how: str
) -> None:
    if how == "nan":
        found = look(make("a.tif", np.full((1, 9, 9), np.nan, np.float32)), terrain)
    else:
        nodata = 0 if how == "nodata" else None
        black = np.zeros((3, 9, 9), np.uint8)
        found = look(make("a.tif", black, nodata=nodata), orthophoto)
    assert "raster.empty" in codes(found)


def test_a_border_that_is_not_marked_is_told(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any, catalog: Catalog
) -> None:
    framed = colors.copy()
    framed[:, :20] = framed[:, -20:] = framed[:, :, :20] = framed[:, :, -20:] = 0
    found = look(make("a.tif", framed), orthophoto)
    assert codes(found) == ["raster.unchecked_collar"]
    assert found.accepted(catalog)
    assert codes(look(make("b.tif", framed, nodata=0), orthophoto)) == []


def test_an_unfit_nodata_value_marks_nothing(
    make: Make, look: Look, orthophoto: RasterContract, colors: Any
) -> None:
    found = look(make("a.tif", colors), orthophoto, nodata=-9999.0)
    assert found.valid == 240 * 320


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        (Affine(1, 0, 488_600, 0, 1, 3_832_000), "south up"),
        (Affine(-1, 0, 488_900, 0, -1, 3_833_000), "west to the right"),
        (Affine.translation(488_600, 3_833_000) @ Affine.rotation(30) @ Affine.scale(1, -1), "30"),
    ],
)
def test_a_raster_that_is_not_north_up_is_told(
    make: Make,
    look: Look,
    orthophoto: RasterContract,
    colors: Any,
    transform: Affine,
    told: str,
    catalog: Catalog,
) -> None:
    found = look(make("a.tif", colors, transform=transform), orthophoto)
    finding, *others = found.findings
    assert finding.code == "raster.rotated"
    assert told in str(finding.detail)
    # Turned by an angle and full to its corners, as no resampled picture is.
    assert [other.code for other in others] == ["raster.looks_like_frame"] * (told == "30")
    assert found.accepted(catalog)


def test_findings_speak_both_languages(
    make: Make, look: Look, orthophoto: RasterContract, catalog: Catalog
) -> None:
    for finding in look(make("a.tif", np.ones((1, 4, 4))), orthophoto).findings:
        assert "{" not in catalog.message(finding, "en")
        assert "رستر" in catalog.message(finding, "fa")
