"""Fixtures for the fabric: parts made of shapes, and whole sample cities loaded."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric.part import Part
from pipeline.stages import load as loading

Found = list[tuple[str, str, str, str | None, str, Any]]


def part(shapes: Any, own: Any = None, **columns: Any) -> Part:
    """Rows with keys k0, k1 … and these shapes; all are asked about unless said."""
    made = np.empty(len(shapes), dtype=object)
    made[:] = list(shapes)
    count = len(made)
    asked = np.ones(count, dtype=bool) if own is None else np.asarray(own, dtype=bool)
    keys = pa.array([f"k{number}" for number in range(count)])
    values = {name: pa.array(column) for name, column in columns.items()}
    return Part(np.arange(count), keys, values, made, asked)


def rule(kind: str, **more: Any) -> FabricRule:
    """A rule of ``kind``."""
    text = {"en": "-", "fa": "-"}
    return FabricRule.model_validate({"id": "tested", "kind": kind, "title": text, **more})


def load_all(database: Database, schemas: Schemas, folder: Path) -> None:
    """Every file of a sample city, layers that others build on first."""
    for layer in schemas.load_order:
        for feed in (one for one in schemas.feeds.values() if one.layer == layer):
            for path in sorted(folder.iterdir()):
                if any(fnmatch.fnmatch(path.name, pattern) for pattern in feed.source.match):
                    load(database, schemas, feed.id, path)


def load(database: Database, schemas: Schemas, feed: str, path: Path) -> None:
    """One file."""
    context = loading.Context(schemas, loading.Catalog.load(), schemas.feed(feed), schemas.layer(
        schemas.feed(feed).layer))  # fmt: skip
    loading.load(database, path, context, batch_rows=50_000, progress=lambda *_: None)


@pytest.fixture
def findings() -> Callable[[Database], Found]:
    """What stands of the fabric: (layer, rule, code, key, value, WKB of the place), in order."""

    def read(database: Database) -> Found:
        with database.connect("owner") as connection:
            return connection.execute(
                b"SELECT f.layer, f.field, f.code, f.key, f.value, ST_AsBinary(f.geom) "
                b"FROM ops.finding f JOIN ops.run r ON r.id = f.run_id WHERE r.kind = 'fabric' "
                b"ORDER BY 1, 2, 3, 4, 5, 6"
            ).fetchall()

    return read
