"""Facts of a city of 300,000 parcels against the same joins by geopandas, in turns on one server.

Ours goes from the database to the database: read, join, write, remember. geopandas reads the same
tables and joins them; it does not even write. Then one parcel in a hundred changes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import psycopg
import pyogrio
import shapely
from sqlalchemy import Engine, create_engine, text

from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.settings import Settings
from pipeline.stages import load as loading

_STEP = np.array([0.02, 0.01])
COMMON = ("overlay", "neighbour", "match")
OVERLAYS = ("block", "district", "region", "neighbourhood", "census_block", "plan_zone", "project")


def read(engine: Engine, layer: str) -> geopandas.GeoDataFrame:
    """A layer as geopandas reads it: id and geometry."""
    return geopandas.read_postgis(text(f"SELECT id, geom FROM data.{layer}"), engine)


def points(engine: Engine) -> int:
    """Postcodes to parcels."""
    return len(
        geopandas.sjoin(read(engine, "postcode"), read(engine, "parcel"), predicate="within")
    )


def zones(engine: Engine) -> int:
    """Parcels cut by zones, with area."""
    found = geopandas.overlay(read(engine, "parcel"), read(engine, "plan_zone"))
    return int((found.geometry.area > 0.01).sum())


def everything(engine: Engine) -> int:
    """All facts: overlays with area, neighbours with length, buildings, postcodes, road strips."""
    parcels = read(engine, "parcel")
    rows = 0
    for layer in OVERLAYS:
        rows += len(geopandas.overlay(parcels, read(engine, layer)).geometry.area)
    buildings = read(engine, "building")
    rows += len(geopandas.overlay(buildings, parcels).geometry.area)
    roads = geopandas.read_postgis(
        text(
            "SELECT id, width_plan_m, geom FROM data.plan_road_line WHERE road_line_kind = 'axis'"
        ),
        engine,
    )
    roads["geom"] = roads.geometry.buffer(roads["width_plan_m"] / 2, cap_style="flat")
    rows += len(geopandas.overlay(parcels, roads[["id", "geom"]]).geometry.area)
    pairs = geopandas.sjoin(parcels, parcels, predicate="touches")
    rings = parcels.geometry.boundary
    left = rings.loc[pairs.index].to_numpy()
    right = rings.loc[pairs["index_right"]].to_numpy()
    rows += int((shapely.length(shapely.intersection(left, right)) > 0.05).sum())
    return rows + len(geopandas.sjoin(read(engine, "postcode"), parcels, predicate="within"))


def edges(engine: Engine) -> int:
    """Boundaries of parcels: what they share with neighbours, and the nearest street of the rest.

    Neither corners nor an order: geopandas has nothing for those.
    """
    parcels, streets = read(engine, "parcel"), read(engine, "street")
    pairs = geopandas.sjoin(parcels, parcels, predicate="touches")
    rings = parcels.geometry.boundary
    shared = shapely.intersection(
        rings.loc[pairs.index].to_numpy(), rings.loc[pairs["index_right"]].to_numpy()
    )
    taken = geopandas.GeoSeries(shared, index=pairs.index, crs=parcels.crs)
    whole = taken[taken.length > 0.05].groupby(level=0).agg(shapely.union_all)
    free = rings.loc[whole.index].difference(geopandas.GeoSeries(whole, crs=parcels.crs))
    fronts = geopandas.GeoDataFrame(geometry=free[free.length > 0.05]).explode()
    return len(geopandas.sjoin_nearest(fronts, streets, max_distance=15.0))


def ours(database: Database, schemas: Schemas, *names: str) -> Callable[[], float]:
    """Seconds of the facts ``names``, worked out anew; where none is named, of all but the audit's
    and what nothing else has: remainders, edges and their levels."""
    wanted = names or tuple(
        name
        for name, fact in schemas.facts.items()
        if fact.kind in COMMON and not name.startswith(("audit", "census_fig"))
    )
    chosen = {name: schemas.facts[name] for name in wanted}
    for name in wanted:
        chosen |= {one: schemas.facts[one] for one in schemas.facts[name].builds_on}
    only = replace(schemas, facts=chosen)

    def run() -> float:
        begun = time.monotonic()
        found = joins.derive(database, only, anew=True)
        whole = time.monotonic() - begun
        return sum(one.seconds for one in found if one.fact in names) if names else whole

    return run


def theirs(engine: Engine, work: Callable[[Engine], int]) -> Callable[[], float]:
    """Seconds of geopandas' work."""

    def run() -> float:
        begun = time.monotonic()
        work(engine)
        return time.monotonic() - begun

    return run


def change(folder: Path, place: Path) -> Path:
    """The parcels' file with one in a hundred moved a little, as a correction does."""
    frame = pyogrio.read_dataframe(folder / "amlak.gpkg")
    moved = np.random.default_rng(1).choice(len(frame), len(frame) // 100, replace=False)
    shapes = frame.geometry.to_numpy()
    shapes[moved] = shapely.transform(shapes[moved], lambda xy: np.round(xy + _STEP, 3))
    frame["geometry"] = shapes
    pyogrio.write_dataframe(frame, place / "amlak.gpkg", layer="amlak", geometry_type="Polygon")
    return place / "amlak.gpkg"


def prepared(home: Path, folder: Path, parcels: int) -> None:
    """A city loaded into a database below ``home``, if it is not there yet."""
    words = [sys.executable, "-m", "pipeline"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKAN_")}
    environment["MAKAN_HOME"] = str(home)
    if not (folder / "truth.csv").exists():
        city = ["sample", str(folder), "--parcels", str(parcels), "--seed", "1387", "--no-imagery"]
        subprocess.run([*words, *city], check=True, env=environment)
    fresh = not Cluster(home).exists
    subprocess.run([*words, "db", "start"], check=True, env=environment)
    if fresh:
        load = ["load", "--all", str(folder), "--no-derive"]
        subprocess.run([*words, *load], check=True, env=environment)


def main() -> None:
    """Prints every round, the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, default=Path(".makan") / "bench-joins")
    parser.add_argument("--city", type=Path, default=Path(".makan") / "bench" / "city")
    chosen = parser.parse_args()
    prepared(chosen.home, chosen.city, chosen.parcels)
    schemas, database = registry.load("qom"), Database(Settings(home=chosen.home, city="qom"))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database.uri("owner"))
    )
    tasks = {
        "postcodes to parcels": (
            ours(database, schemas, "postcode_parcel"),
            theirs(engine, points),
        ),
        "zones over parcels": (ours(database, schemas, "parcel_zone"), theirs(engine, zones)),
        "edges of parcels": (ours(database, schemas, "parcel_edge"), theirs(engine, edges)),
        "all facts": (ours(database, schemas), theirs(engine, everything)),
    }
    full = 0.0
    for name, (mine, other) in tasks.items():
        times = [(mine(), other()) for _ in range(chosen.rounds)]
        one, two = (statistics.median(side) for side in zip(*times, strict=True))
        print(f"{name}: makan {one:.2f} s, geopandas {two:.2f} s: {one / two:.2f} (goal <= 1)")
        full = one
    with tempfile.TemporaryDirectory() as place:
        context = loading.context_for(schemas, "parcels")
        loading.load(database, change(chosen.city, Path(place)), context, batch_rows=50_000,
                     progress=lambda *_: None)  # fmt: skip
        only = replace(schemas, facts={n: f for n, f in schemas.facts.items()
                                       if not n.startswith(("audit", "census_fig"))})  # fmt: skip
        begun = time.monotonic()
        found = joins.derive(database, only)
        spent = time.monotonic() - begun
    for one in found:
        print(f"  {one.fact}: {one.touched} subjects, {one.seconds:.2f} s")
    print(f"1 % of the parcels changed: {spent:.2f} s, {spent / full:.3f} of all (goal < 0.1)")


if __name__ == "__main__":
    main()
