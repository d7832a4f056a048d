"""Makan's server beside stock pygeoapi, tipg, MapServer, martin, pg_tileserv and PostGIS itself.

    python -m benchmarks.serve [--parcels 300000] [--rounds 3] [--only WORK …] [--peers NAME …]

All sides serve the same view of the same city with two workers, and are asked in turns for the same
boxes, ids and tiles by eight connections. Printed are ratios of medians. Peers
are installed once into ``~/.cache/makan-bench``; the city is made and loaded once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks import city
from benchmarks.serve import cpu, peers, sample, table, works
from benchmarks.serve.drive import Counted, Drivers, Request
from benchmarks.serve.install import Unobtainable
from benchmarks.serve.peer import Peer, Place, running
from benchmarks.serve.table import Limit, Measure, Results
from benchmarks.serve.works import OURS, PLAIN, SQL, WORKS, Makan, Work
from pipeline.contracts import registry
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.serve import mvt, served
from pipeline.serve.served import Served
from pipeline.serve.tile_seed import Offline
from pipeline.settings import Settings

_PORT = 18_490
_COLLECTION = "parcels"
#: Whoever keeps nothing needs no settling; we pack and keep tiles after the answer has gone.
_SETTLE_S = 0.3
_OTHERS = ("fgb", "memory")
_FLAT_MB = 50
_DOC = Path("docs") / "performance.md"
_LEGEND = (
    "*rate*: answers a second of the other side; *ratio*: ours by theirs, medians; *by CPU*: their "
    "CPU time of an answer (server and database, not the client) by ours, which other work on the "
    "machine hardly touches. `sql` is our own SQL without a server, prepared; `ST_AsMVT` the plain "
    "query for a tile, in which nothing is simplified."
)


class Bench:
    """The sides, running."""

    def __init__(
        self,
        drivers: Drivers,
        makan: Makan,
        place: Place,
        uri: str,
        postmaster: int,
        seconds: float,
    ) -> None:
        """Nothing is asked yet."""
        self.drivers, self.makan, self.place = drivers, makan, place
        self.uri, self.postmaster, self.seconds = uri, postmaster, seconds
        self.peers: dict[str, tuple[Peer, int]] = {}
        self.results = Results()
        self._asked: dict[tuple[str, str], list[Request] | None] = {}

    def requests(self, work: Work, side: str) -> list[Request] | None:
        """What ``side`` is asked; None for what it does not do."""
        key = (work.id, side)
        if key not in self._asked or work.id.endswith("same"):
            # Tags are of the bytes that are kept now.
            if side == OURS:
                self._asked[key] = self.makan.ask(work.id)
            else:
                self._asked[key] = self._of_peer(work, side)
        return self._asked[key]

    def _of_peer(self, work: Work, side: str) -> list[Request] | None:
        """What a peer is asked, if it answers the first of it as it should."""
        peer = self.peers.get(side)
        asked = peer[0].ask(work.id, self.makan.sample, self.place) if peer else None
        if not peer or not asked:
            return None
        wrong = works.fault(work.id, peer[0].port, asked[0].path)
        if wrong:
            self.results.faults.append(f"{side}, {work.title}: {wrong}")
        return None if wrong else asked

    def run(self, work: Work, side: str, number: int) -> None:
        """One side at one work; a side that does not do it, or fails, is told of."""
        if side in (SQL, PLAIN):
            plain = side == PLAIN
            statements = (
                self.makan.plain(work.id, self.place) if plain else self.makan.statements(work.id)
            )
            if statements:
                turned = _turned(statements, number)
                seconds = None if work.once else self.seconds
                self._measured(work, side, (), lambda: self.drivers.sql(self.uri, turned, seconds))
            return
        asked = self.requests(work, side)
        if not asked:
            return
        port, pid = self._where(side)
        if side == OURS:
            self._before(work, asked)
        elif number == 0:
            self.drivers.http(port, asked[:16], None)
        turned = _turned(asked, number)
        seconds = None if work.once else self.seconds
        self._measured(work, side, (pid,), lambda: self.drivers.http(port, turned, seconds))

    def _where(self, side: str) -> tuple[int, int]:
        if side == OURS:
            return self.makan.port, self.makan.pid
        peer, pid = self.peers[side]
        return peer.port, pid

    def _before(self, work: Work, asked: list[Request]) -> None:
        """Tiles are kept, or not, as the work wants it."""
        if work.once:
            self.makan.forget_tiles()
        elif work.id.startswith("z"):
            self.drivers.http(self.makan.port, asked, None)
        else:
            self.drivers.http(self.makan.port, asked[-16:], None)
        time.sleep(_SETTLE_S)

    def _measured(self, work: Work, side: str, pids: tuple[int, ...], do: object) -> None:
        before = cpu.seconds(self.postmaster, *pids)
        found: Counted = do()  # type: ignore[operator]
        # Backends that end, and tiles that are kept after the answer, cost their part too.
        time.sleep(_SETTLE_S)
        spent = cpu.seconds(self.postmaster, *pids) - before
        if found.faults:
            self.results.faults.append(f"{side}, {work.title}: {found.faults[0]}")
        if found.answers:
            each = 1000 * spent / found.answers
            self.results.add(work.id, side, Measure(found.rate, each, found.size / found.answers))

    def city_tiles(self) -> None:
        """The whole city at level 10."""
        ms, most, count = self.makan.city_tiles()
        told = f"{ms:.0f} ms a tile (of {count}), {most / 1000:.0f} kB at most"
        self.results.limits.append(
            Limit(
                "whole city at z10, not kept",
                told,
                "< 100 ms, < 500 kB",
                ms < 100 and most < 500_000,
            )
        )

    def flatgeobuf(self, rounds: int) -> None:
        """The whole layer as a file, in turns with ogr2ogr."""
        self._warm("fgb")
        times = []
        for _ in range(rounds):
            ours, size = self.makan.file("fgb", self.place)
            theirs, other, _ = works.ogr2ogr(self.place)
            times.append((ours, theirs))
        ours, theirs = (statistics.median(one) for one in zip(*times, strict=True))
        told = (
            f"{ours:.1f} s ({size / 1e6:.0f} MB), ogr2ogr {theirs:.1f} s ({other / 1e6:.0f} MB): "
            f"{theirs / ours:.2f} of its speed"
        )
        title = f"{self.makan.sample.parcels:,} features as FlatGeobuf"
        self.results.limits.append(Limit(title, told, ">= 0.7", theirs / ours >= 0.7))

    def memory(self) -> None:
        """What a worker grows by while it makes the whole layer in each format."""
        told = []
        for form in ("fgb", "parquet", "gml"):
            self._warm(form)
            cpu.forget_peaks(self.makan.pid)
            before = cpu.peak_mb(self.makan.pid)
            _, size = self.makan.file(form, self.place)
            grown = max(0.0, cpu.peak_mb(self.makan.pid) - before)
            told.append((form, size, grown))
        *_, peak = works.ogr2ogr(self.place)
        parts = [f"{form} ({size / 1e6:.0f} MB) + {grown:.0f} MB" for form, size, grown in told]
        title = f"memory of a worker for {self.makan.sample.parcels:,} features"
        said = f"{', '.join(parts)}; ogr2ogr's FlatGeobuf {peak:.0f} MB"
        flat = all(grown <= _FLAT_MB for *_, grown in told)
        self.results.limits.append(Limit(title, said, f"+ {_FLAT_MB} MB at most", flat))

    def _warm(self, form: str) -> None:
        """Each worker has its libraries then."""
        for _ in range(8):
            self.makan.get(f"{works.ITEMS}?f={form}&limit=1000")


def _turned(asked: list, number: int) -> list:  # type: ignore[type-arg]
    """Another beginning for each round, so that no round asks what the one before it has asked."""
    first = number * len(asked) // 3 % max(len(asked), 1)
    return asked[first:] + asked[:first]


def _prepared(home: Path, folder: Path, parcels: int) -> None:
    fresh = not Cluster(home.resolve()).exists
    city.prepared(home, folder, parcels)
    if fresh:
        city.makan(home, "tiles", "refresh")


@contextmanager
def _bench(given: argparse.Namespace) -> Iterator[Bench]:
    """Everything started; what cannot be is in the results with its reason."""
    home: Path = given.home or Path(".makan") / f"bench-serve-{given.parcels}"
    home = home.resolve()
    _prepared(home, given.city or home / "city", given.parcels)
    settings = Settings(home=home, port=_PORT)
    schemas, database = registry.load(settings.city), Database(settings)
    audience = schemas.audience("public")
    uri = database.uri(audience.role)
    with ExitStack() as stack:
        drivers = stack.enter_context(Drivers())
        server = stack.enter_context(city.serving(home, _PORT))
        postmaster = _postmaster(uri)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="makan-bench-")))
        one = served.catalog(schemas, audience)[_COLLECTION]
        view = f"{audience.schema_name}.{one.layer.id}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("SET statement_timeout = '120s'")
            found = sample.drawn(connection, view, schemas.city.srid)
        offline = Offline(settings, schemas)
        extent = offline.config["resources"][_COLLECTION]["extents"]["spatial"]["bbox"]
        west, south, east, north = extent[0] if isinstance(extent[0], list) else extent
        parts = {key: str(value) for key, value in conninfo_to_dict(database.uri("owner")).items()}
        place = Place(
            parts, audience.schema_name, one.layer.id, tuple(one.fields), _tile_fields(one),
            schemas.city.srid, (west, south, east, north), folder,
        )  # fmt: skip
        makan = Makan(_PORT, server.pid, home, one, offline.config["makan"], found)
        bench = Bench(drivers, makan, place, uri, postmaster, given.seconds)
        for peer in peers.PEERS:
            if given.peers is not None and peer.name not in given.peers:
                bench.results.missing[peer.name] = "not asked for (--peers)"
                continue
            try:
                peer.install()
                bench.peers[peer.name] = peer, stack.enter_context(running(peer, place))
            except Unobtainable as reason:
                bench.results.missing[peer.name] = str(reason)
                print(f"{peer.name} is not there: {reason}", file=sys.stderr, flush=True)
        yield bench


def _tile_fields(one: Served) -> dict[int, tuple[str, ...]]:
    """What our own tiles carry, so that those of others hold as much."""
    return {
        zoom: one.tile_fields
        if next(mvt.ways(one, zoom, from_afar=True)).rich
        else one.class_fields
        for zoom in (14, 16, 17)
    }


def _postmaster(uri: str) -> int:
    """The process that all backends descend from."""
    with psycopg.connect(uri) as connection:
        backend = connection.info.backend_pid
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def _about(given: argparse.Namespace, loads: list[float]) -> list[str]:
    # Where this machine keeps its city is nobody else's.
    kept = [one for one in sys.argv[1:] if "/" not in one and one not in ("--home", "--city")]
    words = " ".join(["python -m benchmarks.serve", *kept])
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = (
        f"`{words}`, {now}: {given.parcels:,} parcels, {given.rounds} alternating rounds of "
        f"{given.seconds:g} s, {os.cpu_count()} cores, 2 workers and 8 connections a side; load of "
        f"the machine before {loads[0]:.1f}, after {loads[-1]:.1f} (it makes about 5 by itself)."
    )
    return ["## The server beside others", "", made, "", _LEGEND]


def main() -> None:
    """Prints the table; ``--write`` puts it into the docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    known = [*(work.id for work in WORKS), *_OTHERS]
    parser.add_argument("--parcels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.2)
    parser.add_argument("--only", nargs="+", metavar="WORK", choices=known, default=known)
    names = [peer.name for peer in peers.PEERS]
    parser.add_argument("--peers", nargs="*", metavar="NAME", choices=names)
    parser.add_argument("--home", type=Path, help="where the loaded city is or will be")
    parser.add_argument("--city", type=Path, help="where the files of the city are or will be")
    parser.add_argument("--write", action="store_true", help=f"into {_DOC}")
    given = parser.parse_args()
    loads = [os.getloadavg()[0]]
    chosen = [work for work in WORKS if work.id in given.only]
    with _bench(given) as bench:
        for number in range(given.rounds):
            for work in chosen:
                sides = list(dict.fromkeys([OURS, *(s for s in work.goals if ":" not in s)]))
                for side in sides if number % 2 == 0 else reversed(sides):
                    bench.run(work, side, number)
            loads.append(os.getloadavg()[0])
            print(f"round {number + 1}: load {loads[-1]:.1f}", file=sys.stderr, flush=True)
        if "z10" in given.only:
            bench.city_tiles()
        if "fgb" in given.only:
            bench.flatgeobuf(given.rounds)
        if "memory" in given.only:
            bench.memory()
        text = table.markdown(bench.results, WORKS, _about(given, loads))
    print(text)
    if given.write:
        table.write(_DOC, text)


if __name__ == "__main__":
    main()
