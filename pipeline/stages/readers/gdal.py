"""GDAL, through pyogrio's Arrow stream: what it reads right is read by it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyogrio
from pyogrio._err import _register_error_handler

from pipeline.errors import ArrivalError
from pipeline.stages.container import Opened
from pipeline.stages.encoding import python_name
from pipeline.stages.readers.base import OPEN_TEXT, Layer, explained, is_wkb

# Of these GDAL gives moments as they are written: a Jalali one may be on 31 Ordibehesht, which
# would become 2 March, and an offset from UTC would be left out.
_MOMENTS = ("FlatGeobuf", "LIBKML", "MapInfo File", "ODS")
# A feed names columns, so that a first line is always their names, whatever it looks like.
_OPTIONS: dict[str, dict[str, str]] = {
    "CSV": {"HEADERS": "YES"},
    "XLSX": {"HEADERS": "FORCE"},
    "ODS": {"HEADERS": "FORCE"},
}
# Dates stay as they are written (a Jalali date is none for GDAL), and nothing is fetched.
pyogrio.set_gdal_config_options({
    "OGR_GEOJSON_DATE_AS_STRING": "YES",
    "GML_DOWNLOAD_SCHEMA": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
})  # fmt: skip
_ROWS = 2**16
_PROXIES, _NOBODY = ("GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"), "http://127.0.0.1:9"


@contextmanager
def offline(label: str, heard: set[str], driver: str = "") -> Iterator[None]:
    """As ``explained``; what a file has GDAL ask of a host goes to a port where nobody listens.

    A GeoJSON may name its CRS by an address, and no option of GDAL's forbids to look there.
    """
    try:
        pyogrio.set_gdal_config_options(dict.fromkeys(_PROXIES, _NOBODY))
        with explained(label, heard, open_text=driver in ("", *OPEN_TEXT)):
            yield
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(_PROXIES))


class GdalDataset:
    """A file that GDAL opens."""

    def __init__(self, arrival: Opened) -> None:
        """Nothing is opened before it is asked for."""
        self.place = str(arrival.place)
        self.label = arrival.label
        self.told = arrival.told
        self.heard: set[str] = set()

    @cached_property
    def sheets(self) -> list[str]:
        """Its layers, in GDAL's order."""
        with offline(self.label, self.heard):
            return [str(row[0]) for row in pyogrio.list_layers(self.place)]

    @cached_property
    def driver(self) -> str:
        """GDAL's name for its format."""
        with offline(self.label, self.heard):
            return str(pyogrio.read_info(self.place, layer=self._first())["driver"])

    def _first(self) -> str:
        if not self.sheets:
            raise ArrivalError("holds no layer", where=self.label, todo="Ask for the file again.")
        return self.sheets[0]

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The layer ``sheet``, counted by another reader than the stream's."""
        options = self._options()
        # Nothing else is decoded by GDAL, which does not know every name.
        encoding = python_name(encoding or "") if self.driver == "ESRI Shapefile" else None
        with offline(self.label, self.heard):
            info = pyogrio.read_info(
                self.place, layer=sheet, encoding=encoding, force_feature_count=True, **options
            )
        return GdalLayer(
            label=self.label,
            sheet=sheet,
            names=[str(name) for name in info["fields"]],
            geometries=self._geometries(info),
            features=int(info["features"]),
            crs=info["crs"],
            utf8=info["encoding"] == "UTF-8",
            heard=self.heard,
            place=self.place,
            encoding=encoding,
            options=options,
            driver=self.driver,
            kinds={
                str(name): (str(kind), str(finer))
                for name, kind, finer in zip(
                    info["fields"], info["ogr_types"], info["ogr_subtypes"], strict=True
                )
            },
            fid=str(info["fid_column"] or ""),
        )

    def _options(self) -> dict[str, str]:
        """How GDAL is to open it."""
        return _OPTIONS.get(self.driver, {})

    def _geometries(self, info: dict[str, Any]) -> dict[str, str]:
        if info["geometry_type"] is None:
            return {}
        return {str(info["geometry_name"] or "geometry"): str(info["geometry_type"])}


@dataclass
class GdalLayer(Layer):
    """One layer as GDAL streams it."""

    place: str = ""
    encoding: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    driver: str = ""
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    fid: str = ""

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream, with geometry as WKB; the batches are checked, for damaged files break
        Arrow's rules."""
        # GDAL says what it warns of to a handler of each thread; pyogrio's is that of its import.
        _register_error_handler()
        with ExitStack() as stack:
            with offline(self.label, self.heard):
                reader = self._open(stack, rows)
            while (batch := self._next(reader)) is not None:
                self.seen += batch.num_rows
                yield self._named(pa.Table.from_batches([batch]))

    def _open(self, stack: ExitStack, rows: int) -> Iterator[pa.RecordBatch]:
        try:
            return self._stream(stack, rows, datetime_as_string=self._has_odd_moments())
        except NotImplementedError:
            # pyogrio streams no layer that says it holds curves.
            raise ArrivalError(
                "holds curves", where=self.label, todo="Ask for it as GeoPackage."
            ) from None

    def _has_odd_moments(self) -> bool:
        """Whether a moment is none of the calendar, or says how far from UTC it is."""
        moments = [name for name, kind in self.kinds.items() if kind[0] == "OFTDateTime"]
        if self.driver not in _MOMENTS or not moments:
            return False
        told: dict[str, Any] = {"columns": moments, "read_geometry": False}
        with ExitStack() as stack:
            try:
                for batch in self._stream(stack, _ROWS, datetime_as_string=True, **told):
                    for column in batch.columns:
                        column.cast(pa.timestamp("ms"))
            except pa.ArrowInvalid:
                return True
        return False

    def _stream(self, stack: ExitStack, rows: int, **how: Any) -> Iterator[pa.RecordBatch]:
        """The batches of the layer, or of what ``how`` asks of its file by SQL."""
        layer = {} if "sql" in how else {"layer": self.sheet}
        stream = pyogrio.open_arrow(
            self.place, encoding=self.encoding, batch_size=rows, use_pyarrow=True,
            **layer, **how, **self.options,
        )  # fmt: skip
        reader: Iterator[pa.RecordBatch] = stack.enter_context(stream)[1]
        return reader

    def _next(self, reader: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with offline(self.label, self.heard, self.driver):
            batch = next(reader, None)
            if batch is not None:
                batch.validate(full=True)
            return batch

    def _named(self, table: pa.Table) -> pa.Table:
        """GDAL gives the feature's geometry another name than its information does."""
        known = dict.fromkeys(self.geometries)
        for place, column in enumerate(table.schema):
            if is_wkb(column) and column.name not in known and len(known) == 1:
                renamed = column.with_name(next(iter(known)))
                table = table.set_column(place, renamed, table.column(place))
        return table
