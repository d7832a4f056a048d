"""Looks at an arriving raster: header, georeference, then every pixel. Faults are findings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
from pyproj import CRS
from shapely.geometry import MultiPolygon

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.db.sources import MadeOf
from pipeline.errors import ArrivalError
from pipeline.findings import Catalog, Finding
from pipeline.operations import NoOperationError, crs_name
from pipeline.rasters import crs as crses
from pipeline.rasters import georeference, header, opening, plain, reading, sidecars
from pipeline.rasters.georeference import Subject
from pipeline.rasters.header import Header
from pipeline.rasters.opening import FAULTS, Dataset
from pipeline.rasters.placement import Placement, place_findings, settle
from pipeline.rasters.reading import Reading
from pipeline.rasters.scan import Damage, Progress, infinite, scan
from pipeline.rasters.sidecars import Sidecars
from pipeline.rasters.tally import Tally

_MOST_BLOCK_BYTES = 2**30
_MOST_EXPANSION = 20_000  # even a blank raster in ZSTD shrinks less
_SMALL_BYTES = 2**30
_FULL = 0.99
_TOLD = 2  # operations that are named where none is pinned


@dataclass(frozen=True, slots=True)
class Declared:
    """What a person says of a raster, because the file does not."""

    crs: CRS | None = None
    acquired: date | None = None
    nodata: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One file to be taken as one sheet of a raster layer of a city; ``made_of`` the layers that we
    have made it of, if we have."""

    path: Path
    contract: RasterContract
    city: City
    declared: Declared = field(default_factory=Declared)
    made_of: MadeOf | None = None

    @property
    def subject(self) -> Subject:
        """Layer and sheet, which is the file's name without its ending."""
        return Subject(self.contract.id, self.path.stem)

    @property
    def tags(self) -> dict[str, str]:
        """What the COG says of itself."""
        acquired = self.declared.acquired
        return {
            "AREA_OR_POINT": "Area",
            "SHEET": self.path.stem,
            **({"ACQUIRED": acquired.isoformat()} if acquired else {}),
        }

    @property
    def digest(self) -> str:
        """SHA-256 over all that decides how the file is judged and written, but the file."""
        crs = crses.name(self.declared.crs) if self.declared.crs else ""
        parts = [self.contract.digest, str(self.city.srid), crs, repr(self.declared.nodata)]
        parts += [self.city.extent.model_dump_json(), self.city.heights.model_dump_json()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. ``footprint`` is in the city's CRS; ``statistics`` one entry a band."""

    findings: tuple[Finding, ...]
    header: Header | None = None
    placement: Placement | None = None
    beside: Sidecars = field(default_factory=Sidecars)
    statistics: tuple[dict[str, float], ...] = ()
    valid: int = 0
    valid_share: float = 0.0
    footprint: MultiPolygon | None = None

    def accepted(self, catalog: Catalog) -> bool:
        """Whether the raster may be loaded: it was read to the end, and no finding is an error."""
        faults = [f for f in self.findings if catalog.severity(f.code) == "error"]
        return not faults and self.footprint is not None


def inspect(
    job: Job, catalog: Catalog, copy: Path | None = None, progress: Progress | None = None
) -> Inspection:
    """Reads all of ``job``'s file and, if ``copy`` is given, writes the checked copy there.

    Pixels are read only where the header gives no error. Raises ArrivalError if there is no such
    file; ``progress`` is told the pixels read since the last time, and of the whole.
    """
    _must_be_file(job.path)
    driver = opening.driver_of(job.path)
    if driver is None:
        detail = f"its first bytes are of none of {opening.TAKEN}"
        return Inspection((job.subject.finding("raster.unreadable", detail=detail),))
    try:
        with opening.arrival(job.path, driver) as dataset:
            found, plan = _look(job, dataset)
            errors = [f for f in found.findings if catalog.severity(f.code) == "error"]
            if errors or plan is None:
                return found
            return _read(job, dataset, found, plan, copy, progress)
    except FAULTS as error:
        detail = opening.reason(error, job.path)
        return Inspection((job.subject.finding("raster.unreadable", detail=detail),))


def _must_be_file(path: Path) -> None:
    if not path.exists():
        raise ArrivalError("no such file", where=str(path), todo="Check the path.")
    if not path.is_file():
        raise ArrivalError("is no file", where=str(path), todo="Name the raster files themselves.")


def _look(job: Job, dataset: Dataset) -> tuple[Inspection, Reading | None]:
    """Everything that can be said before a pixel is read."""
    head = header.read(dataset)
    beside = sidecars.read(job.path)
    findings = list(_size_findings(job, head))
    subject, contract = job.subject, job.contract
    masked = beside.mask is not None
    plan, more = reading.choose(subject, head, contract, masked, job.declared.nodata)
    findings += more
    place, more = georeference.resolve(subject, head, beside, job.declared.crs)
    findings += more
    placement = None
    if place is not None:
        try:
            placement = settle(place, head, job.city)
        except NoOperationError as error:
            detail = "; ".join(error.known[:_TOLD]) or "none"
            findings.append(subject.finding("raster.datum", crs_name(place.crs), detail))
        else:
            findings += place_findings(subject, placement, head, contract, job.city)
    return Inspection(tuple(findings), head, placement, beside), plan


def _size_findings(job: Job, head: Header) -> Iterator[Finding]:
    most = job.contract.limits.max_pixels
    if head.pixels > most:
        yield job.subject.finding("raster.too_large", value=f"{head.pixels:,}", detail=f"{most:,}")
    size = job.path.stat().st_size
    claimed = head.pixels * len(head.dtypes)
    if claimed > _SMALL_BYTES and claimed / max(size, 1) > _MOST_EXPANSION:
        detail = f"a file of {size:,} bytes claims {claimed:,} values"
        yield job.subject.finding("raster.unreadable", detail=detail)
    if head.block_bytes > _MOST_BLOCK_BYTES:
        detail = f"one block of it holds {head.block_bytes:,} bytes; write it in tiles of 512"
        yield job.subject.finding("raster.unreadable", detail=detail)


def _read(
    job: Job,
    dataset: Dataset,
    found: Inspection,
    plan: Reading,
    copy: Path | None,
    progress: Progress | None,
) -> Inspection:
    """Reads the pixels; ``found`` is what the header gave, without an error."""
    head, placement = found.header, found.placement
    if head is None or placement is None:
        return found
    with ExitStack() as stack:
        mask, fault = _mask(job.subject, found.beside.mask, head, stack)
        if fault is not None:
            return replace(found, findings=(*found.findings, fault))
        sink = None
        if copy is not None:
            size = (head.width, head.height)
            target = plain.creating(copy, job.contract, size, placement.upright, job.tags)
            opened = stack.enter_context(target)
            sink = plain.writer(opened, job.contract, head, placement.turns)
        tally, damage = scan((dataset, mask), head, plan, sink, progress)
    return _judge(job, found, plan, tally, damage)


def _mask(
    subject: Subject, path: Path | None, head: Header, stack: ExitStack
) -> tuple[Dataset | None, Finding | None]:
    """The external mask, open, or why it cannot be used."""
    if path is None:
        return None, None
    if opening.driver_of(path) != "GTiff":
        detail = f"the mask {path.name} is no TIFF"
        return None, subject.finding("raster.unreadable", detail=detail)
    mask = stack.enter_context(opening.arrival(path, "GTiff"))
    if (mask.width, mask.height) != (head.width, head.height):
        detail = f"the mask {path.name} is of another size, {mask.width} x {mask.height}"
        return None, subject.finding("raster.unreadable", detail=detail)
    return mask, None


def _judge(
    job: Job, found: Inspection, plan: Reading, tally: Tally, damage: Damage | None
) -> Inspection:
    if damage is not None:
        pieces = "1 piece" if damage.windows == 1 else f"{damage.windows} pieces"
        why = opening.reason(damage.error, job.path)
        detail = f"{pieces} damaged, the first at {damage.first}: {why}"
        finding = job.subject.finding("raster.unreadable", detail=detail)
        return replace(found, findings=(*found.findings, finding))
    statistics = tuple(tally.statistics.summary())
    findings = (*found.findings, *_value_findings(job, plan, tally, statistics))
    if _is_like_a_frame(job, found, tally):
        findings = (*findings, job.subject.finding("raster.looks_like_frame"))
    footprint = found.placement.in_city(tally) if found.placement else None
    return replace(
        found,
        findings=findings,
        statistics=statistics,
        valid=tally.valid,
        valid_share=tally.valid_share,
        footprint=footprint,
    )


def _is_like_a_frame(job: Job, found: Inspection, tally: Tally) -> bool:
    """Turned, and full to its corners: a picture as the camera took it, placed approximately.

    What was resampled to the ground is north-up, or has empty corners where it was turned.
    """
    transform = found.header.transform if found.header else None
    turned = transform is not None and header.is_rotated(transform)
    return turned and job.contract.unit is None and tally.valid_share > _FULL


def _value_findings(
    job: Job, plan: Reading, tally: Tally, statistics: tuple[dict[str, float], ...]
) -> Iterator[Finding]:
    subject, contract = job.subject, job.contract
    if not statistics or tally.valid_share < contract.limits.min_valid_share:
        detail = f"{tally.valid:,} of {tally.width * tally.height:,} pixels have a value"
        yield subject.finding("raster.empty", detail=detail)
        return
    if contract.unit is None and all(band["min"] == band["max"] for band in statistics):
        values = ", ".join(f"{band['min']:g}" for band in statistics)
        yield subject.finding("raster.empty", detail=f"every pixel is {values}")
    collar = None if plan.marks_nodata else tally.collar()
    if collar is not None:
        share = f"{collar[1]:.0%} of the border"
        yield subject.finding("raster.unchecked_collar", value=collar[0], detail=share)
    low, high = _range(job)
    least = min(band["min"] for band in statistics)
    most = max(band["max"] for band in statistics)
    if least < low or most > high or infinite(tally):
        unit = f" {contract.unit}" if contract.unit else ""
        found = f"{least:g} ... {most:g}"
        yield subject.finding("raster.values", value=found, detail=f"{low:g} ... {high:g}{unit}")


def _range(job: Job) -> tuple[float, float]:
    """Believable values: the contract's, and for terrain the city's heights within them."""
    limits, heights = job.contract.limits, job.city.heights
    low = -np.inf if limits.min_value is None else limits.min_value
    high = np.inf if limits.max_value is None else limits.max_value
    if job.contract.is_terrain:
        low, high = max(low, heights.min), min(high, heights.max)
    return float(low), float(high)
