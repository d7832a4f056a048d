"""Fixtures for the stages: small planted files, feeds for them, loads and what they left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline.contracts import registry
from pipeline.contracts.feed import Feed
from pipeline.contracts.field import Field
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.findings import Catalog
from pipeline.stages import container, curves
from pipeline.stages import load as loading
from pipeline.stages.context import Context
from pipeline.stages.outcome import Outcome
from pipeline.stages.readers import open_dataset
from pipeline.stages.readers.base import Layer

SIDE = 20.0
EAST, NORTH = 488000.0, 3833000.0
Row = dict[str, Any]
PARCEL_COLUMNS = {
    "parcel_code": "code",
    "land_use": "use",
    "registration_plate": "plate",
    "area_deed_m2": "deed",
    "source_updated_on": "changed",
}


def silent(*_: int) -> None:
    """Tells no progress."""


@dataclass(frozen=True)
class Bench:
    """Everything a test of the stages asks for; files are made in ``folder``."""

    folder: Path
    schemas: Schemas

    @staticmethod
    def square(place: int, side: float = SIDE) -> shapely.Polygon:
        """The square number ``place`` of a street of parcels in Qom."""
        return shapely.box(0, 0, side, side) if place < 0 else shapely.box(
            EAST + place * 2 * SIDE, NORTH, EAST + place * 2 * SIDE + side, NORTH + side
        )  # fmt: skip

    @staticmethod
    def parcel(place: int, **other: Any) -> Row:
        """A faultless parcel, with ``other`` values instead."""
        row = {
            "code": f"1-1-1-{place}-0-0-0",
            "use": "residential",
            "plate": f"{place}/12",
            "deed": str(SIDE * SIDE),
            "changed": "1396/08/27",
            "geometry": Bench.square(place),
        }
        return {**row, **other}

    def feed(
        self, layer: str = "parcel", *, columns: dict[str, Any] | None = None, **more: Any
    ) -> Feed:
        """A feed; ``columns`` are field: column, or field: a table of TOML."""
        chosen = columns or PARCEL_COLUMNS
        listed = [
            {"to": to, **(source if isinstance(source, dict) else {"from": source})}
            for to, source in chosen.items()
        ]
        if columns is None:
            listed[-1]["parser"] = "jalali"
        source = {"match": ["*"], "driver": "GPKG", **more.pop("source", {})}
        return Feed.model_validate(
            {"id": "planted", "layer": layer, "title": {"en": "-", "fa": "-"}, "source": source,
             "columns": listed, **more}
        )  # fmt: skip

    def context(self, feed: Feed | None = None, schemas: Schemas | None = None) -> Context:
        """What the stages take beside the file."""
        schemas = schemas or self.schemas
        feed = feed or self.feed()
        return Context(schemas, Catalog.load(), feed, schemas.layer(feed.layer))

    def filled(self, layer: str, columns: dict[str, Any]) -> dict[str, Any]:
        """``columns`` and a good constant for every other required field of ``layer``."""
        fields = self.schemas.layer(layer).fields
        return {
            **{f.name: {"value": self.constant(f)} for f in fields if f.required and not f.derive},
            **columns,
        }

    def constant(self, field: Field) -> str | int:
        """A value that ``field`` takes."""
        codes = self.schemas.codes(field)
        if field.type in ("integer", "number"):
            return int(field.min or 1)
        return codes.codes[0] if codes else "1"

    def changed(self, layer: str, **settings: Any) -> Schemas:
        """The schemas with other settings for one layer."""
        contract = self.schemas.layer(layer).model_copy(update=settings)
        return replace(self.schemas, layers={**self.schemas.layers, layer: contract})

    def geopackage(
        self, rows: list[Row], name: str = "planted.gpkg", crs: str = "EPSG:32639"
    ) -> Path:
        """A GeoPackage of ``rows``; ``geometry`` is a shape, WKB or None."""
        shapes = [row["geometry"] for row in rows]
        wkb = [g if g is None or isinstance(g, bytes) else shapely.to_wkb(g) for g in shapes]
        names = [key for key in rows[0] if key != "geometry"]
        table = pa.table({
            **{key: pa.array([row.get(key) for row in rows]) for key in names},
            "geometry": pa.array(wkb, type=pa.binary()),
        })  # fmt: skip
        path = self.folder / name
        path.unlink(missing_ok=True)
        pyogrio.write_arrow(
            table, path, driver="GPKG", layer=path.stem, geometry_name="geometry",
            geometry_type="Unknown", crs=crs,
        )  # fmt: skip
        return path

    def text(self, name: str, content: str, encoding: str = "utf-8") -> Path:
        """A text file."""
        path = self.folder / name
        path.write_bytes(content.encode(encoding))
        return path

    def check(self, path: Path, feed: Feed | None = None, **more: Any) -> Outcome:
        """``makan check`` of ``path``."""
        return loading.check(
            path, self.context(feed, more.pop("schemas", None)),
            batch_rows=more.pop("batch_rows", 3), progress=silent, known=more.pop("known", None),
        )  # fmt: skip

    def load(
        self, database: Database, path: Path, feed: Feed | None = None, **more: Any
    ) -> Outcome:
        """``makan load`` of ``path``; batches are small, so that there are several."""
        return loading.load(
            database, path, self.context(feed, more.pop("schemas", None)),
            batch_rows=more.pop("batch_rows", 3), progress=more.pop("progress", silent),
        )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, schemas: Schemas) -> Bench:
    """Planted files for Qom."""
    return Bench(tmp_path, schemas)


class Reading:
    """Files as the readers give them, before any stage looks at a row."""

    @staticmethod
    @contextmanager
    def opened(path: Path, sheet: str | None = None, **how: Any) -> Iterator[Layer]:
        """The layer of a file, ready to be read."""
        with container.opened(path, **how) as arrival:
            dataset = open_dataset(arrival)
            trial = dataset.told.trial
            encoding = how.get("encoding") or (trial.encoding if trial else None)
            yield dataset.layer(sheet or dataset.sheets[0], encoding)

    @staticmethod
    def rows(path: Path, sheet: str | None = None, **how: Any) -> list[Row]:
        """All rows, shapes made of their WKB."""
        with Reading.opened(path, sheet, **how) as layer:
            found: list[Row] = []
            for table in layer.tables(100):
                made = table.to_pylist()
                for name in layer.geometries:
                    wkb = curves.stroked(table.column(name).combine_chunks(), curves.SAGITTA_M)
                    for row, one in zip(made, wkb.to_pylist(), strict=True):
                        row[name] = shapely.from_wkb(one)
                found += made
            assert layer.seen == layer.features
            return found


@pytest.fixture(scope="session")
def reading() -> type[Reading]:
    """Opens files and gives their rows."""
    return Reading


@pytest.fixture(scope="session")
def cambridge_schemas() -> Schemas:
    """The contracts as they hold for Cambridge."""
    return registry.load("cambridge")


Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def query() -> Query:
    """Rows of a query, as the owner."""

    def run(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with database.connect("owner") as connection:
            return connection.execute(statement.encode(), values or None).fetchall()

    return run
