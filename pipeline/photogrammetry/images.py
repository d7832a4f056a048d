"""The images of frames: found by name, and looked at without reading pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

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
from pipeline.spread import store

_ENDINGS = {".tif", ".tiff", ".jpg", ".jpeg", ".png", ".jp2"}


@dataclass(frozen=True, slots=True)
class Image:
    """A frame's file, by path or address; ``transform`` and ``crs`` where it claims to lie
    somewhere."""

    place: str
    columns: int
    rows: int
    bands: int
    dtype: str
    transform: Affine | None
    crs: CRS | None

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.place).name


def find(folder: str, names: Sequence[str], subject: str) -> tuple[dict[str, Image], list[Finding]]:
    """Images of ``folder`` (and below) by the frame's name, and what does not match.

    A name is the file's without its ending; the orientation may write it with one.
    """
    if not store.is_address(folder) and not Path(folder).is_dir():
        raise ArrivalError("no such folder", where=folder, todo="Check the path.")
    by_name = {
        PurePosixPath(place).stem.lower(): place
        for place in store.found(folder)
        if PurePosixPath(place).suffix.lower() in _ENDINGS
    }
    wanted = {name: by_name.pop(_key(name), None) for name in names}
    findings = [Finding("frame.no_image", subject, key=n) for n, got in wanted.items() if not got]
    spare = (PurePosixPath(place).name for place in by_name.values())
    findings += [Finding("frame.no_orientation", subject, key=name) for name in spare]
    found = {}
    for name, place in wanted.items():
        if place is None:
            continue
        image = _look(place)
        if isinstance(image, str):
            key = PurePosixPath(place).name
            findings.append(Finding("frame.unreadable", subject, key=key, detail=image))
        else:
            found[name] = image
    return found, findings


def _key(name: str) -> str:
    lower = name.lower()
    return next((lower.removesuffix(end) for end in _ENDINGS if lower.endswith(end)), lower)


def _look(place: str) -> Image | str:
    """The image, or why it cannot be used; of a file at an address only the header is fetched."""
    try:
        with store.opened(place) as stream:
            driver = opening.driver_of_head(stream.read(opening.HEAD))
        if driver is None:
            return f"its first bytes are of none of {opening.TAKEN}"
        system, path = store.reached(place) if store.is_address(place) else (None, place)
        return _described(place, Path(path), driver, system)
    except FAULTS as error:
        return opening.reason(error, Path(place))


def _described(place: str, path: Path, driver: str, system: Any) -> Image:
    with opening.arrival(path, driver, system) as dataset:
        crs = CRS.from_wkt(dataset.crs.to_wkt()) if dataset.crs else None
        placed = crs is not None and not dataset.transform.is_identity
        transform = dataset.transform if placed else None
        size = (dataset.width, dataset.height, dataset.count)
        return Image(place, *size, dataset.dtypes[0], transform, crs)


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
