"""Where a raster lies: what it says itself, what the files beside it say, what a person declares.

Everything that speaks is heard; where two disagree the raster is refused, because to choose is to
guess. Where they agree the embedded word counts, since it has the most digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from affine import Affine
from pyproj import CRS

from pipeline.findings import Finding
from pipeline.rasters import crs as crses
from pipeline.rasters.header import Header, pixel_size
from pipeline.rasters.sidecars import Sidecars

# Of a pixel, at the corners. Half a pixel is the classic confusion of pixel centre and corner;
# a world file with six decimals stays far below.
_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Georeference:
    """Pixel corners (column, row) to coordinates; the horizontal CRS; the vertical one, if any."""

    transform: Affine
    crs: CRS
    vertical: CRS | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Which layer and sheet findings are about."""

    layer: str
    sheet: str

    def finding(self, code: str, value: str | None = None, detail: str | None = None) -> Finding:
        """A finding about this sheet."""
        return Finding(code, self.layer, key=self.sheet, value=value, detail=detail)


def resolve(
    subject: Subject, header: Header, beside: Sidecars, declared: CRS | None
) -> tuple[Georeference | None, list[Finding]]:
    """The georeference, None where it is missing; and what was found on the way."""
    findings = [subject.finding("raster.unreadable", detail=fault) for fault in beside.faults]
    transforms = _spoken("embedded", header.transform, beside.transforms)
    claims = _spoken("embedded", header.crs, beside.crses)
    findings += _transform_conflicts(subject, header, transforms)
    findings += _crs_conflicts(subject, claims, declared)
    if not transforms:
        findings.append(subject.finding("raster.georeference_missing"))
    crs = next(iter(claims.values()), None)
    if crs is None and declared is not None:
        findings.append(subject.finding("crs.assumed", value=crses.name(declared)))
        crs = declared
    ground = crses.horizontal(crs) if crs is not None else None
    if ground is None:
        findings.append(subject.finding("raster.crs_missing"))
    if crs is None or ground is None or not transforms:
        return None, findings
    first = next(iter(transforms.values()))
    return Georeference(first, ground, crses.vertical(crs)), findings


def _spoken[Word](name: str, own: Word | None, beside: dict[str, Word]) -> dict[str, Word]:
    return beside if own is None else {name: own, **beside}


def _transform_conflicts(
    subject: Subject, header: Header, transforms: dict[str, Affine]
) -> Iterator[Finding]:
    words = list(transforms.items())
    for name, other in words[1:]:
        apart = apart_in_pixels(words[0][1], other, header.width, header.height)
        if apart > _TOLERANCE:
            detail = f"{name} and {words[0][0]}: {apart:.3g} pixels apart"
            yield subject.finding("raster.georeference_conflict", detail=detail)


def apart_in_pixels(one: Affine, other: Affine, width: int, height: int) -> float:
    """The largest distance between the corners of an image placed by each, in pixels of ``one``."""
    pixel = min(pixel_size(one))
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    return max(math.dist(one @ corner, other @ corner) for corner in corners) / pixel


def _crs_conflicts(
    subject: Subject, claims: dict[str, CRS], declared: CRS | None
) -> Iterator[Finding]:
    words = list(claims.values())
    others = words[1:] + ([declared] if declared is not None and words else [])
    for other in others:
        one, two = crses.horizontal(words[0]), crses.horizontal(other)
        if one is None or two is None or not crses.same(one, two):
            names = crses.name(words[0]), crses.name(other)
            yield subject.finding("raster.crs_conflict", value=names[0], detail=names[1])
