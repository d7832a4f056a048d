"""Read: an arriving file as Arrow batches, opened as the feed declares and in no other way.

The reader is GDAL through pyogrio's Arrow stream. What a file claims of itself (driver, CRS,
encoding) is compared with what the feed declares; a contradiction stops the load.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FeatureError
from pyproj import CRS

from pipeline import geo
from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.stages import container
from pipeline.stages.batch import Found, Lines, Raw
from pipeline.stages.map import as_text

_READ_ERRORS = (
    DataSourceError,
    DataLayerError,
    FeatureError,
    CRSError,
    pa.ArrowException,
    OSError,
    UnicodeError,
)
_WKB_NAMES = ("geoarrow.wkb", "ogc.wkb")


@dataclass
class Source:
    """One open-able arrival. ``crs`` is the one its coordinates are in, None for plain tables."""

    feed: Feed
    label: str
    place: str
    sheet: str
    encoding: str | None
    crs: CRS | None
    names: list[str]
    features: int
    found: Found = field(default_factory=Found)
    heard: set[str] = field(default_factory=set)

    def batches(self, rows: int) -> Iterator[Raw]:
        """All rows the feed means, about ``rows`` at a time, in the file's order."""
        first = 1
        with ExitStack() as stack:
            with _explained(self.label, self.heard):
                options = {"layer": self.sheet, "batch_size": rows, "use_pyarrow": True}
                stream = pyogrio.open_arrow(self.place, encoding=self.encoding, **options)
                _, reader = stack.enter_context(stream)
            while (batch := self._next(reader)) is not None:
                yield self._raw(pa.Table.from_batches([batch]), first)
                first += batch.num_rows
        if first - 1 != self.features:
            raise ArrivalError(
                f"says it has {self.features} rows, {first - 1} could be read",
                where=self.label,
                todo="The file is damaged: ask for it again.",
            )

    def _next(self, reader: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with _explained(self.label, self.heard):
            batch = next(reader, None)
            if batch is not None:
                batch.validate(full=True)
            return batch

    def warned(self) -> Found:
        """What GDAL warned of so far, each warning once."""
        found = Found()
        for text in sorted(self.heard):
            found.whole("file.warning", detail=text)
        return found

    def rows_of(self, lines: Lines, rows: int) -> Iterator[Raw]:
        """The rows of ``lines`` again, as they arrived."""
        for raw in self.batches(rows):
            chosen = np.isin(raw.lines, lines)
            if chosen.any():
                yield _take(raw, chosen)

    def _raw(self, table: pa.Table, first: int) -> Raw:
        lines = np.arange(first, first + table.num_rows, dtype=np.int64)
        wkb = None
        for place, column in reversed(list(enumerate(table.schema))):
            if (column.metadata or {}).get(b"ARROW:extension:name", b"").decode() in _WKB_NAMES:
                wkb = table.column(place).combine_chunks()
                table = table.remove_column(place)
        return Raw(lines, table, wkb)

    def meant(self, raw: Raw) -> Raw:
        """The rows that the feed's ``where`` takes."""
        where = self.feed.source.where
        if where is None:
            return raw
        values = as_text(raw.columns.column(where.column).combine_chunks())
        chosen = pc.is_in(values, pa.array(where.values)).to_numpy(zero_copy_only=False)
        return _take(raw, np.asarray(chosen, dtype=bool))


def _take(raw: Raw, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Raw:
    mask = pa.array(chosen)
    return Raw(
        raw.lines[chosen],
        raw.columns.filter(mask),
        None if raw.wkb is None else raw.wkb.filter(mask),
    )


@contextmanager
def _explained(label: str, heard: set[str]) -> Iterator[None]:
    """Turns GDAL's errors into one line, and adds its warnings to ``heard``."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield
        except UnicodeError:
            raise ArrivalError(
                "its text is not in the declared encoding",
                where=label,
                todo="Declare encoding in the feed's [source], such as CP1256 or UTF-8.",
            ) from None
        except _READ_ERRORS as error:
            if "utf" in str(error).lower() and "invalid" in str(error).lower():
                raise ArrivalError(
                    "its text is not UTF-8",
                    where=label,
                    todo="Declare encoding in the feed's [source], such as CP1256.",
                ) from None
            raise ArrivalError(
                f"cannot be read: {_brief(error, label)}",
                where=label,
                todo="Ask for the file again.",
            ) from None
    heard.update(_brief(str(item.message), label) for item in warned)


def _brief(error: object, label: str) -> str:
    """What GDAL says, on one line, without the folders of this machine."""
    text = " ".join(str(error).split())
    for part in text.replace("'", " ").replace('"', " ").replace(";", " ").split():
        if "/" in part and part.rstrip(".,:").endswith(label.rsplit("/", 1)[-1]):
            text = text.replace(part.rstrip(".,:"), label)
    return text[:200]


def open_source(arrival: container.Opened, feed: Feed, *, wants_geometry: bool) -> Source:
    """What ``arrival`` holds, compared with what ``feed`` declares; raises ArrivalError.

    Nothing of a row is read yet. The counts come from a reader other than the stream's.
    """
    found, label = Found(), arrival.label
    heard: set[str] = set()
    with _explained(label, heard):
        layers = pyogrio.list_layers(arrival.place)
    sheet = _choose_sheet([str(row[0]) for row in layers], feed, label)
    with _explained(label, heard):
        encoding = feed.source.encoding
        info = pyogrio.read_info(
            arrival.place, layer=sheet, encoding=encoding, force_feature_count=True
        )
    if info["driver"] != feed.source.driver:
        raise ArrivalError(
            f"is a file of {info['driver']}, the feed {feed.id} takes {feed.source.driver}",
            where=label,
            todo="Choose another feed, or ask for the declared format.",
        )
    crs = None
    if wants_geometry:
        if not feed.source.points and info["geometry_type"] is None:
            raise ArrivalError(
                "has no geometry", where=label, todo="Ask for the layer, not its table."
            )
        crs = _agree_on_crs(info["crs"], feed, found, label)
    return Source(
        feed=feed,
        label=label,
        place=arrival.place,
        sheet=sheet,
        encoding=encoding,
        crs=crs,
        names=[str(name) for name in info["fields"]],
        features=int(info["features"]),
        found=found,
        heard=heard,
    )


def _choose_sheet(sheets: list[str], feed: Feed, label: str) -> str:
    wanted = feed.source.sheet
    if wanted is None and len(sheets) == 1:
        return sheets[0]
    if wanted in sheets:
        return str(wanted)
    if not sheets:
        raise ArrivalError("holds no layer", where=label, todo="Ask for the file again.")
    what = f"has no layer {wanted}" if wanted else "has several layers"
    raise ArrivalError(
        f"{what}: {', '.join(sheets[:12])}",
        where=label,
        todo=f"Name one as sheet in the [source] of the feed {feed.id}.",
    )


def _agree_on_crs(said: str | None, feed: Feed, found: Found, label: str) -> CRS:
    declared = geo.parse_crs(feed.source.crs) if feed.source.crs else None
    if feed.source.crs and declared is None:
        raise ArrivalError(
            f"the feed {feed.id} declares the unknown CRS {feed.source.crs}", where=label
        )
    own = geo.parse_crs(said) if said else None
    if own is None and declared is None:
        raise ArrivalError(
            f"the CRS is unknown{f' ({said[:60]})' if said else ''}",
            where=label,
            todo="Ask the sender, and declare it as crs in the feed's [source].",
        )
    if own is None:
        found.whole("crs.assumed", value=feed.source.crs)
    elif declared is not None and not geo.same_crs(own, declared):
        raise ArrivalError(
            f"says its CRS is {_crs_name(own)}, the feed {feed.id} declares {_crs_name(declared)}",
            where=label,
            todo="Ask the sender which is true; correct the feed or the file.",
        )
    chosen = declared or own
    if chosen is None:
        raise AssertionError("one of the two is there")
    return chosen


def _crs_name(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code} ({crs.name})" if code else str(crs.name)
