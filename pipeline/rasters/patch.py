"""A city's COG after some of its sheets have changed: the tiles they touch are encoded anew, all
others are copied as the bytes they are.

The new file has the directories of the old one, with other numbers in them, and its tiles in the
same order. Where that cannot be (another size, other JPEG tables, ...) ``patched`` says so, and
all of it must be written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.windows import Window

from pipeline.contracts.raster import RasterContract
from pipeline.rasters import tiff
from pipeline.rasters.opening import CACHE_BYTES
from pipeline.rasters.tiff import Directory

Bounds = tuple[float, float, float, float]
_GHOST = b"BLOCK_LEADER=SIZE_AS_UINT4\nBLOCK_TRAILER=LAST_4_BYTES_REPEATED"
_FINER = 4
_BESIDE = 8  # bytes between two tiles: the trailer of one, the leader of the next
_ENVIRONMENT = {
    "GDAL_TIFF_INTERNAL_MASK": True,
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_PAM_ENABLED": "NO",
}
_COMPRESSION = {"JPEG": {"compress": "JPEG", "photometric": "YCBCR"}}

Key = tuple[int, int]  # the directory's and the tile's number


@dataclass(frozen=True, slots=True)
class _Place:
    """A tile in the file that is copied: where and how long."""

    key: Key
    offset: int
    size: int


def patched(
    old: Path, whole: Path, changed: list[Bounds], contract: RasterContract, target: Path
) -> bool:
    """Writes ``old`` with what is in the boxes ``changed`` (its CRS) taken from ``whole``, a VRT of
    the same cells; False, and nothing written, where only the whole can be."""
    found = _Old.of(old)
    with rasterio.open(whole, driver="VRT") as source, rasterio.open(old, driver="GTiff") as was:
        alike = (source.width, source.height) == (was.width, was.height)
        if found is None or not alike or not source.transform.almost_equals(was.transform, 1e-6):
            return False
    new: dict[Key, bytes] = {}
    for level, size in enumerate(found.sizes):
        for window in _windows(found, changed, size, contract.encoding.blocksize):
            part = target.with_name(f"part-{level}.tif")
            _encode(whole, window, found.sizes[0], size, (contract, part))
            if not found.takes(part, window, level, contract.encoding.blocksize, new):
                return False
            part.unlink()
    return found.write(target, new)


def _windows(
    found: _Old, changed: list[Bounds], size: tuple[int, int], side: int
) -> Iterator[Window]:
    """Whole tiles of a level that the boxes touch."""
    columns, rows = size
    west, north, across, down = found.place
    scale = found.sizes[0][0] / columns, found.sizes[0][1] / rows
    for left, bottom, right, top in changed:
        x = np.array([left - west, right - west]) / (across * scale[0])
        y = np.array([north - top, north - bottom]) / (down * scale[1])
        first = max(int((x[0] - 1) // side), 0) * side, max(int((y[0] - 1) // side), 0) * side
        end = min(_up(x[1] + 1, side), columns), min(_up(y[1] + 1, side), rows)
        if first[0] < end[0] and first[1] < end[1]:
            yield Window(first[0], first[1], end[0] - first[0], end[1] - first[1])


def _up(value: float, side: int) -> int:
    return int(-(-value // side)) * side


def _encode(
    whole: Path,
    window: Window,
    full: tuple[int, int],
    size: tuple[int, int],
    into: tuple[RasterContract, Path],
) -> None:
    """A window of a level as a file of its own, encoded as the COG is."""
    contract, part = into
    encoding = contract.encoding
    profile: dict[str, Any] = {
        "driver": "GTiff", "width": window.width, "height": window.height,
        "count": len(contract.bands), "dtype": contract.dtype, "nodata": contract.nodata,
        "tiled": True, "blockxsize": encoding.blocksize, "blockysize": encoding.blocksize,
        "interleave": "pixel", "compress": encoding.compress,
        # Said lest rasterio warn; nobody asks the file where it is.
        "transform": Affine.translation(1, 1),
        **_COMPRESSION.get(encoding.compress, {}),
    }  # fmt: skip
    if encoding.quality is not None:
        profile |= {"jpeg_quality": encoding.quality, "webp_level": encoding.quality}
    if encoding.compress in ("DEFLATE", "ZSTD"):
        profile["predictor"] = encoding.predictor
    across, down = full[0] / size[0], full[1] / size[1]
    with (
        rasterio.Env(**_ENVIRONMENT),
        rasterio.open(whole, driver="VRT") as source,
        rasterio.open(part, "w", **profile) as made,
    ):
        finer = min(_FINER, round(across))
        step = _FINER * encoding.blocksize // finer
        for row in range(0, int(window.height), step):
            rows = min(step, int(window.height) - row)
            read = Window(
                window.col_off * across, (window.row_off + row) * down,
                window.width * across, rows * down,
            )  # fmt: skip
            shape = (rows, int(window.width))
            there = Window(0, row, window.width, rows)
            if contract.mask:
                valid = source.read_masks(1, window=read, out_shape=shape)
                made.write_mask(valid, window=there)
            made.write(_values(source, read, shape, contract, finer=finer), window=there)


def _values(
    source: Any, window: Window, shape: tuple[int, int], contract: RasterContract, *, finer: int
) -> Any:
    """Values of a window in ``shape``: means of ``finer`` x ``finer`` of a finer level, since the
    sheets' own overviews have been encoded once already, their colours at half the resolution."""
    how = {"window": window, "resampling": Resampling[contract.encoding.resampling]}
    if finer == 1:
        return source.read(out_shape=(source.count, *shape), **how)
    rows, columns = shape
    many = (finer * rows, finer * columns)
    values = source.read(out_shape=(source.count, *many), **how)
    weight = (source.read_masks(1, window=window, out_shape=many) > 0).astype(np.float32)
    total = (values * weight).reshape(-1, rows, finer, columns, finer).sum(axis=(2, 4))
    share = weight.reshape(rows, finer, columns, finer).sum(axis=(1, 3))
    nothing = 0 if contract.nodata is None else contract.nodata
    found = np.where(share > 0, total / np.maximum(share, 1), nothing)
    if contract.dtype == "uint8":
        found = np.clip(np.rint(found), 0, 255)
    return found.astype(contract.dtype)


@dataclass(frozen=True, slots=True)
class _Old:
    """The file that is patched. ``levels``: the numbers of the picture's directory and of its
    mask's, full size first; ``tiles`` in the order of the file."""

    path: Path
    directories: list[Directory]
    levels: list[tuple[int, int | None]]
    tiles: list[_Place]
    place: tuple[float, float, float, float]

    @classmethod
    def of(cls, path: Path) -> _Old | None:
        """The file, None if its tiles do not lie as GDAL's COG driver lays them."""
        try:
            found = tiff.directories(path)
        except (ValueError, OSError):
            return None
        pictures = [n for n, one in enumerate(found) if not one.is_mask]
        masks = {one.size: n for n, one in enumerate(found) if one.is_mask}
        levels = [(n, masks.get(found[n].size)) for n in pictures]
        tiles = [
            _Place((n, tile), int(offset), int(size))
            for n, one in enumerate(found)
            for tile, (offset, size) in enumerate(
                zip(one.whole(tiff.OFFSETS), one.whole(tiff.COUNTS), strict=True)
            )
        ]
        tiles.sort(key=lambda tile: tile.offset)
        beside = {b.offset - a.offset - a.size for a, b in pairwise(tiles)}
        with path.open("rb") as stream:
            ghost = _GHOST in stream.read(400)
        if not ghost or beside - {_BESIDE} or not tiles[0].offset:
            return None
        with rasterio.open(path, driver="GTiff") as dataset:
            t = dataset.transform
        return cls(path, found, levels, tiles, (t.c, t.f, t.a, -t.e))

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Columns and rows of the levels."""
        return [self.directories[n].size for n, _ in self.levels]

    def takes(
        self, part: Path, window: Window, level: int, side: int, new: dict[Key, bytes]
    ) -> bool:
        """Adds the tiles of ``part`` to ``new``; False if they would not be read right here."""
        ours = self.levels[level]
        theirs: list[Directory | None] = [None, None]
        for one in tiff.directories(part):
            theirs[int(one.is_mask)] = one
        across = -(-self.sizes[level][0] // side)
        columns = -(-int(window.width) // side)
        first = int(window.row_off) // side, int(window.col_off) // side
        with part.open("rb") as stream:
            for number, made in zip(ours, theirs, strict=True):
                if number is None and made is None:
                    continue
                if number is None or made is None or not self._same_tables(number, made):
                    return False
                spots = zip(made.whole(tiff.OFFSETS), made.whole(tiff.COUNTS), strict=True)
                for tile, (offset, size) in enumerate(spots):
                    row, column = divmod(tile, columns)
                    stream.seek(int(offset))
                    key = number, (first[0] + row) * across + first[1] + column
                    new[key] = stream.read(int(size))
                    if not new[key]:
                        return False
        return True

    def _same_tables(self, number: int, made: Directory) -> bool:
        ours, theirs = self.directories[number].tags.get(tiff.TABLES), made.tags.get(tiff.TABLES)
        if ours is None or theirs is None:
            return ours is theirs
        return ours.values.tobytes() == theirs.values.tobytes()

    def write(self, target: Path, new: dict[Key, bytes]) -> bool:
        """The file with the tiles ``new`` in the places of those it has."""
        begin = self.tiles[0].offset - 4
        offsets = [one.whole(tiff.OFFSETS) for one in self.directories]
        counts = [one.whole(tiff.COUNTS) for one in self.directories]
        at = begin
        for tile in self.tiles:
            size = len(new[tile.key]) if tile.key in new else tile.size
            offsets[tile.key[0]][tile.key[1]] = at + 4
            counts[tile.key[0]][tile.key[1]] = size
            at += size + _BESIDE
        for one, places, sizes in zip(self.directories, offsets, counts, strict=True):
            if not one.tags[tiff.OFFSETS].holds(places) or not one.tags[tiff.COUNTS].holds(sizes):
                return False
        with self.path.open("rb") as old, target.open("wb") as made:
            made.write(old.read(begin))
            for tile in self.tiles:
                _tile(old, made, tile, new.get(tile.key))
            for one, places, sizes in zip(self.directories, offsets, counts, strict=True):
                for tag, values in ((tiff.OFFSETS, places), (tiff.COUNTS, sizes)):
                    made.seek(one.tags[tag].place)
                    made.write(values.astype(one.tags[tag].dtype).tobytes())
        return True


def _tile(old: BinaryIO, made: BinaryIO, tile: _Place, content: bytes | None) -> None:
    """One tile with what stands before and after it."""
    if content is None:
        old.seek(tile.offset)
        content = old.read(tile.size)
    made.write(struct.pack("<I", len(content)))
    made.write(content)
    made.write(content[-4:])
