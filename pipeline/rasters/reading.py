"""Which bands of an arriving raster are taken, and what tells its valid pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from pipeline.contracts.raster import RasterContract
from pipeline.findings import Finding
from pipeline.rasters.georeference import Subject
from pipeline.rasters.header import Header
from pipeline.rasters.opening import Dataset

Values = NDArray[Any]  # bands, rows, columns
Valid = NDArray[np.bool_]  # rows, columns

_ALPHA_VALID = 128  # half covered counts as covered
# Colour models that are not one band a colour; their bands cannot simply be taken.
_FOREIGN_COLORS = {
    color.name
    for color in (
        ColorInterp.palette,
        ColorInterp.hue,
        ColorInterp.saturation,
        ColorInterp.lightness,
        ColorInterp.cyan,
        ColorInterp.magenta,
        ColorInterp.yellow,
    )
}
_COLORS = {color.name for color in (ColorInterp.red, ColorInterp.green, ColorInterp.blue)}
_HEIGHT_TYPES = {"int16", "uint16", "int32", "uint32", "float32", "float64"}
_UNIT_NAMES = {"m": {"m", "metre", "meter", "metres", "meters"}}


@dataclass(frozen=True, slots=True)
class Reading:
    """``bands``: 1-based, in the contract's order. ``alpha``: the band that tells valid pixels.

    ``masked``: the file's own mask or the external one tells them. Else ``nodata``, if not None:
    a pixel is invalid when all its bands have that value. NaN is never valid.
    """

    bands: tuple[int, ...]
    dtype: str
    alpha: int | None = None
    masked: bool = False
    nodata: float | None = None

    @property
    def marks_nodata(self) -> bool:
        """Whether anything tells valid pixels from others."""
        return self.masked or self.alpha is not None or self.nodata is not None

    def valid(self, dataset: Dataset, mask: Dataset | None, values: Values, window: Any) -> Valid:
        """Which pixels of ``window`` are valid."""
        if mask is not None:
            told = mask.read(1, window=window) > 0
        elif self.alpha is not None:
            told = dataset.read(self.alpha, window=window) >= _ALPHA_VALID
        elif self.masked:
            told = dataset.read_masks(1, window=window) > 0
        elif self.nodata is not None and not np.isnan(self.nodata):
            told = ~_equal(values, self.nodata).all(axis=0)
        else:
            told = np.ones(values.shape[1:], dtype=np.bool_)
        if np.issubdtype(values.dtype, np.floating):
            told &= ~np.isnan(values).any(axis=0)
        return np.asarray(told, dtype=np.bool_)


def _equal(values: Values, nodata: float) -> NDArray[np.bool_]:
    """Where ``values`` are ``nodata``; a nodata their type cannot hold is nowhere."""
    if np.issubdtype(values.dtype, np.integer):
        limits = np.iinfo(values.dtype)
        if not nodata.is_integer() or not limits.min <= nodata <= limits.max:
            return np.zeros(values.shape, dtype=np.bool_)
    with np.errstate(over="ignore"):
        return np.asarray(values == values.dtype.type(nodata), dtype=np.bool_)


def choose(
    subject: Subject, header: Header, contract: RasterContract, mask: bool, nodata: float | None
) -> tuple[Reading | None, list[Finding]]:
    """How to read the raster, None where its bands do not fit the contract.

    ``mask``: an external mask file is there. ``nodata``: as a person declares it.
    """
    fault = _misfit(header, contract)
    if fault:
        needed = f"{len(contract.bands)} of {contract.dtype} ({', '.join(contract.bands)})"
        return None, [subject.finding("raster.bands", value=fault, detail=needed)]
    findings: list[Finding] = []
    bands = _bands(header, contract)
    dropped = set(range(1, len(header.dtypes) + 1)) - {*bands, header.alpha}
    if dropped:
        names = [f"{band} ({header.interpretations[band - 1]})" for band in sorted(dropped)]
        kept = ", ".join(map(str, bands))
        finding = subject.finding("raster.bands_dropped", value=", ".join(names), detail=kept)
        findings.append(finding)
    if nodata is not None:
        findings.append(subject.finding("raster.nodata_declared", value=f"{nodata:g}"))
    declared = nodata is not None
    reading = Reading(
        bands=bands,
        dtype=contract.dtype,
        alpha=None if declared else header.alpha,
        masked=not declared and (mask or header.masked),
        nodata=nodata if declared else header.nodata,
    )
    return reading, findings


def _misfit(header: Header, contract: RasterContract) -> str | None:
    """What the raster has instead of what the contract needs, None if it fits."""
    count = len(header.dtypes) - (header.alpha is not None)
    dtypes = sorted(set(header.dtypes))
    unwanted = _FOREIGN_COLORS | _COLORS - set(contract.bands)
    foreign = unwanted & set(header.interpretations)
    taken = _HEIGHT_TYPES if contract.dtype == "float32" else {contract.dtype}
    if count < len(contract.bands) or foreign or not set(dtypes) <= taken:
        kind = f" in {', '.join(sorted(foreign))}" if foreign else ""
        return f"{count} band{'s' if count != 1 else ''} of {', '.join(dtypes)}{kind}"
    unit = header.units[_bands(header, contract)[0] - 1]
    if contract.unit and unit and unit.lower() not in _UNIT_NAMES.get(contract.unit, {unit}):
        return f"values in {unit}, not {contract.unit},"
    return None


def _bands(header: Header, contract: RasterContract) -> tuple[int, ...]:
    """By colour where all the contract's colours are named, else the first ones as they come."""
    names = header.interpretations
    if set(contract.bands) <= set(names):
        return tuple(names.index(band) + 1 for band in contract.bands)
    plain = [band for band in range(1, len(names) + 1) if band != header.alpha]
    return tuple(plain[: len(contract.bands)])
