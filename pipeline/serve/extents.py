"""Where and when the features of each layer are: asked of the database, and remembered.

Over a large city that takes seconds (of a view that is computed, ten), and most starts of a server
follow no load. So what was found is kept beside the published files with the state the layer had,
and asked again when that is another one.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import sql

from pipeline import disk
from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import views
from pipeline.derive.collections import Extent
from pipeline.derive.columns import GEOMETRY
from pipeline.serve import crs
from pipeline.serve.clause import template
from pipeline.serve.made_by import made_by
from pipeline.settings import Settings

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass
class Extents:
    """Those of the layers of one audience; ``path`` is where they are remembered."""

    connection: Connection
    schemas: Schemas
    audience: Audience
    path: Path
    settings: Settings

    def all(self, layers: list[LayerContract]) -> dict[str, Extent]:
        """Of ``layers``, by id. What cannot be written down is asked again next time."""
        digest, states = made_by(self.settings, self.schemas), self._states()
        known = self._known(digest)
        found: dict[str, Extent] = {}
        kept = {}
        # Those that lie within another come after it.
        for layer in sorted(layers, key=lambda one: one.publish.within is not None):
            state = states.get(layer.id)
            if state is None or known.get(layer.id, {}).get("state") != state:
                outer = found.get(layer.publish.within or "")
                found[layer.id] = self._within(layer, outer) if outer else self._asked(layer)
            else:
                found[layer.id] = _read(known[layer.id])
            if state is not None:
                kept[layer.id] = _told(found[layer.id], state)
        self._remember(orjson.dumps({"made_by": digest, "layers": kept}))
        return found

    def _remember(self, content: bytes) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            disk.write_bytes(self.path, content)

    def _known(self, digest: str) -> dict[str, Any]:
        try:
            there = orjson.loads(self.path.read_bytes())
            return dict(there["layers"]) if there["made_by"] == digest else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _states(self) -> dict[str, str]:
        """As the server itself reads them, before what they stand for."""
        view = sql.Identifier(self.audience.schema_name, views.VERSION)
        row = self.connection.execute(template("versions").format(view=view)).fetchone()
        return dict(orjson.loads(str(row[0]))) if row else {}

    def _within(self, layer: LayerContract, outer: Extent) -> Extent:
        """That of the layer within which the features lie, if there are any."""
        view = sql.Identifier(self.audience.schema_name, layer.id)
        row = self.connection.execute(template("any").format(view=view)).fetchone()
        return Extent(outer.bbox, *self._period(layer)) if row and row[0] else self._asked(layer)

    def _asked(self, layer: LayerContract) -> Extent:
        """Where and when the features are; the city's extent while there are none."""
        bounds = None
        if layer.geometry:
            view = sql.Identifier(self.audience.schema_name, layer.id)
            asked = template("extent").format(geom=sql.Identifier(GEOMETRY), view=view)
            bounds = self.connection.execute(asked).fetchone()
        city = self.schemas.city
        box = bounds if bounds and bounds[0] is not None else city.extent.bounds
        west, south, east, north = (float(str(number)) for number in box)
        moved = crs.transform(crs.ring((west, south, east, north)), city.srid, 4326)
        begin, end = self._period(layer)
        return Extent(_outwards(moved.bounds), begin, end)

    def _period(self, layer: LayerContract) -> tuple[datetime | None, datetime | None]:
        name = self.audience.schema_name
        if layer.source == "feed" and layer.publish.time is None:
            view = sql.Identifier(name, views.versions_view(layer))
            found = self.connection.execute(template("first").format(view=view)).fetchone()
            return _moment(found[0] if found else None), None
        if layer.source == "log":
            return None, None
        column = layer.publish.time
        published = self.schemas.city.published(column) if column else None
        if published not in views.published_fields(self.schemas, layer, self.audience):
            return None, None
        view = sql.Identifier(name, layer.id)
        asked = template("period").format(time=sql.Identifier(str(published)), view=view)
        begin, end = self.connection.execute(asked).fetchone() or (None, None)
        return _moment(begin), _moment(end)


def _outwards(bounds: crs.Bounds) -> crs.Bounds:
    """The smallest box of seven decimals round ``bounds``: rounded to the nearest it would leave
    out what lies on its edge."""
    scale = 10**7
    west, south = (math.floor(number * scale) / scale for number in bounds[:2])
    east, north = (math.ceil(number * scale) / scale for number in bounds[2:])
    return (west, south, east, north)


def _told(extent: Extent, state: str) -> dict[str, Any]:
    return {"state": state, "bbox": extent.bbox, "begin": extent.begin, "end": extent.end}


def _read(told: dict[str, Any]) -> Extent:
    begin, end = (
        datetime.fromisoformat(told[name]) if told[name] else None for name in ("begin", "end")
    )
    west, south, east, north = told["bbox"]
    return Extent((west, south, east, north), begin, end)


def _moment(found: object) -> datetime | None:
    if isinstance(found, datetime):
        return found.astimezone(UTC)
    return datetime.combine(found, time(), UTC) if isinstance(found, date) else None
