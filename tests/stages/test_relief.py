"""Heights of the ground as layers: by column or by coordinates, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from ezdxf.filemanagement import new

from benchmarks.imagery.grounds import EAST as WEST
from benchmarks.imagery.grounds import NORTH as SOUTH
from benchmarks.imagery.grounds import plane, surveyed
from pipeline.cli.dem import build_model
from pipeline.cli.derive import facts
from pipeline.cli.fresh import keep_fresh
from pipeline.cli.history import undo
from pipeline.cli.quality import quality
from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.terrain import loaded

from .conftest import EAST, NORTH, Bench

LINE = [(0.0, 0.0), (50.0, 10.0), (90.0, 0.0)]
BY_COLUMN = {"contour_id": "no", "height_m": "elev"}
BY_Z = {"contour_id": "no", "height_m": {"z": True}}


def _line(north: float, *heights: float) -> shapely.LineString:
    """A line ``north`` metres up, with one height, several, or none."""
    points = np.array([(EAST + x, NORTH + y + north) for x, y in LINE])
    if not heights:
        return shapely.LineString(points)
    z = np.resize(heights, len(points))
    return shapely.LineString(np.column_stack([points, z]))


def _found(bench: Bench, path: Path, feed: Any) -> dict[str, int]:
    outcome = bench.check(path, feed)
    assert outcome.account.closes
    return {code: count for (code, _), count in outcome.counts.items()}


def test_heights_arrive_in_a_column_or_in_the_coordinates(bench: Bench) -> None:
    rows = [{"no": str(n), "elev": 900.0 + n, "geometry": _line(n)} for n in range(3)]
    assert _found(bench, bench.geopackage(rows), bench.feed("contour", columns=BY_COLUMN)) == {}
    rows = [{"no": str(n), "geometry": _line(n, 900.0 + n)} for n in range(3)]
    # What is read is not told as left out.
    assert _found(bench, bench.geopackage(rows), bench.feed("contour", columns=BY_Z)) == {}


def test_a_drawing_has_them_as_elevation(bench: Bench) -> None:
    path = bench.folder / "monhani.dxf"
    drawing = new("R2000", setup=False)
    space = drawing.modelspace()
    for n in range(3):
        points = [(EAST + x, NORTH + y + n) for x, y in LINE]
        space.add_lwpolyline(points, dxfattribs={"elevation": 900.0 + n, "layer": "M"})
    drawing.saveas(path)
    ignored = ["Layer", "Entity", "Text", "Block", "Attributes", "Colour", "Linetype", "Height",
               "Rotation", "Closed"]  # fmt: skip
    source = {"driver": "DXF", "crs": "EPSG:32639", "encoding": "CP1256"}
    columns = {"contour_id": "Handle", "height_m": "Elevation"}
    feed = bench.feed("contour", columns=columns, source=source, ignore=ignored)
    assert _found(bench, path, feed) == {"crs.assumed": 1}
    # A breakline may be level: then its height is in that column.
    columns = {"breakline_id": "Handle"}
    feed = bench.feed(
        "breakline", columns=columns, source={**source, "level": "Elevation"}, ignore=ignored
    )
    assert _found(bench, path, feed) == {"crs.assumed": 1}


def test_missing_and_odd_heights_are_set_aside(bench: Bench) -> None:
    rows = [
        {"no": "good", "geometry": _line(0, 900.0)},
        {"no": "none", "geometry": _line(1)},
        {"no": "zero", "geometry": _line(2, 0.0)},
        {"no": "slanted", "geometry": _line(3, 900.0, 901.0, 902.0)},
        {"no": "rounded", "geometry": _line(4, 900.0, 900.0005, 900.0)},
        {"no": "twin", "geometry": _line(0, 900.0)},
    ]
    path = bench.geopackage(rows)
    outcome = bench.check(path, bench.feed("contour", columns=BY_Z))
    assert dict(outcome.counts) == {
        ("value.missing", "height_m"): 1,
        ("value.range", "height_m"): 1,
        ("geometry.slanted", "height_m"): 1,
        ("geometry.duplicate", None): 1,
    }
    assert outcome.account.quarantined == 3


def test_breaklines_keep_the_height_of_each_point(bench: Bench) -> None:
    rows = [
        {"no": "good", "geometry": _line(0, 900.0, 901.0, 902.0)},
        {"no": "flat", "geometry": _line(1)},
        {"no": "deep", "geometry": _line(2, 900.0, 12.0, 900.0)},
        {"no": "half", "geometry": _line(3, 900.0, np.nan, 900.0)},
    ]
    outcome = bench.check(
        bench.geopackage(rows), bench.feed("breakline", columns={"breakline_id": "no"})
    )
    assert dict(outcome.counts) == {("geometry.flat", None): 2, ("geometry.height", None): 1}


def test_another_crs_moves_the_place_and_not_the_height(bench: Bench) -> None:
    there = shapely.LineString([(50.87, 34.64, 900.0), (50.871, 34.641, 905.5)])
    path = bench.geopackage([{"no": "1", "geometry": there}], crs="EPSG:4326")
    outcome = bench.check(path, bench.feed("breakline", columns={"breakline_id": "no"}))
    assert (outcome.account.inserted, dict(outcome.counts)) == (1, {})


def _deliver(bench: Bench, database: Database, rise: float = 0.0) -> list[str]:
    """A surveyed plane as three deliveries: contours, spots, one breakline along the slope."""
    survey = surveyed(plane, 600.0, 0.5, 60)
    contours = [
        {"no": f"c{n}", "elev": float(z), "geometry": line}
        for n, (line, z) in enumerate(zip(survey.contours, survey.levels, strict=True))
    ]
    spots = [
        {"no": f"s{n}", "geometry": shapely.Point(x, y, round(z, 3))}
        for n, (x, y, z) in enumerate(survey.spots)
    ]
    x = WEST + np.arange(0.0, 601.0, 50.0)
    y = np.full(len(x), SOUTH + 300.0)
    across = shapely.LineString(np.column_stack([x, y, plane(x, y) + rise]))
    told = []
    for layer, columns, rows in (
        ("contour", BY_COLUMN, contours),
        ("spot_height", {"spot_id": "no", "height_m": {"z": True}}, spots),
        ("breakline", {"breakline_id": "no"}, [{"no": "b1", "geometry": across}]),
    ):
        feed = bench.feed(layer, columns=columns, id=f"planted_{layer}")
        outcome = bench.load(database, bench.geopackage(rows, f"{layer}.gpkg"), feed)
        assert outcome.account.quarantined == 0, outcome.counts
        told.append(f"{outcome.account.inserted} {outcome.account.updated}")
    return told


def test_a_model_is_made_of_what_is_loaded(bench: Bench, database: Database) -> None:
    with pytest.raises(SettingsError, match="no heights are loaded"):
        loaded.read(database, bench.schemas)
    first = _deliver(bench, database)
    found = loaded.read(database, bench.schemas)
    assert found.layers == ("contour", "spot_height", "breakline")
    assert len(found.survey.spots) == 60
    assert first[1:] == ["60 0", "1 0"]
    z = shapely.get_coordinates(found.survey.breaklines, include_z=True)[:, 2]
    assert z.tolist() == pytest.approx(plane(WEST + np.arange(0.0, 601.0, 50.0), SOUTH + 300.0))
    words = ["--loaded", "--cell", "2", "--date", "2024-05-31", "--json"]
    result = CliRunner().invoke(build_model, words, obj=database.settings, catch_exceptions=False)
    told = json.loads(result.stdout)
    assert told["from"] == ["contour", "spot_height", "breakline"]
    assert told["hold_out"]["rmse_m"] < 0.02
    with rasterio.open(database.settings.home / told["where"]) as model:
        value = next(iter(model.sample([(WEST + 50, SOUTH + 300)])))[0]
        assert model.tags()["ACQUIRED"] == "2024-05-31"
    assert value == pytest.approx(900.50, abs=0.02)
    # Only heights have changed: a new version of the one breakline.
    assert _deliver(bench, database, rise=0.25) == ["0 0", "0 0", "0 1"]
    z = shapely.get_coordinates(
        loaded.read(database, bench.schemas).survey.breaklines, include_z=True
    )
    assert z[0, 2] == pytest.approx(plane(WEST, SOUTH + 300.0) + 0.25)
    with database.connect("owner") as connection:
        rows = connection.execute(
            "SELECT ST_ZMax(geom) - ST_ZMin(geom) FROM history.breakline"
        ).fetchall()
    assert rows[0][0] == pytest.approx(float(np.ptp(plane(WEST + np.array([0.0, 600.0]), SOUTH))))


def _build(database: Database, *words: str) -> Any:
    words = ("--loaded", *words, "--json")
    result = CliRunner().invoke(build_model, words, obj=database.settings, catch_exceptions=False)
    return json.loads(result.stdout)


def _models(database: Database) -> tuple[list[list[str]], list[str]]:
    """State and changed layers of each model, as `makan facts` and `makan quality` tell them."""
    told = []
    for command, listed in ((facts, None), (quality, "models")):
        result = CliRunner().invoke(command, ["--json"], obj=database.settings)
        every = json.loads(result.stdout)
        found = every[listed] if listed else [one for one in every if "changes" in one]
        told.append([[change["layer"] for change in one["changes"]] for one in found])
    assert told[0] == told[1]
    with database.connect("loader") as connection:
        rows = connection.execute(
            "SELECT found_value FROM derived.quality_finding "
            "WHERE finding_code = 'terrain.outdated' ORDER BY 1"
        ).fetchall()
    return told[0], [row[0] for row in rows]


def test_a_model_that_is_older_than_its_heights_says_so_and_is_made_anew(
    bench: Bench, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match="no cell size is given"):
        _build(database)
    _deliver(bench, database)
    first = _build(database, "--cell", "4", "--date", "2024-05-31")
    assert (first["status"], _models(database)) == ("made", ([[]], []))
    # Nothing has changed: nothing is made, whether or not the cell is named again.
    for words in ((), ("--cell", "4"), ("--date", "2024-05-31")):
        again = _build(database, *words)
        assert (again["status"], again["where"]) == ("unchanged", first["where"])
    assert _build(database, "--cell", "6")["status"] == "made"
    assert _build(database, "--anew", "--cell", "4")["status"] == "made"
    _deliver(bench, database)
    assert _models(database) == ([[]], [])  # the same again is no change
    _deliver(bench, database, rise=0.25)
    keep_fresh(database.settings, bench.schemas, {"breakline"}, first=False)
    assert "older than breakline (run" in capsys.readouterr().err
    assert _models(database) == ([["breakline"]], ["breakline"])
    second = _build(database)
    assert (second["status"], second["cell"]) == ("made", 4.0)
    with rasterio.open(database.settings.home / second["where"]) as model:
        value = next(iter(model.sample([(WEST + 50, SOUTH + 300)])))[0]
        assert model.tags()["ACQUIRED"] == "2024-05-31"
    assert value > 900.55
    assert _models(database) == ([[]], [])
    with database.connect("loader") as connection:
        row = connection.execute("SELECT max(id) FROM ops.run WHERE layer = 'breakline'").fetchone()
    undone = CliRunner().invoke(undo, [str(row[0] if row else 0)], obj=database.settings)
    assert "older than breakline" in undone.stderr
    assert _models(database) == ([["breakline"]], ["breakline"])
    assert _build(database)["status"] == "made"
    # Heights are the same though rows have changed: the model stands, and knows them.
    with database.connect("loader") as connection:
        connection.execute(
            "INSERT INTO ops.run (kind, layer, status, file, file_sha256, file_bytes, "
            "contract_sha256, code_version, who, finished, arrived, updated) "
            "VALUES ('edit', 'contour', 'done', '', '', 0, '', '', '', now(), 1, 1)"
        )
    assert _models(database)[0] == [["contour"]]
    assert _build(database)["status"] == "made"
    assert _models(database) == ([[]], [])


def test_files_and_what_is_loaded_are_not_mixed(database: Database, tmp_path: Path) -> None:
    words = ["--loaded", "--spots", str(tmp_path / "x.csv"), "--cell", "2"]
    with pytest.raises(SettingsError, match="one or the other"):
        CliRunner().invoke(build_model, words, obj=database.settings, catch_exceptions=False)


def test_the_real_contours_and_spots_of_the_western_cape(real_data: Path, tmp_path: Path) -> None:
    """147 contours every 50 m by column, and the same by z: one reading."""
    source = real_data / "aerial_ngi" / "derived_topo" / "contours_50m.shp.zip"
    meta, _, wkb, (number, height) = pyogrio.raw.read(f"/vsizip/{source}")
    high = shapely.force_3d(shapely.from_wkb(wkb), height)
    path = tmp_path / "by_z.gpkg"
    pyogrio.raw.write(
        path, np.asarray(shapely.to_wkb(high), dtype=object), [number], ["ID"],
        geometry_type="LineString Z", crs=meta["crs"], driver="GPKG",
    )  # fmt: skip
    cape = Bench(tmp_path, registry.load("westcape"))
    by_column = {"contour_id": "ID", "height_m": "ELEV"}
    shp = {"driver": "ESRI Shapefile"}
    one = cape.check(source, cape.feed("contour", columns=by_column, source=shp))
    two = cape.check(
        path, cape.feed("contour", columns={"contour_id": "ID", "height_m": {"z": True}})
    )
    assert one.account == two.account
    assert one.account.inserted == 147
    assert dict(one.counts) == dict(two.counts)
