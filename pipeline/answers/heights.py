"""Ground heights for an answer: read from the elevation model that is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyproj import CRS

from pipeline import geo
from pipeline.answers import sight
from pipeline.answers.refusals import NothingFoundError
from pipeline.contracts.base import Text
from pipeline.contracts.process import Heights
from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.rasters import past
from pipeline.rasters.point import value_at
from pipeline.rasters.shelf import Shelf

HEIGHT, EAST, NORTH, ALONG = "ground_m", "e", "n", "along_m"


def filled(
    home: Path, schemas: Schemas, wanted: Heights, answer: dict[str, Any], day: str | None
) -> dict[str, Any] | None:
    """``answer`` with a height (m) at each of its places, and what follows for the whole line; None
    where the model, or any model, says nothing of them. ``day``: as the latest model not after it.

    Raises NothingFoundError for a day before all models.
    """
    shelf = Shelf(home, wanted.raster)
    served = shelf.served()
    if served is None:
        return None
    places = answer[wanted.of]
    with _opened(home, served, day) as dataset:
        move = geo.transformer(CRS.from_epsg(schemas.city.srid), dataset.crs)
        xs, ys = move.transform([one[EAST] for one in places], [one[NORTH] for one in places])
        found = [value_at(dataset, x, y) for x, y in zip(xs, ys, strict=True)]
    known = [None if values is None else values[0] for values in found]
    if all(height is None for height in known):
        return None
    told = [{**one, HEIGHT: height} for one, height in zip(places, known, strict=True)]
    model = {"model": {"version": served.version}}
    if wanted.sight:
        return {**answer, **sight.told(answer, told, wanted.of), **model}
    return {**answer, wanted.of: told, **_summary(told), **model}


@contextmanager
def _opened(home: Path, served: ServedRaster, day: str | None) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            when = past.When(None, day) if day else None
            dataset = stack.enter_context(past.opened(home, served, when))
        except past.NoSuchTimeError as error:
            persian = f"از آن زمان چیزی نیست؛ زمان‌های موجود: {'، '.join(error.days)}"
            raise NothingFoundError(Text(en=str(error), fa=persian), error.days) from None
        yield dataset


def _summary(places: list[dict[str, Any]]) -> dict[str, Any]:
    """Lowest and highest (m), climb and fall along the way (m), the steepest step (percent)."""
    known = [one for one in places if one[HEIGHT] is not None]
    steps = [
        (b[HEIGHT] - a[HEIGHT], b[ALONG] - a[ALONG])
        for a, b in pairwise(places)
        if a[HEIGHT] is not None and b[HEIGHT] is not None and b[ALONG] > a[ALONG]
    ]
    steepest = max((abs(rise) / run for rise, run in steps), default=None)
    return {
        "lowest_m": min(one[HEIGHT] for one in known),
        "highest_m": max(one[HEIGHT] for one in known),
        "climb_m": round(sum(rise for rise, _ in steps if rise > 0), 3),
        "fall_m": round(-sum(rise for rise, _ in steps if rise < 0), 3),
        "steepest_pct": None if steepest is None else round(100 * steepest, 2),
        "without_height": len(places) - len(known),
    }
