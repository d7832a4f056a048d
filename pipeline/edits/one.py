"""One edit in its transaction: the row locked, judged, checked among its neighbours, a version.

Nothing of a refused edit stays. A row that is as it was makes no version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from psycopg import sql
from psycopg.types.json import Jsonb
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from pipeline import __version__, geo
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger, queries
from pipeline.db.bulk import copy_table
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import LINE, OWN
from pipeline.derive.views import FILLING
from pipeline.edits import fields, trial
from pipeline.edits.among import Neighbourhood, changed
from pipeline.edits.body import Draft
from pipeline.edits.place import placed, same_place
from pipeline.edits.refusals import Done, Missing, Overtaken, Refused, Taken
from pipeline.edits.row import Client, Row, row, vertices
from pipeline.edits.trial import Tried
from pipeline.findings import Finding
from pipeline.stages import original
from pipeline.stages.context import Context
from pipeline.stages.lineage import LOST, vanishing
from pipeline.stages.merge import composed
from pipeline.stages.personal import keep as keep_personal
from pipeline.stages.stage import good_rows, stored

_STAGE = sql.Identifier("edit_row")
Action = Literal["inserted", "updated", "removed"]
Make = Callable[[Row | None, Connection], Draft]


@dataclass(frozen=True)
class Asked:
    """A request to write a row of ``layer``. ``number`` is the row, None for a new one. The client
    has seen ``versions`` of it (None: whichever is there) and sees the fields
    ``names``. ``who`` asked, by which ``words`` (method and path), with how long a body."""

    layer: LayerContract
    number: int | None
    versions: frozenset[str] | None
    names: Mapping[str, Field]
    client: Client
    who: str
    words: str
    content: bytes = b""


def _array(shape: BaseGeometry) -> geo.Geometries:
    made = np.empty(1, dtype=object)
    made[0] = shape
    return made


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: trial.written(value) for name, value in values.items()}


def _key(found: Tried, layer: LayerContract) -> str | None:
    return found.judged.rows.keys_at(layer, np.zeros(1, dtype=np.int64)).get(1)


@dataclass
class Edit:
    """One edit in its transaction; ``context`` is what the stages are told of its layer."""

    database: Database
    context: Context
    connection: Connection
    asked: Asked

    @property
    def layer(self) -> LayerContract:
        """The layer that is written."""
        return self.asked.layer

    @property
    def schemas(self) -> Schemas:
        """The contracts."""
        return self.context.schemas

    def put(self, make: Make) -> Done:
        """Makes or replaces the row."""
        current = self._current()
        draft = make(current, self.connection)
        values, shape = dict(draft.values), self._placed(draft.shape, current)
        metres = self.schemas.city.metres_per_unit
        findings = [
            *draft.findings,
            *fields.read_only(self.layer, values, shape, current, metres),
        ]
        if current is None:
            values |= self._filled(values, shape, ("create", "place"))
        else:
            values = fields.unseen(current, self.asked.names) | values
            if not same_place(shape, current.shape):
                values |= self._filled(values, shape, ("place",))
        values |= fields.measured(self.layer, shape, current)
        found = self._tried(values, draft, shape)
        told = {one.field for one in findings}
        refusing = [*findings, *(one for one in found.refusing if one.field not in told - {None})]
        if refusing:
            raise Refused(refusing)
        if current is not None and self._is_as_it_was(found, current, draft):
            return Done(self.asked.number or 0, current.run, changed=False)
        return self._made(found, draft, current)

    def _made(self, found: Tried, draft: Draft, current: Row | None) -> Done:
        """Writes the row and its version, and looks whether its neighbours bear it."""
        around = self._around(current, found)
        around.remember()
        run = self._begin("updated" if current else "inserted", current)
        number = self._replace(found, current, run)
        added = self._checked(around, found, current)
        written = original.originals(found.raw, found.judged, self.context)
        original.keep(self.connection, run, written)
        if draft.personal:
            keep_personal(self.connection, self.context, run, found.raw, found.judged)
        self._tell(run, found)
        return Done(number, run, changed=True, findings=[*found.told, *added])

    def _tell(self, run: int, found: Tried) -> None:
        """Keeps what was found of the row; what lies between rows a check of the fabric keeps."""
        catalog = self.context.catalog
        rows = [
            {
                "run": run, "layer": self.layer.id, "code": one.code, "key": one.key,
                "severity": catalog.severity(one.code), "line": one.line, "field": one.field,
                "value": one.value, "detail": one.detail, "place": found.place,
                "srid": self.schemas.city.srid,
            }
            for one in found.told
        ]  # fmt: skip
        with self.connection.cursor() as cursor:
            cursor.executemany(queries.load("edits")["tell"], rows)

    def delete(self) -> Done:
        """Takes the row away."""
        current = self._current()
        if current is None:
            raise Missing
        around = self._around(current, None)
        around.remember()
        run = self._begin("removed", current)
        query = sql.SQL(queries.load("edits")["remove"]).format(**self.parts)
        self.connection.execute(query, {"id": self.asked.number, "run": run})
        lost = vanishing(self.connection, self.layer, run)
        if lost:
            detail = ", ".join(lost)
            raise Refused(
                [Finding(LOST, self.layer.id, key=current.key, value=str(len(lost)), detail=detail)]
            )
        told = self._checked(around, None, current)
        return Done(self.asked.number or 0, None, changed=True, findings=told)

    @property
    def parts(self) -> dict[str, sql.Composable]:
        """What the queries leave open."""
        return composed(self.layer, _STAGE)

    def _current(self) -> Row | None:
        """The row that is asked for, if the client has seen it as it is."""
        if self.asked.number is None:
            return None
        current = row(self.connection, self.layer, self.asked.number)
        if current is None:
            raise Missing
        if self.asked.versions is not None and str(current.run) not in self.asked.versions:
            raise Overtaken(str(current.run))
        return current

    def _placed(self, shape: BaseGeometry | None, current: Row | None) -> BaseGeometry | None:
        """The shape of a body in the city's CRS; as it is where it lies far off, for the judges."""
        if shape is None or shape.is_empty:
            return shape
        city, client = self.schemas.city, self.asked.client
        operation = city.operation(CRS.from_epsg(client.srid))
        moved = operation.apply(_array(shape))[0]
        if trial.outside(moved, self.context):
            return shape
        box = moved.bounds
        known = vertices(
            self.connection, self.layer, self.asked.number or 0, box, client, city.srid
        )
        made = placed(shape, operation, known)
        made = geo.promote(_array(made), self._type())[0]
        stored = current.shape if current else None
        return stored if same_place(made, stored) else made

    def _type(self) -> str:
        return self.layer.geometry.type if self.layer.geometry else ""

    def _tried(self, values: Mapping[str, Any], draft: Draft, shape: BaseGeometry | None) -> Tried:
        """Judges the row in the city's CRS, or the client's where its shape was left in that."""
        city, client = self.schemas.city, self.asked.client
        left = shape is not None and shape is draft.shape and client.srid != city.srid
        crs = CRS.from_epsg(client.srid) if left else city.crs
        return trial.tried(self.context, values, draft.personal, shape, crs)

    def _filled(
        self, values: Mapping[str, Any], shape: BaseGeometry | None, when: tuple[str, ...]
    ) -> dict[str, Any]:
        """What the database says of a new row, or of one whose place has changed."""
        wanted = [field.name for field in self.layer.fields if field.filled in when]
        if not wanted or (self.layer.geometry and shape is None):
            return {}
        query = sql.SQL(queries.load("edits")["fill"]).format(
            function=sql.Identifier(OWN, f"{FILLING}{self.layer.id}"),
            srid=sql.Literal(self.schemas.city.srid),
        )
        place = None if shape is None else shapely.to_wkb(shape, output_dimension=2)
        told = self.connection.execute(query, {"given": Jsonb(_plain(values)), "place": place})
        found: Any = (told.fetchone() or ({},))[0]
        return {name: (found or {}).get(name) for name in wanted}

    def _is_as_it_was(self, found: Tried, current: Row, draft: Draft) -> bool:
        """Whether the row would say what it says; what is personal cannot be compared."""
        return changed(current, found) == frozenset() and not draft.personal

    def _around(self, current: Row | None, found: Tried | None) -> Neighbourhood:
        shapes = [current.shape if current else None, found.shape if found else None]
        boxes = [one.bounds for one in shapes if one is not None and not one.is_empty]
        named = [current.values] if current else []
        if found:
            named.append({n: v[0].as_py() for n, v in found.judged.rows.columns.items()})
        return Neighbourhood(
            self.database, self.schemas, self.connection, self.layer, boxes, named,
            changed(current, found),
        )  # fmt: skip

    def _checked(
        self, around: Neighbourhood, found: Tried | None, current: Row | None
    ) -> list[Finding]:
        """The findings that the edit adds, if none of them is an error."""
        new = _key(found, self.layer) if found else None
        told = around.added((current.key if current else None, new))
        errors = [one for one in told if around.severity(one) == "error"]
        if errors:
            raise Refused(errors)
        return told

    def _begin(self, action: Action, current: Row | None) -> int:
        counts = dict.fromkeys(("inserted", "updated", "removed"), 0) | {action: 1}
        client = CRS.from_epsg(self.asked.client.srid)
        values = {
            "feed": current.feed if current else None,
            "layer": self.layer.id,
            "asked": self.asked.words,
            "sha256": hashlib.sha256(self.asked.content).hexdigest(),
            "size": len(self.asked.content),
            "contract": self.schemas.digest(self.layer.id),
            "code": __version__,
            "operation": str(self.schemas.city.operation(client)),
            "who": self.asked.who,
            "arrived": int(action != "removed"),
            **counts,
        }
        found = self.connection.execute(queries.load("edits")["begin"], values).fetchone()
        run = int(str(found[0])) if found else 0
        # What an edit says holds from now on; nobody else publishes until it is committed.
        ledger.publish(self.connection, None, run)
        return run

    def _replace(self, found: Tried, current: Row | None, run: int) -> int:
        """The row by the very statements that merge a load: its former version goes to history."""
        named, parts = queries.load("edits"), self.parts
        columns = [*stored(self.layer), LINE]
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        self.connection.execute(sql.SQL(named["stage"]).format(**parts, staged_columns=listed))
        copy_table(self.connection, _STAGE, good_rows(found.judged))
        values = {"run": run, "layer": self.layer.id}
        merge = queries.load("merge")
        if current is not None:
            own = sql.SQL("t.id = {}").format(sql.Literal(self.asked.number))
            query = sql.SQL(merge["update"]).format(**{**parts, "match": own})
            self.connection.execute(query, values)
            return self.asked.number or 0
        if not any(
            self.connection.execute(sql.SQL(merge[name]).format(**parts), values).rowcount
            for name in ("put_back", "insert")
        ):
            key = _key(found, self.layer)
            raise Taken([Finding("edit.key_taken", self.layer.id, key=key, value=key)])
        made = self.connection.execute(sql.SQL(named["made"]).format(**parts)).fetchone()
        return int(str(made[0])) if made else 0
