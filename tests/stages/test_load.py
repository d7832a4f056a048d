"""A load is wholly done or not at all: accounts, second deliveries, collisions, deaths."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import shapely

from pipeline.contracts.registry import Schemas
from pipeline.db import migrate as migration
from pipeline.db.cluster import SUPERUSER
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, DatabaseError, GuardError, ResourceError
from pipeline.settings import Settings
from pipeline.stages.fill import Fill
from pipeline.stages.record import as_json
from pipeline.stages.target import Merged

ROWS = "SELECT parcel_code, registration_plate, run_id, source_line FROM data.parcel ORDER BY id"
STAGED = "SELECT count(*) FROM pg_tables WHERE schemaname = 'stage'"
RUNS = "SELECT status, message FROM ops.run ORDER BY id"


def code(place: int) -> str:
    """The code of the parcel number ``place``."""
    return f"1-1-1-{place}-0-0-0"


def parcels(bench: Any, places: Any, **other: Any) -> list[dict[str, Any]]:
    """Good parcels."""
    return [bench.parcel(place, **other) for place in places]


def test_a_second_delivery_is_counted_row_by_row(
    bench: Any, database: Database, query: Any
) -> None:
    first = bench.load(database, bench.geopackage(parcels(bench, range(10))))
    before = dict(query(database, "SELECT parcel_code, id FROM data.parcel"))
    rows = [
        *parcels(bench, range(4)),  # unchanged
        bench.parcel(4, plate="new"), bench.parcel(5, geometry=bench.square(5, side=20.2)),
        *parcels(bench, [20, 21, 22]),  # new; 6 to 9 no longer arrive
    ]  # fmt: skip
    second = bench.load(database, bench.geopackage(rows))
    account = second.account
    assert (account.arrived, account.inserted, account.updated) == (9, 3, 2)
    assert (account.unchanged, account.quarantined, account.removed) == (4, 0, 4)
    assert account.closes
    after = dict(query(database, "SELECT parcel_code, id FROM data.parcel"))
    assert after.keys() == {code(n) for n in (0, 1, 2, 3, 4, 5, 20, 21, 22)}
    assert all(after[key] == before[key] for key in before.keys() & after.keys())
    runs = dict(query(database, "SELECT parcel_code, run_id FROM data.parcel"))
    assert {key for key, run in runs.items() if run == first.run} == {code(n) for n in range(4)}
    (stored,) = query(
        database,
        "SELECT status, arrived, inserted, updated, unchanged, quarantined, removed, "
        "finished > started FROM ops.run WHERE id = %s", second.run,
    )  # fmt: skip
    assert stored == ("done", 9, 3, 2, 4, 0, 4, True)
    assert query(database, STAGED) == [(0,)]


def test_the_same_file_again_is_a_recorded_no_op(
    bench: Any, database: Database, query: Any
) -> None:
    path = bench.geopackage(parcels(bench, range(5)))
    first = bench.load(database, path)
    rows = query(database, ROWS)
    again = bench.load(database, path)
    assert again.status == "unchanged"
    assert again.message == f"the same file as in run {first.run}"
    assert query(database, ROWS) == rows
    assert [status for status, _ in query(database, RUNS)] == ["done", "unchanged"]
    # Another contract judges it anew, though the file is the same.
    schemas = bench.changed("parcel", rules=())
    assert bench.load(database, path, schemas=schemas).account.unchanged == 5


def test_a_quarantined_row_does_not_cost_its_published_predecessor(
    bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(parcels(bench, range(4))))
    rows = [
        bench.parcel(0), bench.parcel(1, plate="?? ???"), bench.parcel(2, geometry=None),
        bench.parcel(3, deed="a"), bench.parcel(3),
    ]  # fmt: skip
    outcome = bench.load(database, bench.geopackage(rows))
    assert outcome.account.quarantined == 4
    assert outcome.account.removed == 0
    assert [row[0] for row in query(database, ROWS)] == [code(n) for n in range(4)]
    reasons = dict(query(database, "SELECT line, reasons FROM ops.quarantine"))
    assert reasons[4] == ["value.type", "key.duplicate"]
    assert reasons[5] == ["key.duplicate"]


def test_a_partial_delivery_removes_nothing_and_feeds_keep_to_their_own_rows(
    bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(parcels(bench, range(6))))
    part = bench.feed(delivery="partial")
    outcome = bench.load(database, bench.geopackage(parcels(bench, [6])), part)
    assert (outcome.account.inserted, outcome.account.removed) == (1, 0)
    other = bench.feed().model_copy(update={"id": "other"})
    outcome = bench.load(database, bench.geopackage(parcels(bench, [0, 7], plate="other's")), other)
    assert (outcome.account.inserted, outcome.account.updated, outcome.account.removed) == (1, 1, 0)
    outcome = bench.load(database, bench.geopackage(parcels(bench, [1, 2, 3, 4, 5])))
    # 0 and 7 are the other feed's by now, 6 is gone.
    assert outcome.account.removed == 1
    assert {row[0] for row in query(database, ROWS)} == {code(n) for n in (0, 1, 2, 3, 4, 5, 7)}


def test_too_small_a_delivery_leaves_what_was_published(
    bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(parcels(bench, range(10))))
    rows = query(database, ROWS)
    with pytest.raises(
        GuardError, match="4 rows arrived, 10 came last time: a drop of more than 50%"
    ):
        bench.load(database, bench.geopackage(parcels(bench, range(4), plate="x")))
    with pytest.raises(GuardError, match="4 rows arrived, at least 5 were expected"):
        bench.check(bench.folder / "planted.gpkg", bench.feed(limits={"min_rows": 5}))
    assert query(database, ROWS) == rows
    assert query(database, RUNS)[1][0] == "refused"
    assert query(database, STAGED) == [(0,)]
    meant = bench.feed(limits={"max_drop_share": 0.7})
    path = bench.geopackage(parcels(bench, range(4), plate="x"))
    assert bench.load(database, path, meant).account.removed == 6


def test_an_unreadable_file_is_a_failed_run_of_one_line(
    bench: Any, database: Database, query: Any
) -> None:
    path = bench.text("broken.gpkg", "SQLite format 3\0 and nothing else")
    with pytest.raises(ArrivalError, match=r"broken\.gpkg: is in no format that is read") as caught:
        bench.load(database, path)
    assert "\n" not in str(caught.value)
    assert str(bench.folder) not in str(caught.value)
    ((status, message),) = query(database, RUNS)
    assert (status, message) == ("failed", str(caught.value))


def test_of_two_loads_at_once_one_wins_and_one_is_told(
    bench: Any, database: Database, query: Any
) -> None:
    path = bench.geopackage(parcels(bench, range(8)))
    told: list[str] = []

    def meanwhile(*_: int) -> None:
        if not told:
            with pytest.raises(DatabaseError) as caught:
                bench.load(database, path)
            told.append(str(caught.value))

    outcome = bench.load(database, path, progress=meanwhile)
    assert outcome.account.inserted == 8
    (line,) = told
    assert line.startswith("another load of parcel is under way. Wait until it ends")
    assert query(database, RUNS) == [("done", None)]


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.contracts import registry
from pipeline.contracts.feed import Feed
from pipeline.db import migrate as migration
from pipeline.db.engine import Database
from pipeline.settings import Settings
from pipeline.stages import load

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

where, home, name, path, feed = sys.argv[1:]
if where == "merging":
    finish = load.ledger.finish
    load.ledger.finish = lambda *given: (finish(*given), die())
if where == "indexing":
    make, calls = load.deferred.make, []
    load.deferred.make = lambda *given: die() if calls else (calls.append(1), make(*given))
schemas = registry.load("qom")
feed = Feed.model_validate_json(feed)
context = load.Context(schemas, load.Catalog.load(), feed, schemas.layer(feed.layer))
seen = []
load.load(
    Database(Settings(home=Path(home), database=name)), Path(path), context, batch_rows=3,
    progress=lambda done, total: die() if where == "reading" and done > 6 else None,
)
"""


@pytest.mark.parametrize("where", ["reading", "merging"])
def test_a_killed_load_leaves_the_old_state_and_the_next_one_cleans_up(
    where: str, bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(parcels(bench, range(9))))
    rows = query(database, ROWS)
    path = bench.geopackage(parcels(bench, range(12), plate="new"))
    settings = database.settings
    words = [sys.executable, "-c", KILLED, where, str(settings.home), settings.database, str(path)]
    feed = bench.feed().model_dump_json(by_alias=True)
    died = subprocess.run([*words, feed], check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert query(database, ROWS) == rows
    assert query(database, RUNS)[1] == ("running", None)
    assert query(database, STAGED) == [(1,)]
    outcome = bench.load(database, path)
    assert (outcome.account.inserted, outcome.account.updated) == (3, 9)
    assert outcome.account.closes
    assert query(database, STAGED) == [(0,)]
    assert query(database, RUNS)[1] == ("failed", "the process ended before the merge")


def test_a_first_load_that_is_killed_leaves_an_empty_layer_with_its_indexes(
    bench: Any, database: Database, query: Any
) -> None:
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'data' ORDER BY 1"
    before = query(database, indexes)
    path = bench.geopackage(parcels(bench, range(12)))
    settings = database.settings
    words = [
        sys.executable,
        "-c",
        KILLED,
        "reading",
        str(settings.home),
        settings.database,
        str(path),
    ]
    feed = bench.feed().model_dump_json(by_alias=True)
    assert subprocess.run([*words, feed], check=False).returncode == -signal.SIGKILL
    assert query(database, ROWS) == []
    assert query(database, indexes) == before
    assert bench.load(database, path).account.inserted == 12
    assert query(database, indexes) == before


@pytest.mark.parametrize("by", ["the same file again", "migrating"])
def test_indexes_that_a_killed_load_left_unmade_are_made(
    by: str, bench: Any, database: Database, schemas: Schemas, query: Any
) -> None:
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'data' ORDER BY indexname"
    before = query(database, indexes)
    path, settings = bench.geopackage(parcels(bench, range(12))), database.settings
    words = ["indexing", str(settings.home), settings.database, str(path)]
    feed = bench.feed().model_dump_json(by_alias=True)
    died = subprocess.run([sys.executable, "-c", KILLED, *words, feed], check=False)
    assert died.returncode == -signal.SIGKILL
    # Whole, with its keys, and without what only makes questions faster.
    assert len(query(database, ROWS)) == 12
    assert query(database, RUNS) == [("done", None)]
    left = query(database, indexes)
    assert set(left) < set(before)
    assert {name for (name,) in left if "data.parcel " in name and "UNIQUE" in name}
    if by == "migrating":
        migration.migrate(database, schemas)
    else:
        assert bench.load(database, path).status == "unchanged"
    assert query(database, indexes) == before
    assert query(database, "SELECT count(*) FROM ops.deferred") == [(0,)]


def test_readers_see_the_old_state_until_the_merge(
    bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(parcels(bench, range(4))))
    seen = set()

    def look(*_: int) -> None:
        with database.connect("reader") as reader:
            seen.add(reader.execute("SELECT count(*) FROM api.parcel").fetchone())

    bench.load(database, bench.geopackage(parcels(bench, range(7))), progress=look)
    assert seen == {(4,)}
    assert query(database, "SELECT count(*) FROM api.parcel") == [(7,)]


def test_keys_doubled_over_batches_never_meet_in_the_layer(
    bench: Any, database: Database, query: Any
) -> None:
    """While an empty layer is filled, the second of two equal keys must not reach it."""
    places = [0, 1, 2, 3, 1, 4, 4, 5, 0, 6]
    outcome = bench.load(database, bench.geopackage(parcels(bench, places)))
    assert outcome.account.quarantined == 6
    assert [row[0] for row in query(database, ROWS)] == [code(n) for n in (2, 3, 5, 6)]


def test_a_server_that_goes_away_is_one_clear_line(
    bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(parcels(bench, range(9))))
    rows = query(database, ROWS)

    def cut(*_: int) -> None:
        with psycopg.connect(database.cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database.settings.database],
            )

    path = bench.geopackage(parcels(bench, range(12), plate="new"))
    with pytest.raises(DatabaseError) as caught:
        bench.load(database, path, progress=cut)
    assert str(caught.value) == "the database does not answer. Run `makan db start`."
    assert caught.value.exit_code == 6
    assert query(database, ROWS) == rows
    assert bench.load(database, path).account.updated == 9


def test_nothing_is_closed_under_a_write(
    bench: Any, database: Database, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that fails lets the batch that is being written come to its end first."""
    add, ended, begun = Fill.add, [], threading.Event()

    def slowly(target: Fill, judged: Any) -> None:
        begun.set()
        time.sleep(0.3)
        add(target, judged)
        ended.append(target.transaction.closed)

    def fail(*_: int) -> None:
        assert begun.wait(10)
        raise ArrivalError("the file ends in the middle")

    monkeypatch.setattr(Fill, "add", slowly)
    with pytest.raises(ArrivalError):
        bench.load(database, bench.geopackage(parcels(bench, range(9))), progress=fail)
    assert ended == [False]
    assert query(database, ROWS) == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_connection_that_is_ended_ends_the_load_at_once(
    bench: Any, database: Database, query: Any, place: int
) -> None:
    """The ledger's, the writer's or the one that fills: whichever dies, seconds later all is told
    in one line, and what another load needs is free."""

    def cut(*_: int) -> None:
        with psycopg.connect(database.cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
            rows = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = "
                "'makan-loader' ORDER BY backend_start, pid",
                [database.settings.database],
            ).fetchall()
            if len(rows) == 3:
                admin.execute("SELECT pg_terminate_backend(%s)", rows[place])

    path = bench.geopackage(parcels(bench, range(40)))
    for _ in ("an empty layer", "a full one"):
        rows, begun = query(database, ROWS), time.monotonic()
        with pytest.raises(DatabaseError) as caught:
            bench.load(database, path, progress=cut)
        assert time.monotonic() - begun < 20
        assert "\n" not in str(caught.value)
        assert query(database, ROWS) == rows
        assert bench.load(database, path).account.arrived == 40
        assert query(database, STAGED) == [(0,)]
        path = bench.geopackage(parcels(bench, range(40), plate="new"))


def test_a_full_disk_is_the_machines_trouble(database: Database) -> None:
    with (
        pytest.raises(ResourceError, match="nothing was half-loaded") as told,
        database.connect("loader"),
    ):
        raise psycopg.errors.DiskFull("no space left on device")
    assert told.value.exit_code == 7


def test_an_error_of_writing_shows_and_publishes_nothing(
    bench: Any, database: Database, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(Fill, "add", broken)
    with pytest.raises(ValueError, match="a fault of ours"):
        bench.load(database, bench.geopackage(parcels(bench, range(9))))
    assert query(database, ROWS) == []
    assert query(database, RUNS) == [("failed", "ValueError")]


def test_a_merge_that_the_published_layer_refuses_is_one_line(
    bench: Any, database: Database, query: Any
) -> None:
    check = "CHECK (registration_plate <> '2/12')"
    with database.connect("owner") as connection:
        connection.execute(f"ALTER TABLE data.parcel ADD CONSTRAINT only_new {check}".encode())
    with pytest.raises(GuardError, match="refuses the delivery \\(only_new\\)"):
        bench.load(database, bench.geopackage(parcels(bench, range(9))))
    assert query(database, ROWS) == []


def test_an_account_that_does_not_close_publishes_nothing(
    bench: Any, database: Database, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fill, "finish", lambda *_: Merged(7, 0, 0, 0))
    with pytest.raises(GuardError, match="the account does not close"):
        bench.load(database, bench.geopackage(parcels(bench, range(9))))
    assert query(database, ROWS) == []
    assert query(database, RUNS)[0][0] == "refused"


def test_areas_of_a_city_in_feet_are_metres(
    bench: Any, cambridge: Database, cambridge_schemas: Schemas, query: Any
) -> None:
    foot = 1200 / 3937
    square = shapely.box(760000, 2960000, 760100, 2960100)
    path = bench.geopackage([{"ml": "1-1", "geometry": square}], crs="EPSG:2249")
    feed = bench.feed(columns={"parcel_code": "ml"})
    bench.load(cambridge, path, feed, schemas=cambridge_schemas)
    ((area, perimeter, drawn),) = query(
        cambridge, "SELECT area_grid_m2, perimeter_grid_m, ST_Area(geom) FROM data.parcel"
    )
    assert area == round((100 * foot) ** 2, 2) == 929.03
    assert perimeter == round(400 * foot, 2) == 121.92
    assert drawn == 10000


def test_what_arrow_brings_is_staged_or_set_aside_whatever_it_is(
    bench: Any, database: Database, query: Any
) -> None:
    """Keywords as names, long texts, lists, NUL, quotes: none of it breaks a load."""
    rows = [
        bench.parcel(n, **{"select": "x" * 70_000, 'qu"ote': ["a", None], "user": n / 3})
        for n in range(4)
    ]
    rows[3]["code"] = "bad\x00 code"
    path = bench.geopackage(rows)
    outcome = bench.load(database, path)
    assert (outcome.account.inserted, outcome.account.quarantined) == (3, 1)
    ((raw,),) = query(database, "SELECT raw FROM ops.quarantine")
    assert len(raw["select"]) == 70_000
    assert raw["user"] == 1.0


def test_raw_values_of_any_kind_become_json() -> None:
    row = {
        "nan": float("nan"),
        "inf": float("inf"),
        "bytes": b"\xff",
        "nul": "a\x00b",
        "list": ["\x00"],
    }
    said = as_json({**row, "literal": "\\u0000", "dict": {"k\x00": pa.scalar(1).as_py()}})
    assert said == (
        '{"nan":null,"inf":null,"bytes":"ff","nul":"ab","list":[""],"literal":"\\\\u0000","dict":{"k":1}}'
    )


def test_a_plain_table_loads_without_geometry(bench: Any, database: Database, query: Any) -> None:
    zone = bench.schemas.codes(bench.schemas.layer("zone_rule").field("zone_code")).codes[0]
    columns = bench.filled(
        "zone_rule", {"plan_id": "plan", "zone_code": "zone", "rule_no": "شماره"}
    )
    content = f'plan,zone,"شماره"\r\nP1,{zone},۱\r\nP1,{zone}," 250 "\r\n"P\r\n2",{zone},3\r\n'
    for encoding in ("utf-8", "utf-8-sig", "cp1256", "utf-16"):
        feed = bench.feed(
            "zone_rule", columns=columns, source={"driver": "CSV", "encoding": encoding}
        )
        path = bench.text(
            "rules.csv", content.replace("۱", "1") if encoding == "cp1256" else content, encoding
        )
        outcome = bench.load(database, path, feed)
        assert (outcome.account.arrived, outcome.account.quarantined) == (3, 0), encoding
    found = query(database, "SELECT plan_id, rule_no FROM data.zone_rule ORDER BY rule_no")
    assert found == [("P1", 1), ("P 2", 3), ("P1", 250)]


def test_whoever_loads_does_not_matter_where(bench: Any, database: Database) -> None:
    """The loader's login may write layers and ledger, and make nothing else."""
    with (
        pytest.raises(DatabaseError, match="may not do this"),
        database.connect("loader") as connection,
    ):
        connection.execute("CREATE TABLE data.x ()")
    missing = Database(Settings(home=bench.folder / "nowhere"))
    with pytest.raises(DatabaseError, match="there is no private database yet"):
        bench.load(missing, bench.geopackage(parcels(bench, range(2))))


def test_names_are_gathered_once_after_a_fill_and_kept_from_then_on(
    bench: Any, database: Database, query: Any
) -> None:
    named = "SELECT name, parts FROM ops.place_name WHERE layer = 'poi' ORDER BY name"
    columns = {"poi_id": "code", "name_fa": "plate"}
    feed = bench.feed("poi", columns=bench.filled("poi", columns))

    def pois(places: range) -> Any:
        shapes = {place: bench.square(place).centroid for place in places}
        rows = [bench.parcel(n, geometry=at, plate=f"نام {n % 4}") for n, at in shapes.items()]
        return bench.geopackage(rows)

    assert bench.load(database, pois(range(10)), feed).account.inserted == 10
    assert query(database, named) == [("نام 0", 3), ("نام 1", 3), ("نام 2", 2), ("نام 3", 2)]
    bench.load(database, pois(range(6)), feed)
    assert query(database, named) == [("نام 0", 2), ("نام 1", 2), ("نام 2", 1), ("نام 3", 1)]
