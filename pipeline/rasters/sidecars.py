"""The files beside a raster that belong to it: world file, .prj, .aux.xml and the mask .msk.

They are read here and not by GDAL, which would open a mask or overview file with any driver,
one that follows links to the network too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from affine import Affine
from pyproj import CRS

from pipeline.rasters import crs as crses
from pipeline.rasters import worldfile

_MOST_BYTES = 2**20
_Reading = tuple[Affine | None, CRS | None]


@dataclass(frozen=True, slots=True)
class Sidecars:
    """What was found: transforms and CRSs by file name; ``faults`` say what cannot be read."""

    files: tuple[Path, ...] = ()
    transforms: dict[str, Affine] = field(default_factory=dict)
    crses: dict[str, CRS] = field(default_factory=dict)
    mask: Path | None = None
    faults: tuple[str, ...] = ()


def read(path: Path) -> Sidecars:
    """Everything beside ``path`` that speaks of it."""
    transforms: dict[str, Affine] = {}
    found: dict[str, CRS] = {}
    faults: list[str] = []
    present = [(file, reader) for file, reader in _candidates(path) if file is not None]
    for file, reader in present:
        try:
            transform, crs = reader(_text(file))
        except (ValueError, OSError, ET.ParseError) as error:
            faults.append(f"{file.name}: {error}")
            continue
        if transform is not None:
            transforms[file.name] = transform
        if crs is not None:
            found[file.name] = crs
    mask = worldfile.sibling(path, (".msk",))
    files = [file for file, _ in present] + ([mask] if mask else [])
    return Sidecars(tuple(files), transforms, found, mask, tuple(faults))


def _candidates(path: Path) -> tuple[tuple[Path | None, Callable[[str], _Reading]], ...]:
    return (
        (worldfile.sibling(path, (".aux.xml",)), _aux),
        (worldfile.find(path), lambda text: (worldfile.parse(text), None)),
        (worldfile.sibling(path, (".prj",)), _projection),
        (worldfile.sibling(path, (".wkt",)), _projection),
    )


def _text(file: Path) -> str:
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError("is too long to be what its name says")
    return file.read_bytes().decode("utf-8-sig", errors="replace")


def _projection(text: str) -> _Reading:
    found = crses.from_text(text)
    if found is None:
        raise ValueError("names no CRS that is known")
    return None, found


def _aux(text: str) -> _Reading:
    """GDAL's .aux.xml, of which only the georeference is heard."""
    root = ET.fromstring(text)  # noqa: S314 - bounded in size; expat limits expansion
    srs, numbers = root.findtext("SRS"), root.findtext("GeoTransform")
    transform = None
    if numbers:
        terms = [float(term) for term in numbers.split(",")]
        if len(terms) != 6:
            raise ValueError(f"its GeoTransform has {len(terms)} numbers instead of 6")
        transform = Affine.from_gdal(*terms)
    return transform, _projection(srs)[1] if srs else None
