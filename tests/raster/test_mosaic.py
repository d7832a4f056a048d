"""One file of several sheets: in their place, later ones on top, masks and resolutions joined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import GuardError
from pipeline.rasters import cog, mosaic
from pipeline.rasters.cog import Cog
from pipeline.rasters.inspect import Inspection

Make = Callable[..., Path]
Convert = Callable[..., tuple[Inspection, Cog]]
EAST, NORTH = 488_600.0, 3_833_000.0


def _joined(
    paths: list[Path], contract: RasterContract, city: City, folder: Path
) -> tuple[Any, Any, Affine]:
    tiles = [mosaic.tile(path) for path in paths]
    whole = mosaic.grid(tiles, contract.limits.max_pixels)
    (folder / "whole.vrt").write_text(mosaic.document(tiles, whole, mosaic.Form.of(contract, city)))
    made = cog.write(folder / "whole.vrt", folder / "whole.tif", contract.encoding, driver="VRT")
    with rasterio.open(made.path) as dataset:
        return dataset.read(), dataset.dataset_mask() > 0, dataset.transform


@pytest.fixture
def sheet(
    make: Make, convert: Convert, orthophoto: RasterContract, qom: City
) -> Callable[..., Path]:
    """A sheet of one grey: ``sheet(name, grey, column, row, mask)``, 100 x 100 pixels of 1 m."""

    def made(name: str, grey: int, column: int, row: int, mask: Any = None) -> Path:
        values = np.full((3, 100, 100), grey, np.uint8)
        values[:, 99, 99] = 1  # one even colour would be an empty raster
        transform = Affine(1, 0, EAST + column, 0, -1, NORTH - row)
        path = make(name, values, mask, transform=transform)
        return convert(path, orthophoto, qom)[1].path

    return made


def test_later_sheets_lie_on_top_but_not_their_masked_pixels(
    sheet: Callable[..., Path], orthophoto: RasterContract, qom: City, tmp_path: Path
) -> None:
    mask = np.full((100, 100), 255, np.uint8)
    mask[:, :20] = 0
    under = sheet("a.tif", 60, 0, 0)
    over = sheet("b.tif", 200, 50, 20, mask)
    values, valid, transform = _joined([under, over], orthophoto, qom, tmp_path)
    assert values.shape == (3, 120, 150)
    assert transform == Affine(1, 0, EAST, 0, -1, NORTH)
    assert abs(int(values[0, 60, 30]) - 60) < 4
    assert abs(int(values[0, 60, 60]) - 60) < 4  # under the masked edge of the upper sheet
    assert abs(int(values[0, 60, 90]) - 200) < 4
    assert not valid[110, 60]
    assert not valid[5, 130]
    assert valid.sum() == 100 * 100 + 100 * 80 - 80 * 30


def test_the_finest_sheet_gives_the_grid(
    make: Make, convert: Convert, terrain: RasterContract, qom: City, tmp_path: Path
) -> None:
    east = EAST + 5 + 10 * np.arange(40)
    coarse = np.broadcast_to(900 + 0.01 * (east - EAST), (1, 40, 40)).astype(np.float32)
    east = EAST + 101 + 2 * np.arange(50)
    fine = np.broadcast_to(900 + 0.01 * (east - EAST), (1, 50, 50)).astype(np.float32)
    paths = [
        convert(make(name, values, transform=place), terrain, qom)[1].path
        for name, values, place in (
            ("coarse.tif", coarse, Affine(10, 0, EAST, 0, -10, NORTH)),
            ("fine.tif", fine, Affine(2, 0, EAST + 100, 0, -2, NORTH - 100)),
        )
    ]
    values, valid, transform = _joined(paths, terrain, qom, tmp_path)
    assert transform == Affine(2, 0, EAST, 0, -2, NORTH)
    assert values.shape == (1, 200, 200)
    assert valid.all()
    expected = 900 + 0.01 * (1 + 2 * np.arange(200))
    assert np.abs(values[0] - expected).max() < 0.06  # 10 m cells drawn as 2 m
    assert np.abs(values[0, 50:100, 50:100] - expected[50:100]).max() < 1e-4


def test_gaps_between_sheets_are_no_data(
    make: Make, convert: Convert, terrain: RasterContract, qom: City, plane: Any, tmp_path: Path
) -> None:
    paths = [
        convert(
            make(f"{shift}.tif", plane, transform=Affine(5, 0, EAST + shift, 0, -5, NORTH)),
            terrain,
            qom,
        )[1].path
        for shift in (0, 600)
    ]
    values, valid, _ = _joined(paths, terrain, qom, tmp_path)
    assert values.shape == (1, 60, 200)
    assert valid.sum() == 2 * plane.size
    assert (values[0, :, 80:120] == terrain.nodata).all()


def test_a_sheet_far_away_is_refused(orthophoto: RasterContract) -> None:
    tiles = [
        mosaic.Tile(Path("a.tif"), 1000, 1000, Affine(0.1, 0, east, 0, -0.1, NORTH))
        for east in (EAST, EAST + 1e9)
    ]
    with pytest.raises(GuardError, match="at most"):
        mosaic.grid(tiles, orthophoto.limits.max_pixels)


def test_a_file_name_cannot_write_into_the_document(orthophoto: RasterContract, qom: City) -> None:
    odd = mosaic.Tile(Path("a<b>&c.tif"), 10, 10, Affine(1, 0, EAST, 0, -1, NORTH))
    text = mosaic.document([odd], mosaic.grid([odd], 10_000), mosaic.Form.of(orthophoto, qom))
    assert "a&lt;b&gt;&amp;c.tif" in text
