"""Terrain of parcels: lowest, mean and highest ground and its slope, from the model in force."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from psycopg import sql
from rasterio.features import rasterize

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db import derived, queries
from pipeline.db.arrival import Arrival, fingerprint
from pipeline.db.derived import Batch
from pipeline.db.engine import Database
from pipeline.db.ledger import Connection
from pipeline.derive.columns import home
from pipeline.errors import ContractError
from pipeline.geo import Geometries
from pipeline.terrain import derived as products
from pipeline.terrain.grid import Floats, Tile, tiles

_SIDE = 1024
_ALWAYS = -1  # before every run
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class ParcelTerrain:
    """One row of the layer that is called so."""

    parcel_code: str
    height_min_m: float
    height_mean_m: float
    height_max_m: float
    slope_mean_deg: float | None
    slope_max_deg: float | None
    cell_count: int


@dataclass(slots=True)
class _Sums:
    """What is gathered over the cells, an entry a parcel."""

    count: Floats
    height: Floats
    slope: Floats
    low: Floats
    high: Floats
    steep: Floats

    @classmethod
    def of(cls, size: int) -> _Sums:
        """Nothing gathered yet."""
        count, height, slope, steep = (np.zeros(size) for _ in range(4))
        return cls(count, height, slope, np.full(size, np.inf), np.full(size, -np.inf), steep)


def refresh(database: Database, schemas: Schemas, model: Path) -> int:
    """Works the table out anew from ``model``; how many parcels lie on it.

    A parcel in which no cell has its centre takes the height at its inner point, without a slope;
    one outside the model is left out.
    """
    layer, parcels = _layers(schemas)
    with database.connect("loader") as connection:
        rows = _measured(connection, layer, parcels, model, _ALWAYS)
        batch = Batch(layer, rows, {})
        if rows or derived.holds(connection, batch):
            derived.replace(connection, batch, fingerprint(model), schemas.city.srid)
    return len(rows)


def follow(database: Database, schemas: Schemas, folder: Path, served: ServedRaster) -> int | None:
    """Works out what loads have changed since the last time; how many parcels that were.

    All of it where the model is another one or a load was undone; None where it was never worked
    out, which waits for ``refresh``.
    """
    layer, parcels = _layers(schemas)
    values = {"layer": layer.id, "parent": parcels.id}
    with database.connect("loader") as connection:
        row = connection.execute(queries.load("raster")["terrain"], values).fetchone()
    if row is None:
        return None
    last, model, undone = row
    path = folder / served.path
    if undone or model != served.version:
        return refresh(database, schemas, path)
    with database.connect("loader") as connection:
        rows = _measured(connection, layer, parcels, path, int(str(last)))
        if not rows and not derived.has_orphans(connection, layer, parcels):
            return 0
        arrived = Arrival(path, served.version, path.stat().st_size)
        derived.follow(connection, Batch(layer, rows, {}), parcels, arrived, schemas.city.srid)
    return len(rows)


def concerns(schemas: Schemas, layers: set[str]) -> bool:
    """Whether the table hangs on one of ``layers``."""
    return _layers(schemas)[1].id in layers


def _layers(schemas: Schemas) -> tuple[LayerContract, LayerContract]:
    """The table's layer and that of the parcels."""
    layer = schemas.layer(_WORD.sub("_", ParcelTerrain.__name__).lower())
    return layer, _parcels(schemas, layer)


def _measured(
    connection: Connection, layer: LayerContract, parcels: LayerContract, model: Path, since: int
) -> list[dict[str, Any]]:
    """Rows of the parcels that runs after ``since`` have changed."""
    query = sql.SQL("SELECT {}, ST_AsBinary(geom) FROM {} WHERE run_id > {} ORDER BY id").format(
        sql.Identifier(layer.key[0]),
        sql.Identifier(home(parcels), parcels.id),
        sql.Literal(since),
    )
    found = connection.execute(query).fetchall()
    wkb = np.array([row[1] for row in found], dtype=object)
    shapes = np.asarray(shapely.from_wkb(wkb))
    return [asdict(row) for row in measured([str(row[0]) for row in found], shapes, model)]


def _parcels(schemas: Schemas, layer: LayerContract) -> LayerContract:
    """The layer of polygons with the same key that deliveries fill."""
    for other in schemas.layers.values():
        polygons = other.geometry is not None and other.geometry.type.endswith("Polygon")
        if other.source == "feed" and other.key == layer.key and polygons:
            return other
    raise ContractError(f"no layer of polygons has the key of {layer.id}")


def measured(codes: list[str], shapes: Geometries, model: Path) -> list[ParcelTerrain]:
    """Rows of the parcels that lie on the model, whose CRS is theirs."""
    if not codes:
        return []
    sums, tree = _Sums.of(len(codes)), shapely.STRtree(shapes)
    with products.opened(model) as opened:
        for tile in tiles(opened.grid, _SIDE, 1):
            _gather(opened, tile, (shapes, tree), sums)
        small = np.flatnonzero(sums.count == 0)
        inner = shapely.get_coordinates(shapely.point_on_surface(shapes[small]))
        sampled = opened.dataset.sample([*map(tuple, inner)], masked=True)
        for parcel, value in zip(small, sampled, strict=True):
            if not np.ma.is_masked(value):
                height = float(value[0])
                sums.height[parcel] = sums.low[parcel] = sums.high[parcel] = height
    return [_row(codes[n], sums, int(n)) for n in np.flatnonzero(np.isfinite(sums.low))]


def _gather(
    model: products.Model, tile: Tile, parcels: tuple[Geometries, shapely.STRtree], sums: _Sums
) -> None:
    shapes, tree = parcels
    core = Tile(*tile.core, tile.core)
    part = model.grid.part(core)
    near = tree.query(shapely.box(*part.bounds))
    if not len(near):
        return
    z = model.read(tile)
    slope = products.slope(z, model.cell_m)[0][tile.inner].ravel()
    heights = z[tile.inner]
    burned = rasterize(
        ((shapes[n], int(n) + 1) for n in near),
        out_shape=heights.shape,
        transform=part.transform,
        dtype="int32",
    ).ravel()
    flat = heights.ravel().astype(np.float64)
    known = (burned > 0) & np.isfinite(flat)
    parcel, flat, slope = burned[known] - 1, flat[known], slope[known]
    size = len(sums.count)
    sums.count += np.bincount(parcel, minlength=size)
    sums.height += np.bincount(parcel, flat, size)
    sums.slope += np.bincount(parcel, slope, size)
    np.minimum.at(sums.low, parcel, flat)
    np.maximum.at(sums.high, parcel, flat)
    np.maximum.at(sums.steep, parcel, slope)


def _row(code: str, sums: _Sums, n: int) -> ParcelTerrain:
    count = int(sums.count[n])
    low, high, mean = sums.low[n], sums.high[n], sums.height[n] / max(count, 1)
    mean_slope, steepest = (sums.slope[n] / count, sums.steep[n]) if count else (None, None)
    return ParcelTerrain(
        code,
        round(float(low), 2),
        round(float(mean), 2),
        round(float(high), 2),
        None if mean_slope is None else round(float(mean_slope), 2),
        None if steepest is None else round(float(steepest), 2),
        count,
    )
