"""Plan: whether an edition of a detailed plan is whole, and what it does to parcels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.geo import Geometries

SPLIT_SHARE = 0.05
"""A parcel is split where it has at least this share in zones of two kinds."""


@dataclass(frozen=True)
class Edition:
    """One edition: ``in_force`` is the latest approved one of its kind. Areas in m2 on the grid.

    ``outside_zones_m2``: of the boundary, in no zone, which is what roads are;
    ``blocks_without_zone_m2``: of it, within blocks, where no road can be meant; ``doubled_m2``: in
    several zones; ``beyond_m2``: zones outside of the boundary. ``codes_without_rule``: no rule
    speaks of them. ``parcels_split`` lie in two kinds of zone, ``parcels_in_none`` mostly in none.
    """

    plan_id: str
    kind: str
    status: str | None
    approved_on: str | None
    in_force: bool
    boundary_m2: float | None
    zones: int
    zones_m2: float
    outside_zones_m2: float | None
    blocks_without_zone_m2: float | None
    doubled_m2: float
    beyond_m2: float | None
    codes_without_rule: list[str]
    parcels: int
    parcels_split: int
    parcels_in_none: int
    parcels_widened: int
    widening_m2: float


def editions(database: Database, schemas: Schemas) -> list[Edition]:
    """Every edition that is loaded, with what is known of it; facts as they were last derived."""
    with database.connect("loader") as connection:
        square = schemas.city.metres_per_unit**2
        return [_edition(connection, square, row) for row in _every(connection)]


def edition(connection: Connection, schemas: Schemas, plan_id: str) -> Edition | None:
    """One of them, None where there is no such edition."""
    square = schemas.city.metres_per_unit**2
    found = [row for row in _every(connection) if row[0] == plan_id]
    return _edition(connection, square, found[0]) if found else None


def _every(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(queries.load("plan")["editions"]).fetchall()


def _edition(connection: Connection, square: float, row: tuple[Any, ...]) -> Edition:
    values = {"plan": row[0], "share": SPLIT_SHARE}
    shapes = _shapes(connection, "zones", values)
    union = shapely.union_all(shapes)
    boundary = next(iter(_shapes(connection, "boundary", values)), None)
    blocks = _shapes(connection, "blocks", values)
    built = shapely.intersection(shapely.union_all(blocks), boundary) if len(blocks) else None
    total = float(shapely.area(shapes).sum())
    split, none, parcels = _row(connection, "split", values)
    widened, taken = _row(connection, "widening", values)
    lacking = connection.execute(queries.load("plan")["without_rule"], values).fetchall()
    plan_id, kind, status, approved_on, in_force = row
    return Edition(
        plan_id=plan_id,
        kind=kind,
        status=status,
        approved_on=approved_on,
        in_force=bool(in_force),
        boundary_m2=None if boundary is None else boundary.area * square,
        zones=len(shapes),
        zones_m2=total * square,
        outside_zones_m2=_left(boundary, union, square),
        blocks_without_zone_m2=_left(built, union, square),
        doubled_m2=(total - union.area) * square,
        beyond_m2=None if boundary is None else _left(union, boundary, square),
        codes_without_rule=[str(code) for (code,) in lacking],
        parcels=parcels,
        parcels_split=split,
        parcels_in_none=none,
        parcels_widened=widened,
        widening_m2=taken,
    )


def _shapes(connection: Connection, name: str, values: dict[str, object]) -> Geometries:
    rows = connection.execute(queries.load("plan")[name], values).fetchall()
    wkb = np.array([row[0] for row in rows], dtype=object)
    shapes: Geometries = np.asarray(shapely.from_wkb(wkb))
    return shapes


def _left(of: shapely.Geometry | None, without: shapely.Geometry, square: float) -> float | None:
    """The area (m2) of one that the other does not cover; None where there is no such area."""
    return None if of is None else float(shapely.area(shapely.difference(of, without))) * square


def _row(connection: Connection, name: str, values: dict[str, object]) -> tuple[Any, ...]:
    found = connection.execute(queries.load("plan")[name], values).fetchone()
    return found or ()


def of_parcel(database: Database, code: str) -> list[dict[str, Any]]:
    """What the plans say of one parcel, a row for each zone and rule (layer parcel-plan)."""
    with database.connect("loader") as connection:
        rows = connection.execute(queries.load("plan")["of_parcel"], {"code": code}).fetchall()
    return [{k: v for k, v in dict(row[0]).items() if k != "geom"} for row in rows]  # type: ignore[call-overload]
