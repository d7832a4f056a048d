"""Loading: recorded, whole or not at all, repeatable; and what is served follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from pipeline import testing
from pipeline.cli.main import cli
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, DatabaseError, GuardError, ResourceError
from pipeline.findings import Catalog
from pipeline.rasters import load as loading
from pipeline.rasters import publish as publishing
from pipeline.rasters.deliver import Spread, deliver
from pipeline.rasters.inspect import Declared, Job
from pipeline.rasters.load import Outcome
from pipeline.rasters.shelf import Shelf
from pipeline.spread.executor import Local

Make = Callable[..., Path]
EAST, NORTH = 488_600.0, 3_833_000.0
SHARED = testing.shared_data() / "bad_inputs" / "raster"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where this test's COGs stand."""
    return tmp_path / "home"


Take = Callable[..., list[Outcome]]


@pytest.fixture
def take(database: Database, home: Path, schemas: Schemas) -> Take:
    """Delivers files: ``take(contract, *paths, **declared)``."""

    def taken(contract: RasterContract, *paths: Path, **declared: Any) -> list[Outcome]:
        jobs = [Job(path, contract, schemas.city, Declared(**declared)) for path in paths]
        return deliver(database, home, schemas, jobs)[0]

    return taken


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connect("loader") as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]


def files(home: Path, contract: RasterContract) -> list[str]:
    return sorted(path.name for path in Shelf(home, contract.id).folder.iterdir())


def test_a_load_is_registered_recorded_and_served(
    take: Take, make: Make, database: Database, home: Path, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("برگ 12 (نو).tif", colors)
    (done,) = take(orthophoto, path, acquired=date(2024, 5, 31))
    assert done.status == "done"
    assert not done.replaced
    ((sheet, where, width, height, pixel, acquired, crs, area, valid),) = rows(
        database,
        "SELECT sheet, path, width, height, pixel_x_m, acquired, source_crs, ST_Area(footprint), "
        "statistics->>'valid_share' FROM ops.raster WHERE current",
    )
    assert (sheet, width, height, pixel, crs) == ("برگ 12 (نو)", 320, 240, 1.0, "EPSG:32639")
    assert acquired == date(2024, 5, 31)
    assert area == pytest.approx(320 * 240)
    assert float(valid) == 1
    assert (home / where).is_file()
    served = Shelf(home, orthophoto.id).served()
    assert served is not None
    assert served.path == where
    assert served.bounds == (EAST, NORTH - 240, EAST + 320, NORTH)
    assert rows(database, "SELECT path, version, sheets FROM ops.raster_served") == [
        (served.path, served.version, 1)
    ]
    with database.connect("loader") as connection:
        run = ledger.run(connection, done.run)
    assert (run.kind, run.status, run.account.inserted, run.account.closes) == (
        "raster", "done", 1, True,
    )  # fmt: skip
    with rasterio.open(home / where) as cog:
        assert cog.tags()["ACQUIRED"] == "2024-05-31"


def test_a_sheet_has_its_results(
    take: Take, make: Make, database: Database, orthophoto: RasterContract, colors: Any
) -> None:
    turned = Affine.translation(EAST, NORTH) @ Affine.rotation(5) @ Affine.scale(1, -1)
    (straight,) = take(orthophoto, make("a.tif", colors))
    (rotated,) = take(orthophoto, make("b.tif", colors, transform=turned))
    measured = rows(
        database,
        "SELECT run_id, element, value, rows, errors, passed FROM ops.quality_result "
        "WHERE unit = 'rows' AND field IS NULL ORDER BY run_id, element",
    )
    elements = (
        "completeness: omission", "logical consistency: conceptual", "logical consistency: format",
        "positional accuracy", "thematic accuracy",
    )  # fmt: skip
    assert measured == [
        (run, element, float(run == rotated.run and element == "positional accuracy"), 1, 0, True)
        for run in (straight.run, rotated.run)
        for element in elements
    ]
    shares = "SELECT value FROM ops.quality_result WHERE unit = '%' AND run_id = "
    assert [v for (v,) in rows(database, f"{shares}{rotated.run} AND value > 0")] == [100.0]


def test_the_same_file_again_is_a_recorded_no_op(
    take: Take, make: Make, database: Database, home: Path, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors)
    take(orthophoto, path)
    before = {name: (home / "rasters" / orthophoto.id / name).stat().st_mtime_ns
              for name in files(home, orthophoto)}  # fmt: skip
    (again,) = take(orthophoto, path)
    assert again.status == "unchanged"
    assert rows(database, "SELECT count(*) FROM ops.raster") == [(1,)]
    assert rows(database, "SELECT status FROM ops.run ORDER BY id") == [("done",), ("unchanged",)]
    assert before == {
        name: (home / "rasters" / orthophoto.id / name).stat().st_mtime_ns
        for name in files(home, orthophoto)
    }


def test_a_lost_cog_is_made_again(
    take: Take, make: Make, home: Path, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors)
    (first,) = take(orthophoto, path)
    (home / str(first.path)).unlink()
    (again,) = take(orthophoto, path)
    assert again.status == "done"
    assert Shelf(home, orthophoto.id).served() is not None


def test_what_is_used_with_the_file_counts_too(
    take: Take, make: Make, orthophoto: RasterContract, colors: Any
) -> None:
    path = make("a.tif", colors)
    assert take(orthophoto, path)[0].status == "done"
    path.with_suffix(".prj").write_text("EPSG:32639")
    assert take(orthophoto, path)[0].status == "done"
    assert take(orthophoto, path)[0].status == "unchanged"
    assert take(orthophoto, path, acquired=date(2024, 1, 1))[0].status == "done"
    assert take(orthophoto, path)[0].status == "unchanged"
    assert take(orthophoto, path, nodata=0.0)[0].status == "done"


def test_a_new_version_takes_the_place_of_the_old(
    take: Take, make: Make, database: Database, home: Path, terrain: RasterContract, plane: Any
) -> None:
    place = Affine(5, 0, EAST, 0, -5, NORTH)
    (old,) = take(terrain, make("a.tif", plane, transform=place))
    (new,) = take(terrain, make("a.tif", plane + 1, transform=place))
    assert new.replaced
    assert rows(database, "SELECT run_id, current FROM ops.raster ORDER BY id") == [
        (old.run, False),
        (new.run, True),
    ]
    assert files(home, terrain) == [Path(str(new.path)).name, "served.json"]
    with rasterio.open(home / str(new.path)) as cog:
        assert cog.read(1)[30, 0] == pytest.approx(901.025)


def test_several_sheets_are_served_as_one(
    take: Take, make: Make, home: Path, orthophoto: RasterContract, colors: Any
) -> None:
    paths = [
        make(f"{column}.tif", colors, transform=Affine(1, 0, EAST + column, 0, -1, NORTH))
        for column in (0, 300, 600)
    ]
    take(orthophoto, *paths)
    served = Shelf(home, orthophoto.id).served()
    assert served is not None
    assert (served.sheets, served.width, served.height) == (3, 920, 240)
    first = served.version
    take(orthophoto, paths[1])  # unchanged: nothing is made anew
    again = Shelf(home, orthophoto.id).served()
    assert again == served
    take(orthophoto, make("0.tif", 255 - colors))
    changed = Shelf(home, orthophoto.id).served()
    assert changed is not None
    assert changed.version != first
    assert len(files(home, orthophoto)) == 3 + 1 + 1


def test_a_refused_raster_leaves_everything_as_it_was(
    take: Take, make: Make, database: Database, home: Path, terrain: RasterContract, plane: Any
) -> None:
    place = Affine(5, 0, EAST, 0, -5, NORTH)
    take(terrain, make("a.tif", plane, transform=place))
    before = (files(home, terrain), rows(database, "SELECT * FROM ops.raster"))
    bad = plane.copy()
    bad[0, 5, 5] = 9000
    (refused,) = take(terrain, make("a.tif", bad, transform=place))
    assert refused.status == "refused"
    assert (files(home, terrain), rows(database, "SELECT * FROM ops.raster")) == before
    ((status, quarantined, message),) = rows(
        database, f"SELECT status, quarantined, message FROM ops.run WHERE id = {refused.run}"
    )
    assert (status, quarantined) == ("refused", 1)
    assert "9000" in message
    assert rows(database, "SELECT code, key FROM ops.finding") == [("raster.values", "a")]


@pytest.mark.parametrize("kind", ["orthophoto", "terrain"])
def test_no_broken_raster_is_registered(
    take: Take, database: Database, request: pytest.FixtureRequest, kind: str
) -> None:
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared/data of real data is not here")
    outcomes = take(request.getfixturevalue(kind), *sorted(SHARED.iterdir()))
    assert {outcome.status for outcome in outcomes} == {"refused"}
    assert rows(database, "SELECT count(*) FROM ops.raster") == [(0,)]
    assert rows(database, "SELECT count(*) FROM ops.run WHERE status = 'refused'") == [(20,)]
    assert rows(database, "SELECT count(*) FROM ops.raster_served") == [(0,)]


def test_a_full_disk_leaves_nothing_half_loaded(
    take: Take,
    make: Make,
    database: Database,
    home: Path,
    orthophoto: RasterContract,
    colors: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make("a.tif", colors)
    take(orthophoto, path)
    before = files(home, orthophoto)

    def full(*_: Any, **__: Any) -> None:
        raise ResourceError("the disk is full", where="rasters", todo="Free some space.")

    monkeypatch.setattr(loading.cog, "write", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        take(orthophoto, make("a.tif", 255 - colors))
    assert files(home, orthophoto) == before
    assert rows(database, "SELECT status, message FROM ops.run ORDER BY id DESC LIMIT 1") == [
        ("failed", "rasters: the disk is full. Free some space.")
    ]


def test_a_failure_in_the_database_leaves_no_file(
    take: Take,
    make: Make,
    database: Database,
    home: Path,
    orthophoto: RasterContract,
    colors: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> bool:
        raise DatabaseError("the database does not answer")

    monkeypatch.setattr(loading.register, "register", fail)
    with pytest.raises(DatabaseError):
        take(orthophoto, make("a.tif", colors))
    assert files(home, orthophoto) == []
    assert rows(database, "SELECT count(*) FROM ops.raster") == [(0,)]


def test_an_interrupted_publish_is_made_good_by_the_next_load(
    take: Take,
    make: Make,
    home: Path,
    orthophoto: RasterContract,
    colors: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make("a.tif", colors)
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            take(orthophoto, path)
    assert Shelf(home, orthophoto.id).served() is None
    take(orthophoto, path)
    assert Shelf(home, orthophoto.id).served() is not None


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_missing_sheet_is_told_rather_than_served_around(
    take: Take, make: Make, home: Path, orthophoto: RasterContract, colors: Any
) -> None:
    (first,) = take(orthophoto, make("a.tif", colors))
    (home / str(first.path)).unlink()
    with pytest.raises(ResourceError, match="a sheet in force is gone"):
        take(orthophoto, make("b.tif", colors))


def test_a_database_of_another_city_is_not_touched(
    cambridge: Database, make: Make, home: Path, schemas: Schemas, orthophoto: RasterContract,
    colors: Any,
) -> None:  # fmt: skip
    job = Job(make("a.tif", colors), orthophoto, schemas.city)
    with pytest.raises(DatabaseError, match="belongs to the city cambridge"):
        deliver(cambridge, home, schemas, [job])


def test_no_such_file_is_told(take: Take, tmp_path: Path, orthophoto: RasterContract) -> None:
    with pytest.raises(ArrivalError, match="no such file"):
        take(orthophoto, tmp_path / "none.tif")


def test_heights_in_feet_cities_keep_metres(
    cambridge: Database, make: Make, home: Path, catalog: Catalog
) -> None:
    """Pixels are measured in metres, although Cambridge's CRS is in US survey feet."""
    from pipeline.contracts import registry

    schemas = registry.load("cambridge")
    contract = next(c for c in schemas.rasters.values() if c.is_terrain)
    heights = np.linspace(2, 40, 50 * 60, dtype=np.float32).reshape(1, 50, 60)
    path = make(
        "a.tif", heights, crs="EPSG:2249", transform=Affine(10, 0, 760_000, 0, -10, 2_960_000)
    )
    job = Job(path, contract, schemas.city)
    ((outcome,), served) = deliver(cambridge, home, schemas, [job])
    assert outcome.status == "done"
    assert served is not None
    ((pixel,),) = rows(cambridge, "SELECT pixel_x_m FROM ops.raster")
    assert pixel == pytest.approx(3.048006, abs=1e-6)


@pytest.fixture
def command(database: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs ``makan raster`` as a person would, with this test's database."""
    monkeypatch.setenv("MAKAN_HOME", str(home))
    for module in ("raster", "raster_sheets"):
        monkeypatch.setattr(f"pipeline.cli.{module}.Database", lambda _: database)

    def run(*arguments: Any) -> Any:
        words = ["raster", *(str(argument) for argument in arguments)]
        return CliRunner().invoke(cli, words, standalone_mode=False)

    return run


def test_the_command_checks_loads_and_lists(
    command: Callable[..., Any], make: Make, orthophoto: RasterContract, colors: Any
) -> None:
    good, bad = make("good.tif", colors), make("bad.tif", colors, crs=None)
    checked = command("check", good, "--as", orthophoto.id)
    assert checked.exception is None
    assert "good.tif" in checked.stdout
    mixed = command("load", good, bad, "--as", orthophoto.id, "--date", "2024-05-31")
    assert mixed.return_value == 1
    assert "raster.crs_missing: the raster names no CRS; declare it with --crs" in mixed.stdout
    declared = command("load", bad, "--as", orthophoto.id, "--crs", "EPSG:32639", "--json")
    assert declared.exception is None
    assert '"status": "done"' in declared.stdout
    assert '"sheets": 2' in declared.stdout
    assert len(command("list").stdout.splitlines()) == 2
    assert "served: " in command("publish", orthophoto.id).stdout


def test_the_command_refuses_in_one_line(
    command: Callable[..., Any], make: Make, orthophoto: RasterContract, colors: Any
) -> None:
    bad = make("bad.tif", colors, crs=None)
    assert isinstance(command("load", bad, "--as", orthophoto.id).exception, GuardError)
    for wrong in (
        ("--as", "none"),
        ("--as", orthophoto.id, "--crs", "none"),
        ("--as", orthophoto.id, "--date", "31.5.2024"),
    ):
        error = command("check", bad, *wrong).exception
        assert getattr(error, "exit_code", None) == 2
        assert "\n" not in str(error)
    doubled = command("check", bad, bad.parent / ".." / bad.parent.name / bad.name, "--as",
                      orthophoto.id)  # fmt: skip
    assert "two files would be the sheet bad" in str(doubled.exception)


def test_several_processes_load_the_same_bytes(
    database: Database, schemas: Schemas, make: Make, tmp_path: Path, colors: Any
) -> None:
    contract = schemas.rasters["orthophoto"]
    places = [Affine(1, 0, EAST + 320 * n, 0, -1, NORTH) for n in range(3)]
    paths = [
        make(f"tasvir-{n}.tif", np.roll(colors, 40 * n, axis=2), transform=place)
        for n, place in enumerate(places)
    ]
    broken = make("tasvir-x.tif", colors)
    broken.write_bytes(broken.read_bytes()[:40_000])
    jobs = [Job(path, contract, schemas.city, Declared()) for path in (*paths, broken)]
    told: list[tuple[int, int]] = []
    spread = Spread(Local(2), lambda done, whole: told.append((done, whole)))
    outcomes, served = deliver(database, tmp_path / "two", schemas, jobs, spread=spread)
    assert [outcome.status for outcome in outcomes] == ["done", "done", "done", "refused"]
    assert {finding.code for finding in outcomes[3].findings} & {
        "raster.damaged",
        "raster.unreadable",
    }
    assert told[-1] == (4, 4)
    assert served is not None
    assert served.sheets == 3
    with database.connect("loader") as connection:
        connection.execute("DELETE FROM ops.raster")
    alone, one = deliver(database, tmp_path / "one", schemas, jobs)
    assert one is not None
    assert [part.version for part in one.parts] == [part.version for part in served.parts]
    assert one.version == served.version
    assert len({outcome.run for outcome in (*outcomes, *alone)}) == 8
    # What is in force already is not made again.
    told.clear()
    again, _ = deliver(database, tmp_path / "one", schemas, jobs, spread=spread)
    assert [outcome.status for outcome in again] == [
        "unchanged",
        "unchanged",
        "unchanged",
        "refused",
    ]
    assert told[-1] == (1, 1)
    left = [path.name for path in Shelf(tmp_path / "one", contract.id).folder.iterdir()]
    assert not [name for name in left if name.startswith(".work")]
