"""Trial: one row through the stages of a load. What a load would mend, an edit does not take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from pipeline import geo
from pipeline.contracts.base import Text
from pipeline.contracts.feed import Column, Feed, Source
from pipeline.contracts.field import FieldType
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.findings import Catalog, Finding
from pipeline.stages.batch import COLUMNS, Raw
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged, judge

#: What a load loads although it had to change it: who draws one shape is asked to draw it right.
_MENDED = frozenset(
    f"geometry.{kind}"
    for kind in ("repaired", "closed", "closed_line", "collection", "empty_part", "repeated_points")
)
_ARROW: dict[FieldType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}
_EDIT = Text(en="Edits", fa="ویرایش‌ها")


@dataclass(frozen=True)
class Tried:
    """A row with its verdict; ``refusing`` findings stand in its way, ``told`` do not."""

    raw: Raw
    judged: Judged
    refusing: list[Finding]
    told: list[Finding]

    @property
    def shape(self) -> BaseGeometry | None:
        """The row's geometry in the city's CRS."""
        if self.judged.wkb is None or self.judged.wkb[0].as_py() is None:
            return None
        found: BaseGeometry = shapely.from_wkb(self.judged.wkb[0].as_py())
        return found

    @property
    def place(self) -> bytes | None:
        """A point on the row's geometry, as WKB."""
        shape = self.shape
        return None if shape is None else bytes(shapely.to_wkb(shapely.point_on_surface(shape)))


def context_of(schemas: Schemas, layer: LayerContract, catalog: Catalog) -> Context:
    """What the stages need to know: columns are called as the city calls the fields."""
    fields = [(one.name, schemas.city.published(one.name)) for one in layer.fields]
    fields += [(one.name, one.name) for one in layer.personal]
    feed = Feed(
        id="edit",
        layer=layer.id,
        title=_EDIT,
        delivery="partial",
        source=Source(match=(), driver="GeoJSON", encoding="UTF-8"),
        columns=tuple(
            Column.model_validate({"to": name, "from": source}) for name, source in fields
        ),
    )
    return Context(schemas, catalog, feed, layer)


def tried(
    context: Context,
    values: Mapping[str, Any],
    personal: Mapping[str, str | None],
    shape: BaseGeometry | None,
    crs: CRS,
) -> Tried:
    """The row of ``values`` (by field) and ``shape`` in ``crs``, judged."""
    columns = {
        context.city.published(field.name): _column(field.type, values.get(field.name))
        for field in context.layer.fields
    }
    kept = {name: pa.array([personal.get(name)], pa.string()) for name in context.personal}
    wkb = None
    if context.layer.geometry is not None:
        drawn = None if shape is None else shapely.to_wkb(shape, output_dimension=3)
        wkb = pa.array([drawn], pa.binary())
    raw = Raw(np.ones(1, dtype=np.int64), pa.table(columns), wkb, pa.table(kept) if kept else None)
    judged = judge(raw, context, crs if wkb is not None else None)
    found = list(_findings(judged, context))
    errors = {one.code for one in found if context.catalog.severity(one.code) == "error"}
    refusing = [one for one in found if one.code in errors | _MENDED]
    told = [one for one in found if one.code not in errors | _MENDED]
    return Tried(raw, judged, refusing, told)


def _column(kind: FieldType, value: Any) -> pa.Array:
    return pa.array([written(value)], _ARROW.get(kind, pa.string()))


def written(value: Any) -> Any:
    """A stored value as a body writes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _findings(judged: Judged, context: Context) -> list[Finding]:
    layer, found = context.layer.id, judged.found
    key = judged.rows.keys_at(context.layer, np.zeros(1, dtype=np.int64)).get(1)
    return [
        Finding(code, layer, key=key, line=line or None, field=name, value=value, detail=detail)
        for code, line, name, value, detail, _ in zip(
            *(getattr(found, name) for name in COLUMNS), strict=True
        )
    ]


def outside(shape: BaseGeometry | None, context: Context) -> bool:
    """Whether a shape in the city's CRS lies beyond what the city can hold."""
    if shape is None or shape.is_empty:
        return False
    drawn = np.array([shape], dtype=object)
    return not bool(geo.within(drawn, context.city.extent.bounds)[0])
