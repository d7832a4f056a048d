"""CQL2 over the catalogue: records are put to PostGIS as rows, so that a filter means among them
what it means among features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson
import shapely
from psycopg import sql

from pipeline.contracts.city import City
from pipeline.contracts.field import Field
from pipeline.derive.columns import GEOMETRY
from pipeline.derive.openapi_records import CATALOGUE
from pipeline.serve import crs, params, record_search
from pipeline.serve.clause import ready, template
from pipeline.serve.query import Statement
from pipeline.serve.record_search import Record
from pipeline.serve.served import Kind, known_kind
from pipeline.serve.site import Site

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

PARAMETERS = ("filter", "filter-lang", "filter-crs")


@dataclass(frozen=True, eq=False)
class _Catalogue:
    """The catalogue as filters see a collection: every property is a text."""

    city: City
    id: str = CATALOGUE
    has_geometry: bool = True
    fields: dict[str, Field] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(
        default_factory=lambda: dict.fromkeys(record_search.SORTABLES, "text")
    )

    def kind(self, name: str, parameter: str) -> Kind:
        return known_kind(self.kinds, name, parameter)


async def chosen(site: Site, records: list[Record], given: dict[str, str]) -> list[Record]:
    """The records that meet the filter, if there is one; 400 says what in it is wrong."""
    catalogue = site.static.setdefault(("catalogue",), _Catalogue(site.schemas.city))
    clause = params.filtered(catalogue, given)
    if clause is None:
        return records
    columns = [sql.SQL("{} text").format(sql.Identifier(name)) for name in catalogue.kinds]
    made = template("records").format(
        columns=sql.SQL(", ").join(columns),
        geom=sql.Identifier(GEOMETRY),
        where=ready(clause.text),
    )
    rows = orjson.dumps([_row(one, catalogue.city.srid) for one in records]).decode()
    asked = Statement(made.as_bytes(None), {**clause.values, "records": rows}, anew=True)
    row = await site.features.row(asked)
    found = {bytes(name).decode() for name in row[0]} if row else set()
    return [one for one in records if one.content["id"] in found]


def _row(record: Record, srid: int) -> dict[str, str | None]:
    values: dict[str, str | None] = {
        name: record_search.value(record, name) for name in record_search.SORTABLES
    }
    place = record.place
    if place is not None:
        # Straight in degrees: so its edge has points enough to stay where it is.
        bent = crs.transform(cast("BaseGeometry", shapely.segmentize(place, 0.01)), 4326, srid)
        values[GEOMETRY] = crs.ewkb(bent, srid)
    return values
