"""Edits of a city of 300,000 parcels over HTTP: what one row written costs, by method.

    python -m benchmarks.edits [--parcels 300000] [--rounds 30]

One client, one connection, one edit after the other; each is judged, checked among its neighbours,
versioned and committed. What is changed is changed back, so a city stays what it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import shapely

from benchmarks import city
from pipeline.contracts import registry
from pipeline.db import access
from pipeline.db.engine import Database
from pipeline.settings import Settings

_PORT = 18_470
_KEYS = 8
"""A key makes 120 edits a minute; a benchmark makes more."""
_UTM = "http://www.opengis.net/def/crs/EPSG/0/{}"
_GEOJSON = {"Content-Type": "application/geo+json"}
_PATCH = {"Content-Type": "application/merge-patch+json"}
_PARCELS, _PLACES = "/collections/parcels/items", "/collections/poi/items"
Times = dict[str, list[float]]


@contextmanager
def _client(home: Path) -> Iterator[httpx.Client]:
    """A client of the staff's server over ``home``, with keys that write, turn by turn."""
    settings = Settings(home=home, port=_PORT)
    schemas, database = registry.load(settings.city), Database(settings)
    staff, name = schemas.audience("staff"), f"bench-{random.randrange(10**9)}"
    with database.connect("loader") as connection:
        keys = [
            access.add(connection, f"{name}-{number}", staff, days=1, writes=("*",))
            for number in range(_KEYS)
        ]
    turns = itertools.cycle(keys)

    def sign(request: httpx.Request) -> None:
        request.headers["X-API-Key"] = next(turns)

    with (
        city.serving(home, _PORT, "--audience", "staff"),
        httpx.Client(
            base_url=f"http://127.0.0.1:{_PORT}", timeout=60, event_hooks={"request": [sign]}
        ) as client,
    ):
        yield client


def _timed(times: Times, what: str, call: Callable[[], httpx.Response], wanted: int) -> Any:
    begun = time.perf_counter()
    answer = call()
    times.setdefault(what, []).append(1000 * (time.perf_counter() - begun))
    assert answer.status_code == wanted, (what, answer.status_code, answer.text[:500])
    return answer


def _parcel(client: httpx.Client, times: Times, number: int, crs: str) -> None:
    """PUT as it was read, PATCH of a value there and back, PUT of a corner there and back."""
    path, crs_of = f"{_PARCELS}/{number}", {"Content-Crs": f"<{crs}>", "If-Match": "*"}
    feature = client.get(path, params={"crs": crs}).json()

    def put(shape: Any, what: str) -> None:
        properties = {
            name: value
            for name, value in feature["properties"].items()
            if shape is feature["geometry"] or name not in ("area_grid_m2", "perimeter_grid_m")
        }
        body = json.dumps({**feature, "geometry": shape, "properties": properties})
        _timed(times, what, lambda: client.put(path, content=body, headers=_GEOJSON | crs_of), 204)

    put(feature["geometry"], "PUT, unchanged")
    for value in (101.0, feature["properties"]["area_measured_m2"]):
        body = json.dumps({"properties": {"area_measured_m2": value}})
        headers = {**_PATCH, "If-Match": "*"}
        _timed(
            times, "PATCH, a value",
            lambda body=body, headers=headers: client.patch(path, content=body, headers=headers),
            204,
        )  # fmt: skip
    feature = client.get(path, params={"crs": crs}).json()
    shape = shapely.from_geojson(json.dumps(feature["geometry"]))
    inner = shapely.transform(shape, lambda xy: xy + (shape.centroid.coords[0] - xy) * 1e-3)
    put(json.loads(shapely.to_geojson(inner)), "PUT, another shape")
    del feature["properties"]["area_grid_m2"], feature["properties"]["perimeter_grid_m"]
    put(feature["geometry"], "PUT, another shape")


def _place(client: httpx.Client, times: Times, number: int, at: list[float]) -> None:
    """POST of a place, and DELETE of it."""
    feature = {
        "type": "Feature", "geometry": {"type": "Point", "coordinates": at},
        "properties": {"poi_id": f"bench-{number}", "poi_category": "park", "name_fa": "بوستان"},
    }  # fmt: skip
    body = json.dumps(feature)
    made = _timed(
        times, "POST, a place", lambda: client.post(_PLACES, content=body, headers=_GEOJSON), 201
    )
    path, tag = made.headers["location"], {"If-Match": made.headers["etag"]}
    _timed(times, "DELETE, a place", lambda: client.delete(path, headers=tag), 204)


def main() -> None:
    """Prints a row a method: median, 95th percentile and the most, in ms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--parcels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--home", type=Path, help="where the loaded city is or will be")
    given = parser.parse_args()
    home = (given.home or Path(".makan") / f"bench-serve-{given.parcels}").resolve()
    city.prepared(home, home / "city", given.parcels)
    crs = _UTM.format(registry.load("qom").city.srid)
    times: Times = {}
    chance = random.Random(7)
    with _client(home) as client:
        for turn in range(given.rounds + 1):
            offset = chance.randrange(given.parcels)
            query = {"limit": 1, "offset": offset}
            (feature,) = client.get(_PARCELS, params=query).json()["features"]
            if turn == 1:  # the first has opened connections and filled caches
                times.clear()
            _parcel(client, times, feature["id"], crs)
            _place(client, times, turn, feature["geometry"]["coordinates"][0][0][0])
    print(f"edits of a city of {given.parcels:,} parcels, ms: median, p95, most")
    for what, found in times.items():
        p95 = sorted(found)[int(len(found) * 0.95)]
        print(f"{what:20} {statistics.median(found):7.1f} {p95:7.1f} {max(found):7.1f}")


if __name__ == "__main__":
    main()
