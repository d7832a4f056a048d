"""GDAL, through pyogrio's Arrow stream: what it reads right is read by it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
from pyogrio._err import _register_error_handler

from pipeline.errors import ArrivalError
from pipeline.stages import dbase
from pipeline.stages.container import Opened
from pipeline.stages.encoding import python_name
from pipeline.stages.readers.base import OPEN_TEXT, Layer, explained, is_wkb, wkb_field

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
# Databases whose dates are texts, whatever text that is.
_STORE_TEXT = ("GPKG", "SQLite")
_PROXIES, _NOBODY = ("GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"), "http://127.0.0.1:9"
# A GeoPackage's geometry begins with magic, version, flags, SRS id and a box of 0 to 8 doubles.
_BOX_DOUBLES = np.array([0, 4, 6, 6, 8, 0, 0, 0])


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
            dated=tuple(
                str(name)
                for name, kind in zip(info["fields"], info["ogr_types"], strict=True)
                if kind == "OFTDate"
            ),
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
    dated: tuple[str, ...] = ()

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream, with geometry as WKB; the batches are checked, for damaged files break
        Arrow's rules."""
        # GDAL says what it warns of to a handler of each thread; pyogrio's is that of its import.
        _register_error_handler()
        with ExitStack() as stack:
            reader, packed = self._open(stack, rows)
            while (batch := self._next(reader)) is not None:
                self.seen += batch.num_rows
                yield self._shaped(pa.Table.from_batches([batch]), packed)

    def _open(self, stack: ExitStack, rows: int) -> tuple[Iterator[pa.RecordBatch], str | None]:
        """The stream, and the geometry column that comes as the GeoPackage has it, if one does."""
        told: dict[str, Any] = {"batch_size": rows, "use_pyarrow": True, **self.options}
        # Without a condition GDAL goes by the number that a GeoPackage keeps of its rows, and gives
        # some twice where that is too high.
        where = {"where": "1 = 1"} if self.driver == "GPKG" else {}
        if self.dated and self.driver in _STORE_TEXT:
            where |= {"sql": self._by_sql([_quoted(name) for name in self.geometries])}
        layer = {} if "sql" in where else {"layer": self.sheet}
        with offline(self.label, self.heard):
            try:
                stream = pyogrio.open_arrow(
                    self.place, encoding=self.encoding, **layer, **where, **told
                )
                return stack.enter_context(stream)[1], None
            except NotImplementedError:
                # pyogrio streams no layer that says it holds curves.
                curved = next(iter(self.geometries), None)
                if self.driver != "GPKG" or curved is None:
                    raise ArrivalError(
                        "holds curves", where=self.label, todo="Ask for it as GeoPackage."
                    ) from None
            blob = f"CAST({_quoted(curved)} AS BLOB) AS {_quoted(curved)}"
            stream = pyogrio.open_arrow(self.place, sql=self._by_sql([blob]), **told)
            return stack.enter_context(stream)[1], curved

    def recounted(self) -> int:
        """A GeoPackage keeps its number of rows beside them, where other programs do not keep it
        up to date; SQLite counts the rows themselves."""
        if self.driver != "GPKG":
            return self.features
        with offline(self.label, self.heard):
            sql = f"SELECT count(*) AS rows FROM {_quoted(self.sheet)}"  # noqa: S608
            _, table = pyogrio.read_arrow(self.place, sql=sql)
        self.features = int(table.column("rows")[0].as_py())
        return self.features

    def _next(self, reader: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with offline(self.label, self.heard, self.driver):
            batch = next(reader, None)
            if batch is not None:
                batch.validate(full=True)
            return batch

    def _by_sql(self, geometries: list[str]) -> str:
        """The layer with its dates as they stand there: GDAL makes 2 March of 31 Ordibehesht."""
        names = [
            f"CAST({_quoted(name)} AS TEXT) AS {_quoted(name)}" if name in self.dated
            else _quoted(name)
            for name in self.names
        ]  # fmt: skip
        return f"SELECT {', '.join([*names, *geometries])} FROM {_quoted(self.sheet)}"  # noqa: S608

    def _shaped(self, table: pa.Table, packed: str | None) -> pa.Table:
        if packed is not None:
            place = table.schema.get_field_index(packed)
            wkb = _without_header(table.column(place).combine_chunks())
            table = table.set_column(place, wkb_field(packed), wkb)
        for name in self.dated:
            place = table.schema.get_field_index(name)
            if pa.types.is_string(table.schema.types[place]):
                shown = dbase.of_calendar(table.column(place).combine_chunks())
                table = table.set_column(place, name, shown)
        if packed is not None:
            return table
        known = dict.fromkeys(self.geometries)
        for place, column in enumerate(table.schema):
            # GDAL gives the feature's geometry another name than its information does.
            if is_wkb(column) and column.name not in known and len(known) == 1:
                renamed = column.with_name(next(iter(known)))
                table = table.set_column(place, renamed, table.column(place))
        return table


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _without_header(blobs: pa.Array) -> pa.Array:
    """Geometries of a GeoPackage as WKB; an empty one (a flag of the header) is so by its WKB."""
    values = [None if one is None else _body(one) for one in blobs.to_pylist()]
    return pa.array(values, type=pa.binary())


def _body(blob: bytes) -> bytes:
    if blob[:2] != b"GP" or len(blob) < 8:
        return blob
    return blob[8 + 8 * int(_BOX_DOUBLES[(blob[3] >> 1) & 7]) :]
