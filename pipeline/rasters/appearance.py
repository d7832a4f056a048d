"""How good a picture looks, in numbers: sharpness, clipped tones, holes. Needs no ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from pipeline.errors import ArrivalError
from pipeline.rasters.opening import FAULTS, reason

_CHIP, _CHIPS = 512, 25
_LONGEST = 2048  # of the reduced picture in which tones and holes are counted
_DARK, _BRIGHT = 1, 254
_FEW = 3  # sheets from which one can stand out


@dataclass(frozen=True, slots=True)
class Appearance:
    """``sharpness`` is the variance of details up to a pixel by that of details of one to two: it
    does not depend on contrast, and falls when a picture is blurred; None where no chip is whole.
    Shares are of valid pixels; they and the sharpness are None where values are no tones. ``holes``
    are invalid places with valid ones all round."""

    file: str
    pixel_m: float
    sharpness: float | None
    dark_share: float | None
    bright_share: float | None
    holes: int
    hole_m2: float
    valid_share: float


def of(path: Path) -> Appearance:
    """What can be said of the picture in ``path``; ArrivalError if it cannot be read."""
    try:
        with rasterio.open(path) as dataset:
            return _of(path, dataset)
    except FAULTS as error:
        raise ArrivalError(f"cannot be read: {reason(error, path)}", where=path.name) from None


def _of(path: Path, dataset: Any) -> Appearance:
    coarser = max(-(-max(dataset.width, dataset.height) // _LONGEST), 1)
    shape = (-(-dataset.height // coarser), -(-dataset.width // coarser))
    valid = dataset.read_masks(1, out_shape=shape) > 0
    dark, bright = _clipped(dataset, shape, valid)
    holes, cells = _holes(valid)
    unit = dataset.crs.linear_units_factor[1] if dataset.crs and dataset.crs.is_projected else 1.0
    area = abs(dataset.transform.a * dataset.transform.e) * unit**2
    return Appearance(
        path.name, round(float(np.sqrt(area)), 4),
        None if dark is None else _sharpness(dataset), dark, bright, holes,
        round(cells * area * coarser**2, 2), round(float(valid.mean()), 5),
    )  # fmt: skip


def _clipped(
    dataset: Any, shape: tuple[int, int], valid: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Shares of dark and bright pixels; heights have no tones."""
    if dataset.dtypes[0] != "uint8":
        return None, None
    # Nearest, since a mean of clipped pixels is not clipped.
    values = dataset.read(out_shape=(dataset.count, *shape), resampling=Resampling.nearest)
    count = max(int(valid.sum()), 1)
    shares = [
        float(far.all(axis=0)[valid].sum() / count) for far in (values <= _DARK, values >= _BRIGHT)
    ]
    return round(shares[0], 5), round(shares[1], 5)


def _holes(valid: NDArray[np.bool_]) -> tuple[int, int]:
    """How many invalid places lie inside, and of how many cells."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~valid).astype(np.uint8))
    edge = {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]}
    inside = [n for n in range(1, count) if n not in edge]
    return len(inside), int(stats[inside, cv2.CC_STAT_AREA].sum()) if inside else 0


def _sharpness(dataset: Any) -> float | None:
    """The median over chips that are whole, spread over the picture."""
    side = min(_CHIP, dataset.width, dataset.height)
    along = int(np.sqrt(_CHIPS))
    found = []
    for row in np.linspace(0, dataset.height - side, along).astype(int):
        for column in np.linspace(0, dataset.width - side, along).astype(int):
            window = Window(column, row, side, side)
            if (dataset.read_masks(1, window=window) > 0).all():
                grey = dataset.read(window=window).astype(np.float32).mean(axis=0)
                if grey.std() > 1:
                    found.append(_detail(grey))
    return round(float(np.median(found)), 3) if found else None


def _detail(grey: NDArray[np.float32]) -> float:
    once = cv2.GaussianBlur(grey, (0, 0), 1.0)
    twice = cv2.GaussianBlur(grey, (0, 0), 2.0)
    return float((grey - once).var() / max(float((once - twice).var()), 1e-9))


def blurred(found: list[Appearance], beyond: float = 3.5) -> list[str]:
    """Files that are less sharp than their block by more than ``beyond`` robust deviations."""
    known = [(one.file, one.sharpness) for one in found if one.sharpness is not None]
    if len(known) < _FEW:
        return []
    values = np.log([value for _, value in known])
    middle = np.median(values)
    usual = max(1.4826 * float(np.median(np.abs(values - middle))), 0.05)
    return [name for (name, _), value in zip(known, values, strict=True)
            if (middle - value) / usual > beyond]  # fmt: skip
