"""The map of a report: check points with their differences as arrows, over the product itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import from_bounds

from pipeline.rasters.opening import FAULTS
from pipeline.terrain import derived
from pipeline.terrain.grid import Floats

WIDE_MM = 150.0
_HIGH_MM, _LEAST_MM, _ARROW_MM, _MARGIN = 120.0, 50.0, 14.0, 0.08
_DOTS_MM = 6.0  # pixels of the picture in a millimetre
_GREY = 5.0, 98.0  # percentiles between which a shade is stretched


@dataclass(frozen=True, slots=True)
class Arrow:
    """A point and the tip of its arrow, mm from the upper left corner."""

    x: float
    y: float
    u: float
    v: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """A map of ``width`` x ``height`` mm. ``longest`` is the difference (m) that the longest arrow
    shows in ``arrow`` mm, ``picture`` the product as a data URL, None without one."""

    width: float
    height: float
    arrows: list[Arrow]
    longest: float
    arrow: float
    picture: str | None


def sheet(places: Floats, differences: Floats, file: Path | None) -> Sheet:
    """``places`` (n, 2) and ``differences`` (n, 1: upward, or n, 2) in the units of ``file``."""
    low, high = places.min(axis=0), places.max(axis=0)
    size = np.maximum(high - low, max(float((high - low).max()), 1.0) * 0.1)
    middle, size = (low + high) / 2, size * (1 + 2 * _MARGIN)
    mm = min(WIDE_MM / size[0], _HIGH_MM / size[1])
    # The sheet is as wide as the text; what is round the points is shown, too.
    size = np.array([WIDE_MM / mm, max(size[1], _LEAST_MM / mm)])
    west, south = middle - size / 2
    at = (places - (west, south)) * mm
    shown = differences
    if shown.shape[1] == 1:
        shown = np.column_stack([np.zeros(len(shown)), shown[:, 0]])
    longest = float(max(np.hypot(*shown.T).max(), 1e-9))
    tips = at + shown / longest * _ARROW_MM
    tall = float(size[1] * mm)
    arrows = [
        Arrow(round(x, 2), round(tall - y, 2), round(u, 2), round(tall - v, 2))
        for (x, y), (u, v) in zip(at.tolist(), tips.tolist(), strict=True)
    ]
    east, north = west + size[0], south + size[1]
    picture = None if file is None else _picture(file, (west, south, east, north), (WIDE_MM, tall))
    return Sheet(WIDE_MM, round(tall, 2), arrows, longest, _ARROW_MM, picture)


def _picture(
    path: Path, bounds: tuple[float, float, float, float], size: tuple[float, float]
) -> str | None:
    """What the product shows there: its colours, or the shade of its heights."""
    shape = int(size[1] * _DOTS_MM), int(size[0] * _DOTS_MM)
    try:
        with rasterio.open(path) as dataset:
            window = from_bounds(*bounds, transform=dataset.transform)
            how = {"window": window, "boundless": True, "resampling": Resampling.average}
            values = dataset.read(out_shape=(dataset.count, *shape), masked=True, **how)
    except FAULTS:
        return None
    known = ~np.ma.getmaskarray(values).any(axis=0)
    if not known.any():
        return None
    if values.dtype == np.uint8:
        drawn = values.data[:3] if len(values) >= 3 else np.repeat(values.data[:1], 3, axis=0)
    else:
        cell = (bounds[2] - bounds[0]) / shape[1]
        drawn = np.repeat(_shade(values[0], known, cell)[None], 3, axis=0)
    # Paler, so that the arrows stand out; white where nothing is known.
    pale = np.where(known, 96 + drawn.astype(np.float32) * (159 / 255), 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", pale[::-1].transpose(1, 2, 0), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _shade(values: np.ma.MaskedArray, known: NDArray[np.bool_], cell: float) -> NDArray[np.uint8]:
    """A hillshade that is stretched: on even ground it would be all grey."""
    heights = np.where(known, values.filled(np.nan), np.nan).astype(np.float32)
    light = derived.hillshade(heights, cell)[0].astype(np.float32)
    low, high = np.percentile(light[known], _GREY)
    return np.asarray(np.clip((light - low) / max(high - low, 2.0) * 255, 0, 255), dtype=np.uint8)
