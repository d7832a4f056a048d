"""Every broken raster of the shared test data: refused, one line a finding, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline import operations, testing
from pipeline.contracts.city import City, Transformation
from pipeline.contracts.raster import RasterContract
from pipeline.findings import Catalog
from pipeline.rasters import header, opening
from pipeline.rasters.inspect import Job, inspect

FOLDER = testing.shared_data() / "bad_inputs" / "raster"
FILES = sorted(FOLDER.iterdir()) if FOLDER.is_dir() else []

# What reading the pixels must find once place and bands are let pass. The others are broken in
# their header only.
EMPTY = {"gdal_byte_corrupted.jpg", "rio_all-nodata.tif"}
DAMAGED = {
    "gdal_byte_truncated.tif",
    "gdal_byte_zstd_corrupted.tif",
    "gdal_corrupted_gtiff_tags.tif",
    "gdal_huge-number-strips.tif",
    "gdal_huge4GB.tif",
    "gdal_idat_broken.png",
    "gdal_missing_tilebytecounts_and_offsets.tif",
    "gdal_zackthecat_corrupted.tif",
    "node_unsupported-srs.tif",
    "rio_corrupt.tif",
}


def test_the_shared_data_are_here() -> None:
    if not FILES:
        pytest.skip("the folder ../shared/data of real data is not here")
    assert len(FILES) == 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", ["orthophoto", "terrain"])
def test_none_is_good_for_the_city(
    path: Path, kind: str, request: pytest.FixtureRequest, qom: City, catalog: Catalog
) -> None:
    contract: RasterContract = request.getfixturevalue(kind)
    before = {file: file.stat().st_mtime_ns for file in FOLDER.iterdir()}
    found = inspect(Job(path, contract, qom), catalog)
    assert not found.accepted(catalog)
    errors = [f for f in found.findings if catalog.severity(f.code) == "error"]
    assert errors
    for finding in errors:
        message = catalog.message(finding)
        assert "\n" not in message
        assert len(message) < 300
        assert str(FOLDER) not in message
    assert {file: file.stat().st_mtime_ns for file in FOLDER.iterdir()} == before


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damage_is_found_where_the_header_is_let_pass(
    path: Path, qom: City, catalog: Catalog, tmp_path: Path
) -> None:
    """As if everything about the raster but its pixels were as it should be."""
    city, contract, copy = _obliging(path, qom, tmp_path)
    found = inspect(Job(copy, contract, city), catalog)
    codes = {f.code for f in found.findings if catalog.severity(f.code) == "error"}
    if path.name in DAMAGED:
        assert codes == {"raster.unreadable"}
    elif path.name in EMPTY:
        assert codes == {"raster.empty"}
    else:
        assert "raster.unreadable" not in codes


def _obliging(path: Path, city: City, folder: Path) -> tuple[City, RasterContract, Path]:
    """A city round the raster, a contract for its bands, and world file and .prj if it needs."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    copy.with_suffix(".wld").write_text("1\n0\n0\n-1\n500000\n3800000\n")
    copy.with_suffix(".prj").write_text("EPSG:32639")
    bands, dtype = ["gray"], "uint8"
    try:
        with opening.arrival(path, opening.driver_of(path) or "GTiff") as dataset:
            head = header.read(dataset)
    except opening.FAULTS:
        pass
    else:
        names = enumerate(head.interpretations)
        bands = [f"b{n}" if name == "undefined" else name for n, name in names if name != "alpha"]
        dtype = "uint8" if head.dtypes[0] == "uint8" else "float32"
        if head.transform is not None:
            copy.with_suffix(".wld").unlink()
        if head.crs is not None:
            copy.with_suffix(".prj").unlink()
    limits = {"min_pixel_m": 0.0, "max_pixel_m": 1e9}
    contract = RasterContract.model_validate(
        {
            "id": "any",
            "title": {"en": "any", "fa": "any"},
            "description": {"en": "any", "fa": "any"},
            "theme": "any",
            "steward": {"en": "any", "fa": "any"},
            "collection": "any",
            "dtype": dtype,
            "bands": bands,
            "serve": [],
            "encoding": {"compress": "DEFLATE"},
            "limits": limits,
        }
    )
    world = city.extent.model_copy(update={"xmin": -3e7, "ymin": -3e7, "xmax": 3e7, "ymax": 3e7})
    update = {"extent": world, "transformations": _ways(copy, city)}
    return city.model_copy(update=update), contract, copy


def _ways(path: Path, city: City) -> tuple[Transformation, ...]:
    """The first way that EPSG knows from the raster's datum."""
    try:
        with rasterio.open(path) as dataset:
            crs = CRS.from_wkt(dataset.crs.to_wkt())
    except (*opening.FAULTS, AttributeError, CRSError):
        return ()
    source, known = operations.datum(crs).to_epsg(), operations.known(crs, city.crs)
    if source is None or not known:
        return ()
    way = known[0].split()[0]
    return (Transformation(source=f"EPSG:{source}", operation=way, accuracy_m=10.0),)
