"""Record: findings and quarantined rows go to the database as they are found, batch by batch."""

from __future__ import annotations

import json

import adbc_driver_postgresql.dbapi
import numpy as np
import pyarrow as pa

from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.stages.batch import Context, Found, Lines, Raw, Rows
from pipeline.stages.judge import Judged, error_codes
from pipeline.stages.stage import ewkb
from pipeline.stages.whole import Keys


class Recorder:
    """Writes what one run found; the rows belong to the run whether it ends well or not."""

    def __init__(
        self, database: Database, connection: Connection, context: Context, run: int
    ) -> None:
        """``connection`` is the loader's, in autocommit."""
        self.database = database
        self.connection = connection
        self.context = context
        self.run = run
        self.quarantined = 0

    def batch(self, raw: Raw, judged: Judged) -> None:
        """The findings of a batch, and its bad rows with their raw values."""
        self.findings(judged.found, judged.rows)
        bad = ~judged.good
        if bad.any():
            lines = raw.lines[bad]
            keys = dict(zip(lines.tolist(), self._keys(lines, judged.rows, None), strict=True))
            reasons = _reasons(judged.found, error_codes(self.context))
            self.quarantine(_only(raw, bad), reasons, keys)

    def findings(self, found: Found, rows: Rows | None = None, keys: Keys | None = None) -> None:
        """``found`` as rows of ops.finding, with the key and geometry of their row if known."""
        if not len(found):
            return
        severity = {code: self.context.catalog.severity(code) for code in set(found.code)}
        lines = np.array(found.line, dtype=np.int64)
        columns = {
            "run_id": pa.array([self.run] * len(found)),
            "code": pa.array(found.code),
            "severity": pa.array([severity[code] for code in found.code]),
            "layer": pa.array([self.context.layer.id] * len(found)),
            "key": pa.array(self._keys(lines, rows, keys), type=pa.string()),
            "line": pa.array([line or None for line in found.line], type=pa.int64()),
            "field": pa.array(found.field_name, type=pa.string()),
            "value": pa.array(found.value, type=pa.string()),
            "detail": pa.array(found.detail, type=pa.string()),
        }
        if rows is not None and rows.geometry is not None:
            place = np.clip(np.searchsorted(rows.lines, lines), 0, len(rows) - 1)
            columns["geom"] = ewkb(rows.geometry[place], self.context.city.srid)
        with (
            adbc_driver_postgresql.dbapi.connect(self.database.uri("loader")) as copy,
            copy.cursor() as cursor,
        ):
            cursor.adbc_ingest("finding", pa.table(columns), mode="append", db_schema_name="ops")
            copy.commit()

    def _keys(self, lines: Lines, rows: Rows | None, keys: Keys | None) -> list[str | None]:
        if rows is not None:
            chosen = np.isin(rows.lines, lines)
            part = Rows(
                rows.lines[chosen],
                {
                    name: rows.columns[name].filter(pa.array(chosen))
                    for name in self.context.layer.key
                },
            )
            known = dict(zip(part.lines.tolist(), part.keys(self.context.layer), strict=True))
        else:
            known = keys.of(lines) if keys else {}
        return [known.get(line) for line in lines.tolist()]

    def quarantine(
        self, raw: Raw, reasons: dict[int, list[str]], keys: dict[int, str | None]
    ) -> None:
        """Sets the rows of ``raw`` aside: raw values as JSON, raw geometry as WKB."""
        values = raw.columns.to_pylist()
        shapes = raw.wkb.to_pylist() if raw.wkb is not None else [None] * len(values)
        with (
            self.connection.cursor() as cursor,
            cursor.copy(queries.load("stage")["quarantine"]) as copy,
        ):
            copy.set_types(["int8", "text", "int8", "text", "text[]", "text", "bytea"])
            for line, row, shape in zip(raw.lines.tolist(), values, shapes, strict=True):
                text = json.dumps(row, ensure_ascii=False, default=str, allow_nan=True)
                # JSON knows no NaN, and PostgreSQL's text no NUL.
                text = text.replace(": NaN", ": null").replace("\\u0000", "")
                copy.write_row(
                    (
                        self.run,
                        self.context.layer.id,
                        line,
                        keys.get(line),
                        reasons[line],
                        text,
                        shape,
                    )
                )
        self.quarantined += len(values)

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


def _reasons(found: Found, errors: frozenset[str]) -> dict[int, list[str]]:
    reasons: dict[int, list[str]] = {}
    for code, line in zip(found.code, found.line, strict=True):
        if code in errors and line and code not in reasons.setdefault(line, []):
            reasons[line].append(code)
    return reasons


def _only(raw: Raw, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Raw:
    mask = pa.array(chosen)
    wkb = None if raw.wkb is None else raw.wkb.filter(mask)
    return Raw(raw.lines[chosen], raw.columns.filter(mask), wkb)
