"""Pixels to PNG, JPEG or WebP: an orthophoto as it is, heights as a tinted hillshade."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

# A picture that is sent has no place in it. Once for the process: ``catch_warnings`` is not safe
# among the threads that make pictures.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}

Pixels = NDArray[np.uint8]  # bands, rows, columns
Heights = NDArray[np.float32]  # rows, columns
Known = NDArray[np.bool_]  # rows, columns

_PAPER = 255
_WRITING: dict[str, dict[str, Any]] = {
    "png": {"ZLEVEL": 4},
    "jpeg": {"QUALITY": 85},
    "webp": {"QUALITY": 85},
}
# Low ground to high: the tints of a topographic map, as shares of the believable range.
_STEPS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_TINTS = np.array(
    [[116, 156, 121], [172, 192, 130], [222, 208, 150], [186, 145, 105], [245, 242, 240]]
)
_SUN_AZIMUTH, _SUN_HEIGHT = np.radians(315.0), np.radians(45.0)
_AMBIENT = 0.35


def encode(pixels: Pixels, known: Known, form: str, *, transparent: bool = True) -> bytes:
    """``pixels`` (3, rows, columns) as an image file.

    Where they are not ``known`` the image is transparent, or white like paper where the format
    (JPEG) or the request does not want transparency.
    """
    if not transparent or form == "jpeg":
        return _written(np.where(known, pixels, np.uint8(_PAPER)), form)
    opaque = np.where(known, 255, 0).astype(np.uint8)[np.newaxis]
    return _written(np.concatenate([pixels, opaque]), form)


def lossless(bands: Pixels) -> bytes:
    """Bands that are no colours, to be decoded again: a PNG."""
    return _written(bands, "png")


def _written(bands: Pixels, form: str) -> bytes:
    count, rows, columns = bands.shape
    profile = {
        "driver": form.upper(),
        "dtype": "uint8",
        "count": count,
        "width": columns,
        "height": rows,
        **_WRITING[form],
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as written:
            written.write(bands)
        content: bytes = memory.read()
    return content


def tinted(
    heights: Heights, known: Known, pixel_m: tuple[float, float], believable: tuple[float, float]
) -> Pixels:
    """Heights as a hillshade in map tints, one row and column less on each side.

    ``known`` tells which cells have a height; ``believable`` is the range the tints span.
    """
    west_east = _step(heights, known, (0, 1)) / pixel_m[0]
    south_north = _step(heights, known, (-1, 0)) / pixel_m[1]
    light = _light(west_east, south_north)
    low, high = believable
    share = np.clip((heights[1:-1, 1:-1] - low) / max(high - low, 1.0), 0.0, 1.0)
    bands = [np.interp(share, _STEPS, _TINTS[:, band]) for band in range(3)]
    shaded = np.stack(bands) * (_AMBIENT + (1 - _AMBIENT) * light)
    return np.asarray(np.clip(shaded, 0, 255), dtype=np.uint8)


def _step(heights: Heights, known: Known, toward: tuple[int, int]) -> NDArray[Any]:
    """How much the ground rises over one cell ``toward`` (rows, columns).

    Where a neighbour has no height the cell's own stands in, so that an edge casts no cliff.
    """
    rows, columns = heights.shape
    row, column = toward
    ends = []
    for sign in (1, -1):
        here = np.s_[
            1 + sign * row : rows - 1 + sign * row,
            1 + sign * column : columns - 1 + sign * column,
        ]
        ends.append(np.where(known[here], heights[here], heights[1:-1, 1:-1]))
    return np.asarray((ends[0] - ends[1]) / 2)


def _light(west_east: NDArray[Any], south_north: NDArray[Any]) -> NDArray[Any]:
    """How much light falls on a slope, 0 to 1, with flat ground near 1 (rises per metre given)."""
    steep = np.sqrt(1 + west_east**2 + south_north**2)
    toward = west_east * np.sin(_SUN_AZIMUTH) + south_north * np.cos(_SUN_AZIMUTH)
    falls = (np.sin(_SUN_HEIGHT) - np.cos(_SUN_HEIGHT) * toward) / steep
    return np.asarray(np.clip(falls / np.sin(_SUN_HEIGHT), 0.0, 1.0))
