"""Profile: what a delivery looks like as a whole, to be compared with the next one of its feed."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS

from pipeline.geo import Floats
from pipeline.stages import header
from pipeline.stages.batch import Found, Raw
from pipeline.stages.context import Context
from pipeline.stages.flatten import Heights
from pipeline.stages.judge import Judged, drawn

Bounds = tuple[float, float, float, float]


# A street more at the city's edge is no shift of its extent.
_MARGIN_M = 100.0


@dataclass(frozen=True)
class Known:
    """A profile as the ledger keeps it.

    ``columns`` are the source's, name: type as read. ``nulls`` count the rows in which a mapped
    column is empty, of ``rows``. ``extent`` is of the rows' first points, in the city's CRS,
    ``measure`` the sum of areas in m2 or of lengths in m. ``whole``: a full delivery.
    """

    columns: dict[str, str]
    rows: int
    nulls: dict[str, int]
    extent: Bounds | None
    measure: float | None
    whole: bool

    @classmethod
    def read(cls, stored: Any) -> Known | None:
        """What the ledger has; None for runs from before profiles were kept."""
        if stored is None:
            return None
        extent = stored["extent"]
        return cls(**{**stored, "extent": None if extent is None else tuple(extent)})

    def stored(self) -> dict[str, Any]:
        """As the ledger takes it."""
        return asdict(self)


@dataclass
class Profile:
    """Grows batch by batch; ``former`` is that of the feed's last delivery.

    What rows that came as before measure together is known from the delivery they came with; all
    else is of every row that arrived. ``crs`` is that of the file's coordinates.
    """

    context: Context
    former: Known | None = None
    crs: CRS | None = None
    columns: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    outside: int = 0
    size: float = 0.0
    high: int = 0
    _heights: Heights = field(default_factory=Heights)
    _nulls: Counter[str] = field(default_factory=Counter)
    _low: Floats = field(default_factory=lambda: np.full(2, np.inf))
    _high: Floats = field(default_factory=lambda: np.full(2, -np.inf))

    def arrived(self, raw: Raw) -> None:
        """Remembers the source's columns, counts what is empty, and where the rows lie."""
        if not self.columns:
            self.columns = {column.name: str(column.type) for column in raw.columns.schema}
        self.rows += len(raw.lines)
        for column in self.context.columns:
            for name in column.sources:
                self._nulls[name] += _empty(raw.columns.column(name))
        if raw.wkb is not None:
            self.high += header.with_heights(raw.wkb)
        if self.crs is not None:
            self._place(raw, self.crs)

    def _place(self, raw: Raw, crs: CRS) -> None:
        """One point of each row; those beyond the city are set aside anyway."""
        city = self.context.city
        if raw.wkb is None:
            points, _ = drawn(raw, self.context, crs)
            xy = shapely.get_coordinates(points)
        else:
            xy = header.first_points(raw.wkb)
        xy = city.operation(crs).points(xy)
        west, south, east, north = city.extent.bounds
        # Axis by axis: numpy takes ten times as long for pairs.
        x, y = xy[:, 0], xy[:, 1]
        with np.errstate(invalid="ignore"):
            inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
        x, y = x[inside], y[inside]
        if not len(x):
            return
        self._low = np.minimum(self._low, (x.min(), y.min()))
        self._high = np.maximum(self._high, (x.max(), y.max()))
        if self.former is not None and self.former.extent is not None:
            margin = _MARGIN_M / city.metres_per_unit
            west, south, east, north = self.former.extent
            out = (x < west - margin) | (x > east + margin)
            out |= (y < south - margin) | (y > north + margin)
            self.outside += int(out.sum())

    def judged(self, judged: Judged) -> None:
        """Takes in what was measured of a batch that was judged."""
        self._heights += judged.heights
        if judged.sizes is not None:
            self.size += float(judged.sizes.sum())

    @property
    def unit(self) -> str:
        """Of the measure."""
        geometry = self.context.layer.geometry
        return "m2" if geometry is not None and geometry.type.endswith("Polygon") else "m"

    def known(self) -> Known:
        """The whole, once every batch is in."""
        return Known(
            self.columns,
            self.rows,
            dict(self._nulls),
            self._extent(),
            round(self.size, 3) or None,
            self.context.feed.delivery == "full",
        )

    def _extent(self) -> Bounds | None:
        (west, south), (east, north) = self._low.tolist(), self._high.tolist()
        return (west, south, east, north) if west <= east else None

    def heights(self) -> Found:
        """geometry.heights, if any were left out."""
        geometry = self.context.layer.geometry
        read = any(column.z for column in self.context.columns)
        if geometry is None or geometry.z != "drop" or read:
            return Found()
        return Heights(self.high, self._heights.low, self._heights.high).told()


def _empty(values: pa.ChunkedArray) -> int:
    """How many values are null or a text without anything in it."""
    empty = int(values.null_count)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        blank = pc.sum(pc.equal(pc.binary_length(values), 0)).as_py()
        empty += int(blank or 0)
    return empty
