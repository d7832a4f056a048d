"""Facts of a city of 300,000 parcels against the same joins by geopandas, in turns on one server.

Ours goes from the database to the database: read, join, write, remember. geopandas reads the same
tables and joins them; it does not even write. Then one parcel in a hundred changes, again and
again. Times are by the clock and of processors: this process and all of the database server's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import psycopg
import pyogrio
import shapely
from sqlalchemy import Engine, create_engine, text

from benchmarks.city import prepared
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.settings import Settings
from pipeline.stages import load as loading

_STEP = np.array([0.02, 0.01])
_TICKS = os.sysconf("SC_CLK_TCK")
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


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of processors of this process and of the server."""

    wall: float
    client: float
    server: float

    @property
    def cpu(self) -> float:
        """Of both."""
        return self.client + self.server

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.cpu:.2f} CPU-s ({self.server:.2f} the server's)"


@dataclass(frozen=True)
class Task:
    """What is measured: these facts (none: all that geopandas has something for), its work, and
    whether a change of one parcel in a hundred is measured too."""

    name: str
    facts: tuple[str, ...]
    theirs: Callable[[Engine], int]
    changes: bool = False


TASKS = (
    Task("postcodes", ("postcode_parcel",), points),
    Task("zones", ("parcel_zone",), zones),
    Task("edges", ("parcel_edge",), edges, changes=True),
    Task("all", (), everything, changes=True),
)


def _processes(leader: int) -> float:
    """Seconds of processors of the server ``leader`` and of those that it has started."""
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = place.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # After the name: state, parent, ...; utime is the 12th, then stime, cutime, cstime.
        if int(words[1]) == leader:
            ticks += int(words[11]) + int(words[12])
        elif int(place.parent.name) == leader:
            ticks += sum(int(word) for word in words[11:15])
    return ticks / _TICKS


@dataclass(frozen=True)
class Bench:
    """One city in one database."""

    database: Database
    schemas: Schemas
    leader: int

    def spent(self, work: Callable[[], object]) -> Spent:
        """What ``work`` takes."""
        server, wall, client = _processes(self.leader), time.monotonic(), time.process_time()
        work()
        wall, client = time.monotonic() - wall, time.process_time() - client
        return Spent(wall, client, _processes(self.leader) - server)

    def only(self, names: Iterable[str]) -> Schemas:
        """The contracts with these facts and what they build on; where none is named, with all but
        the audit's and what nothing else has: remainders, edges and their levels."""
        wanted = tuple(names) or tuple(
            name
            for name, fact in self.schemas.facts.items()
            if fact.kind in COMMON and not name.startswith(("audit", "census_fig"))
        )
        chosen = {name: self.schemas.facts[name] for name in wanted}
        for name in wanted:
            chosen |= {one: self.schemas.facts[one] for one in self.schemas.facts[name].builds_on}
        return replace(self.schemas, facts=chosen)

    def forget(self, names: Iterable[str]) -> None:
        """These facts are as if they had never been worked out."""
        with self.database.connect("owner") as connection:
            connection.execute(b"DELETE FROM ops.fact_input WHERE fact = ANY(%s)", (list(names),))

    def load(self, file: Path) -> None:
        """Takes the parcels of ``file`` in; facts stay as they are."""
        context = loading.context_for(self.schemas, "parcels")
        loading.load(self.database, file, context, batch_rows=50_000, progress=lambda *_: None)


class Parcels:
    """The parcels' file, of which one in a hundred moves a little more each time, as a correction
    does."""

    def __init__(self, folder: Path, place: Path) -> None:
        self._frame = pyogrio.read_dataframe(folder / "amlak.gpkg")
        self._order = np.random.default_rng(1).permutation(len(self._frame))
        self._place = place

    def moved(self) -> Path:
        """A file in which another hundredth has moved since the one before."""
        many = max(len(self._order) // 100, 1)
        moved, self._order = self._order[:many], np.roll(self._order, -many)
        shapes = self._frame.geometry.to_numpy().copy()
        shapes[moved] = shapely.transform(shapes[moved], lambda xy: np.round(xy + _STEP, 3))
        self._frame["geometry"] = shapes
        file = self._place / "amlak.gpkg"
        pyogrio.write_dataframe(self._frame, file, layer="amlak", geometry_type="Polygon")
        return file


def full(bench: Bench, engine: Engine, task: Task, rounds: int) -> Spent:
    """Prints all of a task's facts against geopandas; the median of ours."""
    only, mine, other = bench.only(task.facts), [], []
    # What a fact builds on is no part of its join.
    joins.derive(bench.database, only)
    for _ in range(rounds):
        bench.forget(task.facts or only.facts)
        mine.append(bench.spent(lambda: joins.derive(bench.database, only)))
        other.append(bench.spent(lambda: task.theirs(engine)))
    one, two = _median(mine), _median(other)
    print(f"{task.name}: makan {one}; geopandas {two}")
    print(f"  {one.wall / two.wall:.2f} of its time (goal <= 1), {one.cpu / two.cpu:.2f} by CPU")
    return one


def changed(bench: Bench, task: Task, parcels: Parcels, rounds: int, whole: Spent) -> None:
    """Prints what a task takes after a hundredth of the parcels has changed."""
    only, found = bench.only(task.facts), []
    done: list[joins.Derived] = []

    def work() -> None:
        done[:] = joins.derive(bench.database, only)

    for _ in range(rounds):
        bench.load(parcels.moved())
        found.append(bench.spent(work))
        if any(one.touched is None for one in done):
            raise SystemExit(f"{task.name}: a fact was worked out as a whole")
    for one in done:
        print(f"    {one.fact}: {one.touched} subjects, {one.seconds:.2f} s")
    part = _median(found)
    shares = f"{part.wall / whole.wall:.3f} of all by the clock, {part.cpu / whole.cpu:.3f} by CPU"
    print(f"  1 % of the parcels changed: {part}: {shares} (goal < 0.1)")


def _median(found: list[Spent]) -> Spent:
    sides = [(one.wall, one.client, one.server) for one in found]
    return Spent(*(statistics.median(side) for side in zip(*sides, strict=True)))


def main() -> None:
    """Prints the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, default=Path(".makan") / "bench-joins")
    parser.add_argument("--city", type=Path, default=Path(".makan") / "bench" / "city")
    parser.add_argument("--only", nargs="+", choices=[task.name for task in TASKS])
    chosen = parser.parse_args()
    prepared(chosen.home, chosen.city, chosen.parcels)
    schemas, database = registry.load("qom"), Database(Settings(home=chosen.home, city="qom"))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database.uri("owner"))
    )
    with psycopg.connect(database.uri("owner")) as connection, tempfile.TemporaryDirectory() as at:
        words = Path(f"/proc/{connection.info.backend_pid}/stat").read_text()
        bench = Bench(database, schemas, int(words.rpartition(")")[2].split()[1]))
        # What an earlier run has moved goes back first, or it would count as a change.
        bench.load(chosen.city / "amlak.gpkg")
        parcels = Parcels(chosen.city, Path(at))
        for task in TASKS:
            if chosen.only and task.name not in chosen.only:
                continue
            whole = full(bench, engine, task, chosen.rounds)
            if task.changes:
                changed(bench, task, parcels, chosen.rounds, whole)


if __name__ == "__main__":
    main()
