"""A delivery with faults of every sort, in the forms that offices send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely

from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.stages import load as loading
from pipeline.stages.outcome import Outcome

EAST, NORTH = 488_000.0, 3_833_000.0
EVIL = "<script>alert('x')</script> \"&"


def square(number: float, size: float = 100.0) -> shapely.Polygon:
    """A square of the city, the ``number``-th to the east."""
    return shapely.box(EAST + 200 * number, NORTH, EAST + 200 * number + size, NORTH + size)


def bow_tie(number: float) -> shapely.Polygon:
    """A ring that crosses itself: half of its area changes in any repair."""
    x = EAST + 200 * number
    return shapely.Polygon(
        [(x, NORTH), (x + 100, NORTH + 100), (x + 100, NORTH), (x, NORTH + 100), (x, NORTH)]
    )


def nicked(number: float) -> shapely.Polygon:
    """A square with a tiny loop at a corner: repaired without loss."""
    x = EAST + 200 * number
    return shapely.Polygon(
        [(x, NORTH), (x + 100, NORTH), (x + 100, NORTH + 100), (x + 1, NORTH + 100),
         (x - 1, NORTH + 99), (x - 1, NORTH + 100), (x, NORTH + 99)]
    )  # fmt: skip


Row = tuple[str | None, str | None, Any]


def regions(path: Path, rows: list[Row]) -> Path:
    """A delivery of regions: code, name, shape."""
    feed = registry.load("qom").feed("regions")
    names = {column.to: column.sources[0] for column in feed.columns if column.sources}
    code, name = names["region_code"], names["name_fa"]
    values = {
        **dict.fromkeys(names.values()),
        code: [r[0] for r in rows],
        name: [r[1] for r in rows],
    }
    frame = geopandas.GeoDataFrame(values, geometry=[r[2] for r in rows], crs=32639)
    frame.to_file(path, driver="GPKG", layer=feed.source.sheet)
    return path


@pytest.fixture
def load() -> Callable[[Database, Path, str], Outcome]:
    """Loads one file of a feed."""

    def run(database: Database, path: Path, feed: str = "regions") -> Outcome:
        context = loading.context_for(registry.load(database.settings.city), feed)
        return loading.load(database, path, context, batch_rows=10_000, progress=lambda *_: None)

    return run


@pytest.fixture
def faulty(
    database: Database, tmp_path: Path, load: Callable[..., Outcome]
) -> tuple[Database, int]:
    """One run: 2 good rows, 1 repaired, 5 set aside."""
    path = regions(
        tmp_path / "manategh.gpkg",
        [
            ("1", "یک", square(0)),
            ("02", "دو", square(1)),
            ("3", "سه", nicked(2)),
            (None, EVIL, square(3)),
            ("007", "هفت", bow_tie(4)),
            ("6", "شش", None),
            ("08", "۰۸", square(5)),
            ("08", "هشت دوم", square(6)),
        ],
    )
    outcome = load(database, path)
    assert outcome.run
    assert (outcome.account.inserted, outcome.account.quarantined) == (3, 5), outcome
    return database, outcome.run
