"""The images of frames: found by name, and looked at without reading pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from pipeline import geo
from pipeline.contracts.city import City
from pipeline.errors import ArrivalError
from pipeline.findings import Finding
from pipeline.rasters import opening
from pipeline.rasters.opening import FAULTS

_ENDINGS = {".tif", ".tiff", ".jpg", ".jpeg", ".png", ".jp2"}


@dataclass(frozen=True, slots=True)
class Image:
    """A frame's file; ``transform`` and ``crs`` where it claims to lie somewhere."""

    path: Path
    columns: int
    rows: int
    bands: int
    dtype: str
    transform: Affine | None
    crs: CRS | None


def find(
    folder: Path, names: Sequence[str], subject: str
) -> tuple[dict[str, Image], list[Finding]]:
    """Images of ``folder`` (and below) by the frame's name, and what does not match.

    A name is the file's without its ending; the orientation may write it with one.
    """
    if not folder.is_dir():
        raise ArrivalError("no such folder", where=str(folder), todo="Check the path.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    by_name = {path.stem.lower(): path for path in files}
    wanted = {name: by_name.pop(_key(name), None) for name in names}
    findings = [Finding("frame.no_image", subject, key=n) for n, path in wanted.items() if not path]
    findings += [Finding("frame.no_orientation", subject, key=p.name) for p in by_name.values()]
    found = {}
    for name, path in wanted.items():
        if path is None:
            continue
        image = _look(path)
        if isinstance(image, str):
            findings.append(Finding("frame.unreadable", subject, key=path.name, detail=image))
        else:
            found[name] = image
    return found, findings


def _key(name: str) -> str:
    lower = name.lower()
    return next((lower.removesuffix(end) for end in _ENDINGS if lower.endswith(end)), lower)


def _look(path: Path) -> Image | str:
    """The image, or why it cannot be used."""
    driver = opening.driver_of(path)
    if driver is None:
        return f"its first bytes are of none of {opening.TAKEN}"
    try:
        with opening.arrival(path, driver) as dataset:
            crs = CRS.from_wkt(dataset.crs.to_wkt()) if dataset.crs else None
            placed = crs is not None and not dataset.transform.is_identity
            transform = dataset.transform if placed else None
            size = (dataset.width, dataset.height, dataset.count)
            return Image(path, *size, dataset.dtypes[0], transform, crs)
    except FAULTS as error:
        return opening.reason(error, path)


def apart(image: Image, footprint: shapely.Polygon, city: City) -> float:
    """Metres between the image's corners as it claims them and the footprint's, on average.

    Zero would be a frame on flat ground taken straight down.
    """
    if image.transform is None or image.crs is None:
        return float("nan")
    size = np.array([image.columns, image.rows])
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * size
    x, y = image.transform @ corners.T
    claimed = np.column_stack(geo.transformer(image.crs, city.crs).transform(x, y))
    ring = shapely.get_coordinates(footprint)[:-1]
    true = ring[:: len(ring) // 4][:4]
    return float(np.hypot(*(claimed - true).T).mean() * city.metres_per_unit)
