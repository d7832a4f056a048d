"""A load is one version of its layer: undone exactly, compared by key, told row by row."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.contracts import registry
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import GuardError
from pipeline.stages import history
from pipeline.stages import load as loading

EAST, NORTH = 488_000.0, 3_833_000.0


def _regions(path: Path, rows: dict[str, tuple[str, float]]) -> Path:
    """A delivery of regions: code -> (name, shift east in m); squares of 100 m."""
    corners = EAST + 200.0 * np.array([int(code) for code in rows])
    shifts = np.array([shift for _, shift in rows.values()])
    shapes = shapely.box(corners + shifts, NORTH, corners + shifts + 100, NORTH + 100)
    feed = registry.load("qom").feed("regions")
    names = {column.to: column.sources[0] for column in feed.columns if column.sources}
    frame = geopandas.GeoDataFrame(
        {
            **dict.fromkeys(names.values()),
            names["region_code"]: list(rows),
            names["name_fa"]: [name for name, _ in rows.values()],
        },
        geometry=shapes,
        crs=32639,
    )
    frame.to_file(path, driver="GPKG", layer=feed.source.sheet or path.stem)
    return path


def _load(database: Database, path: Path, feed: str = "regions") -> loading.Outcome:
    context = loading.context_for(registry.load(database.settings.city), feed)
    return loading.load(database, path, context, batch_rows=10_000, progress=lambda *_: None)


def _hash(database: Database, layer: str) -> str:
    with database.connect("loader") as connection:
        query = f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM data.{layer} t"
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def two_loads(database: Database, tmp_path: Path) -> tuple[Database, int, int]:
    first = {"1": ("یک", 0.0), "2": ("دو", 0.0), "3": ("سه", 0.0), "4": ("چهار", 0.0)}
    second = {"1": ("یک", 0.0), "2": ("دوم", 0.0), "3": ("سه", 50.0), "5": ("پنج", 0.0)}
    one = _load(database, _regions(tmp_path / "manategh.gpkg", first))
    two = _load(database, _regions(tmp_path / "manategh_2.gpkg", second))
    assert one.run
    assert two.run
    assert (two.account.inserted, two.account.updated) == (1, 2)
    assert (two.account.unchanged, two.account.removed) == (1, 1)
    return database, one.run, two.run


def test_undo_restores_the_former_table_exactly(database: Database, tmp_path: Path) -> None:
    schemas = registry.load("qom")
    one = {"1": ("یک", 0.0), "2": ("دو", 0.0)}
    _load(database, _regions(tmp_path / "manategh.gpkg", one))
    before = _hash(database, "region")
    two = _regions(tmp_path / "manategh_2.gpkg", {"1": ("نو", 1.0), "3": ("سه", 0.0)})
    run = _load(database, two).run
    assert run
    assert _hash(database, "region") != before
    done = history.undo(database, schemas, run)
    assert (done.taken_back, done.brought_back) == (2, 2)
    assert _hash(database, "region") == before
    with database.connect("loader") as connection:
        assert ledger.run(connection, run).status == "undone"
        assert connection.execute("SELECT count(*) FROM history.region").fetchone() == (0,)
    again = _load(database, two)
    assert again.status == "done"
    assert (again.account.inserted, again.account.updated, again.account.removed) == (1, 1, 1)


def test_only_the_latest_load_can_be_undone(two_loads: tuple[Database, int, int]) -> None:
    database, one, two = two_loads
    schemas = registry.load("qom")
    with pytest.raises(GuardError, match=f"run {two} has changed region since"):
        history.undo(database, schemas, one)
    history.undo(database, schemas, two)
    history.undo(database, schemas, one)
    with database.connect("loader") as connection:
        assert connection.execute("SELECT count(*) FROM data.region").fetchone() == (0,)
    with pytest.raises(GuardError, match="undone: nothing to undo"):
        history.undo(database, schemas, one)


def test_difference_names_what_changed_by_key(two_loads: tuple[Database, int, int]) -> None:
    database, one, two = two_loads
    layer = registry.load("qom").layer("region")
    with database.connect("loader") as connection:
        found = history.difference(connection, layer, one, two)
        assert history.difference(connection, layer, two, two) == []
    told = {change.key: change for change in found}
    assert {key: change.change for key, change in told.items()} == {
        "2": "changed",
        "3": "changed",
        "4": "removed",
        "5": "added",
    }
    assert told["2"].columns == ["name_fa"]
    assert told["3"].columns == ["geom"]
    # Two squares of 100 m, 50 m apart: half of each is not shared, 10,000 of 10,000 m2 together.
    assert told["3"].moved == pytest.approx(1.0)


def test_history_tells_file_row_and_load(two_loads: tuple[Database, int, int]) -> None:
    database, one, two = two_loads
    layer = registry.load("qom").layer("region")
    with database.connect("loader") as connection:
        found = history.versions(connection, layer, "2")
        gone = history.versions(connection, layer, "4")
    assert [(v["run_id"], v["ended_by"], v["name_fa"]) for v in found] == [
        (one, two, "دو"),
        (two, None, "دوم"),
    ]
    assert [v["source_line"] for v in found] == [2, 2]
    assert str(found[1]["file"]).endswith("manategh_2.gpkg")
    assert [(v["run_id"], v["ended_by"]) for v in gone] == [(one, two)]


def test_the_commands(
    two_loads: tuple[Database, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, one, two = two_loads
    for name in ("home", "city", "database"):
        monkeypatch.setenv(f"MAKAN_{name.upper()}", str(getattr(database.settings, name)))
    run = CliRunner().invoke
    shown = run(cli, ["diff", str(one), str(two)]).stdout
    assert "2 changed" in shown
    assert "changed  2 name_fa" in shown
    assert len(json.loads(run(cli, ["diff", str(one), str(two), "--json"]).stdout)) == 4
    assert "name_fa = دوم" in run(cli, ["history", "region", "2"]).stdout
    assert "is undone: 3 rows taken back, 3 former" in run(cli, ["undo", str(two)]).stdout
    assert isinstance(run(cli, ["history", "region", "99"]).exception, Exception)


def test_a_year_of_real_parcels_is_undone_exactly(cambridge: Database, real_data: Path) -> None:
    folder = real_data / "cambridge_ma" / "cadastre"
    _load(cambridge, folder / "ASSESSING_ParcelsFY2013.topojson", "parcels")
    before = _hash(cambridge, "parcel")
    second = _load(cambridge, folder / "ASSESSING_ParcelsFY2014.topojson", "parcels")
    assert second.run
    assert second.account.updated > 12_000
    history.undo(cambridge, registry.load("cambridge"), second.run)
    assert _hash(cambridge, "parcel") == before
