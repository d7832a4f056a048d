"""A load is one version of its layer: undone exactly, compared by key, told row by row."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.cli.main import cli
from pipeline.contracts import registry
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import GuardError
from pipeline.report import past
from pipeline.settings import Settings
from pipeline.stages import history
from pipeline.stages import load as loading
from pipeline.stages.outcome import Outcome
from tests.serving import Application

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


def _load(
    database: Database, path: Path, feed: str = "regions", valid: dt.datetime | None = None
) -> Outcome:
    context = loading.context_for(registry.load(database.settings.city), feed, valid_from=valid)
    return loading.load(database, path, context, batch_rows=10_000, progress=lambda *_: None)


def _hash(database: Database, layer: str) -> str:
    with database.connect("loader") as connection:
        # But for the undo that put a row in force again, which is no part of what is published.
        row = "(to_jsonb(t) - 'begun_by')::text"
        query = f"SELECT md5(string_agg({row}, E'\\n' ORDER BY id)) FROM data.{layer} t"
        found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return str(found[0])


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
    (done,) = history.undo(database, schemas, run)
    assert (done.taken_back, done.brought_back) == (2, 2)
    assert _hash(database, "region") == before
    with database.connect("loader") as connection:
        assert ledger.run(connection, run).status == "undone"
        assert connection.execute(
            "SELECT count(*) FROM history.region WHERE withdrawn_by IS NULL"
        ).fetchone() == (0,)
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
    assert history.by_size(found) == [(size, 1) for size in history.SIZES]


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
    two_loads: tuple[Database, int, int], commanded: Callable[[Database], None]
) -> None:
    database, one, two = two_loads
    commanded(database)
    run = CliRunner().invoke
    shown = run(cli, ["diff", str(one), str(two)]).stdout
    assert "2 changed" in shown
    assert "changed  2 name_fa" in shown
    assert "1 of them by more than 10 % of the area" in shown
    assert len(json.loads(run(cli, ["diff", str(one), str(two), "--json"]).stdout)) == 4
    assert "name_fa = دوم" in run(cli, ["history", "region", "2"]).stdout
    assert "is undone: 3 rows taken back, 3 former" in run(cli, ["undo", str(two)]).stdout
    assert isinstance(run(cli, ["history", "region", "99"]).exception, Exception)


def _delivery(folder: Path, number: int) -> Path:
    """The delivery ``number`` of regions: one comes or goes, one changes."""
    rows = {str(code): ("ثابت", 0.0) for code in range(1, 9)}
    rows |= {"9": (f"نام {number}", 0.0), str(20 + number % 2): ("آمد", float(number))}
    return _regions(folder / f"manategh_{number}.gpkg", rows)


@pytest.mark.parametrize("back", [1, 2, 3])
def test_each_of_the_last_versions_comes_back_with_one_command(
    back: int, database: Database, tmp_path: Path, commanded: Callable[[Database], None]
) -> None:
    states, runs = [], []
    for number in range(4):
        runs.append(_load(database, _delivery(tmp_path, number)).run or 0)
        states.append(_hash(database, "region"))
    assert len(set(states)) == 4
    commanded(database)
    if back > 1:
        with pytest.raises(GuardError, match=f"run {runs[-1]}.* has changed region since"):
            history.undo(database, registry.load("qom"), runs[-back])
    begun = time.monotonic()
    said = CliRunner().invoke(
        cli, ["undo", str(runs[-back]), "--with-later"], catch_exceptions=False
    )
    assert time.monotonic() - begun < 10
    assert re.findall(r"run (\d+) of region is undone", said.stdout) == [
        str(run) for run in runs[: -back - 1 : -1]
    ]
    assert _hash(database, "region") == states[-back - 1]
    with database.connect("loader") as connection:
        status = [ledger.run(connection, run).status for run in runs]
    assert status == ["done"] * (4 - back) + ["undone"] * back
    last = tmp_path / "manategh_3.gpkg"
    assert _load(database, last).account.closes
    assert _load(database, last).status == "unchanged"


@pytest.fixture(scope="module")
def two_years(cambridge_template: Settings, real_data: Path) -> Iterator[Years]:
    """The parcels of FY2013 and, over them, those of FY2014."""
    folder = real_data / "cambridge_ma" / "cadastre"
    with testing.clone(cambridge_template) as database:
        years = Years(database, folder, [], [], [])
        for year in (2013, 2014):
            path = folder / f"ASSESSING_ParcelsFY{year}.topojson"
            held = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
            years.runs.append(_load(database, path, "parcels", held).run or 0)
            years.hashes.append(_hash(database, "parcel"))
            rows = years.asked("SELECT parcel_code, ST_AsBinary(geom) FROM data.parcel")
            shapes = shapely.normalize(shapely.from_wkb([bytes(wkb) for _, wkb in rows]))
            codes = [code for code, _ in rows]
            years.states.append(dict(zip(codes, shapely.to_wkb(shapes), strict=True)))
        yield years


@dataclass
class Years:
    """A database with two years of parcels, and the layer's hash after each."""

    database: Database
    folder: Path
    runs: list[int]
    hashes: list[str]
    states: list[dict[str, bytes]]

    @property
    def counts(self) -> list[int]:
        """How many parcels were published after each year."""
        return [len(state) for state in self.states]

    def frame(self, year: int) -> geopandas.GeoDataFrame:
        """The file as geopandas reads it, in the city's CRS."""
        path = self.folder / f"ASSESSING_ParcelsFY{year}.topojson"
        return geopandas.read_file(path, on_invalid="ignore").set_crs(4326).to_crs(2249)

    def asked(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self.database.connect("owner") as connection:
            return connection.execute(query.encode()).fetchall()


def test_what_a_year_has_changed_is_told_parcel_by_parcel(two_years: Years) -> None:
    layer = registry.load("cambridge").layer("parcel")
    with two_years.database.connect("loader") as connection:
        found = history.difference(connection, layer, *two_years.runs)
    kinds = {kind: {change.key for change in found if change.change == kind}
             for kind in ("removed", "added", "changed")}  # fmt: skip
    old, new = (two_years.frame(year) for year in (2013, 2014))
    codes = [set(frame["ML"].dropna()) for frame in (old, new)]
    gone, come = codes[0] - codes[1], codes[1] - codes[0]
    assert (len(gone), len(come)) == (94, 52)
    aside = [_aside(two_years, run) for run in two_years.runs]
    assert kinds["removed"] == gone - aside[0]
    # What was in quarantine in the one year and is whole in the other is new as well.
    published = {key for (key,) in two_years.asked("SELECT parcel_code FROM data.parcel")}
    assert kinds["added"] == (come | (aside[0] & codes[1])) & (published - kinds["changed"])
    shares = _moved(old, new, kinds["changed"])
    told = {change.key: change.moved for change in found if change.moved is not None}
    assert told.keys() == shares.keys()
    differing = [key for key, share in shares.items() if abs(share - told[key]) > 1e-6]
    assert len(differing) <= 24 + 37, "only what was repaired may differ"
    sizes = dict(history.by_size(found))
    for size, expected in ((0.1, 88), (0.01, 11_414)):
        own = sum(share > size for share in shares.values())
        assert abs(sizes[size] - own) <= 2
        assert sizes[size] == pytest.approx(expected, abs=25), (
            "the README counts set-aside ones too"
        )


def _aside(years: Years, run: int) -> set[str]:
    query = f"SELECT raw->>'ML' FROM ops.quarantine WHERE run_id = {run}"
    return {code for (code,) in years.asked(query) if code is not None}


def _moved(
    old: geopandas.GeoDataFrame, new: geopandas.GeoDataFrame, keys: set[str]
) -> dict[str, float]:
    """Shares of the former area, by shapely over the files themselves."""
    one, two = (
        frame[frame["ML"].isin(keys)].drop_duplicates("ML").set_index("ML") for frame in (old, new)
    )
    names = sorted(keys & set(one.index) & set(two.index))
    before, after = (
        shapely.make_valid(frame.geometry.loc[names].to_numpy(), method="structure")
        for frame in (one, two)
    )
    apart = shapely.area(shapely.symmetric_difference(before, after)) / shapely.area(before)
    return dict(zip(names, apart.tolist(), strict=True))


def test_codes_keep_their_feature_ids_over_the_years(two_years: Years) -> None:
    rows = two_years.asked(
        "SELECT t.id = h.id FROM data.parcel t JOIN history.parcel h USING (parcel_code)"
        f" WHERE h.ended_by = {two_years.runs[1]}"
    )
    assert Counter(same for (same,) in rows) == {True: 12_958}


def test_every_row_names_the_file_the_line_and_the_load_it_came_from(two_years: Years) -> None:
    """A thousand published rows: the line they name holds their key in the file they name."""
    rows = two_years.asked(
        "SELECT t.parcel_code, t.source_line, r.file, r.file_sha256 FROM data.parcel t"
        " JOIN ops.run r ON r.id = t.run_id ORDER BY md5(t.parcel_code) LIMIT 1000"
    )
    assert len(rows) == 1000
    frames = {}
    for code, line, file, sha256 in rows:
        if file not in frames:
            assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == sha256
            frames[file] = geopandas.read_file(file, on_invalid="ignore")["ML"].tolist()
        assert frames[file][line - 1].strip() == code
    past = two_years.asked(
        "SELECT h.parcel_code, h.source_line, r.file FROM history.parcel h"
        " JOIN ops.run r ON r.id = h.run_id ORDER BY md5(h.parcel_code) LIMIT 1000"
    )
    former = geopandas.read_file(past[0][2], on_invalid="ignore")["ML"].tolist()
    assert all(former[line - 1].strip() == code for code, line, _ in past)
    layer = registry.load("cambridge").layer("parcel")
    with two_years.database.connect("loader") as connection:
        versions = history.versions(connection, layer, str(past[0][0]))
    assert versions[0]["run_id"] == two_years.runs[0]


def test_each_year_of_real_parcels_is_there_as_it_was(two_years: Years, tmp_path: Path) -> None:
    """Of the file by geopandas, of the database by ``makan as-of`` and by what was recorded."""
    layer = registry.load("cambridge").layer("parcel")
    noon = [dt.datetime(year, 7, 1, tzinfo=dt.UTC) for year in (2012, 2013, 2014)]
    with two_years.database.connect("loader") as connection:
        moments = [past.Moment(moment) for moment in noon]
        counted = [past.count(connection, layer, moment) for moment in moments]
        recorded = past.Moment(noon[2], known=1)
        assert past.count(connection, layer, recorded) == counted[1]
    assert counted == [0, *two_years.counts]
    settings = two_years.database.settings
    environment = {"MAKAN_CITY": "cambridge", "MAKAN_HOME": str(settings.home)}
    environment["MAKAN_DATABASE"] = settings.database
    codes = []
    for year, state in zip((2013, 2014), two_years.states, strict=True):
        out = tmp_path / f"{year}.gpkg"
        asked = ["as-of", f"{year}-07-01", "--layer", "parcel", "--out", str(out)]
        done = CliRunner().invoke(cli, asked, env=environment)
        assert done.exit_code == 0, done.output
        frame = geopandas.read_file(out, layer="parcel")
        shapes = shapely.to_wkb(shapely.normalize(frame.geometry.to_numpy()))
        assert dict(zip(frame["parcel_code"], shapes, strict=True)) == state
        codes.append(set(frame["parcel_code"]))
    old, new = (set(two_years.frame(year)["ML"].dropna()) for year in (2013, 2014))
    aside = [_aside(two_years, run) for run in two_years.runs]
    assert codes[0] - codes[1] == (old - new) - aside[0]
    assert (codes[1] - codes[0]) - aside[0] == (new - old) - aside[1]
    assert (len(old - new), len(new - old)) == (94, 52)
    with pytest.raises(GuardError, match="what it would replace from 2014"):
        _load(
            two_years.database,
            two_years.folder / "ASSESSING_ParcelsFY2013.topojson",
            "parcels",
            dt.datetime(2013, 1, 1, tzinfo=dt.UTC),
        )


def test_a_copy_of_real_parcels_follows_from_their_changes(two_years: Years) -> None:
    """Over HTTP, from nothing, page by page: the same bytes as the collection's own pages."""
    settings = replace(two_years.database.settings, public_url="http://makan.test")
    schemas = registry.load("cambridge")
    application = Application(settings, schemas, two_years.database)
    asked: dict[str, Any] = {"crs": schemas.city.crs_uri, "limit": 5000, "f": "json"}
    with TestClient(application, base_url="http://makan.test") as client:

        def pages(path: str) -> Iterator[dict[str, Any]]:
            more = {}
            while True:
                page = client.get(path, params={**asked, **more}).json()
                yield from page["features"]
                following = [one["href"] for one in page["links"] if one["rel"] == "next"]
                if not following:
                    return
                more = {"cursor": re.findall(r"cursor=([^&]+)", following[0])[0]}

        copy: dict[int, Any] = {}
        kinds: Counter[str] = Counter()
        for change in pages("/collections/changes/items"):
            said = change["properties"]
            kinds[said["change_kind"]] += 1
            if said["change_kind"] == "delete":
                del copy[said["change_object"]]
            else:
                copy[said["change_object"]] = (change["geometry"], said["row"])
        own = {
            one["id"]: (one["geometry"], one["properties"])
            for one in pages("/collections/parcels/items")
        }
    gone = len(two_years.states[0].keys() - two_years.states[1].keys())
    assert kinds["delete"] == gone
    assert kinds["insert"] == len(own) + gone
    assert len(own) == len(two_years.states[1])
    digests = [
        hashlib.sha256(json.dumps(sorted(one.items())).encode()).hexdigest() for one in (copy, own)
    ]
    assert digests[0] == digests[1]


def test_a_year_of_real_parcels_is_undone_exactly(two_years: Years) -> None:
    """The last test of the two years: it takes the second back."""
    database = two_years.database
    assert _hash(database, "parcel") == two_years.hashes[1] != two_years.hashes[0]
    begun = time.monotonic()
    history.undo(database, registry.load("cambridge"), two_years.runs[1])
    assert time.monotonic() - begun < 10
    assert _hash(database, "parcel") == two_years.hashes[0]
