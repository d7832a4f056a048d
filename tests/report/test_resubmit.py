"""What was set aside goes out as GPKG and XLSX, comes back corrected, and is closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import pandas as pd
import pyarrow as pa
import pyogrio
import pytest
import shapely
from click.testing import CliRunner
from pyproj import CRS

from pipeline.cli.main import cli
from pipeline.contracts import registry
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, GuardError, SettingsError
from pipeline.report import resubmit as returned
from pipeline.report import workbook
from pipeline.report.export import export
from pipeline.report.origin import EN, FA, LINE, REASONS, origin
from pipeline.stages import history
from pipeline.stages.outcome import Outcome

from .conftest import EAST, EVIL, NORTH, bow_tie, regions, square

Load = Callable[..., Outcome]


def _export(database: Database, run: int, out: Path, *, closed: bool = False) -> int:
    with database.connect("loader") as connection:
        found = origin(connection, registry.load(database.settings.city), run)
        return export(connection, found, out, closed=closed)


def _resubmit(database: Database, run: int, path: Path) -> returned.Resubmitted:
    schemas = registry.load(database.settings.city)
    return returned.resubmit(database, schemas, run, path, progress=lambda *_: None)


def _codes(database: Database) -> dict[str, int]:
    with database.connect("loader") as connection:
        rows = connection.execute("SELECT region_code, run_id FROM data.region").fetchall()
    return {str(code): int(str(run)) for code, run in rows}


def _sheet(path: Path) -> pa.Table:
    return pyogrio.read_arrow(path, HEADERS="FORCE")[1]


def test_a_geopackage_holds_the_rows_as_they_came(
    faulty: tuple[Database, int], tmp_path: Path
) -> None:
    database, run = faulty
    out = tmp_path / "aside.gpkg"
    assert _export(database, run, out) == 5
    frame = geopandas.read_file(out)
    assert frame.crs == CRS.from_epsg(32639)
    assert frame[LINE].tolist() == [4, 5, 6, 7, 8]
    assert frame["KOD"].fillna("").tolist() == ["", "007", "6", "08", "08"]
    assert frame["NAM"][0] == EVIL
    assert frame.geometry[1].equals_exact(bow_tie(4))
    assert frame.geometry[2] is None
    assert frame[REASONS].tolist()[:3] == [
        "value.missing", "geometry.unrepairable", "geometry.missing",
    ]  # fmt: skip
    assert frame[EN][0] == "Region number is required and has no value"
    assert frame[FA][0] == "شماره منطقه الزامی است و مقدار ندارد"
    with pytest.raises(SettingsError, match="is there already"):
        _export(database, run, out)
    with pytest.raises(SettingsError, match=r"neither \.gpkg nor \.xlsx"):
        _export(database, run, tmp_path / "aside.shp")


def test_a_workbook_keeps_text_as_text(faulty: tuple[Database, int], tmp_path: Path) -> None:
    database, run = faulty
    out = tmp_path / "aside.xlsx"
    _export(database, run, out)
    table = _sheet(out)
    assert table.column("KOD").to_pylist() == [None, "007", "6", "08", "08"]
    assert table.column("NAM").to_pylist() == [EVIL, "هفت", "شش", "۰۸", "هشت دوم"]
    assert table.column(LINE).to_pylist() == [4, 5, 6, 7, 8]


def test_corrected_rows_are_published_and_closed(
    faulty: tuple[Database, int], tmp_path: Path
) -> None:
    database, run = faulty
    out = tmp_path / "aside.gpkg"
    _export(database, run, out)
    frame = geopandas.read_file(out)
    frame["KOD"] = ["4", "007", "6", "08", "08"]
    shapes = list(frame.geometry)
    shapes[1] = square(4)
    corrected = tmp_path / "corrected.gpkg"
    # The second of the two doubled rows is taken out; one row still has no geometry.
    frame = frame.set_geometry(shapes, crs=32639).iloc[:4].to_crs(4326)
    frame.to_file(corrected, driver="GPKG")
    done = _resubmit(database, run, corrected)
    assert done.outcome.status == "done"
    assert done.outcome.account.closes
    assert (done.outcome.account.inserted, done.outcome.account.quarantined) == (3, 1)
    assert done.outcome.account.removed == 0
    assert (done.closed, done.still_open) == (3, 2)
    assert _codes(database) == {
        "1": run, "02": run, "3": run,
        "4": done.outcome.run, "007": done.outcome.run, "08": done.outcome.run,
    }  # fmt: skip
    with database.connect("loader") as connection:
        rows = connection.execute(
            "SELECT line, closed_by FROM ops.quarantine WHERE run_id = %s ORDER BY line", [run]
        ).fetchall()
        assert done.outcome.run
        told = ledger.run(connection, done.outcome.run)
    by = done.outcome.run
    assert dict(rows) == {4: by, 5: by, 6: None, 7: by, 8: None}
    assert told.message == f"corrects run {run} (corrected.gpkg)"
    again = _resubmit(database, run, corrected)
    assert (again.outcome.status, again.closed, again.still_open) == ("unchanged", 3, 2)
    assert _export(database, run, tmp_path / "rest.gpkg") == 2
    assert _export(database, run, tmp_path / "all.gpkg", closed=True) == 5
    with pytest.raises(SettingsError, match=f"corrects run {run}"):
        _export(database, done.outcome.run, tmp_path / "other.gpkg")
    with pytest.raises(SettingsError, match=f"corrects run {run} itself"):
        _resubmit(database, done.outcome.run, corrected)


def _correct(source: Path, target: Path, **columns: list[str | None]) -> Path:
    table = _sheet(source)
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    workbook.write(target, "quarantine", table)
    return target


def test_rows_of_a_workbook_keep_their_geometry(
    faulty: tuple[Database, int], tmp_path: Path
) -> None:
    database, run = faulty
    out = tmp_path / "aside.xlsx"
    _export(database, run, out)
    corrected = _correct(out, tmp_path / "back.xlsx", KOD=["4", "007", "6", "9", "10"])
    done = _resubmit(database, run, corrected)
    assert (done.closed, done.still_open) == (3, 2)
    with database.connect("loader") as connection:
        row = connection.execute(
            "SELECT ST_AsBinary(geom) FROM data.region WHERE region_code = '4'"
        ).fetchone()
        reasons = connection.execute(
            "SELECT reasons FROM ops.quarantine WHERE run_id = %s AND line = 5", [run]
        ).fetchone()
    assert row
    assert shapely.from_wkb(row[0]).equals(square(3))
    assert reasons == (["geometry.unrepairable"],)
    again = _resubmit(database, run, corrected)
    assert (again.outcome.status, again.closed) == ("unchanged", 3)


def test_undoing_a_correction_opens_its_entries_again(
    faulty: tuple[Database, int], tmp_path: Path, load: Load
) -> None:
    database, run = faulty
    out = tmp_path / "aside.xlsx"
    _export(database, run, out)
    corrected = _correct(out, tmp_path / "back.xlsx", KOD=["4", "007", "6", "9", "10"])
    done = _resubmit(database, run, corrected)
    # A correction is part of the delivery it corrects: the same file again changes nothing.
    assert load(database, tmp_path / "manategh.gpkg").status == "unchanged"
    assert done.outcome.run
    history.undo(database, registry.load("qom"), done.outcome.run)
    assert _export(database, run, tmp_path / "again.gpkg") == 5
    assert _resubmit(database, run, corrected).closed == 3


def test_a_killed_correction_is_finished_by_the_same_command(
    faulty: tuple[Database, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, run = faulty
    out = tmp_path / "aside.xlsx"
    _export(database, run, out)
    corrected = _correct(out, tmp_path / "back.xlsx", KOD=["4", "007", "6", "9", "10"])
    with monkeypatch.context() as patched:
        patched.setattr(returned, "_settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _resubmit(database, run, corrected)
    done = _resubmit(database, run, corrected)
    assert (done.outcome.status, done.closed, done.still_open) == ("unchanged", 3, 2)


def test_a_correction_does_not_replace_what_arrived_whole(
    faulty: tuple[Database, int], tmp_path: Path
) -> None:
    database, run = faulty
    out = tmp_path / "aside.xlsx"
    _export(database, run, out)
    before = _codes(database)
    taken = _correct(out, tmp_path / "taken.xlsx", KOD=["1", "007", "6", "9", "10"])
    with pytest.raises(GuardError, match="row 4 now has the key 1, under which row 1 of run"):
        _resubmit(database, run, taken)
    strange = _correct(out, tmp_path / "strange.xlsx", makan_line=["1", "5", "6", "7", "8"])
    with pytest.raises(GuardError, match="row 1 was not set aside by run"):
        _resubmit(database, run, strange)
    blank = _correct(out, tmp_path / "blank.xlsx", makan_line=[None, "5", "6", "7", "8"])
    with pytest.raises(ArrivalError, match="row 1 does not say which row it corrects"):
        _resubmit(database, run, blank)
    assert _codes(database) == before


def test_a_later_delivery_is_not_replaced_by_an_older_correction(
    faulty: tuple[Database, int], tmp_path: Path, load: Load
) -> None:
    database, run = faulty
    out = tmp_path / "aside.xlsx"
    _export(database, run, out)
    later = load(database, regions(tmp_path / "manategh_2.gpkg", [
        ("1", "یک", square(0)), ("02", "دو", square(1)), ("3", "سه", square(2)),
        ("4", "چهار", square(3)), ("5", "پنج", square(4)), ("6", "شش", square(5)),
        ("7", "هفت", square(6)), ("8", "هشت", square(7)),
    ]))  # fmt: skip
    assert later.status == "done"
    with pytest.raises(GuardError, match=f"run {later.run} of the same feed has come after"):
        _resubmit(database, run, out)


def test_the_commands(
    faulty: tuple[Database, int], tmp_path: Path, commanded: Callable[[Database], None]
) -> None:
    database, run = faulty
    commanded(database)
    call = CliRunner().invoke
    out, back = tmp_path / "aside.xlsx", tmp_path / "back.xlsx"
    said = call(cli, ["quarantine", str(run), "--out", str(out)])
    assert f"aside.xlsx: 5 rows of run {run}" in said.stdout
    _correct(out, back, KOD=["4", "007", "6", "9", "10"])
    said = call(cli, ["resubmit", str(run), str(back)])
    assert said.exit_code == 1
    assert f"3 rows closed, 2 of run {run} still open" in said.stdout
    assert '"still_open": 2' in call(cli, ["resubmit", str(run), str(back), "--json"]).stdout


@pytest.mark.parametrize("suffix", [".xlsx", ".gpkg"])
def test_a_table_of_points_comes_back_as_a_table(
    database: Database, tmp_path: Path, load: Load, suffix: str
) -> None:
    feed = registry.load("qom").feed("postcodes")
    assert feed.source.points
    names = [name for column in feed.columns for name in column.sources]
    place = {feed.source.points.x: str(EAST), feed.source.points.y: str(NORTH)}
    code = next(column.sources[0] for column in feed.columns if column.to == "postcode")
    rows = [{code: "3713745681", **place}, {code: "0713x", **place}, {code: "3713745683", **place}]
    rows[2][feed.source.points.x] = "شرق"
    path = tmp_path / "kod_posti.csv"
    pd.DataFrame(rows, columns=[*names, *place, *feed.ignore]).to_csv(path, index=False)
    run = load(database, path, "postcodes").run
    assert run
    out, back = tmp_path / f"out{suffix}", tmp_path / f"back{suffix}"
    assert _export(database, run, out) == 2
    frame = pyogrio.read_dataframe(out, read_geometry=False)
    assert frame[code].tolist() == ["0713x", "3713745683"]
    frame[code] = ["3713745682", "3713745683"]
    frame[feed.source.points.x] = [str(EAST), str(EAST)]
    if suffix == ".xlsx":
        workbook.write(back, "Sheet1", pa.Table.from_pandas(frame, preserve_index=False))
    else:
        pyogrio.write_dataframe(frame, back, driver="GPKG")
    done = _resubmit(database, run, back)
    assert (done.closed, done.still_open) == (2, 0), done
    with database.connect("loader") as connection:
        found = connection.execute(
            "SELECT ST_X(geom), ST_Y(geom) FROM data.postcode WHERE run_id = %s", [done.outcome.run]
        ).fetchall()
    assert found == [(EAST, NORTH)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".xlsx", ".gpkg"])
def test_what_nobody_corrects_comes_back_as_wrong_as_it_was(
    database: Database, tmp_path: Path, load: Load, suffix: str
) -> None:
    schemas = registry.load("qom")
    city = tmp_path / "city"
    options = ["--parcels", "600", "--dirt", "0.05", "--no-imagery"]
    assert CliRunner().invoke(cli, ["sample", str(city), *options]).exit_code == 0
    feeds = sorted(schemas.feeds.values(), key=lambda f: schemas.load_order.index(f.layer))
    seen = 0
    for feed in feeds:
        for path in sorted(p for pattern in feed.source.match for p in city.rglob(pattern)):
            outcome = load(database, path, feed.id)
            if not outcome.account.quarantined or not outcome.run:
                continue
            out = tmp_path / f"{feed.id}{suffix}"
            _export(database, outcome.run, out)
            done = _resubmit(database, outcome.run, out)
            wanted = ledger.Account(
                outcome.account.quarantined, quarantined=outcome.account.quarantined
            )
            assert done.outcome.account == wanted, feed.id
            assert (done.closed, done.still_open) == (0, outcome.account.quarantined)
            with database.connect("loader") as connection:
                told = connection.execute(
                    "SELECT run_id, array_agg(reasons::text ORDER BY id) FROM ops.quarantine"
                    " WHERE run_id IN (%s, %s) GROUP BY 1",
                    [outcome.run, done.outcome.run],
                ).fetchall()
            assert told[0][1] == told[1][1], feed.id
            seen += 1
    assert seen >= 6


@pytest.mark.slow
def test_real_parcels_go_out_and_come_back_equal(
    cambridge: Database, real_data: Path, tmp_path: Path, load: Load
) -> None:
    path = real_data / "cambridge_ma" / "cadastre" / "ASSESSING_ParcelsFY2014.topojson"
    outcome = load(cambridge, path, "parcels")
    assert outcome.run
    out, book = tmp_path / "aside.gpkg", tmp_path / "aside.xlsx"
    count = _export(cambridge, outcome.run, out)
    assert count == outcome.account.quarantined > 90
    _export(cambridge, outcome.run, book)
    came = geopandas.read_file(path)
    table, frame = _sheet(book), geopandas.read_file(out)
    assert frame.crs == CRS.from_epsg(4326)
    assert table.column(LINE).to_pylist() == frame[LINE].tolist()
    chosen = came.iloc[[line - 1 for line in frame[LINE]]]
    for name in ("ML", "MAP", "LOT"):
        wanted = [None if value != value else value for value in chosen[name].tolist()]
        assert [v if isinstance(v, str) else None for v in frame[name]] == wanted
        assert table.column(name).to_pylist() == wanted
    there = ~(chosen.geometry.isna() | chosen.geometry.is_empty).to_numpy()
    assert shapely.equals_exact(
        chosen.geometry.to_numpy()[there], frame.geometry.to_numpy()[there]
    ).all()
    # As it came, it is as wrong as it was; nothing of what is published changes.
    done = _resubmit(cambridge, outcome.run, out)
    assert done.outcome.account.closes
    assert (done.closed, done.still_open) == (0, count)
    assert done.outcome.account.quarantined == count


def test_a_workbook_cuts_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    whole = pa.table({"a": ["x" * workbook.LONGEST, "12\x0b34", "a\x00b"]})
    workbook.write(path, "quarantine", whole)
    assert _sheet(path).column("a").to_pylist() == ["x" * workbook.LONGEST, "12 34", "a b"]
    longer = pa.table({"n": [1], "a": ["ب" * (workbook.LONGEST + 1)]})
    with pytest.raises(ArrivalError, match=r"a has a text of 32,768 characters.*\.gpkg"):
        workbook.write(tmp_path / "b.xlsx", "quarantine", longer)
    assert not (tmp_path / "b.xlsx").exists()


def test_nobody_is_told_to_correct_what_is_refused_afterwards(
    faulty: tuple[Database, int], tmp_path: Path, commanded: Callable[[Database], None]
) -> None:
    database, run = faulty
    commanded(database)

    def said(number: int, name: str) -> str:
        command = ["quarantine", str(number), "--out", str(tmp_path / name)]
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 0, done.output
        return done.output

    assert f"5 rows of run {run}; `makan resubmit {run} FILE` takes them" in said(run, "a.gpkg")
    history.undo(database, registry.load("qom"), run)
    shown = said(run, "b.gpkg")
    assert "the run is undone, so they cannot be resubmitted: load the file again" in shown
    assert "takes them" not in shown
