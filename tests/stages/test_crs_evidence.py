"""CRS by evidence: every trap of the domain notes, against numbers measured elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from pyproj import CRS, Transformer

from pipeline import geo, operations
from pipeline.cli.main import cli
from pipeline.contracts.city import City, Transformation
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError
from pipeline.operations import NoOperationError
from pipeline.settings import Settings
from pipeline.stages import suspects
from pipeline.stages.reference import reachable

CENTRE = np.array([[488672.13, 3833139.65]])
UTM39, ED77 = CRS.from_epsg(32639), CRS.from_epsg(2059)
# Measured at the city's centre by hand: coordinates as read minus true ones, in metres.
MEASURED = {
    "EPSG:2059 (ED50(ED77) / UTM zone 39N)": (-11.6, 175.9),
    "FD58 / UTM zone 39N": (-84.7, -440.4),
    "EPSG:27039 (Nahrwan 1967 / UTM zone 39N), its datum shift left out": (-0.4, -282.5),
    "Rassadiran / UTM zone 39N": (-4.7, 158.6),
    "EPSG:32239 (WGS 72 / UTM zone 39N)": (-14.1, -4.9),
}


def moved(shape: shapely.Geometry, source: CRS, target: CRS, **how: Any) -> shapely.Geometry:
    """``shape`` by PROJ itself; ``pipeline`` names another operation."""
    move = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(
        shape, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1], **how))
    )


def street(bench: Any, change: Any, count: int = 30) -> list[dict[str, Any]]:
    """Parcels whose geometry has been spoilt by ``change``."""
    return [bench.parcel(n, geometry=change(bench.square(n))) for n in range(count)]


def test_crs_signature_of_a_mislabelled_layer_is_what_was_measured(schemas: Schemas) -> None:
    found = {g.name: CENTRE - g.places(CENTRE) for g in suspects.guesses(UTM39, schemas.city)}
    for name, offset in MEASURED.items():
        assert found[name][0] == pytest.approx(offset, abs=0.06), name
    zone38 = Transformer.from_crs(UTM39, CRS.from_epsg(32638), always_xy=True)
    zone40 = Transformer.from_crs(UTM39, CRS.from_epsg(32640), always_xy=True)
    assert zone38.transform(*CENTRE[0]) == pytest.approx((1_038_905, 3_848_874), abs=1)
    assert zone40.transform(*CENTRE[0])[0] == pytest.approx(-61_605, abs=1)


def test_nahrwan_without_its_shift_is_what_proj_does_by_itself(schemas: Schemas) -> None:
    """The notes' 282 m for Nahrwan is PROJ's silent ballpark; the datum itself is 446 m off."""
    found = {g.name: CENTRE - g.places(CENTRE) for g in suspects.guesses(UTM39, schemas.city)}
    (true,) = found["EPSG:27039 (Nahrwan 1967 / UTM zone 39N)"]
    assert np.hypot(*true) == pytest.approx(446, abs=1)


def test_epsg_1141_differs_from_the_pinned_1514_by_6_metres(schemas: Schemas) -> None:
    pinned = schemas.city.operation(ED77)
    assert (pinned.code, pinned.accuracy_m) == ("EPSG:1514", 1.0)
    other = operations.by_code(ED77, UTM39, "EPSG:1141")
    assert other is not None
    (one,), (two,) = (
        way.apply(np.array([shapely.Point(CENTRE[0])], dtype=object)) for way in (pinned, other)
    )
    assert one.distance(two) == pytest.approx(5.8, abs=0.1)


def test_the_pinned_operation_is_epsg_1514_step_by_step_in_both_directions(
    schemas: Schemas,
) -> None:
    pinned = schemas.city.operation(ED77).transformer
    assert pinned is not None
    shift = Transformer.from_pipeline("urn:ogc:def:coordinateOperation:EPSG::1514")
    off = Transformer.from_crs(ED77, ED77.geodetic_crs, always_xy=True)
    on = Transformer.from_crs(UTM39.geodetic_crs, UTM39, always_xy=True)
    lon, lat = off.transform(*CENTRE[0])
    lat, lon = shift.transform(lat, lon)
    expected = on.transform(lon, lat)
    assert pinned.transform(*CENTRE[0]) == pytest.approx(expected, abs=1e-4)
    assert pinned.transform(*expected, direction="INVERSE") == pytest.approx(CENTRE[0], abs=1e-3)


@pytest.mark.parametrize(
    ("code", "told"),
    [(4230, "EPSG:1133 ED50 to WGS 84 (1) (10 m)"), (27039, "Nahrwan 1967 to WGS 84"),
     (2154, "RGF93")],
)  # fmt: skip
def test_a_datum_without_a_pinned_operation_is_refused_with_the_candidates(
    code: int, told: str, schemas: Schemas, bench: Any
) -> None:
    with pytest.raises(NoOperationError) as error:
        schemas.city.operation(CRS.from_epsg(code))
    assert any(told in one for one in error.value.known)
    path = bench.geopackage(street(bench, lambda shape: shape), crs=f"EPSG:{code}")
    with pytest.raises(ArrivalError, match=r"has no pinned operation; EPSG knows .*Ask for EPSG"):
        bench.check(path)


def test_plain_ed50_is_never_accepted() -> None:
    with pytest.raises(ValueError, match="EPSG:4230 is no datum of one place"):
        Transformation(source="EPSG:4230", operation="EPSG:1133", accuracy_m=10.0)


def test_ed50_ed77_data_are_taken_by_the_pinned_operation_and_the_ledger_says_so(
    bench: Any, database: Database, query: Any
) -> None:
    rows = street(bench, lambda shape: shape)
    true = np.array([row["geometry"] for row in rows], dtype=object)
    inverse = bench.schemas.city.operation(ED77).transformer
    back = [
        shapely.transform(g, lambda xy: np.column_stack(
            inverse.transform(xy[:, 0], xy[:, 1], direction="INVERSE"))) for g in true
    ]  # fmt: skip
    for row, shape in zip(rows, back, strict=True):
        row["geometry"] = shape
    outcome = bench.load(database, bench.geopackage(rows, crs="EPSG:2059"))
    assert outcome.account.inserted == 30
    with database.connect("loader") as connection:
        run = ledger.run(connection, int(outcome.run or 0))
    assert run.crs_operation == "EPSG:1514 ED50(ED77) to WGS 84 (1) (1 m)"
    stored = query(database, "SELECT ST_AsBinary(geom) FROM data.parcel ORDER BY source_line")
    for (wkb,), shape in zip(stored, true, strict=True):
        assert shapely.from_wkb(bytes(wkb)).hausdorff_distance(shape) < 1e-3


def test_cambridge_takes_wgs84_as_nad83_like_every_program_does(cambridge_schemas: Schemas) -> None:
    operation = cambridge_schemas.city.operation(CRS.from_epsg(4326))
    assert str(operation) == "EPSG:1188 Inverse of NAD83 to WGS 84 (1) (4 m)"
    place = np.array([shapely.Point(-71.1056, 42.3736)], dtype=object)
    (by_pin,) = operation.apply(place)
    (by_proj,) = geo.reproject(place, CRS.from_epsg(4326), CRS.from_epsg(2249))
    assert by_pin.distance(by_proj) < 1e-6
    # NAD83 keeps GRS 80: the same latitude and longitude on both, no NADCON shift of metres.
    assert by_pin.distance(moved(place[0], CRS.from_epsg(4269), CRS.from_epsg(2249))) < 1e-3


def test_every_pinned_and_suspected_operation_exists(
    schemas: Schemas, cambridge_schemas: Schemas
) -> None:
    for city in (schemas.city, cambridge_schemas.city):
        for pin in city.transformations:
            base = CRS.from_user_input(pin.source)
            found = operations.by_code(base, city.crs, pin.operation)
            assert found is not None, pin
            assert found.accuracy_m == pin.accuracy_m
        for suspect in city.suspects:
            base = CRS.from_user_input(suspect.crs)
            if suspect.operation:
                assert operations.by_code(base, city.crs, suspect.operation) is not None, suspect


def _from(code: int, city: City) -> Any:
    """Makes the mistake: true places of the city written as numbers of another CRS."""
    (guess,) = [g for g in suspects.guesses(city.crs, city)
                if g.name.startswith(f"EPSG:{code} ") and g.name.endswith(")")]  # fmt: skip
    move = guess.transformer
    assert move is not None
    return lambda shape: shapely.transform(
        shape, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1], direction="INVERSE"))
    )


@pytest.mark.parametrize(("code", "off"), [(2059, "176.3 m"), (32239, "14.9 m"), (27039, "446.")])
def test_crs_signature_of_the_former_version_stops_the_load(
    code: int, off: str, bench: Any, database: Database, query: Any
) -> None:
    bench.load(database, bench.geopackage(street(bench, lambda shape: shape)))
    before = query(database, "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM data.parcel p")
    path = bench.geopackage(street(bench, _from(code, bench.schemas.city)))
    with pytest.raises(ArrivalError) as error:
        bench.load(database, path)
    said = str(error.value)
    assert "said to be EPSG:32639, but 30 of parcel by key lie" in said
    assert off in said
    assert f"as data in EPSG:{code} (" in said
    assert "planted.gpkg" in said
    assert "\n" not in said
    after = query(database, "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM data.parcel p")
    assert after == before
    with database.connect("loader") as known, pytest.raises(ArrivalError, match="by key"):
        bench.check(path, known=known)


def test_crs_signature_is_written_down_when_it_is_right(bench: Any, database: Database) -> None:
    first = bench.load(database, bench.geopackage(street(bench, lambda shape: shape)))
    second = bench.load(
        database, bench.geopackage(street(bench, lambda g: shapely.affinity.translate(g, 0.3, 0.1)))
    )
    with database.connect("loader") as connection:
        told = [ledger.run(connection, int(run or 0)) for run in (first.run, second.run)]
    assert [run.crs_evidence for run in told] == [
        "nothing to compare with",
        "30 of parcel by key lie 0.3 m (E +0.3, N +0.1) off",
    ]
    assert {run.crs_operation for run in told} == {"no change of CRS"}


def test_an_offset_that_no_mistake_explains_is_a_warning(bench: Any, database: Database) -> None:
    bench.load(database, bench.geopackage(street(bench, lambda shape: shape)))
    shifted = street(bench, lambda shape: shapely.affinity.translate(shape, 30.0, 0.0))
    outcome = bench.load(database, bench.geopackage(shifted))
    assert outcome.counts["crs.offset", None] == 1
    assert outcome.account.updated == 30


def test_control_points_by_name_show_a_mislabelled_delivery(bench: Any, database: Database) -> None:
    rows = [{"name": f"PM{n}", "geometry": bench.square(n).centroid} for n in range(8)]
    feed = bench.feed(
        "control_point", columns=bench.filled("control_point", {"point_name": "name"})
    )
    bench.load(database, bench.geopackage(rows), feed)
    spoil = _from(2059, bench.schemas.city)
    for row in rows:
        row["geometry"] = spoil(row["geometry"])
    with pytest.raises(ArrivalError, match=r"8 of control_point by key lie 176\.\d m"):
        bench.load(database, bench.geopackage(rows), feed)


def test_parcels_that_miss_the_blocks_they_name_are_mislabelled(
    bench: Any, database: Database
) -> None:
    blocks = [{"code": f"1-1-{n}", "geometry": bench.square(n).buffer(5)} for n in range(1, 31)]
    feed = bench.feed("block", columns=bench.filled("block", {"block_code": "code"}))
    bench.load(database, bench.geopackage(blocks, "blocks.gpkg"), feed)
    spoil = _from(2059, bench.schemas.city)
    rows = [bench.parcel(n, block=f"1-1-{n}", geometry=bench.square(n)) for n in range(1, 31)]
    columns = {"parcel_code": "code", "block_code": "block"}
    feed = bench.feed(columns=columns, ignore=["use", "plate", "deed", "changed"])
    right = bench.check(bench.geopackage(rows), feed)
    assert right.account.inserted == 30
    for row in rows:
        row["geometry"] = spoil(row["geometry"])
    path = bench.geopackage(rows)
    assert bench.check(path, feed).account.inserted == 30  # without a database nobody can know
    with pytest.raises(
        ArrivalError, match=r"0 of 30 lie in the block they name; read as EPSG:2059"
    ):
        bench.load(database, path, feed)


ZONE38 = Transformer.from_crs(UTM39, CRS.from_epsg(32638), always_xy=True)
ZONE40 = Transformer.from_crs(UTM39, CRS.from_epsg(32640), always_xy=True)
DEGREES = Transformer.from_crs(UTM39, CRS.from_epsg(4326), always_xy=True)


def _by(move: Transformer) -> Any:
    return lambda shape: shapely.transform(
        shape, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))
    )


@pytest.mark.parametrize(
    ("change", "likely"),
    [
        (_by(ZONE38), r"EPSG:32638 \(WGS 84 / UTM zone 38N\)"),
        (_by(ZONE40), r"EPSG:32640 \(WGS 84 / UTM zone 40N\)"),
        (_by(DEGREES), r"EPSG:4326 \(WGS 84\)"),
        (lambda g: shapely.transform(g, lambda xy: xy[:, ::-1]), "east and north exchanged"),
        (lambda g: shapely.transform(g, lambda xy: xy / 0.3048), "international feet"),
        (lambda g: shapely.transform(g, lambda xy: xy - [487_000.0, 3_832_000.0]), "a local grid"),
    ],
    ids=["zone 38 read", "zone 40 read", "degrees", "swapped axes", "feet", "local grid"],
)
def test_a_file_beside_the_city_is_stopped_with_the_likely_answer(
    change: Any, likely: str, bench: Any
) -> None:
    path = bench.geopackage(street(bench, change))
    with pytest.raises(ArrivalError, match=likely):
        bench.check(path)


def test_some_rows_beside_the_city_are_rows_in_quarantine(bench: Any) -> None:
    rows = street(bench, lambda shape: shape)
    for row in rows[:10]:
        row["geometry"] = _by(ZONE38)(row["geometry"])
    outcome = bench.check(bench.geopackage(rows))
    assert (outcome.account.inserted, outcome.account.quarantined) == (20, 10)
    assert outcome.counts["geometry.outside", None] == 10


def test_check_compares_where_a_database_runs_and_is_silent_where_none_does(
    bench: Any, database: Database, tmp_path: Path
) -> None:
    with reachable(database, bench.schemas) as known:
        assert known is not None
    with reachable(Database(Settings(home=tmp_path / "nowhere")), bench.schemas) as known:
        assert known is None


def test_the_report_shows_operation_and_evidence(
    bench: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = bench.load(database, bench.geopackage(street(bench, lambda shape: shape)))
    monkeypatch.setenv("MAKAN_HOME", str(database.settings.home))
    monkeypatch.setenv("MAKAN_DATABASE", database.settings.database)
    shown = CliRunner().invoke(cli, ["report", str(outcome.run)])
    assert "crs_operation: no change of CRS" in shown.output
    assert "crs_evidence: nothing to compare with" in shown.output
