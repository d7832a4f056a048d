"""Record: findings and quarantined rows go to the database as they are found, batch by batch."""

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa
import shapely
from pyproj import CRS

from pipeline import geo
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.stages.batch import Found, Lines, Raw
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged, error_codes
from pipeline.stages.whole import Keys
from pipeline.stages.wkb import written
from pipeline.stages.write import Writer


class Recorder:
    """Writes what one run found; the rows belong to the run whether it ends well or not."""

    def __init__(self, writer: Writer, connection: Connection, context: Context, run: int) -> None:
        """``connection`` is the loader's, in autocommit. ``crs``, that of the file, is told later:
        by it rows are placed whose geometry could not be used."""
        self.writer = writer
        self.connection = connection
        self.context = context
        self.run = run
        self.quarantined = 0
        self.crs: CRS | None = None

    def batch(self, raw: Raw, judged: Judged) -> None:
        """The findings of a batch, and its bad rows with their raw values."""
        if not len(judged.found):
            return
        places = np.searchsorted(raw.lines, np.array(judged.found.line, dtype=np.int64))
        known = judged.rows.keys_at(self.context.layer, np.unique(places))
        shapes = None if judged.wkb is None else judged.wkb.take(pa.array(places))
        self._findings(judged.found, known, shapes)
        bad = ~judged.good
        if bad.any():
            reasons = _reasons(judged.found, error_codes(self.context))
            shapes = None if judged.wkb is None else judged.wkb.filter(pa.array(bad))
            self.quarantine(_only(raw, bad), reasons, known, shapes)

    def findings(self, found: Found, keys: Keys) -> None:
        """What the whole delivery shows."""
        self._findings(found, keys.of(np.array(found.line, dtype=np.int64)), None)

    def _findings(self, found: Found, keys: dict[int, str | None], shapes: pa.Array | None) -> None:
        count = len(found)
        severity = {code: self.context.catalog.severity(code) for code in set(found.code)}
        columns = {
            "run_id": pa.repeat(self.run, count),
            "code": pa.array(found.code, type=pa.string()),
            "severity": pa.array([severity[code] for code in found.code], type=pa.string()),
            "layer": pa.repeat(self.context.layer.id, count),
            "key": pa.array([keys.get(line) for line in found.line], type=pa.string()),
            "line": pa.array([line or None for line in found.line], type=pa.int64()),
            "field": pa.array(found.field_name, type=pa.string()),
            "value": pa.array(found.value, type=pa.string()),
            "detail": pa.array(found.detail, type=pa.string()),
        }
        if shapes is None and any(found.shape):
            shapes = pa.array(found.shape, type=pa.binary())
        if shapes is not None:
            columns["geom"] = shapes
            columns["place"] = self._places(shapes)
        self.writer.copy("ops", "finding", pa.table(columns))

    def quarantine(
        self,
        raw: Raw,
        reasons: dict[int, list[str]],
        keys: dict[int, str | None],
        drawn: pa.Array | None,
    ) -> None:
        """Sets the rows of ``raw`` aside: raw values as JSON, raw geometry as WKB.

        ``drawn`` are their geometries in the city's CRS, as WKB, as far as they could be read.
        """
        values = raw.columns.to_pylist()
        shapes = raw.wkb.to_pylist() if raw.wkb is not None else [None] * len(values)
        places = [None] * len(values) if drawn is None else self._places(drawn, raw).to_pylist()
        layer = self.context.layer.id
        with (
            self.connection.cursor() as cursor,
            cursor.copy(queries.load("stage")["quarantine"]) as copy,
        ):
            copy.set_types(["int8", "text", "int8", "text", "text[]", "text", "bytea", "text"])
            every = zip(raw.lines.tolist(), values, shapes, places, strict=True)
            for line, row, shape, place in every:
                told = (keys.get(line), reasons[line], as_json(row))
                copy.write_row((self.run, layer, line, *told, shape, place and place.hex()))
        self.quarantined += len(values)

    def _places(self, drawn: pa.Array, raw: Raw | None = None) -> pa.Array:
        """Where faulty geometries are, as WKB points; None where they are not in the city."""
        city = self.context.city
        shapes = geo.from_wkb(drawn.to_numpy(zero_copy_only=False))
        lost = shapely.is_missing(shapes)
        if raw is not None and raw.wkb is not None and self.crs is not None and lost.any():
            wkb = raw.wkb.filter(pa.array(lost)).to_numpy(zero_copy_only=False)
            arrived = geo.from_wkb(wkb)
            shapes[lost] = city.operation(self.crs).apply(arrived)
        return written(geo.places(shapes, city.extent.bounds))

    def one_more_reason(self, reason: str, lines: Lines) -> None:
        """Adds ``reason`` to rows of ``lines`` that are in quarantine already."""
        self.connection.execute(
            queries.load("stage")["add_reason"],
            {"reason": reason, "run": self.run, "lines": lines.tolist()},
        )

    def in_quarantine(self, lines: Lines) -> Lines:
        """Those of ``lines`` that are in quarantine."""
        rows = self.connection.execute(
            queries.load("stage")["in_quarantine"], {"run": self.run, "lines": lines.tolist()}
        ).fetchall()
        return np.array([row[0] for row in rows], dtype=np.int64)


def as_json(row: dict[str, object]) -> str:
    """A row's raw values as JSON: bytes as hexadecimal digits, NaN and infinity as null."""
    text = orjson.dumps(row, default=_plain).decode()
    if "\\u0000" in text:  # PostgreSQL's text cannot hold a NUL
        text = orjson.dumps(_without_nul(row), default=_plain).decode()
    return text


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [_without_nul(part) for part in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(part) for name, part in value.items()}
    return value


def _reasons(found: Found, errors: frozenset[str]) -> dict[int, list[str]]:
    reasons: dict[int, list[str]] = {}
    for code, line in zip(found.code, found.line, strict=True):
        if code in errors and line and code not in reasons.setdefault(line, []):
            reasons[line].append(code)
    return reasons


def _only(raw: Raw, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Raw:
    mask = pa.array(chosen)
    wkb = None if raw.wkb is None else raw.wkb.filter(mask)
    # What is personal stays out of quarantine: it is kept by the same line, elsewhere.
    return Raw(raw.lines[chosen], raw.columns.filter(mask), wkb)
