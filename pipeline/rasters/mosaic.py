"""One file of all sheets of a layer, because clients are answered 10 to 20 times faster from it.

A VRT of our own writing lays the sheets over each other, later ones on top; the COG is made from
that. Only files that we wrote ourselves stand in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import GuardError
from pipeline.rasters.opening import CACHE_BYTES

_TYPES = {"uint8": "Byte", "float32": "Float32"}
_ON_GRID = 1e-3  # of a pixel


@dataclass(frozen=True, slots=True)
class Tile:
    """One sheet: its file, size in pixels, and north-up transform."""

    path: Path
    width: int
    height: int
    transform: Affine

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """xmin, ymin, xmax, ymax."""
        right, bottom = self.transform @ (self.width, self.height)
        return self.transform.c, bottom, right, self.transform.f


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of the whole: size in pixels, upper left corner, pixel width and height."""

    width: int
    height: int
    left: float
    top: float
    pixel: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Form:
    """What all sheets have in common: type of the pixels, names of the bands, nodata value or
    mask, and the EPSG code of the CRS."""

    dtype: str
    bands: tuple[str, ...]
    nodata: float | None
    mask: bool
    srid: int

    @classmethod
    def of(cls, contract: RasterContract, city: City) -> Form:
        """As a contract wants it."""
        return cls(contract.dtype, contract.bands, contract.nodata, contract.mask, city.srid)


def tile(path: Path) -> Tile:
    """The sheet in ``path``."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), rasterio.open(path, driver="GTiff") as dataset:
        return Tile(path, dataset.width, dataset.height, dataset.transform)


def grid(tiles: list[Tile], most_pixels: int) -> Grid:
    """A grid over all ``tiles`` that continues the one of the finest; GuardError if too large."""
    finest = min(tiles, key=lambda tile: tile.transform.a)
    across, down = finest.transform.a, -finest.transform.e
    bounds = [tile.bounds for tile in tiles]
    # Counted from the finest sheet's corner, so that its pixels stay where they are.
    west = _down((min(b[0] for b in bounds) - finest.transform.c) / across)
    east = _up((max(b[2] for b in bounds) - finest.transform.c) / across)
    north = _down((finest.transform.f - max(b[3] for b in bounds)) / down)
    south = _up((finest.transform.f - min(b[1] for b in bounds)) / down)
    width, height = east - west, south - north
    if width * height > most_pixels:
        raise GuardError(
            f"the sheets span {width * height:,} pixels, at most {most_pixels:,} are taken",
            todo="Look for a sheet that lies far from the others: `makan raster list`.",
        )
    left = finest.transform.c + west * across
    return Grid(width, height, left, finest.transform.f - north * down, (across, down))


def _down(value: float) -> int:
    return math.floor(value + _ON_GRID)


def _up(value: float) -> int:
    return math.ceil(value - _ON_GRID)


def document(tiles: list[Tile], whole: Grid, form: Form) -> str:
    """The VRT document that lays ``tiles`` over each other, the last on top."""
    kind = _TYPES[form.dtype]
    parts = [f'<VRTDataset rasterXSize="{whole.width}" rasterYSize="{whole.height}">']
    parts.append(f"<SRS>EPSG:{form.srid}</SRS>")
    terms = (whole.left, whole.pixel[0], 0, whole.top, 0, -whole.pixel[1])
    parts.append(f"<GeoTransform>{','.join(map(repr, terms))}</GeoTransform>")
    for number, name in enumerate(form.bands, start=1):
        parts.append(f'<VRTRasterBand dataType="{kind}" band="{number}">')
        parts.append(f"<Description>{escape(name)}</Description>")
        parts += _nodata(form)
        parts += _colour(name)
        parts += [_source(one, str(number), whole, _overlay(form)) for one in tiles]
        parts.append("</VRTRasterBand>")
    if form.mask:
        parts.append('<MaskBand><VRTRasterBand dataType="Byte">')
        # Masked pixels of a later sheet must not hide valid ones of an earlier.
        parts += [_source(one, "mask,1", whole, "<NODATA>0</NODATA>") for one in tiles]
        parts.append("</VRTRasterBand></MaskBand>")
    return "\n".join([*parts, "</VRTDataset>"])


def _colour(name: str) -> Iterator[str]:
    if name in ColorInterp.__members__:
        yield f"<ColorInterp>{name.title()}</ColorInterp>"


def _nodata(form: Form) -> Iterator[str]:
    if form.nodata is not None:
        yield f"<NoDataValue>{form.nodata!r}</NoDataValue>"


def _overlay(form: Form) -> str:
    if form.mask:
        return "<UseMaskBand>true</UseMaskBand>"
    return "" if form.nodata is None else f"<NODATA>{form.nodata!r}</NODATA>"


def _source(one: Tile, band: str, whole: Grid, extra: str) -> str:
    """One sheet in one band; resampled only where its pixels do not lie on the grid."""
    column = (one.transform.c - whole.left) / whole.pixel[0]
    row = (whole.top - one.transform.f) / whole.pixel[1]
    width = one.width * one.transform.a / whole.pixel[0]
    height = one.height * -one.transform.e / whole.pixel[1]
    place = [column, row, width, height]
    fits = all(abs(number - round(number)) < _ON_GRID for number in place)
    if fits:
        place = [float(round(number)) for number in place]
    resampling = "" if fits else ' resampling="bilinear"'
    x, y, across, down = (repr(number) for number in place)
    return (
        f"<ComplexSource{resampling}>"
        f'<SourceFilename relativeToVRT="0">{escape(str(one.path))}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" xSize="{one.width}" ySize="{one.height}"/>'
        f'<DstRect xOff="{x}" yOff="{y}" xSize="{across}" ySize="{down}"/>'
        f"{extra}</ComplexSource>"
    )
