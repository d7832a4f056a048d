"""Answers of a city of 300,000 parcels over HTTP, against the bare SQL that finds the same rows.

Each question is asked many times of the served city, one after the other on one connection, then
the SQL of its rows alone, prepared, by psycopg. The levy of the whole city is one job.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg

from benchmarks import city
from pipeline.contracts import registry
from pipeline.db import access
from pipeline.db.engine import Database
from pipeline.settings import Settings

_PORT = 18_480
_ROUNDS = 200
_PARCEL = "SELECT * FROM data.parcel WHERE parcel_code = %(nosazi)s || '-0-0-0'"
_ID = "(SELECT id FROM data.parcel WHERE parcel_code = %(nosazi)s || '-0-0-0')"
_OVERLAYS = (
    *(("parcel_zone", "plan_zone"), ("parcel_widening", "plan_road_line")),
    *(("parcel_neighbour", "parcel"), ("parcel_special_area", "special_area")),
    *(("parcel_project", "project"), ("parcel_census_block", "census_block")),
    *(("parcel_region", "region"), ("parcel_district", "district")),
    ("parcel_neighbourhood", "neighbourhood"),
)
#: The rows that a passport tells of, each kind by the plainest query that finds it.
PASSPORT = (
    _PARCEL,
    *(
        f"SELECT f.*, o.* FROM facts.{fact} f LEFT JOIN data.{of} o ON o.id = f.object_id "
        f"WHERE f.subject_id = {_ID}"
        for fact, of in _OVERLAYS
    ),
    f"SELECT e.* FROM facts.parcel_edge e WHERE e.subject_id = {_ID}",
    f"SELECT r.* FROM facts.parcel_remainder r WHERE r.subject_id = {_ID}",
    "SELECT b.* FROM data.building b WHERE b.parcel_code = %(nosazi)s || '-0-0-0'",
    (
        "SELECT u.* FROM facts.audit_parcel f JOIN data.audit_record u ON u.id = f.subject_id "
        f"WHERE f.object_id = {_ID}"
    ),
)
_BOX = "ST_Expand(ST_Centroid(p.geom), 1000, 6)"


@dataclass(frozen=True)
class Kind:
    """A kind of question: its process, the inputs of each, the SQL of the rows (one statement or
    several), the goal in ms."""

    name: str
    process: str
    asked: list[dict[str, Any]]
    sql: tuple[str, ...]
    goal: float


def kinds(database: Database) -> list[Kind]:
    """What is asked, of things that are there."""

    def some(query: str) -> list[Any]:
        with database.connect("owner") as connection:
            rows = connection.execute(query.encode()).fetchall()
        found = [row[0] for row in rows]
        random.Random(1).shuffle(found)
        return found[:_ROUNDS]

    codes = some("SELECT parcel_code FROM data.parcel WHERE id % 997 = 0")
    postcodes = some("SELECT postcode FROM data.postcode WHERE id % 997 = 0")
    plates = some("SELECT registration_plate FROM data.parcel WHERE id % 997 = 1")
    names = some("SELECT DISTINCT name_fa FROM data.street WHERE name_fa > '' AND id % 97 = 0")
    typed = [name[:end] for name in names for end in range(2, len(name) + 1, 3)][:_ROUNDS]
    wrong = [name[:3] + name[4:] for name in names if len(name) > 7]
    roads = some(
        f"SELECT ST_AsText(ST_Transform({_BOX}, 4326), 8) FROM data.parcel p WHERE p.id % 9973 = 0"
    )
    parcel = (_PARCEL,)
    named = ("SELECT * FROM ops.place_name WHERE key LIKE makan.fold(%(q)s) || '%%' LIMIT 10",)
    return [
        Kind("find-property by code", "find-property", _each("nosazi", _short(codes)), parcel, 15),
        Kind(
            "find-property by postcode", "find-property", _each("postcode", postcodes),
            (("SELECT p.* FROM data.postcode k JOIN facts.postcode_parcel f ON f.subject_id = k.id "
             "JOIN data.parcel p ON p.id = f.object_id WHERE k.postcode = %(postcode)s"),), 15,
        ),
        Kind(
            "find-property by plate", "find-property", _each("registration_plate", plates),
            ("SELECT * FROM data.parcel WHERE registration_plate = %(registration_plate)s",), 15,
        ),
        Kind("search, typed", "search", _each("q", typed), named, 50),
        Kind("search, with a letter left out", "search", _each("q", wrong), named, 50),
        Kind("parcel-passport", "parcel-passport", _each("nosazi", _short(codes)), PASSPORT, 100),
        Kind(
            "project-impact of 2 km", "project-impact", _each("area", roads),
            (("SELECT p.parcel_code, ST_Area(ST_Intersection(p.geom, m.geom)) FROM "
             "(SELECT ST_Transform(ST_GeomFromText(%(area)s, 4326), 32639) AS geom) m "
             "JOIN data.parcel p ON ST_Intersects(p.geom, m.geom)"),), 500,
        ),
    ]  # fmt: skip


def _each(name: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    return [{name: value} for value in values]


def _short(codes: Sequence[str]) -> list[str]:
    return [code.removesuffix("-0-0-0") for code in codes]


@contextmanager
def served(home: Path) -> Iterator[httpx.Client]:
    """The city below ``home``, served to staff."""
    settings = Settings(home=home.resolve())
    database, schemas = Database(settings), registry.load("qom")
    name = f"bench-{time.time():.0f}"
    with database.connect("owner") as connection:
        key = access.add(connection, name, schemas.audience("staff"), days=1)
    with city.serving(settings.home, _PORT, "--audience", "staff"):
        base = f"http://127.0.0.1:{_PORT}"
        with httpx.Client(base_url=base, headers={"X-API-Key": key}, timeout=120) as client:
            yield client


def timed(work: Callable[[dict[str, Any]], object], asked: list[dict[str, Any]]) -> list[float]:
    """Milliseconds of each, sorted, after ten that warm."""
    for one in asked[:10]:
        work(one)
    spent = []
    for one in asked:
        begun = time.perf_counter()
        work(one)
        spent.append(1000 * (time.perf_counter() - begun))
    return sorted(spent)


def answered(client: httpx.Client, path: str, inputs: dict[str, Any]) -> None:
    """Asks once; an error would be answered fast, and stops the benchmark."""
    answer = client.post(path, json={"inputs": inputs})
    # A misspelt name may be told to be nowhere: that is an answer.
    if answer.status_code not in (200, 404):
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:300]}")


def p95(spent: list[float]) -> float:
    """The 95th of a hundred."""
    return spent[min(int(0.95 * len(spent)), len(spent) - 1)]


def levy(client: httpx.Client) -> tuple[float, int]:
    """Seconds of the levy of the whole city as a job, and of how many parcels."""
    begun = time.perf_counter()
    place = client.post(
        "/processes/levy/execution",
        json={"inputs": {"whole_city": True, "year": 1404}},
        headers={"Prefer": "respond-async"},
    ).headers["location"]
    while (told := client.get(place).json())["status"] in ("accepted", "running"):
        time.sleep(0.5)
    spent = time.perf_counter() - begun
    assert told["status"] == "successful", told
    answer = client.get(f"{place}/results").json()
    assert answer["total_irr"] == sum(one["amount"] or 0 for one in answer["items"])
    return spent, len(answer["items"])


def main() -> None:
    """Prints p50, p95, the bare SQL's p95, the ratio and the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=300_000)
    parser.add_argument("--home", type=Path, default=Path(".makan") / "bench-joins")
    given = parser.parse_args()
    home = given.home.resolve()
    city.prepared(home, home / "city", given.parcels)
    # Passports tell of facts.
    city.makan(home, "derive")
    database = Database(Settings(home=home))
    with served(home) as client, psycopg.connect(database.uri("owner"), autocommit=True) as bare:
        for kind in kinds(database):
            path = f"/processes/{kind.process}/execution"
            ours = timed(lambda one, at=path: answered(client, at, one), kind.asked)
            rows = timed(
                lambda one, queries=kind.sql: [
                    bare.execute(query.encode(), one, prepare=True).fetchall() for query in queries
                ],
                kind.asked,
            )
            ratio = p95(ours) / p95(rows)
            print(
                f"{kind.name:32} p50 {ours[len(ours) // 2]:7.1f} ms  p95 {p95(ours):7.1f} ms  "
                f"bare {p95(rows):7.2f} ms  ratio {ratio:5.1f}  goal {kind.goal} ms",
                flush=True,
            )
        seconds, parcels = levy(client)
        begun = time.perf_counter()
        bare.execute(
            b"SELECT p.parcel_code, sum(b.footprint_grid_m2 * b.floors_above) FROM data.parcel p "
            b"LEFT JOIN data.building b ON b.parcel_code = p.parcel_code GROUP BY 1"
        ).fetchall()
        plain = time.perf_counter() - begun
        print(f"levy of {parcels:,} parcels {seconds:.1f} s, bare {plain:.1f} s, goal 60 s")


if __name__ == "__main__":
    main()
