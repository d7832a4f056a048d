"""Over HTTP: the city as it was (``datetime``), and changes that keep a copy in step."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from psycopg import sql
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.report import past
from pipeline.serve import publish
from pipeline.settings import Settings
from pipeline.stages import history
from pipeline.stages import load as loading
from pipeline.stages.guard import ACCEPTABLE
from tests.serving import Application
from tests.stages.conftest import Bench, silent

PARCELS, CHANGES = "/collections/parcels/items", "/collections/changes/items"
Y2018, Y2020, Y2022, Y2024 = (
    dt.datetime(year, 3, 21, tzinfo=dt.UTC) for year in (2018, 2020, 2022, 2024)
)
STORED = "http://www.opengis.net/def/crs/EPSG/0/32639"
Feature = dict[str, Any]
Copy = dict[tuple[str, int], Feature]


@dataclass
class City:
    """A served city of this module's own, and what was published of it after each load."""

    bench: Bench
    database: Database
    client: TestClient
    runs: list[int] = field(default_factory=list)
    states: list[Copy] = field(default_factory=list)

    def load(self, rows: list[Any], valid: dt.datetime | None, **how: Any) -> None:
        """Loads parcels that hold from ``valid``, and keeps what is served then."""
        number = len(self.states)
        path = self.bench.geopackage(rows, f"parcels_{number}.gpkg")
        context = replace(self.bench.context(), valid_from=valid, **how)
        done = loading.load(self.database, path, context, batch_rows=100, progress=silent)
        if done.account.changes:
            self.runs.append(int(done.run or 0))
            self.states.append(self.now())

    def undo(self) -> None:
        """Takes the latest load back."""
        history.undo(self.database, self.bench.schemas, self.runs[-1])
        self.states.append(self.now())

    def get(self, path: str, **asked: Any) -> Any:
        """A JSON answer, as it is when the server has had its second."""
        self.client.app.state.site.state._until = 0.0  # type: ignore[attr-defined]
        answer = self.client.get(path, params={"f": "json", "limit": 1000, **asked})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def now(self) -> Copy:
        """What the collection holds, in the stored CRS."""
        return self.held(self.get(PARCELS, crs=STORED))

    @staticmethod
    def held(found: dict[str, Any]) -> Copy:
        """Features by collection and id, without what only versions have."""
        assert found["numberMatched"] == found["numberReturned"] == len(found["features"])
        return {
            ("parcels", one["id"]): {name: one[name] for name in ("geometry", "properties")}
            for one in found["features"]
        }

    def replayed(self, copy: Copy | None = None, **asked: Any) -> tuple[Copy, str]:
        """A copy that has applied changes page by page, and the cursor to come back with."""
        copy = {} if copy is None else copy
        last = 0
        while True:
            page = self.get(CHANGES, crs=STORED, **asked)
            for change in page["features"]:
                assert change["id"] > last
                last = change["id"]
                apply(copy, change)
            asked = {**asked, "cursor": page["cursor"]}
            asked.pop("since", None)
            if not any(link["rel"] == "next" for link in page["links"]):
                return copy, page["cursor"]


def apply(copy: Copy, change: Feature) -> None:
    """What a system that keeps a copy does with one change; each must fit what is there."""
    said = change["properties"]
    key = (said["change_collection"], said["change_object"])
    assert (key in copy) == (said["change_kind"] != "insert")
    if said["change_kind"] == "delete":
        assert said["row"] is None
        assert change["geometry"] is None
        del copy[key]
    else:
        copy[key] = {"geometry": change["geometry"], "properties": said["row"]}


def _running(settings: Settings, schemas: Schemas, database: Database) -> TestClient:
    return TestClient(Application(settings, schemas, database), base_url="http://makan.test")


@pytest.fixture(scope="module")
def town(qom_template: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Parcels of three deliveries and an undo; the last two tests change it."""
    schemas = registry.load("qom")
    with testing.clone(qom_template) as database:
        settings = replace(database.settings, public_url="http://makan.test")
        with _running(settings, schemas, database) as client:
            bench = Bench(tmp_path_factory.mktemp("town"), schemas)
            made = City(bench, database, client)
            made.load([bench.parcel(n) for n in range(1, 7)], Y2018)
            second = [bench.parcel(1), bench.parcel(2, use="commercial")]
            second += [bench.parcel(3, geometry=bench.square(30)), bench.parcel(5, plate="99/1")]
            second += [bench.parcel(6), bench.parcel(7)]
            made.load(second, Y2020)
            made.load([bench.parcel(n, use="religious") for n in (1, 2, 8)], Y2022)
            made.undo()
            yield made


def test_datetime_gives_the_city_as_it_was(town: City) -> None:
    for moment, state in (
        ("2018-03-20T23:59:59Z", {}),
        ("2018-03-21T00:00:00Z", town.states[0]),
        ("2019-01-01", town.states[0]),
        ("2020-03-20T23:59:59.999Z", town.states[0]),
        ("2020-03-21", town.states[1]),
        ("2023-01-01", town.states[1]),  # The third delivery is undone.
    ):
        assert town.held(town.get(PARCELS, crs=STORED, datetime=moment)) == state, moment
    assert town.now() == town.states[1] == town.states[3]


def one_of(town: City, path: str, **asked: Any) -> Any:
    """One feature as JSON."""
    answer = town.client.get(path, params={"f": "json", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_feature_as_it_was(town: City) -> None:
    every = town.states[0] | town.states[1]
    ids = {one["properties"]["nosazi"].split("-")[3]: key[1] for key, one in every.items()}
    two, four = (f"{PARCELS}/{ids[code]}" for code in "24")
    was = one_of(town, two, datetime="2019-01-01", crs=STORED)
    (known,) = [one for key, one in town.states[0].items() if key[1] == ids["2"]]
    assert (was["properties"], was["geometry"]) == (known["properties"], known["geometry"])
    first, second = "2018-03-21T00:00:00Z", "2020-03-21T00:00:00Z"
    assert was["time"] == {"interval": [first, second]}
    (own,) = [one["href"] for one in was["links"] if one["rel"] == "self"]
    assert "datetime=2019-01-01" in own
    assert one_of(town, two, datetime="2021-01-01")["properties"]["land_use"] == "commercial"
    assert "time" not in one_of(town, two)
    # Parcel 4 is gone since 2020; 2 was not there before 2018.
    for path, moment, told in (
        (four, "2021-01-01", f"{first}/{second}"),
        (two, "2017-01-01", f"{first}/.."),
    ):
        answer = town.client.get(path, params={"datetime": moment, "f": "json"})
        assert answer.status_code == 404
        assert answer.json()["description"].endswith(f"it was there: {told}")
    page = town.client.get(two, params={"datetime": "2019-01-01", "f": "html", "lang": "fa"})
    assert page.status_code == 200
    again = town.client.get(two, params={"datetime": "2019-01-01", "f": "json"})
    tag = {"If-None-Match": again.headers["etag"]}
    asked = {"datetime": "2019-01-01", "f": "json"}
    assert town.client.get(two, params=asked, headers=tag).status_code == 304
    for refused in ("2019-01-01/2020-01-01", "..", "soon"):
        assert town.client.get(two, params={"datetime": refused}).status_code == 400
    never = town.client.get(f"{PARCELS}/987654321", params={"datetime": "2019-01-01"})
    assert never.status_code == 404
    dated = "/collections/plan-documents/items/1"
    assert town.client.get(dated, params={"datetime": "2019-01-01"}).status_code == 400


def test_vector_tiles_are_of_now_and_say_so(town: City) -> None:
    tile = "/collections/parcels/tiles/WebMercatorQuad/16/26038/42029"
    answer = town.client.get(tile, params={"datetime": "2019-01-01"})
    assert answer.status_code == 400
    assert "/items?datetime" in answer.json()["description"]
    together = town.client.get("/tiles/WebMercatorQuad/16/26038/42029?datetime=2019-01-01")
    assert together.status_code == 400


def test_an_interval_gives_every_version_that_meets_it(town: City) -> None:
    whole = town.get(PARCELS, datetime="2019-01-01/2021-01-01")
    told = [
        (one["properties"]["nosazi"].split("-")[3], *one["time"]["interval"])
        for one in whole["features"]
    ]
    first, second = "2018-03-21T00:00:00Z", "2020-03-21T00:00:00Z"
    # Parcel 5 changed in a column that the public does not see: two versions all the same.
    assert told == [
        *(("1", first, ".."),),
        *(("2", first, second), ("2", second, "..")),
        *(("3", first, second), ("3", second, "..")),
        *(("4", first, second),),
        *(("5", first, second), ("5", second, "..")),
        *(("6", first, ".."), ("7", second, "..")),
    ]
    assert whole["numberMatched"] == len(told)
    for interval in ("../2019-01-01", "/2018-06-01", "2018-01-01/2018-04-01"):
        assert town.get(PARCELS, datetime=interval)["numberMatched"] == 6
    assert town.get(PARCELS, datetime="2020-03-21/..")["numberMatched"] == 6


def test_versions_are_paged_like_features(town: City) -> None:
    address: str | None = f"{PARCELS}?datetime=../..&limit=3&f=json&sortby=-nosazi"
    found = []
    while address:
        page = town.client.get(address).json()
        found += [(one["id"], one["time"]["interval"][0]) for one in page["features"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        address = following[0] if following else None
    assert len(found) == len(set(found)) == 10


def test_a_box_and_a_filter_ask_the_past(town: City) -> None:
    west, north = 488000.0 + 3 * 40, 3833000.0
    box = {"bbox": f"{west},{north},{west + 20},{north + 20}", "bbox-crs": STORED}
    assert town.get(PARCELS, datetime="2019-01-01", **box)["numberMatched"] == 1
    assert town.get(PARCELS, datetime="2021-01-01", **box)["numberMatched"] == 0
    asked = {"filter": "land_use = 'commercial'"}
    assert town.get(PARCELS, datetime="2019-01-01", **asked)["numberMatched"] == 0
    assert town.get(PARCELS, datetime="2021-01-01", **asked)["numberMatched"] == 1


def test_the_past_as_tables(town: City, tmp_path: Path) -> None:
    asked = {"datetime": "2019-01-01/2021-01-01", "limit": 100}
    text = town.client.get(PARCELS, params={**asked, "f": "csv"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 10
    assert (rows[1]["valid_since"], rows[1]["valid_until"]) == (
        "2018-03-21T00:00:00Z", "2020-03-21T00:00:00Z",
    )  # fmt: skip
    assert rows[2]["valid_until"] == ""
    path = tmp_path / "past.parquet"
    path.write_bytes(town.client.get(PARCELS, params={**asked, "f": "parquet"}).content)
    table = pq.read_table(path).to_pylist()
    assert [row["valid_since"] for row in table].count(Y2018) == 6
    now = town.client.get(PARCELS, params={"f": "csv"}).text.splitlines()[0]
    assert "valid_since" not in now


def test_the_collection_says_since_when_it_is_known(town: City) -> None:
    place = publish.publish(
        replace(town.database.settings, public_url="http://makan.test"),
        town.bench.schemas,
        town.database,
    )
    assert "2018-03-21" in place.config.read_text(encoding="utf-8")


def test_changes_replayed_from_nothing_give_the_collection(town: City) -> None:
    copy, cursor = town.replayed()
    assert copy == town.now() != {}
    assert town.replayed(copy, cursor=cursor)[0] == town.now()
    assert town.get(CHANGES, cursor=cursor)["numberReturned"] == 0
    for size in (1, 4):
        assert town.replayed(limit=size)[0] == town.now()


def test_changes_up_to_each_publication_give_its_state(town: City) -> None:
    kinds = []
    found = town.get(CHANGES, crs=STORED)["features"]
    copy: Copy = {}
    for seq, state in enumerate(town.states, start=1):
        now = [one for one in found if one["properties"]["change_seq"] == seq]
        for change in now:
            apply(copy, change)
        assert copy == state
        told = [one["properties"]["change_kind"] for one in now]
        kinds.append({kind: told.count(kind) for kind in ("insert", "update", "delete")})
    assert kinds == [
        {"insert": 6, "update": 0, "delete": 0},
        {"insert": 1, "update": 3, "delete": 1},
        {"insert": 1, "update": 2, "delete": 4},
        {"insert": 4, "update": 2, "delete": 1},
    ]


def test_changes_since_a_load_or_a_time(town: City) -> None:
    found = town.get(CHANGES)["features"]
    later = [one["id"] for one in found if one["properties"]["change_seq"] > 1]
    since = town.get(CHANGES, since=str(town.runs[0]))
    assert [one["id"] for one in since["features"]] == later
    moment = found[0]["properties"]["recorded_at"].replace("+00:00", "Z")
    assert [one["id"] for one in town.get(CHANGES, since=moment)["features"]] == later
    assert town.get(CHANGES, since="2999-01-01")["numberReturned"] == 0
    assert town.get(CHANGES, since="2001-01-01")["numberReturned"] == len(found)
    assert town.get(CHANGES, collection="regions")["numberReturned"] == 0
    assert town.get(CHANGES, collection="parcels")["numberReturned"] == len(found)


def test_changes_of_a_box_and_of_a_period(town: City) -> None:
    """A box leaves out what lies elsewhere; what is gone has no place, and is told in any box."""
    everything = town.get(CHANGES, crs=STORED)["features"]
    placed = [one for one in everything if one["geometry"]]
    gone = [one["id"] for one in everything if not one["geometry"]]
    assert placed
    assert gone
    shapes = {one["id"]: shapely.geometry.shape(one["geometry"]) for one in placed}
    for box in {shape.bounds for shape in shapes.values()}:
        asked = {"bbox": ",".join(map(str, box)), "bbox-crs": STORED}
        meeting = [key for key, shape in shapes.items() if shape.intersects(shapely.box(*box))]
        expected = sorted([*meeting, *gone])
        assert len(expected) < len(everything)
        for size in (1, 3, 100):
            assert [one["id"] for one in _walk(town, limit=size, **asked)] == expected
    assert [one["id"] for one in _walk(town, bbox="1,2,3,4")] == gone
    moments = sorted({one["properties"]["recorded_at"] for one in everything})
    for moment in moments:
        then = [one["id"] for one in everything if one["properties"]["recorded_at"] == moment]
        instant = moment.replace("+00:00", "Z")
        assert [one["id"] for one in _walk(town, datetime=instant)] == then
    last = moments[-1].replace("+00:00", "Z")
    assert len(_walk(town, datetime=f"../{last}")) == len(everything)
    assert [one["id"] for one in _walk(town, datetime=f"{last}/..")] == then
    assert _walk(town, datetime="../2001-01-01") == []


def _walk(town: City, **asked: Any) -> list[Feature]:
    """All changes that are asked for, by following ``next`` with nothing added."""
    page = town.get(CHANGES, **asked)
    found = list(page["features"])
    while following := [link["href"] for link in page["links"] if link["rel"] == "next"]:
        page = town.client.get(following[0]).json()
        found += page["features"]
    return found


@pytest.mark.parametrize(
    "asked",
    [
        "cursor=x", "cursor=WzEsMl0&since=1", "cursor=Wy0xLDJd", "cursor=WzFd", "since=999",
        "since=yesterday", "since=", "since=-1", "collection=nothing", "collection=changes",
        "limit=0", "limit=x", "bbox=1,2,3", "bbox-crs=EPSG:4326", "datetime=never", "filter=true",
        "bbox=50,34,51,35&bbox-crs=EPSG:1", "datetime=2020-01-01/2019-01-01", "f=csv",
        "crs=EPSG:1", "cursor=" + "A" * 400,
    ],
)  # fmt: skip
def test_changes_refuse_what_they_do_not_understand(town: City, asked: str) -> None:
    answer = town.client.get(f"{CHANGES}?{asked}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


def test_changes_are_described(town: City) -> None:
    client = town.client
    listed = {one["id"] for one in client.get("/collections?f=json").json()["collections"]}
    assert "changes" in listed
    schema = client.get("/collections/changes/schema?f=json").json()["properties"]
    row = town.get(CHANGES, limit=1)["features"][0]["properties"]
    assert set(row) - {"row"} == set(schema) - {"id"}
    page = client.get(f"{CHANGES}?f=html&lang=fa")
    assert page.status_code == 200
    first = town.get(CHANGES, limit=1)["features"][0]["id"]
    assert f"{CHANGES}/{first}?" in page.text
    page = client.get(f"{CHANGES}/{first}?f=html&lang=fa")
    assert "1-1-1-1-0-0-0" in page.text
    assert "کد نوسازی" in page.text
    paths = client.get("/openapi?f=json").json()["paths"]
    for name in ("since", "bbox", "bbox-crs", "datetime"):
        assert {"$ref": f"#/components/parameters/{name}"} in paths[CHANGES]["get"]["parameters"]
    assert client.get(f"{CHANGES}/1").status_code == 404
    for change in town.get(CHANGES, limit=20)["features"]:
        one = client.get(f"{CHANGES}/{change['id']}?f=json").json()
        assert {**one, "links": 0} == {**change, "links": 0}
    assert client.get(f"{CHANGES}/{change['id']}?f=html").status_code == 200
    assert "تغییرات" in page.text
    assert client.post("/collections/changes/search", json={}).status_code == 404


def test_the_public_is_told_of_public_columns_alone(town: City) -> None:
    text = town.client.get(CHANGES, params={"limit": 1000}).text
    assert "registration_plate" not in text
    assert "99/1" not in text
    with town.database.connect("staff") as connection:
        rows = connection.execute(
            "SELECT DISTINCT registration_plate FROM api_staff.makan_versions_parcel"
        ).fetchall()
    assert ("99/1",) in rows


def test_tags_follow_what_is_published(town: City) -> None:
    for path in (CHANGES, f"{PARCELS}?datetime=2019-01-01"):
        town.client.app.state.site.state._until = 0.0  # type: ignore[attr-defined]
        tag = town.client.get(path).headers["etag"]
        assert town.client.get(path, headers={"if-none-match": tag}).status_code == 304
    before = town.client.get(CHANGES).headers["etag"]
    bench = town.bench
    town.load([bench.parcel(n) for n in (1, 5, 6, 8)], Y2024)
    answer = town.client.get(CHANGES, headers={"if-none-match": before})
    assert answer.status_code == 200
    assert answer.headers["etag"] != before
    assert town.replayed()[0] == town.now() == town.states[-1]
    assert town.held(town.get(PARCELS, crs=STORED, datetime="2023-01-01")) == town.states[1]


USES = ("residential", "commercial", "religious", None)


@settings_of(max_examples=3, deadline=None, derandomize=True)
@given(
    steps=st.lists(
        st.one_of(
            st.just("undo"),
            st.dictionaries(
                st.integers(20, 27),
                st.tuples(st.sampled_from(USES), st.integers(0, 1)),
                min_size=4,
            ),
        ),
        min_size=3,
        max_size=5,
    )
)
def test_whatever_is_edited_each_moment_follows_from_the_changes(town: City, steps: Any) -> None:
    """A copy kept in step by its cursor, a copy made anew, and as-of by what was recorded agree."""
    copy, cursor = town.replayed()
    for step in steps:
        if step == "undo":
            undone = "SELECT status FROM ops.run WHERE id = %s"
            with town.database.connect("owner") as connection:
                (status,) = connection.execute(undone, [town.runs[-1]]).fetchone() or ("",)
            if status != "done":
                continue
            town.undo()
        else:
            rows = [
                town.bench.parcel(n, use=use, geometry=town.bench.square(n + 10 * moved))
                for n, (use, moved) in step.items()
            ]
            accept = frozenset(ACCEPTABLE)
            town.load(rows, None, accept=accept)
        copy, cursor = town.replayed(copy, cursor=cursor)
        assert copy == town.now() == town.states[-1]
    assert town.replayed()[0] == copy
    _one_current_version_each(town.database)
    parcel = town.bench.schemas.layer("parcel")
    with town.database.connect("loader") as connection:
        published = connection.execute("SELECT seq FROM ops.publication ORDER BY seq").fetchall()
        later = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
        for (seq,), state in zip(published, town.states[-len(published) :], strict=True):
            moment = past.Moment(later, known=int(str(seq)))
            assert past.count(connection, parcel, moment) == len(state)
            ids = past.query(parcel, [sql.Identifier("v", "id")])
            found = sorted(row[0] for row in connection.execute(ids, moment.values).fetchall())
            assert found == sorted(number for _, number in state)


def _one_current_version_each(database: Database) -> None:
    """Of every object at most one version is in force, and none of the others holds with it."""
    with database.connect("owner") as connection:
        (twice,) = connection.execute(
            "SELECT count(*) FROM data.parcel t JOIN history.parcel h USING (id)"
            " JOIN ops.run r ON r.id = t.run_id WHERE h.withdrawn_by IS NULL"
            " AND h.valid && tstzrange(coalesce(t.valid_since, r.valid_from), NULL)"
        ).fetchone() or (1,)
        (rows, keys, ids) = connection.execute(
            "SELECT count(*), count(DISTINCT parcel_code), count(DISTINCT id) FROM data.parcel"
        ).fetchone() or (0, 1, 1)
        (several,) = connection.execute(
            "SELECT max(many) FROM (SELECT count(DISTINCT id) AS many FROM (SELECT id, parcel_code "
            "FROM data.parcel UNION SELECT id, parcel_code FROM history.parcel WHERE withdrawn_by "
            "IS NULL) AS known GROUP BY parcel_code) AS codes"
        ).fetchone() or (2,)
    assert twice == 0
    assert rows == keys == ids
    # A code that comes again is the object that it was.
    assert several == 1
